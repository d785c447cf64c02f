// SPDX-License-Identifier: GPL-3.0-or-later
// Moves that the agent left open when it ended: the journal says how far they came, the owner
// record who may run the VM (DESIGN.md section 3, rules 5 and 6).
//
// Source: what was begun is undone and the guest goes on; once the record may say "released", it is
// taken back first, or the destination has taken it and the rest of the move is done.
// Destination: when the record names the QEMU here, it took the VM and goes forward. If not, its
// copy is ended, the images that it made are deleted, and the journal says so for good.
// Storage move: up to `take` as at a source; from then on what QEMU has open decides, and the
// record where QEMU is gone.
#include <stdlib.h>
#include <string.h>

#include "drover/log.h"
#include "drover/worker.h"
#include "move.h"
#include "qemu_state.h"

enum { LOOK_BACK = 500, ASK_AGAIN_MS = 5000 };

// --- the journal's side ---

static struct mv_plan *plan_of(const struct db_move *row, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = json_loads(row->plan ? row->plan : "", 0, NULL);
    struct mv_plan *plan = drv_xcalloc(1, sizeof *plan);
    if (j && mv_plan_from_json(j, plan, err) == 0)
        return plan;
    drv_err(err, DRV_EINVAL, "the journal's plan of the move cannot be read");
    free(plan);
    return NULL;
}

// A refusal is written before the first thing is undone: the agent may have died in between.
static bool is_undone(struct ha *ha, const char *move)
{
    struct db_phases steps = {0};
    struct drv_err err = DRV_ERR_INIT;
    if (db_move_phases(ha->db, move, &steps, &err) < 0)
        drv_log_err(LOG_ERR, "move.journal", &err);
    bool undone = steps.n == 0;
    for (unsigned i = 0; i < steps.n; i++)
        undone |= !strcmp(steps.list[i].phase, "reserve") && steps.list[i].step == DB_UNDO &&
                  steps.list[i].state == DB_DONE;
    db_phases_done(&steps);
    return undone;
}

static bool is_open(struct ha *ha, const struct db_move *row)
{
    if (row->state == DB_MOVE_ACTIVE)
        return true;
    return row->role == DB_DESTINATION && row->state == DB_MOVE_REFUSED && !is_undone(ha, row->id);
}

// The VM that was arriving is in no other list of this host.
static void load_arriving(struct ha *ha, const struct db_move *row)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE struct mv_plan *plan = plan_of(row, &err);
    struct ha_vm *vm =
        plan && !ha_vm_find(ha, row->vm_uuid)
            ? ha_vm_add(ha, &plan->def, plan->to_home_store, plan->to_home, HA_BUSY_ATTACH, &err)
            : NULL;
    if (vm)
        ha_vm_publish(vm, "unknown", row->epoch_before, NULL);
    else if (err.code != DRV_OK)
        drv_log_err(LOG_ERR, "move.open", &err);
}

// The VM has left, and the row of it was the last thing to go (09_finish.c): only the journal does
// not say so yet. The destination brings its own part to an end alone.
static void end_left(struct ha *ha, const struct db_move *row)
{
    struct drv_err err = DRV_ERR_INIT;
    if (db_move_set_state(ha->db, row->id, DB_MOVE_DONE, NULL, NULL, &err) < 0)
        drv_log_err(LOG_ERR, "move.journal", &err);
}

int ha_moves_load(struct ha *ha, struct drv_err *err)
{
    struct db_moves rows = {0};
    if (db_move_list(ha->db, false, LOOK_BACK, &rows, err) < 0)
        return -1;
    for (unsigned i = 0; i < rows.n; i++) {
        const struct db_move *row = &rows.list[i];
        bool newest = true; // of this VM; an older one is over, whatever it left
        for (unsigned k = 0; k < i; k++)
            newest = newest && strcmp(rows.list[k].vm_uuid, row->vm_uuid) != 0;
        if (!newest || !is_open(ha, row))
            continue;
        drv_log(LOG_WARNING, "move.open", F_STR("move", row->id), F_STR("vm", row->vm_name),
                F_STR("role", db_role_name(row->role)), F_STR("phase", row->phase));
        if (row->role == DB_DESTINATION)
            load_arriving(ha, row);
        else if (!strcmp(row->phase, "finish") && !ha_vm_find(ha, row->vm_uuid))
            end_left(ha, row);
    }
    db_moves_done(&rows);
    return 0;
}

