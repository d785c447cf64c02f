// SPDX-License-Identifier: GPL-3.0-or-later
// take: the destination holds record and images, writes epoch+1 (the commit) and runs.
//
// From the moment the source asks, only two things end its doubt: the record, or the destination's
// durable word. While it cannot tell, the source's guest stays paused and it asks again (rules 5,
// 6). A destination that fails before its epoch write journals its refusal and tears itself down
// first; one whose write got no answer reads the record until it knows.
#include "../mover_int.h"

#include <string.h>

enum { TAKE_TIMEOUT_MS = 60000 };

// --- source ---

// 1 = the destination took it, 0 = the source has the VM back and *why says what went wrong there.
static int settle(struct mv_job *job, struct drv_err *why)
{
    for (int pause_ms = 200;; pause_ms = pause_ms < 5000 ? pause_ms * 2 : 5000) {
        char word[16] = "";
        struct drv_err ignored = DRV_ERR_INIT;
        if (job->ports->peer->status(job->ctx, word, sizeof word, &ignored) < 0)
            word[0] = '\0';
        if (!strcmp(word, "taken"))
            return 1;
        // While it is busy taking, its own outcome comes soon; racing it would only undo its work.
        if (strcmp(word, "taking") != 0) {
            struct drv_err back = DRV_ERR_INIT;
            int rc = job->ports->store->take_back(job->ctx, &back);
            if (rc >= 0) {
                if (rc == 1)
                    job->released = false;
                drv_err(why, DRV_EPEER, "the destination did not take over");
                return rc == 1 ? 0 : 1;
            }
        }
        drv_sleep_ms(pause_ms);
    }
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    if (mv_check_cancel(job, err) < 0)
        return -1;
    atomic_store(&job->committed, true);
    struct drv_err why = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "take", "", NULL, TAKE_TIMEOUT_MS, &why);
    if (!reply && settle(job, &why) == 0) {
        // The epoch is the source's again: from here everything before `take` can be undone.
        atomic_store(&job->committed, false);
        *err = why;
        return -1;
    }
    job->t.taken = drv_now_us();
    if (reply) {
        job->t.dst_take_ms = json_number_value(json_object_get(reply, "take_ms"));
        job->t.dst_resume_ms = json_number_value(json_object_get(reply, "resume_ms"));
    }
    return 0;
}

// --- destination ---

// 1 = committed, 0 = proven that it never was, -1 = could not even be tried.
static int commit(struct mv_job *job, struct drv_err *err)
{
    if (job->ports->journal->taking(job->ctx, err) < 0)
        return -1;
    job->taking = true;
    for (int pause_ms = 200;; pause_ms = pause_ms < 5000 ? pause_ms * 2 : 5000) {
        struct drv_err why = DRV_ERR_INIT;
        int rc = job->ports->store->take_commit(job->ctx, &why);
        job->taken = rc == 1;
        job->taking = rc != 0;
        if (rc == 0)
            *err = why;
        if (rc >= 0)
            return rc;
        drv_sleep_ms(pause_ms);
    }
}

// Torn down before the source hears of it, which then takes the VM back.
static json_t *give_up(struct mv_job *job, bool proven)
{
    struct drv_err ignored = DRV_ERR_INIT;
    if (proven)
        mv_undo_all(job, &ignored);
    else
        mv_job_abandon(job, &ignored);
    return NULL;
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    int64_t t0 = drv_now_us();
    if (job->ports->store->take_hold(job->ctx, err) < 0)
        return give_up(job, false);
    int rc = commit(job, err);
    if (rc != 1)
        return give_up(job, rc == 0);
    int64_t t1 = drv_now_us();
    if (job->ports->qemu->cont(job->ctx, err) < 0)
        return NULL;
    int64_t t2 = drv_now_us();
    job->ports->host->vm_arrived(job->ctx);
    return json_pack("{s:f, s:f}", "take_ms", (double)(t1 - t0) / 1000, "resume_ms",
                     (double)(t2 - t1) / 1000);
}

const struct mv_phase mv_phase_take = {
    .name = "take", .src_start = src_start, .dst_step = dst_step};
