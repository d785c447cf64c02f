// SPDX-License-Identifier: GPL-3.0-or-later
// An asynchronous SMB 3.1.1 client for VM disks: one connection, one session by Kerberos, one
// share, any number of files; encrypted, or signed where the caller says so (MS-SMB2, client role,
// section 3.2). No oplocks, leases, durable handles, compounds or multichannel.
//
// All functions belong to the thread of the drv_loop. Requests are pipelined as far as the server's
// credits reach; nothing blocks: what would (DNS, the KDC) runs on a worker thread. A request's
// struct and buffers belong to the caller and stay put until its done() has been called, which
// happens exactly once, also when the connection ends (SMB2_S_LOST).
//
// A connection that ended keeps its socket until smb2_free(): a new one that names it as its
// predecessor tells the server to end that session first, and the server then waits for writes that
// are under way there (hand-over finding 13, Samba's smbXsrv_session.c).
#ifndef DROVER_SMB2_H
#define DROVER_SMB2_H

#include "crypto.h"
#include "drover/loop.h"
#include "krb.h"
#include "msg.h"

enum {
    SMB2_IO_MAX = 1 << 20, // longest READ and WRITE; a server that offers less is refused
    SMB2_RANGES_MAX = 1024,
    SMB2_ROOM_BYTES = 160, // an encoded request, CREATE and SESSION_SETUP excepted
};

struct smb2_conn;

struct smb2_config {
    const char *server; // full DNS name: address, Kerberos name and tree path come from it
    unsigned port;      // 0 = 445
    const char *share;
    struct smb2_tickets *tickets; // who we are; borrowed, outlives the connection
    bool fresh_ticket;            // one got now, or none; else the one at hand while it is young
    bool no_encryption;           // sign only: benches
    int session_ms; // limit for SESSION_SETUP: a stuck predecessor holds it up for ever
};

// Called once per smb2_connect(): c is ready, or NULL with err (borrowed for the call).
// DRV_EUNREACHABLE: no server, DRV_ETIMEDOUT, DRV_EDENIED (Kerberos or the share), DRV_EPEER: the
// server's answers; DRV_ENOTFOUND: no such share.
typedef void smb2_connected(void *arg, struct smb2_conn *c, const struct drv_err *err);
// The connection ended by itself; all requests have been completed with SMB2_S_LOST. The callee may
// free c.
typedef void smb2_ended(void *arg, struct smb2_conn *c, const struct drv_err *err);

// Start connecting. cfg is copied. predecessor: NULL, or a connection of ours to the same server,
// ended or not, whose session the server shall end; it stays the caller's and must live until
// connected() is called. Returns a handle for smb2_free(), which abandons the attempt (connected()
// is then not called).
struct smb2_conn *smb2_connect(struct drv_loop *loop, const struct smb2_config *cfg,
                               const struct smb2_conn *predecessor, smb2_connected *connected,
                               smb2_ended *ended, void *arg);
// Close the socket; what it has not sent is thrown away. Requests under way complete with
// SMB2_S_LOST before this returns. NULL allowed.
void smb2_free(struct smb2_conn *c);
// End it now, as if the server had: requests complete with SMB2_S_LOST, ended() is not called. The
// socket stays for a successor. reset: throw away at once what the kernel has not sent, so that
// none of it can arrive later; the server may then learn of it before it has ended what it is at.
void smb2_abandon(struct smb2_conn *c, bool reset);
bool smb2_usable(const struct smb2_conn *c); // ready and not ended

struct smb2_about {           // what was agreed with the server
    uint16_t cipher, signing; // 0: not encrypted
    uint32_t capabilities;    // of the server, MS-SMB2 2.2.4
    uint32_t max_read, max_write, tree_capabilities;
    uint64_t session_id;
    int64_t ticket_left_s; // until the session must be authenticated anew, which happens by itself
    unsigned credits;
};
void smb2_about(const struct smb2_conn *c, struct smb2_about *ret);
const char *smb2_cipher_name(uint16_t cipher); // "AES-128-GCM"; "" = not encrypted
const char *smb2_signing_name(uint16_t signing);

struct smb2_stats {
    uint64_t requests, bytes_sent, bytes_received, reauthentications;
};
void smb2_stats(const struct smb2_conn *c, struct smb2_stats *ret);

// --- requests ---

struct smb2_request {
    // status: SMB2_OK, an NTSTATUS, SMB2_S_LOST or SMB2_S_BAD_ANSWER. Results stand in what the
    // request was given. The request may be used again from within.
    void (*done)(struct smb2_request *r, uint32_t status);
    uint32_t got; // READ: bytes read; ranges: entries
    // private to the client
    struct smb2_request *next;
    uint64_t message_id, async_id;
    uint16_t command, charge;
    uint8_t kind;
    bool sent, cancelled;
    uint8_t *buf;       // READ: target. WRITE: source.
    void *result;       // struct of the answer
    uint32_t len, code; // of buf or of the room at result; IOCTL or info code
    uint64_t offset, span;
    uint8_t *packet; // encoded request, until it is sent: room[], or malloc'd
    uint32_t packet_len;
    uint8_t room[SMB2_ROOM_BYTES];
};

// CREATE. done: *ret is filled. STATUS_SHARING_VIOLATION: somebody denies it.
void smb2_open(struct smb2_conn *c, struct smb2_request *r, const struct smb2_create *how,
               struct smb2_opened *ret);
void smb2_close(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f);
// 1..SMB2_IO_MAX bytes. Past the end of the file: STATUS_END_OF_FILE, or fewer bytes in r->got.
void smb2_read(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f, void *buf,
               uint32_t len, uint64_t offset);
// All or an error. write_through: durable when answered.
void smb2_write(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                const void *buf, uint32_t len, uint64_t offset, bool write_through);
void smb2_flush(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f);
void smb2_set_eof(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                  uint64_t size_bytes);
void smb2_query(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                enum smb2_info what, struct smb2_info_reply *ret);
void smb2_set_sparse(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f);
void smb2_zero(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
               uint64_t offset, uint64_t len);
// Allocated ranges within [offset, offset+len): ret has room for max (<= SMB2_RANGES_MAX); r->got
// of them. STATUS_BUFFER_OVERFLOW: there are more.
void smb2_ranges(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                 uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max);
void smb2_echo(struct smb2_conn *c, struct smb2_request *r);
// Ask the server to give r up (MS-SMB2 3.2.4.24); r completes as usual, with STATUS_CANCELLED or
// with what it had come to.
void smb2_cancel(struct smb2_conn *c, struct smb2_request *r);

#endif
