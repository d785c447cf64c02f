// SPDX-License-Identifier: GPL-3.0-or-later
// Images that moves leave at this host, renamed and read-only, and their end (the setting
// `keep_source`).
#ifndef HOSTAGENT_KEPT_H
#define HOSTAGENT_KEPT_H

#include "agent.h"

// Note that the image at path will be kept for keep_s (1..10^9) seconds from now. Before it gets
// that name: what is noted and not there is no harm, what is there and not noted stays for ever.
// Worker.
int ha_kept_add(struct ha *ha, const char *move, const char *store, const char *path,
                int64_t keep_s, struct drv_err *err);

// Delete what is due at now_ms (ms since 1970). What cannot be deleted stays noted for the next
// time and is logged, once for each store. Worker.
void ha_kept_sweep(struct ha *ha, int64_t now_ms);

// Sweep now and every 10 minutes, on a worker, until the loop is freed. Loop thread.
void ha_kept_start(struct ha *ha);

#endif
