// SPDX-License-Identifier: GPL-3.0-or-later
// Requests on files: encode, submit, and what their answers mean. See smb2.h.
#include "conn_int.h"

#include <stdlib.h>
#include <string.h>

enum { CREDIT_BYTES = 65536 }; // 3.2.4.1.5

static uint16_t charge_of(uint32_t payload)
{
    return payload == 0 ? 1 : (uint16_t)((payload - 1) / CREDIT_BYTES + 1);
}

static uint8_t *packet(struct smb2_request *r, enum smb2_command command, enum smb2_kind kind,
                       size_t cap)
{
    r->command = (uint16_t)command;
    r->kind = (uint8_t)kind;
    r->charge = 1;
    r->got = 0;
    r->packet = cap <= sizeof r->room ? r->room : drv_xcalloc(1, cap);
    return r->packet;
}

// len 0: it could not be encoded, which is the caller's fault and told as a bad parameter.
static void submit(struct smb2_conn *c, struct smb2_request *r, size_t len)
{
    r->packet_len = (uint32_t)len;
    if (len > 0) {
        smb2_submit(c, r);
        return;
    }
    smb2_drop_packet(r);
    r->done(r, SMB2_S_INVALID_PARAMETER);
}

void smb2_open(struct smb2_conn *c, struct smb2_request *r, const struct smb2_create *how,
               struct smb2_opened *ret)
{
    enum { CAP = SMB2_HDR_BYTES + 256 + 2 * SMB2_NAME_MAX };
    uint8_t *p = packet(r, SMB2_CREATE, SMB2_K_OPEN, CAP);
    r->result = ret;
    submit(c, r, smb2_put_create(p, CAP, how));
}

