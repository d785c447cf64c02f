// SPDX-License-Identifier: GPL-3.0-or-later
// Requests and their answers: see nbd.h.
#include "nbd_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { IOV = 64, SPARE_BYTES_MAX = 4 << 20 };

static const size_t class_bytes[NBD_SIZE_CLASSES] = {4096, 65536, NBD_PAYLOAD_MAX};

// --- buffers of READ ---

static uint8_t *buffer_new(struct nbd_server *s, size_t len, int *ret_class)
{
    int k = 0;
    while (class_bytes[k] < len)
        k++;
    *ret_class = k;
    struct nbd_buffer *b = s->spare[k];
    if (!b)
        return malloc(class_bytes[k]);
    s->spare[k] = b->next;
    s->n_spare[k]--;
    return (uint8_t *)b;
}

static void buffer_free(struct nbd_server *s, uint8_t *data, int k)
{
    if (!data)
        return;
    if (k < 0 || (s->n_spare[k] + 1) * class_bytes[k] > SPARE_BYTES_MAX) {
        free(data);
        return;
    }
    struct nbd_buffer *b = (struct nbd_buffer *)(void *)data;
    b->next = s->spare[k];
    s->spare[k] = b;
    s->n_spare[k]++;
}

void nbd_free_spares(struct nbd_server *s)
{
    for (int k = 0; k < NBD_SIZE_CLASSES; k++)
        while (s->spare[k]) {
            struct nbd_buffer *b = s->spare[k];
            s->spare[k] = b->next;
            free(b);
        }
}

static void io_free(struct nbd_io *io)
{
    buffer_free(io->conn->server, io->data, io->size_class);
    free(io->r.extents);
    free(io);
}

// --- answers ---

static uint32_t nbd_errno(int errnum)
{
    switch (errnum) {
    case 0:
    case EPERM:
    case EIO:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
    case EOVERFLOW:
    case ESHUTDOWN:
        return (uint32_t)errnum; // the same numbers on Linux
    case EOPNOTSUPP:
        return 95;
    case EDQUOT:
    case EFBIG:
        return ENOSPC;
    case EACCES:
    case EROFS:
        return EPERM;
    default:
        return EIO;
    }
}

static void put_chunk(struct nbd_io *io, uint16_t type, uint32_t payload)
{
    uint8_t *p = nbd_put32(io->head, NBD_CHUNK_MAGIC);
    p = nbd_put16(p, NBD_CHUNK_DONE);
    p = nbd_put16(p, type);
    p = nbd_put64(p, io->cookie);
    nbd_put32(p, payload);
    io->head_len = NBD_CHUNK_BYTES;
}

static void put_error(struct nbd_io *io, uint32_t error)
{
    put_chunk(io, NBD_CHUNK_ERROR, 6);
    nbd_put16(nbd_put32(io->head + NBD_CHUNK_BYTES, error), 0);
    io->head_len += 6;
    io->data_len = 0;
}

static void put_read(struct nbd_io *io)
{
    put_chunk(io, NBD_CHUNK_DATA, 8 + io->r.len);
    nbd_put64(io->head + NBD_CHUNK_BYTES, io->r.offset);
    io->head_len += 8;
    io->data_len = io->r.len;
}

static void put_status(struct nbd_io *io)
{
    unsigned n = io->r.req_one && io->r.n_extents > 1 ? 1 : io->r.n_extents;
    io->data = drv_xcalloc(n, 8);
    io->size_class = -1;
    uint8_t *p = io->data;
    for (unsigned i = 0; i < n; i++) {
        const struct nbd_extent *e = &io->r.extents[i];
        p = nbd_put32(p, (uint32_t)e->len);
        p = nbd_put32(p, e->hole ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0);
    }
    put_chunk(io, NBD_CHUNK_STATUS, 4 + 8 * n);
    nbd_put32(io->head + NBD_CHUNK_BYTES, 1); // the context's id: see nbd_handshake.c
    io->head_len += 4;
    io->data_len = 8 * (size_t)n;
}

static void put_simple(struct nbd_io *io, uint32_t error)
{
    uint8_t *p = nbd_put32(io->head, NBD_SIMPLE_MAGIC);
    p = nbd_put32(p, error);
    nbd_put64(p, io->cookie);
    io->head_len = NBD_SIMPLE_BYTES;
    io->data_len = error == 0 && io->r.op == NBD_OP_READ ? io->r.len : 0;
}

