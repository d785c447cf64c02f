// SPDX-License-Identifier: GPL-3.0-or-later
// memory: pre-copy until QEMU pauses the guest for the switch because the rest fits the blackout
// limit.
//
// Convergence: when the remaining memory has not shrunk for three passes, the limit given to QEMU
// is raised once to what the move allows, if QEMU expects to keep it. Otherwise the move is stuck:
// progress says so and what can be done (choices.c), and the guest runs on. It goes on as soon as
// the guest writes less or a person has allowed more, be it that QEMU slows the guest down; with
// neither it is given up after a while and says at which rates. The hand-over itself (record,
// stores, device state) needs its part of the blackout too, so QEMU is given only a share of it.
#include "../mover_int.h"

enum {
    POLL_MS = 100,
    STALL_MS = 15000,
    FIRST_LIMIT_MS = 300, // QEMU's own default: most guests fit
    STUCK_PASSES = 3,
};

struct watch {
    uint32_t first_blackout_ms; // the move's limit at the start
    uint32_t blackout_ms;       // and when the others were set
    struct mv_limits given;     // what QEMU has
    uint64_t pass;              // last pass looked at
    uint64_t smallest_bytes;    // least remaining at the end of any pass
    unsigned stuck;             // passes without a new smallest
    int64_t since_us;           // stuck for good, or the last decision about it; 0 = is not
    unsigned decisions;         // that were seen
    uint64_t last_bytes;
    int64_t last_change_us;
};

static unsigned allowed_limit_ms(const struct mv_job *job)
{
    return job->max_blackout_ms / 2; // the other half is for the hand-over
}

static unsigned first_limit_ms(const struct mv_job *job)
{
    unsigned allowed = allowed_limit_ms(job);
    return allowed < FIRST_LIMIT_MS ? allowed : FIRST_LIMIT_MS;
}

static int not_converging(const struct mv_job *job, const struct mv_migration *m,
                          struct drv_err *err)
{
    drv_err(err, DRV_ESTATE,
            "memory does not converge: the guest writes %.1f MiB/s, the link carries %.1f MiB/s, "
            "expected blackout %lld ms, allowed %u ms",
            (double)m->dirty_rate_bps / 1048576, (double)m->rate_bps / 1048576,
            (long long)m->expected_downtime_ms, (unsigned)job->max_blackout_ms);
    return drv_err_hint(err, "allow a longer pause with --max-blackout, raise the bandwidth, or "
                             "move when the guest writes less");
}

// Stuck. The limit to give QEMU now, 0 = give up.
static unsigned decide(struct mv_job *job, struct watch *w, const struct mv_migration *m)
{
    unsigned allowed = allowed_limit_ms(job);
    struct mv_progress *p = &job->progress;
    bool fits = m->expected_downtime_ms >= 0 && m->expected_downtime_ms <= allowed;
    // What a person allowed is given to QEMU whatever it expects: its guess may be a bad one, and
    // it pauses the guest for no longer.
    if (w->given.downtime_limit_ms < allowed &&
        (fits || job->max_blackout_ms > w->first_blackout_ms)) {
        w->stuck = 0;
        return allowed;
    }
    if (!w->since_us)
        w->since_us = mv_now_us(job);
    int64_t left_us = w->since_us + job->wait_s * 1000000LL - mv_now_us(job);
    p->stuck = true;
    p->gives_up_ms = left_us > 0 ? left_us / 1000 : 0;
    return left_us > 0 ? w->given.downtime_limit_ms : 0;
}

// Called at each poll of an active migration. -1: give up.
static int steer(struct mv_job *job, struct watch *w, const struct mv_migration *m,
                 struct drv_err *err)
{
    unsigned want_ms = w->given.downtime_limit_ms;
    if (w->blackout_ms != job->max_blackout_ms) { // a person changed it
        w->blackout_ms = job->max_blackout_ms;
        if (job->ports->store->patience(job->ctx, mv_store_patience_ms(job), err) < 0)
            return -1;
        if (want_ms > allowed_limit_ms(job))
            want_ms = allowed_limit_ms(job);
    }
    if (m->passes > w->pass) {
        // The first pass always shrinks; compare from the second on.
        if (w->pass > 0 && m->remaining_bytes >= w->smallest_bytes)
            w->stuck++;
        else
            w->stuck = 0;
        if (!w->pass || m->remaining_bytes < w->smallest_bytes)
            w->smallest_bytes = m->remaining_bytes;
        w->pass = m->passes;
    }
    job->progress.stuck = false;
    if (w->decisions != job->decisions && w->since_us)
        w->since_us = mv_now_us(job);
    w->decisions = job->decisions;
    if (w->stuck < STUCK_PASSES)
        w->since_us = 0;
    else if ((want_ms = decide(job, w, m)) == 0)
        return not_converging(job, m, err);
    struct mv_limits want = {want_ms, job->bandwidth_bps, job->throttle_percent};
    if (want.downtime_limit_ms == w->given.downtime_limit_ms &&
        want.bandwidth_bps == w->given.bandwidth_bps &&
        want.throttle_percent == w->given.throttle_percent)
        return 0;
    w->given = want;
    return job->ports->qemu->migrate_limits(job->ctx, &want, err);
}

