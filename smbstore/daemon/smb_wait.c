// SPDX-License-Identifier: GPL-3.0-or-later
// See smb_wait.h. What is waited for has time limits of its own: the client gives up a connection
// that says nothing.
#include "smb_wait.h"

static void start(void *arg)
{
    struct smb_wait *w = arg;
    w->start(w);
}

uint32_t smb_wait_run(struct drv_loop *loop, struct smb_wait *w, void (*begin)(struct smb_wait *w))
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->cond, NULL);
    w->done = false;
    w->start = begin;
    drv_loop_post(loop, start, w);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->lock);
    return w->status;
}

void smb_wait_end(struct smb_wait *w, uint32_t status)
{
    pthread_mutex_lock(&w->lock);
    w->status = status;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}
