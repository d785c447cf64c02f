// SPDX-License-Identifier: GPL-3.0-or-later
// Logging: one logfmt line on stderr per event, with a "<N>" priority prefix that journald reads.
#ifndef DROVER_LOG_H
#define DROVER_LOG_H

#include "drover/err.h"
#include <stdint.h>
#include <syslog.h>

struct drv_field {
    const char *key;
    enum { DRV_F_STR, DRV_F_I64 } type;
    const char *str;
    int64_t i64;
};
#define F_STR(k, v) (&(const struct drv_field){.key = (k), .type = DRV_F_STR, .str = (v)})
#define F_INT(k, v) (&(const struct drv_field){.key = (k), .type = DRV_F_I64, .i64 = (int64_t)(v)})

// Messages above this syslog priority are dropped (default LOG_INFO). Set once at start.
void drv_log_level(int priority);

// drv_log(LOG_NOTICE, "move.phase.done", F_STR("vm", name), F_INT("took_ms", t));
// event: a stable dotted id. Values are quoted and escaped. Any thread.
#define drv_log(priority, event, ...)                                                              \
    drv_log_fields((priority), (const struct drv_field *const[]){F_STR("event", (event)),          \
                                                                 ##__VA_ARGS__, NULL})
void drv_log_fields(int priority, const struct drv_field *const fields[]); // the event's id first

// Log an error where it is decided what to do about it: adds code=, id=, msg=, hint=.
void drv_log_err(int priority, const char *event, const struct drv_err *err);

#endif
