// SPDX-License-Identifier: GPL-3.0-or-later
// See file.h.
#include "drover/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/util.h"

int drv_write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int drv_file_replace(const char *path, const char *text, size_t len, mode_t mode,
                     struct drv_err *err)
{
    DRV_AUTO_FREE char *temp = drv_xasprintf("%s.new", path);
    DRV_AUTO_CLOSE int fd =
        open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode & 0600);
    if (fd < 0)
        return drv_err_os(err, errno, "cannot create %s", temp);
    if (drv_write_all(fd, text, len) == 0 && fchmod(fd, mode) == 0 && rename(temp, path) == 0)
        return 0;
    drv_err_os(err, errno, "cannot write %s", path);
    unlink(temp);
    return -1;
}

static void remove_tree(int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) < 0 && depth > 0)
            remove_tree(dirfd(d), e->d_name, depth - 1);
    }
    closedir(d);
    unlinkat(parent, name, AT_REMOVEDIR);
}

int drv_tree_remove(const char *path)
{
    enum { DEPTH = 64 }; // a descriptor each
    struct stat st;
    remove_tree(AT_FDCWD, path, DEPTH);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -1;
    errno = ENOTEMPTY;
    return -1;
}

bool drv_may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

int drv_file_share(int fd, gid_t gid, mode_t mode)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || (st.st_gid != gid && fchown(fd, (uid_t)-1, gid) < 0))
        return -1;
    return fchmod(fd, mode);
}

int drv_dir_share(const char *path, gid_t gid, mode_t mode, struct drv_err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return drv_err_os(err, errno, "cannot make %s", path);
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || drv_file_share(fd, gid, mode) < 0)
        return drv_err_os(err, errno, "cannot give %s to group %d", path, (int)gid);
    return 0;
}
