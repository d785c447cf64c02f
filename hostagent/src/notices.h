// SPDX-License-Identifier: GPL-3.0-or-later
// Notices of a call: what the user should know although it went well. Any thread.
#ifndef HOSTAGENT_NOTICES_H
#define HOSTAGENT_NOTICES_H

#include <jansson.h>

// Append a text, at most 599 bytes of it, to an array.
void ha_notice(json_t *notices, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
