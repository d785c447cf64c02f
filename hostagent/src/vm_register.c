// SPDX-License-Identifier: GPL-3.0-or-later
// Making a VM known here that lies on a store already: another host made it, or this one's database
// was lost.
#include <stdlib.h>
#include <string.h>

#include "drover/storeproc.h"
#include "vm_create.h"

// The readable view says which VM lives there; what counts is read afterwards.
static int read_uuid(struct ss_store *home, const char *name, char ret[DRV_UUID_LEN],
                     struct drv_err *err)
{
    char path[SS_PATH_MAX];
    size_t len = 0;
    struct ss_vmdef *view = drv_xcalloc(1, sizeof *view);
    DRV_AUTO_FREE void *owned = view;
    if (snprintf(path, sizeof path, "%s/vm.json", name) >= (int)sizeof path)
        return drv_err(err, DRV_EINVAL, "the name %.64s… is too long", name);
    DRV_AUTO_FREE char *text = ss_read(home, path, SS_VMDEF_MAX_BYTES, &len, err);
    if (!text && err && err->code == DRV_ENOTFOUND)
        drv_err_hint(err,
                     "no VM has its home in %s: its definition, vm.json, is not there. Of images "
                     "alone: drover vm create NAME --import FILE",
                     name);
    if (!text)
        return -1;
    if (ss_vmdef_parse(text, len, view, err) < 0)
        return drv_err_prefix(err, "%s", path);
    memcpy(ret, view->uuid, DRV_UUID_LEN);
    return 0;
}

static int read_record(struct ha *ha, const char *uuid, struct ss_record *ret, struct drv_err *err)
{
    bool held;
    struct ss_store *arbiter = ha_arbiter_open(ha, err);
    int rc = arbiter ? ss_record_peek(arbiter, uuid, ret, &held, err) : -1;
    ss_store_close(arbiter);
    return rc < 0 ? drv_err_prefix(err, "owner record")
                  : db_vm_epoch_check(ha->db, uuid, ret->epoch, err);
}

static int check_home(const struct ss_record *rec, const char *store, const char *name,
                      struct drv_err *err)
{
    if (!strcmp(rec->home_store, store) && !strcmp(rec->home_path, name))
        return 0;
    drv_err(err, DRV_EATTENTION, "the VM's owner record says that its home is %s/%s, not %s/%s",
            rec->home_store, rec->home_path, store, name);
    return drv_err_hint(err,
                        "either this folder is a copy, or the store has another name on %s: "
                        "give a store the same name on all hosts",
                        rec->host);
}

// Every disk must mean the same file here.
static int check_disks(struct ha *ha, const struct ss_vmdef *def, const struct ss_record *rec,
                       struct drv_err *err)
{
    for (unsigned i = 0; i < def->n_disks; i++) {
        const struct ss_disk *d = &def->disks[i];
        char url[HA_URL_MAX];
        struct ss_url u;
        if (ha_store_url(ha, d->store, url, sizeof url, err) < 0 || ss_url_parse(url, &u, err) < 0)
            return drv_err_prefix(err, "disk %s", d->id);
        if (u.kind == SS_SMB || !strcmp(rec->host, ha->fqdn))
            continue;
        drv_err(err, DRV_EINVAL, "disk %s lies in a folder of %s", d->id, rec->host);
        drv_err_id(err, "S04");
        return drv_err_hint(err, "move the VM here: drover -H %s move %s --to %s --storage STORE",
                            rec->host, def->name, ha->fqdn);
    }
    return 0;
}

static int read_truth(struct ha *ha, const char *store, const char *name, struct ss_record *rec,
                      struct ss_vmdef *def, struct drv_err *err)
{
    char uuid[DRV_UUID_LEN];
    struct ss_store *home = ha_store_open(ha, store, NULL, err);
    int rc = -1;
    if (home && read_uuid(home, name, uuid, err) == 0 && read_record(ha, uuid, rec, err) == 0 &&
        check_home(rec, store, name, err) == 0)
        rc = ha_home_read(home, name, rec->epoch, rec->vm_json_sha256, def, err);
    ss_store_close(home);
    if (rc == 0 && (strcmp(def->uuid, uuid) != 0 || strcmp(def->name, name) != 0))
        rc = drv_err(err, DRV_EATTENTION, "%s/%s holds the definition of another VM, %s", store,
                     name, def->name);
    return rc == 0 ? check_disks(ha, def, rec, err) : -1;
}

static int make_known(struct ha *ha, const char *store, const struct ss_vmdef *def, uint64_t epoch,
                      struct drv_err *err)
{
    struct ha_vm *vm = ha_vm_add(ha, def, store, def->name, "registering", err);
    if (!vm)
        return -1;
    struct db_vm row = {.home_path = vm->home};
    DRV_COPY(row.uuid, def->uuid);
    DRV_COPY(row.name, def->name);
    DRV_COPY(row.home_store, store);
    if (db_vm_put(ha->db, &row, err) < 0 || db_vm_epoch_raise(ha->db, def->uuid, epoch, err) < 0) {
        ha_vm_remove(vm);
        return -1;
    }
    ha_vm_publish(vm, "stopped", epoch, "");
    ha_vm_unlock(vm);
    return 0;
}

int ha_vm_register(struct ha *ha, const char *store, const char *name, char ret_uuid[DRV_UUID_LEN],
                   struct drv_err *err)
{
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned_rec = rec;
    DRV_AUTO_FREE void *owned_def = def;
    if (read_truth(ha, store, name, rec, def, err) < 0 ||
        make_known(ha, store, def, rec->epoch, err) < 0)
        return drv_err_prefix(err, "%s/%s was not registered", store, name);
    memcpy(ret_uuid, def->uuid, DRV_UUID_LEN);
    return 0;
}
