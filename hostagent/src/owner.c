// SPDX-License-Identifier: GPL-3.0-or-later
// Ownership of a VM on this host: see owner.h. Knows the order in which handles are taken and let
// go; what a handle is, drover-store knows.
#include "owner.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"

// --- rule 2 ---

static void drop_all(struct ha_owner *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        struct drv_err ignored = DRV_ERR_INIT;
        if (!o->is_new[i] || i == o->record_ix)
            ss_proc_drop(o->procs[i], &ignored);
    }
    o->rec_valid = false;
}

int ha_owner_hold(struct ha_owner *o, bool create, struct drv_err *err)
{
    int rc = ss_proc_hold_record(o->procs[o->record_ix], create, HA_HOLD_TIMEOUT_MS, err);
    if (rc < 0)
        drv_err_prefix(err, "owner record of %s", o->def.name);
    for (unsigned i = 0; rc == 0 && i < o->n; i++)
        if (o->disk_ix[i] >= 0) {
            rc = ss_proc_hold_image(o->procs[i], HA_HOLD_TIMEOUT_MS, err);
            if (rc < 0)
                drv_err_prefix(err, "disk %s", o->names[i]);
        }
    if (rc == 0) {
        struct drv_err why = DRV_ERR_INIT;
        rc = ss_proc_read_record(o->procs[o->record_ix], &o->rec, &why);
        o->rec_valid = rc == 0;
        if (rc < 0 && create && why.code == DRV_ENOTFOUND)
            rc = 0;
        else if (rc < 0 && err)
            *err = why;
    }
    if (rc < 0)
        drop_all(o);
    return rc;
}

const struct ss_record_image *ha_record_image(const struct ss_record *r, const char *disk)
{
    for (unsigned i = 0; i < r->n_images; i++)
        if (!strcmp(r->images[i].disk, disk))
            return &r->images[i];
    return NULL;
}

// Volume and file id of a disk's image as this host sees it now.
int ha_owner_image_ids(struct ha_owner *o, unsigned disk, struct ss_record_image *ret,
                       struct drv_err *err)
{
    for (unsigned i = 0; i < o->n; i++) {
        if (o->disk_ix[i] != (int)disk)
            continue;
        struct ss_proc_status st;
        if (ha_owner_status(o, i, &st, err) < 0)
            return -1;
        ret->volume_id = st.volume_id;
        ret->file_id = st.file_id;
        ret->size_bytes = st.size_bytes;
        return 0;
    }
    const struct ss_disk *d = &o->def.disks[disk];
    struct ss_store *store = ha_store_open(o->ha, d->store, NULL, err);
    struct ss_stat st = {0};
    int rc = store ? ss_stat(store, d->path, &st, err) : -1;
    ss_store_close(store);
    ret->volume_id = st.volume_id;
    ret->file_id = st.file_id;
    ret->size_bytes = st.size_bytes;
    return rc;
}

static int check_image(struct ha_owner *o, unsigned disk, struct drv_err *err)
{
    const struct ss_disk *d = &o->def.disks[disk];
    const struct ss_record_image *named = ha_record_image(&o->rec, d->id);
    struct ss_record_image now = {0};
    if (!named || strcmp(named->store, d->store) != 0 || strcmp(named->path, d->path) != 0) {
        drv_err(err, DRV_EATTENTION, "disk %s (%s:%s) is not in the owner record's image set",
                d->id, d->store, d->path);
        return drv_err_id(err, "S07");
    }
    if (ha_owner_image_ids(o, disk, &now, err) < 0)
        return -1;
    if (ss_record_image_is(named, now.volume_id, now.file_id))
        return 0;
    drv_err(err, DRV_EATTENTION, "disk %s: %s:%s is another file than the one recorded", d->id,
            d->store, d->path);
    drv_err_id(err, "S07");
    return drv_err_hint(err,
                        "somebody replaced the image (restored a copy?): put the original back");
}

int ha_owner_check_images(struct ha_owner *o, unsigned skip, struct drv_err *err)
{
    if (!o->rec_valid)
        return drv_err(err, DRV_ESTATE, "the owner record was not read");
    if (db_vm_epoch_check(o->ha->db, o->uuid, o->rec.epoch, err) < 0)
        return -1;
    if (o->rec.n_images != o->def.n_disks)
        return drv_err(err, DRV_EATTENTION, "the owner record names %u images, the VM has %u disks",
                       o->rec.n_images, o->def.n_disks);
    for (unsigned i = 0; i < o->def.n_disks; i++)
        if (!(skip & (1u << i)) && check_image(o, i, err) < 0)
            return -1;
    return 0;
}

