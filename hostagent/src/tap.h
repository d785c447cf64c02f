// SPDX-License-Identifier: GPL-3.0-or-later
// Network interfaces of guests: tap devices enslaved to the host's bridges. A tap lives as long as
// a descriptor of it is open, so it goes away with its QEMU, unless that was taken over and asked
// the kernel to keep it (docs/SECURITY.md). Blocking (short); worker threads.
#ifndef HOSTAGENT_TAP_H
#define HOSTAGENT_TAP_H

#include "drover/err.h"
#include <net/if.h>
#include <sys/types.h>

// Create a tap with a free name "dvt…", enslave it to bridge and bring it up. Returns a descriptor
// (close-on-exec) to give to QEMU and to close here after it was started: as long as ours is open
// the tap stays. owner: who may open it by its name. ret_name: that name. -1: DRV_ENOTFOUND (no
// such bridge), DRV_EDENIED, DRV_EIO.
int ha_tap_open(const char *bridge, uid_t owner, char ret_name[IFNAMSIZ], struct drv_err *err);

// True if there is a bridge of this name in our network namespace.
bool ha_bridge_exists(const char *name);

// Names of all bridges, sorted; at most max. Returns how many, or -1.
int ha_bridges(char names[][IFNAMSIZ], unsigned max, struct drv_err *err);

#endif
