// SPDX-License-Identifier: GPL-3.0-or-later
// The control socket: listening, one thread per client, lines in and out. What the lines mean is in
// calls.c.
#include "control.h"

#include "drover/log.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SEND_TIMEOUT_S = 10 };

struct client {
    struct ds_control *control;
    pthread_t id;
    int fd; // -1 when the slot is free
    bool started, ended;
};

struct ds_control {
    struct ds_store *st;
    void (*quit)(void);
    int listen_fd;
    pthread_t id;
    pthread_mutex_t lock; // clients, stopping
    bool stopping;
    struct client clients[DS_MAX_CLIENTS];
};

static int send_line(int fd, const char *text)
{
    size_t len = strlen(text);
    DRV_AUTO_FREE char *line = drv_xasprintf("%s\n", text);
    for (size_t off = 0; off < len + 1;) {
        ssize_t n = send(fd, line + off, len + 1 - off, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        off += (size_t)n;
    }
    return 0;
}

// Answer every whole line in buf and move the rest to its start. -1: end of this client.
static int answer_lines(struct client *cl, char *buf, size_t *len)
{
    for (char *nl = memchr(buf, '\n', *len); nl; nl = memchr(buf, '\n', *len)) {
        bool quit = false;
        DRV_AUTO_FREE char *text =
            ds_control_answer(cl->control->st, buf, (size_t)(nl - buf), &quit);
        int rc = send_line(cl->fd, text);
        if (quit)
            cl->control->quit();
        if (rc < 0)
            return -1;
        size_t used = (size_t)(nl - buf) + 1;
        memmove(buf, buf + used, *len - used);
        *len -= used;
    }
    return *len < DS_LINE_MAX ? 0 : -1;
}

static void *client_main(void *arg)
{
    struct client *cl = arg;
    DRV_AUTO_FREE char *buf = drv_xcalloc(1, DS_LINE_MAX);
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(cl->fd, buf + len, DS_LINE_MAX - len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
        if (answer_lines(cl, buf, &len) < 0)
            break;
    }
    shutdown(cl->fd, SHUT_RDWR); // the descriptor itself is closed when the slot is needed again
    pthread_mutex_lock(&cl->control->lock);
    cl->ended = true;
    pthread_mutex_unlock(&cl->control->lock);
    return NULL;
}

static void reap(struct client *cl)
{
    pthread_join(cl->id, NULL);
    close(cl->fd);
    cl->fd = -1;
    cl->started = cl->ended = false;
}

static bool allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

// Give fd to a free slot. Closes it when there is none, or when the peer may not talk to us.
static void admit(struct ds_control *c, int fd)
{
    struct timeval tv = {.tv_sec = SEND_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    struct client *slot = NULL;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < DS_MAX_CLIENTS; i++) {
        struct client *cl = &c->clients[i];
        if (cl->ended)
            reap(cl);
        if (!cl->started && !slot)
            slot = cl;
    }
    if (slot && allowed(fd) && !c->stopping) {
        slot->control = c;
        slot->fd = fd;
        slot->started = pthread_create(&slot->id, NULL, client_main, slot) == 0;
        if (slot->started)
            fd = -1;
    }
    pthread_mutex_unlock(&c->lock);
    if (fd >= 0) {
        drv_log(LOG_WARNING, "store.control.refused");
        close(fd);
    }
}

static void *accept_main(void *arg)
{
    struct ds_control *c = arg;
    for (;;) {
        int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&c->lock);
        bool stopping = c->stopping;
        pthread_mutex_unlock(&c->lock);
        if (stopping) {
            drv_cleanup_close(&fd);
            return NULL;
        }
        if (fd >= 0)
            admit(c, fd);
        else if (errno != EINTR)
            drv_sleep_ms(100); // out of descriptors, perhaps: not in a hurry
    }
}

static int listen_on(const char *path, struct drv_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (DRV_COPY(sa.sun_path, path) < 0)
        return drv_err(err, DRV_EINVAL, "socket path too long: %s", path);
    DRV_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return drv_err_os(err, errno, "socket");
    unlink(path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, DS_MAX_CLIENTS) < 0)
        return drv_err_os(err, errno, "control socket %s", path);
    int out = fd;
    fd = -1;
    return out;
}

struct ds_control *ds_control_start(struct ds_store *st, const char *path, void (*quit)(void),
                                    struct drv_err *err)
{
    int fd = listen_on(path, err);
    if (fd < 0)
        return NULL;
    struct ds_control *c = drv_xcalloc(1, sizeof *c);
    c->st = st;
    c->quit = quit;
    c->listen_fd = fd;
    pthread_mutex_init(&c->lock, NULL);
    for (unsigned i = 0; i < DS_MAX_CLIENTS; i++)
        c->clients[i].fd = -1;
    int rc = pthread_create(&c->id, NULL, accept_main, c);
    if (rc == 0)
        return c;
    drv_err_os(err, rc, "cannot start the control thread");
    close(fd);
    free(c);
    return NULL;
}

void ds_control_stop(struct ds_control *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    shutdown(c->listen_fd, SHUT_RDWR);
    for (unsigned i = 0; i < DS_MAX_CLIENTS; i++)
        if (c->clients[i].started)
            shutdown(c->clients[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->id, NULL);
    for (unsigned i = 0; i < DS_MAX_CLIENTS; i++)
        if (c->clients[i].started)
            reap(&c->clients[i]);
    close(c->listen_fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