static int fill_images(struct ha_owner *o, struct ss_record *next, struct drv_err *err)
{
    next->n_images = o->def.n_disks;
    for (unsigned i = 0; i < o->def.n_disks; i++) {
        const struct ss_disk *d = &o->def.disks[i];
        const struct ss_record_image *old = o->rec_valid ? ha_record_image(&o->rec, d->id) : NULL;
        struct ss_record_image *im = &next->images[i];
        memset(im, 0, sizeof *im);
        DRV_COPY(im->disk, d->id);
        DRV_COPY(im->store, d->store);
        DRV_COPY(im->path, d->path);
        if (o->image_ids[i][0])
            DRV_COPY(im->image_id, o->image_ids[i]);
        else if (old)
            DRV_COPY(im->image_id, old->image_id);
        else
            drv_uuid_new(im->image_id);
        if (ha_owner_image_ids(o, i, im, err) < 0)
            return -1;
    }
    return 0;
}

// Settle a commit without an answer: new session, then read (rules 4 and 5). What was read is in
// o->rec. -1 = not known yet.
int ha_owner_settle(struct ha_owner *o, struct drv_err *err)
{
    struct ss_record now;
    if (ha_owner_reopen(o, err) < 0)
        return -1;
    if (ss_proc_read_record(o->procs[o->record_ix], &now, err) < 0)
        return -1;
    o->rec = now;
    o->rec_valid = true;
    o->unsettled[0] = '\0';
    return 0;
}

int ha_owner_promote(struct ha_owner *o, struct drv_err *err)
{
    for (unsigned i = 0; i < o->n; i++)
        if (!o->procs[i])
            return drv_err(err, DRV_EUNREACHABLE, "drover-store of %s is not running", o->names[i]);
        else if (!o->image_gone[i] && ss_proc_promote(o->procs[i], o->rec.epoch, err) < 0)
            return drv_err_prefix(err, "promoting %s", o->names[i]);
    return 0;
}

int ha_owner_write(struct ha_owner *o, const struct ss_record *next, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    if (ss_proc_write_record(o->procs[o->record_ix], next, &why) == 0) {
        o->rec = *next;
        o->rec_valid = true;
        return 1;
    }
    bool unknown = why.code == DRV_ETIMEDOUT || why.code == DRV_EUNREACHABLE;
    if (unknown)
        DRV_COPY(o->unsettled, next->nonce);
    *err = why;
    return unknown ? -1 : 0;
}

int ha_owner_flush_home(struct ha_owner *o, const char *store, const char *home, uint64_t epoch,
                        const char *sha256, struct drv_err *err)
{
    char base[HA_URL_MAX], url[HA_URL_MAX], path[SS_PATH_MAX];
    struct ss_url u;
    if (ha_home_path(path, home, epoch, sha256, err) < 0 ||
        ha_store_url(o->ha, store, base, sizeof base, err) < 0 || ss_url_parse(base, &u, err) < 0)
        return -1;
    if (u.kind != SS_SMB)
        return 0;
    if (ha_store_file_url(base, path, url, sizeof url, err) < 0)
        return -1;
    if (!o->procs[o->record_ix])
        return drv_err(err, DRV_EUNREACHABLE, "drover-store of %s is not running",
                       o->names[o->record_ix]);
    return ss_proc_flush_file(o->procs[o->record_ix], url, err);
}

static int not_ours(const struct ha_owner *o, struct drv_err *err)
{
    drv_err(err, DRV_EDENIED, "%s took the VM at epoch %llu", o->rec.host,
            (unsigned long long)o->rec.epoch);
    return 0;
}

// A record of this host's, all but its images.
static struct ss_record new_record(const struct ha_owner *o, uint64_t epoch,
                                   enum ss_record_state state, const char *home_store,
                                   const char *home, const char *vm_json_sha256)
{
    struct ss_record r = {.epoch = epoch, .state = state};
    r.stall_deadline_s = ha_stall_deadline_s(o->ha, &o->def);
    DRV_COPY(r.vm, o->uuid);
    DRV_COPY(r.host, o->ha->fqdn);
    DRV_COPY(r.boot_id, o->ha->boot_id);
    DRV_COPY(r.home_store, home_store);
    DRV_COPY(r.home_path, home);
    DRV_COPY(r.vm_json_sha256, vm_json_sha256);
    drv_uuid_new(r.nonce);
    return r;
}

