// SPDX-License-Identifier: GPL-3.0-or-later
// Reaching an address: see reach.h.
#include "reach.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/util.h"

static int wait_connected(int fd, const char *addr, int timeout_ms, struct drv_err *err)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    if (poll(&p, 1, timeout_ms) <= 0)
        return drv_err(err, DRV_ETIMEDOUT, "%s does not answer within %d ms", addr, timeout_ms);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    return error == 0 || error == ECONNREFUSED ? 0 : drv_err_os(err, error, "%s", addr);
}

int ha_reach(const char *addr, unsigned port, int timeout_ms, struct drv_err *err)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int rc = getaddrinfo(addr, service, &hints, &found);
    if (rc != 0)
        return drv_err(err, DRV_EINVAL, "%s: %s", addr, gai_strerror(rc));
    DRV_AUTO_CLOSE int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -1 : connect(fd, found->ai_addr, found->ai_addrlen);
    int error = errno;
    freeaddrinfo(found);
    if (rc == 0 || error == ECONNREFUSED)
        return 0;
    if (fd >= 0 && error == EINPROGRESS)
        return wait_connected(fd, addr, timeout_ms, err);
    return drv_err_os(err, error, "%s", addr);
}
