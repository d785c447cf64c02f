// SPDX-License-Identifier: GPL-3.0-or-later
// The fake QEMUs of both hosts: mirrors, migration, and when a guest may run.
#include "fake_ports_int.h"

#include <string.h>

enum { USUAL_POLLS = 3 };

// --- QEMU: disks ---

static int mirror_start(void *ctx, const struct mv_disk *d, const struct mv_endpoints *to,
                        uint64_t bandwidth_bps, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "mirror_start", {
        if (to->disk_port != 4801 || strcmp(to->addr, "10.0.1.2") != 0)
            fake_bad(s->f, "mirror to %s:%u", to->addr, to->disk_port);
        s->f->mirrors |= fake_bit(s->f, d);
        s->f->mirror_bps = bandwidth_bps;
    });
}

static int mirror_poll(void *ctx, const struct mv_disk *d, struct mv_mirror *ret,
                       struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "mirror_poll", {
        struct fake *f = s->f;
        f->mirror_polls++;
        ret->total_bytes = 1000;
        ret->done_bytes = ret->wire_bytes = 100 * f->mirror_polls;
        ret->ready = f->mirror_polls > USUAL_POLLS;
        if (f->mirror)
            f->mirror(f, ret);
        if (ret->ready)
            f->mirrors_ready |= fake_bit(f, d);
    });
}

static int mirror_finish(void *ctx, const struct mv_disk *d, int timeout_ms, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "mirror_finish", {
        unsigned bit = fake_bit(s->f, d);
        if (!(s->f->mirrors_ready & bit))
            fake_bad(s->f, "a mirror was finished that is not in sync");
        if (s->qemu == Q_RUNNING)
            fake_bad(s->f, "a mirror was finished while the guest runs");
        if (timeout_ms <= 0 || timeout_ms > 1000)
            fake_bad(s->f, "a mirror was given %d ms", timeout_ms);
        s->f->mirrors &= ~bit;
        s->f->side[DST].images |= bit << 8; // complete
    });
}

static int mirror_abort(void *ctx, const struct mv_disk *d, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "mirror_abort", { s->f->mirrors &= ~fake_bit(s->f, d); });
}

static int mirror_limit(void *ctx, const struct mv_disk *d, uint64_t bandwidth_bps,
                        struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "mirror_limit", {
        (void)fake_bit(s->f, d);
        s->f->mirror_bps = bandwidth_bps;
    });
}

// --- QEMU: memory ---

static int migrate_start(void *ctx, const struct mv_endpoints *to, const struct mv_limits *limits,
                         struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "migrate_start", {
        if (to->memory_port != 4802)
            fake_bad(s->f, "memory to port %u", to->memory_port);
        if (s->f->patience_ms < (int)s->f->plan.max_blackout_ms || s->f->patience_ms < 2000)
            fake_bad(s->f, "memory begins with a patience of %d ms", s->f->patience_ms);
        s->f->mig = MV_MIG_ACTIVE;
        s->f->polls = 0;
        s->f->last = *limits;
    });
}

static int migrate_limits(void *ctx, const struct mv_limits *limits, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "migrate_limits", {
        s->f->limits_set++;
        s->f->last = *limits;
    });
}

static void usual_migration(struct fake *f, struct mv_migration *io)
{
    bool paused = f->side[SRC].qemu == Q_PAUSED;
    io->transferred_bytes += 1 << 20;
    io->total_bytes = 1 << 28;
    io->remaining_bytes = (1u << 28) / (f->polls + 1);
    io->passes = f->polls;
    io->expected_downtime_ms = 40;
    if (f->polls < USUAL_POLLS || f->mig != MV_MIG_ACTIVE)
        return;
    if (!paused)
        f->mig = MV_MIG_PRE_SWITCHOVER;
    else if (!f->never_sends)
        f->mig = MV_MIG_COMPLETED;
}

static int migrate_poll(void *ctx, struct mv_migration *io, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "migrate_poll", {
        struct fake *f = s->f;
        f->polls++;
        (f->migration ? f->migration : usual_migration)(f, io);
        if (f->mig == MV_MIG_PRE_SWITCHOVER && s->qemu == Q_RUNNING) {
            s->qemu = Q_PAUSED;
            f->stopped_us = f->now_us;
        }
        if (f->mig == MV_MIG_COMPLETED) {
            s->qemu = Q_POSTMIGRATE;
            f->dst_loaded = !f->never_loads;
        }
        io->state = f->mig;
    });
}

