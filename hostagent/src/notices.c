// SPDX-License-Identifier: GPL-3.0-or-later
// Notices: see notices.h.
#include "notices.h"

#include <stdarg.h>
#include <stdio.h>

void ha_notice(json_t *notices, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_array_append_new(notices, json_string(text));
}
