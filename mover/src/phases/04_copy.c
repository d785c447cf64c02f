// SPDX-License-Identifier: GPL-3.0-or-later
// copy: disks are mirrored to the destination's NBD exports until they are in sync; they stay in
// sync until `switch`, or `take` in a storage move. Skipped when no disk moves.
#include "../mover_int.h"

enum { POLL_MS = 200, STALL_MS = 20000 };

static bool applies(const struct mv_job *job)
{
    return mv_plan_moves_disks(&job->plan);
}

int mv_poll_mirrors(struct mv_job *job, bool *ret_ready, struct drv_err *err)
{
    struct mv_disk_progress *row = job->progress.disks;
    *ret_ready = true;
    job->disk_bytes = 0;
    for (unsigned i = 0; i < job->plan.n_disks; i++) {
        const struct mv_disk *d = &job->plan.disks[i];
        if (!d->moves)
            continue;
        struct mv_mirror m = {0};
        if (job->ports->qemu->mirror_poll(job->ctx, d, &m, err) < 0)
            return -1;
        if (m.failed)
            return drv_err(err, DRV_EPEER, "copying disk %s failed: %s", d->id, m.error);
        // The job's total grows while the guest writes: never show less than before.
        row->bytes_done = m.done_bytes > row->bytes_done ? m.done_bytes : row->bytes_done;
        row->bytes_total = m.total_bytes;
        row->wire_bytes = m.wire_bytes;
        row->ready = m.ready;
        *ret_ready = *ret_ready && m.ready;
        job->disk_bytes += m.wire_bytes;
        row++;
    }
    return 0;
}

// A sum that grows with any progress: of the job, or of the bytes that reached the target.
static uint64_t done_bytes(const struct mv_job *job)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < job->progress.n_disks; i++)
        sum += job->progress.disks[i].bytes_done + job->progress.disks[i].wire_bytes;
    return sum;
}

// The cap is for all disks together.
static uint64_t share(const struct mv_job *job, uint64_t bandwidth_bps)
{
    uint64_t each = bandwidth_bps / job->progress.n_disks;
    return bandwidth_bps && !each ? 1 : each;
}

static int set_limit(struct mv_job *job, uint64_t bandwidth_bps, struct drv_err *err)
{
    for (unsigned i = 0; i < job->plan.n_disks; i++)
        if (job->plan.disks[i].moves &&
            job->ports->qemu->mirror_limit(job->ctx, &job->plan.disks[i], share(job, bandwidth_bps),
                                           err) < 0)
            return -1;
    return 0;
}

static int wait_ready(struct mv_job *job, uint64_t limit, struct drv_err *err)
{
    uint64_t last = 0;
    int64_t last_change_us = mv_now_us(job);
    for (;;) {
        bool ready = false;
        if (mv_check_cancel(job, err) < 0 || mv_poll_mirrors(job, &ready, err) < 0)
            return -1;
        mv_publish(job);
        if (ready)
            return 0;
        if (done_bytes(job) != last) {
            last = done_bytes(job);
            last_change_us = mv_now_us(job);
        } else if (mv_now_us(job) - last_change_us >= STALL_MS * 1000LL) {
            drv_err(err, DRV_ETIMEDOUT, "copying disks%s%s made no progress for %d s",
                    mv_between_hosts(job) ? " to " : "", mv_between_hosts(job) ? job->plan.to : "",
                    STALL_MS / 1000);
            return drv_err_hint(err, mv_between_hosts(job)
                                         ? "check the migration network between the hosts"
                                         : "check the stores and the network to them");
        }
        if (limit != job->bandwidth_bps) {
            limit = job->bandwidth_bps;
            if (set_limit(job, limit, err) < 0)
                return -1;
        }
        job->ports->qemu->wait_change(job->ctx, POLL_MS);
    }
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    uint64_t limit = job->bandwidth_bps;
    for (unsigned i = 0; i < job->plan.n_disks; i++)
        if (job->plan.disks[i].moves &&
            job->ports->qemu->mirror_start(job->ctx, &job->plan.disks[i], &job->endpoints,
                                           share(job, limit), err) < 0)
            return -1;
    return wait_ready(job, limit, err);
}

static int src_undo(struct mv_job *job, struct drv_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < job->plan.n_disks; i++)
        if (job->plan.disks[i].moves &&
            job->ports->qemu->mirror_abort(job->ctx, &job->plan.disks[i], rc ? NULL : err) < 0)
            rc = -1;
    return rc;
}

const struct mv_phase mv_phase_copy = {
    .name = "copy", .applies = applies, .src_start = src_start, .src_undo = src_undo};
