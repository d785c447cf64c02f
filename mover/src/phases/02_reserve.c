// SPDX-License-Identifier: GPL-3.0-or-later
// reserve: slots, memory and journal rows on both sides. The destination's agent authorises the
// user here, once: after this, only the host channel counts.
#include "../mover_int.h"

static int src_start(struct mv_job *job, struct drv_err *err)
{
    if (job->ports->host->reserve(job->ctx, err) < 0)
        return -1;
    json_t *args =
        json_pack("{s:o, s:s}", "plan", mv_plan_to_json(&job->plan), "addr", job->endpoints.addr);
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "reserve", "", args, 30000, err);
    return reply ? 0 : -1;
}

static int src_undo(struct mv_job *job, struct drv_err *err)
{
    return job->ports->host->unreserve(job->ctx, err);
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    const char *addr = json_string_value(json_object_get(args, "addr"));
    if (!addr || DRV_COPY(job->endpoints.addr, addr) < 0) {
        drv_err(err, DRV_EINVAL, "reserve: \"addr\" is missing or too long");
        return NULL;
    }
    return job->ports->host->reserve(job->ctx, err) < 0 ? NULL : json_object();
}

const struct mv_phase mv_phase_reserve = {.name = "reserve",
                                          .src_start = src_start,
                                          .src_undo = src_undo,
                                          .dst_step = dst_step,
                                          .dst_undo = src_undo};
