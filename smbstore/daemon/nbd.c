// SPDX-License-Identifier: GPL-3.0-or-later
// The server and its connections: see nbd.h. Answers of one loop turn go out together.
#include "nbd_int.h"

#include "drover/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8 };

static void server_unref(struct nbd_server *s)
{
    if (--s->refs > 0)
        return;
    nbd_free_spares(s);
    free(s->path);
    free(s);
}

// --- life of a connection ---

static void conn_free(struct nbd_conn *c)
{
    struct nbd_server *s = c->server;
    free(c->in);
    free(c);
    server_unref(s);
}

void nbd_enter(struct nbd_conn *c)
{
    c->busy++;
}

void nbd_leave(struct nbd_conn *c)
{
    if (--c->busy == 0 && c->phase == NBD_CLOSED && c->in_flight == 0)
        conn_free(c);
}

void nbd_close(struct nbd_conn *c)
{
    if (c->phase == NBD_CLOSED)
        return;
    c->phase = NBD_CLOSED;
    struct event **events[] = {&c->readable, &c->writable, &c->flush, &c->timeout};
    for (size_t i = 0; i < DRV_ARRAY_LEN(events); i++)
        if (*events[i]) {
            event_free(*events[i]);
            *events[i] = NULL;
        }
    drv_cleanup_close(&c->fd);
    c->fd = -1;
    nbd_drop_all(c);
    LIST_REMOVE(c, link);
    c->server->n_conns--;
}

int nbd_send_all(struct nbd_conn *c, const void *data, size_t len)
{
    // A client that does not take a few hundred bytes is not one.
    return send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len ? 0 : -1;
}

// --- events ---

static void set_reading(struct nbd_conn *c)
{
    bool want = c->phase != NBD_CLOSED && (c->phase != NBD_TRANSMISSION || nbd_may_read(c));
    if (want == c->reading || c->phase == NBD_CLOSED)
        return;
    c->reading = want;
    if (want)
        event_add(c->readable, NULL);
    else
        event_del(c->readable);
}

static void process(struct nbd_conn *c)
{
    int rc = c->phase == NBD_TRANSMISSION ? 0 : nbd_handshake(c);
    if (rc == 0 && c->phase == NBD_TRANSMISSION) {
        if (c->timeout) {
            event_free(c->timeout);
            c->timeout = NULL;
        }
        rc = nbd_transmission(c);
    }
    if (rc < 0)
        nbd_close(c);
    set_reading(c);
}

