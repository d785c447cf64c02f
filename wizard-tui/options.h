// SPDX-License-Identifier: GPL-3.0-or-later
// drover-wizard's command line; drover-wizard(1) is made from it.
#ifndef TUI_OPTIONS_H
#define TUI_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

enum { TUI_OPTION_HOSTS_MAX = 32 }; // that can be named

struct tui_options {
    const char *hosts[TUI_OPTION_HOSTS_MAX];
    unsigned n;
    bool plain, no_mouse;
};

extern const struct argp tui_argp; // its input is a struct tui_options

#endif
