// SPDX-License-Identifier: GPL-3.0-or-later
// What must hold after every port call, and at the end of a move.
#include "fake_ports.h"

#include <stdarg.h>
#include <string.h>

void fake_bad(struct fake *f, const char *fmt, ...)
{
    va_list ap;
    if (f->bad[0])
        return;
    va_start(ap, fmt);
    vsnprintf(f->bad, sizeof f->bad, fmt, ap);
    va_end(ap);
}

// Which phases may call a port; "!" = in their undo. The same for both sides.
static const struct {
    const char *port, *phases;
} rules[] = {
    {"facts", " check "},
    {"reserve", " reserve "},
    {"unreserve", " reserve! finish "},
    {"create_images", " prepare "},
    {"open_stores", " prepare "},
    {"incoming_start", " prepare "},
    {"quit", " prepare! finish "},
    {"close_stores", " prepare! finish "},
    {"delete_images", " prepare! "},
    {"mirror_start", " copy "},
    {"mirror_limit", " copy "},
    {"mirror_poll", " copy memory "},
    {"mirror_abort", " copy! "},
    {"mirror_finish", " switch "},
    {"incoming_listen", " memory "},
    {"patience", " memory memory! "},
    {"migrate_start", " memory "},
    {"migrate_limits", " memory "},
    {"migrate_poll", " memory switch "},
    {"migrate_cancel", " memory! "},
    {"stopped_at_us", " switch "},
    {"migrate_continue", " switch "},
    {"incoming_disks_done", " switch "},
    {"incoming_wait_loaded", " switch "},
    {"release", " switch "},
    {"take_back", " switch! take "},
    {"taking", " take "},
    {"take_hold", " take "},
    {"take_commit", " take "},
    {"cont", " take verify "},
    {"vm_arrived", " take "},
    {"run_state", " verify "},
    {"retire_images", " finish "},
    {"vm_left", " finish "},
    {"write_definition", " finish "},
};

void fake_check_call(struct fake_side *s, const char *port)
{
    const char *who = s->me == SRC ? "source" : "destination";
    if (!s->n_open) {
        fake_bad(s->f, "%s: %s without a phase begun in the journal", who, port);
        return;
    }
    const struct fake_row *row = &s->open[s->n_open - 1];
    // A journal that cannot be written stops what is not begun, but neither an undo nor what
    // follows the commit.
    if (!row->ok && !row->undo && !s->f->committed)
        fake_bad(s->f, "%s: %s although %s is not in the journal", who, port, row->phase);
    char want[24];
    snprintf(want, sizeof want, " %s%s ", row->phase, row->undo ? "!" : "");
    for (size_t i = 0; i < DRV_ARRAY_LEN(rules); i++)
        if (!strcmp(rules[i].port, port)) {
            if (!strstr(rules[i].phases, want))
                fake_bad(s->f, "%s: %s called by%s", who, port, want);
            return;
        }
    fake_bad(s->f, "no rule for port %s", port);
}

void fake_check_state(struct fake *f)
{
    bool running[2] = {f->side[SRC].qemu == Q_RUNNING, f->side[DST].qemu == Q_RUNNING};
    if (running[SRC] && running[DST])
        fake_bad(f, "two running copies");
    for (int i = 0; i < 2; i++)
        if (running[i] && (f->rec.host != i || f->rec.state != R_RUNNING || f->rec.held_by != i))
            fake_bad(f, "%s runs, but the record says host %d, state %d, held by %d",
                     i == SRC ? "source" : "destination", f->rec.host, (int)f->rec.state,
                     f->rec.held_by);
}

static void check_destination_clean(struct fake *f)
{
    const struct fake_side *d = &f->side[DST];
    if (d->qemu != Q_NONE)
        fake_bad(f, "left at the destination: QEMU");
    if (d->images)
        fake_bad(f, "left at the destination: images %x", d->images);
    if (d->stores_open || f->rec.held_by == DST)
        fake_bad(f, "left at the destination: stores");
    if (d->reserved)
        fake_bad(f, "left at the destination: reservation");
    if (d->arrived || d->definition)
        fake_bad(f, "left at the destination: a definition");
}

