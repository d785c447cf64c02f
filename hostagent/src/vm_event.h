// SPDX-License-Identifier: GPL-3.0-or-later
// QEMU's events and run states in words, for people. Pure.
#ifndef HOSTAGENT_VM_EVENT_H
#define HOSTAGENT_VM_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// What an event of QEMU says about the guest, for the VM's log. False: nothing that a person asks
// for later. (docs of QMP in QEMU 7.2: run-state, block-core, misc)
bool ha_event_text(const json_t *ev, char *ret, size_t size);

#endif
