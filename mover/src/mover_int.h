// SPDX-License-Identifier: GPL-3.0-or-later
// The job's inside and the phase table: shared by the engine and the phase files only.
#ifndef MOVER_INT_H
#define MOVER_INT_H

#include "drover/mover.h"

struct mv_timeline { // source, monotonic microseconds
    int64_t begun, stopped, disks_done, sent, loaded, released, taken;
    double dst_take_ms, dst_resume_ms; // durations told by the destination
};

struct mv_job {
    struct mv_plan plan;
    const struct mv_ports *ports;
    void *ctx;
    bool source;
    // Set from other threads.
    atomic_bool cancel;
    atomic_bool committed; // `take` was asked for: no cancel, no undo
    _Atomic uint32_t max_blackout_ms;
    _Atomic uint64_t bandwidth_bps;
    // Job thread only.
    struct mv_endpoints endpoints; // from prepare on
    struct mv_progress progress;
    struct mv_timeline t;
    struct mv_migration memory; // last poll
    uint64_t disk_bytes;        // allocated bytes that went over the wire for disks
    double predicted_ms;
    bool released; // switch: the released record may be on disk
    char failed_phase[16];
    // Destination, its own thread at a time.
    bool taking, taken;
    unsigned begun_rows; // bit per table row that this side has begun
};

struct mv_phase {
    const char *name;
    bool (*applies)(const struct mv_job *job); // NULL = always
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
void mv_publish(struct mv_job *job);
// Ask the destination; NULL + err. args stolen, NULL allowed.
json_t *mv_ask(struct mv_job *job, const char *phase, const char *step, json_t *args,
               int timeout_ms, struct drv_err *err);
// Destination: undo all rows that it has begun, in reverse. The caller knows that it may.
int mv_undo_all(struct mv_job *job, struct drv_err *err);
json_t *mv_unknown_step(const char *phase, const char *step, struct drv_err *err);
// Milliseconds left of the blackout limit; counts from STOP (I7).
int64_t mv_blackout_left_ms(const struct mv_job *job);

#endif
