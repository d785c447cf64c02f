// SPDX-License-Identifier: GPL-3.0-or-later
// The engine: walks the phase table forward, and backward when a phase before `take` fails.
//
// Why straight-line blocking phases instead of a callback machine: a move is one procedure with
// many waits; on a thread of its own it reads from top to bottom, its undo stands beside it, and a
// unit test runs it with fake ports and no event loop.
//
// The journal comes first: a phase's "begun" is on disk before its start runs, its end after. When
// the journal cannot be written the walk stops and undoes. Before `take`, failure and cancel undo
// the current row and then the earlier rows in reverse; an undo that fails is recorded and the
// others still run. From `take` on there is no undo: two running guests is the worst outcome there
// is. A failure there is remembered and the later rows still run, as the VM is the destination's
// and the source's remains must go. What `take` does when its answer is lost is in
// phases/07_take.c.
//
// A storage move is the same walk with one host: rows that do not apply are left out, and what the
// destination would be asked for is done by the same job (mv_ask).
#include "mover_int.h"

#include <stdlib.h>
#include <string.h>

static const struct mv_phase *const table[] = {
    &mv_phase_check,  &mv_phase_reserve, &mv_phase_prepare, &mv_phase_copy,  &mv_phase_memory,
    &mv_phase_switch, &mv_phase_take,    &mv_phase_verify,  &mv_phase_finish};
enum { ROWS = DRV_ARRAY_LEN(table), DECIDE_S = 30 };

static const char *const result_names[] = {
    [MV_DONE] = "done",
    [MV_FAILED] = "failed",
    [MV_CANCELLED] = "cancelled",
    [MV_ATTENTION] = "attention",
};
_Static_assert(DRV_ARRAY_LEN(result_names) == MV_RESULT_MAX_, "a name per result");

const char *mv_result_name(enum mv_result r)
{
    return r < MV_RESULT_MAX_ ? result_names[r] : "failed";
}

const char *const *mv_phase_names(void)
{
    static const char *names[ROWS + 1];
    for (unsigned i = 0; i < ROWS; i++)
        names[i] = table[i]->name;
    return names;
}

struct mv_job *mv_job_new(const struct mv_plan *plan, const struct mv_ports *ports, void *context,
                          bool source)
{
    struct mv_job *job = drv_xcalloc(1, sizeof *job);
    job->plan = *plan;
    job->ports = ports;
    job->ctx = context;
    job->source = source;
    atomic_init(&job->fate, MV_OPEN);
    atomic_init(&job->taken, false);
    atomic_init(&job->max_blackout_ms, plan->max_blackout_ms);
    atomic_init(&job->bandwidth_bps, plan->bandwidth_bps);
    atomic_init(&job->wait_s, DECIDE_S);
    atomic_init(&job->decisions, 0);
    job->t.begun = mv_now_us(job);
    job->progress.phases = ROWS;
    job->progress.phase = table[0]->name;
    for (unsigned i = 0; i < plan->n_disks; i++)
        if (plan->disks[i].moves) {
            DRV_COPY(job->progress.disks[job->progress.n_disks].id, plan->disks[i].id);
            job->progress.n_disks++;
        }
    return job;
}

void mv_job_free(struct mv_job *job)
{
    free(job);
}

const struct mv_plan *mv_job_plan(const struct mv_job *job)
{
    return &job->plan;
}

int mv_job_cancel(struct mv_job *job, struct drv_err *err)
{
    enum mv_fate open = MV_OPEN;
    if (atomic_compare_exchange_strong(&job->fate, &open, MV_CANCEL_ASKED) ||
        open == MV_CANCEL_ASKED)
        return 0;
    return drv_err(err, DRV_ESTATE, "the VM is being switched over: too late to cancel");
}

void mv_job_set_limits(struct mv_job *job, uint32_t max_blackout_ms, uint64_t bandwidth_bps)
{
    if (max_blackout_ms)
        atomic_store(&job->max_blackout_ms, max_blackout_ms);
    if (bandwidth_bps)
        atomic_store(&job->bandwidth_bps, bandwidth_bps);
    atomic_fetch_add(&job->decisions, 1);
}

