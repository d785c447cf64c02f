// SPDX-License-Identifier: GPL-3.0-or-later
// See json_file.h.
#include "json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int ha_json_save(const char *path, const json_t *j, struct drv_err *err)
{
    DRV_AUTO_FREE char *temp = drv_xasprintf("%s.new", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    DRV_AUTO_FILE FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f)
        return drv_err_os(err, errno, "cannot create %s", temp);
    if (json_dumpf(j, f, JSON_INDENT(1)) < 0 || fflush(f) != 0 || rename(temp, path) < 0) {
        drv_err_os(err, errno, "cannot write %s", path);
        unlink(temp);
        return -1;
    }
    return 0;
}

json_t *ha_json_load(const char *path, size_t max_bytes, struct drv_err *err)
{
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    if (!f) {
        drv_err_os(err, errno, "%s", path);
        return NULL;
    }
    DRV_AUTO_FREE char *text = drv_xcalloc(1, max_bytes);
    json_error_t why;
    json_t *j = json_loadb(text, fread(text, 1, max_bytes, f), JSON_REJECT_DUPLICATES, &why);
    if (!j)
        drv_err(err, DRV_EINVAL, "%s: %s", path, why.text);
    return j;
}

void ha_json_remove(const char *path)
{
    DRV_AUTO_FREE char *temp = drv_xasprintf("%s.new", path);
    unlink(path);
    unlink(temp);
}
