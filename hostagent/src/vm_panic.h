// SPDX-License-Identifier: GPL-3.0-or-later
// That a guest's system has crashed is said by QEMU once, in an event: a file in the VM's run
// directory keeps it for an agent that starts later. It stays on this host: after a move only the
// log of the other one tells.
#ifndef HOSTAGENT_VM_PANIC_H
#define HOSTAGENT_VM_PANIC_H

#include "agent.h"

void ha_panic_keep(const struct ha_vm *vm, const char *text); // "" = it is over; any thread
void ha_panic_recall(struct ha_vm *vm);                       // at attach; worker, VM locked

#endif
