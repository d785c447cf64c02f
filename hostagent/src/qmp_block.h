// SPDX-License-Identifier: GPL-3.0-or-later
// Disks over QMP: the NBD server of a destination, mirrors of a source, and what must be undone
// when a peer or a link dies. Blocking; worker threads. Spec: qapi/block-core.json,
// block-export.json, yank.json of QEMU 7.2. All errors as qmp_call() unless said otherwise.
#ifndef HOSTAGENT_QMP_BLOCK_H
#define HOSTAGENT_QMP_BLOCK_H

#include "qmp.h"

// --- the side that receives a disk ---

// Start QEMU's NBD server on host and the first free port of first..last; tls_creds NULL or "" =
// clear.
int qmp_nbd_server_start(struct qmp *q, const char *host, unsigned first, unsigned last,
                         const char *tls_creds, unsigned *ret_port, struct drv_err *err);
int qmp_nbd_server_stop(struct qmp *q, struct drv_err *err); // with all exports; not running = 0
// Offer a node under its own name, writable.
int qmp_export_add(struct qmp *q, const char *node, struct drv_err *err);

// --- the side that sends a disk ---

struct qmp_nbd_target {
    const char *node; // name of the new node
    const char *host; // NULL: unix socket
    unsigned port;
    const char *unix_path;
    const char *export_name; // "" = the default export
    const char *tls_creds;   // NULL or "" = clear
};
// Connect to an export as a raw node without reconnection: an error ends the job at once.
int qmp_nbd_node_add(struct qmp *q, const struct qmp_nbd_target *t, struct drv_err *err);
// A local image file as a node (storage move on one host). The protocol node is "<node>-file".
int qmp_file_node_add(struct qmp *q, const char *node, const char *format, const char *filename,
                      bool cache_direct, struct drv_err *err);
// The same for an image behind a drover-store of this host, with reconnection as for a VM's own
// disk.
int qmp_store_node_add(struct qmp *q, const char *node, const char *format, const char *nbd_path,
                       struct drv_err *err);
// A disc: one of the two, read-only.
int qmp_disc_node_add(struct qmp *q, const char *node, const char *nbd_path, const char *filename,
                      struct drv_err *err);
int qmp_node_del(struct qmp *q, const char *node, struct drv_err *err); // not there = 0

// Begin to copy device (a node at the top of a guest disk) to target, full, in the background. An
// error on either side ends the job and leaves the guest alone. bps: bytes/s, 0 = no cap.
int qmp_mirror_start(struct qmp *q, const char *job, const char *device, const char *target,
                     uint64_t bps, struct drv_err *err);
int qmp_job_set_speed(struct qmp *q, const char *job, uint64_t bps, struct drv_err *err);

enum qmp_job_state {
    QMP_JOB_GONE, // no such job
    QMP_JOB_RUNNING,
    QMP_JOB_READY, // in sync; stays so while it runs
    QMP_JOB_CONCLUDED,
    QMP_JOB_OTHER, // created, paused, standby, waiting, pending, aborting
    QMP_JOB_STATE_MAX_
};
struct qmp_job {
    enum qmp_job_state state;
    // Progress as QEMU counts it: zeros that were skipped count too, so it is no measure of bytes
    // sent.
    int64_t done_bytes, total_bytes;
    char error[256]; // "" = none
};
int qmp_job_query(struct qmp *q, const char *job, struct qmp_job *ret, struct drv_err *err);

// Wait until the job is ready. DRV_EPEER with QEMU's text when it ended instead; DRV_ETIMEDOUT.
int qmp_mirror_wait_ready(struct qmp *q, const char *job, int timeout_ms, struct drv_err *err);

// End a ready mirror so that the source keeps its own disk (never job-complete for a move to
// another host), wait until it has concluded, check that it says no error, dismiss it and delete
// the target node. After -1 the job may still be there: qmp_mirror_abort().
int qmp_mirror_finish(struct qmp *q, const char *job, const char *target_node, int timeout_ms,
                      struct drv_err *err);

// Storage move on the same host: make the guest use the target from now on and delete old_node (and
// "<old_node>-file"). Afterwards the disk's top node is the target.
int qmp_mirror_pivot(struct qmp *q, const char *job, const char *old_node, int timeout_ms,
                     struct drv_err *err);
// Pause the guest (a second time: no event) and flush all nodes.
int qmp_stop_and_flush(struct qmp *q, int timeout_ms, struct drv_err *err);
// The guest stands still: wait until a ready mirror has copied all, whatever its speed.
int qmp_mirror_drain(struct qmp *q, const char *job, int timeout_ms, struct drv_err *err);
// End a mirror for certain, without pivot if it has not come to that yet: afterwards
// qmp_disk_node() tells which node the guest uses. No node is deleted. The target is cut off when
// the job does not end otherwise.
int qmp_mirror_settle(struct qmp *q, const char *job, const char *target_node, struct drv_err *err);
// A node and the "<node>-file" below it; not there = 0.
int qmp_node_pair_del(struct qmp *q, const char *node, struct drv_err *err);

// Get rid of a mirror in any state, also when the link is cut: yank the target, cancel, dismiss,
// delete the node. Nothing there = 0. Never give it a VM's own disk node.
int qmp_mirror_abort(struct qmp *q, const char *job, const char *target_node, struct drv_err *err);

// Name of the node at the top of a guest disk now ("disk0", or a pivot's target). id: the disk's
// id.
int qmp_disk_node(struct qmp *q, const char *id, char *out, size_t size, struct drv_err *err);

#endif