static int check_stall(struct watch *w, const struct mv_migration *m, const struct mv_job *job,
                       struct drv_err *err)
{
    if (m->transferred_bytes != w->last_bytes) {
        w->last_bytes = m->transferred_bytes;
        w->last_change_us = mv_now_us(job);
        return 0;
    }
    if (mv_now_us(job) - w->last_change_us < STALL_MS * 1000LL)
        return 0;
    drv_err(err, DRV_ETIMEDOUT, "sending memory to %s made no progress for %d s", job->plan.to,
            STALL_MS / 1000);
    return drv_err_hint(err, "check the migration network between the hosts");
}

static int wait_pause(struct mv_job *job, struct watch *w, struct drv_err *err)
{
    for (;;) {
        struct mv_migration *m = &job->memory;
        bool in_sync; // a mirror that breaks now is better found before the guest is paused
        if (mv_check_cancel(job, err) < 0 || job->ports->qemu->migrate_poll(job->ctx, m, err) < 0 ||
            mv_poll_mirrors(job, &in_sync, err) < 0)
            return -1;
        mv_publish(job);
        switch (m->state) {
        case MV_MIG_PRE_SWITCHOVER:
            return 0;
        case MV_MIG_NONE:
        case MV_MIG_ACTIVE:
            if (steer(job, w, m, err) < 0 || check_stall(w, m, job, err) < 0)
                return -1;
            break;
        case MV_MIG_COMPLETED:
            return drv_err(err, DRV_EPEER, "QEMU completed without waiting for the switch");
        case MV_MIG_CANCELLED:
            return drv_err(err, DRV_EPEER, "the migration was cancelled from outside drover");
        case MV_MIG_FAILED:
        default:
            return drv_err(err, DRV_EPEER, "sending memory failed: %s",
                           m->error[0] ? m->error : "the destination's QEMU ended the stream");
        }
        job->ports->qemu->wait_change(job->ctx, POLL_MS);
    }
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "memory", "", NULL, 30000, err);
    json_int_t port = 0;
    if (!reply)
        return -1;
    if (json_unpack(reply, "{s:I}", "memory_port", &port) < 0 || port <= 0 || port > 65535)
        return drv_err(err, DRV_EPEER, "memory: the destination sent no usable port");
    job->endpoints.memory_port = (unsigned)port;

    struct watch w = {.first_blackout_ms = job->max_blackout_ms,
                      .blackout_ms = job->max_blackout_ms,
                      .given = {first_limit_ms(job), job->bandwidth_bps, job->throttle_percent},
                      .last_change_us = mv_now_us(job)};
    if (job->ports->store->patience(job->ctx, mv_store_patience_ms(job), err) < 0)
        return -1;
    if (job->ports->qemu->migrate_start(job->ctx, &job->endpoints, &w.given, err) < 0)
        return -1;
    int rc = wait_pause(job, &w, err);
    job->progress.stuck = false;
    return rc;
}

static int src_undo(struct mv_job *job, struct drv_err *err)
{
    int rc = job->ports->qemu->migrate_cancel(job->ctx, err);
    if (job->ports->store->patience(job->ctx, 0, rc < 0 ? NULL : err) < 0)
        rc = -1;
    return rc;
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    if (job->ports->qemu->incoming_listen(job->ctx, &job->endpoints, err) < 0)
        return NULL;
    return json_pack("{s:I}", "memory_port", (json_int_t)job->endpoints.memory_port);
}

const struct mv_phase mv_phase_memory = {.name = "memory",
                                         .applies = mv_between_hosts,
                                         .src_start = src_start,
                                         .src_undo = src_undo,
                                         .dst_step = dst_step};
