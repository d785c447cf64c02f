// SPDX-License-Identifier: GPL-3.0-or-later
// Is a host there, on one of its addresses? For preflight: a stream that starts into a dead network
// would only be noticed after its time-outs.
#ifndef HOSTAGENT_REACH_H
#define HOSTAGENT_REACH_H

#include "drover/err.h"

// Try a TCP connection. A refusal is an answer: the host is reached, only nobody listens on that
// port yet. addr: IPv4 or IPv6 in numbers. -1 DRV_ETIMEDOUT or DRV_EUNREACHABLE. Blocks for at most
// timeout_ms; any thread.
int ha_reach(const char *addr, unsigned port, int timeout_ms, struct drv_err *err);

#endif
