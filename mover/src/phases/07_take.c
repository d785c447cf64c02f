// SPDX-License-Identifier: GPL-3.0-or-later
// take: the destination holds record and images, writes epoch+1 (the commit) and runs.
//
// From the moment the source asks, only two things end its doubt: the record, or the destination's
// durable word. While it cannot tell, the source's guest stays paused and it asks again (rules 5,
// 6). A destination that fails before its epoch write journals its refusal and tears itself down
// first; one whose write got no answer reads the record until it knows.
//
// In a storage move the host takes its own VM with other images, at the same epoch, as the running
// QEMU stays the one that the record names. The guest stands still for that moment: only then are
// both images of a disk equal, so that whichever the record names has every write, should the host
// die between the record and the last pivot.
#include "../mover_int.h"

#include <string.h>

enum {
    TAKE_TIMEOUT_MS = 60000,
    TAKING_PATIENCE_MS = 10000, // then the record is asked, not a peer that still says "taking"
    PIVOT_TIMEOUT_MS = 10000,
};

// --- source ---

// 1 = the destination took it, 0 = the source has the VM back and *why says what went wrong there.
static int settle(struct mv_job *job, struct drv_err *why)
{
    int64_t begun_us = mv_now_us(job);
    for (int pause_ms = 0;;) {
        char word[16] = "";
        struct drv_err ignored = DRV_ERR_INIT, back = DRV_ERR_INIT;
        if (job->ports->peer->status(job->ctx, word, sizeof word, &ignored) < 0)
            word[0] = '\0';
        if (!strcmp(word, "taken"))
            return 1;
        // While it is busy taking, its own outcome comes soon; racing it would only undo its work.
        // An agent that died meanwhile says so for ever, and then the record ends the doubt.
        if (strcmp(word, "taking") != 0 ||
            mv_now_us(job) - begun_us >= TAKING_PATIENCE_MS * 1000LL) {
            int rc = job->ports->store->take_back(job->ctx, &back);
            if (rc == 0)
                return 1;
            if (rc == 1) {
                job->released = false;
                drv_err_prefix(why, "%s did not take over", job->plan.to);
                return 0;
            }
        }
        mv_back_off(job, &pause_ms, back.code != DRV_OK ? &back : why);
    }
}

static int hand_over(struct mv_job *job, struct drv_err *err)
{
    enum mv_fate open = MV_OPEN;
    if (mv_blackout_left_ms(job, "the hand-over", err) < 0)
        return -1;
    if (!atomic_compare_exchange_strong(&job->fate, &open, MV_COMMITTED))
        return mv_check_cancel(job, err);
    struct drv_err why = DRV_ERR_INIT;
    int64_t asked_us = mv_now_us(job);
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "take", "", NULL, TAKE_TIMEOUT_MS, &why);
    if (!reply && settle(job, &why) == 0) {
        // The epoch is the source's again: from here everything before `take` can be undone.
        atomic_store(&job->fate, MV_OPEN);
        *err = why;
        return -1;
    }
    job->t.taken = mv_now_us(job);
    if (reply) {
        job->t.dst_resume_ms = json_number_value(json_object_get(reply, "resume_ms"));
        double ran_ms = json_number_value(json_object_get(reply, "ran_ms"));
        if (ran_ms > 0 && ran_ms * 1000 < (double)(job->t.taken - asked_us))
            job->t.taken -= (int64_t)(ran_ms * 1000);
    }
    return 0;
}

// --- destination ---

// 1 = committed, 0 = proven that it never was, -1 = could not even be tried.
static int commit(struct mv_job *job, struct drv_err *err)
{
    if (job->ports->journal->taking(job->ctx, err) < 0)
        return -1;
    job->taking = true;
    for (int pause_ms = 0;;) {
        struct drv_err why = DRV_ERR_INIT;
        int rc = job->ports->store->take_commit(job->ctx, &why);
        job->taken = rc == 1;
        job->taking = rc != 0;
        if (rc == 0)
            *err = why;
        if (rc >= 0)
            return rc;
        mv_back_off(job, &pause_ms, &why);
    }
}

