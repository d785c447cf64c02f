// SPDX-License-Identifier: GPL-3.0-or-later
// The procedure thread, on which everything that acquires, lets go or recovers happens: one job
// after the other; and jobs for it, run in the order of submission.
// A caller waits with a limit; a caller that gives up leaves its job behind, so a job owns all its
// memory (struct ds_job is the first member of a heap block) and is counted.
#ifndef DROVER_STORE_PROCEDURE_H
#define DROVER_STORE_PROCEDURE_H

#include "drover/err.h"
#include "drover/util.h"
#include <pthread.h>

struct ds_job {
    void (*run)(struct ds_job *job);  // on the procedure thread
    void (*done)(struct ds_job *job); // frees what the job owns besides itself; NULL allowed
    // private to procedure.c
    struct ds_job *next;
    pthread_cond_t finished_cond;
    int refs;
    bool finished, abandoned;
};

struct ds_thread;
struct ds_thread *ds_thread_new(struct drv_err *err);
// Runs what is queued, then ends the thread. NULL allowed. If a call never returns, so does this.
void ds_thread_free(struct ds_thread *t);

// A zeroed job of size bytes (>= sizeof(struct ds_job)); the caller holds one reference. NULL: no
// memory.
struct ds_job *ds_job_new(size_t size, void (*run)(struct ds_job *job));
void ds_thread_submit(struct ds_thread *t, struct ds_job *job);
// true: it has run. false: not within timeout_ms; a job that has not begun will then never run.
bool ds_thread_wait(struct ds_thread *t, struct ds_job *job, int timeout_ms);
bool ds_job_finished(struct ds_thread *t, struct ds_job *job); // without waiting
void ds_job_put(struct ds_thread *t, struct ds_job *job);

#endif
