// SPDX-License-Identifier: GPL-3.0-or-later
// Disks over QMP: see qmp_block.h.
#include "qmp_block.h"

#include <string.h>

#include "blockdev.h"
#include "drover/util.h"
#include "qmp_port.h"

enum {
    // QEMU's main loop, and with it the guest's devices, stands still while it connects.
    CONNECT_S = 2,
    STORE_RECONNECT_S = 5, // as ha_run_qemu() gives the VM's own disks
    SETTLE_MS = 3000,
    DRAIN_POLL_MS = 2,
};

// Run a command of which the error text `absent` means that there was nothing to do.
static int do_unless_absent(struct qmp *q, const char *cmd, json_t *args, const char *absent,
                            struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    if (qmp_do(q, cmd, args, QMP_TIMEOUT_MS, &why) == 0 || strstr(why.msg, absent))
        return 0;
    if (err && err->code == DRV_OK)
        *err = why;
    return -1;
}

// --- the side that receives a disk ---

static int serve_once(struct qmp *q, const char *host, unsigned port, const void *arg,
                      struct drv_err *err)
{
    const char *tls_creds = arg;
    char text[8];
    snprintf(text, sizeof text, "%u", port);
    json_t *args = json_pack("{s:{s:s, s:{s:s, s:s}}}", "addr", "type", "inet", "data", "host",
                             host, "port", text);
    if (tls_creds && tls_creds[0])
        json_object_set_new(args, "tls-creds", json_string(tls_creds));
    return qmp_do(q, "nbd-server-start", args, QMP_TIMEOUT_MS, err);
}

int qmp_nbd_server_start(struct qmp *q, const char *host, unsigned first, unsigned last,
                         const char *tls_creds, unsigned *ret_port, struct drv_err *err)
{
    return qmp_first_port(q, host, first, last, serve_once, tls_creds, ret_port, err);
}

int qmp_nbd_server_stop(struct qmp *q, struct drv_err *err)
{
    return do_unless_absent(q, "nbd-server-stop", NULL, "not running", err);
}

int qmp_export_add(struct qmp *q, const char *node, struct drv_err *err)
{
    DRV_AUTO_FREE char *id = drv_xasprintf("export-%s", node);
    json_t *args = json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "nbd", "id", id, "node-name",
                             node, "name", node, "writable", 1);
    return qmp_do(q, "block-export-add", args, QMP_TIMEOUT_MS, err);
}

// --- nodes ---

int qmp_nbd_node_add(struct qmp *q, const struct qmp_nbd_target *t, struct drv_err *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", t->port);
    json_t *server =
        t->host ? json_pack("{s:s, s:s, s:s}", "type", "inet", "host", t->host, "port", port)
                : json_pack("{s:s, s:s}", "type", "unix", "path", t->unix_path);
    json_t *args = json_pack(
        "{s:s, s:s, s:o, s:s, s:i, s:i, s:s, s:s}", "driver", "nbd", "node-name", t->node, "server",
        server, "export", t->export_name ? t->export_name : "", "reconnect-delay", 0,
        "open-timeout", CONNECT_S, "discard", "unmap", "detect-zeroes", "unmap");
    if (t->tls_creds && t->tls_creds[0])
        json_object_set_new(args, "tls-creds", json_string(t->tls_creds));
    return qmp_do(q, "blockdev-add", args, QMP_TIMEOUT_MS, err);
}

// A protocol node called file and the node over it (both stolen); nothing stays after a failure.
static int add_nodes(struct qmp *q, json_t *protocol, json_t *top, const char *file,
                     struct drv_err *err)
{
    DRV_AUTO_JSON json_t *owned = top;
    if (qmp_do(q, "blockdev-add", protocol, QMP_TIMEOUT_MS, err) < 0)
        return -1;
    if (qmp_do(q, "blockdev-add", DRV_TAKE(owned), QMP_TIMEOUT_MS, err) == 0)
        return 0;
    qmp_node_del(q, file, NULL);
    return -1;
}

static int add_pair(struct qmp *q, json_t *protocol, const char *node, const char *format,
                    const char *file, bool direct, struct drv_err *err)
{
    json_t *top = ha_blockdev_format(node, format, file, direct, false);
    json_object_set_new(top, "detect-zeroes", json_string("unmap"));
    return add_nodes(q, protocol, top, file, err);
}

