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

// The crash of the guest's system, as long as nothing has reset the machine. 1: the event says so,
// and *ret in words; 0: it is over (*ret is ""); -1: the event is about something else.
int ha_event_panic(const json_t *ev, char *ret, size_t size);

// Why a VM in this run state of QEMU does not run, and what to do; NULL: it does run, or is what it
// should be in the middle of an operation.
const char *ha_state_words(const char *state);

#endif
