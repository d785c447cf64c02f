// SPDX-License-Identifier: GPL-3.0-or-later
// One host and one job for storage moves: its QEMU, stores, record and journal change state like
// the real ones and note the first thing that must never happen. The plan's two disks move.
#ifndef TEST_MOVER_FAKE_HOST_H
#define TEST_MOVER_FAKE_HOST_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "drover/mover.h"
#include "scene.h"

enum { ALL = 3 }; // both disks

enum mode { FAIL_BEFORE, FAIL_AFTER };

struct host {
    struct mv_plan plan;
    struct mv_job *job;
    // Bits per disk.
    unsigned old_images, new_images; // that exist
    unsigned open, named;            // QEMU has the new one open; the record names it
    unsigned mirrors, equal;         // equal: both images of the disk are the same now, durably
    unsigned pivot_fails;            // these disks' job-complete fails, every time
    bool running, targets_open, old_stores_open, reserved, journalled, view;
    unsigned adopted;
    int patience_ms;
    int unknown_writes; // so many record writes get no answer
    bool taking, committed;
    // Journal.
    char open_row[16];
    bool open_undo, row_ok;
    char last_begun[16];
    // The fault plan.
    unsigned calls, fail_at;
    enum mode mode;
    char failed[40];
    bool failed_undo;
    unsigned cancel_at;
    char trace[512][40];
    unsigned n_trace;
    unsigned polls;
    int64_t now_us;
    unsigned pauses;
    unsigned dies_at; // the agent ends at this call, before it acts
    jmp_buf death;
    bool slow_freeze, nothing_moves;
    char bad[300];
    struct drv_err err;
    enum mv_result result;
};

extern const struct mv_ports fake_host_ports; // ctx: struct host

struct host *fake_host_new(void); // running on the old images, with a job
void fake_host_free(struct host *h);
enum mv_result fake_host_run(struct host *h);
bool fake_host_traced(const struct host *h, const char *name);
// Note what must never be; the ports do it after every call.
void fake_host_look(struct host *h);
// Fails the test, with the trace, if anything was noted or the end is none that the result allows.
void fake_host_check_end(struct host *h);

#endif
