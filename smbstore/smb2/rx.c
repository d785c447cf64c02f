// SPDX-License-Identifier: GPL-3.0-or-later
// From the socket to an answer: see conn_int.h. The first 80 bytes of a message tell whose it is;
// READ data then goes straight to the reader's buffer, decrypted on the way. Nothing is believed
// before the message is complete and found authentic: a forged head can make its data land in the
// buffer of a READ that is still under way, nowhere else, and ends the connection.
#include "conn_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { TURN_BYTES = 2 << 20, BLOCK = 16 }; // bytes taken per loop turn; AES' block

static const uint64_t unsolicited = UINT64_MAX; // message id of an oplock break, 2.2.23

int smb2_rx_init(struct smb2_conn *c)
{
    c->rx.buf = malloc(SMB2_RX_BYTES);
    c->rx.small = malloc(SMB2_SMALL_ANSWER_MAX);
    return c->rx.buf && c->rx.small ? 0 : -1;
}

void smb2_rx_done(struct smb2_conn *c)
{
    if (c->rx.readable)
        event_free(c->rx.readable);
    free(c->rx.buf);
    free(c->rx.small);
    memset(&c->rx, 0, sizeof c->rx);
}

void smb2_rx_forget(struct smb2_conn *c, const struct smb2_request *r)
{
    if (c->rx.reading == r)
        c->rx.reading = NULL;
}

// --- a whole message ---

static bool must_be_signed(const struct smb2_conn *c, const struct smb2_hdr *h)
{
    // 3.2.5.1.3: an interim answer carries no signature.
    return c->secure && !c->seal && h->status != SMB2_S_PENDING;
}

static int check_authentic(struct smb2_conn *c, const struct smb2_hdr *h, struct drv_err *err)
{
    struct smb2_rx *rx = &c->rx;
    if (rx->sealed)
        return smb2_open_end(c->open) ? 0 : drv_err(err, DRV_EPEER, "an answer was forged");
    if (!must_be_signed(c, h))
        return 0;
    bool placed = rx->target != rx->small + rx->head_len;
    const struct iovec parts[2] = {{rx->head, rx->head_len}, {rx->target, rx->target_len}};
    const struct iovec whole = {rx->small, rx->len};
    if ((h->flags & SMB2_F_SIGNED) &&
        smb2_verify(c->signer, placed ? parts : &whole, placed && rx->target_len ? 2 : 1))
        return 0;
    return drv_err(err, DRV_EPEER, "an answer is not signed, or was forged");
}

static int handle(struct smb2_conn *c, struct drv_err *err)
{
    struct smb2_rx *rx = &c->rx;
    struct smb2_hdr h;
    if (smb2_get_hdr(rx->head, rx->head_len, &h, err) < 0 || check_authentic(c, &h, err) < 0)
        return -1;
    if (c->secure && h.session_id != c->session_id && h.message_id != unsolicited)
        return drv_err(err, DRV_EPEER, "an answer belongs to another session");
    c->heard_ms = drv_now_ms();
    c->credits += h.credits;
    if (c->credits > UINT16_MAX)
        c->credits = UINT16_MAX;
    if (h.command == SMB2_OPLOCK_BREAK && h.message_id == unsolicited)
        return 0;
    struct smb2_request *r = smb2_find(c, h.message_id);
    if (!r || r->command != h.command)
        return drv_err(err, DRV_EPEER, "an answer to nothing that was asked");
    if (h.status == SMB2_S_PENDING && (h.flags & SMB2_F_ASYNC)) {
        r->async_id = h.async_id;
        return 0;
    }
    if (rx->reading == r) {
        r->got = (uint32_t)rx->target_len;
        smb2_complete(c, r, SMB2_OK);
    } else if (rx->target != rx->small + rx->head_len) {
        return drv_err(err, DRV_EPEER, "data for a request that is gone");
    } else if (r->kind == SMB2_K_SETUP) {
        smb2_setup_answer(c, rx->small, rx->len, &h);
    } else {
        smb2_answer(c, r, &h, rx->small, rx->len);
    }
    return 0;
}

// --- a message as it comes ---

// The frame and, when encrypted, the transform header. 1 begun, 0 more bytes are needed.
static int begin(struct smb2_conn *c, struct drv_err *err)
{
    struct smb2_rx *rx = &c->rx;
    const uint8_t *p = rx->buf + rx->start;
    size_t have = rx->end - rx->start;
    if (have < SMB2_FRAME_BYTES + 4)
        return 0;
    size_t frame = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (p[0] != 0 || frame < SMB2_HDR_BYTES ||
        frame > SMB2_IO_MAX + SMB2_SMALL_ANSWER_MAX + SMB2_TRANSFORM_BYTES)
        return drv_err(err, DRV_EPEER, "a message of %zu bytes", frame);
    rx->sealed = p[SMB2_FRAME_BYTES] == 0xFD; // 2.2.41; 0xFE is a plain header
    if (rx->sealed && !c->open)
        return drv_err(err, DRV_EPEER, "an encrypted message where none can be");
    if (!rx->sealed && c->open)
        return drv_err(err, DRV_EPEER, "an answer that is not encrypted");
    rx->len = frame;
    size_t used = SMB2_FRAME_BYTES;
    if (rx->sealed) {
        if (have < SMB2_FRAME_BYTES + SMB2_TRANSFORM_BYTES)
            return 0;
        if (smb2_open_begin(c->open, p + SMB2_FRAME_BYTES, &rx->len, err) < 0)
            return -1;
        if (rx->len != frame - SMB2_TRANSFORM_BYTES || rx->len < SMB2_HDR_BYTES)
            return drv_err(err, DRV_EPEER, "an encrypted message of a wrong length");
        used += SMB2_TRANSFORM_BYTES;
    }
    rx->start += used;
    rx->left = rx->len;
    rx->head_len = 0;
    rx->in_message = true;
    return 1;
}

