// SPDX-License-Identifier: GPL-3.0-or-later
// finish: the source's QEMU and stores end, its images are deleted or kept as the plan says; the
// destination publishes the definition. Forward only: what fails here is left over, not lost.
// In a storage move the same without an end of QEMU. Source images stay as they are when nobody
// knows that the guest runs at the destination.
#include "../mover_int.h"

static int src_start(struct mv_job *job, struct drv_err *err)
{
    const struct mv_ports *p = job->ports;
    struct drv_err later = DRV_ERR_INIT;
    int rc = mv_between_hosts(job) ? p->qemu->quit(job->ctx, err) : 0;
    if (p->store->close_stores(job->ctx, rc < 0 ? &later : err) < 0)
        rc = -1;
    if (job->verified && p->store->retire_images(job->ctx, rc < 0 ? &later : err) < 0)
        rc = -1;
    if (mv_between_hosts(job))
        p->host->vm_left(job->ctx);
    if (mv_ask_forward(job, "finish", 60000, rc < 0 ? &later : err) < 0)
        rc = -1;
    if (p->host->unreserve(job->ctx, rc < 0 ? &later : err) < 0)
        rc = -1;
    if (rc == 0)
        return 0;
    return mv_between_hosts(job)
               ? drv_err_prefix(err, "the VM runs on %s, but clean-up failed", job->plan.to)
               : drv_err_prefix(err, "the VM uses its new images, but clean-up failed");
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    if (job->ports->store->write_definition(job->ctx, err) < 0 ||
        job->ports->host->unreserve(job->ctx, err) < 0)
        return NULL;
    return json_object();
}

const struct mv_phase mv_phase_finish = {
    .name = "finish", .src_start = src_start, .dst_step = dst_step};
