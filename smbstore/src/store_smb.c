// SPDX-License-Identifier: GPL-3.0-or-later
// An SMB share as a store: each handle is one drover-smb process, asked in JSON lines. The
// operations and their arguments are listed in helper/ops.c. A process that does not answer in time
// is killed, and its handle fails for good: libsmbclient can wedge for minutes.
#include "store_int.h"

#include "drover/proc.h"
#include "hex.h"
#include <stdlib.h>
#include <string.h>

struct smb {
    struct ss_store base;
    struct drv_helper helper;
    int timeout_ms;
};

static struct smb *smb_of(struct ss_store *st)
{
    return (struct smb *)st; // base is its first member
}

// --- asking ---

// The helper's {"code","msg","hint","errno"} as an error value.
static void error_from_json(const json_t *e, struct drv_err *err)
{
    const char *code = "peer", *msg = "gave no reason", *hint = "";
    json_int_t number = 0;
    json_unpack((json_t *)e, "{s?s, s?s, s?s, s?I}", "code", &code, "msg", &msg, "hint", &hint,
                "errno", &number);
    enum drv_code c = drv_code_from_name(code);
    drv_err(err, c ? c : DRV_EPEER, "%s", msg);
    drv_err_native(err, "smb", (long)number);
    if (*hint)
        drv_err_hint(err, "%s", hint);
}

// Takes request. The "ok" object of the reply, new reference.
static json_t *ask_take(struct smb *s, json_t *request, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *req = request;
    const char *op = json_string_value(json_object_get(req, "op"));
    const char *path = json_string_value(json_object_get(req, "path"));
    DRV_AUTO_FREE char *line = req ? json_dumps(req, JSON_COMPACT) : NULL;
    if (!line) {
        drv_err(err, DRV_EINVAL, "a path or text for the file server is not UTF-8");
        return NULL;
    }
    const char *answer = drv_helper_ask(&s->helper, line, s->timeout_ms, err);
    json_error_t je;
    DRV_AUTO_JSON json_t *reply = answer ? json_loads(answer, JSON_REJECT_DUPLICATES, &je) : NULL;
    json_t *ok = json_object_get(reply, "ok"), *e = json_object_get(reply, "error");
    if (json_is_object(ok))
        return json_incref(ok);
    if (json_is_object(e))
        error_from_json(e, err);
    else if (answer)
        drv_err(err, DRV_EPEER, "drover-smb answered nonsense");
    drv_err_prefix(err, "smb://%s/%s: %s%s%s", s->base.url.server, s->base.url.share, op,
                   path && *path ? " " : "", path ? path : "");
    return NULL;
}

static int ask_done_take(struct smb *s, json_t *request, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok = ask_take(s, request, err);
    return ok ? 0 : -1;
}

static int ask_path(struct ss_store *st, const char *op, const char *path, struct drv_err *err)
{
    return ask_done_take(smb_of(st), json_pack("{s:s, s:s}", "op", op, "path", path), err);
}

static int bad_reply(const char *op, struct drv_err *err)
{
    return drv_err(err, DRV_EPEER, "drover-smb: %s: reply without its fields", op);
}

// --- the table ---

static int smb_stat(struct ss_store *st, const char *path, struct ss_stat *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok =
        ask_take(smb_of(st), json_pack("{s:s, s:s}", "op", "stat", "path", path), err);
    if (!ok)
        return -1;
    int is_dir;
    json_int_t size;
    const char *volume, *file;
    if (json_unpack(ok, "{s:b, s:I, s:s, s:s}", "is_dir", &is_dir, "size", &size, "volume_id",
                    &volume, "file_id", &file) < 0 ||
        size < 0)
        return bad_reply("stat", err);
    *ret = (struct ss_stat){
        .is_dir = is_dir,
        .size_bytes = (uint64_t)size,
        .allocated_bytes = (uint64_t)size,
        .volume_id = strtoull(volume, NULL, 16),
        .file_id = strtoull(file, NULL, 16),
    };
    return 0;
}

static int smb_mkdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "mkdir", path, err);
}

static int smb_rmdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "rmdir", path, err);
}

static int smb_unlink(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "unlink", path, err);
}

