// SPDX-License-Identifier: GPL-3.0-or-later
// Pause a guest through QMP: see qmp_stop.h. A few lines of our own, so that drover-store depends
// on nothing that droverd does.
#include "qmp_stop.h"

#include "drover/unix.h"
#include "drover/util.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QMP_LINE_MAX = 64 * 1024 }; // greeting and events are far smaller

struct qmp {
    int fd;
    int64_t deadline_ms;
    size_t len;
    char buf[QMP_LINE_MAX];
};

static int wait_for(struct qmp *q, short events, struct drv_err *err)
{
    for (;;) {
        int64_t left = q->deadline_ms - drv_now_ms();
        struct pollfd p = {.fd = q->fd, .events = events};
        int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (rc > 0)
            return 0;
        if (rc == 0)
            return drv_err(err, DRV_ETIMEDOUT, "QEMU's monitor does not answer");
        if (errno != EINTR)
            return drv_err_os(err, errno, "poll");
    }
}

static int connect_to(struct qmp *q, const char *path, struct drv_err *err)
{
    // A full backlog gives EAGAIN on a unix socket; polling cannot wait for that.
    while ((q->fd = drv_unix_connect(path, SOCK_NONBLOCK, 0)) < 0) {
        if (errno == ENAMETOOLONG)
            return drv_err(err, DRV_EINVAL, "socket path too long: %s", path);
        if (errno != EAGAIN || drv_now_ms() >= q->deadline_ms)
            return drv_err(err, DRV_EUNREACHABLE, "no QEMU at %s: %s", path,
                           strerrordesc_np(errno));
        drv_sleep_ms(50);
    }
    return 0;
}

// One JSON object from the next line; new reference.
static json_t *read_object(struct qmp *q, struct drv_err *err)
{
    for (;;) {
        char *nl = memchr(q->buf, '\n', q->len);
        if (nl) {
            size_t line = (size_t)(nl - q->buf) + 1;
            json_t *j = json_loadb(q->buf, line, 0, NULL);
            memmove(q->buf, q->buf + line, q->len - line);
            q->len -= line;
            if (!j)
                drv_err(err, DRV_EPEER, "QEMU's monitor sent no JSON");
            return j;
        }
        if (q->len == sizeof q->buf) {
            drv_err(err, DRV_EPEER, "QEMU's monitor sent too long a line");
            return NULL;
        }
        if (wait_for(q, POLLIN, err) < 0)
            return NULL;
        ssize_t n = recv(q->fd, q->buf + q->len, sizeof q->buf - q->len, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            drv_err(err, DRV_EUNREACHABLE, "QEMU closed its monitor");
            return NULL;
        }
        if (n > 0)
            q->len += (size_t)n;
    }
}

// Send one command and skip events until its answer.
static int command(struct qmp *q, const char *name, struct drv_err *err)
{
    char line[128];
    int len = snprintf(line, sizeof line, "{\"execute\":\"%s\"}\n", name);
    if (wait_for(q, POLLOUT, err) < 0)
        return -1;
    if (send(q->fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        return drv_err(err, DRV_EUNREACHABLE, "QEMU closed its monitor");
    for (;;) {
        DRV_AUTO_JSON json_t *j = read_object(q, err);
        if (!j)
            return -1;
        if (json_object_get(j, "return"))
            return 0;
        const char *why = json_string_value(json_object_get(json_object_get(j, "error"), "desc"));
        if (why)
            return drv_err(err, DRV_EPEER, "QEMU refused %s: %s", name, why);
    }
}

int ds_qmp_stop(const char *path, int timeout_ms, struct drv_err *err)
{
    struct qmp *q = drv_xcalloc(1, sizeof *q);
    q->fd = -1;
    q->deadline_ms = drv_now_ms() + timeout_ms;
    int rc = -1;
    if (connect_to(q, path, err) == 0) {
        json_t *greeting = read_object(q, err);
        json_decref(greeting);
        if (greeting && command(q, "qmp_capabilities", err) == 0 && command(q, "stop", err) == 0)
            rc = 0;
    }
    drv_cleanup_close(&q->fd);
    drv_cleanup_free(&q);
    return rc;
}
