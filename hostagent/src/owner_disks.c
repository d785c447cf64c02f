// SPDX-License-Identifier: GPL-3.0-or-later
// Disks of a running VM that go to another store: their drover-stores come and go, the record stays
// held by the process that holds it. See owner.h.
//
// Which processes a VM has follows from its definition when it starts, and not any more afterwards:
// the process that held the record with a disk that has left goes on without the disk, and a new
// image's process cannot have the name of the old one's. So <dir>/stores.json tells. It is written
// before a process is started and after one has ended.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "json_file.h"

enum { SCHEMA = 1, FILE_MAX_BYTES = 64 * 1024 };

// --- stores.json ---

static void file_path(const struct ha_owner *o, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/stores.json", o->dir);
}

static json_t *encode(const struct ha_owner *o)
{
    json_t *procs = json_array(), *others = json_array();
    for (unsigned i = 0; i < o->n; i++)
        json_array_append_new(
            procs, json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "name", o->names[i], "disk",
                             o->disk_ix[i] >= 0 ? o->def.disks[o->disk_ix[i]].id : "", "url",
                             o->urls[i], "record", i == o->record_ix, "guards", o->guards[i],
                             "image_gone", o->image_gone[i]));
    for (unsigned i = 0; i < o->n_others; i++)
        json_array_append_new(others, json_string(o->others[i]));
    return json_pack("{s:i, s:o, s:o}", "schema", SCHEMA, "processes", procs, "others", others);
}

int ha_owner_save(const struct ha_owner *o, struct drv_err *err)
{
    char path[PATH_MAX];
    file_path(o, path);
    DRV_AUTO_JSON json_t *j = encode(o);
    return ha_json_save(path, j, err);
}

void ha_owner_forget(const struct ha_owner *o)
{
    char path[PATH_MAX];
    file_path(o, path);
    ha_json_remove(path);
}

static int disk_index(const struct ss_vmdef *def, const char *id)
{
    for (unsigned i = 0; i < def->n_disks; i++)
        if (!strcmp(def->disks[i].id, id))
            return (int)i;
    return -1;
}

static int decode_one(struct ha_owner *o, const json_t *j, struct drv_err *err)
{
    const char *name, *disk, *url;
    int record, guards, gone;
    json_error_t why;
    if (o->n == DRV_ARRAY_LEN(o->names))
        return drv_err(err, DRV_EINVAL, "stores.json: too many processes");
    if (json_unpack_ex((json_t *)j, &why, JSON_STRICT, "{s:s, s:s, s:s, s:b, s:b, s:b}", "name",
                       &name, "disk", &disk, "url", &url, "record", &record, "guards", &guards,
                       "image_gone", &gone) < 0)
        return drv_err(err, DRV_EINVAL, "stores.json: %s", why.text);
    unsigned i = o->n++;
    o->disk_ix[i] = disk_index(&o->def, disk);
    o->guards[i] = guards;
    o->image_gone[i] = gone;
    if (record)
        o->record_ix = i;
    if (DRV_COPY(o->names[i], name) < 0 || DRV_COPY(o->urls[i], url) < 0 ||
        (disk[0] && o->disk_ix[i] < 0))
        return drv_err(err, DRV_EINVAL, "stores.json: process %.64s does not fit the VM", name);
    return 0;
}

int ha_owner_load(struct ha_owner *o, struct drv_err *err)
{
    char path[PATH_MAX];
    int schema;
    json_t *procs, *others, *one;
    size_t k;
    json_error_t why;
    file_path(o, path);
    DRV_AUTO_JSON json_t *j = ha_json_load(path, FILE_MAX_BYTES, err);
    if (!j)
        return -1;
    if (json_unpack_ex(j, &why, JSON_STRICT, "{s:i, s:o, s:o}", "schema", &schema, "processes",
                       &procs, "others", &others) < 0)
        return drv_err(err, DRV_EINVAL, "%s: %s", path, why.text);
    o->record_ix = UINT_MAX;
    json_array_foreach(procs, k, one)
    {
        if (decode_one(o, one, err) < 0)
            return -1;
    }
    json_array_foreach(others, k, one)
    {
        const char *name = json_string_value(one);
        if (name && o->n_others < DRV_ARRAY_LEN(o->others))
            DRV_COPY(o->others[o->n_others++], name);
    }
    if (schema != SCHEMA || o->record_ix >= o->n)
        return drv_err(err, DRV_EINVAL, "%s: no process holds the record", path);
    return 0;
}