// The record that a commit writes over the present one.
static int next_record(struct ha_owner *o, const char *instance, const char *move,
                       const char *home_store, const char *home, const char *vm_json_sha256,
                       struct ss_record *ret, struct drv_err *err)
{
    uint64_t epoch = o->rec_valid ? o->rec.epoch : 0;
    *ret = new_record(o, epoch + 1, SS_REC_RUNNING, home_store, home, vm_json_sha256);
    DRV_COPY(ret->instance, instance);
    DRV_COPY(ret->move, move);
    return fill_images(o, ret, err);
}

// Does the record that we last read or wrote say that this instance runs here?
bool ha_owner_names(const struct ha_owner *o, const char *instance)
{
    return o->rec_valid && o->rec.state == SS_REC_RUNNING && !strcmp(o->rec.host, o->ha->fqdn) &&
           !strcmp(o->rec.instance, instance);
}

int ha_owner_commit(struct ha_owner *o, const char *instance, const char *move,
                    const char *home_store, const char *home, const char *vm_json_sha256,
                    struct drv_err *err)
{
    uint64_t before = o->rec_valid ? o->rec.epoch : 0;
    if (o->unsettled[0] && ha_owner_settle(o, err) < 0)
        return -1;
    if (!ha_owner_names(o, instance)) {
        struct ss_record next;
        if (o->rec_valid && o->rec.epoch != before)
            return not_ours(o, err);
        if (next_record(o, instance, move, home_store, home, vm_json_sha256, &next, err) < 0)
            return 0;
        int rc = ha_owner_write(o, &next, err);
        if (rc != 1)
            return rc;
    }
    // The record stands, on a second try as well: what is left is to promote.
    if (db_vm_epoch_raise(o->ha->db, o->uuid, o->rec.epoch, err) < 0 ||
        ha_owner_promote(o, err) < 0)
        return -1;
    return 1;
}

// --- rule 3 ---

// Images first, then the record.
static int close_all(struct ha_owner *o, struct drv_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < o->n; i++)
        if ((o->disk_ix[i] >= 0 || o->image_gone[i]) && ss_proc_release_image(o->procs[i], err) < 0)
            rc = -1;
    if (ss_proc_release_record(o->procs[o->record_ix], err) < 0)
        rc = -1;
    return rc;
}

// All that the guest was told is safe is on the server, and nothing more is written.
static int settle_images(struct ha_owner *o, struct drv_err *err)
{
    for (unsigned i = 0; i < o->n; i++)
        if (o->disk_ix[i] >= 0 && ss_proc_settle(o->procs[i], err) < 0)
            return drv_err_prefix(err, "disk %s", o->names[i]);
    return 0;
}

int ha_owner_release(struct ha_owner *o, enum ss_record_state state, const char *to,
                     const char *move, bool *ret_written, struct drv_err *err)
{
    *ret_written = false;
    if (!o->rec_valid)
        return drv_err(err, DRV_ESTATE, "the owner record is not held");
    bool was_running = o->rec.state == SS_REC_RUNNING;
    if (settle_images(o, err) < 0) {
        if (was_running) // the guest may go on here
            ha_owner_promote(o, &(struct drv_err)DRV_ERR_INIT);
        return -1;
    }
    struct ss_record next = o->rec;
    next.state = state;
    DRV_COPY(next.to, to);
    DRV_COPY(next.move, move);
    drv_uuid_new(next.nonce);
    if (state == SS_REC_STOPPED)
        next.instance[0] = '\0';
    int rc = ha_owner_write(o, &next, err);
    *ret_written = rc != 0;
    if (rc == 0 && was_running)
        ha_owner_promote(o, &(struct drv_err)DRV_ERR_INIT);
    if (rc != 1)
        return -1;
    return close_all(o, err);
}

