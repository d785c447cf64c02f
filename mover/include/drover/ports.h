// SPDX-License-Identifier: GPL-3.0-or-later
// What a phase may call: function tables that hostagent fills and unit tests fake. The mover
// includes no QMP, SMB, Kerberos or SQLite header; everything it does to the world passes here.
//
// A storage move has one host, whose job calls the source's and the destination's ports alike and
// never the peer's. Where a port then means something else, it says so.
//
// All functions block (with time-outs of their own) and run on the job's thread. `job` is the
// pointer that mv_job_new() was given. 0 / -1 + err, unless said otherwise.
#ifndef DROVER_PORTS_H
#define DROVER_PORTS_H

#include "drover/facts.h"
#include "drover/plan.h"

struct mv_progress;

// The journal: a row is on disk before the function returns.
struct mv_journal_ports {
    int (*phase_begin)(void *job, const char *phase, bool undo, struct drv_err *err);
    int (*phase_end)(void *job, const char *phase, bool undo, const struct drv_err *failure,
                     struct drv_err *err);
    // Destination: "an epoch write may be sent from now on"; fails after refuse().
    int (*taking)(void *job, struct drv_err *err);
    // Destination: the durable word that it will never take; fails after taking().
    int (*refuse)(void *job, struct drv_err *err);
};

// The other agent, over the host channel (source only).
struct mv_peer_ports {
    // Run `step` of `phase` at the destination. args is stolen. *ret: new reference, object.
    int (*enter)(void *job, const char *phase, const char *step, json_t *args, int timeout_ms,
                 json_t **ret, struct drv_err *err);
    int (*undo)(void *job, const char *phase, struct drv_err *err);
    // The destination's word on this move: "open", "refused", "taking", "taken", "unknown". Makes a
    // new channel when the old one is gone.
    int (*status)(void *job, char *ret_word, size_t size, struct drv_err *err);
};

enum mv_mig_state {
    MV_MIG_NONE,
    MV_MIG_ACTIVE,
    MV_MIG_PRE_SWITCHOVER,
    MV_MIG_COMPLETED,
    MV_MIG_FAILED,
    MV_MIG_CANCELLED
};

struct mv_migration {
    enum mv_mig_state state;
    uint64_t total_bytes, remaining_bytes, transferred_bytes;
    uint64_t rate_bps, dirty_rate_bps; // bytes a second
    uint64_t passes;
    int64_t expected_downtime_ms; // -1: not known yet
    unsigned throttle_percent;    // of the guest's processor time, taken from it now
    char error[256];
};

// What QEMU keeps to while memory is sent. A person may change all three under way.
struct mv_limits {
    unsigned downtime_limit_ms;
    uint64_t bandwidth_bps;    // 0 = none
    unsigned throttle_percent; // the most that may be taken from the guest; 0 = nothing
};

struct mv_mirror {
    bool ready, failed;
    uint64_t done_bytes, total_bytes; // job offset; counts zeros
    uint64_t wire_bytes;              // bytes written to the target
    char error[256];
};

struct mv_endpoints {
    char addr[64]; // destination's address on the migration network
    unsigned memory_port, disk_port;
};

// The VM's QEMU on this host.
struct mv_qemu_ports {
    // Source. key streams: "memory" and "disks"; the TLS keys come from the host channel.
    int (*mirror_start)(void *job, const struct mv_disk *disk, const struct mv_endpoints *to,
                        uint64_t bandwidth_bps, struct drv_err *err);
    int (*mirror_poll)(void *job, const struct mv_disk *disk, struct mv_mirror *ret,
                       struct drv_err *err);
    // Complete a ready mirror without pivot, check its error, remove its node (block-job-cancel).
    int (*mirror_finish)(void *job, const struct mv_disk *disk, int timeout_ms,
                         struct drv_err *err);
    int (*mirror_abort)(void *job, const struct mv_disk *disk, struct drv_err *err); // idempotent
    int (*mirror_limit)(void *job, const struct mv_disk *disk, uint64_t bandwidth_bps,
                        struct drv_err *err);
    // Storage move: pause the guest, let every mirror catch up, flush the targets. When it returns
    // 0 both images of each disk are equal, and durable. On failure the guest may stand still.
    int (*freeze)(void *job, int timeout_ms, struct drv_err *err);
    // Storage move: the guest's disk is the mirror's target from now on (job-complete). -1: it may
    // be all the same; store.take_back finds out.
    int (*pivot)(void *job, const struct mv_disk *disk, int timeout_ms, struct drv_err *err);
    // Storage move: does QEMU use the disk's target?
    int (*is_pivoted)(void *job, const struct mv_disk *disk, bool *ret, struct drv_err *err);
    int (*migrate_start)(void *job, const struct mv_endpoints *to, const struct mv_limits *limits,
                         struct drv_err *err);
    int (*migrate_limits)(void *job, const struct mv_limits *limits, struct drv_err *err);
    int (*migrate_poll)(void *job, struct mv_migration *ret, struct drv_err *err);
    int (*migrate_continue)(void *job, struct drv_err *err);
    // Cancel and wait until the guest runs again, through the gate where QEMU does not resume it by
    // itself. Also right when no migration was begun or it has completed. Idempotent.
    int (*migrate_cancel)(void *job, struct drv_err *err);
    // Wait up to timeout_ms for the migration to change state or the guest to stop; no error on
    // time-out.
    void (*wait_change)(void *job, int timeout_ms);
    // Monotonic microseconds of the last STOP event; 0 = has not stopped since migrate_start.
    int64_t (*stopped_at_us)(void *job);
    // Destination.
    int (*incoming_start)(void *job, struct mv_endpoints *ret,
                          struct drv_err *err); // QEMU -incoming, NBD exports
    int (*incoming_listen)(void *job, struct mv_endpoints *io, struct drv_err *err);
    int (*incoming_disks_done)(void *job, struct drv_err *err); // nbd-server-stop
    int (*incoming_wait_loaded)(void *job, int timeout_ms, struct drv_err *err);
    // Both.
    int (*cont)(void *job, struct drv_err *err); // the one gate (rule 7)
    int (*run_state)(void *job, char *ret_state, size_t size, struct drv_err *err);
    int (*quit)(void *job,
                struct drv_err *err); // QEMU and its taps are gone afterwards; idempotent
};

