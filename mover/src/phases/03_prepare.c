// SPDX-License-Identifier: GPL-3.0-or-later
// prepare: at the destination, images are created (or opened read-only at the server) and a QEMU
// waits paused for the state, with NBD exports for the disks that come along. A storage move makes
// the images and their drover-stores.
#include "../mover_int.h"

static int src_start(struct mv_job *job, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *reply = mv_ask(job, "prepare", "", NULL, 120000, err);
    if (!reply)
        return -1;
    json_int_t disk_port = 0;
    if (json_unpack(reply, "{s:I}", "disk_port", &disk_port) < 0 || disk_port < 0 ||
        disk_port > 65535)
        return drv_err(err, DRV_EPEER, "prepare: the destination sent no usable port");
    job->endpoints.disk_port = (unsigned)disk_port;
    return 0;
}

static json_t *dst_step(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err)
{
    (void)step;
    (void)args;
    const struct mv_ports *p = job->ports;
    if (p->store->create_images(job->ctx, err) < 0 || p->store->open_stores(job->ctx, err) < 0)
        return NULL;
    if (mv_between_hosts(job) && // else the QEMU that runs gets the new images
        p->qemu->incoming_start(job->ctx, &job->endpoints, err) < 0)
        return NULL;
    return json_pack("{s:I}", "disk_port", (json_int_t)job->endpoints.disk_port);
}

static int dst_undo(struct mv_job *job, struct drv_err *err)
{
    const struct mv_ports *p = job->ports;
    struct drv_err later = DRV_ERR_INIT;
    int rc = mv_between_hosts(job) ? p->qemu->quit(job->ctx, err) : 0;
    // The images go last, when nothing can write to them any more, but they go in any case.
    if (p->store->close_stores(job->ctx, rc < 0 ? &later : err) < 0)
        rc = -1;
    if (p->store->delete_images(job->ctx, rc < 0 ? &later : err) < 0)
        rc = -1;
    return rc;
}

const struct mv_phase mv_phase_prepare = {
    .name = "prepare", .src_start = src_start, .dst_step = dst_step, .dst_undo = dst_undo};