static void check_stayed(struct fake *f)
{
    const struct fake_side *s = &f->side[SRC];
    if (s->qemu != Q_RUNNING)
        fake_bad(f, "the source's guest does not run (%d)", (int)s->qemu);
    if (s->reserved)
        fake_bad(f, "left at the source: reservation");
    if (f->mirrors)
        fake_bad(f, "left at the source: mirrors %x", f->mirrors);
    if (f->patience_ms)
        fake_bad(f, "left at the source: patience of %d ms", f->patience_ms);
    if (s->left || s->images != 3)
        fake_bad(f, "the source forgot the VM or its images");
    if (f->mig == MV_MIG_ACTIVE || f->mig == MV_MIG_PRE_SWITCHOVER)
        fake_bad(f, "left at the source: a migration");
    check_destination_clean(f);
}

static void check_moved(struct fake *f)
{
    const struct fake_side *s = &f->side[SRC], *d = &f->side[DST];
    if (d->qemu != Q_RUNNING)
        fake_bad(f, "the destination's guest does not run (%d)", (int)d->qemu);
    if (f->rec.epoch != f->plan.epoch + 1)
        fake_bad(f, "epoch %llu", (unsigned long long)f->rec.epoch);
    if (s->qemu != Q_NONE || s->stores_open || s->reserved || !s->left)
        fake_bad(f, "left at the source: qemu %d stores %d reserved %d vm %d", (int)s->qemu,
                 s->stores_open, s->reserved, !s->left);
    if (s->images != (mv_plan_moves_disks(&f->plan) ? 0 : 3))
        fake_bad(f, "images at the source: %x", s->images);
    if (d->images != (mv_plan_moves_disks(&f->plan) ? 0x303 : 0))
        fake_bad(f, "images at the destination: %x", d->images);
    if (!d->arrived || !d->definition || d->reserved)
        fake_bad(f, "at the destination: arrived %d definition %d reserved %d", d->arrived,
                 d->definition, d->reserved);
}

// The destination has it, but not everything could be done or is known.
static void check_attention_after_commit(struct fake *f)
{
    if (f->side[SRC].qemu == Q_RUNNING)
        fake_bad(f, "the source runs after the commit");
    if (f->rec.host != DST || f->rec.state != R_RUNNING)
        fake_bad(f, "the record does not name the destination");
    if (!f->side[DST].arrived)
        fake_bad(f, "the destination does not know the VM that it took");
    if (f->side[DST].qemu == Q_NONE)
        fake_bad(f, "the destination has no QEMU");
}

static int row_no(const char *phase)
{
    const char *const *names = mv_phase_names();
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], phase))
            return i;
    return -1;
}

void fake_check_end(struct fake *f)
{
    fake_check_state(f);
    for (int i = 0; i < 2; i++)
        if (f->side[i].n_open && !f->failed_journal)
            fake_bad(f, "%s: phase %s has no end in the journal", i == SRC ? "source" : "dest.",
                     f->side[i].open[0].phase);
    const struct fake_side *s = &f->side[SRC];
    for (unsigned i = 1; i < s->n_undone; i++)
        if (row_no(s->undone[i].phase) >= row_no(s->undone[i - 1].phase))
            fake_bad(f, "%s was undone after %s", s->undone[i].phase, s->undone[i - 1].phase);
    if (f->result == MV_DONE) {
        if (!f->committed)
            fake_bad(f, "done without a commit");
        check_moved(f);
    } else if (f->result == MV_ATTENTION && f->committed) {
        check_attention_after_commit(f);
    } else if (f->result == MV_ATTENTION) {
        if (!f->failed_undo)
            fake_bad(f, "attention without need");
    } else {
        if (f->committed)
            fake_bad(f, "\"%s\" after the commit", mv_result_name(f->result));
        check_stayed(f);
    }
}
