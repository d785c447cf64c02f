// SPDX-License-Identifier: GPL-3.0-or-later
// Storage moves: what the mover's ports do when a VM's disks go to another store of its host.
//
// The VM's own QEMU mirrors each disk to a new node over the new image, and uses it from `take` on.
// Where the guest's writes go is QEMU's to say (which node is on top of the disk), which images the
// VM has is the record's. They may differ only while the guest stands still: then both images of a
// disk are equal. take_back() makes them one again after a failure, and after a restart of the
// agent.
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "drover/log.h"
#include "qmp_block.h"

static struct qmp *qmp_of(struct ha_move *m)
{
    return m->vm->run.qemu->qmp;
}

static int need_running(struct ha_move *m, struct drv_err *err)
{
    if (!m->vm || !m->vm->run.qemu || !ha_qemu_alive(m->vm->run.qemu))
        return drv_err(err, DRV_EUNREACHABLE, "the VM's QEMU is gone");
    if (!m->vm->run.owner || !m->targets)
        return drv_err(err, DRV_ESTATE, "the VM's drover-stores are not attached");
    return 0;
}

static unsigned index_of(const struct ha_move *m, const struct mv_disk *d)
{
    unsigned i = 0;
    while (i + 1 < m->plan.n_disks && strcmp(m->plan.disks[i].id, d->id) != 0)
        i++;
    return i;
}

static unsigned moving_mask(const struct ha_move *m)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        mask |= m->plan.disks[i].moves ? 1u << i : 0;
    return mask;
}

// --- names in QEMU ---

void ha_storage_node(const struct ha_move *m, const struct mv_disk *d, char *ret, size_t size)
{
    snprintf(ret, size, "s-%.8s-%u", m->plan.move, index_of(m, d));
}

void ha_disk_node(const struct ha_qemu *q, const char *id, char *ret, size_t size)
{
    const json_t *nodes = json_object_get(q->extra, "nodes");
    const char *node = json_string_value(json_object_get(nodes, id));
    drv_copy(ret, size, node ? node : id);
}

static void note_node(struct ha_qemu *q, const char *id, const char *node)
{
    if (!q->extra)
        q->extra = json_object();
    json_t *nodes = json_object_get(q->extra, "nodes");
    if (!nodes) {
        nodes = json_object();
        json_object_set_new(q->extra, "nodes", nodes);
    }
    json_object_set_new(nodes, id, json_string(node));
}

static void job_name(const struct mv_disk *d, char *ret, size_t size)
{
    snprintf(ret, size, "mir-%s", d->id);
}

// --- the VM as it is when the disks in mask are at their targets ---

static void state_with(const struct ha_move *m, unsigned mask, struct ss_vmdef *ret_def,
                       const char **ret_store, const char **ret_home)
{
    const struct mv_plan *p = &m->plan;
    bool home = p->n_disks && (mask & 1u);
    *ret_def = p->def;
    for (unsigned i = 0; i < p->n_disks; i++)
        if (p->disks[i].moves && !(mask & (1u << i)))
            ret_def->disks[i] = p->disks[i].from;
    *ret_store = home ? p->to_home_store : p->from_home_store;
    *ret_home = home ? p->to_home : p->from_home;
}

unsigned ha_storage_named(const struct ha_move *m, const struct ss_record *rec)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < m->plan.n_disks; i++) {
        const struct mv_disk *d = &m->plan.disks[i];
        for (unsigned k = 0; k < rec->n_images && d->moves; k++)
            if (!strcmp(rec->images[k].disk, d->id) && !strcmp(rec->images[k].store, d->to.store) &&
                !strcmp(rec->images[k].path, d->to.path))
                mask |= 1u << i;
    }
    return mask;
}

// --- prepare, and its undo ---

int ha_storage_open(struct ha_move *m, struct drv_err *err)
{
    if (!m->vm->run.owner)
        return drv_err(err, DRV_ESTATE, "the VM's drover-stores are not attached");
    m->targets =
        ha_owner_targets_start(m->vm->run.owner, &m->plan.def, moving_mask(m), m->plan.move, err);
    return m->targets ? 0 : -1;
}

int ha_storage_close(struct ha_move *m, struct drv_err *err)
{
    struct ha_owner *o = m->vm ? m->vm->run.owner : NULL;
    if (!o)
        return 0;
    int rc = ha_owner_targets_quit(o, DRV_TAKE(m->targets), err);
    return ha_owner_retire(o, rc < 0 ? NULL : err) < 0 ? -1 : rc;
}