int qmp_file_node_add(struct qmp *q, const char *node, const char *format, const char *filename,
                      bool cache_direct, struct drv_err *err)
{
    char file[HA_NODE_MAX];
    if (ha_blockdev_file_node(node, file) < 0)
        return drv_err(err, DRV_EINVAL, "%s: node name too long", node);
    return add_pair(q, ha_blockdev_file(file, filename, cache_direct, false), node, format, file,
                    cache_direct, err);
}

int qmp_store_node_add(struct qmp *q, const char *node, const char *format, const char *nbd_path,
                       struct drv_err *err)
{
    char file[HA_NODE_MAX];
    if (ha_blockdev_file_node(node, file) < 0)
        return drv_err(err, DRV_EINVAL, "%s: node name too long", node);
    return add_pair(q, ha_blockdev_store(file, nbd_path, "", STORE_RECONNECT_S, false, false), node,
                    format, file, false, err);
}

int qmp_disc_node_add(struct qmp *q, const char *node, const char *nbd_path, const char *filename,
                      struct drv_err *err)
{
    char file[HA_NODE_MAX];
    if (ha_blockdev_file_node(node, file) < 0)
        return drv_err(err, DRV_EINVAL, "%s: node name too long", node);
    json_t *protocol = nbd_path
                           ? ha_blockdev_store(file, nbd_path, "", STORE_RECONNECT_S, false, true)
                           : ha_blockdev_file(file, filename, false, true);
    return add_nodes(q, protocol, ha_blockdev_format(node, "raw", file, false, true), file, err);
}

int qmp_node_del(struct qmp *q, const char *node, struct drv_err *err)
{
    return do_unless_absent(q, "blockdev-del", json_pack("{s:s}", "node-name", node),
                            "Failed to find node", err);
}

// The format node and the protocol node below it, if that has a node of its own.
int qmp_node_pair_del(struct qmp *q, const char *node, struct drv_err *err)
{
    char file[HA_NODE_MAX];
    if (qmp_node_del(q, node, err) < 0)
        return -1;
    return ha_blockdev_file_node(node, file) < 0 ? 0 : qmp_node_del(q, file, err);
}

int qmp_disk_node(struct qmp *q, const char *id, char *out, size_t size, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *blocks = qmp_call(q, "query-block", NULL, QMP_TIMEOUT_MS, err);
    if (!blocks)
        return -1;
    DRV_AUTO_FREE char *device = drv_xasprintf("/machine/peripheral/dev-%s/virtio-backend", id);
    DRV_AUTO_FREE char *plain = drv_xasprintf("dev-%s", id);
    size_t i;
    json_t *block;
    json_array_foreach(blocks, i, block)
    {
        const char *qdev = json_string_value(json_object_get(block, "qdev"));
        const char *node =
            json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name"));
        // UEFI's variables are the second flash chip, without a name of ours.
        bool flash = !strcmp(id, "nvram") && qdev && !strcmp(qdev, "/machine/system.flash1");
        if (qdev && node && (flash || !strcmp(qdev, device) || !strcmp(qdev, plain)))
            return drv_copy(out, size, node) == 0
                       ? 0
                       : drv_err(err, DRV_EPEER, "%s: node name too long", node);
    }
    return drv_err(err, DRV_ENOTFOUND, "this VM has no disk %s", id);
}

// --- jobs ---

int qmp_mirror_start(struct qmp *q, const char *job, const char *device, const char *target,
                     uint64_t bps, struct drv_err *err)
{
    json_t *args = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b}", "job-id", job,
                             "device", device, "target", target, "sync", "full", "copy-mode",
                             "background", "on-source-error", "report", "on-target-error", "report",
                             "speed", (json_int_t)bps, "auto-dismiss", 0);
    return qmp_do(q, "blockdev-mirror", args, QMP_TIMEOUT_MS, err);
}

int qmp_job_set_speed(struct qmp *q, const char *job, uint64_t bps, struct drv_err *err)
{
    return qmp_do(q, "block-job-set-speed",
                  json_pack("{s:s, s:I}", "device", job, "speed", (json_int_t)bps), QMP_TIMEOUT_MS,
                  err);
}

static enum qmp_job_state job_state(const char *status)
{
    if (status && !strcmp(status, "running"))
        return QMP_JOB_RUNNING;
    if (status && !strcmp(status, "ready"))
        return QMP_JOB_READY;
    if (status && !strcmp(status, "concluded"))
        return QMP_JOB_CONCLUDED;
    return QMP_JOB_OTHER;
}