// The open move of a VM: its newest, as another one begins only when that is over.
static bool find_open(struct ha *ha, const char *uuid, struct db_move *ret)
{
    struct db_moves rows = {0};
    struct drv_err err = DRV_ERR_INIT;
    bool found = false;
    if (db_move_list(ha->db, false, LOOK_BACK, &rows, &err) < 0)
        drv_log_err(LOG_ERR, "move.journal", &err);
    for (unsigned i = 0; i < rows.n; i++) {
        if (strcmp(rows.list[i].vm_uuid, uuid) != 0)
            continue;
        found = is_open(ha, &rows.list[i]);
        if (found) {
            *ret = rows.list[i];
            rows.list[i] = (struct db_move){0};
        }
        break;
    }
    db_moves_done(&rows);
    return found;
}

// --- the record's side ---

// What the drover-stores here hold, else what anybody may read. -1: cannot be told now.
static int read_record(struct ha_vm *vm, struct ss_record *ret, struct drv_err *err)
{
    struct drv_err ignored = DRV_ERR_INIT;
    struct ha_owner *o = vm->run.owner;
    bool held;
    if (o && o->procs[o->record_ix] &&
        ss_proc_read_record(o->procs[o->record_ix], ret, &ignored) == 0)
        return 0;
    struct ss_store *arbiter = ha_arbiter_open(vm->ha, err);
    int rc = arbiter ? ss_record_peek(arbiter, vm->def.uuid, ret, &held, err) : -1;
    ss_store_close(arbiter);
    return rc;
}

// Until it can be read nothing is decided: the guest is in nobody's way meanwhile.
static void await_record(struct ha_vm *vm, struct ss_record *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    for (bool said = false; read_record(vm, ret, &err) < 0; drv_err_clear(&err)) {
        if (!said) {
            drv_err_prefix(&err, "the move cannot be ended yet");
            drv_log_err(LOG_WARNING, "move.recover", &err);
            ha_vm_publish(vm, NULL, 0, err.msg);
            said = true;
        }
        drv_sleep_ms(ASK_AGAIN_MS);
    }
    ha_vm_publish(vm, NULL, 0, "");
}

// Did this host take the VM? Without a QEMU the record may say "stopped" by now.
static bool is_taken(const struct ha_vm *vm, const struct ss_record *rec, uint64_t epoch_before)
{
    const struct ha_qemu *q = vm->run.qemu;
    if (rec->epoch <= epoch_before || strcmp(rec->host, vm->ha->fqdn) != 0)
        return false;
    return q ? rec->state == SS_REC_RUNNING && !strcmp(rec->instance, q->instance)
             : rec->state != SS_REC_RELEASED;
}

// --- source ---

// The guest ended meanwhile: nothing is left to take back or to go on with here.
static void source_without_qemu(struct ha_move *m)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    await_record(m->vm, rec);
    if (rec->epoch > m->plan.epoch && !strcmp(rec->host, m->plan.to))
        mv_job_restore(m->job, "verify", false);
    ha_move_end_source(m, mv_job_recover(m->job, false, &err), &err);
}

static void recover_source(struct ha_move *m)
{
    struct ha_run *run = &m->vm->run;
    struct drv_err err = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    if (!run->qemu) {
        source_without_qemu(m);
        return;
    }
    m->migrating = true;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        m->mirrors |= m->plan.disks[i].moves ? 1u << i : 0;
    // Whether the release was written is not known unless everything is still held.
    bool held = run->owner && ha_owner_verify(run->owner, run->qemu->instance, &ignored) == 0;
    if (run->owner && !held)
        drv_uuid_new(run->owner->unsettled);
    ha_move_end_source(m, mv_job_recover(m->job, !held, &err), &err);
}

// --- destination ---

// Images that the record names are somebody's disks, whatever the journal says.
static unsigned made_here(struct ha_move *m, const struct ss_record *rec)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < m->plan.n_disks; i++) {
        const struct mv_disk *d = &m->plan.disks[i];
        bool named = false;
        for (unsigned k = 0; k < rec->n_images; k++)
            named |= !strcmp(rec->images[k].image_id, d->image_id) ||
                     (d->to_url[0] && !strcmp(rec->images[k].store, d->to.store) &&
                      !strcmp(rec->images[k].path, d->to.path));
        mask |= d->moves && !named ? 1u << i : 0;
    }
    return mask;
}