// --- copy ---

static int add_node(struct ha_move *m, const struct mv_disk *d, const char *node,
                    struct drv_err *err)
{
    char nbd[256], file[SS_PATH_MAX * 2];
    const char *format = ss_format_name(d->to.format);
    ha_owner_target_path(m->targets, index_of(m, d), nbd, sizeof nbd);
    if (nbd[0])
        return qmp_store_node_add(qmp_of(m), node, format, nbd, err);
    if (ha_owner_disk_path(m->ha, &m->plan.def, index_of(m, d), nbd, sizeof nbd, file, sizeof file,
                           err) < 0)
        return -1;
    return qmp_file_node_add(qmp_of(m), node, format, file, d->to.cache == SS_CACHE_NONE, err);
}

int ha_storage_mirror_start(struct ha_move *m, const struct mv_disk *d, uint64_t bandwidth_bps,
                            struct drv_err *err)
{
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8], now[SS_NAME_MAX + 8];
    if (need_running(m, err) < 0)
        return -1;
    job_name(d, job, sizeof job);
    ha_storage_node(m, d, node, sizeof node);
    ha_disk_node(m->vm->run.qemu, d->id, now, sizeof now);
    m->mirrors |= 1u << index_of(m, d);
    if (add_node(m, d, node, err) < 0)
        return drv_err_prefix(err, "disk %s", d->id);
    return qmp_mirror_start(qmp_of(m), job, now, node, bandwidth_bps, err);
}

uint64_t ha_storage_written(struct ha_move *m, const struct mv_disk *d)
{
    struct drv_err ignored = DRV_ERR_INIT;
    for (unsigned i = 0; m->targets && i < m->targets->n; i++) {
        struct ss_proc_status st;
        if (m->targets->disk_ix[i] == (int)index_of(m, d))
            return ha_owner_status(m->targets, i, &st, &ignored) == 0 ? st.write_bytes : 0;
    }
    struct ss_stat st = {0};
    struct ss_store *store = ha_store_open(m->ha, d->to.store, NULL, &ignored);
    if (store)
        ss_stat(store, d->to.path, &st, &ignored);
    ss_store_close(store);
    return st.allocated_bytes;
}

// --- take ---

// QEMU has written all that it had; see that it lies on the disk.
static int sync_local(struct ha_move *m, const struct mv_disk *d, struct drv_err *err)
{
    char nbd[256], file[SS_PATH_MAX * 2];
    if (ha_owner_disk_path(m->ha, &m->plan.def, index_of(m, d), nbd, sizeof nbd, file, sizeof file,
                           err) < 0)
        return -1;
    if (!file[0])
        return 0;
    DRV_AUTO_CLOSE int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fdatasync(fd) < 0)
        return drv_err_os(err, errno, "cannot write %s to the disk", file);
    return 0;
}

int ha_storage_freeze(struct ha_move *m, int timeout_ms, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    const struct mv_plan *p = &m->plan;
    char state[32];
    bool running = false;
    if (need_running(m, err) < 0 || qmp_status(qmp_of(m), state, sizeof state, &running, err) < 0)
        return -1;
    if (!running)
        return drv_err(err, DRV_ESTATE, "the VM is paused (%s)", state);
    if (qmp_stop_and_flush(qmp_of(m), timeout_ms, err) < 0)
        return -1;
    for (unsigned i = 0; i < p->n_disks; i++) {
        char job[SS_NAME_MAX + 8];
        job_name(&p->disks[i], job, sizeof job);
        int64_t left = deadline - drv_now_ms();
        if (p->disks[i].moves &&
            qmp_mirror_drain(qmp_of(m), job, left > 0 ? (int)left : 1, err) < 0)
            return -1;
    }
    // What the mirrors brought, and a new qcow2's tables, are still in caches.
    int64_t left = deadline - drv_now_ms();
    if (qmp_stop_and_flush(qmp_of(m), left > 0 ? (int)left : 1, err) < 0 ||
        ha_owner_targets_check(m->targets, err) < 0)
        return -1;
    for (unsigned i = 0; i < p->n_disks; i++)
        if (p->disks[i].moves && sync_local(m, &p->disks[i], err) < 0)
            return -1;
    return 0;
}

