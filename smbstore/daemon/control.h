// SPDX-License-Identifier: GPL-3.0-or-later
// The control socket of drover-store. One JSON object a line, both ways, at most DS_LINE_MAX bytes:
//   {"call": NAME, "args": {…}, "timeout_ms": N}
//   {"return": …} or {"error": {"code": NAME, "msg": …, "hint": …}}
// Calls: open status hold_record{create} hold_image read_record write_record{record} promote{epoch}
// fill release_image release_record drop reopen patience{ms} quit{force}; what they do is in
// drover/storeproc.h. Only root and our own uid are served. Several clients may be connected.
#ifndef DROVER_STORE_CONTROL_H
#define DROVER_STORE_CONTROL_H

#include "store.h"

enum { DS_LINE_MAX = 64 * 1024, DS_MAX_CLIENTS = 8 };

struct ds_control;
// quit: called (once, from a client's thread) when a client asked for the end of the process.
struct ds_control *ds_control_start(struct ds_store *st, const char *path, void (*quit)(void),
                                    struct drv_err *err);
void ds_control_stop(struct ds_control *c); // NULL allowed

// One request line to one reply line (new, without newline, caller frees). *ret_quit is set when
// the process should end. Any thread but the procedure thread; waits for the procedure thread.
char *ds_control_answer(struct ds_store *st, const char *line, size_t len, bool *ret_quit);

#endif