int ha_owner_create(struct ha_owner *o, const char *home_store, const char *home,
                    const char *vm_json_sha256, struct drv_err *err)
{
    if (o->rec_valid)
        return drv_err(err, DRV_EEXIST, "VM %s has an owner record already", o->uuid);
    struct ss_record first = new_record(o, 1, SS_REC_STOPPED, home_store, home, vm_json_sha256);
    if (fill_images(o, &first, err) < 0 || ha_owner_write(o, &first, err) != 1 ||
        db_vm_epoch_raise(o->ha->db, o->uuid, 1, err) < 0)
        return -1;
    return close_all(o, err);
}

// --- after a lost session, and the gate's questions ---

int ha_owner_reopen(struct ha_owner *o, struct drv_err *err)
{
    // Rule 4: images first, the record last, then read it.
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < o->n; i++) {
            struct ss_proc_status st;
            if ((i == o->record_ix) != (pass == 1))
                continue;
            if (ha_owner_revive(o, i, err) < 0 || ha_owner_status(o, i, &st, err) < 0)
                return -1;
            if (st.state == SS_PS_LOST && ss_proc_reopen(o->procs[i], HA_HOLD_TIMEOUT_MS, err) < 0)
                return drv_err_prefix(err, "reopening %s", o->names[i]);
        }
    return 0;
}

int ha_owner_resume(struct ha_owner *o, const char *instance, struct drv_err *err)
{
    uint64_t mine = o->rec.epoch;
    bool known = o->rec_valid;
    if (ha_owner_reopen(o, err) < 0 ||
        ss_proc_read_record(o->procs[o->record_ix], &o->rec, err) < 0)
        return -1;
    o->rec_valid = true;
    // A commit of our own whose answer was lost counts as ours.
    if (known && o->rec.epoch > mine && !ha_owner_names(o, instance))
        return drv_err(err, DRV_EATTENTION, "fenced: %s owns the VM at epoch %llu, ours was %llu",
                       o->rec.host, (unsigned long long)o->rec.epoch, (unsigned long long)mine);
    if (ha_owner_check_images(o, 0, err) < 0)
        return -1;
    if (o->rec.state != SS_REC_RUNNING || strcmp(o->rec.host, o->ha->fqdn) != 0 ||
        strcmp(o->rec.instance, instance) != 0)
        return drv_err(err, DRV_EATTENTION, "the owner record says %s on %s, another instance",
                       ss_record_state_name(o->rec.state), o->rec.host);
    return ha_owner_promote(o, err);
}

int ha_owner_verify(struct ha_owner *o, const char *instance, struct drv_err *err)
{
    struct ss_record now;
    for (unsigned i = 0; i < o->n; i++) {
        struct ss_proc_status st;
        if (ha_owner_status(o, i, &st, err) < 0)
            return -1;
        bool held = o->image_gone[i] ? st.state != SS_PS_LOST // it reads the record, below
                                     : st.state == SS_PS_PROMOTED && st.epoch == o->rec.epoch;
        if (!held)
            return drv_err(err, DRV_ESTATE, "%s is not held at epoch %llu%s%s", o->names[i],
                           (unsigned long long)o->rec.epoch, st.lost_reason[0] ? ": " : "",
                           st.lost_reason);
    }
    if (ss_proc_read_record(o->procs[o->record_ix], &now, err) < 0)
        return -1;
    if (now.epoch != o->rec.epoch || now.state != SS_REC_RUNNING ||
        strcmp(now.host, o->ha->fqdn) != 0 || strcmp(now.instance, instance) != 0)
        return drv_err(err, DRV_EATTENTION,
                       "the owner record (epoch %llu, %s on %s) does not name this QEMU",
                       (unsigned long long)now.epoch, ss_record_state_name(now.state), now.host);
    return 0;
}

int ha_owner_set_patience(struct ha_owner *o, int ms, struct drv_err *err)
{
    for (unsigned i = 0; i < o->n; i++)
        if (o->procs[i] && ss_proc_set_patience(o->procs[i], ms, err) < 0)
            return -1;
    return 0;
}

bool ha_owner_lost(struct ha_owner *o, char *why, size_t size)
{
    for (unsigned i = 0; i < o->n; i++) {
        struct ss_proc_status st;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_owner_status(o, i, &st, &err) < 0) {
            snprintf(why, size, "%s: %.300s", o->names[i], err.msg);
            return true;
        }
        if (st.state == SS_PS_LOST) {
            snprintf(why, size, "%s: %s", o->names[i], st.lost_reason);
            return true;
        }
    }
    return false;
}
