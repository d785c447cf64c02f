// SPDX-License-Identifier: GPL-3.0-or-later
// Consoles: bytes between a VM's serial line or screen (QEMU's unix sockets) and the sessions that
// look at it. Loop thread.
//
// A serial line is shared: what the guest prints goes to every viewer, what any of them types goes
// to the guest. QEMU is always read; a viewer that is too slow loses output and is told how much,
// the guest never waits. A screen is a connection of its own to QEMU, for each viewer: RFB can lose
// no byte, so QEMU is not read while the viewer is behind, and by itself sends fewer updates then.
#ifndef HOSTAGENT_RELAY_H
#define HOSTAGENT_RELAY_H

#include "stream.h"

struct ha_vm;

enum ha_relay_kind { HA_RELAY_SERIAL, HA_RELAY_SCREEN };

enum {
    HA_RELAY_VIEWERS = 8,         // of one kind and VM
    HA_RELAY_INPUT_MAX = 64 << 10 // bytes for QEMU that wait; above, its viewers are not read
};

// One more viewer of a running VM, to be handed to ha_ctx_stream(). NULL: DRV_ESTATE (not running,
// no screen), DRV_EBUSY (too many, or the VM is arriving), DRV_EUNREACHABLE (QEMU).
struct ha_stream *ha_relay_open(struct ha_vm *vm, enum ha_relay_kind kind, struct drv_err *err);

#endif
