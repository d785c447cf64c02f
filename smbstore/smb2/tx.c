// SPDX-License-Identifier: GPL-3.0-or-later
// From a message to the socket: see conn_int.h. Encryption copies the payload once, from where the
// caller has it to the packet; without encryption it is sent from where it is. Messages of one loop
// turn go out together.
#include "conn_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SMALL_BYTES = 8 * 1024,
    BIG_BYTES = SMB2_FRAME_BYTES + SMB2_TRANSFORM_BYTES + SMB2_WRITE_DATA_AT + SMB2_IO_MAX,
    SPARE_SMALL = 64,
    SPARE_BIG = 4,
    IOV_MAX_ = 64
};

// --- packets ---

static struct smb2_packet *packet_new(struct smb2_tx *tx, size_t len)
{
    struct smb2_packet **spare = len <= SMALL_BYTES ? &tx->spare_small : &tx->spare_big;
    struct smb2_packet *p = *spare;
    if (p) {
        *spare = p->next;
        *(len <= SMALL_BYTES ? &tx->n_spare_small : &tx->n_spare_big) -= 1;
    } else {
        size_t cap = len <= SMALL_BYTES ? SMALL_BYTES : BIG_BYTES;
        p = malloc(sizeof *p + cap);
        if (!p)
            return NULL;
        p->cap = cap;
    }
    p->next = NULL;
    p->head_len = len;
    p->borrowed = NULL;
    p->borrowed_len = p->done = 0;
    return p;
}

static void packet_free(struct smb2_tx *tx, struct smb2_packet *p)
{
    bool small = p->cap == SMALL_BYTES;
    unsigned *n = small ? &tx->n_spare_small : &tx->n_spare_big;
    struct smb2_packet **spare = small ? &tx->spare_small : &tx->spare_big;
    if (*n >= (small ? SPARE_SMALL : SPARE_BIG)) {
        free(p);
        return;
    }
    p->next = *spare;
    *spare = p;
    ++*n;
}

static void free_list(struct smb2_packet *p)
{
    while (p) {
        struct smb2_packet *next = p->next;
        free(p);
        p = next;
    }
}

// --- the socket ---

static unsigned gather(const struct smb2_tx *tx, struct iovec iov[IOV_MAX_])
{
    unsigned n = 0;
    for (struct smb2_packet *p = tx->head; p && n + 2 <= IOV_MAX_; p = p->next) {
        if (p->done < p->head_len)
            iov[n++] = (struct iovec){p->head + p->done, p->head_len - p->done};
        size_t into = p->done > p->head_len ? p->done - p->head_len : 0;
        if (p->borrowed_len > into)
            iov[n++] =
                (struct iovec){(uint8_t *)(uintptr_t)p->borrowed + into, p->borrowed_len - into};
    }
    return n;
}

static void sent(struct smb2_tx *tx, size_t n)
{
    tx->queued -= n;
    while (tx->head) {
        struct smb2_packet *p = tx->head;
        size_t left = p->head_len + p->borrowed_len - p->done;
        if (n < left) {
            p->done += n;
            return;
        }
        n -= left;
        tx->head = p->next;
        if (!tx->head)
            tx->tail = &tx->head;
        packet_free(tx, p);
    }
}

// 1 all sent, 0 the socket is full, -1.
static int send_queue(struct smb2_conn *c)
{
    struct smb2_tx *tx = &c->tx;
    while (tx->head) {
        struct iovec iov[IOV_MAX_];
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = gather(tx, iov)};
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        c->stats.bytes_sent += (uint64_t)n;
        sent(tx, (size_t)n);
    }
    return 1;
}

static void flush(struct smb2_conn *c)
{
    if (c->state == SMB2_DEAD || c->fd < 0)
        return;
    int rc = send_queue(c);
    if (rc < 0) {
        struct drv_err err = DRV_ERR_INIT;
        drv_err_os(&err, errno, "sending to file server %s", c->cfg.server);
        err.code = DRV_EUNREACHABLE;
        smb2_die(c, &err);
        return;
    }
    c->tx.blocked = rc == 0;
    if (rc == 0)
        event_add(c->tx.writable, NULL);
    smb2_dispatch(c); // requests that waited for room in the queue
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct smb2_conn *c = arg;
    c->tx.flush_due = false;
    smb2_enter(c);
    if (!c->tx.blocked)
        flush(c);
    smb2_leave(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct smb2_conn *c = arg;
    smb2_enter(c);
    flush(c);
    smb2_leave(c);
}

int smb2_tx_init(struct smb2_conn *c)
{
    struct event_base *base = drv_loop_base(c->loop);
    c->tx.tail = &c->tx.head;
    c->tx.writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
    c->tx.flush = event_new(base, -1, 0, on_flush, c);
    return c->tx.writable && c->tx.flush ? 0 : -1;
}

void smb2_tx_done(struct smb2_conn *c)
{
    struct smb2_tx *tx = &c->tx;
    if (tx->writable)
        event_free(tx->writable);
    if (tx->flush)
        event_free(tx->flush);
    free_list(tx->head);
    free_list(tx->spare_small);
    free_list(tx->spare_big);
    memset(tx, 0, sizeof *tx);
    tx->tail = &tx->head;
}

// --- messages ---

static void put_frame(uint8_t *out, size_t len) // MS-SMB2 2.1: a zero, then 24 bits, big-endian
{
    out[0] = 0;
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
}

static int seal(struct smb2_conn *c, struct smb2_packet *p, const struct iovec *parts,
                unsigned n_parts, size_t len, struct drv_err *err)
{
    uint8_t *transform = p->head + SMB2_FRAME_BYTES;
    put_frame(p->head, SMB2_TRANSFORM_BYTES + len);
    return smb2_seal(c->seal, parts, n_parts, transform, transform + SMB2_TRANSFORM_BYTES, err);
}

static void copy_plain(struct smb2_conn *c, struct smb2_packet *p, uint8_t *msg, size_t len,
                       const struct iovec *parts, unsigned n_parts, size_t payload_len)
{
    put_frame(p->head, len + payload_len);
    if (c->signer) {
        msg[16] |= SMB2_F_SIGNED; // flags, 2.2.1.2
        smb2_sign(c->signer, parts, n_parts, msg + 48);
    }
    memcpy(p->head + SMB2_FRAME_BYTES, msg, len);
    if (n_parts > 1) {
        p->borrowed = parts[1].iov_base;
        p->borrowed_len = payload_len;
    }
}

int smb2_tx_message(struct smb2_conn *c, uint8_t *msg, size_t len, const uint8_t *payload,
                    size_t payload_len, struct drv_err *err)
{
    struct smb2_tx *tx = &c->tx;
    const struct iovec parts[2] = {{msg, len}, {(uint8_t *)(uintptr_t)payload, payload_len}};
    unsigned n_parts = payload_len ? 2 : 1;
    size_t room = SMB2_FRAME_BYTES + len;
    if (c->seal)
        room += SMB2_TRANSFORM_BYTES + payload_len;
    struct smb2_packet *p = packet_new(tx, room);
    if (!p)
        return drv_err(err, DRV_ENOSPACE, "no memory for a request");
    if (!c->seal)
        copy_plain(c, p, msg, len, parts, n_parts, payload_len);
    else if (seal(c, p, parts, n_parts, len + payload_len, err) < 0) {
        packet_free(tx, p);
        return -1;
    }
    *tx->tail = p;
    tx->tail = &p->next;
    tx->queued += p->head_len + p->borrowed_len;
    if (!tx->flush_due) {
        tx->flush_due = true;
        event_active(tx->flush, EV_TIMEOUT, 0);
    }
    return 0;
}
