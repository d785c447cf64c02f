// SPDX-License-Identifier: GPL-3.0-or-later
// The watch thread: asks the server every verify_s whether our handles still stand, has them
// brought back after an outage, gives them up when they were not confirmed for stall_s or when a
// request waits longer than our patience, and pauses the guest. It never touches SMB itself, so
// that nothing can hold it up but QMP, which has a time limit.
#include "store.h"

#include "drover/log.h"
#include "qmp_stop.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
    TICK_MS = 500,
    SHORT_TICK_MS = 20, // during a hand-over, whose limit is patience
    QMP_TIMEOUT_MS = 5000,
    LOG_EVERY = 60,
    RECOVER_EVERY_MS = 300,
    RECOVER_LOG_MS = 10000,
    RECOVER_QUIETLY_MS = 2000, // the guest is paused, or nothing is held
};

struct ds_watch {
    pthread_t id;
    struct ds_store *st;
    bool stopping; // st->lock
};

// A piece of work for the procedure thread, and when it is due again.
struct chore {
    struct chore_job *pending;
    int64_t next_ms;
};

struct chore_job {
    struct ds_job job; // first member
    struct ds_store *st;
};

static void run_verify(struct ds_job *job)
{
    struct ds_store *st = ((struct chore_job *)job)->st;
    ds_verify(st);
    ds_observe_again(st);
}

static void run_recover(struct ds_job *job)
{
    struct ds_store *st = ((struct chore_job *)job)->st;
    struct drv_err err = DRV_ERR_INIT;
    if (ds_recover(st, &err) < 0 && drv_now_ms() >= st->next_reopen_log_ms) {
        drv_log_err(LOG_WARNING, "store.recover", &err);
        st->next_reopen_log_ms = drv_now_ms() + RECOVER_LOG_MS;
    }
}

// Pause the guest; on failure it is tried again at the next tick. Lock held on entry and return.
static void pause_guest(struct ds_store *st)
{
    struct drv_err err = DRV_ERR_INIT;
    st->pausing = true;
    pthread_mutex_unlock(&st->lock);
    int rc = ds_qmp_stop(st->conf->qmp_path, QMP_TIMEOUT_MS, &err);
    unsigned failures = rc == 0 ? 0 : st->pause_failures + 1;
    if (rc == 0)
        drv_log(LOG_NOTICE, "store.paused");
    else if (failures % LOG_EVERY == 1) // a QEMU that has ended is tried for as long as we live
        drv_log_err(LOG_WARNING, "store.pause.failed", &err);
    pthread_mutex_lock(&st->lock);
    st->pause_failures = failures;
    st->pausing = false;
    if (rc == 0) {
        st->pause_wanted = false;
        st->guest_paused = true;
    }
    pthread_cond_broadcast(&st->wake);
}

static bool stalled(const struct ds_store *st)
{
    return st->epoch > 0 && !st->lost &&
           drv_now_ms() - st->verified_ms > (int64_t)st->conf->stall_s * 1000;
}

static void sleep_tick(struct ds_store *st)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (st->patience_ms ? SHORT_TICK_MS : TICK_MS) * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&st->wake, &st->lock, &until);
}

static void check_patience(struct ds_store *st, bool stall, int patience_ms)
{
    if (stall)
        ds_lost(st, DS_LOST_WAIT, "the owner record could not be verified for %u s",
                st->conf->stall_s);
    else if (st->data->oldest_ms() > patience_ms)
        ds_lost(st, DS_LOST_WAIT, "the file server did not answer within %d ms", patience_ms);
}

// Queue it when it is due and not queued; without memory it is tried again later.
static void attend(struct ds_store *st, struct chore *c, bool due, void (*run)(struct ds_job *job),
                   int again_ms)
{
    if (c->pending && ds_job_finished(st->thread, &c->pending->job)) {
        ds_job_put(st->thread, &c->pending->job);
        c->pending = NULL;
        c->next_ms = drv_now_ms() + again_ms;
    }
    if (c->pending || !due || drv_now_ms() < c->next_ms)
        return;
    c->pending = (struct chore_job *)ds_job_new(sizeof *c->pending, run);
    if (c->pending) {
        c->pending->st = st;
        ds_thread_submit(st->thread, &c->pending->job);
    }
}

static void *watch_main(void *arg)
{
    struct ds_watch *w = arg;
    struct ds_store *st = w->st;
    struct chore verify = {NULL, 0}, recover = {NULL, 0};
    int64_t next_pause_ms = 0;

    pthread_mutex_lock(&st->lock);
    while (!w->stopping) {
        if (st->pause_wanted && drv_now_ms() >= next_pause_ms) {
            pause_guest(st);
            next_pause_ms = drv_now_ms() + 2L * TICK_MS;
        }
        bool stall = stalled(st), lost = st->lost, recovering = st->recover_wanted;
        bool urgent = st->stalled && !lost;
        int patience_ms = st->patience_ms ? st->patience_ms : (int)st->conf->stall_s * 1000;
        pthread_mutex_unlock(&st->lock);

        if (!lost)
            check_patience(st, stall, patience_ms);
        attend(st, &recover, recovering, run_recover,
               urgent ? RECOVER_EVERY_MS : RECOVER_QUIETLY_MS);
        attend(st, &verify, !recovering, run_verify, (int)st->conf->verify_s * 1000);
        pthread_mutex_lock(&st->lock);
        bool pause_now = st->pause_wanted && drv_now_ms() >= next_pause_ms;
        if (!w->stopping && !pause_now)
            sleep_tick(st);
    }
    pthread_mutex_unlock(&st->lock);
    if (verify.pending)
        ds_job_put(st->thread, &verify.pending->job);
    if (recover.pending)
        ds_job_put(st->thread, &recover.pending->job);
    return NULL;
}

struct ds_watch *ds_watch_start(struct ds_store *st, struct drv_err *err)
{
    struct ds_watch *w = drv_xcalloc(1, sizeof *w);
    w->st = st;
    int rc = pthread_create(&w->id, NULL, watch_main, w);
    if (rc != 0) {
        drv_err_os(err, rc, "cannot start the watch thread");
        free(w);
        return NULL;
    }
    return w;
}

void ds_watch_stop(struct ds_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->st->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->st->wake);
    pthread_mutex_unlock(&w->st->lock);
    pthread_join(w->id, NULL);
    free(w);
}

void ds_pause_at_end(struct ds_store *st, int timeout_ms)
{
    const struct ds_conf *conf = st->conf;
    pthread_mutex_lock(&st->lock);
    bool guest_runs = st->epoch > 0 && conf->qmp_path && (conf->image_url || conf->guards_guest);
    pthread_mutex_unlock(&st->lock);
    if (!guest_runs)
        return;
    struct drv_err err = DRV_ERR_INIT;
    if (ds_qmp_stop(conf->qmp_path, timeout_ms, &err) == 0)
        drv_log(LOG_WARNING, "store.end.paused");
    else
        drv_log_err(LOG_WARNING, "store.pause.failed", &err);
}
