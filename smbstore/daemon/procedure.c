// SPDX-License-Identifier: GPL-3.0-or-later
// The procedure thread and its queue: see procedure.h.
#include "procedure.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct ds_thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct ds_job *head, **tail;
    bool stopping;
};

struct ds_job *ds_job_new(size_t size, void (*run)(struct ds_job *job))
{
    struct ds_job *job = calloc(1, size);
    if (!job)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&job->finished_cond, &attr);
    pthread_condattr_destroy(&attr);
    job->run = run;
    job->refs = 1;
    return job;
}

// With t->lock held; the last reference frees.
static bool drop_ref(struct ds_job *job)
{
    return --job->refs == 0;
}

static void destroy(struct ds_job *job)
{
    if (job->done)
        job->done(job);
    pthread_cond_destroy(&job->finished_cond);
    free(job);
}

void ds_job_put(struct ds_thread *t, struct ds_job *job)
{
    if (!job)
        return;
    pthread_mutex_lock(&t->lock);
    bool last = drop_ref(job);
    pthread_mutex_unlock(&t->lock);
    if (last)
        destroy(job);
}

static void run_one(struct ds_thread *t, struct ds_job *job) // t->lock held, and again on return
{
    if (!job->abandoned) {
        pthread_mutex_unlock(&t->lock);
        job->run(job);
        pthread_mutex_lock(&t->lock);
    }
    job->finished = true;
    pthread_cond_broadcast(&job->finished_cond);
    if (drop_ref(job)) {
        pthread_mutex_unlock(&t->lock);
        destroy(job);
        pthread_mutex_lock(&t->lock);
    }
}

static void *thread_main(void *arg)
{
    struct ds_thread *t = arg;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->head && !t->stopping)
            pthread_cond_wait(&t->work, &t->lock);
        struct ds_job *job = t->head;
        if (!job)
            break;
        t->head = job->next;
        if (!t->head)
            t->tail = &t->head;
        run_one(t, job);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct ds_thread *ds_thread_new(struct drv_err *err)
{
    struct ds_thread *t = drv_xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    t->tail = &t->head;
    int rc = pthread_create(&t->id, NULL, thread_main, t);
    if (rc != 0) {
        drv_err_os(err, rc, "cannot start the procedure thread");
        free(t);
        return NULL;
    }
    return t;
}

void ds_thread_free(struct ds_thread *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->id, NULL);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void ds_thread_submit(struct ds_thread *t, struct ds_job *job)
{
    pthread_mutex_lock(&t->lock);
    job->refs++;
    job->next = NULL;
    *t->tail = job;
    t->tail = &job->next;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

bool ds_thread_wait(struct ds_thread *t, struct ds_job *job, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&t->lock);
    int rc = 0;
    while (!job->finished && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&job->finished_cond, &t->lock, &until);
    bool finished = job->finished;
    if (!finished)
        job->abandoned = true;
    pthread_mutex_unlock(&t->lock);
    return finished;
}

bool ds_job_finished(struct ds_thread *t, struct ds_job *job)
{
    pthread_mutex_lock(&t->lock);
    bool finished = job->finished;
    pthread_mutex_unlock(&t->lock);
    return finished;
}
