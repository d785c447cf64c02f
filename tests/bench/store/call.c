// SPDX-License-Identifier: GPL-3.0-or-later
// One line to drover-store's control socket and its answer: smbstore/daemon/control.h.
#include "bench.h"

#include "drover/util.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int bench_call(const struct bench *b)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char answer[4096] = "";
    size_t len = 0;
    DRV_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (DRV_COPY(to.sun_path, b->socket) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || dprintf(fd, "%s\n", b->call) < 0)
        bench_die("%s: %s", b->socket, strerror(errno));
    while (len < sizeof answer - 1 && !memchr(answer, '\n', len)) {
        ssize_t n = read(fd, answer + len, sizeof answer - 1 - len);
        if (n <= 0)
            bench_die("%s: no answer", b->socket);
        len += (size_t)n;
    }
    answer[len] = '\0';
    if (strncmp(answer, "{\"error\"", 8) == 0)
        bench_die("%s: %s", b->call, answer);
    return EXIT_SUCCESS;
}
