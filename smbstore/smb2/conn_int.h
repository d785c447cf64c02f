// SPDX-License-Identifier: GPL-3.0-or-later
// A connection from within: see smb2.h. conn.c owns its life and its requests, setup.c brings it
// up, tx.c and rx.c move bytes, krb.c talks to GSSAPI, ops.c makes requests.
#ifndef DROVER_SMB2_CONN_INT_H
#define DROVER_SMB2_CONN_INT_H

#include "smb2.h"

#include "drover/util.h"
#include "krb.h"
#include <event2/event.h>
#include <netinet/in.h>

enum {
    SMB2_FRAME_BYTES = 4, // direct TCP transport header, MS-SMB2 2.1
    SMB2_HEAD_BYTES =
        SMB2_READ_DATA_AT, // how much of an answer is looked at before the rest is placed
    SMB2_CREDITS_WANTED = 1024,
    SMB2_PENDING_SLOTS = 1024, // power of two
    SMB2_RX_BYTES = 256 * 1024,
    SMB2_SMALL_ANSWER_MAX = 80 * 1024, // longest answer that carries no READ data
    SMB2_QUEUED_MAX = 4 << 20,         // bytes waiting for the socket; more requests wait unencoded
    SMB2_QUIET_ECHO_MS = 4000,         // nothing heard though something is due: ask
    SMB2_QUIET_DEAD_MS = 10000,        // still nothing: the connection is dead
};

enum smb2_kind { // what to do with the answer
    SMB2_K_PLAIN,
    SMB2_K_OPEN,
    SMB2_K_READ,
    SMB2_K_WRITE,
    SMB2_K_INFO,
    SMB2_K_RANGES,
    SMB2_K_SETUP, // setup.c decodes
};

enum smb2_state { SMB2_RESOLVING, SMB2_CONNECTING, SMB2_AGREEING, SMB2_READY, SMB2_DEAD };

// A message on its way to the socket. `borrowed` is the payload of an unencrypted WRITE.
struct smb2_packet {
    struct smb2_packet *next;
    size_t head_len, borrowed_len, done;
    const uint8_t *borrowed;
    size_t cap;
    uint8_t head[];
};

struct smb2_tx {
    struct event *writable, *flush; // flush: at the end of the loop turn
    bool flush_due, blocked;
    struct smb2_packet *head, **tail;
    size_t queued;                               // bytes
    struct smb2_packet *spare_small, *spare_big; // kept for reuse
    unsigned n_spare_small, n_spare_big;
};

struct smb2_rx {
    struct event *readable;
    uint8_t *buf; // SMB2_RX_BYTES
    size_t start, end;
    bool in_message;
    bool sealed;                   // the message at hand is encrypted
    size_t left;                   // bytes of it still to come
    size_t len;                    // of the plain message
    uint8_t head[SMB2_HEAD_BYTES]; // its first bytes, plain
    size_t head_len;               // how many there are
    uint8_t *target;               // where the rest goes
    size_t target_done, target_len;
    struct smb2_request *reading; // READ whose buffer target is
    uint8_t *small;               // SMB2_SMALL_ANSWER_MAX, for whole answers
};

struct smb2_conn {
    struct drv_loop *loop;
    struct smb2_config cfg; // strings owned
    smb2_connected *connected;
    smb2_ended *ended;
    void *arg;
    enum smb2_state state;
    int fd;
    unsigned busy; // entries from outside that are still on the stack: see smb2_enter()
    bool freed;

    // what was agreed
    struct smb2_negotiate offer;
    struct smb2_negotiated agreed;
    uint64_t session_id, previous_session;
    uint32_t tree_id;
    struct smb2_tree tree;
    struct smb2_crypt *seal, *open;
    struct smb2_signer *signer;
    bool secure; // session set up: every answer must be encrypted or signed
    int64_t ticket_end_ms, reauth_ms;

    // requests
    uint64_t next_message_id;
    unsigned credits;
    unsigned n_pending;
    struct smb2_request *pending[SMB2_PENDING_SLOTS];
    struct smb2_request *waiting, **waiting_tail; // for credits

    struct smb2_tx tx;
    struct smb2_rx rx;
    struct smb2_setup *setup; // setup.c
    struct event *watch;      // liveness, once a second
    int64_t heard_ms;
    struct smb2_request echo;
    bool echo_under_way;
    struct smb2_stats stats;
};

// --- conn.c ---
// Every way in from outside that goes on using c after a callback: the callee may free it
// meanwhile.
void smb2_enter(struct smb2_conn *c);
void smb2_leave(struct smb2_conn *c);
// End the connection; requests complete with SMB2_S_LOST (err tells the owner why).
void smb2_die(struct smb2_conn *c, const struct drv_err *err);
void smb2_protocol_error(struct smb2_conn *c,
                         const struct drv_err *err); // what a server must not do
// Queue r, whose packet (header included) is encoded; goes out when credits allow.
void smb2_submit(struct smb2_conn *c, struct smb2_request *r);
struct smb2_request *smb2_find(struct smb2_conn *c, uint64_t message_id);
void smb2_complete(struct smb2_conn *c, struct smb2_request *r, uint32_t status);
void smb2_drop_packet(struct smb2_request *r);
void smb2_dispatch(struct smb2_conn *c); // send waiting requests as credits and queue allow

// --- tx.c ---
int smb2_tx_init(struct smb2_conn *c);
void smb2_tx_done(struct smb2_conn *c);
// Put the message msg[0..len), header filled in, and payload behind it on the wire: encrypted, or
// signed, or as it is before there is a session.
int smb2_tx_message(struct smb2_conn *c, uint8_t *msg, size_t len, const uint8_t *payload,
                    size_t payload_len, struct drv_err *err);

// --- rx.c ---
int smb2_rx_init(struct smb2_conn *c);
void smb2_rx_done(struct smb2_conn *c);
void smb2_rx_readable(evutil_socket_t fd, short what, void *arg); // for c->rx.readable
// A request that is gone must not be written to.
void smb2_rx_forget(struct smb2_conn *c, const struct smb2_request *r);

// --- setup.c ---
void smb2_setup_begin(struct smb2_conn *c);
void smb2_setup_free(struct smb2_conn *c);
void smb2_setup_answer(struct smb2_conn *c, const uint8_t *msg, size_t len,
                       const struct smb2_hdr *h); // an answer to a request of kind SETUP
// A request of kind SETUP goes out: its bytes are part of what the keys are made from.
void smb2_setup_sending(struct smb2_conn *c, const uint8_t *msg, size_t len);
void smb2_setup_watch(struct smb2_conn *c); // once a second: time limits, re-authentication

// --- ops.c ---
void smb2_answer(struct smb2_conn *c, struct smb2_request *r, const struct smb2_hdr *h,
                 const uint8_t *msg, size_t len); // a whole answer but READ data

#endif
