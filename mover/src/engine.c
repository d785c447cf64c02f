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
// is. What `take` does when its answer is lost is in phases/07_take.c.
#include "mover_int.h"

#include <stdlib.h>
#include <string.h>

static const struct mv_phase *const table[] = {
    &mv_phase_check,  &mv_phase_reserve, &mv_phase_prepare, &mv_phase_copy,  &mv_phase_memory,
    &mv_phase_switch, &mv_phase_take,    &mv_phase_verify,  &mv_phase_finish};
enum { ROWS = DRV_ARRAY_LEN(table) };

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
    atomic_init(&job->max_blackout_ms, plan->max_blackout_ms);
    atomic_init(&job->bandwidth_bps, plan->bandwidth_bps);
    job->t.begun = drv_now_us();
    job->progress.phases = ROWS;
    job->progress.phase = table[0]->name;
    for (unsigned i = 0; i < plan->n_disks; i++)
        if (plan->disks[i].moves)
            DRV_COPY(job->progress.disks[job->progress.n_disks++].id, plan->disks[i].id);
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
    if (atomic_load(&job->committed))
        return drv_err(err, DRV_ESTATE, "the VM is being switched over: too late to cancel");
    atomic_store(&job->cancel, true);
    return 0;
}

void mv_job_set_limits(struct mv_job *job, uint32_t max_blackout_ms, uint64_t bandwidth_bps)
{
    if (max_blackout_ms)
        atomic_store(&job->max_blackout_ms, max_blackout_ms);
    if (bandwidth_bps)
        atomic_store(&job->bandwidth_bps, bandwidth_bps);
}

int mv_check_cancel(struct mv_job *job, struct drv_err *err)
{
    if (!atomic_load(&job->cancel))
        return 0;
    return drv_err(err, DRV_ECANCELLED, "cancelled");
}

void mv_publish(struct mv_job *job)
{
    struct mv_progress *p = &job->progress;
    p->memory = job->memory;
    p->cancelling = atomic_load(&job->cancel);
    p->committed = atomic_load(&job->committed);
    p->elapsed_ms = (drv_now_us() - job->t.begun) / 1000;
    job->ports->host->progress(job->ctx, p);
}

int64_t mv_blackout_left_ms(const struct mv_job *job)
{
    return (int64_t)job->max_blackout_ms - (drv_now_us() - job->t.stopped) / 1000;
}

json_t *mv_ask(struct mv_job *job, const char *phase, const char *step, json_t *args,
               int timeout_ms, struct drv_err *err)
{
    json_t *ret = NULL;
    if (job->ports->peer->enter(job->ctx, phase, step, args ? args : json_object(), timeout_ms,
                                &ret, err) < 0)
        return NULL;
    return ret;
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
    job->progress.phase = row->name;
    job->progress.phase_no = i + 1;
    mv_publish(job);
    if (mv_check_cancel(job, err) < 0 && !atomic_load(&job->committed))
        return -1;
    drv_err_clear(err);
    job->begun_rows |= 1u << i;
    if (journal->phase_begin(job->ctx, row->name, false, err) < 0)
        return drv_err_prefix(err, "journal");
    struct drv_err why = DRV_ERR_INIT;
    int rc = row->src_start(job, &why);
    struct drv_err journal_err = DRV_ERR_INIT;
    if (journal->phase_end(job->ctx, row->name, false, rc < 0 ? &why : NULL, &journal_err) < 0 &&
        rc == 0 && !atomic_load(&job->committed)) {
        *err = journal_err;
        return drv_err_prefix(err, "journal");
    }
    if (rc < 0)
        *err = why;
    return rc;
}

