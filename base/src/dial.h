// SPDX-License-Identifier: GPL-3.0-or-later
// Connecting over TCP and waiting for descriptors, with deadlines on drv_now_ms()'s clock.
// Blocking.
#ifndef BASE_DIAL_H
#define BASE_DIAL_H

#include "drover/err.h"
#include <stdint.h>

// A non-blocking, close-on-exec socket connected to host, whose addresses are tried in turn; a dead
// peer is noticed on it within half a minute. DNS has its own time-outs. -1 DRV_EUNREACHABLE.
int drv_dial(const char *host, unsigned port, int64_t deadline, struct drv_err *err);

// poll() for one descriptor. deadline 0 = no limit. The events that came (POLLERR if poll itself
// failed), 0 = time-out.
int drv_wait_fd(int fd, short events, int64_t deadline);

#endif