void smb2_close(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    uint8_t *p = packet(r, SMB2_CLOSE, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    submit(c, r, smb2_put_close(p, SMB2_ROOM_BYTES, f));
}

void smb2_read(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f, void *buf,
               uint32_t len, uint64_t offset)
{
    uint8_t *p = packet(r, SMB2_READ, SMB2_K_READ, SMB2_ROOM_BYTES);
    r->charge = charge_of(len);
    r->buf = buf;
    r->len = len;
    submit(c, r, smb2_put_read(p, SMB2_ROOM_BYTES, f, len, offset));
}

void smb2_write(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                const void *buf, uint32_t len, uint64_t offset, bool write_through)
{
    uint8_t *p = packet(r, SMB2_WRITE, SMB2_K_WRITE, SMB2_ROOM_BYTES);
    r->charge = charge_of(len);
    r->buf = (uint8_t *)(uintptr_t)buf;
    r->len = len;
    submit(c, r, smb2_put_write(p, SMB2_ROOM_BYTES, f, len, offset, write_through));
}

void smb2_flush(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    uint8_t *p = packet(r, SMB2_FLUSH, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    submit(c, r, smb2_put_flush(p, SMB2_ROOM_BYTES, f));
}

void smb2_set_eof(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                  uint64_t size_bytes)
{
    uint8_t *p = packet(r, SMB2_SET_INFO, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    submit(c, r, smb2_put_set_eof(p, SMB2_ROOM_BYTES, f, size_bytes));
}

void smb2_query(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                enum smb2_info what, struct smb2_info_reply *ret)
{
    uint8_t *p = packet(r, SMB2_QUERY_INFO, SMB2_K_INFO, SMB2_ROOM_BYTES);
    r->result = ret;
    r->code = what;
    submit(c, r, smb2_put_query_info(p, SMB2_ROOM_BYTES, f, what));
}

void smb2_set_sparse(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    uint8_t *p = packet(r, SMB2_IOCTL, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    submit(c, r, smb2_put_ioctl(p, SMB2_ROOM_BYTES, f, SMB2_FSCTL_SET_SPARSE, NULL, 0, 0));
}

void smb2_zero(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
               uint64_t offset, uint64_t len)
{
    uint8_t in[16];
    uint8_t *p = packet(r, SMB2_IOCTL, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    smb2_put_zero_range(in, offset, len);
    submit(c, r, smb2_put_ioctl(p, SMB2_ROOM_BYTES, f, SMB2_FSCTL_SET_ZERO_DATA, in, sizeof in, 0));
}

void smb2_ranges(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                 uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max)
{
    uint8_t in[16];
    uint8_t *p = packet(r, SMB2_IOCTL, SMB2_K_RANGES, SMB2_ROOM_BYTES);
    unsigned room = max < SMB2_RANGES_MAX ? max : SMB2_RANGES_MAX;
    r->result = ret;
    r->len = room;
    r->offset = offset;
    r->span = len;
    smb2_put_range_query(in, offset, len);
    submit(c, r,
           smb2_put_ioctl(p, SMB2_ROOM_BYTES, f, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, in, sizeof in,
                          room * 16));
}

void smb2_echo(struct smb2_conn *c, struct smb2_request *r)
{
    uint8_t *p = packet(r, SMB2_ECHO, SMB2_K_PLAIN, SMB2_ROOM_BYTES);
    submit(c, r, smb2_put_echo(p, SMB2_ROOM_BYTES));
}

// --- answers ---

// The server has ended the session, the share or the handle: nothing of this connection is any
// good.
static bool is_over(uint32_t status)
{
    switch (status) {
    case SMB2_S_NETWORK_SESSION_EXPIRED:
    case SMB2_S_USER_SESSION_DELETED:
    case SMB2_S_NETWORK_NAME_DELETED:
    case SMB2_S_FILE_CLOSED:
        return true;
    default:
        return false;
    }
}

static int read_small(struct smb2_request *r, const uint8_t *msg, size_t len, struct drv_err *err)
{
    size_t at = 0;
    uint32_t n = 0;
    if (smb2_get_read(msg, len, len, r->len, &at, &n, err) < 0)
        return -1;
    memcpy(r->buf, msg + at, n);
    r->got = n;
    return 0;
}

static int ranges(struct smb2_request *r, const uint8_t *msg, size_t len, struct drv_err *err)
{
    const uint8_t *data = NULL;
    size_t data_len = 0;
    unsigned n = 0;
    if (smb2_get_ioctl(msg, len, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, &data, &data_len, err) < 0 ||
        smb2_get_ranges(data, data_len, r->offset, r->span, r->result, r->len, &n, err) < 0)
        return -1;
    r->got = n;
    return 0;
}

static int decode(struct smb2_request *r, const uint8_t *msg, size_t len, struct drv_err *err)
{
    uint32_t n = 0;
    switch ((enum smb2_kind)r->kind) {
    case SMB2_K_OPEN:
        return smb2_get_create(msg, len, r->result, err);
    case SMB2_K_READ:
        return read_small(r, msg, len, err);
    case SMB2_K_WRITE:
        if (smb2_get_write(msg, len, &n, err) < 0)
            return -1;
        return n == r->len ? 0 : drv_err(err, DRV_EPEER, "a write of %u bytes was cut", r->len);
    case SMB2_K_INFO:
        return smb2_get_query_info(msg, len, (enum smb2_info)r->code, r->result, err);
    case SMB2_K_RANGES:
        return ranges(r, msg, len, err);
    case SMB2_K_PLAIN:
    case SMB2_K_SETUP:
        break;
    }
    return 0;
}

void smb2_answer(struct smb2_conn *c, struct smb2_request *r, const struct smb2_hdr *h,
                 const uint8_t *msg, size_t len)
{
    struct drv_err err = DRV_ERR_INIT;
    char name[16];
    bool has_body =
        h->status == SMB2_OK || (h->status == SMB2_S_BUFFER_OVERFLOW && r->kind == SMB2_K_RANGES);
    if (has_body && decode(r, msg, len, &err) < 0) {
        smb2_complete(c, r, SMB2_S_BAD_ANSWER);
        smb2_protocol_error(c, &err);
        return;
    }
    if (is_over(h->status)) {
        drv_err(&err, DRV_EUNREACHABLE, "file server %s ended the session: %s", c->cfg.server,
                smb2_status_name(h->status, name));
        smb2_die(c, &err);
        return;
    }
    smb2_complete(c, r, h->status);
}
