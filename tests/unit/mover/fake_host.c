// SPDX-License-Identifier: GPL-3.0-or-later
// See fake_host.h.
#include "fake_host.h"

#include <stdlib.h>
#include <string.h>

static void bad(struct host *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void bad(struct host *h, const char *fmt, ...)
{
    va_list ap;
    if (h->bad[0])
        return;
    va_start(ap, fmt);
    vsnprintf(h->bad, sizeof h->bad, fmt, ap);
    va_end(ap);
}

void fake_host_look(struct host *h)
{
    if (h->running && h->open != h->named)
        bad(h, "the guest runs on images %x, the record names %x", h->open, h->named);
    if (h->running && h->adopted != h->open)
        bad(h, "the guest runs without the drover-stores of its images");
    if ((h->open & ~h->new_images) || (~h->open & ALL & ~h->old_images))
        bad(h, "an image that QEMU has open is gone");
    if ((h->named & ~h->new_images) || (~h->named & ALL & ~h->old_images))
        bad(h, "an image that the record names is gone");
    // Should the host die now, the record's images are what is left.
    if ((h->named ^ h->open) & ~h->equal)
        bad(h, "the record names an image that lacks writes");
}

enum fault { NONE, BEFORE, AFTER };

static enum fault count(struct host *h, const char *name, struct drv_err *err)
{
    if (h->n_trace < DRV_ARRAY_LEN(h->trace))
        DRV_COPY(h->trace[h->n_trace++], name);
    h->calls++;
    h->now_us += 100;
    if (h->dies_at && h->calls >= h->dies_at)
        longjmp(h->death, 1);
    if (h->cancel_at == h->calls) {
        struct drv_err late = DRV_ERR_INIT;
        mv_job_cancel(h->job, &late);
    }
    if (h->calls != h->fail_at)
        return NONE;
    DRV_COPY(h->failed, name);
    h->failed_undo = h->open_undo;
    drv_err(err, DRV_EIO, "%s was made to fail", name);
    return h->mode == FAIL_BEFORE ? BEFORE : AFTER;
}

#define ACT(h, port, ...)                                                                          \
    do {                                                                                           \
        if (!(h)->open_row[0])                                                                     \
            bad((h), "%s without a phase", (port));                                                \
        enum fault fault_ = count((h), (port), err);                                               \
        if (fault_ == BEFORE)                                                                      \
            return -1;                                                                             \
        {__VA_ARGS__} fake_host_look(h);                                                           \
        return fault_ == AFTER ? -1 : 0;                                                           \
    } while (0)

static unsigned bit_of(const struct host *h, const struct mv_disk *d)
{
    return !strcmp(h->plan.disks[0].id, d->id) ? 1 : 2;
}

// --- journal ---

static int phase_begin(void *ctx, const char *phase, bool undo, struct drv_err *err)
{
    struct host *h = ctx;
    char name[40];
    snprintf(name, sizeof name, "begin %s%s", phase, undo ? "!" : "");
    DRV_COPY(h->open_row, phase);
    h->open_undo = undo;
    enum fault fault = count(h, name, err);
    if (fault != BEFORE && !undo)
        DRV_COPY(h->last_begun, phase);
    return fault == NONE ? 0 : -1;
}

static int phase_end(void *ctx, const char *phase, bool undo, const struct drv_err *failure,
                     struct drv_err *err)
{
    struct host *h = ctx;
    char name[40];
    snprintf(name, sizeof name, "end %s%s%s", phase, undo ? "!" : "", failure ? " failed" : "");
    if (strcmp(h->open_row, phase) != 0 || h->open_undo != undo)
        bad(h, "%s ends, %s is open", phase, h->open_row);
    return count(h, name, err) == NONE ? 0 : -1;
}

static int taking(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "taking", { h->taking = true; });
}

static int refuse(void *ctx, struct drv_err *err)
{
    (void)err;
    bad(ctx, "a storage move has nobody to refuse");
    return -1;
}

// --- peer: nobody is asked ---

static int peer_enter(void *ctx, const char *phase, const char *step, json_t *args, int timeout_ms,
                      json_t **ret, struct drv_err *err)
{
    (void)step, (void)timeout_ms, (void)ret, (void)err;
    json_decref(args);
    bad(ctx, "a peer was asked for %s", phase);
    return -1;
}
static int peer_undo(void *ctx, const char *phase, struct drv_err *err)
{
    (void)err;
    bad(ctx, "a peer was asked to undo %s", phase);
    return -1;
}
static int peer_status(void *ctx, char *ret_word, size_t size, struct drv_err *err)
{
    (void)ret_word, (void)size, (void)err;
    bad(ctx, "a peer was asked for its word");
    return -1;
}

// --- QEMU ---

static int mirror_start(void *ctx, const struct mv_disk *d, const struct mv_endpoints *to,
                        uint64_t bps, struct drv_err *err)
{
    struct host *h = ctx;
    (void)to, (void)bps;
    ACT(h, "mirror_start", {
        if (!h->targets_open || !(h->new_images & bit_of(h, d)))
            bad(h, "a mirror without a target");
        h->mirrors |= bit_of(h, d);
    });
}

