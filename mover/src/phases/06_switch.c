// SPDX-License-Identifier: GPL-3.0-or-later
// switch: the guest stands still. Mirrors are finished, the last memory and the device state go
// over, and when *both* QEMUs say "completed" the owner record says "released" and all handles are
// closed.
//
// Until `released` is written the source resumes at once: its handles are held and the epoch is its
// own. The blackout limit is watched here (I7): when it would be passed, the move is undone.
#include "../mover_int.h"

#include <string.h>

enum { POLL_MS = 5, HAND_OVER_MS = 30, MIRRORS_MS = 60 };

static int finish_mirrors(struct mv_job *job, struct drv_err *err)
{
    static const char what[] = "finishing the disk copies";
    for (unsigned i = 0; i < job->plan.n_disks; i++) {
        const struct mv_disk *d = &job->plan.disks[i];
        if (!d->moves)
            continue;
        int left = mv_blackout_left_ms(job, what, err);
        if (left < 0 || job->ports->qemu->mirror_finish(job->ctx, d, left, err) < 0)
            return -1;
    }
    if (!mv_plan_moves_disks(&job->plan))
        return 0;
    int left = mv_blackout_left_ms(job, what, err);
    DRV_AUTO_JSON json_t *reply = left < 0 ? NULL : mv_ask(job, "switch", "disks", NULL, left, err);
    return reply ? 0 : -1;
}

static int wait_sent(struct mv_job *job, struct drv_err *err)
{
    for (;;) {
        struct mv_migration *m = &job->memory;
        if (mv_check_cancel(job, err) < 0 || job->ports->qemu->migrate_poll(job->ctx, m, err) < 0)
            return -1;
        if (m->state == MV_MIG_COMPLETED)
            return 0;
        if (m->state == MV_MIG_FAILED || m->state == MV_MIG_CANCELLED)
            return drv_err(err, DRV_EPEER, "sending the device state failed: %s",
                           m->error[0] ? m->error : "the destination's QEMU ended the stream");
        if (mv_blackout_left_ms(job, "sending the last memory", err) < 0)
            return -1;
        job->ports->qemu->wait_change(job->ctx, POLL_MS);
    }
}

// The source's "completed" alone says nothing about the destination's QEMU.
static int wait_loaded(struct mv_job *job, struct drv_err *err)
{
    int left = mv_blackout_left_ms(job, "loading the device state", err);
    if (left < 0)
        return -1;
    DRV_AUTO_JSON json_t *reply =
        mv_ask(job, "switch", "loaded", json_pack("{s:i}", "timeout_ms", left), left, err);
    return reply ? 0 : -1;
}

// What the rest of the blackout should take: what is left of the memory at the rate seen, plus what
// the hand-over and the end of the mirrors took when they were measured (docs/PHASES.md).
static double predict_ms(const struct mv_job *job)
{
    const struct mv_migration *m = &job->memory;
    double memory_ms = m->rate_bps ? (double)m->remaining_bytes * 1000 / (double)m->rate_bps : 0;
    return memory_ms + HAND_OVER_MS + (mv_plan_moves_disks(&job->plan) ? MIRRORS_MS : 0);
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    job->t.stopped = job->ports->qemu->stopped_at_us(job->ctx);
    job->t.paused = mv_now_us(job);
    if (!job->t.stopped)
        job->t.stopped = job->t.paused;
    job->predicted_ms = predict_ms(job);
    if (finish_mirrors(job, err) < 0)
        return -1;
    job->t.disks_done = mv_now_us(job);
    if (job->ports->qemu->migrate_continue(job->ctx, err) < 0 || wait_sent(job, err) < 0)
        return -1;
    job->t.sent = mv_now_us(job);
    if (wait_loaded(job, err) < 0)
        return -1;
    job->t.loaded = mv_now_us(job);
    if (mv_check_cancel(job, err) < 0 || mv_blackout_left_ms(job, "the hand-over", err) < 0)
        return -1;
    int rc = job->ports->store->release(job->ctx, &job->released, err);
    job->t.released = mv_now_us(job);
    return rc;
}

// Before `released` was written there is nothing to do here: `memory`'s undo resumes the guest.
// After it the source may run only with an epoch of its own again.
static int src_undo(struct mv_job *job, struct drv_err *err)
{
    if (!job->released)
        return 0;
    for (int pause_ms = 0;;) {
        struct drv_err why = DRV_ERR_INIT;
        int rc = job->ports->store->take_back(job->ctx, &why);
        if (rc == 1) {
            job->released = false;
            return 0;
        }
        if (rc == 0) { // nothing here may resume any more
            atomic_store(&job->fate, MV_COMMITTED);
            job->t.taken = mv_now_us(job);
            *err = why;
            return drv_err_prefix(err, "the destination holds the VM");
        }
        mv_back_off(job, &pause_ms, &why);
    }
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    if (!strcmp(step, "disks"))
        return job->ports->qemu->incoming_disks_done(job->ctx, err) < 0 ? NULL : json_object();
    if (strcmp(step, "loaded") != 0)
        return mv_unknown_step("switch", step, err);
    json_int_t ms = json_integer_value(json_object_get(args, "timeout_ms"));
    if (ms <= 0 || ms > 600000) {
        drv_err(err, DRV_EINVAL, "switch: \"timeout_ms\" must be 1 to 600000");
        return NULL;
    }
    if (job->ports->qemu->incoming_wait_loaded(job->ctx, (int)ms, err) < 0)
        return NULL;
    job->loaded = true;
    return json_object();
}

const struct mv_phase mv_phase_switch = {.name = "switch",
                                         .applies = mv_between_hosts,
                                         .src_start = src_start,
                                         .src_undo = src_undo,
                                         .dst_step = dst_step};
