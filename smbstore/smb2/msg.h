// SPDX-License-Identifier: GPL-3.0-or-later
// The messages of SMB 3.1.1 that VM disks need, to and from bytes (MS-SMB2 section 2.2; each
// function names its own). Pure functions, any thread. Encoders write a whole request, header
// included, into a caller's buffer. Decoders take one whole plain answer from a hostile server:
// every offset and length is checked against the message, and results point into it.
#ifndef DROVER_SMB2_MSG_H
#define DROVER_SMB2_MSG_H

#include "drover/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
    SMB2_HDR_BYTES = 64,
    SMB2_READ_DATA_AT =
        80, // SMB2_HDR_BYTES + READ response's fixed part: where data usually begins
    SMB2_WRITE_DATA_AT = 112, // SMB2_HDR_BYTES + WRITE request's fixed part: where we put data
    SMB2_TOKEN_MAX = 65535 - 256,
    SMB2_NAME_MAX = 1024,         // bytes of UTF-8 in a path on a share, with NUL
    SMB2_REQUEST_MAX = 66 * 1024, // no request but WRITE is longer
};

enum smb2_command { // 2.2.1.2
    SMB2_NEGOTIATE,
    SMB2_SESSION_SETUP,
    SMB2_LOGOFF,
    SMB2_TREE_CONNECT,
    SMB2_TREE_DISCONNECT,
    SMB2_CREATE,
    SMB2_CLOSE,
    SMB2_FLUSH,
    SMB2_READ,
    SMB2_WRITE,
    SMB2_LOCK,
    SMB2_IOCTL,
    SMB2_CANCEL,
    SMB2_ECHO,
    SMB2_QUERY_DIRECTORY,
    SMB2_CHANGE_NOTIFY,
    SMB2_QUERY_INFO,
    SMB2_SET_INFO,
    SMB2_OPLOCK_BREAK,
    SMB2_COMMAND_MAX_
};

enum {                        // 2.2.3, 2.2.4: Capabilities
    SMB2_CAP_LARGE_MTU = 0x4, // without it no request may be longer than 64 KiB
    SMB2_CAP_ENCRYPTION = 0x40,
};

enum { // 2.2.1: header flags
    SMB2_F_RESPONSE = 0x1,
    SMB2_F_ASYNC = 0x2,
    SMB2_F_RELATED = 0x4,
    SMB2_F_SIGNED = 0x8,
};

// NTSTATUS values that are told apart (MS-ERREF 2.3.1); uint32_t, as in struct smb2_hdr. The last
// two are our own (customer bit set): no answer came.
#define SMB2_OK 0u
#define SMB2_S_PENDING 0x00000103u
#define SMB2_S_BUFFER_OVERFLOW 0x80000005u
#define SMB2_S_INVALID_HANDLE 0xC0000008u
#define SMB2_S_INVALID_PARAMETER 0xC000000Du
#define SMB2_S_INVALID_DEVICE_REQUEST 0xC0000010u
#define SMB2_S_END_OF_FILE 0xC0000011u
#define SMB2_S_MORE_PROCESSING 0xC0000016u // STATUS_MORE_PROCESSING_REQUIRED
#define SMB2_S_ACCESS_DENIED 0xC0000022u
#define SMB2_S_BUFFER_TOO_SMALL 0xC0000023u
#define SMB2_S_OBJECT_NAME_NOT_FOUND 0xC0000034u
#define SMB2_S_OBJECT_NAME_COLLISION 0xC0000035u
#define SMB2_S_OBJECT_PATH_NOT_FOUND 0xC000003Au
#define SMB2_S_SHARING_VIOLATION 0xC0000043u
#define SMB2_S_DISK_FULL 0xC000007Fu
#define SMB2_S_NOT_SUPPORTED 0xC00000BBu
#define SMB2_S_NETWORK_NAME_DELETED 0xC00000C9u
#define SMB2_S_BAD_NETWORK_NAME 0xC00000CCu
#define SMB2_S_CANCELLED 0xC0000120u
#define SMB2_S_FILE_CLOSED 0xC0000128u
#define SMB2_S_USER_SESSION_DELETED 0xC0000203u
#define SMB2_S_NETWORK_SESSION_EXPIRED 0xC000035Cu
#define SMB2_S_LOST 0xE0000001u       // the connection ended before an answer
#define SMB2_S_BAD_ANSWER 0xE0000002u // the answer was not one; the connection is ended

// 2.2.1.1, 2.2.1.2. async_id is valid with SMB2_F_ASYNC, tree_id without.
struct smb2_hdr {
    uint16_t credit_charge, command, credits;
    uint32_t status, flags, next;
    uint64_t message_id, async_id, session_id;
    uint32_t tree_id;
};

void smb2_put_hdr(uint8_t out[SMB2_HDR_BYTES], const struct smb2_hdr *h);
// -1 DRV_EPEER: shorter than a header, not SMB2, not a response, an unknown command, compounded.
int smb2_get_hdr(const uint8_t *msg, size_t len, struct smb2_hdr *ret, struct drv_err *err);

