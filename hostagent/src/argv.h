// SPDX-License-Identifier: GPL-3.0-or-later
// A growing argument vector that owns its strings.
#ifndef HOSTAGENT_ARGV_H
#define HOSTAGENT_ARGV_H

#include <stddef.h>

struct ha_argv {
    char **v; // NULL-terminated once anything was added
    unsigned n, cap;
};

// Add one argument.
void ha_argv_add(struct ha_argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Lengthen the last one.
void ha_argv_append(struct ha_argv *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ha_argv_done(struct ha_argv *a); // frees and zeroes
// All on one line, quoted for a shell, for logs. Caller frees.
char *ha_argv_text(const struct ha_argv *a);

#endif
