// SPDX-License-Identifier: GPL-3.0-or-later
// Event loop with a mailbox: see loop.h. An eventfd wakes libevent, so libevent itself needs no
// locks.
#include "drover/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "drover/util.h"

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct drv_loop {
    struct event_base *base;
    struct event *wake_event;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock; // guards head and tail
    struct post *head, **tail;
    bool stop; // loop thread
};

static void run_posts(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct drv_loop *loop = arg;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    pthread_mutex_lock(&loop->lock);
    struct post *p = loop->head;
    loop->head = NULL;
    loop->tail = &loop->head;
    pthread_mutex_unlock(&loop->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

struct drv_loop *drv_loop_new(struct drv_err *err)
{
    struct drv_loop *loop = drv_xcalloc(1, sizeof *loop);
    loop->thread = pthread_self();
    loop->tail = &loop->head;
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->base = event_base_new();
    if (loop->base && loop->wake_fd >= 0)
        loop->wake_event =
            event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, run_posts, loop);
    if (!loop->wake_event || event_add(loop->wake_event, NULL) < 0) {
        drv_err(err, DRV_EINTERNAL, "cannot create the event loop");
        drv_loop_free(loop);
        return NULL;
    }
    return loop;
}

void drv_loop_free(struct drv_loop *loop)
{
    if (!loop)
        return;
    while (loop->head) {
        struct post *next = loop->head->next;
        free(loop->head);
        loop->head = next;
    }
    if (loop->wake_event)
        event_free(loop->wake_event);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

struct event_base *drv_loop_base(struct drv_loop *loop)
{
    return loop->base;
}

void drv_loop_run(struct drv_loop *loop)
{
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void stop_now(void *arg)
{
    struct drv_loop *loop = arg;
    event_base_loopbreak(loop->base);
}

void drv_loop_stop(struct drv_loop *loop)
{
    drv_loop_post(loop, stop_now, loop);
}

bool drv_loop_is_mine(const struct drv_loop *loop)
{
    return pthread_equal(loop->thread, pthread_self());
}

void drv_loop_post(struct drv_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *p = drv_xcalloc(1, sizeof *p);
    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&loop->lock);
    *loop->tail = p;
    loop->tail = &p->next;
    pthread_mutex_unlock(&loop->lock);
    uint64_t one = 1;
    if (write(loop->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}

struct call {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

static void run_call(void *arg)
{
    struct call *c = arg;
    c->fn(c->arg);
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_signal(&c->done_cond);
    pthread_mutex_unlock(&c->lock);
}

void drv_loop_call(struct drv_loop *loop, void (*fn)(void *arg), void *arg)
{
    if (drv_loop_is_mine(loop)) {
        fn(arg);
        return;
    }
    struct call c = {.fn = fn, .arg = arg};
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.done_cond, NULL);
    drv_loop_post(loop, run_call, &c);
    pthread_mutex_lock(&c.lock);
    while (!c.done)
        pthread_cond_wait(&c.done_cond, &c.lock);
    pthread_mutex_unlock(&c.lock);
    pthread_cond_destroy(&c.done_cond);
    pthread_mutex_destroy(&c.lock);
}