static int mirror_poll(void *ctx, const struct mv_disk *d, struct mv_mirror *ret,
                       struct drv_err *err)
{
    struct host *h = ctx;
    (void)d;
    ACT(h, "mirror_poll", {
        ret->total_bytes = 100;
        ret->done_bytes = ret->wire_bytes = 10 * ++h->polls;
        ret->ready = h->polls > 6;
    });
}

static int mirror_abort(void *ctx, const struct mv_disk *d, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "mirror_abort", {
        if (h->open & bit_of(h, d))
            bad(h, "a disk in use was aborted");
        h->mirrors &= ~bit_of(h, d);
    });
}

static int mirror_limit(void *ctx, const struct mv_disk *d, uint64_t bps, struct drv_err *err)
{
    struct host *h = ctx;
    (void)d, (void)bps;
    ACT(h, "mirror_limit", {});
}

static int freeze(void *ctx, int timeout_ms, struct drv_err *err)
{
    struct host *h = ctx;
    if (timeout_ms <= 0 || h->mirrors != ALL)
        bad(h, "freeze with %d ms and mirrors %x", timeout_ms, h->mirrors);
    ACT(h, "freeze", {
        h->running = false;
        h->equal = ALL;
        if (h->slow_freeze)
            h->now_us += 10 * 1000 * 1000;
    });
}

static int pivot(void *ctx, const struct mv_disk *d, int timeout_ms, struct drv_err *err)
{
    struct host *h = ctx;
    (void)timeout_ms;
    ACT(h, "pivot", {
        unsigned bit = bit_of(h, d);
        if (h->running || !(h->named & bit))
            bad(h, "a pivot before the record names the image");
        h->mirrors &= ~bit;
        if (h->pivot_fails & bit)
            return drv_err(err, DRV_EPEER, "the target is gone");
        h->open |= bit;
    });
}

static int is_pivoted(void *ctx, const struct mv_disk *d, bool *ret, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "is_pivoted", { *ret = h->open & bit_of(h, d); });
}

static void wait_change(void *ctx, int timeout_ms)
{
    struct host *h = ctx;
    h->now_us += timeout_ms * 1000LL;
}

static int64_t stopped_at_us(void *ctx)
{
    (void)ctx;
    return 0;
}

static int cont(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "cont", {
        if (h->open != h->named || h->adopted != h->open)
            return drv_err(err, DRV_ESTATE, "the gate is shut");
        if (!h->running)
            h->equal = 0; // it writes
        h->running = true;
    });
}

static int run_state(void *ctx, char *ret, size_t size, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "run_state", { drv_copy(ret, size, h->running ? "running" : "paused"); });
}

static int quit(void *ctx, struct drv_err *err)
{
    (void)err;
    bad(ctx, "QEMU was ended");
    return -1;
}

// --- stores ---

static int create_images(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "create_images", { h->new_images = ALL; });
}

static int delete_images(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "delete_images", {
        if ((h->targets_open || h->mirrors) && !h->failed_undo)
            bad(h, "new images are deleted while something may write to them");
        h->new_images = 0;
    });
}

static int open_stores(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "open_stores", { h->targets_open = true; });
}

static int close_stores(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "close_stores", {
        h->targets_open = false;
        if (h->adopted == ALL)
            h->old_stores_open = false;
    });
}

static int patience(void *ctx, int ms, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "patience", { h->patience_ms = ms; });
}

static int take_commit(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    enum fault fault = count(h, "take_commit", err);
    if (!h->taking || h->running || h->equal != ALL)
        bad(h, "the record is written while the images differ");
    if (fault == BEFORE)
        return -1;
    if (h->unknown_writes > 0) {
        h->unknown_writes--;
        h->named = h->unknown_writes % 2 ? ALL : h->named; // it may have been written all the same
        return drv_err(err, DRV_ETIMEDOUT, "no answer");
    }
    h->named = ALL;
    h->committed = true;
    fake_host_look(h);
    return fault == AFTER ? -1 : 1;
}

static int adopt(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "adopt", {
        h->adopted = h->open;
        h->targets_open = h->targets_open && h->open != ALL;
    });
}

static int take_back(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    enum fault fault = count(h, "take_back", err);
    if (fault == BEFORE)
        return -1;
    // Once a disk has gone, the others that the record names follow, if they can.
    if (!h->running && h->open)
        h->open |= h->named & h->mirrors & ~h->pivot_fails;
    h->mirrors = 0;
    if (h->named != h->open && (h->running || h->equal != ALL))
        bad(h, "the record is changed while the images differ");
    h->named = h->adopted = h->open;
    fake_host_look(h);
    return fault == AFTER ? -1 : h->open ? 0 : 1;
}

static int retire_images(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "retire_images", {
        if (h->old_stores_open && strcmp(h->failed, "close_stores") != 0)
            bad(h, "old images are retired while their stores have them open");
        h->old_images = 0;
    });
}

static int write_definition(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "write_definition", { h->view = true; });
}

// --- host ---

