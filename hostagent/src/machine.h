// SPDX-License-Identifier: GPL-3.0-or-later
// What an agent needs of its machine before anything else: names, folders, users, programs.
// Start-up only.
#ifndef HOSTAGENT_MACHINE_H
#define HOSTAGENT_MACHINE_H

#include "agent.h"

// Fill ha's fixed fields from ha->conf and the machine, make state_dir and run_dir. DRV_EINVAL,
// DRV_ENOTFOUND and the like name the option that is to blame.
int ha_machine_init(struct ha *ha, struct drv_err *err);

// Lock the state folder for the life of the process: two agents must never share one. Returns the
// descriptor to keep, -1 DRV_EBUSY.
int ha_machine_lock(struct ha *ha, struct drv_err *err);

#endif
