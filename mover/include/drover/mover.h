// SPDX-License-Identifier: GPL-3.0-or-later
// A move: the job, the phase table and the engine that walks it (DESIGN.md section 4).
//
// One const table has a row per phase, each with both sides' functions. The source's agent runs
// mv_job_run() on a worker thread; it walks the rows and asks the destination's agent, by phase and
// step names over the host channel, to run the same row's destination part (mv_job_enter there).
// Every start and undo is idempotent and right even if the start only half ran.
#ifndef DROVER_MOVER_H
#define DROVER_MOVER_H

#include "drover/ports.h"
#include <stdatomic.h>

enum { MV_THROTTLE_MAX = 99 }; // percent, QEMU's most

enum mv_result { MV_DONE, MV_FAILED, MV_CANCELLED, MV_ATTENTION, MV_RESULT_MAX_ };
const char *mv_result_name(enum mv_result r); // "done" …

struct mv_disk_progress {
    char id[SS_NAME_MAX];
    uint64_t bytes_done, bytes_total, wire_bytes;
    bool ready;
};

// A snapshot, published through host.progress.
struct mv_progress {
    const char *phase; // name of the table's row
    unsigned phase_no, phases;
    bool cancelling;
    bool committed;      // cancel is no longer possible
    char waiting[256];   // why the move can neither go on nor back just now, "" = it does
    bool stuck;          // memory does not converge; the guest runs on meanwhile
    int64_t gives_up_ms; // while stuck: until the move is given up
    struct mv_disk_progress disks[SS_MAX_DISKS];
    unsigned n_disks;
    struct mv_migration memory;
    int64_t elapsed_ms;
};

struct mv_job;

// plan is copied. context is handed to the ports. source: which side this agent is.
struct mv_job *mv_job_new(const struct mv_plan *plan, const struct mv_ports *ports, void *context,
                          bool source);
void mv_job_free(struct mv_job *job);
const struct mv_plan *mv_job_plan(const struct mv_job *job);

// Source: walk the table to its end. Blocks for the whole move. *err tells why when not MV_DONE:
// MV_FAILED, MV_CANCELLED: the guest runs here as before. MV_ATTENTION: something failed after the
// VM was handed over, or an undo failed; the owner record tells who may run it.
enum mv_result mv_job_run(struct mv_job *job, struct drv_err *err);

// After a restart of the agent, in place of mv_job_run(): last_phase is the one that the journal
// says was begun last. taken: destination: the record names it. Then, at the source,
// mv_job_recover(); at the destination mv_job_abandon(), or mv_job_enter("finish") when it took.
void mv_job_restore(struct mv_job *job, const char *last_phase, bool taken);
// Source: undo what was begun, or go forward if the destination holds the VM. released: the record
// may say so. Results as of mv_job_run().
enum mv_result mv_job_recover(struct mv_job *job, bool released, struct drv_err *err);

// From any thread: ask a running move to stop (honoured until `take`); change limits in flight.
// mv_job_cancel: -1 DRV_ESTATE when it is too late.
int mv_job_cancel(struct mv_job *job, struct drv_err *err);
void mv_job_set_limits(struct mv_job *job, uint32_t max_blackout_ms,
                       uint64_t bandwidth_bps); // 0 = keep
// From any thread: the guest may be slowed down by so many percent until it has moved, 1 to
// MV_THROTTLE_MAX. QEMU gets there in steps, while memory does not converge.
void mv_job_throttle(struct mv_job *job, unsigned percent);
// From any thread: how long a move goes on that does not converge, counted from now or from when it
// begins not to. 30 s unless somebody says otherwise.
void mv_job_wait(struct mv_job *job, uint32_t wait_s);
// The names of what can be done about such a move, for the greeting: ["move.wait",…].
json_t *mv_capabilities(void);

// Destination: run one step of a phase; called for peer.enter. args borrowed; NULL + err on
// failure, DRV_ESTATE when the phase is not due. One call at a time (with undo and abandon).
json_t *mv_job_enter(struct mv_job *job, const char *phase, const char *step, const json_t *args,
                     struct drv_err *err);
// Destination: undo one phase; called for peer.undo. The refusal is journalled before the first
// one, and no phase begins any more.
int mv_job_undo(struct mv_job *job, const char *phase, struct drv_err *err);
// Destination: undo everything it has begun, after journalling its refusal: the host channel broke.
// -1 DRV_ESTATE once it is taking: then it goes forward by itself.
int mv_job_abandon(struct mv_job *job, struct drv_err *err);
bool mv_job_taken(const struct mv_job *job); // destination: the epoch is ours; any thread

// The result object of DESIGN.md section 7 (new reference); err NULL when done.
json_t *mv_job_result(const struct mv_job *job, enum mv_result result, const struct drv_err *err);
json_t *mv_progress_to_json(const struct mv_job *job, const struct mv_progress *p);

// Names of the phases in order, NULL-terminated (docs, wizard, tests).
const char *const *mv_phase_names(void);

#endif
