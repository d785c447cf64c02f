// SPDX-License-Identifier: GPL-3.0-or-later
// The operations of drover-smb. libsmbclient never makes a server fsync: durability is the share's
// (syncops: what was written is on the disk when the file is closed; docs/FILESERVER.md).
#include "ops.h"

#include "acl.h"
#include "copy.h"
#include "files.h"
#include "hex.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 * 1024, LIST_MAX = 10000, LIST_BYTES = 900 * 1024, READ_MAX = 448 * 1024 };

// Arguments of a request; "" and 0 where it has none. Paths have been checked.
struct request {
    const char *op, *path, *to, *hex, *initial, *acl;
    json_int_t max, size;
    int replace, names, keep;
};

// --- small steps; -1 with errno ---

static int open_at(struct conn *c, const char *path, int flags, smbc_share_mode share)
{
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    smbc_setOptionOpenShareMode(c->ctx, share);
    return smbc_open(url, flags, 0600);
}

static int write_all(int fd, const char *data, size_t len)
{
    for (size_t off = 0; off < len;) {
        size_t want = len - off < CHUNK_BYTES ? len - off : CHUNK_BYTES;
        ssize_t n = smbc_write(fd, data + off, want);
        if (n <= 0)
            return -1;
        off += (size_t)n;
    }
    return 0;
}

// --- operations: fill result; -1 with *err ---

// Every operation connects first.
static int op_connect(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)c, (void)r, (void)result, (void)err;
    return 0;
}

static void set_hex(json_t *result, const char *key, uint64_t number)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%" PRIx64, number);
    json_object_set_new(result, key, json_string(hex));
}

static int op_stat(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    struct stat sb;
    if (files_stat(c, r->path, &sb) < 0)
        return conn_fail(c, errno, err);
    bool is_dir = S_ISDIR(sb.st_mode);
    json_object_set_new(result, "is_dir", json_boolean(is_dir));
    json_object_set_new(result, "size", json_integer(is_dir ? 0 : sb.st_size));
    set_hex(result, "volume_id", 0); // unknown: st_dev is a hash of the server's and share's names
    set_hex(result, "file_id", sb.st_ino);
    return 0;
}

