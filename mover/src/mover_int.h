// SPDX-License-Identifier: GPL-3.0-or-later
// The job's inside and the phase table: shared by the engine and the phase files only.
#ifndef MOVER_INT_H
#define MOVER_INT_H

#include "drover/mover.h"

struct mv_timeline { // source, monotonic microseconds
    int64_t begun, stopped, paused, disks_done, sent, loaded, released, taken;
    double dst_resume_ms; // told by the destination
    int64_t dst_ran;      // destination: the guest runs from then on, its own clock
};

enum mv_fate {
    MV_OPEN,
    MV_CANCEL_ASKED,
    MV_COMMITTED, // `take` was asked for, or the destination holds the VM: no cancel, no undo
};

struct mv_job {
    struct mv_plan plan;
    const struct mv_ports *ports;
    void *ctx;
    bool source;
    // From other threads as well. One word, so that a cancel is either honoured or refused.
    _Atomic(enum mv_fate) fate;
    _Atomic uint32_t max_blackout_ms;
    _Atomic uint64_t bandwidth_bps;
    _Atomic uint32_t wait_s;
    atomic_uint throttle_percent;
    atomic_uint decisions; // how often a person changed one of the four
    // Job thread only.
    struct mv_endpoints endpoints; // from prepare on
    struct mv_progress progress;
    struct mv_timeline t;
    struct mv_migration memory; // last poll
    uint64_t disk_bytes;        // allocated bytes that went over the wire for disks
    double predicted_ms;
    bool released; // switch: the released record may be on disk
    bool verified; // verify: the destination's guest is known to run
    char failed_phase[16];
    unsigned begun_rows; // bit per table row that this side has begun
    // Destination, its own thread at a time.
    bool refused;       // something was undone here: nothing more may begin
    bool loaded;        // its QEMU has all of the guest
    bool taking;        // an epoch write may have been sent
    atomic_bool taken;  // the epoch is ours; any thread
    unsigned done_rows; // bit per table row whose step succeeded
};

struct mv_phase {
    const char *name;
    bool (*applies)(const struct mv_job *job); // NULL = always
    bool (*undoes)(const struct mv_job *job);  // is there anything to undo; NULL = always
    int (*src_start)(struct mv_job *job, struct drv_err *err);
    int (*src_undo)(struct mv_job *job, struct drv_err *err); // NULL = nothing to undo
    json_t *(*dst_step)(struct mv_job *job, const char *step, const json_t *args,
                        struct drv_err *err);
    int (*dst_undo)(struct mv_job *job, struct drv_err *err);
};

// phases/NN_name.c
extern const struct mv_phase mv_phase_check, mv_phase_reserve, mv_phase_prepare, mv_phase_copy,
    mv_phase_memory, mv_phase_switch, mv_phase_take, mv_phase_verify, mv_phase_finish;

// -1 DRV_ECANCELLED when a person asked to cancel.
int mv_check_cancel(struct mv_job *job, struct drv_err *err);
bool mv_committed(const struct mv_job *job);
// choices.c: what can be done now about a move that does not converge, as in a progress event.
json_t *mv_choices(const struct mv_job *job);
bool mv_between_hosts(const struct mv_job *job); // as opposed to a storage move
void mv_publish(struct mv_job *job);
int64_t mv_now_us(const struct mv_job *job);
// Say why the move waits and pause, longer each time (0.2 s to 5 s). *io_ms: 0 before the first.
void mv_back_off(struct mv_job *job, int *io_ms, const struct drv_err *why);
// Ask the destination; NULL + err. args stolen, NULL allowed. In a storage move this job is the
// destination as well.
json_t *mv_ask(struct mv_job *job, const char *phase, const char *step, json_t *args,
               int timeout_ms, struct drv_err *err);
// After the commit: ask until the destination answers, on new channels too; gives up after a
// minute. 0 also when the destination has ended the move by itself.
int mv_ask_forward(struct mv_job *job, const char *phase, int timeout_ms, struct drv_err *err);
// Destination: undo all rows that it has begun, in reverse. The caller knows that it may.
int mv_undo_all(struct mv_job *job, struct drv_err *err);
json_t *mv_unknown_step(const char *phase, const char *step, struct drv_err *err);
// Rule 9: how long the stores may go without an answer while the guest is, or may get, paused: the
// blackout limit, but never so short that a file server's ordinary slowness would count as an
// outage, which costs the guest more than any blackout.
int mv_store_patience_ms(const struct mv_job *job);
// Milliseconds left of the blackout limit, counted from STOP; -1 + err naming `what` when there are
// none (I7).
int mv_blackout_left_ms(const struct mv_job *job, const char *what, struct drv_err *err);
// 04_copy.c: poll every mirror once, into the job's progress. *ret_ready: all are in sync.
int mv_poll_mirrors(struct mv_job *job, bool *ret_ready, struct drv_err *err);

#endif
