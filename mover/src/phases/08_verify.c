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
    if (job->verified)
        return 0;
    return mv_between_hosts(job)
               ? drv_err_prefix(err, "the VM was handed over to %s, but", job->plan.to)
               : drv_err_prefix(err, "the VM uses new images, but");
}

// Storage move: one of several disks may have stayed, when its target was lost in the last moment.
static int check_disks(struct mv_job *job, struct drv_err *err)
{
    for (unsigned i = 0; i < job->plan.n_disks && !mv_between_hosts(job); i++) {
        const struct mv_disk *d = &job->plan.disks[i];
        bool pivoted = true;
        if (d->moves && job->ports->qemu->is_pivoted(job->ctx, d, &pivoted, err) < 0)
            return -1;
        if (!pivoted)
            return drv_err(err, DRV_EATTENTION, "disk %s still lies on %s", d->id, d->from.store);
    }
    return 0;
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
        return check_disks(job, err) < 0 ? NULL : json_object();
    drv_err(err, DRV_EATTENTION, "the VM is %s%s%s%s", state,
            mv_between_hosts(job) ? " at the destination" : "", why.msg[0] ? ": " : "", why.msg);
    drv_err_hint(err, "see `drover vm show %s`%s", job->plan.def.name,
                 mv_between_hosts(job) ? " there" : "");
    return NULL;
}

const struct mv_phase mv_phase_verify = {
    .name = "verify", .src_start = src_start, .dst_step = dst_step};