static void answer(struct nbd_io *io, int errnum)
{
    struct nbd_conn *c = io->conn;
    uint32_t error = nbd_errno(errnum);
    bool chunk = io->r.op == NBD_OP_STATUS || (io->r.op == NBD_OP_READ && c->structured);
    if (!chunk)
        put_simple(io, error);
    else if (error)
        put_error(io, error);
    else if (io->r.op == NBD_OP_READ)
        put_read(io);
    else
        put_status(io);
    io->sent = 0;
    STAILQ_INSERT_TAIL(&c->out, io, link);
    c->out_bytes += io->head_len + io->data_len;
    if (!c->flush_due) {
        c->flush_due = true;
        event_active(c->flush, EV_TIMEOUT, 0);
    }
}

void nbd_done(struct nbd_request *r, int errnum)
{
    struct nbd_io *io = (struct nbd_io *)r;
    struct nbd_conn *c = io->conn;
    nbd_enter(c);
    c->in_flight--;
    if (c->phase == NBD_CLOSED)
        io_free(io);
    else
        answer(io, errnum);
    nbd_leave(c);
}

static unsigned gather(const struct nbd_conn *c, struct iovec iov[IOV])
{
    unsigned n = 0;
    struct nbd_io *io;
    STAILQ_FOREACH(io, &c->out, link)
    {
        if (n + 2 > IOV)
            break;
        if (io->sent < io->head_len)
            iov[n++] = (struct iovec){io->head + io->sent, io->head_len - io->sent};
        size_t into = io->sent > io->head_len ? io->sent - io->head_len : 0;
        if (io->data_len > into)
            iov[n++] = (struct iovec){io->data + into, io->data_len - into};
    }
    return n;
}

static void sent(struct nbd_conn *c, size_t n)
{
    c->out_bytes -= n;
    while (!STAILQ_EMPTY(&c->out)) {
        struct nbd_io *io = STAILQ_FIRST(&c->out);
        size_t left = io->head_len + io->data_len - io->sent;
        if (n < left) {
            io->sent += n;
            return;
        }
        n -= left;
        STAILQ_REMOVE_HEAD(&c->out, link);
        io_free(io);
    }
}

int nbd_send_answers(struct nbd_conn *c)
{
    while (!STAILQ_EMPTY(&c->out)) {
        struct iovec iov[IOV];
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = gather(c, iov)};
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        sent(c, (size_t)n);
    }
    return 1;
}

// --- requests ---

bool nbd_may_read(const struct nbd_conn *c)
{
    return !c->waiting && c->in_flight < NBD_REQUESTS_MAX && c->out_bytes < NBD_OUT_MAX;
}

static void submit(struct nbd_io *io)
{
    struct nbd_server *s = io->conn->server;
    io->conn->in_flight++;
    s->ops->submit(s->arg, &io->r);
}

static int op_of(uint16_t command, enum nbd_op *ret)
{
    static const enum nbd_op ops[] = {
        [NBD_CMD_READ] = NBD_OP_READ,   [NBD_CMD_WRITE] = NBD_OP_WRITE,
        [NBD_CMD_FLUSH] = NBD_OP_FLUSH, [NBD_CMD_TRIM] = NBD_OP_TRIM,
        [NBD_CMD_ZEROES] = NBD_OP_ZERO, [NBD_CMD_STATUS] = NBD_OP_STATUS};
    if (command > NBD_CMD_STATUS || command == NBD_CMD_DISC || command == 5)
        return -1;
    *ret = ops[command];
    return 0;
}

// 0, or the errno with which it is refused.
static int check(const struct nbd_io *io)
{
    const struct nbd_request *r = &io->r;
    const struct nbd_conn *c = io->conn;
    bool payload = r->op == NBD_OP_READ || r->op == NBD_OP_WRITE;
    uint64_t size;
    if (r->op == NBD_OP_FLUSH)
        return 0;
    if (r->len == 0 || (payload && r->len > NBD_PAYLOAD_MAX))
        return EINVAL;
    if (r->op == NBD_OP_STATUS && !c->meta)
        return EINVAL;
    int e = c->server->ops->size(c->server->arg, &size);
    if (e)
        return e;
    if (r->offset > size || r->len > size - r->offset)
        return r->op == NBD_OP_READ || r->op == NBD_OP_STATUS ? EINVAL : ENOSPC;
    return 0;
}