static int smb_rename(struct ss_store *st, const char *from, const char *to, bool replace,
                      struct drv_err *err)
{
    return ask_done_take(smb_of(st),
                         json_pack("{s:s, s:s, s:s, s:b}", "op", "rename", "path", from, "to", to,
                                   "replace", replace),
                         err);
}

static int smb_chmod_readonly(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "chmod_readonly", path, err);
}

static json_t *smb_list(struct ss_store *st, const char *path, size_t max, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok = ask_take(
        smb_of(st),
        json_pack("{s:s, s:s, s:I}", "op", "list", "path", path, "max", (json_int_t)max), err);
    json_t *names = json_object_get(ok, "names");
    if (ok && (!json_is_array(names) || json_array_size(names) > max)) {
        bad_reply("list", err);
        return NULL;
    }
    return json_incref(names); // NULL stays NULL
}

static char *smb_read_head(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
                           uint64_t *ret_file_bytes, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok = ask_take(
        smb_of(st),
        json_pack("{s:s, s:s, s:I}", "op", "read", "path", path, "max", (json_int_t)max), err);
    if (!ok)
        return NULL;
    const char *hex;
    json_int_t size;
    DRV_AUTO_FREE char *data = NULL;
    if (json_unpack(ok, "{s:s, s:I}", "hex", &hex, "size", &size) == 0 && size >= 0)
        data = ss_hex_decode(hex, ret_len);
    if (!data || *ret_len > max) {
        bad_reply("read", err);
        return NULL;
    }
    *ret_file_bytes = (uint64_t)size;
    return DRV_TAKE(data);
}

static int smb_write(struct ss_store *st, const char *path, const void *data, size_t len,
                     struct drv_err *err)
{
    DRV_AUTO_FREE char *hex = ss_hex_encode(data, len);
    return ask_done_take(
        smb_of(st), json_pack("{s:s, s:s, s:s}", "op", "write", "path", path, "hex", hex), err);
}

static int smb_create_image(struct ss_store *st, const char *path, uint64_t size_bytes,
                            const char *initial_file, struct drv_err *err)
{
    return ask_done_take(smb_of(st),
                         json_pack("{s:s, s:s, s:I, s:s*}", "op", "create", "path", path, "size",
                                   (json_int_t)size_bytes, "initial", initial_file),
                         err);
}

// Steps of some seconds each, so that no call lasts as long as a whole copy.
static int smb_copy(struct ss_store *st, const char *from, const char *to,
                    int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes), void *arg,
                    struct drv_err *err)
{
    struct smb *s = smb_of(st);
    json_int_t size = 0, at = 0, before = 0;
    DRV_AUTO_JSON json_t *begun =
        ask_take(s, json_pack("{s:s, s:s, s:s}", "op", "copy", "path", from, "to", to), err);
    if (!begun)
        return -1;
    int rc =
        json_unpack(begun, "{s:I}", "size", &size) < 0 || size < 0 ? bad_reply("copy", err) : 0;
    while (rc == 0 && at < size) {
        if (progress && progress(arg, (uint64_t)at, (uint64_t)size)) {
            rc = drv_err(err, DRV_ECANCELLED, "copying %s was cancelled", from);
            break;
        }
        before = at;
        DRV_AUTO_JSON json_t *more = ask_take(s, json_pack("{s:s}", "op", "copy_more"), err);
        if (!more)
            return -1; // and the helper has given the copy up
        if (json_unpack(more, "{s:I}", "at", &at) < 0 || at <= before || at > size)
            rc = bad_reply("copy_more", err);
    }
    struct drv_err ignored = DRV_ERR_INIT;
    int end = ask_done_take(s, json_pack("{s:s, s:b}", "op", "copy_end", "keep", rc == 0),
                            rc == 0 ? err : &ignored);
    return rc < 0 ? rc : end;
}

static int smb_acl_get(struct ss_store *st, const char *path, bool names, struct ss_acl *ret,
                       struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok =
        ask_take(smb_of(st),
                 json_pack("{s:s, s:s, s:b}", "op", "acl_get", "path", path, "names", names), err);
    if (!ok)
        return -1;
    const char *text;
    if (json_unpack(ok, "{s:s}", "acl", &text) < 0)
        return bad_reply("acl_get", err);
    return ssi_acl_parse(text, ret, err);
}