// Encoders write the body; the header before it is the caller's. out has `cap` bytes in all. Return
// the whole message's length; 0 when it does not fit, or a string is not UTF-8 or has a backslash.
//
// Decoders: -1 DRV_EPEER with what was wrong, and *ret as it was. They look at bodies of answers
// whose status says that there is one.

// NEGOTIATE, 2.2.3 and 2.2.4: dialect 3.1.1 alone, with contexts for pre-authentication integrity
// (SHA-512), encryption, signing and the server's name.
struct smb2_negotiate {
    uint8_t client_guid[16], salt[32];
    uint16_t ciphers[2], signings[2]; // most wanted first
    unsigned n_ciphers, n_signings;
    const char *server; // UTF-8
};
size_t smb2_put_negotiate(uint8_t *out, size_t cap, const struct smb2_negotiate *n);
struct smb2_negotiated {
    uint16_t security_mode, dialect, cipher,
        signing; // cipher 0: none in common; signing: CMAC when the server names none
    uint32_t capabilities, max_transact, max_read, max_write;
    const uint8_t *token;
    size_t token_len;
};
// Refuses any other dialect by name, a missing or other hash algorithm, a cipher or signing
// algorithm that was not offered, doubled contexts, less than 64 KiB at a time (3.2.5.2).
int smb2_get_negotiate(const uint8_t *msg, size_t len, const struct smb2_negotiate *asked,
                       struct smb2_negotiated *ret, struct drv_err *err);

// SESSION_SETUP, 2.2.5 and 2.2.6. previous: session to be ended by the server, 0 = none. token: 1
// to SMB2_TOKEN_MAX bytes.
size_t smb2_put_session_setup(uint8_t *out, size_t cap, uint64_t previous, const void *token,
                              size_t token_len);
struct smb2_session_reply {
    uint16_t flags; // 1 guest, 2 anonymous, 4 encrypt data
    const uint8_t *token;
    size_t token_len;
};
int smb2_get_session_setup(const uint8_t *msg, size_t len, struct smb2_session_reply *ret,
                           struct drv_err *err);

size_t smb2_put_logoff(uint8_t *out, size_t cap);          // 2.2.7
size_t smb2_put_tree_disconnect(uint8_t *out, size_t cap); // 2.2.11
size_t smb2_put_echo(uint8_t *out, size_t cap);            // 2.2.28
size_t smb2_put_cancel(uint8_t *out, size_t cap);          // 2.2.30

// TREE_CONNECT, 2.2.9 and 2.2.10.
size_t smb2_put_tree_connect(uint8_t *out, size_t cap, const char *server, const char *share);
struct smb2_tree {
    uint8_t type; // 1 disk
    uint32_t flags,
        capabilities; // flags: 0x8000 encrypt data; capabilities: 0x10 continuous availability
};
int smb2_get_tree_connect(const uint8_t *msg, size_t len, struct smb2_tree *ret,
                          struct drv_err *err);

// CREATE, 2.2.13 and 2.2.14. path: UTF-8 with '/', relative to the share, no '/' before it; "" is
// the share's root. No oplock, no lease, no durable handle; asks for the file's ids on the server's
// disk (QFid, 2.2.13.2.9).
struct smb2_create {
    const char *path;
    uint32_t access, share, disposition, options;
};
enum { // 2.2.13.1.1, 2.2.13
    SMB2_READ_DATA = 0x1,
    SMB2_WRITE_DATA = 0x2,
    SMB2_APPEND_DATA = 0x4,
    SMB2_READ_EA = 0x8,
    SMB2_READ_ATTRIBUTES = 0x80,
    SMB2_WRITE_ATTRIBUTES = 0x100,
    SMB2_DELETE = 0x10000,
    SMB2_SYNCHRONIZE = 0x100000,
    SMB2_SHARE_READ = 1,
    SMB2_SHARE_WRITE = 2,
    SMB2_SHARE_DELETE = 4,
    SMB2_DISP_OPEN = 1,
    SMB2_DISP_CREATE = 2,
    SMB2_DISP_OPEN_IF = 3,
    SMB2_OPT_NON_DIRECTORY = 0x40,
    SMB2_OPT_DELETE_ON_CLOSE = 0x1000,
};
struct smb2_fid {
    uint64_t persistent, volatile_;
};
struct smb2_opened {
    struct smb2_fid fid;
    uint32_t action, attributes;
    uint64_t size_bytes, allocated_bytes;
    bool has_ids; // the server answered QFid
    uint64_t file_id, volume_id;
};
size_t smb2_put_create(uint8_t *out, size_t cap, const struct smb2_create *c);
// A granted oplock, lease or durable handle, which was not asked for, is DRV_EPEER.
int smb2_get_create(const uint8_t *msg, size_t len, struct smb2_opened *ret, struct drv_err *err);