// Undo rows [0..last] in reverse. Everything is tried; what failed is in the journal.
static bool undo_rows(struct mv_job *job, unsigned last)
{
    bool clean = true;
    for (unsigned i = last + 1; i-- > 0;) {
        const struct mv_phase *row = table[i];
        if (!(job->begun_rows & (1u << i)) || (!row->src_undo && !row->dst_undo))
            continue;
        struct drv_err ignored = DRV_ERR_INIT, why = DRV_ERR_INIT;
        job->ports->journal->phase_begin(job->ctx, row->name, true, &ignored);
        int rc = row->src_undo ? row->src_undo(job, &why) : 0;
        // Whether the destination could be told matters not: without a channel it abandons by
        // itself.
        if (row->dst_undo && job->ports->peer->undo(job->ctx, row->name, &ignored) < 0)
            drv_err_clear(&ignored);
        job->ports->journal->phase_end(job->ctx, row->name, true, rc < 0 ? &why : NULL, &ignored);
        clean = clean && rc == 0;
    }
    return clean;
}

enum mv_result mv_job_run(struct mv_job *job, struct drv_err *err)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (!applies(table[i], job))
            continue;
        if (run_row(job, i, err) == 0)
            continue;
        DRV_COPY(job->failed_phase, table[i]->name);
        if (err->code == DRV_EATTENTION || atomic_load(&job->committed))
            return MV_ATTENTION;
        bool clean = undo_rows(job, i);
        mv_publish(job);
        if (!clean)
            return MV_ATTENTION;
        return err->code == DRV_ECANCELLED ? MV_CANCELLED : MV_FAILED;
    }
    return MV_DONE;
}

// --- destination ---

static int find_row(const char *phase, struct drv_err *err)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (!strcmp(table[i]->name, phase) && table[i]->dst_step)
            return (int)i;
    return drv_err(err, DRV_EINVAL, "there is no phase \"%.32s\" at a destination", phase);
}

json_t *mv_job_enter(struct mv_job *job, const char *phase, const char *step, const json_t *args,
                     struct drv_err *err)
{
    int i = find_row(phase, err);
    if (i < 0)
        return NULL;
    const struct mv_journal_ports *journal = job->ports->journal;
    job->begun_rows |= 1u << i;
    job->progress.phase = table[i]->name;
    job->progress.phase_no = (unsigned)i + 1;
    mv_publish(job);
    if (journal->phase_begin(job->ctx, phase, false, err) < 0)
        return NULL;
    struct drv_err why = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    json_t *ret = table[i]->dst_step(job, step, args, &why);
    journal->phase_end(job->ctx, phase, false, ret ? NULL : &why, &ignored);
    if (!ret)
        *err = why;
    return ret;
}

int mv_job_undo(struct mv_job *job, const char *phase, struct drv_err *err)
{
    int i = find_row(phase, err);
    if (i < 0)
        return -1;
    if (job->taking)
        return drv_err(err, DRV_ESTATE, "the destination is taking over: nothing can be undone");
    const struct mv_phase *row = table[i];
    if (!row->dst_undo || !(job->begun_rows & (1u << i)))
        return 0;
    struct drv_err why = DRV_ERR_INIT, ignored = DRV_ERR_INIT;
    job->ports->journal->phase_begin(job->ctx, phase, true, &ignored);
    int rc = row->dst_undo(job, &why);
    job->ports->journal->phase_end(job->ctx, phase, true, rc < 0 ? &why : NULL, &ignored);
    if (rc < 0)
        *err = why;
    else
        job->begun_rows &= ~(1u << i);
    return rc;
}

int mv_undo_all(struct mv_job *job, struct drv_err *err)
{
    int rc = 0;
    for (unsigned i = ROWS; i-- > 0;) {
        struct drv_err why = DRV_ERR_INIT;
        if (table[i]->dst_undo && mv_job_undo(job, table[i]->name, &why) < 0) {
            if (rc == 0)
                *err = why;
            rc = -1;
        }
    }
    return rc;
}

int mv_job_abandon(struct mv_job *job, struct drv_err *err)
{
    // The refusal is durable before anything is torn down: whoever asks later gets the same answer.
    if (job->taking || job->ports->journal->refuse(job->ctx, err) < 0)
        return drv_err(err, DRV_ESTATE, "the destination is taking over: it goes forward");
    return mv_undo_all(job, err);
}

bool mv_job_taken(const struct mv_job *job)
{
    return job->taken;
}