static int facts(void *ctx, bool source, struct mv_facts *ret, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, source ? "facts as source" : "facts as destination", {
        scene_facts(&h->plan, source, ret);
        ret->send = ret->receive = false; // of no account here
        ret->n_addrs = 0;
        ret->mem_free_kib = 0;
    });
}

static int reach(void *ctx, const char *addr, struct drv_err *err)
{
    (void)addr, (void)err;
    bad(ctx, "a network was looked for");
    return -1;
}

static int reserve(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "reserve", { h->reserved = h->journalled = true; });
}

static int unreserve(void *ctx, struct drv_err *err)
{
    struct host *h = ctx;
    ACT(h, "unreserve", { h->reserved = false; });
}

static void progress(void *ctx, const struct mv_progress *p)
{
    (void)ctx, (void)p;
}

static int64_t now_us(void *ctx)
{
    struct host *h = ctx;
    return h->now_us;
}

static void pause_ms(void *ctx, int ms)
{
    struct host *h = ctx;
    h->now_us += ms * 1000LL;
    if (++h->pauses > 400)
        fail_msg("the move hangs (call %u, %s)", h->fail_at, h->failed);
}

static void vm_left(void *ctx)
{
    bad(ctx, "the VM left");
}

static void vm_arrived(void *ctx)
{
    (void)ctx;
}

static const struct mv_journal_ports journal_ports = {phase_begin, phase_end, taking, refuse};
static const struct mv_peer_ports peer_ports = {peer_enter, peer_undo, peer_status};
static const struct mv_qemu_ports qemu_ports = {.mirror_start = mirror_start,
                                                .mirror_poll = mirror_poll,
                                                .mirror_abort = mirror_abort,
                                                .mirror_limit = mirror_limit,
                                                .freeze = freeze,
                                                .pivot = pivot,
                                                .is_pivoted = is_pivoted,
                                                .wait_change = wait_change,
                                                .stopped_at_us = stopped_at_us,
                                                .cont = cont,
                                                .run_state = run_state,
                                                .quit = quit};
static const struct mv_store_ports store_ports = {.create_images = create_images,
                                                  .delete_images = delete_images,
                                                  .open_stores = open_stores,
                                                  .close_stores = close_stores,
                                                  .patience = patience,
                                                  .take_commit = take_commit,
                                                  .adopt = adopt,
                                                  .take_back = take_back,
                                                  .retire_images = retire_images,
                                                  .write_definition = write_definition};
static const struct mv_host_ports host_ports = {.facts = facts,
                                                .reach = reach,
                                                .reserve = reserve,
                                                .unreserve = unreserve,
                                                .progress = progress,
                                                .now_us = now_us,
                                                .pause = pause_ms,
                                                .vm_left = vm_left,
                                                .vm_arrived = vm_arrived};
const struct mv_ports fake_host_ports = {&journal_ports, &peer_ports, &qemu_ports, &store_ports,
                                         &host_ports};

// --- a run ---

struct host *fake_host_new(void)
{
    struct host *h = drv_xcalloc(1, sizeof *h);
    scene_plan(&h->plan, true);
    DRV_COPY(h->plan.to, h->plan.from);
    h->now_us = 1000000;
    h->old_images = ALL;
    h->running = h->old_stores_open = true;
    h->job = mv_job_new(&h->plan, &fake_host_ports, h, true);
    return h;
}

void fake_host_free(struct host *h)
{
    mv_job_free(h->job);
    free(h);
}

enum mv_result fake_host_run(struct host *h)
{
    h->result = mv_job_run(h->job, &h->err);
    return h->result;
}

void fake_host_check_end(struct host *h)
{
    fake_host_look(h);
    if (h->result == MV_DONE &&
        (h->named != ALL || h->open != ALL || h->old_images || h->new_images != ALL || !h->view ||
         h->targets_open || h->old_stores_open || h->reserved || h->mirrors || !h->running ||
         h->patience_ms))
        bad(h, "done, but not all of it");
    if ((h->result == MV_FAILED || h->result == MV_CANCELLED) &&
        (h->named || h->open || h->old_images != ALL || h->new_images || h->targets_open ||
         !h->old_stores_open || h->reserved || h->mirrors || !h->running || h->patience_ms))
        bad(h,
            "not as before: named %x open %x old %x new %x targets %d reserved %d mirrors %x "
            "running %d patience %d",
            h->named, h->open, h->old_images, h->new_images, h->targets_open, h->reserved,
            h->mirrors, h->running, h->patience_ms);
    if (h->result == MV_ATTENTION && !h->failed_undo && !h->open)
        bad(h, "attention without need");
    if (!h->bad[0])
        return;
    for (unsigned i = h->n_trace > 40 ? h->n_trace - 40 : 0; i < h->n_trace; i++)
        print_message("  %s\n", h->trace[i]);
    fail_msg("call %u (%s) failed in mode %d, %s (%s): %s", h->fail_at, h->failed, (int)h->mode,
             mv_result_name(h->result), h->err.msg, h->bad);
}

bool fake_host_traced(const struct host *h, const char *name)
{
    for (unsigned i = 0; i < h->n_trace; i++)
        if (!strcmp(h->trace[i], name))
            return true;
    return false;
}