size_t smb2_put_close(uint8_t *out, size_t cap, const struct smb2_fid *fid); // 2.2.15
size_t smb2_put_flush(uint8_t *out, size_t cap, const struct smb2_fid *fid); // 2.2.17

// READ, 2.2.19 and 2.2.20. The decoder needs only the message's fixed part and its whole length.
size_t smb2_put_read(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t len,
                     uint64_t offset);
// max: what was asked for. *ret_at: offset of the data in the message, SMB2_READ_DATA_AT or more.
int smb2_get_read(const uint8_t *fixed, size_t fixed_len, size_t msg_len, uint32_t max,
                  size_t *ret_at, uint32_t *ret_len, struct drv_err *err);

// WRITE, 2.2.21 and 2.2.22: the first SMB2_WRITE_DATA_AT bytes; the data follows there.
size_t smb2_put_write(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t len,
                      uint64_t offset, bool write_through);
int smb2_get_write(const uint8_t *msg, size_t len, uint32_t *ret_len, struct drv_err *err);

// IOCTL, 2.2.31 and 2.2.32; MS-FSCC 2.3 (its section numbers change from version to version).
enum {
    SMB2_FSCTL_SET_SPARSE = 0x900C4,
    SMB2_FSCTL_SET_ZERO_DATA = 0x980C8,
    SMB2_FSCTL_QUERY_ALLOCATED_RANGES = 0x940CF,
};
size_t smb2_put_ioctl(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint32_t code,
                      const void *in, size_t in_len, uint32_t max_out);
// code: what was asked for. More ranges than fit in max_out: STATUS_BUFFER_OVERFLOW with the first
// of them, to be decoded as any answer, or (Samba 4.17) STATUS_BUFFER_TOO_SMALL with none.
int smb2_get_ioctl(const uint8_t *msg, size_t len, uint32_t code, const uint8_t **ret_out,
                   size_t *ret_len, struct drv_err *err);
// Input of SET_ZERO_DATA (FILE_ZERO_DATA_INFORMATION; offset + len: at most INT64_MAX) and of
// QUERY_ALLOCATED_RANGES (FILE_ALLOCATED_RANGE_BUFFER).
void smb2_put_zero_range(uint8_t out[16], uint64_t offset, uint64_t len);
void smb2_put_range_query(uint8_t out[16], uint64_t offset, uint64_t len);
struct smb2_range {
    uint64_t offset, len;
};
// The answer's ranges, ascending and clipped to [offset, offset+span); none is empty.
// -1 DRV_EPEER: not a whole number of entries, negative, unordered or overlapping, or more than max
// within the span; ret[] may then have been written to.
int smb2_get_ranges(const uint8_t *data, size_t len, uint64_t offset, uint64_t span,
                    struct smb2_range *ret, unsigned max, unsigned *ret_n, struct drv_err *err);

// QUERY_INFO, 2.2.37 and 2.2.38, and SET_INFO, 2.2.39; MS-FSCC 2.4 and 2.5.
enum smb2_info {
    SMB2_INFO_STANDARD,  // FileStandardInformation
    SMB2_INFO_INTERNAL,  // FileInternalInformation
    SMB2_INFO_VOLUME,    // FileFsVolumeInformation
    SMB2_INFO_FULL_SIZE, // FileFsFullSizeInformation
    SMB2_INFO_MAX_
};
struct smb2_info_reply {
    uint64_t size_bytes, allocated_bytes; // STANDARD
    bool delete_pending;                  // STANDARD
    uint64_t file_id;                     // INTERNAL
    uint32_t volume_serial;               // VOLUME
    uint64_t free_bytes, total_bytes;     // FULL_SIZE: for this user; INT64_MAX: that or more
};
size_t smb2_put_query_info(uint8_t *out, size_t cap, const struct smb2_fid *fid,
                           enum smb2_info what);
int smb2_get_query_info(const uint8_t *msg, size_t len, enum smb2_info what,
                        struct smb2_info_reply *ret, struct drv_err *err);
size_t smb2_put_set_eof(uint8_t *out, size_t cap, const struct smb2_fid *fid, uint64_t size_bytes);

// Bodies without anything in them: StructureSize checked. LOGOFF, TREE_DISCONNECT, CLOSE, FLUSH,
// ECHO, SET_INFO.
int smb2_get_empty(const uint8_t *msg, size_t len, enum smb2_command command, struct drv_err *err);

// errno for a status: EBUSY sharing violation, ENOENT, EACCES, ENOSPC, EIO for all that is not
// known. ECONNRESET: SMB2_S_LOST, and whatever ends a session, share or connection. ESTALE: the
// handle is gone. 0 for SMB2_OK alone. name: "STATUS_SHARING_VIOLATION" or "0xC0000043".
int smb2_errno(uint32_t status);
const char *smb2_status_name(uint32_t status, char buf[16]);

#endif
