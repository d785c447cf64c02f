// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's definition changes without the VM changing hands: within its epoch, with the record naming
// the new definition (docs/RECORD.md). Procedures: worker threads, VM locked.
#ifndef HOSTAGENT_VM_CHANGE_H
#define HOSTAGENT_VM_CHANGE_H

#include "vm_create.h"

// What `vm set` was asked for.
struct ha_change {
    const json_t *set;         // {KEY:"VALUE"…}, NULL = none
    const json_t *remove;      // ids of devices, NULL = none
    struct ha_create_spec add; // its lists of devices alone
};

// Change settings and devices. What a running VM cannot take waits for its next start, as the
// notices say; what waits in a stopped one holds at once. All or nothing.
int ha_vm_change(struct ha_vm *vm, struct ha_change *change, json_t *notices, struct drv_err *err);

// Give it another name, also while it runs. Its folders keep theirs. DRV_EEXIST: another VM of this
// host has that name.
int ha_vm_rename(struct ha_vm *vm, const char *name, json_t *notices, struct drv_err *err);

// Put a disc into a drive (drive "": the VM's only one, or the first empty one), or take it out
// (disc NULL; drive "": the only one that holds one). A running guest sees it at once. *notices:
// which drive it was.
int ha_vm_disc(struct ha_vm *vm, const char *drive, const struct ha_new_cdrom *disc,
               json_t *notices, struct drv_err *err);

// Hold the record of a VM that is stopped, or whose QEMU died here, alone: nobody can start it
// without. *ret_owner NULL: there is no record any more. verb: for messages, "delete".
int ha_vm_hold_record(struct ha_vm *vm, const char *verb, struct ha_owner **ret_owner,
                      struct drv_err *err);

#endif
