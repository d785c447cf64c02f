// SPDX-License-Identifier: GPL-3.0-or-later
// Connecting over TCP: see dial.h.
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/util.h"

static int left_ms(int64_t deadline)
{
    int64_t left = deadline - drv_now_ms();
    return left > 0 ? (int)(left < INT32_MAX ? left : INT32_MAX) : 0;
}

int drv_wait_fd(int fd, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int rc = poll(&p, 1, deadline ? left_ms(deadline) : -1);
        if (rc >= 0)
            return rc == 0 ? 0 : p.revents;
        if (errno != EINTR)
            return POLLERR;
    }
}

// A dead peer is noticed within half a minute, whether we send or wait.
static void set_tcp_options(int fd)
{
    int on = 1, idle = 15, interval = 5, count = 3;
    unsigned user_timeout_ms = 30000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// One address: a connected descriptor, or -1 with errno.
static int connect_one(const struct addrinfo *ai, int64_t deadline)
{
    DRV_AUTO_CLOSE int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
    if (fd < 0)
        return -1;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -1;
        if (drv_wait_fd(fd, POLLOUT, deadline) == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        int so_error = 0;
        socklen_t len = sizeof so_error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &len);
        if (so_error) {
            errno = so_error;
            return -1;
        }
    }
    int ret = fd;
    fd = -1;
    return ret;
}

int drv_dial(const char *host, unsigned port, int64_t deadline, struct drv_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char service[16];
    snprintf(service, sizeof service, "%u", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        drv_err(err, DRV_EUNREACHABLE, "%s: %s", host, gai_strerror(rc));
        return drv_err_hint(err, "use the host's full name; check DNS");
    }
    int fd = -1;
    errno = EHOSTUNREACH;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = connect_one(ai, deadline);
    int saved = errno;
    freeaddrinfo(list);
    if (fd < 0) {
        drv_err(err, DRV_EUNREACHABLE, "%s port %u: %s", host, port, strerror(saved));
        return drv_err_hint(err, "is droverd running on %s, and port %u open to this host?", host,
                            port);
    }
    set_tcp_options(fd);
    return fd;
}
