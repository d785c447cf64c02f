// SPDX-License-Identifier: GPL-3.0-or-later
// A folder of this host as a store. Every path is resolved below the store's folder and without
// symbolic links, so that nothing inside a store can lead out of it.
#include "drover/file.h"
#include "store_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

struct local {
    struct ss_store base;
    int root;  // the store's folder
    gid_t gid; // QEMU has its images by it
};

enum {
    FOLDER_MODE = 0711, // QEMU reaches its images by name and need not list
    IMAGE_MODE = 0660,
    FILE_MODE = 0600,
};

static struct local *local_of(struct ss_store *st)
{
    return (struct local *)st; // base is its first member
}

// --- resolving ---

// What stands in dir under name, as O_PATH; a symbolic link is refused. -1 with errno.
static int step(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)))
        return fd;
    close(fd);
    errno = ELOOP;
    return -1;
}

// The folder of path's last component, whose name is put into leaf. -1 with errno.
static int walk(const struct local *l, const char *path, char leaf[NAME_MAX + 1])
{
    int dir = openat(l->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (dir >= 0) {
        size_t len = strcspn(path, "/");
        bool bad = len > NAME_MAX || (len == 2 && !strncmp(path, "..", 2));
        snprintf(leaf, NAME_MAX + 1, "%.*s", (int)(len && !bad ? len : 1), len ? path : ".");
        if (!bad && !path[len])
            return dir;
        int next = bad ? -1 : step(dir, leaf), e = bad ? EINVAL : errno;
        close(dir);
        errno = e;
        dir = next;
        path += len + 1;
    }
    return -1;
}

// Component by component, none of them a link or "..": openat2's RESOLVE_BENEATH would do the same,
// but no sandbox that forbids set-user-ID bits (RestrictSUIDSGID=) lets it pass.
static int open_below(const struct local *l, const char *path, int flags, mode_t mode)
{
    char leaf[NAME_MAX + 1];
    DRV_AUTO_CLOSE int dir = walk(l, path, leaf);
    if (dir < 0)
        return -1;
    if (!(flags & (O_PATH | O_DIRECTORY)))
        return openat(dir, leaf, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    int fd = step(dir, leaf);
    if (fd < 0 || flags & O_PATH)
        return fd;
    DRV_AUTO_CLOSE int folder = fd;
    return openat(folder, ".", flags | O_CLOEXEC);
}

static int fail(struct drv_err *err, const struct local *l, const char *what, const char *path)
{
    int e = errno;
    drv_err_os(err, e, "%s %s/%s", what, l->base.url.path, path);
    if (e == ELOOP)
        drv_err_hint(err, "symbolic links are not followed inside a store");
    return -1;
}

// Open the folder that holds path; *ret_leaf: its last component. -1 with errno.
static int open_parent(const struct local *l, const char *path, const char **ret_leaf)
{
    char parent[SS_PATH_MAX];
    const char *slash = strrchr(path, '/');
    *ret_leaf = slash ? slash + 1 : path;
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    return open_below(l, parent, O_RDONLY | O_DIRECTORY, 0);
}

// A regular file, never a device or FIFO, which could block. -1 with errno.
static int open_file(const struct local *l, const char *path, int flags, struct stat *ret)
{
    int fd = open_below(l, path, flags | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0 && (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))) {
        int e = S_ISDIR(ret->st_mode) ? EISDIR : EINVAL;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

// --- folders and names ---

static int local_stat(struct ss_store *st, const char *path, struct ss_stat *ret,
                      struct drv_err *err)
{
    struct local *l = local_of(st);
    struct stat sb;
    struct statfs fs;
    DRV_AUTO_CLOSE int fd = open_below(l, path, O_PATH, 0);
    if (fd < 0 || fstat(fd, &sb) < 0 || fstatfs(fd, &fs) < 0)
        return fail(err, l, "stat", path);
    // f_fsid, not st_dev: device numbers may change with a reboot.
    uint64_t volume;
    _Static_assert(sizeof fs.f_fsid == sizeof volume, "f_fsid is two ints");
    memcpy(&volume, &fs.f_fsid, sizeof volume);
    *ret = (struct ss_stat){
        .is_dir = S_ISDIR(sb.st_mode),
        .size_bytes = S_ISDIR(sb.st_mode) ? 0 : (uint64_t)sb.st_size,
        .allocated_bytes = (uint64_t)sb.st_blocks * 512,
        .volume_id = volume,
        .file_id = sb.st_ino,
    };
    return 0;
}

static int make_one(const struct local *l, const char *path)
{
    const char *leaf;
    DRV_AUTO_CLOSE int parent = open_parent(l, path, &leaf);
    if (parent < 0)
        return -1;
    if (mkdirat(parent, leaf, FOLDER_MODE) == 0)
        return fsync(parent);
    struct stat sb;
    if (errno != EEXIST || fstatat(parent, leaf, &sb, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(sb.st_mode) ? 0 : -1;
}

static int local_mkdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    struct local *l = local_of(st);
    char prefix[SS_PATH_MAX];
    for (const char *end = path; *end; end += *end == '/') {
        end += strcspn(end, "/");
        snprintf(prefix, sizeof prefix, "%.*s", (int)(end - path), path);
        if (make_one(l, prefix) < 0)
            return fail(err, l, "make folder", prefix);
    }
    return 0;
}

static int remove_name(struct local *l, const char *path, int flags, struct drv_err *err)
{
    const char *leaf;
    DRV_AUTO_CLOSE int parent = open_parent(l, path, &leaf);
    bool gone = parent >= 0 && unlinkat(parent, leaf, flags) == 0;
    if ((!gone && errno != ENOENT) || (gone && fsync(parent) < 0))
        return fail(err, l, "remove", path);
    return 0;
}

static int local_rmdir(struct ss_store *st, const char *path, struct drv_err *err)
{
    return remove_name(local_of(st), path, AT_REMOVEDIR, err);
}

static int local_unlink(struct ss_store *st, const char *path, struct drv_err *err)
{
    return remove_name(local_of(st), path, 0, err);
}

static int local_rename(struct ss_store *st, const char *from, const char *to, bool replace,
                        struct drv_err *err)
{
    struct local *l = local_of(st);
    const char *from_leaf, *to_leaf;
    DRV_AUTO_CLOSE int from_dir = open_parent(l, from, &from_leaf);
    DRV_AUTO_CLOSE int to_dir = from_dir < 0 ? -1 : open_parent(l, to, &to_leaf);
    if (from_dir < 0 || to_dir < 0 ||
        renameat2(from_dir, from_leaf, to_dir, to_leaf, replace ? 0 : RENAME_NOREPLACE) < 0 ||
        fsync(to_dir) < 0 || fsync(from_dir) < 0) {
        char what[SS_PATH_MAX + 32];
        snprintf(what, sizeof what, "rename \"%s\" to", from);
        return fail(err, l, what, to);
    }
    return 0;
}

static int local_chmod_readonly(struct ss_store *st, const char *path, struct drv_err *err)
{
    struct local *l = local_of(st);
    struct stat sb;
    DRV_AUTO_CLOSE int fd = open_file(l, path, O_RDONLY, &sb);
    if (fd < 0 || fchmod(fd, 0440) < 0 || fsync(fd) < 0)
        return fail(err, l, "make read-only", path);
    return 0;
}

static json_t *local_list(struct ss_store *st, const char *path, size_t max, struct drv_err *err)
{
    struct local *l = local_of(st);
    int fd = open_below(l, path, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fail(err, l, "list", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    DRV_AUTO_JSON json_t *names = json_array();
    const struct dirent *e;
    bool full = false;
    while (!full && (e = readdir(dir))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        full = json_array_size(names) >= max;
        // A name that is not UTF-8 gives no JSON text: drover made no such file and leaves it out.
        if (!full)
            json_array_append_new(names, json_string(e->d_name));
    }
    closedir(dir);
    if (full) {
        drv_err(err, DRV_EINVAL, "list %s/%s: more than %zu names", l->base.url.path, path, max);
        return NULL;
    }
    return DRV_TAKE(names);
}

// --- small files ---

static ssize_t read_all(int fd, char *buf, size_t max)
{
    size_t len = 0;
    while (len < max) {
        ssize_t n = read(fd, buf + len, max - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static char *local_read_head(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
                             uint64_t *ret_file_bytes, struct drv_err *err)
{
    struct local *l = local_of(st);
    struct stat sb;
    DRV_AUTO_CLOSE int fd = open_file(l, path, O_RDONLY, &sb);
    DRV_AUTO_FREE char *data = drv_xcalloc(1, max + 1);
    ssize_t n = fd < 0 ? -1 : read_all(fd, data, max);
    if (n < 0) {
        fail(err, l, "read", path);
        return NULL;
    }
    *ret_len = (size_t)n;
    *ret_file_bytes = (uint64_t)sb.st_size;
    return DRV_TAKE(data);
}

static int local_write(struct ss_store *st, const char *path, const void *data, size_t len,
                       struct drv_err *err)
{
    struct local *l = local_of(st);
    char uuid[DRV_UUID_LEN], temp[64];
    drv_uuid_new(uuid);
    snprintf(temp, sizeof temp, ".drover-%s.tmp", uuid);
    const char *leaf;
    DRV_AUTO_CLOSE int dir = open_parent(l, path, &leaf);
    DRV_AUTO_CLOSE int fd =
        dir < 0 ? -1 : openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fail(err, l, "write", path);
    if (drv_write_all(fd, data, len) < 0 || fsync(fd) < 0 || renameat(dir, temp, dir, leaf) < 0) {
        fail(err, l, "write", path);
        unlinkat(dir, temp, 0);
        return -1;
    }
    return fsync(dir) < 0 ? fail(err, l, "write", path) : 0;
}

// --- images ---

static int copy_file(int to, const char *from_path)
{
    DRV_AUTO_CLOSE int from = open(from_path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return -1;
    char buf[65536];
    ssize_t n;
    while ((n = read_all(from, buf, sizeof buf)) > 0)
        if (drv_write_all(to, buf, (size_t)n) < 0)
            return -1;
    return n < 0 ? -1 : 0;
}

static int fill_image(const struct local *l, int fd, uint64_t size_bytes, const char *initial_file)
{
    struct stat sb;
    if ((initial_file && copy_file(fd, initial_file) < 0) || fstat(fd, &sb) < 0)
        return -1;
    if ((uint64_t)sb.st_size < size_bytes && ftruncate(fd, (off_t)size_bytes) < 0)
        return -1;
    // Last, so that QEMU never gets a half made image.
    return drv_file_share(fd, l->gid, IMAGE_MODE) < 0 || fsync(fd) < 0 ? -1 : 0;
}

static int local_create_image(struct ss_store *st, const char *path, uint64_t size_bytes,
                              const char *initial_file, struct drv_err *err)
{
    struct local *l = local_of(st);
    const char *leaf;
    DRV_AUTO_CLOSE int dir = open_parent(l, path, &leaf);
    DRV_AUTO_CLOSE int fd =
        dir < 0 ? -1 : openat(dir, leaf, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fail(err, l, "create", path);
    if (fill_image(l, fd, size_bytes, initial_file) < 0 || fsync(dir) < 0) {
        fail(err, l, "create", path);
        unlinkat(dir, leaf, 0);
        return -1;
    }
    return 0;
}

// --- copies ---

enum { COPY_STEP_BYTES = 16 << 20 };

struct copy {
    int from, to;
    uint64_t size_bytes;
    int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes);
    void *arg;
};

static int copy_by_reading(const struct copy *c, off_t at, size_t len)
{
    DRV_AUTO_FREE char *buf = drv_xcalloc(1, 1 << 20);
    while (len > 0) {
        ssize_t n = pread(c->from, buf, len < 1 << 20 ? len : 1 << 20, at);
        ssize_t written = n <= 0 ? n : pwrite(c->to, buf, (size_t)n, at);
        if (n < 0 || written < 0)
            return -1;
        if (n == 0 || written < n) {
            errno = n == 0 ? EIO : ENOSPC;
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

// Not every file system copies by itself, and not between any two files.
static int copy_piece(const struct copy *c, off_t at, size_t len)
{
    off_t in = at, out = at;
    while (len > 0) {
        ssize_t n = copy_file_range(c->from, &in, c->to, &out, len, 0);
        if (n <= 0)
            return copy_by_reading(c, in, len);
        len -= (size_t)n;
    }
    return 0;
}

// 0, 1 = cancelled, -1 with errno.
static int copy_data(const struct copy *c, off_t at, off_t end)
{
    while (at < end) {
        size_t len = end - at < COPY_STEP_BYTES ? (size_t)(end - at) : COPY_STEP_BYTES;
        if (c->progress && c->progress(c->arg, (uint64_t)at, c->size_bytes))
            return 1;
        if (copy_piece(c, at, len) < 0)
            return -1;
        at += (off_t)len;
    }
    return 0;
}

static int copy_ranges(const struct copy *c)
{
    if (ioctl(c->to, FICLONE, c->from) == 0)
        return 0;
    if (ftruncate(c->to, (off_t)c->size_bytes) < 0)
        return -1;
    off_t data, hole = 0;
    int rc = 0;
    while (rc == 0 && (data = lseek(c->from, hole, SEEK_DATA)) >= 0) {
        hole = lseek(c->from, data, SEEK_HOLE);
        rc = hole < 0 ? -1 : copy_data(c, data, hole);
    }
    return rc == 0 && data < 0 && errno != ENXIO ? -1 : rc; // ENXIO: no more data
}

// Fill and name the copy. 0, 1 = cancelled, -1 with errno.
static int copy_into(const struct local *l, const struct copy *c, int dir, const char *temp,
                     const char *leaf)
{
    int rc = copy_ranges(c);
    if (rc != 0)
        return rc;
    if (drv_file_share(c->to, l->gid, IMAGE_MODE) < 0 || fsync(c->to) < 0 ||
        renameat2(dir, temp, dir, leaf, RENAME_NOREPLACE) < 0)
        return -1;
    return fsync(dir);
}

static int local_copy(struct ss_store *st, const char *from, const char *to,
                      int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes),
                      void *arg, struct drv_err *err)
{
    struct local *l = local_of(st);
    struct stat sb = {0};
    char uuid[DRV_UUID_LEN], temp[64];
    drv_uuid_new(uuid);
    snprintf(temp, sizeof temp, ".drover-%s.tmp", uuid);
    const char *leaf;
    DRV_AUTO_CLOSE int in = open_file(l, from, O_RDONLY, &sb);
    if (in < 0)
        return fail(err, l, "copy", from);
    DRV_AUTO_CLOSE int dir = open_parent(l, to, &leaf);
    DRV_AUTO_CLOSE int out =
        dir < 0 ? -1 : openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (out < 0)
        return fail(err, l, "copy to", to);
    struct copy c = {in, out, (uint64_t)sb.st_size, progress, arg};
    int rc = faccessat(dir, leaf, F_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS) == 0
                 ? drv_err(err, DRV_EEXIST, "%s/%s exists already", st->url.path, to)
                 : copy_into(l, &c, dir, temp, leaf);
    if (rc == 0)
        return 0;
    if (rc == 1)
        drv_err(err, DRV_ECANCELLED, "copying %s was cancelled", from);
    else if (!err || err->code == DRV_OK)
        fail(err, l, "copy to", to);
    unlinkat(dir, temp, 0);
    return -1;
}

// --- permissions: not ours to translate ---

static int no_acl(struct ss_store *st, struct drv_err *err)
{
    drv_err(err, DRV_ESTATE, "local:%s: a local folder has no Windows permissions", st->url.path);
    return drv_err_hint(err, "use chown, chmod or setfacl on the host");
}

static int local_acl_get(struct ss_store *st, const char *path, bool names, struct ss_acl *ret,
                         struct drv_err *err)
{
    (void)path, (void)names, (void)ret;
    return no_acl(st, err);
}

static int local_acl_set(struct ss_store *st, const char *path, bool names, const char *text,
                         struct drv_err *err)
{
    (void)path, (void)names, (void)text;
    return no_acl(st, err);
}

// --- asking ---

static int local_space(struct ss_store *st, struct ss_space *ret, struct drv_err *err)
{
    struct local *l = local_of(st);
    struct statvfs fs;
    if (fstatvfs(l->root, &fs) < 0)
        return fail(err, l, "free space of", "");
    *ret = (struct ss_space){
        .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
        .total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
    };
    return 0;
}

static int local_probe_write(struct ss_store *st, const char *path, struct drv_err *err)
{
    struct local *l = local_of(st);
    char uuid[DRV_UUID_LEN], probe[64];
    drv_uuid_new(uuid);
    snprintf(probe, sizeof probe, ".drover-%s.tmp", uuid);
    DRV_AUTO_CLOSE int dir = open_below(l, path, O_RDONLY | O_DIRECTORY, 0);
    DRV_AUTO_CLOSE int fd =
        dir < 0 ? -1 : openat(dir, probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0 || unlinkat(dir, probe, 0) < 0)
        return fail(err, l, "write into", path);
    return 0;
}

static int local_probe_open_rw(struct ss_store *st, const char *path, struct drv_err *err)
{
    struct local *l = local_of(st);
    struct stat sb;
    DRV_AUTO_CLOSE int fd = open_file(l, path, O_RDWR, &sb);
    return fd < 0 ? fail(err, l, "open for writing", path) : 0;
}

static int local_held(struct ss_store *st, const char *path, bool *ret, struct drv_err *err)
{
    (void)path;
    (void)ret;
    return drv_err(err, DRV_ESTATE,
                   "%s: a local folder cannot hold owner records: other hosts do "
                   "not see it",
                   st->url.path);
}

// --- life ---

static void local_close(struct ss_store *st)
{
    struct local *l = local_of(st);
    close(l->root);
    free(l);
}

static const struct ss_store_ops local_ops = {
    .close = local_close,
    .stat = local_stat,
    .mkdir = local_mkdir,
    .rmdir = local_rmdir,
    .unlink = local_unlink,
    .rename = local_rename,
    .chmod_readonly = local_chmod_readonly,
    .list = local_list,
    .read_head = local_read_head,
    .write = local_write,
    .create_image = local_create_image,
    .copy = local_copy,
    .acl_get = local_acl_get,
    .acl_set = local_acl_set,
    .space = local_space,
    .probe_write = local_probe_write,
    .probe_open_rw = local_probe_open_rw,
    .held = local_held,
};

struct ss_store *ssi_local_open(const struct ss_url *url, const struct ss_identity *who,
                                struct drv_err *err)
{
    int root = open(url->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        drv_err_os(err, errno, "store local:%s", url->path);
        drv_err_hint(err, "the folder of a local store must exist: mkdir -p %s", url->path);
        return NULL;
    }
    struct local *l = drv_xcalloc(1, sizeof *l);
    l->base.ops = &local_ops;
    l->base.url = *url;
    l->root = root;
    l->gid = who->image_gid;
    return &l->base;
}
