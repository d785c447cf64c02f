// SPDX-License-Identifier: GPL-3.0-or-later
// A replay log at `path`, which main() sets, and the same done to it and to the model.
#ifndef TESTS_REPLAY_RIG_H
#define TESTS_REPLAY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "drover/util.h"
#include "replay_int.h"
#include "replay_model.h"
#include <unistd.h>

enum { SMALL = 8 << 10 }; // bytes of a ring that wraps soon

static char path[64];

static inline struct replay *open_log(size_t capacity, bool expect_found)
{
    struct drv_err err = DRV_ERR_INIT;
    bool found = !expect_found;
    struct replay *r = replay_open(path, capacity, &found, &err);
    if (!r)
        fail_msg("%s", err.msg);
    assert_int_equal(found, expect_found);
    return r;
}

static inline void refused(size_t capacity, enum drv_code code)
{
    struct drv_err err = DRV_ERR_INIT;
    bool found;
    assert_null(replay_open(path, capacity, &found, &err));
    assert_int_equal(err.code, code);
}

static inline struct replay *new_log(size_t capacity)
{
    unlink(path);
    return open_log(capacity, false);
}

static inline struct replay_entry *put(struct replay *r, const struct ack *a)
{
    struct replay_entry *e = a->zero ? replay_reserve_zero(r, a->offset, a->len)
                                     : replay_reserve_data(r, a->offset, a->len);
    if (e && !a->zero)
        fill_payload(replay_payload(e), a);
    return e;
}

static inline void write_now(struct replay *r, struct model *m, struct ack a)
{
    struct replay_entry *e = put(r, &a);
    assert_non_null(e);
    replay_acknowledge(r, e);
    model_acknowledge(m, &a);
}

static inline void flush_now(struct replay *r, struct model *m)
{
    replay_flushed(r, replay_mark(r));
    m->flushed = m->n;
}

#endif
