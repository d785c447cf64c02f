// SPDX-License-Identifier: GPL-3.0-or-later
// Small steps on paths: see files.h.
#include "files.h"

#include <errno.h>
#include <string.h>

int files_stat(struct conn *c, const char *path, struct stat *ret)
{
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    return smbc_stat(url, ret);
}

int files_unlink(struct conn *c, const char *path)
{
    char url[CONN_URL_MAX];
    struct stat sb;
    conn_url(c, path, url);
    if (smbc_unlink(url) == 0)
        return 0;
    int errnum = errno;
    // A kept image is read-only: no server deletes it so, and the errno (EINVAL) does not tell.
    if (smbc_stat(url, &sb) == 0 && !(sb.st_mode & S_IWUSR) && smbc_chmod(url, 0600) == 0)
        return smbc_unlink(url);
    errno = errnum;
    return -1;
}

int files_rename(struct conn *c, const char *from, const char *to, bool replace)
{
    char from_url[CONN_URL_MAX], to_url[CONN_URL_MAX];
    struct stat sb;
    if (!replace && files_stat(c, to, &sb) == 0) {
        errno = EEXIST;
        return -1;
    }
    conn_url(c, from, from_url);
    conn_url(c, to, to_url);
    return smbc_rename(from_url, to_url);
}

void files_temp_name(const char *path, char out[FILES_TEMP_MAX])
{
    char uuid[DRV_UUID_LEN];
    drv_uuid_new(uuid);
    const char *slash = strrchr(path, '/');
    snprintf(out, FILES_TEMP_MAX, "%.*s.drover-%s.tmp", slash ? (int)(slash - path) + 1 : 0, path,
             uuid);
}
