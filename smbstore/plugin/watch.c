// SPDX-License-Identifier: GPL-3.0-or-later
// The watch thread: asks the server every verify_s whether our handles still stand, gives them up
// when that was not confirmed for stall_s (also when a call simply never returns), and pauses the
// guest. It never touches SMB itself, so that nothing can hold it up but QMP, which has a time
// limit.
#include "store.h"

#include "drover/log.h"
#include "qmp_stop.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { TICK_MS = 500, QMP_TIMEOUT_MS = 5000, LOG_EVERY = 60 };

struct ds_watch {
    pthread_t id;
    struct ds_store *st;
    bool stopping; // st->lock
};

struct verify_job {
    struct ds_job job; // first member
    struct ds_store *st;
};

static void run_verify(struct ds_job *job)
{
    ds_verify(((struct verify_job *)job)->st);
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
    if (rc == 0)
        st->pause_wanted = false;
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
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&st->wake, &st->lock, &until);
}

// Queue a verification; NULL when there is no memory: tried again later.
static struct verify_job *submit_verify(struct ds_store *st)
{
    struct verify_job *v = (struct verify_job *)ds_job_new(sizeof *v, run_verify);
    if (v) {
        v->st = st;
        ds_thread_submit(st->thread, &v->job);
    }
    return v;
}

static void *watch_main(void *arg)
{
    struct ds_watch *w = arg;
    struct ds_store *st = w->st;
    struct verify_job *pending = NULL;
    int64_t next_verify_ms = drv_now_ms();
    int64_t next_pause_ms = 0;

    pthread_mutex_lock(&st->lock);
    while (!w->stopping) {
        if (st->pause_wanted && drv_now_ms() >= next_pause_ms) {
            pause_guest(st);
            next_pause_ms = drv_now_ms() + 2L * TICK_MS;
        }
        bool stall = stalled(st);
        pthread_mutex_unlock(&st->lock);

        if (stall)
            ds_lost(st, false, "the owner record could not be verified for %u s",
                    st->conf->stall_s);
        if (pending && ds_job_finished(st->thread, &pending->job)) {
            ds_job_put(st->thread, &pending->job);
            pending = NULL;
        }
        if (!pending && drv_now_ms() >= next_verify_ms) {
            pending = submit_verify(st);
            next_verify_ms = drv_now_ms() + (int64_t)st->conf->verify_s * 1000;
        }
        pthread_mutex_lock(&st->lock);
        bool pause_now = st->pause_wanted && drv_now_ms() >= next_pause_ms;
        if (!w->stopping && !pause_now)
            sleep_tick(st);
    }
    pthread_mutex_unlock(&st->lock);
    if (pending)
        ds_job_put(st->thread, &pending->job);
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
