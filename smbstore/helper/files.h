// SPDX-License-Identifier: GPL-3.0-or-later
// Small steps on paths within the store, shared by drover-smb's operations. -1 with errno.
#ifndef DROVER_SMB_FILES_H
#define DROVER_SMB_FILES_H

#include "conn.h"
#include <sys/stat.h>

// A path with a temporary name in place of its last component may be longer than a path.
enum { FILES_TEMP_MAX = SS_PATH_MAX + 64 };

int files_stat(struct conn *c, const char *path, struct stat *ret);
int files_unlink(struct conn *c, const char *path);
// libsmbclient always replaces (it unlinks the target when the server refuses), so that "do not
// replace" is a look beforehand: enough among drover's own hosts, which rename only what they hold.
int files_rename(struct conn *c, const char *from, const char *to, bool replace);
// A name that nobody else uses, in the folder of path.
void files_temp_name(const char *path, char out[FILES_TEMP_MAX]);

#endif