static void add_other(struct ha_owner *o, const char *name)
{
    for (unsigned i = 0; i < o->n_others; i++)
        if (!strcmp(o->others[i], name))
            return;
    if (o->n_others < DRV_ARRAY_LEN(o->others))
        DRV_COPY(o->others[o->n_others++], name);
}

static void drop_other(struct ha_owner *o, const char *name)
{
    for (unsigned i = 0; i < o->n_others; i++)
        if (!strcmp(o->others[i], name)) {
            o->n_others--;
            memmove(o->others[i], o->others[o->n_others], sizeof o->others[i]);
            return;
        }
}

// --- moving them about ---

static void move_process(struct ha_owner *to, struct ha_owner *from, unsigned i)
{
    unsigned k = to->n++;
    to->procs[k] = DRV_TAKE(from->procs[i]);
    memcpy(to->names[k], from->names[i], sizeof to->names[k]);
    memcpy(to->urls[k], from->urls[i], sizeof to->urls[k]);
    to->disk_ix[k] = from->disk_ix[i];
    to->is_new[k] = from->is_new[i];
    to->guards[k] = from->guards[i];
    to->image_gone[k] = from->image_gone[i];
}

static void remove_process(struct ha_owner *o, unsigned i)
{
    unsigned last = o->n - 1;
    ss_proc_close(DRV_TAKE(o->procs[i]));
    if (i == last) {
        o->n--;
        return;
    }
    o->n = i;
    move_process(o, o, last);
    o->n = last;
    if (o->record_ix == last)
        o->record_ix = i;
}

// --- new images ---

// The processes of the new images; there is no record among them.
static struct ha_owner *targets_new(struct ha_owner *o, const struct ss_vmdef *next, unsigned mask,
                                    const char *tag, struct drv_err *err)
{
    struct ha_owner *t = ha_owner_new(o->ha, next);
    t->record_ix = UINT_MAX;
    for (unsigned i = 0; i < next->n_disks; i++) {
        struct ss_url u;
        char url[HA_URL_MAX];
        if (!(mask & (1u << i)))
            continue;
        if (ha_store_url(o->ha, next->disks[i].store, url, sizeof url, err) < 0 ||
            ss_url_parse(url, &u, err) < 0) {
            ha_owner_free(t);
            return NULL;
        }
        if (u.kind != SS_SMB)
            continue;
        snprintf(t->names[t->n], sizeof t->names[0], "%.24s-%.8s", next->disks[i].id, tag);
        DRV_COPY(t->urls[t->n], url);
        t->guards[t->n] = true;
        t->disk_ix[t->n++] = (int)i;
    }
    return t;
}

struct ha_owner *ha_owner_targets_start(struct ha_owner *o, const struct ss_vmdef *next,
                                        unsigned mask, const char *tag, struct drv_err *err)
{
    struct ha_owner *t = targets_new(o, next, mask, tag, err);
    if (!t)
        return NULL;
    for (unsigned i = 0; i < t->n; i++)
        add_other(o, t->names[i]);
    int rc = ha_owner_save(o, err);
    for (unsigned i = 0; rc == 0 && i < t->n; i++)
        rc = ha_owner_start_one(t, i, false, err);
    if (rc == 0)
        rc = ha_owner_fill_fresh(t, mask, err);
    if (rc == 0)
        return t;
    ha_owner_targets_quit(o, t, &(struct drv_err)DRV_ERR_INIT);
    return NULL;
}

struct ha_owner *ha_owner_targets_attach(struct ha_owner *o, const struct ss_vmdef *next,
                                         unsigned mask, const char *tag, struct drv_err *err)
{
    struct ha_owner *t = targets_new(o, next, mask, tag, err);
    struct drv_err ignored = DRV_ERR_INIT;
    for (unsigned i = t ? t->n : 0; i-- > 0;) {
        bool adopted = false;
        for (unsigned k = 0; k < o->n; k++)
            adopted = adopted || !strcmp(o->names[k], t->names[i]);
        if (adopted)
            remove_process(t, i);
        else
            t->procs[i] = ss_proc_connect(t->dir, t->names[i], &ignored);
    }
    return t;
}

