// SPDX-License-Identifier: GPL-3.0-or-later
// The order that drover-launch (../launch) takes: which program to become, and the taps that it
// gets. It names no user, as who gives it must not choose one. JSON, one line:
//
//   {"argv": ["/usr/bin/qemu-system-x86_64", …], "env": ["KEY=value", …],
//    "taps": [{"bridge": "br0", "fd": 10}, …]}
//
// With its first byte come two descriptors (SCM_RIGHTS): the log, which becomes stdout and stderr,
// and the pipe for the answer. The answer is a line {"pid": …, "taps": ["dvt0", …]}, or one
// {"error": {…}}. After the first, drover-launch waits for an empty line, so that who gave the
// order has noted the process before there is one; without it nothing is run. The end of file
// without an error says that the program runs.
#ifndef HOSTAGENT_ORDER_H
#define HOSTAGENT_ORDER_H

#include "drover/err.h"
#include "drover/vmdef.h"
#include <jansson.h>
#include <net/if.h>
#include <sys/types.h>

enum {
    HA_ORDER_MAX_BYTES = 256 * 1024,
    HA_ORDER_MAX_STRINGS = 1024, // of argv, and of env
    HA_ORDER_ANSWER_BYTES = 4096,
    HA_ORDER_FD_MIN = 3, // numbers that a tap may get
    HA_ORDER_FD_MAX = 63,
};

struct ha_order_tap {
    char bridge[IFNAMSIZ];
    int fd;              // its number in the program
    char name[IFNAMSIZ]; // as answered
};

struct ha_order {
    const char **argv; // NULL-terminated, as env; the strings are the caller's, or json's
    const char **env;  // NULL = PATH and a locale
    struct ha_order_tap taps[SS_MAX_NICS];
    unsigned n_taps;
    json_t *json; // what a parsed order points into; NULL = not a parsed one
};

// The order as text, without the end of its line, malloc'd.
char *ha_order_text(const struct ha_order *o);
// -1 DRV_EINVAL: too long, no argv, unknown keys, a bridge's name that cannot be one, a descriptor
// out of range or twice. ha_order_done() in any case.
int ha_order_parse(const char *text, size_t len, struct ha_order *ret, struct drv_err *err);
void ha_order_done(struct ha_order *o);

// A line of the answer, malloc'd: a success (err NULL) or an error.
char *ha_order_answer(const struct ha_order *o, pid_t pid, const struct drv_err *err);
// All that was answered: pid, and the names of o's taps. -1: the error that it holds, or DRV_EPEER.
pid_t ha_order_answered(const char *text, struct ha_order *o, struct drv_err *err);

#endif
