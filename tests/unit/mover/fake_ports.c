// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_ports_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { STUCK_PAUSES = 400 };

// --- calls and faults ---

static void trace(struct fake *f, const char *name)
{
    if (f->n_trace < DRV_ARRAY_LEN(f->trace))
        DRV_COPY(f->trace[f->n_trace++], name);
}

static bool in_undo(const struct fake_side *s)
{
    return s->n_open && s->open[s->n_open - 1].undo;
}

static bool is_journal(const char *port)
{
    return !strncmp(port, "begin ", 6) || !strncmp(port, "end ", 4) || !strcmp(port, "taking") ||
           !strcmp(port, "refuse");
}

enum fault fake_count(struct fake_side *s, const char *port, struct drv_err *err)
{
    struct fake *f = s->f;
    char name[40];
    snprintf(name, sizeof name, "%s.%s", s->me == SRC ? "src" : "dst", port);
    trace(f, name);
    f->calls++;
    f->now_us += 100;
    if (f->cancel_at == f->calls && f->side[SRC].job) {
        struct drv_err ignored = DRV_ERR_INIT;
        f->cancel_rc = mv_job_cancel(f->side[SRC].job, &ignored);
    }
    if (f->on_call)
        f->on_call(f, name);
    bool dead = f->journal_dies && f->fail_at && f->calls > f->fail_at && is_journal(port);
    if (f->calls != f->fail_at && !dead)
        return F_NONE;
    if (!dead)
        DRV_COPY(f->failed, name);
    f->failed_undo = f->failed_undo || in_undo(s);
    drv_err(err, DRV_EIO, "%s was made to fail", name);
    return f->mode == FAIL_BEFORE || f->mode == CUT_BEFORE || f->mode == PART_BEFORE ? F_BEFORE
                                                                                     : F_AFTER;
}

unsigned fake_bit(const struct fake *f, const struct mv_disk *d)
{
    for (unsigned i = 0; i < f->plan.n_disks; i++)
        if (!strcmp(f->plan.disks[i].id, d->id))
            return 1u << i;
    fake_bad((struct fake *)f, "a disk that is not in the plan");
    return 0;
}

// --- journal ---

static bool has_begun(const struct fake_side *s, const char *phase)
{
    for (unsigned i = 0; i < s->n_began; i++)
        if (!strcmp(s->began[i], phase))
            return true;
    return false;
}

static int phase_begin(void *ctx, const char *phase, bool undo, struct drv_err *err)
{
    struct fake_side *s = ctx;
    char name[40];
    if (s->n_open && !s->open[s->n_open - 1].ok && !s->open[s->n_open - 1].undo)
        s->n_open--; // it could not be begun, so it has no end
    assert_true(s->n_open < DRV_ARRAY_LEN(s->open));
    snprintf(name, sizeof name, "begin %s%s", phase, undo ? "!" : "");
    enum fault fault = fake_count(s, name, err);
    struct fake_row *row = &s->open[s->n_open++];
    DRV_COPY(row->phase, phase);
    row->undo = undo;
    row->ok = fault == F_NONE;
    if (fault != F_NONE)
        s->f->failed_journal = true;
    if (!has_begun(s, phase)) {
        if (undo)
            fake_bad(s->f, "undo of %s, which never began", phase);
        DRV_COPY(s->began[s->n_began++], phase);
    }
    if (undo && s->n_undone < DRV_ARRAY_LEN(s->undone))
        s->undone[s->n_undone++] = *row;
    if (undo && s->f->committed)
        fake_bad(s->f, "undo of %s after the commit", phase);
    if (undo && s->me == SRC && s->f->rec.host != SRC && strcmp(phase, "switch") != 0)
        fake_bad(s->f, "undo of %s although host %d has the VM", phase, s->f->rec.host);
    return fault == F_NONE ? 0 : -1;
}

