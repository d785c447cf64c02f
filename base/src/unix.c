// SPDX-License-Identifier: GPL-3.0-or-later
// See unix.h.
#include "drover/unix.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "drover/util.h"

int drv_unix_connect(const char *path, int flags, int patience_s)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = patience_s};
    if (drv_copy(sa.sun_path, sizeof sa.sun_path, path) < 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -1;
    if (patience_s)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}
