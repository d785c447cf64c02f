// SPDX-License-Identifier: GPL-3.0-or-later
// The mover's store ports: images of a move, its drover-stores, and the owner record's way from one
// host to the other (DESIGN.md section 3).
#include "move.h"

#include <stdlib.h>
#include <string.h>

#include "drover/log.h"
#include "kept.h"
#include "vm_log.h"

static struct ha_owner *owner_of(struct ha_move *m)
{
    return m->vm ? m->vm->run.owner : NULL;
}

static void folder_of(const char *path, char ret[SS_PATH_MAX])
{
    drv_copy(ret, SS_PATH_MAX, path);
    char *slash = strrchr(ret, '/');
    if (slash)
        *slash = '\0';
    else
        ret[0] = '\0';
}

static unsigned moving_mask(const struct mv_plan *p)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < p->n_disks; i++)
        mask |= p->disks[i].moves ? 1u << i : 0;
    return mask;
}

// --- destination: images ---

static int create_one(struct ha_move *m, unsigned i, struct drv_err *err)
{
    const struct mv_disk *d = &m->plan.disks[i];
    char folder[SS_PATH_MAX];
    struct ss_store *st = ha_store_open(m->ha, d->to.store, NULL, err);
    if (!st)
        return -1;
    folder_of(d->to.path, folder);
    int rc = ss_mkdir(st, folder, err);
    if (rc == 0)
        rc = ss_image_create(st, d->to.path, d->to.format, d->virtual_bytes,
                             drv_conf_str(m->ha->conf, "run_dir"), err);
    if (rc == 0)
        m->created |= 1u << i;
    ss_store_close(st);
    return rc < 0 ? drv_err_prefix(err, "image of disk %s", d->id) : 0;
}

// The definition that the record will name; nobody reads it before. Its name has its hash, as in a
// home that stays the source may write that epoch's own one while it takes back.
static uint64_t next_epoch(const struct mv_plan *p)
{
    return mv_plan_is_storage(p) ? p->epoch : p->epoch + 1;
}

static int write_next_definition(struct ha_move *m, struct drv_err *err)
{
    struct ss_store *st = ha_store_open(m->ha, m->plan.to_home_store, NULL, err);
    int rc = st ? ss_mkdir(st, m->plan.to_home, err) : -1;
    if (rc == 0)
        rc = ha_home_write_change(st, m->plan.to_home, &m->plan.def, next_epoch(&m->plan),
                                  m->json_sha256, err);
    ss_store_close(st);
    return rc;
}

static int flush_next_definition(struct ha_move *m, struct drv_err *err)
{
    return ha_owner_flush_home(owner_of(m), m->plan.to_home_store, m->plan.to_home,
                               next_epoch(&m->plan), m->json_sha256, err);
}

int ha_move_remove_next(struct ha_move *m, struct drv_err *err)
{
    char hash[65];
    struct drv_err ignored = DRV_ERR_INIT;
    struct ss_store *st = ha_store_open(m->ha, m->plan.to_home_store, NULL, err);
    if (!st)
        return -1;
    ha_home_sha256(&m->plan.def, hash);
    int rc = ha_home_remove_change(st, m->plan.to_home, next_epoch(&m->plan), hash, err);
    ss_rmdir(st, m->plan.to_home, &ignored); // when it is empty now
    ss_store_close(st);
    return rc;
}

static int create_images(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        if (m->plan.disks[i].moves && create_one(m, i, err) < 0)
            return -1;
    if (write_next_definition(m, err) < 0)
        return -1;
    // Between hosts the drover-stores are not there yet: open_stores flushes it.
    return mv_plan_is_storage(&m->plan) ? flush_next_definition(m, err) : 0;
}

static int remove_file(struct ha *ha, const char *store, const char *path, struct drv_err *err)
{
    char folder[SS_PATH_MAX];
    struct drv_err ignored = DRV_ERR_INIT;
    struct ss_store *st = ha_store_open(ha, store, NULL, err);
    if (!st)
        return -1;
    folder_of(path, folder);
    int rc = ss_unlink(st, path, err);
    if (folder[0])
        ss_rmdir(st, folder, &ignored); // when it is empty now
    ss_store_close(st);
    return rc;
}

static int delete_images(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    int rc = 0;
    if (mv_plan_is_storage(&m->plan)) {
        // What the record names is the VM's, whatever was to be undone.
        struct ha_owner *o = owner_of(m);
        if (o && o->rec_valid)
            m->created &= ~ha_storage_named(m, &o->rec);
    }
    if (m->json_sha256[0] && ha_move_remove_next(m, err) < 0)
        rc = -1;
    for (unsigned i = 0; i < m->plan.n_disks; i++) {
        if (!(m->created & (1u << i)))
            continue;
        if (remove_file(m->ha, m->plan.disks[i].to.store, m->plan.disks[i].to.path,
                        rc ? NULL : err) < 0)
            rc = -1;
        else
            m->created &= ~(1u << i);
    }
    return rc;
}

