// SPDX-License-Identifier: GPL-3.0-or-later
// Shared by the files of the fake ports only.
#ifndef TEST_MOVER_FAKE_PORTS_INT_H
#define TEST_MOVER_FAKE_PORTS_INT_H

#include "fake_ports.h"

enum fault { F_NONE, F_BEFORE, F_AFTER };

// Count the call; is it the one that fails, and when? *err is filled then.
enum fault fake_count(struct fake_side *s, const char *port, struct drv_err *err);

// The frame of nearly every port: journalled? may fail before; acts; looks; may fail after.
#define ACT(s, port, ...)                                                                          \
    do {                                                                                           \
        fake_check_call((s), (port));                                                              \
        enum fault fault_ = fake_count((s), (port), err);                                          \
        if (fault_ == F_BEFORE)                                                                    \
            return -1;                                                                             \
        {__VA_ARGS__} fake_check_state((s)->f);                                                    \
        return fault_ == F_AFTER ? -1 : 0;                                                         \
    } while (0)

unsigned fake_bit(const struct fake *f, const struct mv_disk *d); // of the plan's disk

extern const struct mv_qemu_ports fake_qemu_ports; // fake_qemu.c

#endif
