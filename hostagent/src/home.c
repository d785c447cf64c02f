// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's home folder: vm.<epoch>.json, which the owner record names by hash, and vm.json, the
// readable view of the current one (DESIGN.md section 6). docs/RECORD.md tells the names.
#include <stdlib.h>
#include <string.h>

#include "agent.h"

enum { HASH_DIGITS = 16, LIST_MAX = 4096 };

int ha_home_path(char *ret, const char *home, uint64_t epoch, const char *sha256,
                 struct drv_err *err)
{
    if (snprintf(ret, SS_PATH_MAX, "%s/vm.%llu%s%.*s.json", home, (unsigned long long)epoch,
                 sha256 ? "." : "", HASH_DIGITS, sha256 ? sha256 : "") >= SS_PATH_MAX)
        return drv_err(err, DRV_EINVAL, "the path of home folder %s is too long", home);
    return 0;
}

void ha_home_sha256(const struct ss_vmdef *def, char ret[65])
{
    DRV_AUTO_FREE char *text = ss_vmdef_format(def);
    ss_text_sha256(text, strlen(text), ret);
}

static int write_definition(struct ss_store *st, const char *home, const struct ss_vmdef *def,
                            uint64_t epoch, bool by_hash, char ret_sha256[65], struct drv_err *err)
{
    char path[SS_PATH_MAX];
    DRV_AUTO_FREE char *text = ss_vmdef_format(def);
    ss_text_sha256(text, strlen(text), ret_sha256);
    if (ha_home_path(path, home, epoch, by_hash ? ret_sha256 : NULL, err) < 0)
        return -1;
    return ss_write(st, path, text, strlen(text), err);
}

int ha_home_write_epoch(struct ss_store *st, const char *home, const struct ss_vmdef *def,
                        uint64_t epoch, char ret_sha256[65], struct drv_err *err)
{
    return write_definition(st, home, def, epoch, false, ret_sha256, err);
}

int ha_home_write_change(struct ss_store *st, const char *home, const struct ss_vmdef *def,
                         uint64_t epoch, char ret_sha256[65], struct drv_err *err)
{
    return write_definition(st, home, def, epoch, true, ret_sha256, err);
}

int ha_home_remove_change(struct ss_store *st, const char *home, uint64_t epoch, const char *sha256,
                          struct drv_err *err)
{
    char path[SS_PATH_MAX];
    return ha_home_path(path, home, epoch, sha256, err) < 0 ? -1 : ss_unlink(st, path, err);
}

uint64_t ha_home_epoch_of(const char *file)
{
    char *end;
    if (strncmp(file, "vm.", 3) != 0 || file[3] < '0' || file[3] > '9')
        return 0;
    unsigned long long epoch = strtoull(file + 3, &end, 10);
    if (*end == '.' && strspn(end + 1, "0123456789abcdef") == HASH_DIGITS)
        end += 1 + HASH_DIGITS;
    return strcmp(end, ".json") == 0 ? epoch : 0;
}

int ha_home_prune(struct ss_store *st, const char *home, uint64_t last, const char *but_sha256,
                  struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *files = ss_list(st, home, LIST_MAX, &why);
    size_t i;
    json_t *file;
    char path[SS_PATH_MAX], but[HASH_DIGITS + 1];
    if (!files && why.code == DRV_ENOTFOUND)
        return 0;
    if (!files) {
        *err = why;
        return -1;
    }
    DRV_COPY(but, but_sha256);
    json_array_foreach(files, i, file)
    {
        const char *name = json_string_value(file);
        uint64_t epoch = ha_home_epoch_of(name);
        if (epoch == 0 || epoch > last || (but[0] && strstr(name, but)))
            continue;
        if (snprintf(path, sizeof path, "%s/%s", home, name) >= (int)sizeof path)
            return drv_err(err, DRV_EINVAL, "the path %s/%s is too long", home, name);
        if (ss_unlink(st, path, err) < 0)
            return -1;
    }
    return 0;
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
    return epoch > 2 ? ha_home_prune(st, home, epoch - 2, "", err) : 0;
}

// One of the two names. 1 = read, 0 = not there or another definition (*err says which).
static int read_one(struct ss_store *st, const char *path, const char *sha256, struct ss_vmdef *ret,
                    struct drv_err *err)
{
    char hash[65];
    size_t len = 0;
    DRV_AUTO_FREE char *text = ss_read(st, path, SS_VMDEF_MAX_BYTES, &len, err);
    if (!text) {
        drv_err_prefix(err, "definition %s", path);
        return err->code == DRV_ENOTFOUND ? 0 : -1;
    }
    ss_text_sha256(text, len, hash);
    if (strcmp(hash, sha256) != 0) {
        drv_err(err, DRV_EATTENTION, "%s is not the definition that the owner record names", path);
        drv_err_hint(err, "somebody edited it: restore it, or undo the edit; settings are "
                          "changed with drover only");
        return 0;
    }
    return ss_vmdef_parse(text, len, ret, err) < 0 ? drv_err_prefix(err, "%s", path) : 1;
}

int ha_home_read(struct ss_store *st, const char *home, uint64_t epoch, const char *sha256,
                 struct ss_vmdef *ret, struct drv_err *err)
{
    char path[SS_PATH_MAX];
    struct drv_err none = DRV_ERR_INIT;
    if (ha_home_path(path, home, epoch, NULL, err) < 0)
        return -1;
    int rc = read_one(st, path, sha256, ret, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (ha_home_path(path, home, epoch, sha256, &none) < 0)
        return -1;
    rc = read_one(st, path, sha256, ret, &none);
    if (rc == 1)
        drv_err_clear(err);
    else if (none.code != DRV_ENOTFOUND)
        *err = none;
    return rc == 1 ? 0 : -1;
}
