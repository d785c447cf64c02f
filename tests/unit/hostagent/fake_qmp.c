// SPDX-License-Identifier: GPL-3.0-or-later
// Pretended QEMU monitor: see fake_qmp.h.
#include "fake_qmp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "drover/util.h"

struct fake_qmp {
    char dir[64], path[96];
    int listen_fd, passed_fd;
    atomic_int fd;
    const char *greeting;
    fake_qmp_answer *answer;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; // of sending
    json_int_t id;
    bool oob;
};

void fake_qmp_send(struct fake_qmp *f, const char *text)
{
    pthread_mutex_lock(&f->lock);
    size_t len = strlen(text);
    for (size_t off = 0; off < len;) {
        ssize_t n = send(f->fd, text + off, len - off, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        off += (size_t)n;
    }
    pthread_mutex_unlock(&f->lock);
}

void fake_qmp_reply(struct fake_qmp *f, json_int_t id, const char *members)
{
    DRV_AUTO_FREE char *line = drv_xasprintf("{\"id\": %lld, %s}\r\n", (long long)id, members);
    fake_qmp_send(f, line);
}

static void answer_line(struct fake_qmp *f, const char *line)
{
    DRV_AUTO_JSON json_t *j = json_loads(line, 0, NULL);
    if (!j)
        abort();
    f->oob = json_object_get(j, "exec-oob") != NULL;
    f->id = json_integer_value(json_object_get(j, "id"));
    const char *cmd = json_string_value(json_object_get(j, f->oob ? "exec-oob" : "execute"));
    if (!strcmp(cmd, "qmp_capabilities")) {
        fake_qmp_reply(f, f->id, "\"return\": {}");
        return;
    }
    DRV_AUTO_FREE char *members = f->answer(f, cmd, json_object_get(j, "arguments"), f->arg);
    if (members)
        fake_qmp_reply(f, f->id, members);
}

static ssize_t receive(struct fake_qmp *f, char *buf, size_t size)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(f->fd, &msg, 0);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&f->passed_fd, CMSG_DATA(c), sizeof(int));
    return n;
}

static void *serve(void *arg)
{
    struct fake_qmp *f = arg;
    int fd = accept(f->listen_fd, NULL, NULL);
    if (fd < 0)
        return NULL;
    f->fd = fd;
    fake_qmp_send(f, f->greeting);
    char buf[65536];
    size_t len = 0;
    for (ssize_t n; len < sizeof buf && (n = receive(f, buf + len, sizeof buf - len)) > 0;) {
        len += (size_t)n;
        for (char *end; (end = memchr(buf, '\n', len));) {
            *end = '\0';
            answer_line(f, buf);
            len -= (size_t)(end + 1 - buf);
            memmove(buf, end + 1, len);
        }
    }
    return NULL;
}

struct fake_qmp *fake_qmp_start(const char *greeting, fake_qmp_answer *answer, void *arg)
{
    struct fake_qmp *f = drv_xcalloc(1, sizeof *f);
    f->greeting = greeting ? greeting
                           : "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, "
                             "\"major\": 7}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";
    f->answer = answer;
    f->arg = arg;
    f->fd = -1;
    f->passed_fd = -1;
    pthread_mutex_init(&f->lock, NULL);
    DRV_COPY(f->dir, "/tmp/drover-test-XXXXXX");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!mkdtemp(f->dir))
        abort();
    snprintf(f->path, sizeof f->path, "%s/mon", f->dir);
    DRV_COPY(sa.sun_path, f->path);
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listen_fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(f->listen_fd, 1) < 0 ||
        pthread_create(&f->thread, NULL, serve, f) != 0)
        abort();
    return f;
}

void fake_qmp_hang_up(struct fake_qmp *f)
{
    shutdown(f->fd, SHUT_RDWR);
}

void fake_qmp_stop(struct fake_qmp *f)
{
    shutdown(f->listen_fd, SHUT_RDWR);
    fake_qmp_hang_up(f);
    pthread_join(f->thread, NULL);
    close(f->listen_fd);
    close(f->fd);
    if (f->passed_fd >= 0)
        close(f->passed_fd);
    unlink(f->path);
    rmdir(f->dir);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

const char *fake_qmp_path(const struct fake_qmp *f)
{
    return f->path;
}

json_int_t fake_qmp_id(const struct fake_qmp *f)
{
    return f->id;
}

bool fake_qmp_is_oob(const struct fake_qmp *f)
{
    return f->oob;
}

int fake_qmp_fd(const struct fake_qmp *f)
{
    return f->passed_fd;
}