void mv_job_throttle(struct mv_job *job, unsigned percent)
{
    atomic_store(&job->throttle_percent, percent);
    atomic_fetch_add(&job->decisions, 1);
}

void mv_job_wait(struct mv_job *job, uint32_t wait_s)
{
    atomic_store(&job->wait_s, wait_s);
    atomic_fetch_add(&job->decisions, 1);
}

int mv_check_cancel(struct mv_job *job, struct drv_err *err)
{
    if (atomic_load(&job->fate) != MV_CANCEL_ASKED)
        return 0;
    return drv_err(err, DRV_ECANCELLED, "cancelled");
}

bool mv_committed(const struct mv_job *job)
{
    return atomic_load(&job->fate) == MV_COMMITTED;
}

bool mv_between_hosts(const struct mv_job *job)
{
    return !mv_plan_is_storage(&job->plan);
}

int64_t mv_now_us(const struct mv_job *job)
{
    return job->ports->host->now_us(job->ctx);
}

void mv_publish(struct mv_job *job)
{
    struct mv_progress *p = &job->progress;
    p->memory = job->memory;
    p->cancelling = atomic_load(&job->fate) == MV_CANCEL_ASKED;
    p->committed = mv_committed(job);
    p->elapsed_ms = (mv_now_us(job) - job->t.begun) / 1000;
    job->ports->host->progress(job->ctx, p);
}

void mv_back_off(struct mv_job *job, int *io_ms, const struct drv_err *why)
{
    *io_ms = *io_ms == 0 ? 200 : *io_ms < 2500 ? *io_ms * 2 : 5000;
    DRV_COPY(job->progress.waiting, why->msg);
    mv_publish(job);
    job->ports->host->pause(job->ctx, *io_ms);
    job->progress.waiting[0] = '\0';
}

int mv_blackout_left_ms(const struct mv_job *job, const char *what, struct drv_err *err)
{
    int64_t left = (int64_t)job->max_blackout_ms - (mv_now_us(job) - job->t.stopped) / 1000;
    if (left > 0)
        return (int)left;
    drv_err(err, DRV_ETIMEDOUT, "%s would have passed the blackout limit of %u ms", what,
            (unsigned)job->max_blackout_ms);
    return drv_err_hint(err, "allow a longer pause with --max-blackout");
}

static int find_row(const char *phase, struct drv_err *err)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (!strcmp(table[i]->name, phase) && table[i]->dst_step)
            return (int)i;
    return drv_err(err, DRV_EINVAL, "there is no phase \"%.32s\" at a destination", phase);
}

static json_t *ask_here(struct mv_job *job, const char *phase, const char *step, json_t *args,
                        struct drv_err *err)
{
    DRV_AUTO_JSON json_t *owned = args;
    int i = find_row(phase, err);
    return i < 0 ? NULL : table[i]->dst_step(job, step, owned, err);
}

json_t *mv_ask(struct mv_job *job, const char *phase, const char *step, json_t *args,
               int timeout_ms, struct drv_err *err)
{
    json_t *ret = NULL;
    if (!mv_between_hosts(job))
        return ask_here(job, phase, step, args ? args : json_object(), err);
    if (job->ports->peer->enter(job->ctx, phase, step, args ? args : json_object(), timeout_ms,
                                &ret, err) < 0)
        return NULL;
    return ret;
}

int mv_ask_forward(struct mv_job *job, const char *phase, int timeout_ms, struct drv_err *err)
{
    int64_t end_us = 0;
    for (int pause_ms = 0;;) {
        char word[16] = "";
        struct drv_err why = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
        DRV_AUTO_JSON json_t *reply = mv_ask(job, phase, "", NULL, timeout_ms, &why);
        if (reply)
            return 0;
        // The question about its state also makes the new channel for the next try.
        bool taken = mv_between_hosts(job) &&
                     job->ports->peer->status(job->ctx, word, sizeof word, &ignored) == 0 &&
                     !strcmp(word, "taken");
        if (taken && (why.code == DRV_ESTATE || why.code == DRV_ENOTFOUND))
            return 0; // it lost the channel, or was started anew, and ended the move alone
        if (!end_us)
            end_us = mv_now_us(job) + 60 * 1000000LL;
        if (why.code == DRV_EATTENTION || mv_now_us(job) >= end_us) {
            *err = why;
            return -1;
        }
        mv_back_off(job, &pause_ms, &why);
    }
}

