// SPDX-License-Identifier: GPL-3.0-or-later
// The asking side of drover-launch: see launch.h, and order.h for what is said.
#include "launch.h"
#include "drover/file.h"
#include "drover/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// systemd starts a unit in between, perhaps on a loaded machine.
enum { ANSWER_MS = 20 * 1000, SEND_S = 10 };

// --- reaching it ---

static int connect_unit(const char *path, struct drv_err *err)
{
    int fd = drv_unix_connect(path, 0, SEND_S);
    if (fd >= 0)
        return fd;
    drv_err_os(err, errno, "cannot connect to %s", path);
    return drv_err_hint(err, "systemctl start drover-vm.socket drover-store.socket");
}

// Start drover-launch, detached, and return our end of its standard input.
static int start_program(const struct ha_launcher *l, const char *log_path, struct drv_err *err)
{
    int sv[2];
    const struct timeval limit = {.tv_sec = SEND_S};
    DRV_AUTO_FREE char *config = drv_xasprintf("--config=%s", l->config);
    const char *const argv[] = {l->program, "vm", l->config[0] ? config : NULL, NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return drv_err_os(err, errno, "socketpair");
    setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const struct drv_spawn s = {.argv = argv, .log_path = log_path, .stdin_fd = sv[1]};
    pid_t pid = drv_proc_spawn(&s, err);
    close(sv[1]);
    if (pid > 0)
        return sv[0];
    close(sv[0]);
    return -1;
}

// --- order and answer ---

// The first byte carries the descriptors.
static ssize_t send_first(int fd, const char *text, size_t len, const int fds[2])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = (char *)text, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static int send_order(int fd, const char *text, const int fds[2], struct drv_err *err)
{
    size_t len = strlen(text);
    ssize_t n = send_first(fd, text, len, fds);
    for (size_t at = n > 0 ? (size_t)n : 0; n > 0 && at<len; at += n> 0 ? (size_t)n : 0)
        n = send(fd, text + at, len - at, MSG_NOSIGNAL);
    return n > 0 ? 0 : drv_err_os(err, errno, "cannot give drover-launch its order");
}

// What is said up to the end of a line, or up to the end of file, which comes when the program runs
// or drover-launch has ended. *io_len: bytes of text already there.
static int read_answer(int fd, char *text, size_t size, size_t *io_len, bool line, int64_t deadline,
                       struct drv_err *err)
{
    for (ssize_t n = 1; n != 0 && *io_len < size - 1;) {
        int64_t left = deadline - drv_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (rc == 0)
            return drv_err(err, DRV_ETIMEDOUT, "no answer of drover-launch within %d s",
                           ANSWER_MS / 1000);
        n = rc < 0 ? -1 : read(fd, text + *io_len, size - 1 - *io_len);
        if (n < 0 && errno != EINTR)
            return drv_err_os(err, errno, "the answer of drover-launch");
        *io_len += n > 0 ? (size_t)n : 0;
        text[*io_len] = '\0';
        if (line && strchr(text, '\n'))
            break;
    }
    return 0;
}

static int give_order(int fd, struct ha_order *o, int log, int answer_fd, struct drv_err *err)
{
    DRV_AUTO_FREE char *text = ha_order_text(o);
    DRV_AUTO_FREE char *line = text ? drv_xasprintf("%s\n", text) : NULL;
    const int fds[2] = {log, answer_fd};
    return line ? send_order(fd, line, fds, err)
                : drv_err(err, DRV_EINVAL, "a command line that is not UTF-8");
}

// Hear of the process, note it, and let it run the program.
static pid_t hear(int fd, int answer_fd, struct ha_order *o, ha_launch_note *note, void *arg,
                  struct drv_err *err)
{
    char answer[HA_ORDER_ANSWER_BYTES] = "";
    size_t len = 0;
    int64_t deadline = drv_now_ms() + ANSWER_MS;
    if (read_answer(answer_fd, answer, sizeof answer, &len, true, deadline, err) < 0)
        return -1;
    pid_t pid = ha_order_answered(answer, o, err);
    if (pid < 0 || (note && note(pid, arg, err) < 0))
        return -1;
    if (send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
        return drv_err_os(err, errno, "drover-launch is gone");
    if (read_answer(answer_fd, answer, sizeof answer, &len, false, deadline, err) < 0)
        return -1;
    return ha_order_answered(answer, o, err);
}

// Give the order on fd, which is closed, and have its answer. Without it drover-launch ends.
static pid_t launch(int fd, struct ha_order *o, const char *log_path, ha_launch_note *note,
                    void *arg, struct drv_err *err)
{
    DRV_AUTO_CLOSE int order = fd;
    DRV_AUTO_CLOSE int log =
        open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    int pipe_fds[2];
    if (log < 0)
        return drv_err_os(err, errno, "cannot open %s", log_path);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return drv_err_os(err, errno, "pipe");
    DRV_AUTO_CLOSE int answer_fd = pipe_fds[0];
    int rc = give_order(order, o, log, pipe_fds[1], err);
    close(pipe_fds[1]); // ours: the last one that is left is its
    return rc < 0 ? -1 : hear(order, answer_fd, o, note, arg, err);
}

// --- kinds ---

pid_t ha_launch_vm(const struct ha_launcher *l, struct ha_order *o, const char *log_path,
                   ha_launch_note *note, void *arg, struct drv_err *err)
{
    bool unit = l->vm_socket[0] && drv_may(l->vm_socket, F_OK);
    int fd = unit ? connect_unit(l->vm_socket, err) : start_program(l, log_path, err);
    return fd < 0 ? -1 : launch(fd, o, log_path, note, arg, err);
}

pid_t ha_launch_store(const struct drv_spawn *s, void *launcher, struct drv_err *err)
{
    const struct ha_launcher *l = launcher;
    struct ha_order o = {.argv = (const char **)s->argv, .env = (const char **)s->env};
    if (!l->store_socket[0] || !drv_may(l->store_socket, F_OK))
        return drv_proc_spawn(s, err);
    int fd = connect_unit(l->store_socket, err);
    return fd < 0 ? -1 : launch(fd, &o, s->log_path, NULL, NULL, err);
}