int ha_owner_targets_quit(struct ha_owner *o, struct ha_owner *t, struct drv_err *err)
{
    int rc = 0;
    if (!t)
        return 0;
    for (unsigned i = 0; i < t->n; i++) {
        if (t->procs[i] && ss_proc_quit(t->procs[i], true, rc ? NULL : err) < 0)
            rc = -1;
        else
            drop_other(o, t->names[i]);
    }
    ha_owner_free(t);
    if (ha_owner_save(o, rc ? NULL : err) < 0)
        rc = -1;
    return rc;
}

static int process_of(const struct ha_owner *t, unsigned disk)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->disk_ix[i] == (int)disk)
            return (int)i;
    return -1;
}

void ha_owner_target_path(const struct ha_owner *t, unsigned disk, char *ret, size_t size)
{
    int i = process_of(t, disk);
    ret[0] = '\0';
    if (i >= 0)
        ss_proc_nbd_path(t->dir, t->names[i], ret, size);
}

int ha_owner_targets_check(struct ha_owner *t, struct drv_err *err)
{
    for (unsigned i = 0; i < t->n; i++) {
        struct ss_proc_status st;
        if (ha_owner_status(t, i, &st, err) < 0)
            return -1;
        if (st.state != SS_PS_PROMOTED)
            return drv_err(err, DRV_EUNREACHABLE, "the new image of %s: %s",
                           t->def.disks[t->disk_ix[i]].id,
                           st.lost_reason[0] ? st.lost_reason : "it is not held");
    }
    return 0;
}

// --- the record ---

// The record's image of a disk, if it lies where the disk does.
static const struct ss_record_image *same_image(const struct ss_record *r, const struct ss_disk *d)
{
    const struct ss_record_image *im = ha_record_image(r, d->id);
    return im && !strcmp(im->store, d->store) && !strcmp(im->path, d->path) ? im : NULL;
}

static bool says(const struct ss_record *r, const struct ss_vmdef *next, const char *sha256)
{
    for (unsigned i = 0; i < next->n_disks; i++)
        if (!same_image(r, &next->disks[i]))
            return false;
    return !strcmp(r->vm_json_sha256, sha256);
}

// One disk as the record will have it: as it has it now; or a new image; or, on the way back, the
// image that the VM had before and still has open.
static int fill_one(struct ha_owner *o, struct ha_owner *holder, const struct ss_disk *d,
                    unsigned i, const char *image_id, struct ss_record_image *ret,
                    struct drv_err *err)
{
    struct ss_record_image now = {0};
    const struct ss_record_image *known = same_image(&o->rec, d);
    if (known) {
        *ret = *known;
        return 0;
    }
    if (ha_owner_image_ids(holder, i, &now, err) < 0)
        return drv_err_prefix(err, "disk %s", d->id);
    DRV_COPY(now.disk, d->id);
    DRV_COPY(now.store, d->store);
    DRV_COPY(now.path, d->path);
    DRV_COPY(now.image_id, image_id);
    *ret = now;
    return 0;
}

int ha_owner_change(struct ha_owner *o, struct ha_owner *t, const struct ss_vmdef *next,
                    unsigned mask, const char (*image_ids)[DRV_UUID_LEN], const char *move,
                    const char *home_store, const char *home, const char *vm_json_sha256,
                    struct drv_err *err)
{
    uint64_t epoch = o->rec.epoch;
    bool settled = o->unsettled[0];
    if (!o->rec_valid) {
        drv_err(err, DRV_ESTATE, "the owner record is not held");
        return 0;
    }
    if (settled && ha_owner_settle(o, err) < 0)
        return -1;
    if (o->rec.epoch != epoch || o->rec.state != SS_REC_RUNNING ||
        strcmp(o->rec.host, o->ha->fqdn) != 0) {
        drv_err(err, DRV_EATTENTION, "%s owns the VM at epoch %llu", o->rec.host,
                (unsigned long long)o->rec.epoch);
        return 0;
    }
    if (!says(&o->rec, next, vm_json_sha256)) {
        struct ss_record rec = o->rec;
        for (unsigned i = 0; i < next->n_disks; i++) {
            bool fresh = mask & (1u << i);
            // The record's order is the definition's; it is read before it is written over.
            struct ss_record_image *slot = &rec.images[i];
            if (fill_one(o, fresh ? t : o, &next->disks[i], i, fresh ? image_ids[i] : "", slot,
                         err) < 0)
                return 0;
        }
        DRV_COPY(rec.move, move);
        DRV_COPY(rec.home_store, home_store);
        DRV_COPY(rec.home_path, home);
        DRV_COPY(rec.vm_json_sha256, vm_json_sha256);
        drv_uuid_new(rec.nonce);
        int rc = ha_owner_write(o, &rec, err);
        if (rc != 1)
            return rc;
    }
    // Sessions that were lost with the answer are new ones now.
    return settled && ha_owner_promote(o, err) < 0 ? -1 : 1;
}