static void take_write(struct nbd_io *io)
{
    struct nbd_conn *c = io->conn;
    struct nbd_server *s = c->server;
    io->r.data = s->ops->write_buffer(s->arg, &io->r);
    if (io->r.data) {
        c->waiting = NULL;
        c->receiving = io;
        c->received = 0;
    } else {
        c->waiting = io;
    }
}

void nbd_resume_write(struct nbd_conn *c)
{
    if (c->waiting)
        take_write(c->waiting);
}

static void start(struct nbd_io *io, int errnum)
{
    struct nbd_conn *c = io->conn;
    struct nbd_request *r = &io->r;
    if (errnum && r->op == NBD_OP_WRITE) {
        c->refused = io;
        c->refused_errno = errnum;
        c->drain = r->len;
        return;
    }
    if (!errnum && r->op == NBD_OP_READ) {
        r->data = io->data = buffer_new(c->server, r->len, &io->size_class);
        errnum = r->data ? 0 : ENOMEM;
    }
    if (!errnum && r->op == NBD_OP_STATUS)
        r->extents = drv_xcalloc(NBD_EXTENTS_MAX, sizeof *r->extents);
    if (errnum)
        answer(io, errnum);
    else if (r->op == NBD_OP_WRITE)
        take_write(io);
    else
        submit(io);
}

static int request(struct nbd_conn *c)
{
    const uint8_t *p = c->in + c->start;
    uint16_t flags = nbd_get16(p + 4), command = nbd_get16(p + 6);
    uint32_t len = nbd_get32(p + 24);
    c->start += NBD_REQUEST_BYTES;
    if (nbd_get32(p) != NBD_REQUEST_MAGIC || command == NBD_CMD_DISC ||
        (command == NBD_CMD_WRITE && len > NBD_DRAIN_MAX))
        return -1;
    struct nbd_io *io = drv_xcalloc(1, sizeof *io);
    io->conn = c;
    io->cookie = nbd_get64(p + 8);
    io->size_class = -1;
    io->r.offset = nbd_get64(p + 16);
    io->r.len = len;
    io->r.fua = flags & NBD_F_FUA;
    io->r.req_one = flags & NBD_F_REQ_ONE;
    bool known = op_of(command, &io->r.op) == 0;
    if (!known)
        io->r.op = NBD_OP_FLUSH; // for the form of the answer
    start(io, known ? check(io) : EINVAL);
    return 0;
}

static size_t take(struct nbd_conn *c, uint8_t *to, size_t want)
{
    size_t n = c->end - c->start < want ? c->end - c->start : want;
    if (to)
        memcpy(to, c->in + c->start, n);
    c->start += n;
    return n;
}

// 1 a payload is complete or there was none, 0 more bytes are needed.
static int payload(struct nbd_conn *c)
{
    if (c->receiving) {
        struct nbd_io *io = c->receiving;
        c->received += take(c, io->r.data + c->received, io->r.len - c->received);
        if (c->received < io->r.len)
            return 0;
        c->receiving = NULL;
        submit(io);
    }
    if (c->refused) {
        c->drain -= take(c, NULL, c->drain);
        if (c->drain > 0)
            return 0;
        struct nbd_io *io = DRV_TAKE(c->refused);
        answer(io, c->refused_errno);
    }
    return 1;
}

int nbd_transmission(struct nbd_conn *c)
{
    while (c->phase == NBD_TRANSMISSION && payload(c) && nbd_may_read(c) &&
           c->end - c->start >= NBD_REQUEST_BYTES)
        if (request(c) < 0)
            return -1;
    return 0;
}

void nbd_drop_all(struct nbd_conn *c)
{
    struct nbd_server *s = c->server;
    if (c->receiving) {
        s->ops->discard(s->arg, &c->receiving->r);
        io_free(DRV_TAKE(c->receiving));
    }
    if (c->waiting)
        io_free(DRV_TAKE(c->waiting));
    if (c->refused)
        io_free(DRV_TAKE(c->refused));
    while (!STAILQ_EMPTY(&c->out)) {
        struct nbd_io *io = STAILQ_FIRST(&c->out);
        STAILQ_REMOVE_HEAD(&c->out, link);
        io_free(io);
    }
}