json_t *mv_unknown_step(const char *phase, const char *step, struct drv_err *err)
{
    drv_err(err, DRV_EINVAL, "phase %s has no step \"%s\"", phase, step);
    return NULL;
}

static bool applies(const struct mv_phase *row, const struct mv_job *job)
{
    return !row->applies || row->applies(job);
}

// --- source ---

static int run_row(struct mv_job *job, unsigned i, struct drv_err *err)
{
    const struct mv_phase *row = table[i];
    const struct mv_journal_ports *journal = job->ports->journal;
    struct drv_err journal_err = DRV_ERR_INIT;
    job->progress.phase = row->name;
    job->progress.phase_no = i + 1;
    mv_publish(job);
    if (mv_check_cancel(job, err) < 0)
        return -1;
    job->begun_rows |= 1u << i;
    // After the commit even a broken journal stops nothing: recovery goes forward from `take` too.
    int journalled = journal->phase_begin(job->ctx, row->name, false, &journal_err);
    if (journalled < 0 && !mv_committed(job)) {
        *err = journal_err;
        return drv_err_prefix(err, "journal");
    }
    int rc = row->src_start(job, err);
    if (journal->phase_end(job->ctx, row->name, false, rc < 0 ? err : NULL, &journal_err) < 0)
        journalled = -1;
    if (rc == 0 && journalled < 0) {
        *err = journal_err;
        return drv_err_prefix(err, "journal");
    }
    return rc;
}

static int undo_at_destination(struct mv_job *job, const struct mv_phase *row, struct drv_err *err)
{
    return mv_between_hosts(job) ? job->ports->peer->undo(job->ctx, row->name, err)
                                 : row->dst_undo(job, err);
}

// Undo rows [0..last] in reverse. Everything is tried; what failed is in the journal. Ends early
// when a row finds that the destination holds the VM (mv_committed). false: *ret_why is the first
// failure that leaves something behind.
static bool undo_rows(struct mv_job *job, unsigned last, struct drv_err *ret_why)
{
    bool clean = true;
    for (unsigned i = last + 1; i-- > 0 && !mv_committed(job);) {
        const struct mv_phase *row = table[i];
        if (!(job->begun_rows & (1u << i)) || (!row->src_undo && !row->dst_undo) ||
            (row->undoes && !row->undoes(job)))
            continue;
        struct drv_err ignored = DRV_ERR_INIT, why = DRV_ERR_INIT, peer = DRV_ERR_INIT;
        job->ports->journal->phase_begin(job->ctx, row->name, true, &ignored);
        int rc = row->src_undo ? row->src_undo(job, &why) : 0;
        if (rc < 0 && clean)
            *ret_why = why;
        clean = clean && rc == 0;
        // That the destination could not be told only goes into the journal: without a channel it
        // abandons by itself.
        if (row->dst_undo && !mv_committed(job) && undo_at_destination(job, row, &peer) < 0) {
            if (clean && !mv_between_hosts(job)) {
                *ret_why = peer;
                clean = false;
            }
            if (rc == 0) {
                why = peer;
                rc = drv_err_prefix(&why, "at the destination");
            }
        }
        job->ports->journal->phase_end(job->ctx, row->name, true, rc < 0 ? &why : NULL, &ignored);
    }
    return clean;
}

static unsigned take_row(void)
{
    unsigned i = 0;
    while (table[i] != &mv_phase_take)
        i++;
    return i;
}

// Why the move ended, and what its undo could not do.
static enum mv_result not_undone(const struct mv_job *job, const struct drv_err *first,
                                 const struct drv_err *undo, struct drv_err *err)
{
    drv_err(err, first->code, "%.220s; undoing it: %.220s", first->msg, undo->msg);
    drv_err_id(err, first->id);
    if (undo->hint[0])
        drv_err_hint(err, "%s", undo->hint);
    else
        drv_err_hint(err, "see what the VM does: drover -H %s vm show %s", job->plan.from,
                     job->plan.def.name);
    return MV_ATTENTION;
}