static int phase_end(void *ctx, const char *phase, bool undo, const struct drv_err *failure,
                     struct drv_err *err)
{
    struct fake_side *s = ctx;
    char name[40];
    snprintf(name, sizeof name, "end %s%s%s", phase, undo ? "!" : "", failure ? " failed" : "");
    enum fault fault = fake_count(s, name, err);
    if (!s->n_open || strcmp(s->open[s->n_open - 1].phase, phase) != 0 ||
        s->open[s->n_open - 1].undo != undo)
        fake_bad(s->f, "the journal ends %s%s, which has not begun", phase, undo ? "!" : "");
    else
        s->n_open--;
    if (failure && failure->code == DRV_OK)
        fake_bad(s->f, "%s failed without an error", phase);
    return fault == F_NONE ? 0 : -1;
}

static int taking(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "taking", {
        if (s->refused)
            return drv_err(err, DRV_ESTATE, "refused");
        s->taking = true;
    });
}

static int refuse(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    enum fault fault = fake_count(s, "refuse", err);
    if (fault == F_BEFORE)
        return -1;
    if (s->taking)
        return drv_err(err, DRV_ESTATE, "taking");
    s->refused = true;
    return fault == F_AFTER ? -1 : 0;
}

// --- channel ---

static void finish_alone(struct fake_side *d)
{
    struct drv_err err = DRV_ERR_INIT;
    json_decref(mv_job_enter(d->job, "finish", "", NULL, &err));
    d->over = true;
}

// What hostagent does when the host channel closes.
static void channel_closed(struct fake *f)
{
    struct fake_side *d = &f->side[DST];
    struct drv_err err = DRV_ERR_INIT;
    if (!f->channel_up)
        return;
    f->channel_up = false;
    if (d->over || !d->journalled)
        return;
    if (mv_job_taken(d->job)) {
        finish_alone(d);
    } else {
        mv_job_abandon(d->job, &err);
        d->over = true;
    }
}

static int lost(struct fake *f, int timeout_ms, struct drv_err *err)
{
    f->now_us += timeout_ms * 1000LL;
    drv_err_clear(err);
    return drv_err(err, DRV_ETIMEDOUT, "hv2 does not answer");
}

static int broken(struct fake *f, struct drv_err *err)
{
    f->partitioned = f->partitioned || f->mode >= PART_BEFORE;
    channel_closed(f);
    drv_err_clear(err);
    return drv_err(err, DRV_EUNREACHABLE, "the channel to hv2 broke");
}

static int fail_peer(struct fake *f, int timeout_ms, struct drv_err *err)
{
    return f->mode >= CUT_BEFORE ? broken(f, err) : lost(f, timeout_ms, err);
}

static json_t *through_text(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);
    json_t *ret = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(ret);
    free(text);
    return ret;
}

static json_t *at_destination(struct fake *f, const char *phase, const char *step,
                              const json_t *args, struct drv_err *err)
{
    struct fake_side *d = &f->side[DST];
    if (d->over) {
        drv_err(err, DRV_ESTATE, "the move has ended on hv2");
        return NULL;
    }
    json_t *ret = mv_job_enter(d->job, phase, step, args, err);
    if (!ret && err->code == DRV_OK)
        fake_bad(f, "%s failed at the destination without an error", phase);
    if (!ret && !strcmp(phase, "take") && !mv_job_taken(d->job))
        d->over = d->ended_failed = true;
    else if (ret && !strcmp(phase, "finish"))
        d->over = true;
    return ret;
}

static int peer_enter(void *ctx, const char *phase, const char *step, json_t *args, int timeout_ms,
                      json_t **ret, struct drv_err *err)
{
    struct fake_side *s = ctx;
    struct fake *f = s->f;
    char name[40];
    DRV_AUTO_JSON json_t *owned = args;
    DRV_AUTO_JSON json_t *sent = through_text(args);
    struct drv_err there = DRV_ERR_INIT;
    snprintf(name, sizeof name, "enter %s %s", phase, step);
    if (!s->n_open || strcmp(s->open[s->n_open - 1].phase, phase) != 0)
        fake_bad(f, "%s asked for outside its phase", phase);
    if (timeout_ms <= 0)
        fake_bad(f, "%s asked for with %d ms", phase, timeout_ms);
    enum fault fault = fake_count(s, name, err);
    if (fault == F_BEFORE)
        return fail_peer(f, timeout_ms, err);
    if (!f->channel_up)
        return drv_err(err, DRV_EUNREACHABLE, "no channel to hv2");
    DRV_AUTO_JSON json_t *reply = at_destination(f, phase, step, sent, &there);
    if (fault == F_AFTER)
        return fail_peer(f, timeout_ms, err);
    if (!reply) {
        *err = there;
        return -1;
    }
    *ret = through_text(reply);
    return 0;
}