// Where the rest goes: a READ's data into its buffer, all else behind the head in `small`.
static int place(struct smb2_conn *c, struct drv_err *err)
{
    struct smb2_rx *rx = &c->rx;
    struct smb2_hdr h;
    size_t at = 0;
    uint32_t n = 0;
    rx->reading = NULL;
    rx->target_done = 0;
    rx->target_len = rx->left;
    if (smb2_get_hdr(rx->head, rx->head_len, &h, err) < 0)
        return -1;
    struct smb2_request *r = h.command == SMB2_READ ? smb2_find(c, h.message_id) : NULL;
    if (r && r->kind == SMB2_K_READ && h.status == SMB2_OK) {
        if (smb2_get_read(rx->head, rx->head_len, rx->len, r->len, &at, &n, err) < 0)
            return -1;
        if (at == rx->head_len && n == rx->left) {
            rx->target = r->buf;
            rx->reading = r;
            return 0;
        }
    }
    if (rx->len > SMB2_SMALL_ANSWER_MAX)
        return drv_err(err, DRV_EPEER, "an answer of %zu bytes", rx->len);
    memcpy(rx->small, rx->head, rx->head_len);
    rx->target = rx->small + rx->head_len;
    return 0;
}

static void take(struct smb2_conn *c, uint8_t *out, size_t n)
{
    struct smb2_rx *rx = &c->rx;
    if (rx->sealed)
        smb2_open_feed(c->open, rx->buf + rx->start, out, n);
    else
        memcpy(out, rx->buf + rx->start, n);
    rx->start += n;
    rx->left -= n;
}

// 1 something was done, 0 more bytes are needed.
static int advance(struct smb2_conn *c, struct drv_err *err)
{
    struct smb2_rx *rx = &c->rx;
    if (!rx->in_message)
        return begin(c, err);
    size_t have = rx->end - rx->start;
    if (rx->head_len == 0) {
        size_t want = rx->len < SMB2_HEAD_BYTES ? rx->len : SMB2_HEAD_BYTES;
        if (have < want)
            return 0;
        take(c, rx->head, want);
        rx->head_len = want;
        if (place(c, err) < 0)
            return -1;
        have = rx->end - rx->start;
    }
    size_t n = have < rx->left ? have : rx->left;
    if (rx->sealed && n < rx->left)
        n -= n % BLOCK;
    if (n > 0) {
        take(c, rx->target + rx->target_done, n);
        rx->target_done += n;
    }
    if (rx->left > 0)
        return 0;
    rx->in_message = false;
    return handle(c, err) < 0 ? -1 : 1;
}

// --- the socket ---

// Unencrypted data of a long READ need not pass through our buffer.
static bool goes_straight(const struct smb2_rx *rx)
{
    return rx->in_message && !rx->sealed && rx->head_len > 0 && rx->left > 0 &&
           rx->start == rx->end;
}

static ssize_t receive(struct smb2_conn *c)
{
    struct smb2_rx *rx = &c->rx;
    bool straight = goes_straight(rx);
    if (rx->start > 0) {
        memmove(rx->buf, rx->buf + rx->start, rx->end - rx->start);
        rx->end -= rx->start;
        rx->start = 0;
    }
    struct iovec iov[2] = {{rx->target + rx->target_done, rx->left},
                           {rx->buf + rx->end, SMB2_RX_BYTES - rx->end}};
    struct msghdr m = {.msg_iov = straight ? iov : iov + 1, .msg_iovlen = straight ? 2 : 1};
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT);
    if (n <= 0)
        return n;
    c->stats.bytes_received += (uint64_t)n;
    size_t direct = !straight ? 0 : (size_t)n < rx->left ? (size_t)n : rx->left;
    if (direct) {
        rx->target_done += direct;
        rx->left -= direct;
    }
    rx->end += (size_t)n - direct;
    return n;
}

static void lost(struct smb2_conn *c, ssize_t n)
{
    struct drv_err err = DRV_ERR_INIT;
    if (n == 0)
        drv_err(&err, DRV_EUNREACHABLE, "file server %s closed the connection", c->cfg.server);
    else
        drv_err_os(&err, errno, "connection to file server %s", c->cfg.server);
    err.code = DRV_EUNREACHABLE;
    smb2_die(c, &err);
}

void smb2_rx_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct smb2_conn *c = arg;
    struct drv_err err = DRV_ERR_INIT;
    size_t taken = 0;
    int rc = 0;
    smb2_enter(c);
    while (c->state != SMB2_DEAD && taken < TURN_BYTES) {
        size_t room = SMB2_RX_BYTES - (c->rx.end - c->rx.start);
        ssize_t n = receive(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            lost(c, n);
            break;
        }
        taken += (size_t)n;
        while (c->state != SMB2_DEAD && (rc = advance(c, &err)) > 0)
            ;
        if (rc < 0)
            smb2_protocol_error(c, &err);
        else if ((size_t)n < room && !(c->state != SMB2_DEAD && goes_straight(&c->rx)))
            break; // the socket is empty, as far as can be told without asking
    }
    if (c->state != SMB2_DEAD)
        smb2_dispatch(c);
    smb2_leave(c);
}
