// SPDX-License-Identifier: GPL-3.0-or-later
// Copying a file within a share, in steps that each end well before the caller's patience does.
#ifndef DROVER_SMB_COPY_H
#define DROVER_SMB_COPY_H

#include "conn.h"

// One copy at a time. The source is held against writers until the end; the target grows under a
// temporary name and gets its own in copy_end(). *ret_size: bytes to copy.
int copy_begin(struct conn *c, const char *from, const char *to, json_int_t *ret_size,
               struct drv_err *err);
// Copy on. *ret_at: bytes done; the size given by copy_begin = all of them.
int copy_more(struct conn *c, json_int_t *ret_at, struct drv_err *err);
// keep: the copy is whole, give it its name; DRV_EEXIST when that is taken by now. Otherwise, and
// on failure, what was made is removed. Does nothing when there is no copy.
int copy_end(struct conn *c, bool keep, struct drv_err *err);

#endif