static int peer_undo(void *ctx, const char *phase, struct drv_err *err)
{
    struct fake_side *s = ctx, *d = &s->f->side[DST];
    struct fake *f = s->f;
    char name[40];
    snprintf(name, sizeof name, "undo %s", phase);
    enum fault fault = fake_count(s, name, err);
    if (fault == F_BEFORE)
        return fail_peer(f, 60000, err);
    if (!f->channel_up)
        return drv_err(err, DRV_EUNREACHABLE, "no channel to hv2");
    int rc = d->over ? 0 : mv_job_undo(d->job, phase, err);
    if (!strcmp(phase, "reserve")) { // the last one: the agent forgets the move
        d->over = true;
        d->reserved = false;
    }
    return fault == F_AFTER ? fail_peer(f, 60000, err) : rc;
}

static int peer_status(void *ctx, char *ret_word, size_t size, struct drv_err *err)
{
    struct fake_side *s = ctx, *d = &s->f->side[DST];
    struct fake *f = s->f;
    enum fault fault = fake_count(s, "status", err);
    if (fault != F_NONE)
        return fail_peer(f, 5000, err);
    if (f->partitioned)
        return lost(f, 5000, err);
    f->channel_up = true;
    const char *word = mv_job_taken(d->job)            ? "taken"
                       : d->refused || d->ended_failed ? "refused"
                       : d->taking                     ? "taking"
                       : d->journalled                 ? "open"
                                                       : "unknown";
    return drv_copy(ret_word, size, f->says_taking-- > 0 ? "taking" : word);
}

// --- stores ---

static int create_images(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "create_images", {
        for (unsigned i = 0; i < s->f->plan.n_disks; i++)
            s->images |= s->f->plan.disks[i].moves ? 1u << i : 0;
    });
}

static int delete_images(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "delete_images", {
        bool excused =
            !strcmp(s->f->failed, "dst.quit") || !strcmp(s->f->failed, "dst.close_stores");
        if ((s->qemu != Q_NONE || s->stores_open) && !excused)
            fake_bad(s->f, "images are deleted while something may write to them");
        s->images = 0;
    });
}

static int open_stores(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "open_stores", { s->stores_open = true; });
}

static int close_stores(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "close_stores", {
        if (s->f->close_fails && s->me == DST)
            return drv_err(err, DRV_EIO, "drover-store does not end");
        s->stores_open = false;
        if (s->f->rec.held_by == s->me)
            s->f->rec.held_by = NOBODY;
    });
}

static int patience(void *ctx, int ms, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "patience", { s->f->patience_ms = ms; });
}

static int release(void *ctx, bool *ret_written, struct drv_err *err)
{
    struct fake_side *s = ctx;
    struct fake *f = s->f;
    *ret_written = false;
    fake_check_call(s, "release");
    if (f->mig != MV_MIG_COMPLETED || !f->dst_loaded)
        fake_bad(f, "released before both QEMUs said completed");
    if (s->qemu == Q_RUNNING || f->rec.held_by != SRC)
        fake_bad(f, "released while running, or without the handles");
    enum fault fault = fake_count(s, "release", err);
    f->now_us += f->slow_ms * 1000LL;
    if (fault == F_BEFORE)
        return -1;
    *ret_written = true;
    if (f->release_only_says)
        return drv_err(err, DRV_EIO, "the release got no answer");
    f->rec.state = R_RELEASED;
    f->rec.to = DST;
    f->rec.held_by = NOBODY;
    fake_check_state(f);
    return fault == F_AFTER ? -1 : 0;
}

static int take_hold(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "take_hold", {
        struct fake *f = s->f;
        if (f->rec.state != R_RELEASED || f->rec.to != DST || f->rec.epoch != f->plan.epoch)
            return drv_err(err, DRV_ESTATE, "the record was not released for this move");
        if (f->rec.held_by != NOBODY)
            return drv_err(err, DRV_EBUSY, "the record is held");
        f->rec.held_by = DST;
    });
}

