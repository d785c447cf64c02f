// SPDX-License-Identifier: GPL-3.0-or-later
// See json_file.h.
#include "json_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/file.h"

int ha_json_save(const char *path, const json_t *j, struct drv_err *err)
{
    DRV_AUTO_FREE char *text = json_dumps(j, JSON_INDENT(1));
    if (!text)
        return drv_err(err, DRV_EINTERNAL, "%s: no text of this JSON", path);
    return drv_file_replace(path, text, strlen(text), 0600, err);
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
