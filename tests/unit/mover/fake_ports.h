// SPDX-License-Identifier: GPL-3.0-or-later
// Two hosts in one process: a source's job and a destination's job of the same move, joined by a
// fake channel through JSON text, over one owner record. Fake QEMUs, stores and journals change
// state like the real ones and note the first thing that must never happen (fake_check.c).
//
// Every port call that can fail has a number, and the fault plan makes one of them fail: before it
// acted, or after. The clock is fake, so nothing sleeps.
#ifndef TEST_MOVER_FAKE_PORTS_H
#define TEST_MOVER_FAKE_PORTS_H

#include "drover/mover.h"
#include "scene.h"

enum { SRC, DST, NOBODY, SOMEBODY_ELSE };
enum fake_qemu { Q_NONE, Q_RUNNING, Q_PAUSED, Q_INCOMING, Q_POSTMIGRATE };
enum fake_rec { R_RUNNING, R_RELEASED };

enum fake_mode {
    FAIL_BEFORE, // it fails and did nothing; a peer call's request is lost
    FAIL_AFTER,  // it did its work and says that it failed; a peer call's reply is lost
    CUT_BEFORE,  // peer calls: the channel breaks; a new one can be made
    CUT_AFTER,
    PART_BEFORE, // peer calls: the link between the hosts is gone for good
    PART_AFTER,
    FAKE_MODE_MAX_
};

struct fake_row {
    char phase[16];
    bool undo, ok; // ok: "begun" is on disk
};

struct fake_side {
    struct fake *f;
    struct mv_job *job;
    int me;
    enum fake_qemu qemu;
    bool reserved, journalled, stores_open, left, arrived, definition;
    unsigned images; // bit per disk that is here; << 8: its mirror was finished
    // Journal.
    struct fake_row open[4]; // begun and not ended, innermost last
    unsigned n_open;
    struct fake_row undone[16]; // in the order of their undo
    unsigned n_undone;
    bool taking, refused, over, ended_failed;
    char began[16][16]; // phases, in the order of their first begin
    unsigned n_began;
};

struct fake {
    struct mv_plan plan;
    struct fake_side side[2];
    // The owner record on the file server.
    struct {
        uint64_t epoch;
        enum fake_rec state;
        int host, to, held_by;
    } rec;
    // Source's QEMU.
    enum mv_mig_state mig;
    unsigned polls; // since migrate_start or migrate_continue
    unsigned mirrors, mirrors_ready, mirror_polls;
    int patience_ms;
    bool stuck, stuck_seen; // of progress: last, ever
    int64_t stopped_us;
    bool dst_loaded;
    bool committed; // the destination's epoch write is on disk
    // Channel.
    bool channel_up, partitioned;
    // The fault plan. Calls are counted from 1.
    unsigned calls, fail_at;
    enum fake_mode mode;
    bool journal_dies; // after the failing call nothing is written to either journal any more
    char failed[40];   // "src.release", "" = nothing failed (yet)
    bool failed_undo;
    bool failed_journal;
    // Scripts: NULL = the usual course.
    void (*on_call)(struct fake *f, const char *name); // before a call acts
    void (*migration)(struct fake *f, struct mv_migration *io);
    void (*mirror)(struct fake *f, struct mv_mirror *io);
    int commits_unknown;    // so many take_commit say "cannot be told"
    bool commit_refused;    // then it is proven not ours
    int take_backs_unknown; // so many take_back say "cannot be told"
    bool release_only_says; // release fails, may have written, has not
    bool never_loads, never_sends;
    int says_taking;             // so many answers about the state are "taking"
    bool gate_shut, close_fails; // destination: every cont, every close_stores fails
    void (*spoil)(struct mv_facts *facts, bool source);
    bool has_taken_back;
    int slow_ms;        // how long release takes
    unsigned cancel_at; // cancel before this call
    int cancel_rc;
    unsigned limits_set;
    struct mv_limits last; // that QEMU was given
    uint64_t mirror_bps;
    char bad[512]; // the first violation
    int64_t now_us;
    unsigned pauses;
    unsigned n_trace;
    char trace[1024][40];
    char waiting[256]; // last reason shown
    struct drv_err err;
    enum mv_result result;
};

struct fake *fake_new(bool disks);
// Run the move to its end, then what the agents do when its channel closes.
enum mv_result fake_run(struct fake *f);
void fake_free(struct fake *f);
bool fake_traced(const struct fake *f, const char *name);
// Fails the test with the trace unless all invariants hold at the end and the end is one of those
// that the result allows.
void fake_assert_end(struct fake *f);

// --- fake_check.c ---
void fake_bad(struct fake *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A port is about to act for this side: is it journalled, and may this phase call it?
void fake_check_call(struct fake_side *s, const char *port);
// After every call.
void fake_check_state(struct fake *f);
void fake_check_end(struct fake *f);

#endif