static void write_epoch(struct fake *f, int host)
{
    f->rec.epoch++;
    f->rec.host = host;
    f->rec.state = R_RUNNING;
    f->rec.held_by = host;
}

static int take_commit(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    struct fake *f = s->f;
    fake_check_call(s, "take_commit");
    enum fault fault = fake_count(s, "take_commit", err);
    if (!s->taking)
        fake_bad(f, "an epoch write that the journal does not expect");
    if (f->rec.held_by != DST)
        fake_bad(f, "an epoch write without the record");
    if (s->qemu != Q_PAUSED)
        fake_bad(f, "an epoch write before the memory is loaded");
    if (fault == F_BEFORE)
        return -1;
    if (f->commits_unknown > 0) {
        f->commits_unknown--;
        return drv_err(err, DRV_ETIMEDOUT, "the epoch write got no answer");
    }
    if (f->commit_refused) {
        drv_err(err, DRV_ESTATE, "the record is as it was");
        return 0;
    }
    if (f->rec.host != DST)
        write_epoch(f, DST);
    f->committed = true;
    fake_check_state(f);
    return fault == F_AFTER ? -1 : 1;
}

static int take_back(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    struct fake *f = s->f;
    fake_check_call(s, "take_back");
    enum fault fault = fake_count(s, "take_back", err);
    if (fault == F_BEFORE)
        return -1;
    if (f->take_backs_unknown > 0) {
        f->take_backs_unknown--;
        return drv_err(err, DRV_EUNREACHABLE, "the file server does not answer");
    }
    if (f->rec.host != SRC) {
        drv_err(err, DRV_ESTATE, "host %d took the VM", f->rec.host);
        return 0;
    }
    if (f->rec.held_by == DST)
        return drv_err(err, DRV_EBUSY, "the record is held");
    if (f->has_taken_back)
        fake_bad(f, "taken back twice");
    if (f->rec.state == R_RELEASED)
        write_epoch(f, SRC);
    f->rec.held_by = SRC;
    f->has_taken_back = fault == F_NONE;
    return fault == F_AFTER ? -1 : 1;
}

static int retire_images(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "retire_images", {
        if (s->f->rec.host == SRC || s->qemu != Q_NONE)
            if (strcmp(s->f->failed, "src.quit") != 0)
                fake_bad(s->f, "the source's images are retired too early");
        if (mv_plan_moves_disks(&s->f->plan))
            s->images = 0;
    });
}

static int write_definition(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "write_definition", {
        if (!s->f->committed)
            fake_bad(s->f, "a definition before the commit");
        s->definition = true;
    });
}

// --- host ---

static int reach(void *ctx, const char *addr, struct drv_err *err)
{
    (void)ctx, (void)addr, (void)err;
    return 0; // what comes of a network that does not answer is test_judge.c's
}

static int facts(void *ctx, bool source, struct mv_facts *ret, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "facts", {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now); // the skew is judged by it
        if (source != (s->me == SRC))
            fake_bad(s->f, "facts of the wrong side");
        scene_facts(&s->f->plan, s->me == SRC, ret);
        ret->wall_ms = (int64_t)now.tv_sec * 1000;
        if (s->f->spoil)
            s->f->spoil(ret, s->me == SRC);
    });
}

static int reserve(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "reserve", { s->reserved = s->journalled = true; });
}

static int unreserve(void *ctx, struct drv_err *err)
{
    struct fake_side *s = ctx;
    ACT(s, "unreserve", { s->reserved = false; });
}

static void progress(void *ctx, const struct mv_progress *p)
{
    struct fake_side *s = ctx;
    static unsigned n;
    if (p->waiting[0])
        DRV_COPY(s->f->waiting, p->waiting);
    s->f->stuck = p->stuck;
    s->f->stuck_seen |= p->stuck;
    if (n++ % 16 != 0) // encoding is most of these tests' time
        return;
    json_t *j = mv_progress_to_json(s->job, p);
    if (!j)
        fake_bad(s->f, "progress that is no JSON");
    json_decref(j);
}

