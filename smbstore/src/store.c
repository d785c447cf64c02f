// SPDX-License-Identifier: GPL-3.0-or-later
// Stores: opening by URL, and the checks that every kind shares. No path that is not legal ever
// reaches a kind's own code.
#include "drover/store.h"

#include "store_int.h"
#include <stdlib.h>
#include <string.h>

struct ss_store *ss_store_open(const char *url, const struct ss_identity *who, struct drv_err *err)
{
    struct ss_url u;
    if (ss_url_parse(url, &u, err) < 0)
        return NULL;
    return u.kind == SS_SMB ? ssi_smb_open(&u, who, err) : ssi_local_open(&u, who, err);
}

void ss_store_close(struct ss_store *st)
{
    if (st)
        st->ops->close(st);
}

static int check_path(const char *path, struct drv_err *err)
{
    const char *why = ss_path_refusal(path);
    if (why)
        return drv_err(err, DRV_EINVAL, "\"%.200s\" is not a legal path within a store: %s", path,
                       why);
    return 0;
}

// "" is the store's own folder.
static int check_folder(const char *path, struct drv_err *err)
{
    return *path ? check_path(path, err) : 0;
}

int ss_stat(struct ss_store *st, const char *path, struct ss_stat *ret, struct drv_err *err)
{
    return check_folder(path, err) < 0 ? -1 : st->ops->stat(st, path, ret, err);
}

int ss_mkdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_path(path, err) < 0 ? -1 : st->ops->mkdir(st, path, err);
}

int ss_rmdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_path(path, err) < 0 ? -1 : st->ops->rmdir(st, path, err);
}

int ss_unlink(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_path(path, err) < 0 ? -1 : st->ops->unlink(st, path, err);
}

int ss_rename(struct ss_store *st, const char *from, const char *to, bool replace,
              struct drv_err *err)
{
    if (check_path(from, err) < 0 || check_path(to, err) < 0)
        return -1;
    return st->ops->rename(st, from, to, replace, err);
}

int ss_chmod_readonly(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_path(path, err) < 0 ? -1 : st->ops->chmod_readonly(st, path, err);
}

json_t *ss_list(struct ss_store *st, const char *path, size_t max, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *names =
        check_folder(path, err) < 0 ? NULL : st->ops->list(st, path, max, err);
    for (size_t i = json_array_size(names); i-- > 0;) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!ss_path_valid(name) || strchr(name, '/'))
            json_array_remove(names, i);
    }
    return DRV_TAKE(names);
}

char *ssi_read_head(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
                    uint64_t *ret_file_bytes, struct drv_err *err)
{
    if (check_path(path, err) < 0)
        return NULL;
    if (max > SSI_READ_MAX)
        max = SSI_READ_MAX;
    return st->ops->read_head(st, path, max, ret_len, ret_file_bytes, err);
}

char *ss_read(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
              struct drv_err *err)
{
    uint64_t file_bytes = 0;
    size_t len = 0;
    DRV_AUTO_FREE char *data = ssi_read_head(st, path, max, &len, &file_bytes, err);
    if (!data)
        return NULL;
    if (file_bytes > len) {
        drv_err(err, DRV_EINVAL, "%s: larger than the %zu bytes expected", path, max);
        return NULL;
    }
    if (ret_len)
        *ret_len = len;
    return DRV_TAKE(data);
}

int ss_write(struct ss_store *st, const char *path, const void *data, size_t len,
             struct drv_err *err)
{
    if (check_path(path, err) < 0)
        return -1;
    if (len > SSI_READ_MAX)
        return drv_err(err, DRV_EINVAL, "%s: %zu bytes are too many for a small file", path, len);
    return st->ops->write(st, path, data, len, err);
}

int ss_create_image(struct ss_store *st, const char *path, uint64_t size_bytes,
                    const char *initial_file, struct drv_err *err)
{
    if (check_path(path, err) < 0)
        return -1;
    if (size_bytes > INT64_MAX)
        return drv_err(err, DRV_EINVAL, "%s: size out of range", path);
    return st->ops->create_image(st, path, size_bytes, initial_file, err);
}

int ss_copy(struct ss_store *st, const char *from, const char *to,
            int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes), void *arg,
            struct drv_err *err)
{
    if (check_path(from, err) < 0 || check_path(to, err) < 0)
        return -1;
    return st->ops->copy(st, from, to, progress, arg, err);
}

int ss_acl_get(struct ss_store *st, const char *path, bool names, struct ss_acl *ret,
               struct drv_err *err)
{
    return check_folder(path, err) < 0 ? -1 : st->ops->acl_get(st, path, names, ret, err);
}

int ss_acl_set(struct ss_store *st, const char *path, const struct ss_acl *acl, struct drv_err *err)
{
    struct ss_acl stored;
    bool names;
    DRV_AUTO_FREE char *text = ssi_acl_format(acl, &names, err);
    if (!text || check_folder(path, err) < 0 || st->ops->acl_set(st, path, names, text, err) < 0 ||
        st->ops->acl_get(st, path, names, &stored, err) < 0)
        return -1;
    if (!ssi_acl_same(acl, &stored))
        return drv_err(err, DRV_EPEER, "%s: the server stored other permissions than it was given",
                       *path ? path : "the store's folder");
    return 0;
}

int ss_space(struct ss_store *st, struct ss_space *ret, struct drv_err *err)
{
    return st->ops->space(st, ret, err);
}

int ss_probe_write(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_folder(path, err) < 0 ? -1 : st->ops->probe_write(st, path, err);
}

int ss_probe_open_rw(struct ss_store *st, const char *path, struct drv_err *err)
{
    return check_path(path, err) < 0 ? -1 : st->ops->probe_open_rw(st, path, err);
}