// --- drover-stores ---

static int open_stores(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (mv_plan_is_storage(&m->plan))
        return ha_storage_open(m, err);
    struct ha_owner *o = ha_owner_start(m->ha, &m->plan.def, moving_mask(&m->plan), err);
    if (!o)
        return -1;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        DRV_COPY(o->image_ids[i], m->plan.disks[i].image_id);
    m->vm->run.owner = o;
    return flush_next_definition(m, err);
}

static int close_stores(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (mv_plan_is_storage(&m->plan))
        return ha_storage_close(m, err);
    struct ha_owner *o = owner_of(m);
    if (o)
        m->vm->run.owner = NULL;
    int rc = ha_owner_quit(o, err);
    if (rc == 0 && (!m->vm || !m->vm->run.qemu))
        ha_vm_dir_end(m->ha, m->plan.def.uuid);
    return rc;
}

static int patience(void *ctx, int ms, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct ha_owner *o = owner_of(m);
    if (m->targets && ha_owner_set_patience(m->targets, ms, err) < 0)
        return -1;
    return o ? ha_owner_set_patience(o, ms, err) : 0;
}

// --- the record ---

static int release(void *ctx, bool *ret_written, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct ha_owner *o = owner_of(m);
    *ret_written = false;
    if (!o)
        return drv_err(err, DRV_ESTATE, "the VM's drover-stores are not attached");
    return ha_owner_release(o, SS_REC_RELEASED, m->plan.to, m->plan.move, ret_written, err);
}

// Rule 3's last sentence: only a record that says released, to us, for this move.
static int check_released(struct ha_move *m, const struct ss_record *rec, struct drv_err *err)
{
    if (rec->state == SS_REC_RELEASED && rec->epoch == m->plan.epoch &&
        !strcmp(rec->to, m->ha->fqdn) && !strcmp(rec->move, m->plan.move))
        return 0;
    drv_err(err, DRV_ESTATE,
            "the owner record (epoch %llu, %s, host %s) was not released for this move",
            (unsigned long long)rec->epoch, ss_record_state_name(rec->state), rec->host);
    return drv_err_id(err, "S07");
}

static int take_hold(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct ha_owner *o = owner_of(m);
    if (!o)
        return drv_err(err, DRV_ESTATE, "the destination has not opened the VM's stores");
    return ha_owner_hold(o, false, err) < 0 || check_released(m, &o->rec, err) < 0
               ? -1
               : ha_owner_check_images(o, moving_mask(&m->plan), err);
}

static int take_commit(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (mv_plan_is_storage(&m->plan))
        return ha_storage_commit(m, err);
    return ha_owner_commit(owner_of(m), m->vm->run.qemu->instance, m->plan.move,
                           m->plan.to_home_store, m->plan.to_home, m->json_sha256, err);
}

static int adopt(void *ctx, struct drv_err *err)
{
    return ha_storage_adopt(ctx, err);
}

// The epoch is the source's again: others may see it, and a later agent finds it.
static int back(struct ha_move *m, struct ha_owner *o)
{
    struct drv_err unsaved = DRV_ERR_INIT;
    ha_vm_publish(m->vm, NULL, o->rec.epoch, NULL);
    m->vm->run.qemu->epoch = o->rec.epoch;
    if (ha_qemu_save(m->vm->run.qemu, &unsaved) < 0)
        drv_log_err(LOG_WARNING, "move.take_back", &unsaved);
    return 1;
}

