// SPDX-License-Identifier: GPL-3.0-or-later
// check: read-only preflight of both hosts; all findings at once. Changes nothing.
#include "../mover_int.h"

#include <time.h>

static int64_t wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int destination_facts(struct mv_job *job, struct mv_facts *ret, int64_t *ret_skew_ms,
                             struct drv_err *err)
{
    int64_t before = wall_ms();
    DRV_AUTO_JSON json_t *reply = mv_ask(
        job, "check", "facts", json_pack("{s:o}", "plan", mv_plan_to_json(&job->plan)), 30000, err);
    int64_t after = wall_ms();
    if (!reply || mv_facts_from_json(reply, ret, err) < 0)
        return -1;
    *ret_skew_ms = ret->wall_ms - (before + after) / 2;
    return 0;
}

// The first finding of the class that decides the exit status becomes the error; `drover check`
// shows all of them.
static int refuse(const struct drv_findings *f, struct drv_err *err)
{
    unsigned errors = drv_findings_errors(f);
    for (unsigned i = 0; i < f->n; i++) {
        const struct drv_finding *one = &f->list[i];
        const struct drv_finding_def *def = drv_finding_def(one->id);
        if (one->severity != DRV_SEV_ERROR || (def && def->exit_class != drv_findings_exit(f)))
            continue;
        drv_err(err, DRV_EDENIED, "%s", one->text);
        drv_err_id(err, one->id);
        drv_err_hint(err, "%s", one->fix);
        if (errors > 1)
            drv_err_prefix(err, "preflight found %u errors; first", errors);
        return -1;
    }
    return 0;
}

// The one fact that needs both sides: does the destination's migration address answer this host?
static void ask_network(struct mv_job *job, struct mv_facts *src, const struct mv_facts *dst)
{
    char addr[64];
    struct drv_err why = DRV_ERR_INIT;
    if (mv_common_network(src, dst, addr) == 0 && job->ports->host->reach(job->ctx, addr, &why) < 0)
        DRV_COPY(src->unreachable, why.msg);
}

static int src_start(struct mv_job *job, struct drv_err *err)
{
    struct mv_facts *facts = drv_xcalloc(2, sizeof *facts);
    DRV_AUTO_FREE void *owned = facts;
    struct drv_findings findings = {0};
    int64_t skew_ms = 0;
    int rc = job->ports->host->facts(job->ctx, true, &facts[0], err);
    if (rc == 0)
        rc = destination_facts(job, &facts[1], &skew_ms, err);
    if (rc == 0) {
        if (mv_between_hosts(job))
            ask_network(job, &facts[0], &facts[1]);
        mv_judge(&job->plan, &facts[0], &facts[1], skew_ms, &findings);
        rc = refuse(&findings, err);
    }
    if (rc == 0 && mv_between_hosts(job))
        rc = mv_common_network(&facts[0], &facts[1], job->endpoints.addr);
    drv_findings_done(&findings);
    return rc;
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    struct mv_facts *facts = drv_xcalloc(1, sizeof *facts);
    DRV_AUTO_FREE void *owned = facts;
    if (job->ports->host->facts(job->ctx, false, facts, err) < 0)
        return NULL;
    return mv_facts_to_json(facts);
}

const struct mv_phase mv_phase_check = {
    .name = "check", .src_start = src_start, .dst_step = dst_step};
