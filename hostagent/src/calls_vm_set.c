// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls that change a VM: vm.set, vm.rename, vm.eject, vm.insert (docs/WIRE.md).
#include "audit.h"
#include "calls_vm_args.h"
#include "tables.h"
#include "vm_change.h"

#include <string.h>

// What a change says: its notices.
static json_t *answer(struct ha_ctx *ctx, struct ha_vm *vm, const char *key, int rc,
                      json_t *notices, struct drv_err *err)
{
    ha_vm_unlock(vm);
    ha_audit_end(ctx, key, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : json_pack("{s:O}", "notices", notices);
}

static json_t *vm_set(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key;
    json_t *set = NULL, *disks = NULL, *nics = NULL, *cdroms = NULL, *remove = NULL;
    struct ha_change *ch = drv_xcalloc(1, sizeof *ch);
    DRV_AUTO_FREE void *owned = ch;
    DRV_AUTO_JSON json_t *notices = json_array();
    if (ha_args(args, err, "{s:s, s?o, s?o, s?o, s?o, s?o}", "vm", &key, "set", &set, "add_disks",
                &disks, "add_nics", &nics, "add_cdroms", &cdroms, "remove", &remove) < 0 ||
        ha_device_args(disks, nics, cdroms, &ch->add, err) < 0)
        return NULL;
    if ((set && !json_is_object(set)) || (remove && !json_is_array(remove))) {
        drv_err(err, DRV_EINVAL, "set must be an object, remove an array");
        return NULL;
    }
    ch->set = set;
    ch->remove = remove;
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "changing", err);
    return answer(ctx, vm, key, vm ? ha_vm_change(vm, ch, notices, err) : -1, notices, err);
}

static json_t *vm_rename(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key, *name;
    DRV_AUTO_JSON json_t *notices = json_array();
    if (ha_args(args, err, "{s:s, s:s}", "vm", &key, "name", &name) < 0)
        return NULL;
    if (ha_name_check("VM", name, err) < 0)
        return NULL;
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "being renamed", err);
    return answer(ctx, vm, key, vm ? ha_vm_rename(vm, name, notices, err) : -1, notices, err);
}

static json_t *vm_eject(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key, *drive = "";
    DRV_AUTO_JSON json_t *notices = json_array();
    if (ha_args(args, err, "{s:s, s?s}", "vm", &key, "drive", &drive) < 0)
        return NULL;
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "ejecting", err);
    return answer(ctx, vm, key, vm ? ha_vm_disc(vm, drive, NULL, notices, err) : -1, notices, err);
}

static json_t *vm_insert(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key, *drive = "", *store, *path;
    struct ha_new_cdrom disc;
    DRV_AUTO_JSON json_t *notices = json_array();
    if (ha_args(args, err, "{s:s, s?s, s:s, s:s}", "vm", &key, "drive", &drive, "store", &store,
                "path", &path) < 0)
        return NULL;
    if (!drv_name_valid(store, SS_NAME_MAX - 1) || !ss_path_valid(path) ||
        DRV_COPY(disc.store, store) < 0 || DRV_COPY(disc.path, path) < 0) {
        drv_err(err, DRV_EINVAL, "\"%.64s/%.200s\" is not STORE/PATH", store, path);
        return NULL;
    }
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "inserting", err);
    return answer(ctx, vm, key, vm ? ha_vm_disc(vm, drive, &disc, notices, err) : -1, notices, err);
}

const struct ha_call ha_calls_vm_set[] = {
    {"vm.set", HA_ADMIN, false, false, vm_set},
    {"vm.rename", HA_ADMIN, false, false, vm_rename},
    {"vm.eject", HA_OPERATOR, false, false, vm_eject},
    {"vm.insert", HA_ADMIN, false, false, vm_insert},
    {0},
};
