// SPDX-License-Identifier: GPL-3.0-or-later
// The agent under a service manager: see supervisor.h.
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "drover/util.h"

int ha_supervisor_socket(int *ret, struct drv_err *err)
{
    *ret = -1;
    int n = sd_listen_fds(true);
    if (n < 0)
        return drv_err_os(err, -n, "sockets passed to droverd");
    if (n == 0)
        return 0;
    const int fd = SD_LISTEN_FDS_START;
    if (n > 1 || sd_is_socket_unix(fd, SOCK_STREAM, true, NULL, 0) <= 0) {
        drv_err(err, DRV_EINVAL, "droverd was passed %d sockets, not one listening unix socket", n);
        return drv_err_hint(err, "drover-agent.socket has one ListenStream=, a path");
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return drv_err_os(err, errno, "the socket passed to droverd");
    *ret = fd;
    return 0;
}

static void pat_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    sd_notify(false, "WATCHDOG=1");
}

struct event *ha_supervisor_ready(struct drv_loop *loop)
{
    uint64_t limit_us;
    sd_notify(false, "READY=1");
    if (sd_watchdog_enabled(false, &limit_us) <= 0)
        return NULL;
    // Twice within the limit, as sd_watchdog_enabled(3) advises.
    uint64_t every_us = limit_us / 2;
    const struct timeval every = {.tv_sec = (time_t)(every_us / 1000000),
                                  .tv_usec = (suseconds_t)(every_us % 1000000)};
    struct event *timer = event_new(drv_loop_base(loop), -1, EV_PERSIST, pat_watchdog, NULL);
    if (!timer || event_add(timer, &every) < 0)
        abort();
    return timer;
}

void ha_supervisor_stopping(void)
{
    sd_notify(false, "STOPPING=1");
}
