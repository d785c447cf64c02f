// SPDX-License-Identifier: GPL-3.0-or-later
// What the command line and the wizard show alike: sizes, times, text from elsewhere. Pure.
#ifndef DROVER_TEXT_H
#define DROVER_TEXT_H

#include <stdint.h>
#include <stdio.h>

struct drv_text { // a short text by value
    char s[32];
};
struct drv_text drv_fmt_bytes(int64_t bytes); // "4.3 GiB"
struct drv_text drv_fmt_ms(double ms);        // "84 ms", "3.2 s", "1 min 12 s"

// Write text that came from elsewhere, control characters replaced.
void drv_put(FILE *f, const char *text);

#endif
