// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's serial line on the wizard's terminal.
//
// It is `drover vm console` that has the terminal meanwhile: what leaving, a move of the VM and a
// restart of the agent mean there is written once, in that program, and its keys are the same.
#ifndef TUI_CONSOLE_H
#define TUI_CONSOLE_H

#include "drover/loop.h"
#include <stdbool.h>

// Begin. host "" = the local agent. The caller has given the terminal back to its usual modes and
// leaves it alone until ended(ok) is called, once, from the loop; ok false: it said on the terminal
// why it could not go on. -1 DRV_EIO, DRV_EBUSY. Loop thread.
int tui_console_begin(struct drv_loop *loop, const char *host, const char *vm,
                      void (*ended)(bool ok), struct drv_err *err);
void tui_console_end(void); // end it, if it runs, without ended()

#endif