int ha_storage_is_pivoted(struct ha_move *m, const struct mv_disk *d, bool *ret,
                          struct drv_err *err)
{
    char node[SS_NAME_MAX + 8], top[SS_NAME_MAX + 8];
    ha_storage_node(m, d, node, sizeof node);
    if (need_running(m, err) < 0 || qmp_disk_node(qmp_of(m), d->id, top, sizeof top, err) < 0)
        return -1;
    *ret = !strcmp(node, top);
    return 0;
}

int ha_storage_pivot(struct ha_move *m, const struct mv_disk *d, int timeout_ms,
                     struct drv_err *err)
{
    char job[SS_NAME_MAX + 8], old[SS_NAME_MAX + 8];
    if (need_running(m, err) < 0)
        return -1;
    job_name(d, job, sizeof job);
    ha_disk_node(m->vm->run.qemu, d->id, old, sizeof old);
    if (qmp_mirror_pivot(qmp_of(m), job, old, timeout_ms, err) < 0)
        return -1;
    m->pivoted |= 1u << index_of(m, d);
    m->mirrors &= ~(1u << index_of(m, d));
    return 0;
}

static int change(struct ha_move *m, unsigned mask, struct drv_err *err)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    char hash[65], image_ids[SS_MAX_DISKS][DRV_UUID_LEN];
    const char *store, *home;
    struct ha_owner *o = m->vm->run.owner;
    state_with(m, mask, def, &store, &home);
    ha_home_sha256(def, hash);
    for (unsigned i = 0; i < SS_MAX_DISKS; i++)
        DRV_COPY(image_ids[i], i < m->plan.n_disks ? m->plan.disks[i].image_id : "");
    if (!o->unsettled[0] && strcmp(hash, o->rec.vm_json_sha256) != 0 &&
        strcmp(hash, m->json_sha256) != 0) { // none of ours lies there for certain
        struct ss_store *st = ha_store_open(m->ha, store, NULL, err);
        int rc = st ? ha_home_write_change(st, home, def, m->plan.epoch, hash, err) : -1;
        ss_store_close(st);
        if (rc < 0 || ha_owner_flush_home(o, store, home, m->plan.epoch, hash, err) < 0)
            return 0;
    }
    return ha_owner_change(o, m->targets, def, mask, (const char(*)[DRV_UUID_LEN])image_ids,
                           m->plan.move, store, home, hash, err);
}

int ha_storage_commit(struct ha_move *m, struct drv_err *err)
{
    if (need_running(m, err) < 0)
        return 0;
    return change(m, moving_mask(m), err);
}

int ha_storage_adopt(struct ha_move *m, struct drv_err *err)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    struct ha_qemu *q = m->vm->run.qemu;
    const char *store, *home;
    if (need_running(m, err) < 0)
        return -1;
    state_with(m, m->pivoted, def, &store, &home);
    for (unsigned i = 0; i < m->plan.n_disks; i++) {
        char node[SS_NAME_MAX + 8];
        if (!(m->pivoted & (1u << i)))
            continue;
        ha_storage_node(m, &m->plan.disks[i], node, sizeof node);
        note_node(q, m->plan.disks[i].id, node);
    }
    q->def = *def;
    // Both files together tell a later agent what runs here; in between the move is open.
    if (ha_owner_adopt(m->vm->run.owner, m->targets, def, m->pivoted, err) < 0)
        return -1;
    return ha_qemu_save(q, err);
}

// --- what is what after a failure ---

// Let a mirror end, one way or the other, and see what the guest uses.
static int settle_disk(struct ha_move *m, const struct mv_disk *d, bool forward,
                       struct drv_err *err)
{
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8], old[SS_NAME_MAX + 8];
    bool pivoted = false;
    unsigned bit = 1u << index_of(m, d);
    struct drv_err ignored = DRV_ERR_INIT;
    job_name(d, job, sizeof job);
    ha_storage_node(m, d, node, sizeof node);
    ha_disk_node(m->vm->run.qemu, d->id, old, sizeof old);
    if (forward)
        ha_storage_pivot(m, d, QMP_TIMEOUT_MS, &ignored);
    if (qmp_mirror_settle(qmp_of(m), job, node, err) < 0 ||
        ha_storage_is_pivoted(m, d, &pivoted, err) < 0)
        return -1;
    m->pivoted = pivoted ? m->pivoted | bit : m->pivoted & ~bit;
    if (!pivoted)
        return 0;
    m->mirrors &= ~bit;
    return strcmp(old, node) ? qmp_node_pair_del(qmp_of(m), old, err) : 0;
}

