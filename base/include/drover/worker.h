// SPDX-License-Identifier: GPL-3.0-or-later
// Worker threads for procedures that block: GSSAPI, LDAP, SQLite, files, helper processes, moves.
#ifndef DROVER_WORKER_H
#define DROVER_WORKER_H

#include "drover/loop.h"

// Run fn(arg) on a worker thread; when it has returned, run done(arg) on the loop thread (done may
// be NULL). fn sees only arg and what it asks the loop for. A thread cannot be cancelled:
// everything that fn waits for has its own time-out. Returns -1 when no thread can be had (limit
// reached). Idle threads are kept for reuse. Any thread may submit.
int drv_work(struct drv_loop *loop, void (*fn)(void *arg), void (*done)(void *arg), void *arg);

// Number of procedures under way (any thread): an agent waits for 0 before it ends.
int drv_work_running(void);

#endif