// The payload at hand goes straight to its place, what follows into the buffer.
static ssize_t receive(struct nbd_conn *c)
{
    if (c->start > 0) {
        memmove(c->in, c->in + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    struct iovec iov[2];
    int n_iov = 0;
    size_t direct = 0;
    if (c->receiving && c->end == 0) {
        direct = c->receiving->r.len - c->received;
        iov[n_iov++] = (struct iovec){c->receiving->r.data + c->received, direct};
    }
    iov[n_iov++] = (struct iovec){c->in + c->end, NBD_IN_BYTES - c->end};
    ssize_t n = readv(c->fd, iov, n_iov);
    if (n <= 0)
        return n;
    size_t placed = (size_t)n < direct ? (size_t)n : direct;
    c->received += placed;
    c->end += (size_t)n - placed;
    return n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct nbd_conn *c = arg;
    nbd_enter(c);
    ssize_t n = receive(c);
    if (n > 0)
        process(c);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        nbd_close(c);
    nbd_leave(c);
}

static void send_answers(struct nbd_conn *c)
{
    int rc = nbd_send_answers(c);
    if (rc < 0) {
        nbd_close(c);
        return;
    }
    c->blocked_out = rc == 0;
    if (rc == 0)
        event_add(c->writable, NULL);
    if (!c->reading)
        process(c); // requests that were left in the buffer
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    nbd_enter(arg);
    send_answers(arg);
    nbd_leave(arg);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct nbd_conn *c = arg;
    c->flush_due = false;
    nbd_enter(c);
    if (!c->blocked_out)
        send_answers(c);
    nbd_leave(c);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    nbd_enter(arg);
    nbd_close(arg);
    nbd_leave(arg);
}

// --- accepting ---

static bool allowed(const struct nbd_server *s, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid() || peer.uid == s->uid);
}

void nbd_adopt(struct nbd_server *s, int fd)
{
    static const struct timeval limit = {.tv_sec = NBD_HANDSHAKE_S};
    struct event_base *base = drv_loop_base(s->loop);
    struct nbd_conn *c = drv_xcalloc(1, sizeof *c);
    c->server = s;
    c->fd = fd;
    c->in = drv_xcalloc(1, NBD_IN_BYTES);
    STAILQ_INIT(&c->out);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    c->flush = event_new(base, -1, 0, on_flush, c);
    c->timeout = event_new(base, -1, 0, on_timeout, c);
    LIST_INSERT_HEAD(&s->conns, c, link);
    s->n_conns++;
    s->refs++;
    event_add(c->timeout, &limit);
    nbd_enter(c);
    if (nbd_greet(c) < 0)
        nbd_close(c);
    set_reading(c);
    nbd_leave(c);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
    (void)what;
    struct nbd_server *s = arg;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (s->n_conns < NBD_CONNECTIONS_MAX && allowed(s, fd)) {
        nbd_adopt(s, fd);
        return;
    }
    drv_log(LOG_WARNING, "store.nbd.refused", F_INT("connections", s->n_conns));
    close(fd);
}

static int listen_on(struct nbd_server *s, gid_t gid, struct drv_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (DRV_COPY(sa.sun_path, s->path) < 0)
        return drv_err(err, DRV_EINVAL, "socket path too long: %s", s->path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return drv_err_os(err, errno, "socket");
    unlink(s->path);
    struct stat st;
    if (bind(s->fd, (struct sockaddr *)&sa, sizeof sa) < 0 || lstat(s->path, &st) < 0 ||
        (st.st_gid != gid && chown(s->path, (uid_t)-1, gid) < 0) || chmod(s->path, 0660) < 0 ||
        listen(s->fd, BACKLOG) < 0)
        return drv_err_os(err, errno, "NBD socket %s", s->path);
    return 0;
}

struct nbd_server *nbd_server_new(struct drv_loop *loop, const char *path, uid_t uid, gid_t gid,
                                  const struct nbd_ops *ops, void *arg, struct drv_err *err)
{
    struct nbd_server *s = drv_xcalloc(1, sizeof *s);
    s->loop = loop;
    s->ops = ops;
    s->arg = arg;
    s->uid = uid;
    s->refs = 1;
    s->path = drv_xstrdup(path);
    LIST_INIT(&s->conns);
    if (listen_on(s, gid, err) == 0) {
        s->acceptable =
            event_new(drv_loop_base(loop), s->fd, EV_READ | EV_PERSIST, on_acceptable, s);
        event_add(s->acceptable, NULL);
        return s;
    }
    nbd_server_free(s);
    return NULL;
}

void nbd_server_free(struct nbd_server *s)
{
    if (!s)
        return;
    if (s->acceptable)
        event_free(s->acceptable);
    drv_cleanup_close(&s->fd);
    while (!LIST_EMPTY(&s->conns)) {
        struct nbd_conn *c = LIST_FIRST(&s->conns);
        nbd_enter(c);
        nbd_close(c);
        nbd_leave(c);
    }
    server_unref(s);
}

void nbd_server_resume(struct nbd_server *s)
{
    if (!s)
        return;
    struct nbd_conn *c = LIST_FIRST(&s->conns), *next;
    for (; c; c = next) {
        next = LIST_NEXT(c, link);
        if (!c->waiting)
            continue;
        nbd_enter(c);
        nbd_resume_write(c);
        if (!c->waiting)
            process(c);
        nbd_leave(c);
    }
}

unsigned nbd_server_connections(const struct nbd_server *s)
{
    return s->n_conns;
}
