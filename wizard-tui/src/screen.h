// SPDX-License-Identifier: GPL-3.0-or-later
// The wizard on a terminal, by ncurses: draws what ui.c made, feeds it keys. Loop thread only.
#ifndef TUI_SCREEN_H
#define TUI_SCREEN_H

#include "drover/loop.h"
#include "tui.h"

// Can stdin and stdout show it? False: why, in one line.
bool tui_screen_capable(char *ret_why, size_t size);
// Does terminfo know a mouse of this terminal? After initscr().
bool tui_terminal_mouse(void);
// After initscr(): should the process crash from now on, the terminal is as tui_screen_capable()
// found it, and tells nothing of a mouse.
void tui_restore_on_crash(void);
// Take the terminal over; tui_screen_end() or any end of the process gives it back.
// mouse: have it, if there is one.
int tui_screen_begin(struct drv_loop *loop, struct tui *t, bool ascii, bool mouse,
                     struct drv_err *err);
void tui_screen_draw(void *unused);
// The same at a tick of the clock: a move's progress once a second, for slow lines.
void tui_screen_tick(void *unused);
void tui_screen_end(void);

#endif
