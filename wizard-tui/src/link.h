// SPDX-License-Identifier: GPL-3.0-or-later
// The ways to the agents: puts the model's questions on worker threads and brings the answers back
// to the loop.
//
// drv_client blocks, Kerberos and DNS below it too, so each host has up to four lines, each of one
// connection that at most one worker uses at a time: the regular round, what may take long (a
// frozen file server must not hide what else is known), the moves, and what nobody waits for. The
// loop never waits, keys are served while a host is silent, and all state stays on the loop thread
// without a lock. Poll instead would mean an asynchronous copy of client and log-on.
#ifndef TUI_LINK_H
#define TUI_LINK_H

#include "drover/loop.h"
#include "model.h"

struct tui_links;
// t must outlive it, and be initialised with the port before the first answer.
struct tui_links *tui_links_new(struct drv_loop *loop, struct tui *t);
void tui_links_port(struct tui_links *l, struct tui_port *ret);
// False: a worker still waits for a host (each wait has its own end), nothing was freed, and the
// process had better end by _exit().
bool tui_links_free(struct tui_links *l);

#endif