static void give_up(struct ha_move *m, const struct ss_record *rec, bool taking)
{
    struct drv_err err = DRV_ERR_INIT;
    char dir[256];
    ha_vm_dir(m->ha, m->plan.def.uuid, dir, sizeof dir);
    m->created = made_here(m, rec);
    DRV_COPY(m->json_sha256, "unknown"); // it may have been written
    if (!m->vm->run.qemu) // alive without a monitor that answers: it is ended all the same
        m->vm->run.qemu = ha_state_read(dir, NULL);
    if (mv_job_abandon(m->job, &err) < 0 && !taking)
        drv_log_err(LOG_ERR, "move.recover.undo", &err);
    ha_move_end_destination(m, taking ? DB_MOVE_FAILED : DB_MOVE_REFUSED);
}

static void go_forward(struct ha_move *m)
{
    struct ha_run *run = &m->vm->run;
    struct drv_err err = DRV_ERR_INIT;
    m->arrived = true;
    ha_vm_set_def(m->vm, &m->plan.def, m->plan.to_home_store, m->plan.to_home);
    if (!run->qemu || !run->owner) { // it ended meanwhile: a stopped VM of this host
        struct db_vm row = {.home_path = m->plan.to_home};
        DRV_COPY(row.uuid, m->plan.def.uuid);
        DRV_COPY(row.name, m->plan.def.name);
        DRV_COPY(row.home_store, m->plan.to_home_store);
        if (db_vm_put(m->ha->db, &row, &err) < 0)
            drv_log_err(LOG_ERR, "move.recover", &err);
        ha_move_end_destination(m, err.code == DRV_OK ? DB_MOVE_DONE : DB_MOVE_ATTENTION);
        return;
    }
    if (ha_cont_again(m->ha, run->qemu, run->owner, &err) < 0)
        drv_log_err(LOG_ERR, "move.recover.cont", &err);
    ha_vm_publish(m->vm, err.code == DRV_OK ? "running" : "paused", m->plan.epoch + 1, err.msg);
    ha_move_finish_alone(m);
}

static void recover_destination(struct ha_move *m, const struct db_move *row)
{
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    pthread_mutex_lock(&m->step);
    await_record(m->vm, rec);
    bool taken = is_taken(m->vm, rec, m->plan.epoch);
    mv_job_restore(m->job, row->phase, taken);
    if (!taken)
        give_up(m, rec, row->taking);
    else if (rec->epoch == m->plan.epoch + 1)
        go_forward(m);
    else // it has been started anew since
        ha_move_end_destination(m, DB_MOVE_DONE);
    pthread_mutex_unlock(&m->step);
}

// --- storage move ---

// QEMU ended meanwhile: a stopped VM with the images that the record names.
static void storage_without_qemu(struct ha_move *m, const struct ss_record *rec, const char *phase)
{
    const struct mv_ports *p = &ha_move_ports;
    struct drv_err err = DRV_ERR_INIT, later = DRV_ERR_INIT;
    m->pivoted = ha_storage_named(m, rec);
    if (!m->pivoted) {
        mv_job_restore(m->job, strcmp(phase, "reserve") != 0 ? "copy" : phase, false);
        ha_move_end_source(m, mv_job_recover(m->job, false, &err), &err);
        return;
    }
    ha_storage_arrived(m);
    int rc = p->store->write_definition(m, &err);
    // A disk that stayed behind when the others went is for a person to look at.
    bool all = true;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        all = all && (!m->plan.disks[i].moves || (m->pivoted & (1u << i)));
    if (all && p->store->retire_images(m, rc < 0 ? &later : &err) < 0)
        rc = -1;
    p->host->unreserve(m, &later);
    if (!all)
        drv_err(&err, DRV_EATTENTION, "some disks are at their new store, some are not");
    ha_move_end_source(m, rc == 0 && all ? MV_DONE : MV_ATTENTION, &err);
}