static int smb_acl_set(struct ss_store *st, const char *path, bool names, const char *text,
                       struct drv_err *err)
{
    return ask_done_take(smb_of(st),
                         json_pack("{s:s, s:s, s:b, s:s}", "op", "acl_set", "path", path, "names",
                                   names, "acl", text),
                         err);
}

static int smb_space(struct ss_store *st, struct ss_space *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok = ask_take(smb_of(st), json_pack("{s:s}", "op", "space"), err);
    if (!ok)
        return -1;
    json_int_t free_bytes, total_bytes;
    if (json_unpack(ok, "{s:I, s:I}", "free", &free_bytes, "total", &total_bytes) < 0 ||
        free_bytes < 0 || total_bytes < 0)
        return bad_reply("space", err);
    *ret = (struct ss_space){(uint64_t)free_bytes, (uint64_t)total_bytes};
    return 0;
}

static int smb_probe_write(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "probe_write", path, err);
}

static int smb_probe_open_rw(struct ss_store *st, const char *path, struct drv_err *err)
{
    return ask_path(st, "probe_open_rw", path, err);
}

static int smb_held(struct ss_store *st, const char *path, bool *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ok =
        ask_take(smb_of(st), json_pack("{s:s, s:s}", "op", "probe_held", "path", path), err);
    if (!ok)
        return -1;
    int held;
    if (json_unpack(ok, "{s:b}", "held", &held) < 0)
        return bad_reply("held", err);
    *ret = held;
    return 0;
}

static void smb_close(struct ss_store *st)
{
    struct smb *s = smb_of(st);
    drv_helper_stop(&s->helper);
    free(s);
}

static const struct ss_store_ops smb_ops = {
    .close = smb_close,
    .stat = smb_stat,
    .mkdir = smb_mkdir,
    .rmdir = smb_rmdir,
    .unlink = smb_unlink,
    .rename = smb_rename,
    .chmod_readonly = smb_chmod_readonly,
    .list = smb_list,
    .read_head = smb_read_head,
    .write = smb_write,
    .create_image = smb_create_image,
    .copy = smb_copy,
    .acl_get = smb_acl_get,
    .acl_set = smb_acl_set,
    .space = smb_space,
    .probe_write = smb_probe_write,
    .probe_open_rw = smb_probe_open_rw,
    .held = smb_held,
};

// --- life ---

static int start_helper(struct smb *s, const struct ss_identity *who, struct drv_err *err)
{
    const struct ss_url *u = &s->base.url;
    char timeout[16];
    // The library gives up first, as it knows better why.
    snprintf(timeout, sizeof timeout, "%d", who->timeout_ms - who->timeout_ms / 5);
    DRV_AUTO_FREE char *url =
        drv_xasprintf("smb://%s/%s%s%s", u->server, u->share, u->path[0] ? "/" : "", u->path);
    DRV_AUTO_FREE char *ccache = drv_xasprintf("KRB5CCNAME=%s", who->ccache);
    const char *config = getenv("KRB5_CONFIG");
    DRV_AUTO_FREE char *krb5_config = config ? drv_xasprintf("KRB5_CONFIG=%s", config) : NULL;
    const char *argv[] = {who->helper, url, timeout, NULL};
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", ccache,
                         krb5_config, NULL};
    return drv_helper_start(argv, env, &s->helper, err);
}

struct ss_store *ssi_smb_open(const struct ss_url *url, const struct ss_identity *who,
                              struct drv_err *err)
{
    if (!who->ccache || !who->helper || who->timeout_ms <= 0) {
        drv_err(err, DRV_EINTERNAL, "an SMB store needs a ccache, a helper and a time-out");
        return NULL;
    }
    struct smb *s = drv_xcalloc(1, sizeof *s);
    s->base.ops = &smb_ops;
    s->base.url = *url;
    s->timeout_ms = who->timeout_ms;
    if (start_helper(s, who, err) < 0) {
        free(s);
        return NULL;
    }
    // Connect now: who opens a store wants to hear here that there is no share or no ticket.
    if (ask_done_take(s, json_pack("{s:s}", "op", "connect"), err) < 0) {
        smb_close(&s->base);
        return NULL;
    }
    return &s->base;
}
