// SPDX-License-Identifier: GPL-3.0-or-later
// What a path within a store may look like: legal both on Linux and on an SMB server, and unable to
// leave the store.
#include "drover/vmdef.h"

#include <string.h>

// SMB servers drop a trailing dot or blank, so that two names would mean one file. This also covers
// the components "." and "..".
static int component_valid(const char *start, size_t len)
{
    return len > 0 && start[len - 1] != '.' && start[len - 1] != ' ';
}

int ss_path_valid(const char *path)
{
    if (!path || !*path || strlen(path) >= SS_PATH_MAX)
        return 0;
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        if (*p < 0x20 || *p == 0x7f || strchr("\\:*?\"<>|", *p))
            return 0;
    for (const char *p = path;;) {
        size_t len = strcspn(p, "/");
        if (!component_valid(p, len))
            return 0;
        if (!p[len])
            return 1;
        p += len + 1;
    }
}