// Images, stores and the owner record.
struct mv_store_ports {
    int (*create_images)(void *job,
                         struct drv_err *err); // destination: those that move; home folder
    int (*delete_images)(void *job, struct drv_err *err); // destination: exactly those it created
    int (*open_stores)(void *job,
                       struct drv_err *err); // destination: drover-stores, observing or filling
    // This host's drover-stores of the VM; idempotent. Storage move: those of images that QEMU does
    // not use (any more).
    int (*close_stores)(void *job, struct drv_err *err);
    int (*patience)(void *job, int ms, struct drv_err *err); // rule 9; 0 = default
    // Rule 3: drain, flush, record released(move, to) at the same epoch, close images, then the
    // record. *ret_written: the released record may be on disk (also on failure): then only
    // take_back resumes.
    int (*release)(void *job, bool *ret_written, struct drv_err *err);
    // Rule 2 at the destination, first half: hold record and images, read the record, check that it
    // is released to us for this move and names the images we hold. On failure nothing is held or
    // changed.
    int (*take_hold)(void *job, struct drv_err *err);
    // Second half: epoch+1 durable (the commit), promote. A write without an answer is settled by
    // reading (rule 5). 1 = ours; 0 = proven not ours (*err says whose); -1 = cannot be told yet.
    // Storage move: the same epoch, with the new images.
    int (*take_commit)(void *job, struct drv_err *err);
    // Storage move, after the pivots: the drover-stores of the new images are promoted in place of
    // the old ones'.
    int (*adopt)(void *job, struct drv_err *err);
    // Rules 1 and 5 at the source after release. 1 = the epoch is ours again (resume now);
    // 0 = the destination took it (go forward); -1 = cannot be told yet.
    // Storage move: end what is left of the mirrors, see which images QEMU has open, and make the
    // record name those. 1 = the old ones; 0 = a new one among them (go forward).
    int (*take_back)(void *job, struct drv_err *err);
    // Source, after the destination took: delete or keep (rule 10) images and home as the plan
    // says.
    int (*retire_images)(void *job, struct drv_err *err);
    int (*write_definition)(void *job, struct drv_err *err); // destination: vm.json view, db row
};

struct mv_host_ports {
    // source: as the host where the VM runs, else as the one where it will be. They are one in a
    // storage move.
    int (*facts)(void *job, bool source, struct mv_facts *ret, struct drv_err *err);
    // Does addr, on the migration network, answer this host at all? Says nothing about a port.
    int (*reach)(void *job, const char *addr, struct drv_err *err);
    int (*reserve)(void *job, struct drv_err *err); // slot, memory, journal row on this host
    int (*unreserve)(void *job, struct drv_err *err);
    void (*progress)(void *job, const struct mv_progress *p); // publish a snapshot
    int64_t (*now_us)(void *job); // monotonic, the same clock as stopped_at_us
    void (*pause)(void *job, int ms);
    void (*vm_left)(void *job);    // source: the VM lives elsewhere now, drop it here
    void (*vm_arrived)(void *job); // destination: the VM lives here now (the epoch is taken)
};

struct mv_ports {
    const struct mv_journal_ports *journal;
    const struct mv_peer_ports *peer;
    const struct mv_qemu_ports *qemu;
    const struct mv_store_ports *store;
    const struct mv_host_ports *host;
};

#endif
