// SPDX-License-Identifier: GPL-3.0-or-later
// Creating a VM: images, home folder, definition, and last its owner record, at epoch 1 and
// stopped. Whatever was made is removed again when a later step fails.
#include "vm_create.h"

#include <stdlib.h>
#include <string.h>

#include "disc.h"
#include "drover/log.h"
#include "drover/text.h"
#include "notices.h"

struct making {
    struct ha *ha;
    const struct ha_create_spec *spec;
    struct ss_vmdef def;
    struct ss_store *home;
    struct ha_import imports[SS_MAX_DISKS];
    uint64_t bytes[SS_MAX_DISKS];
    struct ha_owner *owner;
    // What there is to remove.
    bool made_home, made_record, made_row;
    unsigned made_images; // bit per disk
};

// --- before anything is touched ---

// UEFI's variables begin as the firmware's package has them; of no use to whoever asks.
static int look_at_nvram(struct making *m, unsigned i, struct drv_err *err)
{
    if (ha_import_look(m->ha, HA_UEFI_VARS, true, &m->imports[i], err) < 0) {
        drv_err_prefix(err, "UEFI");
        return drv_err_hint(err, "install the package ovmf, on each host");
    }
    m->bytes[i] = m->imports[i].bytes;
    return 0;
}

static int look_at_disks(struct making *m, struct drv_err *err)
{
    for (unsigned i = 0; i < m->def.n_disks; i++) {
        if (i >= m->spec->n_disks)
            return look_at_nvram(m, i, err);
        const struct ha_new_disk *d = &m->spec->disks[i];
        struct ha_import *in = &m->imports[i];
        if (d->import[0] && ha_import_look(m->ha, d->import, m->spec->import_any, in, err) < 0)
            return -1;
        uint64_t have = in->bytes;
        m->bytes[i] = d->size_bytes ? (d->size_bytes + 511) & ~(uint64_t)511 : have;
        if (m->bytes[i] < have)
            return drv_err(err, DRV_EINVAL, "%s holds %llu bytes, more than the disk's %llu",
                           d->import, (unsigned long long)have, (unsigned long long)m->bytes[i]);
    }
    return 0;
}

static int look_at_discs(struct making *m, struct drv_err *err)
{
    for (unsigned i = 0; i < m->def.n_cdroms; i++)
        if (ha_disc_check(m->ha, &m->def.cdroms[i], err) < 0)
            return -1;
    return 0;
}

static int name_is_free(struct making *m, struct drv_err *err)
{
    struct ss_stat st;
    struct drv_err why = DRV_ERR_INIT;
    if (ss_stat(m->home, m->def.name, &st, &why) == 0) {
        drv_err(err, DRV_EEXIST, "store %s has a folder %s already", m->spec->store, m->def.name);
        return drv_err_hint(err,
                            "`drover vm register %s/%s` if it is a VM; else choose another name",
                            m->spec->store, m->def.name);
    }
    if (why.code == DRV_ENOTFOUND)
        return 0;
    *err = why;
    return -1;
}

// --- making ---

static int make_image(struct making *m, unsigned i, struct drv_err *err)
{
    const struct ss_disk *d = &m->def.disks[i];
    struct ss_store *st = ha_store_open(m->ha, d->store, NULL, err);
    int rc = -1;
    if (st && ss_mkdir(st, m->def.name, err) == 0)
        rc = ss_image_create(st, d->path, d->format, m->bytes[i],
                             drv_conf_str(m->ha->conf, "run_dir"), err);
    ss_store_close(st);
    if (rc == 0)
        m->made_images |= 1u << i;
    return rc < 0 ? drv_err_prefix(err, "disk %s on store %s", d->id, d->store) : 0;
}

static int make_files(struct making *m, char ret_hash[65], struct drv_err *err)
{
    if (ss_mkdir(m->home, m->def.name, err) < 0)
        return -1;
    m->made_home = true;
    for (unsigned i = 0; i < m->def.n_disks; i++)
        if (make_image(m, i, err) < 0)
            return -1;
    return ha_home_write_epoch(m->home, m->def.name, &m->def, 1, ret_hash, err);
}

static int make_record_folder(struct ha *ha, struct drv_err *err)
{
    char path[SS_PATH_MAX];
    ss_record_path("", path);
    path[strlen(path) - 1] = '\0'; // ".drover/owners/" without its slash
    struct ss_store *st = ha_arbiter_open(ha, err);
    int rc = st ? ss_mkdir(st, path, err) : -1;
    ss_store_close(st);
    return rc;
}

// drover-store serves the imports' targets; then it holds everything while the record is written.
static int own(struct making *m, const char *hash, struct drv_err *err)
{
    unsigned imports = 0;
    for (unsigned i = 0; i < m->def.n_disks; i++)
        imports |= m->imports[i].path[0] ? 1u << i : 0;
    if (make_record_folder(m->ha, err) < 0)
        return -1;
    m->owner = ha_owner_start(m->ha, &m->def, imports, err);
    if (!m->owner)
        return -1;
    for (unsigned i = 0; i < m->def.n_disks; i++)
        if (imports & (1u << i) &&
            ha_import_copy(m->ha, &m->def, i, &m->imports[i], m->spec->progress,
                           m->spec->progress_arg, err) < 0)
            return -1;
    m->made_record = true;
    if (ha_owner_flush_home(m->owner, m->spec->store, m->def.name, 1, NULL, err) < 0 ||
        ha_owner_hold(m->owner, true, err) < 0 ||
        ha_owner_create(m->owner, m->spec->store, m->def.name, hash, err) < 0)
        return -1;
    return ha_owner_quit(DRV_TAKE(m->owner), err);
}

