// SPDX-License-Identifier: GPL-3.0-or-later
// The wizard as a dialogue of lines: numbered choices, letters for what else can be done. For
// screen readers, serial lines, and what is no terminal. Loop thread only.
#ifndef TUI_PLAIN_H
#define TUI_PLAIN_H

#include "drover/loop.h"
#include "tui.h"

int tui_plain_begin(struct drv_loop *loop, struct tui *t, bool ascii, struct drv_err *err);
// Print what is new: another panel or page, another phase, else the progress every 30 s.
void tui_plain_show(void *unused);
void tui_plain_end(void);

#endif