// QEMU is gone: the record alone says which images the VM has.
static int by_record(struct ha_move *m, struct drv_err *err)
{
    struct ha_owner *o = m->vm ? m->vm->run.owner : NULL;
    if (!o || ha_owner_reread(o, err) < 0)
        return -1;
    return ha_storage_named(m, &o->rec) ? 0 : 1;
}

int ha_storage_take_back(struct ha_move *m, struct drv_err *err)
{
    const struct mv_plan *p = &m->plan;
    char state[32];
    bool running = false;
    if (m->vm && m->vm->run.qemu && !ha_qemu_alive(m->vm->run.qemu))
        return by_record(m, err);
    if (need_running(m, err) < 0 || ha_owner_reread(m->vm->run.owner, err) < 0 ||
        qmp_status(qmp_of(m), state, sizeof state, &running, err) < 0)
        return -1;
    unsigned named = ha_storage_named(m, &m->vm->run.owner->rec);
    // Pivots come in the disks' order: one that was under way when the agent ended is settled
    // before those after it, which follow it, or stay as it does.
    for (unsigned i = 0; i < p->n_disks; i++) {
        bool forward = !running && m->pivoted && (named & (1u << i));
        if (p->disks[i].moves && settle_disk(m, &p->disks[i], forward, err) < 0)
            return -1;
    }
    if (m->pivoted != named && change(m, m->pivoted, err) != 1)
        return -1;
    if (ha_storage_adopt(m, err) < 0)
        return -1;
    return m->pivoted ? 0 : 1;
}

// --- the end ---

void ha_storage_arrived(struct ha_move *m)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    const char *store, *home;
    state_with(m, m->pivoted, def, &store, &home);
    ha_vm_set_def(m->vm, def, store, home);
}

int ha_storage_write_view(struct ha_move *m, struct drv_err *err)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    const char *store, *home;
    char path[SS_PATH_MAX];
    struct db_vm row = {.wanted_running = m->vm->wanted_running};
    state_with(m, m->pivoted, def, &store, &home);
    DRV_COPY(path, home);
    DRV_COPY(row.uuid, def->uuid);
    DRV_COPY(row.name, def->name);
    DRV_COPY(row.home_store, store);
    row.home_path = path;
    if (db_vm_put(m->ha->db, &row, err) < 0)
        return -1;
    ha_storage_arrived(m); // an agent that was started anew has the home of its database
    struct ss_store *st = ha_store_open(m->ha, store, NULL, err);
    int rc = st ? ha_home_write_view(st, home, def, m->plan.epoch, err) : -1;
    ss_store_close(st);
    return rc;
}

static bool same_folder(struct ha_move *m)
{
    char a[HA_URL_MAX], b[HA_URL_MAX], from[HA_URL_MAX], to[HA_URL_MAX];
    struct drv_err ignored = DRV_ERR_INIT;
    const struct mv_plan *p = &m->plan;
    return ha_store_url(m->ha, p->from_home_store, a, sizeof a, &ignored) == 0 &&
           ha_store_url(m->ha, p->to_home_store, b, sizeof b, &ignored) == 0 &&
           ha_store_file_url(a, p->from_home, from, sizeof from, &ignored) == 0 &&
           ha_store_file_url(b, p->to_home, to, sizeof to, &ignored) == 0 && !strcmp(from, to);
}

// The definitions that the record does not name any more.
int ha_storage_retire_home(struct ha_move *m, struct drv_err *err)
{
    const struct mv_plan *p = &m->plan;
    char view[SS_PATH_MAX], hash[65];
    struct drv_err ignored = DRV_ERR_INIT;
    bool left = (m->pivoted & 1u) && !same_folder(m);
    ha_home_sha256(&p->def, hash);
    struct ss_store *st = ha_store_open(m->ha, p->from_home_store, NULL, err);
    if (!st)
        return -1;
    int rc = ha_home_prune(st, p->from_home, p->epoch, left ? "" : hash, err);
    if (rc == 0 && left) {
        snprintf(view, sizeof view, "%.500s/vm.json", p->from_home);
        rc = ss_unlink(st, view, err);
        ss_rmdir(st, p->from_home, &ignored); // when it is empty now
    }
    ss_store_close(st);
    return rc;
}