int qmp_job_query(struct qmp *q, const char *job, struct qmp_job *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *jobs = qmp_call(q, "query-jobs", NULL, QMP_TIMEOUT_MS, err);
    if (!jobs)
        return -1;
    *ret = (struct qmp_job){.state = QMP_JOB_GONE};
    size_t i;
    json_t *j;
    json_array_foreach(jobs, i, j)
    {
        const char *id = json_string_value(json_object_get(j, "id"));
        if (!id || strcmp(id, job) != 0)
            continue;
        const char *error = json_string_value(json_object_get(j, "error"));
        ret->state = job_state(json_string_value(json_object_get(j, "status")));
        ret->done_bytes = json_integer_value(json_object_get(j, "current-progress"));
        ret->total_bytes = json_integer_value(json_object_get(j, "total-progress"));
        DRV_COPY(ret->error, error ? error : "");
    }
    return 0;
}

// Wait until the job is in one of the states of mask (1U << state); *ret is what was seen last.
static int job_wait(struct qmp *q, const char *job, unsigned mask, int timeout_ms,
                    struct qmp_job *ret, struct drv_err *err)
{
    static const char *const names[] = {"JOB_STATUS_CHANGE", NULL};
    enum { ASK_AGAIN_MS = 500 };
    int64_t deadline = drv_now_ms() + timeout_ms;
    for (;;) {
        uint64_t seq = qmp_seq(q);
        if (qmp_job_query(q, job, ret, err) < 0)
            return -1;
        if (mask & 1U << ret->state)
            return 0;
        int64_t left = deadline - drv_now_ms();
        if (left <= 0)
            return drv_err(err, DRV_ETIMEDOUT, "copy of %s not done after %d ms", job, timeout_ms);
        json_decref(qmp_wait(q, &seq, names, left < ASK_AGAIN_MS ? (int)left : ASK_AGAIN_MS, NULL));
    }
}

static int job_error(const char *job, const struct qmp_job *j, struct drv_err *err)
{
    if (j->state == QMP_JOB_GONE)
        return drv_err(err, DRV_EPEER, "copy of %s: QEMU has no such job", job);
    return drv_err(err, DRV_EPEER, "copy of %s ended: %s", job,
                   j->error[0] ? j->error : "cancelled");
}

static int job_dismiss(struct qmp *q, const char *job, struct drv_err *err)
{
    return do_unless_absent(q, "job-dismiss", json_pack("{s:s}", "id", job), "not found", err);
}

int qmp_mirror_wait_ready(struct qmp *q, const char *job, int timeout_ms, struct drv_err *err)
{
    struct qmp_job j;
    unsigned mask = 1U << QMP_JOB_READY | 1U << QMP_JOB_CONCLUDED | 1U << QMP_JOB_GONE;
    if (job_wait(q, job, mask, timeout_ms, &j, err) < 0)
        return -1;
    return j.state == QMP_JOB_READY ? 0 : job_error(job, &j, err);
}

// End a job that is ready by cmd, and see that it ended well.
static int end_ready_job(struct qmp *q, const char *job, const char *cmd, const char *key,
                         int timeout_ms, struct drv_err *err)
{
    struct qmp_job j;
    if (qmp_job_query(q, job, &j, err) < 0)
        return -1;
    // To cancel one that is not ready leaves a target that is no copy, and no error.
    if (j.state != QMP_JOB_READY)
        return j.state == QMP_JOB_CONCLUDED || j.state == QMP_JOB_GONE
                   ? job_error(job, &j, err)
                   : drv_err(err, DRV_ESTATE, "copy of %s is not in sync yet", job);
    unsigned mask = 1U << QMP_JOB_CONCLUDED | 1U << QMP_JOB_GONE;
    if (qmp_do(q, cmd, json_pack("{s:s}", key, job), timeout_ms, err) < 0 ||
        job_wait(q, job, mask, timeout_ms, &j, err) < 0)
        return -1;
    if (j.state == QMP_JOB_GONE || j.error[0])
        return job_error(job, &j, err);
    return job_dismiss(q, job, err);
}

int qmp_mirror_finish(struct qmp *q, const char *job, const char *target_node, int timeout_ms,
                      struct drv_err *err)
{
    return end_ready_job(q, job, "block-job-cancel", "device", timeout_ms, err) < 0
               ? -1
               : qmp_node_pair_del(q, target_node, err);
}

int qmp_mirror_pivot(struct qmp *q, const char *job, const char *old_node, int timeout_ms,
                     struct drv_err *err)
{
    return end_ready_job(q, job, "job-complete", "id", timeout_ms, err) < 0
               ? -1
               : qmp_node_pair_del(q, old_node, err);
}

