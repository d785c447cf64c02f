// SPDX-License-Identifier: GPL-3.0-or-later
// QMP's byte stream: see qmp_stream.h.
#include "qmp_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/unix.h"
#include "drover/util.h"
#include "qmp.h"

enum { FIRST_BUFFER = 16 * 1024 };

static int grow(struct qmp_stream *s, struct drv_err *err)
{
    if (s->cap >= QMP_LINE_MAX)
        return drv_err(err, DRV_EPEER, "QEMU sent a message larger than %d MiB",
                       QMP_LINE_MAX >> 20);
    size_t cap = s->cap ? s->cap * 2 : FIRST_BUFFER;
    char *buf = realloc(s->buf, cap);
    if (!buf)
        return drv_err(err, DRV_ENOSPACE, "no memory for a message from QEMU");
    s->buf = buf;
    s->cap = cap;
    return 0;
}

// Take one line out of the buffer. 1 = *ret is a new object; 0 = no whole line yet; -1 = nonsense.
static int take_line(struct qmp_stream *s, json_t **ret, struct drv_err *err)
{
    char *end = s->len > s->scanned ? memchr(s->buf + s->scanned, '\n', s->len - s->scanned) : NULL;
    if (!end) {
        s->scanned = s->len;
        return 0;
    }
    size_t line = (size_t)(end - s->buf);
    json_error_t why;
    *ret = json_loadb(s->buf, line, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        return drv_err(err, DRV_EPEER, "QEMU sent a malformed message: %s", why.text);
    }
    s->len -= line + 1;
    memmove(s->buf, end + 1, s->len);
    s->scanned = 0;
    return 1;
}

// Wait for one message; timeout_ms -1 = for ever. NULL + err: DRV_ETIMEDOUT, DRV_EUNREACHABLE,
// DRV_EPEER.
json_t *qmp_stream_receive(struct qmp_stream *s, int timeout_ms, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    for (;;) {
        json_t *message = NULL;
        int rc = take_line(s, &message, err);
        if (rc != 0)
            return message;
        if (s->len == s->cap && grow(s, err) < 0)
            return NULL;
        int64_t left = timeout_ms < 0 ? -1 : deadline - drv_now_ms();
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        int ready = timeout_ms >= 0 && left <= 0 ? 0 : poll(&p, 1, (int)left);
        if (ready == 0) {
            drv_err(err, DRV_ETIMEDOUT, "QEMU's monitor does not answer");
            return NULL;
        }
        ssize_t n = ready < 0 ? -1 : recv(s->fd, s->buf + s->len, s->cap - s->len, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0) {
            drv_err(err, DRV_EUNREACHABLE, "QEMU closed its monitor");
            return NULL;
        }
        s->len += (size_t)n;
    }
}

// Send all of text, the first byte together with pass_fd (-1 = none). A message cut off in the
// middle makes the stream useless, so any failure here ends the connection.
int qmp_stream_send(struct qmp_stream *s, const char *text, size_t len, int pass_fd, int timeout_ms,
                    struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    for (size_t off = 0; off < len;) {
        struct iovec iov = {.iov_base = (char *)text + off, .iov_len = len - off};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (pass_fd >= 0 && off == 0) {
            msg.msg_control = &control;
            msg.msg_controllen = sizeof control.bytes;
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
        }
        ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            off += (size_t)n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return drv_err_os(err, errno, "cannot write to QEMU's monitor");
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        int64_t left = deadline - drv_now_ms();
        if (left <= 0)
            return drv_err(err, DRV_ETIMEDOUT, "QEMU's monitor takes no more commands");
        poll(&p, 1, (int)left);
    }
    return 0;
}

int qmp_stream_open(struct qmp_stream *s, const char *path, int64_t deadline_ms,
                    struct drv_err *err)
{
    memset(s, 0, sizeof *s);
    s->fd = -1;
    for (;;) {
        s->fd = drv_unix_connect(path, SOCK_NONBLOCK, 0);
        if (s->fd >= 0)
            return 0;
        int why = errno;
        if (why == ENAMETOOLONG)
            return drv_err(err, DRV_EINVAL, "%s: path too long for a socket", path);
        // QEMU makes its sockets some time after its start.
        bool may_come = why == ENOENT || why == ECONNREFUSED || why == EAGAIN;
        if (!may_come || drv_now_ms() >= deadline_ms) {
            drv_err(err, DRV_EUNREACHABLE, "%s: %s", path, strerror(why));
            return drv_err_native(err, "os", why);
        }
        drv_sleep_ms(10);
    }
}

void qmp_stream_done(struct qmp_stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    free(s->buf);
    s->buf = NULL;
    s->len = s->cap = s->scanned = 0;
}
