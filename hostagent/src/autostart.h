// SPDX-License-Identifier: GPL-3.0-or-later
// Autostart: after a boot of the host, VMs that want it are started, one after the other
// (docs/KEEP.md). Which boot this is, and which VMs have not been dealt with in it, is in the
// database: an agent that starts again in the same boot goes on where the last one was, and touches
// nothing that had its turn.
#ifndef HOSTAGENT_AUTOSTART_H
#define HOSTAGENT_AUTOSTART_H

#include "agent.h"

// After all VMs were looked at. Worker thread.
void ha_autostart_begin(struct ha *ha);
// A person has started or stopped this VM: it has had its turn. Worker thread.
void ha_autostart_forget(struct ha *ha, const char *uuid);
// The host shuts down: nothing more is started in this boot. Worker thread.
void ha_autostart_cancel(struct ha *ha);
// The agent ends: what is left is the next one's. Loop thread.
void ha_autostart_stop(struct ha *ha);
void ha_autostart_free(struct ha *ha); // after the loop has ended

#endif
