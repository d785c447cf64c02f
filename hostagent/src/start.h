// SPDX-License-Identifier: GPL-3.0-or-later
// Bringing the agent up and down: everything of droverd but its command line and signals.
#ifndef HOSTAGENT_START_H
#define HOSTAGENT_START_H

#include "agent.h"

// From a configuration (kept) to an agent that listens. The calling thread is the loop thread;
// blocks for seconds while QEMU is probed. VMs are attached by a worker once the loop runs. NULL:
// err says what is wrong with the machine or its configuration.
struct ha *ha_start(struct drv_conf *conf, struct drv_err *err);
// Refuse new sessions, then stop the loop: at once when nothing is under way, else after at most
// some seconds. Guests run on. Loop thread.
void ha_stop(struct ha *ha);
// After the loop has ended.
void ha_free(struct ha *ha);
// Use the reloadable options of a new configuration (taken). Loop thread.
void ha_reload(struct ha *ha, struct drv_conf *next);

int ha_log_level(const struct drv_conf *conf); // syslog priority

#endif