static enum mv_result walk(struct mv_job *job, unsigned from, struct drv_err *err)
{
    struct drv_err first = DRV_ERR_INIT;
    for (unsigned i = from; i < ROWS; i++) {
        struct drv_err why = DRV_ERR_INIT;
        if (!applies(table[i], job) || run_row(job, i, &why) == 0)
            continue;
        if (first.code == DRV_OK) {
            first = why;
            DRV_COPY(job->failed_phase, table[i]->name);
        }
        if (mv_committed(job))
            continue;
        struct drv_err undo = DRV_ERR_INIT;
        bool clean = undo_rows(job, i, &undo);
        mv_publish(job);
        if (!mv_committed(job)) {
            if (!clean)
                return not_undone(job, &first, &undo, err);
            *err = first;
            return first.code == DRV_ECANCELLED ? MV_CANCELLED : MV_FAILED;
        }
        // The destination has the VM after all: what failed here does not matter any more.
        drv_err_clear(&first);
        i = take_row();
    }
    if (first.code == DRV_OK)
        return MV_DONE;
    *err = first;
    return MV_ATTENTION;
}

enum mv_result mv_job_run(struct mv_job *job, struct drv_err *err)
{
    return walk(job, 0, err);
}

int mv_store_patience_ms(const struct mv_job *job)
{
    enum { LEAST_MS = 2000 };
    unsigned limit_ms = job->max_blackout_ms;
    return limit_ms < LEAST_MS ? LEAST_MS : (int)limit_ms;
}

// --- after a restart of the agent ---

void mv_job_restore(struct mv_job *job, const char *last_phase, bool taken)
{
    unsigned last = 0;
    for (unsigned i = 0; i < ROWS; i++)
        if (!strcmp(table[i]->name, last_phase))
            last = i;
    for (unsigned i = 0; i <= last; i++)
        if (applies(table[i], job))
            job->begun_rows |= 1u << i;
    job->taken = taken;
    if (job->source && last > take_row())
        atomic_store(&job->fate, MV_COMMITTED);
    job->progress.phase = table[last]->name;
    job->progress.phase_no = last + 1;
}

enum mv_result mv_job_recover(struct mv_job *job, bool released, struct drv_err *err)
{
    job->released = released;
    DRV_COPY(job->failed_phase, job->progress.phase);
    struct drv_err first = DRV_ERR_INIT, undo = DRV_ERR_INIT;
    bool clean = mv_committed(job) || undo_rows(job, take_row(), &undo);
    mv_publish(job);
    if (mv_committed(job))
        return walk(job, take_row() + 1, err);
    drv_err(&first, DRV_ESTATE, "the agent of %s ended during the move", job->plan.from);
    if (!clean)
        return not_undone(job, &first, &undo, err);
    *err = first;
    return MV_FAILED;
}

// --- destination ---

// Phases come in the table's order, whatever a peer sends: before the commit each one needs the
// one before it, nothing begins after an undo, and only the commit opens verify and finish.
static int check_due(const struct mv_job *job, unsigned i, struct drv_err *err)
{
    const char *name = table[i]->name;
    if (job->refused)
        return drv_err(err, DRV_ESTATE, "the destination has undone this move: no %s", name);
    if ((i > take_row()) != job->taken && i != take_row())
        return drv_err(err, DRV_ESTATE, "phase %s is not due: the VM is %s here", name,
                       job->taken ? "taken" : "not taken");
    if (table[i] == &mv_phase_take && !job->loaded)
        return drv_err(err, DRV_ESTATE, "phase take is not due: the memory is not loaded");
    if (table[i] == &mv_phase_check || table[i] == &mv_phase_reserve || job->taken)
        return 0;
    while (i > 0 && !table[--i]->dst_step)
        continue; // the one before that the destination has; it has `check`, the first
    if (!(job->done_rows & (1u << i)))
        return drv_err(err, DRV_ESTATE, "phase %s is not due: %s has not been done", name,
                       table[i]->name);
    return 0;
}

