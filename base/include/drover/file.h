// SPDX-License-Identifier: GPL-3.0-or-later
// Small files that others read while we write them. Blocking.
#ifndef DROVER_FILE_H
#define DROVER_FILE_H

#include "drover/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// write(2), again until all len bytes are written. -1 with errno.
int drv_write_all(int fd, const char *text, size_t len);

// Put len bytes in the place of path, as a new file of this mode whatever the umask is: readers see
// the old file or the whole new one, by rename(2). Written first to "<path>.new", of which one
// writer at a time is assumed and which is not left behind. Not flushed to the disk: a crash of the
// host may leave either. -1: what the system said.
int drv_file_replace(const char *path, const char *text, size_t len, mode_t mode,
                     struct drv_err *err);

// access(2) by what we may do: that one answers for a user without the capabilities which a service
// of its own user has.
bool drv_may(const char *path, int mode);

// Remove a folder with all that is in it, by names read from it and without following a link: its
// owner may be somebody who means ill. Something deeper than 64 folders stays. -1 with errno when
// it is still there; absent = 0.
int drv_tree_remove(const char *path);

// Let a group have an open file or folder, by this mode whatever the umask is. The group need not
// be ours when the file has it already: the service runs with QEMU's group, so that what it makes
// is of that group, and needs no right to give files away. -1 with errno.
int drv_file_share(int fd, gid_t gid, mode_t mode);
// The same with a folder, which is made if it is not there and may not be a link.
int drv_dir_share(const char *path, gid_t gid, mode_t mode, struct drv_err *err);

#endif
