// SPDX-License-Identifier: GPL-3.0-or-later
// switch: the guest stands still. Mirrors are finished, the last memory and the device state go
// over, and when *both* QEMUs say "completed" the owner record says "released" and all handles are
// closed.
//
// Until `released` is written the source resumes at once: its handles are held and the epoch is its
// own. The blackout limit is watched here (I7): when it would be passed, the move is undone.
#include "../mover_int.h"

#include <string.h>

enum { POLL_MS = 5 };

static int out_of_time(const struct mv_job *job, const char *what, struct drv_err *err)
{
    drv_err(err, DRV_ETIMEDOUT, "%s would have passed the blackout limit of %u ms", what,
            (unsigned)job->max_blackout_ms);
    return drv_err_hint(err, "allow a longer pause with --max-blackout");
}

static int finish_mirrors(struct mv_job *job, struct drv_err *err)
{
    bool any = false;
    for (unsigned i = 0; i < job->plan.n_disks; i++) {
        const struct mv_disk *d = &job->plan.disks[i];
        int64_t left = mv_blackout_left_ms(job);
        if (!d->moves)
            continue;
        if (left <= 0)
            return out_of_time(job, "finishing the disk copies", err);
        if (job->ports->qemu->mirror_finish(job->ctx, d, (int)left, err) < 0)
            return -1;
        any = true;
    }
    if (!any)
        return 0;
    int64_t left = mv_blackout_left_ms(job);
    if (left <= 0)
        return out_of_time(job, "finishing the disk copies", err);
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "switch", "disks", NULL, (int)left, err);
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
        if (mv_blackout_left_ms(job) <= 0)
            return out_of_time(job, "sending the last memory", err);
        job->ports->qemu->wait_change(job->ctx, POLL_MS);
    }
}

static int wait_loaded(struct mv_job *job, struct drv_err *err)
{
    int64_t left = mv_blackout_left_ms(job);
    if (left <= 0)
        return out_of_time(job, "loading the device state", err);
    DRV_AUTO_JSON json_t *reply =
        mv_ask(job, "switch", "loaded", json_pack("{s:I}", "timeout_ms", (json_int_t)left),
               (int)left + 1000, err);
    return reply ? 0 : -1;
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    job->t.stopped = job->ports->qemu->stopped_at_us(job->ctx);
    if (!job->t.stopped)
        job->t.stopped = drv_now_us();
    job->predicted_ms =
        (double)(job->memory.expected_downtime_ms > 0 ? job->memory.expected_downtime_ms : 0);
    if (finish_mirrors(job, err) < 0)
        return -1;
    job->t.disks_done = drv_now_us();
    if (job->ports->qemu->migrate_continue(job->ctx, err) < 0 || wait_sent(job, err) < 0)
        return -1;
    job->t.sent = drv_now_us();
    if (wait_loaded(job, err) < 0)
        return -1;
    job->t.loaded = drv_now_us();
    if (mv_check_cancel(job, err) < 0)
        return -1;
    if (mv_blackout_left_ms(job) <= 0)
        return out_of_time(job, "the hand-over", err);
    int rc = job->ports->store->release(job->ctx, &job->released, err);
    job->t.released = drv_now_us();
    return rc;
}

// Before `released` was written there is nothing to do here: `memory`'s undo resumes the guest.
// After it the source may run only with an epoch of its own again.
static int src_undo(struct mv_job *job, struct drv_err *err)
{
    if (!job->released)
        return 0;
    for (int pause_ms = 200;; pause_ms = pause_ms < 5000 ? pause_ms * 2 : 5000) {
        struct drv_err why = DRV_ERR_INIT;
        int rc = job->ports->store->take_back(job->ctx, &why);
        if (rc == 1) {
            job->released = false;
            return 0;
        }
        if (rc == 0) {
            *err = why;
            return drv_err_prefix(err, "the destination holds the VM");
        }
        drv_sleep_ms(pause_ms);
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
    return job->ports->qemu->incoming_wait_loaded(job->ctx, (int)ms, err) < 0 ? NULL
                                                                              : json_object();
}

const struct mv_phase mv_phase_switch = {
    .name = "switch", .src_start = src_start, .src_undo = src_undo, .dst_step = dst_step};