static void recover_storage(struct ha_move *m, const char *phase)
{
    struct ha_run *run = &m->vm->run;
    struct drv_err err = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    await_record(m->vm, rec);
    m->created = made_here(m, rec);
    DRV_COPY(m->json_sha256, "unknown"); // it may have been written
    if (!run->qemu) {
        storage_without_qemu(m, rec, phase);
        return;
    }
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        m->mirrors |= m->plan.disks[i].moves ? 1u << i : 0;
    m->created = m->mirrors; // so far as the record does not name them in the end
    if (run->owner)
        m->targets =
            ha_owner_targets_attach(run->owner, &m->plan.def, m->mirrors, m->plan.move, &err);
    if (!m->targets) {
        drv_err_prefix(&err, "its drover-stores are not attached");
        ha_move_end_source(m, MV_ATTENTION, &err);
        return;
    }
    for (unsigned i = 0; i < m->plan.n_disks; i++) {
        const struct mv_disk *d = &m->plan.disks[i];
        bool pivoted = false;
        if (d->moves && ha_storage_is_pivoted(m, d, &pivoted, &ignored) == 0 && pivoted)
            m->pivoted |= 1u << i;
    }
    mv_job_restore(m->job, phase, false);
    ha_move_end_source(m, mv_job_recover(m->job, false, &err), &err);
}

// --- both ---

struct recovery {
    struct ha_move *m;
    struct db_move row;
};

static void recover(void *arg)
{
    struct recovery *r = arg;
    struct ha_move *m = r->m;
    drv_log(LOG_NOTICE, "move.recover", F_STR("move", m->plan.move), F_STR("vm", m->plan.def.name),
            F_STR("phase", r->row.phase));
    if (mv_plan_is_storage(&m->plan)) {
        recover_storage(m, r->row.phase);
    } else if (m->source) {
        mv_job_restore(m->job, r->row.phase, false);
        recover_source(m);
    } else {
        recover_destination(m, &r->row);
    }
    ha_move_put(m);
    db_move_done(&r->row);
    free(r);
}

static void mark_on_loop(void *arg)
{
    struct ha_move *m = arg;
    DRV_COPY(m->vm->busy, "ending a move");
    DRV_COPY(m->vm->move, m->plan.move);
}

// A row that does not belong to the QEMU here must not end it.
static bool fits(const struct ha_vm *vm, const struct mv_plan *plan, const struct db_move *row)
{
    const struct ha_qemu *q = vm->run.qemu;
    return row->role == DB_DESTINATION || !q || q->epoch == plan->epoch;
}

bool ha_move_recover(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_move row;
    if (!find_open(vm->ha, vm->def.uuid, &row))
        return false;
    DRV_AUTO_FREE struct mv_plan *plan = plan_of(&row, &err);
    if (plan && !fits(vm, plan, &row))
        drv_err(&err, DRV_ESTATE, "the journal's open move %s is not of this run of %s", row.id,
                vm->def.name);
    struct ha_move *m =
        err.code == DRV_OK ? ha_move_new(vm->ha, plan, row.role == DB_SOURCE) : NULL;
    if (m) {
        struct db_vm known = {0};
        struct drv_err ignored = DRV_ERR_INIT;
        m->added_vm = db_vm_get(vm->ha->db, vm->def.uuid, &known, &ignored) < 0;
        db_vm_done(&known);
        m->vm = vm;
        m->journalled = true;
        m->begun_ms = row.created_at_ms;
    }
    struct recovery *r = drv_xcalloc(1, sizeof *r);
    r->row = row;
    if (m && ha_move_add(m, NULL, &err) == 0) {
        r->m = ha_move_get(vm->ha, plan->move);
        drv_loop_call(vm->ha->loop, mark_on_loop, m);
        if (drv_work(vm->ha->loop, recover, NULL, r) == 0)
            return true;
        m->vm = NULL;
        ha_move_put(m);
        ha_move_over(m, NULL);
        drv_err(&err, DRV_EBUSY, "no thread can be had");
    }
    drv_log_err(LOG_ERR, "move.recover", &err);
    struct drv_err ignored = DRV_ERR_INIT;
    if (!m) // nothing to go by
        db_move_set_state(vm->ha->db, row.id, DB_MOVE_ATTENTION, NULL, NULL, &ignored);
    db_move_done(&r->row);
    free(r);
    return false;
}
