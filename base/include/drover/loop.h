// SPDX-License-Identifier: GPL-3.0-or-later
// The one event loop of a process, and the way from other threads into it.
//
// The loop thread owns all shared state. A procedure on a worker thread reaches that state with
// drv_loop_call(), which runs a function on the loop and waits for it: the state needs no lock, and
// the loop never waits for a procedure.
#ifndef DROVER_LOOP_H
#define DROVER_LOOP_H

#include "drover/err.h"
#include <event2/event.h>

struct drv_loop;

// Creates the loop; the calling thread becomes the loop thread. NULL + err on failure.
struct drv_loop *drv_loop_new(struct drv_err *err);
void drv_loop_free(struct drv_loop *loop);
struct event_base *
drv_loop_base(struct drv_loop *loop); // for libevent's own calls, loop thread only

// Run until drv_loop_stop(). Loop thread only.
void drv_loop_run(struct drv_loop *loop);
void drv_loop_stop(struct drv_loop *loop); // any thread

bool drv_loop_is_mine(const struct drv_loop *loop); // true on the loop thread

// Queue fn(arg) to run on the loop thread, in the order of posting. Any thread; never blocks.
void drv_loop_post(struct drv_loop *loop, void (*fn)(void *arg), void *arg);

// Run fn(arg) on the loop thread and wait until it has returned. On the loop thread itself: a plain
// call. fn must not block and must not call drv_loop_call's caller back.
void drv_loop_call(struct drv_loop *loop, void (*fn)(void *arg), void *arg);

#endif
