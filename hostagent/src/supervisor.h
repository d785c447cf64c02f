// SPDX-License-Identifier: GPL-3.0-or-later
// What a service manager hands to the agent and hears from it: the listening local socket,
// readiness, the watchdog (sd_listen_fds(3), sd_notify(3)). Without one, as in the lab, all of this
// does nothing.
#ifndef HOSTAGENT_SUPERVISOR_H
#define HOSTAGENT_SUPERVISOR_H

#include "drover/loop.h"
#include <stdbool.h>
#include <sys/types.h>

// The local socket that was passed, listening and owned by the caller; *ret = -1 if none was.
// -1: something else was passed. Once, at start: what was passed is not told to children.
int ha_supervisor_socket(int *ret, struct drv_err *err);

// Say that the agent is ready, and from then on, from the loop, that the loop still turns: a loop
// that hangs for WatchdogSec= gets the agent killed and started anew. NULL when nobody asked for
// that; free with event_free(). Loop thread.
struct event *ha_supervisor_ready(struct drv_loop *loop);
void ha_supervisor_stopping(void);

#endif