int ha_owner_redefine(struct ha_owner *o, const struct ss_vmdef *next, const char *vm_json_sha256,
                      struct drv_err *err)
{
    uint64_t epoch = o->rec.epoch;
    if (o->unsettled[0] && ha_owner_settle(o, err) < 0)
        return -1;
    if (o->rec.epoch != epoch) {
        drv_err(err, DRV_EATTENTION, "%s owns the VM at epoch %llu", o->rec.host,
                (unsigned long long)o->rec.epoch);
        return 0;
    }
    if (says(&o->rec, next, vm_json_sha256))
        return 1;
    struct ss_record rec = o->rec;
    o->def = *next;
    rec.n_images = next->n_disks;
    memset(rec.images, 0, sizeof rec.images);
    for (unsigned i = 0; i < next->n_disks; i++) {
        char image_id[DRV_UUID_LEN];
        drv_uuid_new(image_id);
        if (fill_one(o, o, &next->disks[i], i, image_id, &rec.images[i], err) < 0)
            return 0;
    }
    DRV_COPY(rec.vm_json_sha256, vm_json_sha256);
    drv_uuid_new(rec.nonce);
    return ha_owner_write(o, &rec, err);
}

int ha_owner_reread(struct ha_owner *o, struct drv_err *err)
{
    char why[300];
    uint64_t epoch = o->rec.epoch;
    bool known = o->rec_valid, lost = ha_owner_lost(o, why, sizeof why);
    if ((lost && ha_owner_reopen(o, err) < 0) ||
        ss_proc_read_record(o->procs[o->record_ix], &o->rec, err) < 0)
        return -1;
    o->rec_valid = true;
    o->unsettled[0] = '\0';
    if (known && o->rec.epoch != epoch)
        return drv_err(err, DRV_EATTENTION, "%s owns the VM at epoch %llu", o->rec.host,
                       (unsigned long long)o->rec.epoch);
    return lost ? ha_owner_promote(o, err) : 0;
}

// --- the change ---

// The process of a disk's old image: the one with the record stays for that.
static void leave(struct ha_owner *o, unsigned i)
{
    if (i == o->record_ix) {
        o->disk_ix[i] = -1;
        o->urls[i][0] = '\0';
        o->image_gone[i] = true;
        return;
    }
    add_other(o, o->names[i]);
    remove_process(o, i);
}

int ha_owner_adopt(struct ha_owner *o, struct ha_owner *t, const struct ss_vmdef *next,
                   unsigned mask, struct drv_err *err)
{
    for (unsigned d = 0; d < next->n_disks; d++) {
        struct ss_disk *now = &o->def.disks[d];
        const struct ss_disk *then = &next->disks[d];
        if (!(mask & (1u << d)) ||
            (!strcmp(now->store, then->store) && !strcmp(now->path, then->path)))
            continue;
        int old = process_of(o, d), fresh = process_of(t, d);
        if (old >= 0)
            leave(o, (unsigned)old);
        if (fresh >= 0) {
            drop_other(o, t->names[fresh]);
            move_process(o, t, (unsigned)fresh);
            o->is_new[o->n - 1] = false;
            remove_process(t, (unsigned)fresh);
        }
        *now = *then;
    }
    if (ha_owner_save(o, err) < 0)
        return -1;
    return ha_owner_promote(o, err);
}

int ha_owner_retire(struct ha_owner *o, struct drv_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < o->n; i++)
        if (o->image_gone[i] &&
            (!o->procs[i] || ss_proc_release_image(o->procs[i], rc ? NULL : err) < 0))
            rc = -1;
    for (unsigned i = o->n_others; i-- > 0;) {
        struct drv_err gone = DRV_ERR_INIT;
        struct ss_proc *p = ss_proc_connect(o->dir, o->others[i], &gone);
        // Its image is let go in order; when that fails it ends all the same.
        if (p)
            ss_proc_release_image(p, &gone);
        if (p && ss_proc_quit(p, true, rc ? NULL : err) < 0)
            rc = -1;
        else
            drop_other(o, o->others[i]);
        ss_proc_close(p);
    }
    if (ha_owner_save(o, rc ? NULL : err) < 0)
        rc = -1;
    return rc;
}