static int migrate_continue(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "migrate_continue", {
        if (s->f->mig != MV_MIG_PRE_SWITCHOVER)
            fake_bad(s->f, "continue in state %d", (int)s->f->mig);
        if (s->f->mirrors)
            fake_bad(s->f, "the device state goes before mirrors %x are finished", s->f->mirrors);
        s->f->mig = MV_MIG_ACTIVE;
        s->f->polls = 0;
    });
}

static int migrate_cancel(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "migrate_cancel", {
        struct fake *f = s->f;
        if (f->mig != MV_MIG_NONE)
            f->mig = MV_MIG_CANCELLED;
        if (s->qemu == Q_NONE)
            return drv_err(err, DRV_EUNREACHABLE, "QEMU is gone");
        if (s->qemu != Q_RUNNING &&
            (f->rec.host != SRC || f->rec.state != R_RUNNING || f->rec.held_by != SRC))
            fake_bad(f, "the source is to resume without the epoch");
        s->qemu = Q_RUNNING;
    });
}

static void wait_change(void *ctx, int timeout_ms)
{
    struct fake_side *s = ctx;
    s->f->now_us += timeout_ms * 1000LL;
}

static int64_t stopped_at_us(void *ctx)
{
    struct fake_side *s = ctx;
    fake_check_call(s, "stopped_at_us");
    return s->f->stopped_us;
}

static int incoming_start(void *ctx, struct mv_endpoints *ret, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "incoming_start", {
        if (!s->reserved || !s->f->side[SRC].reserved)
            fake_bad(s->f, "incoming QEMU without a reservation");
        if (!s->stores_open || strcmp(ret->addr, "10.0.1.2") != 0)
            fake_bad(s->f, "incoming QEMU without stores or address");
        s->qemu = Q_INCOMING;
        ret->disk_port = mv_plan_moves_disks(&s->f->plan) ? 4801 : 0;
    });
}

static int incoming_listen(void *ctx, struct mv_endpoints *io, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "incoming_listen", {
        if (s->qemu != Q_INCOMING)
            fake_bad(s->f, "listen without an incoming QEMU");
        io->memory_port = 4802;
    });
}

static int incoming_disks_done(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "incoming_disks_done", {
        if (s->f->mirrors)
            fake_bad(s->f, "exports end before mirrors %x do", s->f->mirrors);
    });
}

static int incoming_wait_loaded(void *ctx, int timeout_ms, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "incoming_wait_loaded", {
        if (!s->f->dst_loaded) {
            s->f->now_us += timeout_ms * 1000LL;
            return drv_err(err, DRV_ETIMEDOUT, "not loaded in %d ms", timeout_ms);
        }
        s->qemu = Q_PAUSED;
    });
}

static int cont(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "cont", {
        struct fake *f = s->f;
        if (f->rec.host != s->me || f->rec.state != R_RUNNING || f->rec.held_by != s->me)
            fake_bad(f, "cont without the epoch");
        if (f->gate_shut)
            return drv_err(err, DRV_ESTATE, "this host may not run the VM");
        if (s->qemu == Q_INCOMING)
            fake_bad(f, "cont before the memory is loaded");
        s->qemu = Q_RUNNING;
    });
}

static int run_state(void *ctx, char *ret_state, size_t size, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "run_state",
        { drv_copy(ret_state, size, s->qemu == Q_RUNNING ? "running" : "paused"); });
}

static int quit(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "quit", {
        if (s->me == DST && mv_job_taken(s->job))
            fake_bad(s->f, "the destination's QEMU is ended after the commit");
        if (s->me == SRC && s->f->rec.host == SRC)
            fake_bad(s->f, "the source's QEMU is ended before the commit");
        s->qemu = Q_NONE;
    });
}

const struct mv_qemu_ports fake_qemu_ports = {
    .mirror_start = mirror_start,
    .mirror_poll = mirror_poll,
    .mirror_finish = mirror_finish,
    .mirror_abort = mirror_abort,
    .mirror_limit = mirror_limit,
    .migrate_start = migrate_start,
    .migrate_limits = migrate_limits,
    .migrate_poll = migrate_poll,
    .migrate_continue = migrate_continue,
    .migrate_cancel = migrate_cancel,
    .wait_change = wait_change,
    .stopped_at_us = stopped_at_us,
    .incoming_start = incoming_start,
    .incoming_listen = incoming_listen,
    .incoming_disks_done = incoming_disks_done,
    .incoming_wait_loaded = incoming_wait_loaded,
    .cont = cont,
    .run_state = run_state,
    .quit = quit,
};