// Cut a node's connection, out of band: works while the main loop waits for a dead peer. A node
// that has no connection is no error.
static void yank(struct qmp *q, const char *node)
{
    json_t *args =
        json_pack("{s:[{s:s, s:s}]}", "instances", "type", "block-node", "node-name", node);
    qmp_do_oob(q, "yank", args, QMP_TIMEOUT_MS, NULL);
}

int qmp_mirror_abort(struct qmp *q, const char *job, const char *target_node, struct drv_err *err)
{
    char file[HA_NODE_MAX];
    yank(q, target_node);
    if (ha_blockdev_file_node(target_node, file) == 0)
        yank(q, file);
    struct qmp_job j;
    if (qmp_job_query(q, job, &j, err) < 0)
        return -1;
    if (j.state != QMP_JOB_GONE && j.state != QMP_JOB_CONCLUDED) {
        json_t *args = json_pack("{s:s, s:b}", "device", job, "force", 1);
        qmp_do(q, "block-job-cancel", args, QMP_TIMEOUT_MS, NULL); // it may just have ended
        unsigned mask = 1U << QMP_JOB_CONCLUDED | 1U << QMP_JOB_GONE;
        if (job_wait(q, job, mask, QMP_TIMEOUT_MS, &j, err) < 0)
            return -1;
    }
    if (j.state == QMP_JOB_CONCLUDED && job_dismiss(q, job, err) < 0)
        return -1;
    return qmp_node_pair_del(q, target_node, err);
}

// --- the last moment of a storage move ---

int qmp_stop_and_flush(struct qmp *q, int timeout_ms, struct drv_err *err)
{
    return qmp_do(q, "stop", NULL, timeout_ms, err);
}

// Bytes that wait in dirty bitmaps, of which a mirror's is one. QEMU shows it at the node that the
// mirror puts over the source.
static int dirty_bytes(struct qmp *q, uint64_t *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *nodes =
        qmp_call(q, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), QMP_TIMEOUT_MS, err);
    size_t i, k;
    json_t *node, *bitmap;
    if (!nodes)
        return -1;
    *ret = 0;
    json_array_foreach(nodes, i, node)
    {
        json_array_foreach(json_object_get(node, "dirty-bitmaps"), k, bitmap)
        {
            if (!json_object_get(bitmap, "name"))
                *ret += (uint64_t)json_integer_value(json_object_get(bitmap, "count"));
        }
    }
    return 0;
}

int qmp_mirror_drain(struct qmp *q, const char *job, int timeout_ms, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    // A job in sync sleeps; a new speed wakes it.
    if (qmp_job_set_speed(q, job, 0, err) < 0)
        return -1;
    for (;;) {
        struct qmp_job j;
        uint64_t dirty = 0;
        // The bitmap first: what left it is under way and counts as progress that is missing.
        if (dirty_bytes(q, &dirty, err) < 0 || qmp_job_query(q, job, &j, err) < 0)
            return -1;
        if (j.state != QMP_JOB_READY)
            return job_error(job, &j, err);
        if (dirty == 0 && j.done_bytes == j.total_bytes)
            return 0;
        if (drv_now_ms() >= deadline)
            return drv_err(err, DRV_ETIMEDOUT, "copy of %s did not catch up in %d ms", job,
                           timeout_ms);
        drv_sleep_ms(DRAIN_POLL_MS);
    }
}

int qmp_mirror_settle(struct qmp *q, const char *job, const char *target_node, struct drv_err *err)
{
    char file[HA_NODE_MAX];
    struct qmp_job j;
    unsigned mask = 1U << QMP_JOB_CONCLUDED | 1U << QMP_JOB_GONE;
    struct drv_err late = DRV_ERR_INIT;
    if (qmp_job_query(q, job, &j, err) < 0)
        return -1;
    if (j.state != QMP_JOB_GONE && j.state != QMP_JOB_CONCLUDED) {
        json_t *args = json_pack("{s:s, s:b}", "device", job, "force", 1);
        qmp_do(q, "block-job-cancel", args, QMP_TIMEOUT_MS, NULL); // it may just have ended
        // One that is about to pivot does so at once. One that waits for its target never will.
        if (job_wait(q, job, mask, SETTLE_MS, &j, &late) < 0) {
            yank(q, target_node);
            if (ha_blockdev_file_node(target_node, file) == 0)
                yank(q, file);
            if (job_wait(q, job, mask, QMP_TIMEOUT_MS, &j, err) < 0)
                return -1;
        }
    }
    return j.state == QMP_JOB_CONCLUDED ? job_dismiss(q, job, err) : 0;
}
