// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments of calls that make or change VMs (docs/WIRE.md). Pure code.
#ifndef HOSTAGENT_CALLS_VM_ARGS_H
#define HOSTAGENT_CALLS_VM_ARGS_H

#include "vm_create.h"

// Strict: unknown members, wrong types and numbers out of range are DRV_EINVAL, named.
int ha_create_args(const json_t *args, struct ha_create_spec *ret, struct drv_err *err);

// DRV_EINVAL, with what a name may be, if this is none of a "VM", "store", …
int ha_name_check(const char *what, const char *name, struct drv_err *err);

// The lists of devices alone, each may be NULL.
int ha_device_args(const json_t *disks, const json_t *nics, const json_t *cdroms,
                   struct ha_create_spec *ret, struct drv_err *err);

#endif
