// SPDX-License-Identifier: GPL-3.0-or-later
// verify: the destination's guest runs; its QEMU has announced it to the network.
//
// A destination that answers that the guest does not run ends the doubt: `finish` then keeps the
// source's images, and a person looks.
#include "../mover_int.h"

#include <string.h>

static int src_start(struct mv_job *job, struct drv_err *err)
{
    job->verified = mv_ask_forward(job, "verify", 30000, err) == 0;
    return job->verified ? 0
                         : drv_err_prefix(err, "the VM was handed over to %s, but", job->plan.to);
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    char state[32] = "not answering";
    struct drv_err why = DRV_ERR_INIT;
    int rc = job->ports->qemu->run_state(job->ctx, state, sizeof state, &why);
    // A gate that refused at `take`, for a store that was slow, say, may open now.
    if (rc == 0 && strcmp(state, "running") != 0 && job->ports->qemu->cont(job->ctx, &why) == 0)
        rc = job->ports->qemu->run_state(job->ctx, state, sizeof state, &why);
    if (rc == 0 && !strcmp(state, "running"))
        return json_object();
    drv_err(err, DRV_EATTENTION, "the VM is %s at the destination%s%s", state,
            why.msg[0] ? ": " : "", why.msg);
    drv_err_hint(err, "see `drover vm show %s` there", job->plan.def.name);
    return NULL;
}

const struct mv_phase mv_phase_verify = {
    .name = "verify", .src_start = src_start, .dst_step = dst_step};
