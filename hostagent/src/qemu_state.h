// SPDX-License-Identifier: GPL-3.0-or-later
// state.json of a VM's run directory: what an agent must know to find its QEMU again. It lives on
// tmpfs and says nothing about ownership: the owner record does.
#ifndef HOSTAGENT_QEMU_STATE_H
#define HOSTAGENT_QEMU_STATE_H

#include "qemu_proc.h"

// Write <h->dir>/state.json from h (temporary name, rename).
int ha_state_write(const struct ha_qemu *h, struct drv_err *err);

// Read it into a new handle without QMP connection. NULL: DRV_ENOTFOUND (no file), DRV_EINVAL
// (damaged).
struct ha_qemu *ha_state_read(const char *dir, struct drv_err *err);

void ha_state_remove(const char *dir);

#endif
