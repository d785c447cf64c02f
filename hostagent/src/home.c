// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's home folder: vm.<epoch>.json, which the owner record names by hash, and vm.json, the
// readable view of the current one (DESIGN.md section 6).
#include <stdlib.h>
#include <string.h>

#include "agent.h"

static int epoch_path(char *ret, const char *home, uint64_t epoch, struct drv_err *err)
{
    if (snprintf(ret, SS_PATH_MAX, "%s/vm.%llu.json", home, (unsigned long long)epoch) >=
        SS_PATH_MAX)
        return drv_err(err, DRV_EINVAL, "the path of home folder %s is too long", home);
    return 0;
}

int ha_home_write_epoch(struct ss_store *st, const char *home, const struct ss_vmdef *def,
                        uint64_t epoch, char ret_sha256[65], struct drv_err *err)
{
    char path[SS_PATH_MAX];
    DRV_AUTO_FREE char *text = ss_vmdef_format(def);
    ss_text_sha256(text, strlen(text), ret_sha256);
    if (epoch_path(path, home, epoch, err) < 0)
        return -1;
    return ss_write(st, path, text, strlen(text), err);
}

int ha_home_write_view(struct ss_store *st, const char *home, const struct ss_vmdef *def,
                       uint64_t epoch, struct drv_err *err)
{
    char path[SS_PATH_MAX];
    DRV_AUTO_FREE char *text = ss_vmdef_format(def);
    if (snprintf(path, sizeof path, "%s/vm.json", home) >= (int)sizeof path)
        return drv_err(err, DRV_EINVAL, "the path of home folder %s is too long", home);
    if (ss_write(st, path, text, strlen(text), err) < 0)
        return -1;
    // The previous epoch's stays for whoever reads the record right now; older ones go.
    if (epoch > 2 && epoch_path(path, home, epoch - 2, err) == 0)
        return ss_unlink(st, path, err);
    return 0;
}

int ha_home_read(struct ss_store *st, const char *home, uint64_t epoch, const char *sha256,
                 struct ss_vmdef *ret, struct drv_err *err)
{
    char path[SS_PATH_MAX], hash[65];
    size_t len = 0;
    if (epoch_path(path, home, epoch, err) < 0)
        return -1;
    DRV_AUTO_FREE char *text = ss_read(st, path, SS_VMDEF_MAX_BYTES, &len, err);
    if (!text)
        return drv_err_prefix(err, "definition %s", path);
    ss_text_sha256(text, len, hash);
    if (strcmp(hash, sha256) != 0) {
        drv_err(err, DRV_EATTENTION, "%s is not the definition that the owner record names", path);
        return drv_err_hint(err, "somebody edited it: restore it, or undo the edit; settings are "
                                 "changed with drover only");
    }
    return ss_vmdef_parse(text, len, ret, err) < 0 ? drv_err_prefix(err, "%s", path) : 0;
}