static int make_folder(struct conn *c, const char *path)
{
    struct stat sb;
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    if (smbc_stat(url, &sb) == 0) {
        errno = ENOTDIR;
        return S_ISDIR(sb.st_mode) ? 0 : -1;
    }
    return smbc_mkdir(url, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int op_mkdir(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    char prefix[SS_PATH_MAX];
    for (const char *end = r->path; *end; end += *end == '/') {
        end += strcspn(end, "/");
        snprintf(prefix, sizeof prefix, "%.*s", (int)(end - r->path), r->path);
        if (make_folder(c, prefix) < 0)
            return conn_fail(c, errno, err);
    }
    return 0;
}

static int op_rmdir(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    char url[CONN_URL_MAX];
    conn_url(c, r->path, url);
    return smbc_rmdir(url) < 0 && errno != ENOENT ? conn_fail(c, errno, err) : 0;
}

static int op_unlink(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    return files_unlink(c, r->path) < 0 && errno != ENOENT ? conn_fail(c, errno, err) : 0;
}

static int op_rename(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    if (files_rename(c, r->path, r->to, r->replace) == 0)
        return 0;
    if (errno == EEXIST)
        return drv_err(err, DRV_EEXIST, "\"%s\" exists already", r->to);
    return conn_fail(c, errno, err);
}

static int op_chmod_readonly(struct conn *c, const struct request *r, json_t *result,
                             struct drv_err *err)
{
    (void)result;
    char url[CONN_URL_MAX];
    conn_url(c, r->path, url);
    return smbc_chmod(url, 0400) < 0 ? conn_fail(c, errno, err) : 0;
}

static int op_list(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    char url[CONN_URL_MAX];
    conn_url(c, r->path, url);
    size_t max = r->max >= 0 && r->max < LIST_MAX ? (size_t)r->max : LIST_MAX;
    int dir = smbc_opendir(url);
    if (dir < 0)
        return conn_fail(c, errno, err);
    json_t *names = json_array();
    json_object_set_new(result, "names", names);
    const struct smbc_dirent *e;
    bool full = false;
    size_t bytes = 0;
    while (!full && (e = smbc_readdir((unsigned)dir))) {
        if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
            continue;
        bytes += strlen(e->name) + 4; // a name with much to escape is none of drover's
        full = json_array_size(names) >= max || bytes > LIST_BYTES;
        if (!full && ss_path_valid(e->name) && !strchr(e->name, '/'))
            json_array_append_new(names, json_string(e->name));
    }
    smbc_closedir(dir);
    return full ? drv_err(err, DRV_EINVAL, "more than %zu names, or very long ones",
                          json_array_size(names))
                : 0;
}

static int op_read(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    size_t max = r->max >= 0 && r->max < READ_MAX ? (size_t)r->max : READ_MAX, len = 0;
    int fd = open_at(c, r->path, O_RDONLY, SMBC_SHAREMODE_DENY_NONE);
    if (fd < 0)
        return conn_fail(c, errno, err);
    DRV_AUTO_FREE char *data = drv_xcalloc(1, max + 1);
    struct stat sb;
    ssize_t n = smbc_fstat(fd, &sb) < 0 ? -1 : 1;
    while (n > 0 && len < max) {
        n = smbc_read(fd, data + len, max - len);
        len += n > 0 ? (size_t)n : 0;
    }
    int errnum = errno;
    smbc_close(fd);
    if (n < 0)
        return conn_fail(c, errnum, err);
    DRV_AUTO_FREE char *hex = ss_hex_encode(data, len);
    json_object_set_new(result, "hex", json_string(hex));
    json_object_set_new(result, "size", json_integer(sb.st_size));
    return 0;
}

// Create path with content; what was made is removed again on failure. -1 with errno.
static int create_with(struct conn *c, const char *path, const char *data, size_t len)
{
    int fd = open_at(c, path, O_WRONLY | O_CREAT | O_EXCL, SMBC_SHAREMODE_DENY_WRITE);
    if (fd < 0)
        return -1;
    int rc = write_all(fd, data, len);
    int errnum = errno;
    if (smbc_close(fd) < 0 && rc == 0) {
        rc = -1;
        errnum = errno;
    }
    if (rc < 0)
        files_unlink(c, path);
    errno = errnum;
    return rc;
}

static int op_write(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    size_t len = 0;
    char temp[FILES_TEMP_MAX];
    DRV_AUTO_FREE char *data = ss_hex_decode(r->hex, &len);
    if (!data)
        return drv_err(err, DRV_EINVAL, "content is not hexadecimal");
    files_temp_name(r->path, temp);
    if (create_with(c, temp, data, len) < 0)
        return conn_fail(c, errno, err);
    if (files_rename(c, temp, r->path, true) < 0) {
        int errnum = errno;
        files_unlink(c, temp);
        return conn_fail(c, errnum, err);
    }
    return 0;
}

// Stream a local file into fd. -1 with *err.
static int copy_initial(struct conn *c, int fd, const char *file, struct drv_err *err)
{
    DRV_AUTO_CLOSE int from = open(file, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return drv_err_os(err, errno, "%s", file);
    DRV_AUTO_FREE char *buf = drv_xcalloc(1, CHUNK_BYTES);
    ssize_t n;
    while ((n = read(from, buf, CHUNK_BYTES)) > 0)
        if (write_all(fd, buf, (size_t)n) < 0)
            return conn_fail(c, errno, err);
    return n < 0 ? drv_err_os(err, errno, "%s", file) : 0;
}

static int fill_image(struct conn *c, int fd, const struct request *r, struct drv_err *err)
{
    struct stat sb;
    if (*r->initial && copy_initial(c, fd, r->initial, err) < 0)
        return -1;
    if (smbc_fstat(fd, &sb) < 0)
        return conn_fail(c, errno, err);
    return sb.st_size < r->size && smbc_ftruncate(fd, r->size) < 0 ? conn_fail(c, errno, err) : 0;
}

static int op_create(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    int fd = open_at(c, r->path, O_RDWR | O_CREAT | O_EXCL, SMBC_SHAREMODE_DENY_WRITE);
    if (fd < 0)
        return conn_fail(c, errno, err);
    int rc = fill_image(c, fd, r, err);
    if (smbc_close(fd) < 0 && rc == 0)
        rc = conn_fail(c, errno, err);
    if (rc < 0)
        files_unlink(c, r->path);
    return rc;
}

// f_frsize is a multiplier here, not a size (libsmbclient 4.17).
static json_int_t blocks_to_bytes(const struct statvfs *fs, uint64_t blocks)
{
    uint64_t unit, bytes;
    if (__builtin_mul_overflow((uint64_t)fs->f_bsize, fs->f_frsize ? fs->f_frsize : 1, &unit) ||
        __builtin_mul_overflow(unit, blocks, &bytes) || bytes > INT64_MAX)
        return INT64_MAX;
    return (json_int_t)bytes;
}

static int op_space(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)r;
    char url[CONN_URL_MAX];
    struct statvfs fs;
    conn_url(c, "", url);
    if (smbc_statvfs(url, &fs) < 0)
        return conn_fail(c, errno, err);
    json_object_set_new(result, "free", json_integer(blocks_to_bytes(&fs, fs.f_bavail)));
    json_object_set_new(result, "total", json_integer(blocks_to_bytes(&fs, fs.f_blocks)));
    return 0;
}

static int op_probe_write(struct conn *c, const struct request *r, json_t *result,
                          struct drv_err *err)
{
    (void)result;
    char inside[SS_PATH_MAX + 2], probe[FILES_TEMP_MAX];
    snprintf(inside, sizeof inside, "%s%sx", r->path, *r->path ? "/" : "");
    files_temp_name(inside, probe);
    if (create_with(c, probe, "", 0) < 0)
        return conn_fail(c, errno, err);
    return files_unlink(c, probe) < 0 ? conn_fail(c, errno, err) : 0;
}

static int op_probe_open_rw(struct conn *c, const struct request *r, json_t *result,
                            struct drv_err *err)
{
    (void)result;
    int fd = open_at(c, r->path, O_RDWR, SMBC_SHAREMODE_DENY_NONE);
    if (fd < 0)
        return conn_fail(c, errno, err);
    smbc_close(fd);
    return 0;
}

// Opening for reading with "deny write" fails exactly while somebody has the file open for writing.
// It needs no write access, and two who probe at once do not see each other.
static int op_probe_held(struct conn *c, const struct request *r, json_t *result,
                         struct drv_err *err)
{
    int fd = open_at(c, r->path, O_RDONLY, SMBC_SHAREMODE_DENY_WRITE);
    if (fd < 0 && errno != EBUSY)
        return conn_fail(c, errno, err);
    if (fd >= 0)
        smbc_close(fd);
    json_object_set_new(result, "held", json_boolean(fd < 0));
    return 0;
}

// --- permissions, copies ---

static int op_acl_get(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    static char text[ACL_TEXT_MAX];
    if (acl_read(c, r->path, r->names, text, err) < 0)
        return -1;
    drv_utf8_clean(text);
    json_object_set_new(result, "acl", json_string(text));
    return 0;
}

static int op_acl_set(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    return acl_write(c, r->path, r->names, r->acl, err);
}

static int op_copy(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    json_int_t size = 0;
    int rc = copy_begin(c, r->path, r->to, &size, err);
    json_object_set_new(result, "size", json_integer(size));
    return rc;
}

static int op_copy_more(struct conn *c, const struct request *r, json_t *result,
                        struct drv_err *err)
{
    (void)r;
    json_int_t at = 0;
    int rc = copy_more(c, &at, err);
    json_object_set_new(result, "at", json_integer(at));
    return rc;
}

static int op_copy_end(struct conn *c, const struct request *r, json_t *result, struct drv_err *err)
{
    (void)result;
    return copy_end(c, r->keep, err);
}

// --- dispatch ---

static const struct op {
    const char *name;
    int (*run)(struct conn *c, const struct request *r, json_t *result, struct drv_err *err);
    bool needs_path; // a path of at least one component
} ops[] = {
    {"connect", op_connect, false},
    {"stat", op_stat, false},
    {"mkdir", op_mkdir, true},
    {"rmdir", op_rmdir, true},
    {"unlink", op_unlink, true},
    {"rename", op_rename, true}, // to, replace
    {"chmod_readonly", op_chmod_readonly, true},
    {"list", op_list, false},    // max -> names
    {"read", op_read, true},     // max -> hex, size (of the file)
    {"write", op_write, true},   // hex
    {"create", op_create, true}, // size, initial (a local file)
    {"space", op_space, false},  // -> free, total
    {"probe_write", op_probe_write, false},
    {"probe_open_rw", op_probe_open_rw, true},
    {"probe_held", op_probe_held, true}, // -> held
    {"acl_get", op_acl_get, false},      // names -> acl (text)
    {"acl_set", op_acl_set, false},      // names, acl
    {"copy", op_copy, true},             // to -> size; then, until all is done,
    {"copy_more", op_copy_more, false},  // -> at
    {"copy_end", op_copy_end, false},    // keep
};

static const struct op *find_op(const char *name)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(ops); i++)
        if (!strcmp(ops[i].name, name))
            return &ops[i];
    return NULL;
}

