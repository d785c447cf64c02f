// SPDX-License-Identifier: GPL-3.0-or-later
// verify: the destination's guest runs; its QEMU has announced it to the network.
#include "../mover_int.h"

#include <string.h>

static int src_start(struct mv_job *job, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "verify", "", NULL, 30000, err);
    return reply ? 0 : drv_err_prefix(err, "the VM was handed over, but");
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    char state[32] = "";
    if (job->ports->qemu->run_state(job->ctx, state, sizeof state, err) < 0)
        return NULL;
    if (strcmp(state, "running") != 0) {
        drv_err(err, DRV_EATTENTION, "the VM is %s at the destination", state);
        drv_err_hint(err, "see `drover vm show %s` there", job->plan.def.name);
        return NULL;
    }
    return json_object();
}

const struct mv_phase mv_phase_verify = {
    .name = "verify", .src_start = src_start, .dst_step = dst_step};
