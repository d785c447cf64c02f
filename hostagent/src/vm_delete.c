// SPDX-License-Identifier: GPL-3.0-or-later
// Deleting a VM. Its record is held all the while, so that no other host can start it; the record
// also tells which images are the VM's. Every step may be repeated: after a crash or a failure the
// VM is still listed, and deleting it again goes on.
#include <stdlib.h>
#include <string.h>

#include "notices.h"
#include "vm_change.h"
#include "vm_create.h"
#include "vm_log.h"

enum { LIST_MAX = 4096 };

// --- images ---

static int delete_image(struct ha *ha, const struct ss_record *rec,
                        const struct ss_record_image *im, json_t *notices, struct drv_err *err)
{
    char url[HA_URL_MAX];
    struct ss_url u;
    struct ss_stat st;
    struct drv_err why = DRV_ERR_INIT;
    if (ha_store_url(ha, im->store, url, sizeof url, err) < 0 || ss_url_parse(url, &u, err) < 0)
        return -1;
    if (u.kind == SS_LOCAL && strcmp(rec->host, ha->fqdn) != 0)
        return drv_err(err, DRV_ESTATE, "disk %s lies in a folder of %s: delete the VM there",
                       im->disk, rec->host);
    struct ss_store *store = ha_store_open(ha, im->store, NULL, err);
    if (!store)
        return -1;
    int rc = ss_stat(store, im->path, &st, &why);
    if (rc < 0 && why.code == DRV_ENOTFOUND)
        rc = 0; // deleted by an earlier attempt
    else if (rc < 0)
        *err = why;
    else if (!ss_record_image_is(im, st.volume_id, st.file_id))
        ha_notice(notices, "%s:%s is not the file that the VM used: left alone", im->store,
                  im->path);
    else
        rc = ss_unlink(store, im->path, err);
    ss_store_close(store);
    return rc < 0 ? drv_err_prefix(err, "disk %s", im->disk) : 0;
}

// --- home ---

static bool is_definition(const char *file)
{
    return !strcmp(file, "vm.json") || ha_home_epoch_of(file) > 0;
}

static int delete_definitions(struct ss_store *home, const char *folder, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *files = ss_list(home, folder, LIST_MAX, &why);
    size_t i;
    json_t *file;
    if (!files && why.code == DRV_ENOTFOUND)
        return 0;
    if (!files) {
        *err = why;
        return -1;
    }
    json_array_foreach(files, i, file)
    {
        char path[SS_PATH_MAX];
        const char *name = json_string_value(file);
        if (!is_definition(name))
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
            return drv_err(err, DRV_EINVAL, "the path %s/%s is too long", folder, name);
        if (ss_unlink(home, path, err) < 0)
            return -1;
    }
    return 0;
}

static void delete_folder(struct ha *ha, const char *store, const char *folder, json_t *notices)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = ha_store_open(ha, store, NULL, &err);
    if (st && ss_rmdir(st, folder, &err) < 0) {
        struct drv_err ignored = DRV_ERR_INIT;
        DRV_AUTO_JSON json_t *files = ss_list(st, folder, LIST_MAX, &ignored);
        const char *first = json_string_value(json_array_get(files, 0));
        if (first)
            ha_notice(notices, "the folder %s on store %s stays, as %s%s in it", folder, store,
                      first, json_array_size(files) > 1 ? " and others are" : " is");
        else
            ha_notice(notices, "the folder %s on store %s stays: %s", folder, store, err.msg);
    }
    ss_store_close(st);
}

// --- all of it ---

static int delete_files(struct ha_vm *vm, struct ha_owner *o, bool keep_disks, json_t *notices,
                        struct drv_err *err)
{
    struct ha *ha = vm->ha;
    for (unsigned i = 0; o && !keep_disks && i < o->rec.n_images; i++)
        if (delete_image(ha, &o->rec, &o->rec.images[i], notices, err) < 0)
            return -1;
    // Without the definition that it names, the record cannot be acted on when it is let go.
    struct ss_store *home = ha_store_open(ha, vm->home_store, NULL, err);
    int rc = home ? delete_definitions(home, vm->home, err) : -1;
    ss_store_close(home);
    if (rc < 0 || keep_disks)
        return rc;
    delete_folder(ha, vm->home_store, vm->home, notices);
    for (unsigned i = 0; o && i < o->rec.n_images; i++) {
        char folder[SS_PATH_MAX];
        const struct ss_record_image *im = &o->rec.images[i];
        DRV_COPY(folder, im->path);
        char *slash = strrchr(folder, '/');
        bool seen = !strcmp(im->store, vm->home_store);
        for (unsigned k = 0; k < i; k++)
            seen |= !strcmp(im->store, o->rec.images[k].store);
        if (slash && !seen) {
            *slash = '\0';
            delete_folder(ha, im->store, folder, notices);
        }
    }
    return 0;
}

static int delete_record(struct ha *ha, const char *uuid, struct drv_err *err)
{
    char path[SS_PATH_MAX];
    ss_record_path(uuid, path);
    struct ss_store *st = ha_arbiter_open(ha, err);
    int rc = st ? ss_unlink(st, path, err) : -1;
    ss_store_close(st);
    return rc;
}

// Another host runs the VM: nothing on the stores is this host's, and all that goes is its own
// entry. 1: done; 0: it is not so, or not to be found out; -1: the entry stays.
static int forget_foreign(struct ha_vm *vm, json_t *notices, struct drv_err *err)
{
    struct ss_record rec;
    struct drv_err ignored = DRV_ERR_INIT;
    char dir[256];
    if (ha_whose(vm->ha, vm->def.uuid, &rec, &ignored) != 0 || rec.state != SS_REC_RUNNING)
        return 0;
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    ha_vm_dir_remove(dir);
    if (db_vm_remove(vm->ha->db, vm->def.uuid, err) < 0)
        return -1;
    ha_notice(notices,
              "%s has %s: this host has forgotten it, and nothing on the stores was touched",
              rec.host, vm->def.name);
    return 1;
}

static int delete_all(struct ha_vm *vm, bool keep_disks, json_t *notices, struct drv_err *err)
{
    struct ha *ha = vm->ha;
    struct ha_owner *o = NULL;
    char dir[256];
    if (vm->run.qemu) {
        drv_err(err, DRV_ESTATE, "VM %s is running", vm->def.name);
        return drv_err_hint(err, "stop it first: drover vm stop %s", vm->def.name);
    }
    int forgotten = keep_disks ? forget_foreign(vm, notices, err) : 0;
    if (forgotten != 0)
        return forgotten < 0 ? -1 : 0;
    if (ha_vm_hold_record(vm, "delete", &o, err) < 0)
        return -1;
    int rc = delete_files(vm, o, keep_disks, notices, err);
    struct drv_err later = DRV_ERR_INIT;
    if (ha_owner_quit(o, rc < 0 ? &later : err) < 0)
        rc = -1;
    ha_vm_dir(ha, vm->def.uuid, dir, sizeof dir);
    ha_vm_dir_remove(dir);
    if (rc < 0 || delete_record(ha, vm->def.uuid, err) < 0)
        return -1;
    return db_vm_remove(ha->db, vm->def.uuid, err);
}

int ha_vm_delete(struct ha_vm *vm, bool keep_disks, json_t *notices, struct drv_err *err)
{
    if (delete_all(vm, keep_disks, notices, err) < 0) {
        drv_err_prefix(err, "VM %s was not deleted", vm->def.name);
        ha_vm_unlock(vm);
        return -1;
    }
    ha_vmlog_remove(vm->ha, vm->def.uuid);
    ha_vm_remove(vm);
    return 0;
}