json_t *mv_job_enter(struct mv_job *job, const char *phase, const char *step, const json_t *args,
                     struct drv_err *err)
{
    int i = find_row(phase, err);
    if (i < 0 || check_due(job, (unsigned)i, err) < 0)
        return NULL;
    const struct mv_journal_ports *journal = job->ports->journal;
    job->begun_rows |= 1u << i;
    job->progress.phase = table[i]->name;
    job->progress.phase_no = (unsigned)i + 1;
    mv_publish(job);
    struct drv_err journal_err = DRV_ERR_INIT;
    if (journal->phase_begin(job->ctx, phase, false, &journal_err) < 0 && !job->taken) {
        *err = journal_err;
        if (table[i] == &mv_phase_take) // who fails here has torn itself down first
            mv_job_abandon(job, &(struct drv_err)DRV_ERR_INIT);
        return NULL;
    }
    struct drv_err why = DRV_ERR_INIT;
    json_t *ret = table[i]->dst_step(job, step, args, &why);
    journal->phase_end(job->ctx, phase, false, ret ? NULL : &why, &journal_err);
    // How long the guest has been running here already: no part of its blackout.
    if (ret && table[i] == &mv_phase_take)
        json_object_set_new(ret, "ran_ms",
                            json_real((double)(mv_now_us(job) - job->t.dst_ran) / 1000));
    if (ret)
        job->done_rows |= 1u << i;
    else
        *err = why;
    return ret;
}

// The refusal is durable before anything is torn down: whoever asks later gets the same answer.
// When it cannot be written the teardown is right all the same, as no epoch write was sent.
static int refuse(struct mv_job *job, struct drv_err *err)
{
    if (job->taking || job->taken)
        return drv_err(err, DRV_ESTATE, "the destination is taking over: it goes forward");
    job->ports->journal->refuse(job->ctx, err);
    return 0;
}

static int undo_row(struct mv_job *job, unsigned i, struct drv_err *err)
{
    const struct mv_phase *row = table[i];
    if (!row->dst_undo || !(job->begun_rows & (1u << i)))
        return 0;
    struct drv_err why = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    job->ports->journal->phase_begin(job->ctx, row->name, true, &ignored);
    int rc = row->dst_undo(job, &why);
    job->ports->journal->phase_end(job->ctx, row->name, true, rc < 0 ? &why : NULL, &ignored);
    if (rc < 0)
        *err = why;
    else
        job->begun_rows &= ~(1u << i);
    return rc;
}

// Undo rows [down_to..] in reverse; what fails stays begun, for the next try.
static int undo_from(struct mv_job *job, unsigned down_to, struct drv_err *err)
{
    int rc = 0;
    job->refused = true;
    for (unsigned i = ROWS; i-- > down_to;) {
        struct drv_err why = DRV_ERR_INIT;
        if (undo_row(job, i, &why) == 0)
            continue;
        if (rc == 0)
            *err = why;
        rc = -1;
    }
    return rc;
}

int mv_undo_all(struct mv_job *job, struct drv_err *err)
{
    return undo_from(job, 0, err);
}

static int refuse_and_undo(struct mv_job *job, unsigned down_to, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    if (refuse(job, &why) < 0) {
        *err = why;
        return -1;
    }
    int rc = undo_from(job, down_to, err);
    if (rc == 0 && why.code != DRV_OK) {
        *err = why;
        rc = drv_err_prefix(err, "journal");
    }
    return rc;
}

int mv_job_undo(struct mv_job *job, const char *phase, struct drv_err *err)
{
    int i = find_row(phase, err);
    // Later rows too: the request to undo one of them may have been lost.
    return i < 0 ? -1 : refuse_and_undo(job, (unsigned)i, err);
}

int mv_job_abandon(struct mv_job *job, struct drv_err *err)
{
    return refuse_and_undo(job, 0, err);
}

bool mv_job_taken(const struct mv_job *job)
{
    return job->taken;
}
