// SPDX-License-Identifier: GPL-3.0-or-later
// Worker threads: see worker.h. A thread is made when none is idle, up to a limit that no
// legitimate use reaches (a move holds one thread for its whole life; each session has at most one
// call).
#include "drover/worker.h"

#include <pthread.h>
#include <stdlib.h>

#include "drover/util.h"

enum { MAX_THREADS = 256, MAX_IDLE = 8 };

struct work {
    struct work *next;
    struct drv_loop *loop;
    void (*fn)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work_cond;
    struct work *head, **tail;
    int threads, idle, queued, running;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work_cond = PTHREAD_COND_INITIALIZER};

static void *thread_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.head) {
            if (pool.idle >= MAX_IDLE) {
                pool.threads--;
                pthread_mutex_unlock(&pool.lock);
                return NULL;
            }
            pool.idle++;
            pthread_cond_wait(&pool.work_cond, &pool.lock);
            pool.idle--;
        }
        struct work *w = pool.head;
        pool.head = w->next;
        if (!pool.head)
            pool.tail = &pool.head;
        pool.queued--;
        pthread_mutex_unlock(&pool.lock);

        w->fn(w->arg);
        if (w->done)
            drv_loop_post(w->loop, w->done, w->arg);
        free(w);

        pthread_mutex_lock(&pool.lock);
        pool.running--;
    }
}

static int start_thread(void)
{
    pthread_attr_t attr;
    pthread_t t;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&t, &attr, thread_main, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        pool.threads++;
    return rc == 0 ? 0 : -1;
}

int drv_work(struct drv_loop *loop, void (*fn)(void *arg), void (*done)(void *arg), void *arg)
{
    int rc = 0;
    pthread_mutex_lock(&pool.lock);
    if (pool.idle <= pool.queued && (pool.threads >= MAX_THREADS || start_thread() < 0))
        rc = -1;
    if (rc == 0) {
        struct work *w = drv_xcalloc(1, sizeof *w);
        *w = (struct work){.loop = loop, .fn = fn, .done = done, .arg = arg};
        if (!pool.head)
            pool.tail = &pool.head;
        *pool.tail = w;
        pool.tail = &w->next;
        pool.queued++;
        pool.running++;
        pthread_cond_signal(&pool.work_cond);
    }
    pthread_mutex_unlock(&pool.lock);
    return rc;
}

int drv_work_running(void)
{
    pthread_mutex_lock(&pool.lock);
    int n = pool.running;
    pthread_mutex_unlock(&pool.lock);
    return n;
}