static int take_back(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct ha_owner *o = owner_of(m);
    struct drv_err why = DRV_ERR_INIT;
    char hash[65];
    if (mv_plan_is_storage(&m->plan))
        return ha_storage_take_back(m, err);
    if (!o || !m->vm->run.qemu)
        return drv_err(err, DRV_ESTATE, "the VM's QEMU or drover-stores are gone");
    // A release or an earlier take-back got no answer. When the record names this QEMU, the one
    // never counted or the other did.
    if (o->unsettled[0] && ha_owner_resume(o, m->vm->run.qemu->instance, &why) == 0) {
        o->unsettled[0] = '\0';
        return back(m, o);
    }
    if (ha_owner_hold(o, false, err) < 0)
        return -1;
    o->unsettled[0] = '\0'; // whatever became of it, the record is read and held now
    if (o->rec.epoch > m->plan.epoch && !ha_owner_names(o, m->vm->run.qemu->instance)) {
        drv_err(err, DRV_ESTATE, "%s took the VM at epoch %llu", o->rec.host,
                (unsigned long long)o->rec.epoch);
        return strcmp(o->rec.host, m->ha->fqdn) == 0 ? -1 : 0;
    }
    struct ss_store *st = ha_store_open(m->ha, m->plan.from_home_store, NULL, err);
    int rc =
        st ? ha_home_write_epoch(st, m->plan.from_home, &m->vm->def, m->plan.epoch + 1, hash, err)
           : -1;
    ss_store_close(st);
    if (rc < 0 ||
        ha_owner_flush_home(o, m->plan.from_home_store, m->plan.from_home, m->plan.epoch + 1, NULL,
                            err) < 0 ||
        ha_owner_commit(o, m->vm->run.qemu->instance, m->plan.move, m->plan.from_home_store,
                        m->plan.from_home, hash, err) != 1)
        return -1;
    return back(m, o);
}

// --- the end ---

static int retire_one(struct ha_move *m, const struct mv_disk *d, struct drv_err *err)
{
    char kept[SS_PATH_MAX];
    if (m->plan.keep_source_s <= 0)
        return remove_file(m->ha, d->from.store, d->from.path, err);
    if (snprintf(kept, sizeof kept, "%s.kept-%s", d->from.path, m->plan.move) >= (int)sizeof kept)
        return drv_err(err, DRV_EINVAL, "the name of the kept image of %s is too long", d->id);
    if (ha_kept_add(m->ha, m->plan.move, d->from.store, kept, m->plan.keep_source_s, err) < 0)
        return -1;
    struct ss_store *st = ha_store_open(m->ha, d->from.store, NULL, err);
    int rc = st ? ss_rename(st, d->from.path, kept, false, err) : -1;
    if (rc == 0)
        rc = ss_chmod_readonly(st, kept, err);
    ss_store_close(st);
    return rc;
}

static int retire_home(struct ha_move *m, struct drv_err *err)
{
    char view[SS_PATH_MAX];
    if (!mv_plan_moves_home(&m->plan))
        return 0;
    struct ss_store *st = ha_store_open(m->ha, m->plan.from_home_store, NULL, err);
    int rc = st ? ha_home_prune(st, m->plan.from_home, m->plan.epoch, "", err) : -1;
    ss_store_close(st);
    if (rc < 0)
        return -1;
    if (snprintf(view, sizeof view, "%s/vm.json", m->plan.from_home) >= (int)sizeof view)
        return 0;
    return remove_file(m->ha, m->plan.from_home_store, view, err);
}

static int retire_images(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    int rc = 0;
    bool storage = mv_plan_is_storage(&m->plan);
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        if (m->plan.disks[i].moves && retire_one(m, &m->plan.disks[i], rc ? NULL : err) < 0)
            rc = -1;
    if (storage)
        return ha_storage_retire_home(m, rc ? NULL : err) < 0 ? -1 : rc;
    if (retire_home(m, rc ? NULL : err) < 0)
        rc = -1;
    return rc;
}

static int write_definition(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    const struct mv_plan *p = &m->plan;
    struct db_vm row = {.wanted_running = true};
    char home[SS_PATH_MAX];
    if (mv_plan_is_storage(p))
        return ha_storage_write_view(m, err);
    DRV_COPY(home, p->to_home);
    DRV_COPY(row.uuid, p->def.uuid);
    DRV_COPY(row.name, p->def.name);
    DRV_COPY(row.home_store, p->to_home_store);
    row.home_path = home;
    if (db_vm_put(m->ha->db, &row, err) < 0)
        return -1;
    m->vm->run.qemu->epoch = m->vm->run.owner->rec.epoch;
    if (ha_qemu_save(m->vm->run.qemu, err) < 0)
        return -1;
    struct ss_store *st = ha_store_open(m->ha, p->to_home_store, NULL, err);
    int rc =
        st ? ha_home_write_view(st, p->to_home, &p->def, m->vm->run.owner->rec.epoch, err) : -1;
    ss_store_close(st);
    return rc;
}

const struct mv_store_ports ha_move_store_ports = {
    .create_images = create_images,
    .delete_images = delete_images,
    .open_stores = open_stores,
    .close_stores = close_stores,
    .patience = patience,
    .release = release,
    .take_hold = take_hold,
    .take_commit = take_commit,
    .adopt = adopt,
    .take_back = take_back,
    .retire_images = retire_images,
    .write_definition = write_definition,
};