static int run(struct conn *c, const char *line, json_t *result, struct drv_err *err)
{
    json_error_t je;
    DRV_AUTO_JSON json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, &je);
    struct request r = {.op = "", .path = "", .to = "", .hex = "", .initial = "", .acl = ""};
    if (!j || json_unpack_ex(j, &je, JSON_STRICT,
                             "{s:s, s?s, s?s, s?s, s?s, s?s, s?I, s?I, s?b, s?b, s?b}", "op", &r.op,
                             "path", &r.path, "to", &r.to, "hex", &r.hex, "initial", &r.initial,
                             "acl", &r.acl, "max", &r.max, "size", &r.size, "replace", &r.replace,
                             "names", &r.names, "keep", &r.keep) < 0)
        return drv_err(err, DRV_EINVAL, "bad request: %s", je.text);
    const struct op *op = find_op(r.op);
    if (!op)
        return drv_err(err, DRV_EINVAL, "no operation \"%.64s\"", r.op);
    if ((op->needs_path || *r.path) && !ss_path_valid(r.path))
        return drv_err(err, DRV_EINVAL, "not a legal path: %s", ss_path_refusal(r.path));
    if ((op->run == op_rename || op->run == op_copy || *r.to) && !ss_path_valid(r.to))
        return drv_err(err, DRV_EINVAL, "not a legal target path: %s", ss_path_refusal(r.to));
    if (r.size < 0)
        return drv_err(err, DRV_EINVAL, "not a size");
    return conn_connect(c, err) < 0 ? -1 : op->run(c, &r, result, err);
}

json_t *ops_handle(struct conn *c, const char *line)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *result = json_object();
    if (run(c, line, result, &err) == 0)
        return json_pack("{s:O}", "ok", result);
    return json_pack("{s:{s:s, s:s, s:s, s:I}}", "error", "code", drv_code_name(err.code), "msg",
                     err.msg, "hint", err.hint, "errno", (json_int_t)err.native);
}
