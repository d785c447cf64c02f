// SPDX-License-Identifier: GPL-3.0-or-later
// The host shuts down: each VM's on_host_shutdown is carried out, all at the same time
// (docs/KEEP.md).
#ifndef HOSTAGENT_SHUTDOWN_H
#define HOSTAGENT_SHUTDOWN_H

#include "agent.h"

enum ha_guest_end {
    HA_GUEST_OFF,    // has shut down
    HA_GUEST_FORCED, // did not, and the plug was pulled
    HA_GUEST_LEFT,   // runs on, as its on_host_shutdown wants it
    HA_GUEST_GONE,   // has moved to another host meanwhile
    HA_GUEST_FAILED, // runs on although it should not, or its record does not say that it is off
    HA_GUEST_END_MAX_
};
const char *ha_guest_end_name(enum ha_guest_end e); // "off"

struct ha_guest {
    char name[SS_NAME_MAX], uuid[DRV_UUID_LEN];
    enum ha_guest_end end;
    char msg[384]; // why; "" when it is off
    int64_t took_ms;
};

// Ask all guests that run here, wait for them together for at most wait_ms (each for its own
// shutdown_timeout_s), and deal with those that have not ended. said (NULL = nobody) hears of each
// as it ends, one at a time, from any thread. *ret: caller frees. Ending a QEMU and writing its
// record comes on top, some seconds, more when the file server does not answer. Autostart ends.
// Worker thread.
void ha_shutdown_guests(struct ha *ha, int64_t wait_ms,
                        void (*said)(const struct ha_guest *g, void *arg), void *arg,
                        struct ha_guest **ret, unsigned *ret_n);

#endif
