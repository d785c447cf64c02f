// SPDX-License-Identifier: GPL-3.0-or-later
// Devices that come to a running VM, or go, with its next start: def->next_devices. QEMU has them
// on q35's root bus, which takes none while the guest runs. Nothing is made before that start: an
// image would have to move, and to go, with a VM whose record does not name it. Pure.
#ifndef HOSTAGENT_VM_NEXT_H
#define HOSTAGENT_VM_NEXT_H

#include "vm_create.h"

// The VM runs: keep what is asked for. A removal of what has not come yet takes its entry back.
// *ret_then: the definition as it will be; what add names is last in its lists. DRV_EINVAL,
// DRV_ENOTFOUND: as ha_set_remove() and ha_add_devices().
int ha_next_keep(struct ss_vmdef *def, const json_t *remove, const struct ha_create_spec *add,
                 struct ss_vmdef *ret_then, json_t *notices, struct drv_err *err);

// It stands still: what def keeps, and what is asked for now, as one request; def keeps nothing
// afterwards. *ret_remove: new reference, array of ids.
int ha_next_take(struct ss_vmdef *def, const json_t *remove, const struct ha_create_spec *add,
                 json_t **ret_remove, struct ha_create_spec *ret_add, struct drv_err *err);

#endif