static int make_known(struct making *m, struct drv_err *err)
{
    struct db_vm row = {.home_path = m->def.name};
    DRV_COPY(row.uuid, m->def.uuid);
    DRV_COPY(row.name, m->def.name);
    DRV_COPY(row.home_store, m->spec->store);
    if (ha_home_write_view(m->home, m->def.name, &m->def, 1, err) < 0 ||
        db_vm_put(m->ha->db, &row, err) < 0)
        return -1;
    m->made_row = true;
    return 0;
}

// --- and unmaking; what cannot be removed is logged, the user gets the error that led here ---

static void undone(int rc, const char *what, const struct drv_err *err)
{
    if (rc < 0)
        drv_log(LOG_WARNING, "vm.create.leftover", F_STR("what", what), F_STR("msg", err->msg));
}

static void unmake_image(struct making *m, unsigned i)
{
    struct drv_err err = DRV_ERR_INIT;
    const struct ss_disk *d = &m->def.disks[i];
    struct ss_store *st = ha_store_open(m->ha, d->store, NULL, &err);
    int rc = st ? ss_unlink(st, d->path, &err) : -1;
    undone(rc, d->path, &err);
    if (rc == 0 && strcmp(d->store, m->spec->store) != 0) {
        struct drv_err ignored = DRV_ERR_INIT;
        ss_rmdir(st, m->def.name, &ignored); // another VM's files may be in it
    }
    ss_store_close(st);
}

static void unmake_record(struct making *m)
{
    struct drv_err err = DRV_ERR_INIT;
    char path[SS_PATH_MAX];
    ss_record_path(m->def.uuid, path);
    struct ss_store *st = ha_arbiter_open(m->ha, &err);
    undone(st ? ss_unlink(st, path, &err) : -1, path, &err);
    ss_store_close(st);
}

static void unmake_home(struct making *m)
{
    static const char *const files[] = {"vm.1.json", "vm.json"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(files); i++) {
        struct drv_err err = DRV_ERR_INIT;
        char path[SS_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", m->def.name, files[i]);
        undone(ss_unlink(m->home, path, &err), path, &err);
    }
    struct drv_err err = DRV_ERR_INIT;
    undone(ss_rmdir(m->home, m->def.name, &err), m->def.name, &err);
}

static void unmake(struct making *m)
{
    struct drv_err err = DRV_ERR_INIT;
    if (m->made_row)
        undone(db_vm_remove(m->ha->db, m->def.uuid, &err), "database row", &err);
    if (m->owner)
        undone(ha_owner_quit(DRV_TAKE(m->owner), &err), "drover-store", &err);
    if (m->made_record)
        unmake_record(m);
    for (unsigned i = 0; i < m->def.n_disks; i++)
        if (m->made_images & (1u << i))
            unmake_image(m, i);
    if (m->made_home)
        unmake_home(m);
}

static int make(struct making *m, struct drv_err *err)
{
    char hash[65], dir[256];
    int rc = -1;
    m->home = ha_store_open(m->ha, m->spec->store, NULL, err);
    if (m->home && name_is_free(m, err) == 0 && look_at_disks(m, err) == 0 &&
        look_at_discs(m, err) == 0 && make_files(m, hash, err) == 0 && own(m, hash, err) == 0 &&
        make_known(m, err) == 0)
        rc = 0;
    if (rc < 0)
        unmake(m);
    ha_vm_dir(m->ha, m->def.uuid, dir, sizeof dir);
    ha_vm_dir_remove(dir); // drover-store's logs
    ss_store_close(m->home);
    return rc;
}

static int define(struct making *m, json_t *notices, struct drv_err *err)
{
    struct ha_cpu_hosts *others = drv_xcalloc(1, sizeof *others);
    DRV_AUTO_FREE void *owned = others;
    if (!m->spec->cpu[0])
        ha_cpu_hosts_ask(m->ha, others);
    int rc = ha_create_def(m->ha->probe, others, m->spec, &m->def, notices, err);
    ha_cpu_hosts_done(others);
    return rc;
}

// It may be meant for another host.
static void note_memory(const struct ss_vmdef *def, json_t *notices)
{
    uint64_t total_kib, free_kib;
    struct drv_err ignored = DRV_ERR_INIT;
    if (ha_host_memory_kib(&total_kib, &free_kib, &ignored) == 0 && def->memory_kib > total_kib)
        ha_notice(notices, "it has more memory than this host, which has %s",
                  drv_fmt_bytes((int64_t)total_kib * 1024).s);
}

int ha_vm_create(struct ha *ha, const struct ha_create_spec *spec, char ret_uuid[DRV_UUID_LEN],
                 json_t *notices, struct drv_err *err)
{
    struct making *m = drv_xcalloc(1, sizeof *m);
    DRV_AUTO_FREE void *owned = m;
    m->ha = ha;
    m->spec = spec;
    if (define(m, notices, err) < 0)
        return drv_err_prefix(err, "VM %s", spec->name);
    // In the table from now on: nobody else can use the name here.
    struct ha_vm *vm = ha_vm_add(ha, &m->def, spec->store, spec->name, "creating", err);
    if (!vm)
        return -1;
    if (make(m, err) < 0) {
        ha_vm_remove(vm);
        return drv_err_prefix(err, "VM %s was not created", spec->name);
    }
    note_memory(&m->def, notices);
    memcpy(ret_uuid, m->def.uuid, DRV_UUID_LEN);
    ha_vm_publish(vm, "stopped", 1, "");
    ha_vm_unlock(vm);
    return 0;
}
