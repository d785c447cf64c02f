// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of a VM's definition: what can be set, and what that does to a struct ss_vmdef. Pure.
#ifndef HOSTAGENT_VM_SET_H
#define HOSTAGENT_VM_SET_H

#include "drover/conf.h"
#include "drover/vmdef.h"
#include "probe.h"

// What `vm set` knows. `reloadable`: holds at once; the others are what QEMU is started with, and a
// running VM keeps them in def->next until its next start.
extern const struct drv_option ha_vm_options[];

// Set {KEY:"VALUE"…} in def; all or nothing. running: see above. notices: for each key when it
// holds. DRV_EINVAL: what is expected; V03, V04.
int ha_set_apply(struct ss_vmdef *def, const struct ha_probe *probe, const json_t *set,
                 bool running, json_t *notices, struct drv_err *err);
// A start: what waits in def->next becomes part of the definition.
int ha_set_pending(struct ss_vmdef *def, const struct ha_probe *probe, struct drv_err *err);
// Take the disks, network cards and drives with these ids (array of strings) out of def.
// DRV_ENOTFOUND; DRV_EINVAL for UEFI's variables.
int ha_set_remove(struct ss_vmdef *def, const json_t *ids, json_t *notices, struct drv_err *err);

#endif
