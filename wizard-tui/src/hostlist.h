// SPDX-License-Identifier: GPL-3.0-or-later
// The hosts that a desk without an agent begins with: ~/.config/drover/hosts, one a line, '#'
// begins a comment. Written with what the domain listed the last time.
#ifndef TUI_HOSTLIST_H
#define TUI_HOSTLIST_H

#include "model.h"

struct tui_hostlist {
    char name[TUI_HOSTS_MAX][256];
    unsigned n;
};
void tui_hostlist_load(struct tui_hostlist *l); // n = 0 when there is none
int tui_hostlist_save(const struct tui *t, struct drv_err *err);

#endif