// Torn down before the source hears of it, which then takes the VM back. A handle that stays open
// would keep it from that, so what fails is tried again.
static json_t *give_up(struct mv_job *job, bool proven)
{
    struct drv_err why = DRV_ERR_INIT;
    int rc = proven ? mv_undo_all(job, &why) : mv_job_abandon(job, &why);
    for (int tries = 0, pause_ms = 0; rc < 0 && tries < 4; tries++) {
        mv_back_off(job, &pause_ms, &why);
        drv_err_clear(&why);
        rc = mv_undo_all(job, &why);
    }
    return NULL;
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    if (!job->taken) {
        if (job->ports->store->take_hold(job->ctx, err) < 0)
            return give_up(job, false);
        int rc = commit(job, err);
        if (rc != 1)
            return give_up(job, rc == 0);
    }
    int64_t taken_us = mv_now_us(job);
    int rc = job->ports->qemu->cont(job->ctx, err);
    job->t.dst_ran = mv_now_us(job);
    job->ports->host->vm_arrived(job->ctx); // even if it does not run: the epoch is this host's
    if (rc < 0)
        return NULL;
    return json_pack("{s:f}", "resume_ms", (double)(job->t.dst_ran - taken_us) / 1000);
}

// --- storage move ---

static int freeze(struct mv_job *job, struct drv_err *err)
{
    const struct mv_qemu_ports *qemu = job->ports->qemu;
    int limit_ms = (int)job->max_blackout_ms;
    job->t.stopped = mv_now_us(job); // until QEMU says when it was
    if (job->ports->store->patience(job->ctx, mv_store_patience_ms(job), err) < 0 ||
        qemu->freeze(job->ctx, limit_ms, err) < 0)
        return -1;
    int64_t stopped_us = qemu->stopped_at_us(job->ctx);
    if (stopped_us)
        job->t.stopped = stopped_us;
    job->t.paused = job->t.stopped;
    job->t.disks_done = job->t.sent = job->t.loaded = job->t.released = mv_now_us(job);
    return mv_blackout_left_ms(job, "the change of the disks", err) < 0 ? -1 : 0;
}

static int pivot(struct mv_job *job, struct drv_err *err)
{
    for (unsigned i = 0; i < job->plan.n_disks; i++) {
        const struct mv_disk *d = &job->plan.disks[i];
        if (d->moves && job->ports->qemu->pivot(job->ctx, d, PIVOT_TIMEOUT_MS, err) < 0)
            return drv_err_prefix(err, "disk %s", d->id);
    }
    return job->ports->store->adopt(job->ctx, err);
}

// What fails here is undone by src_undo, which first finds out how far it came.
static int take_here(struct mv_job *job, struct drv_err *err)
{
    enum mv_fate open = MV_OPEN;
    if (!atomic_compare_exchange_strong(&job->fate, &open, MV_COMMITTED))
        return mv_check_cancel(job, err);
    if (freeze(job, err) < 0 || commit(job, err) != 1 || pivot(job, err) < 0) {
        atomic_store(&job->fate, MV_OPEN);
        return -1;
    }
    int64_t t0 = mv_now_us(job);
    struct drv_err gate = DRV_ERR_INIT; // one that is shut may open in `verify`
    job->ports->qemu->cont(job->ctx, &gate);
    job->t.taken = mv_now_us(job);
    job->t.dst_resume_ms = (double)(job->t.taken - t0) / 1000;
    job->ports->host->vm_arrived(job->ctx);
    return job->ports->store->patience(job->ctx, 0, err);
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    return mv_between_hosts(job) ? hand_over(job, err) : take_here(job, err);
}

static bool undoes(const struct mv_job *job)
{
    return !mv_between_hosts(job);
}

// The guest may run again only on the images that the record names.
static int src_undo(struct mv_job *job, struct drv_err *err)
{
    struct drv_err later = DRV_ERR_INIT;
    int rc;
    for (int pause_ms = 0;;) {
        struct drv_err why = DRV_ERR_INIT;
        rc = job->ports->store->take_back(job->ctx, &why);
        if (rc >= 0)
            break;
        mv_back_off(job, &pause_ms, &why);
    }
    int patient = job->ports->store->patience(job->ctx, 0, err);
    if (rc == 1)
        return job->ports->qemu->cont(job->ctx, patient < 0 ? &later : err) < 0 ? -1 : patient;
    atomic_store(&job->fate, MV_COMMITTED);
    job->ports->qemu->cont(job->ctx, &later); // a gate that is shut may open in `verify`
    job->t.taken = mv_now_us(job);
    job->ports->host->vm_arrived(job->ctx);
    drv_err_clear(err);
    return drv_err(err, DRV_ESTATE, "the VM uses new images");
}

const struct mv_phase mv_phase_take = {.name = "take",
                                       .undoes = undoes,
                                       .src_start = src_start,
                                       .src_undo = src_undo,
                                       .dst_step = dst_step};