static int64_t now_us(void *ctx)
{
    struct fake_side *s = ctx;
    return s->f->now_us;
}

static void pause_ms(void *ctx, int ms)
{
    struct fake_side *s = ctx;
    s->f->now_us += ms * 1000LL;
    if (++s->f->pauses > STUCK_PAUSES)
        fail_msg("the move hangs: %s (call %u, %s, mode %d)", s->f->waiting, s->f->fail_at,
                 s->f->failed, (int)s->f->mode);
}

static void vm_left(void *ctx)
{
    struct fake_side *s = ctx;
    fake_check_call(s, "vm_left");
    s->left = true;
}

static void vm_arrived(void *ctx)
{
    struct fake_side *s = ctx;
    fake_check_call(s, "vm_arrived");
    if (!s->f->committed)
        fake_bad(s->f, "the VM arrived before the commit");
    s->arrived = true;
}

static const struct mv_journal_ports journal_ports = {phase_begin, phase_end, taking, refuse};
static const struct mv_peer_ports peer_ports = {peer_enter, peer_undo, peer_status};
static const struct mv_store_ports store_ports = {
    .create_images = create_images,
    .delete_images = delete_images,
    .open_stores = open_stores,
    .close_stores = close_stores,
    .patience = patience,
    .release = release,
    .take_hold = take_hold,
    .take_commit = take_commit,
    .take_back = take_back,
    .retire_images = retire_images,
    .write_definition = write_definition,
};
static const struct mv_host_ports host_ports = {
    .facts = facts,
    .reach = reach,
    .reserve = reserve,
    .unreserve = unreserve,
    .progress = progress,
    .now_us = now_us,
    .pause = pause_ms,
    .vm_left = vm_left,
    .vm_arrived = vm_arrived,
};
static const struct mv_ports ports = {&journal_ports, &peer_ports, &fake_qemu_ports, &store_ports,
                                      &host_ports};

// --- a run ---

struct fake *fake_new(bool disks)
{
    struct fake *f = drv_xcalloc(1, sizeof *f);
    scene_plan(&f->plan, disks);
    f->now_us = 1000000;
    f->rec.epoch = f->plan.epoch;
    f->rec.state = R_RUNNING;
    f->rec.host = f->rec.held_by = SRC;
    f->rec.to = NOBODY;
    f->channel_up = true;
    for (int i = 0; i < 2; i++) {
        f->side[i].f = f;
        f->side[i].me = i;
    }
    f->side[SRC].qemu = Q_RUNNING;
    f->side[SRC].stores_open = true;
    f->side[SRC].images = 3;
    for (int i = 0; i < 2; i++)
        f->side[i].job = mv_job_new(&f->plan, &ports, &f->side[i], i == SRC);
    return f;
}

enum mv_result fake_run(struct fake *f)
{
    f->result = mv_job_run(f->side[SRC].job, &f->err);
    channel_closed(f);
    json_t *j = mv_job_result(f->side[SRC].job, f->result, &f->err);
    if (!j)
        fake_bad(f, "a result that is no JSON");
    json_decref(j);
    return f->result;
}

void fake_free(struct fake *f)
{
    for (int i = 0; i < 2; i++)
        mv_job_free(f->side[i].job);
    free(f);
}

bool fake_traced(const struct fake *f, const char *name)
{
    for (unsigned i = 0; i < f->n_trace; i++)
        if (!strcmp(f->trace[i], name))
            return true;
    return false;
}

void fake_assert_end(struct fake *f)
{
    fake_check_end(f);
    if ((f->result == MV_DONE) != (f->err.code == DRV_OK))
        fake_bad(f, "\"%s\" with error \"%s\"", mv_result_name(f->result), f->err.msg);
    if (!f->bad[0])
        return;
    for (unsigned i = f->n_trace > 60 ? f->n_trace - 60 : 0; i < f->n_trace; i++)
        print_message("  %s\n", f->trace[i]);
    fail_msg("call %u (%s) failed in mode %d, result %s (%s): %s", f->fail_at, f->failed,
             (int)f->mode, mv_result_name(f->result), f->err.msg, f->bad);
}
