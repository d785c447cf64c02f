// SPDX-License-Identifier: GPL-3.0-or-later
// drover-launch: becomes one process of a VM. It takes one order from its standard input (order.h),
// makes what needs privileges, gives them up and runs the program.
//
//   drover-launch vm      as QEMU's user (drover.conf says who), with taps
//   drover-launch store   as who it is: drover-store, whatever program the order names
//
// It has rights that droverd has not: QEMU's user and NET_ADMIN under systemd, root elsewhere. So
// who gives the order, perhaps a droverd that was broken into, chooses neither the user nor a file
// that would be opened here: log and answer come as descriptors. What it can have is a process of
// QEMU's user, and a tap on a bridge.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "../droverd/options.h"
#include "agent.h"
#include "order.h"
#include "qemu_user.h"
#include "tap.h"

enum { RECEIVE_S = 10, HIGH_FD = HA_ORDER_FD_MAX + 1, CLOEXEC_RANGE = 1 << 2 };

struct launch {
    bool vm;
    const char *config; // NULL = DROVERD_CONFIG, which need not exist
    char *text;
    size_t len, line; // bytes received; of them the order's line, without its end
    int log, answer;  // -1 = not received
    struct ha_order order;
    uid_t uid;
    gid_t gid;
};

static const char *const plain_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};

// --- the order ---

// Out of the way of the numbers that taps may get.
static int move_high(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    close(fd);
    return high;
}

static void take_fds(struct launch *l, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        int fds[2];
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || l->log >= 0 ||
            c->cmsg_len != CMSG_LEN(sizeof fds))
            continue;
        memcpy(fds, CMSG_DATA(c), sizeof fds);
        l->log = move_high(fds[0]);
        l->answer = move_high(fds[1]);
    }
}

// Some bytes of it: how many, 0 = all are here, -1.
static ssize_t receive_some(struct launch *l, size_t room)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = l->text + l->len, .iov_len = room};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(STDIN_FILENO, &msg, MSG_CMSG_CLOEXEC);
    if (n >= 0)
        take_fds(l, &msg);
    return n;
}

static int receive(struct launch *l, struct drv_err *err)
{
    const struct timeval limit = {.tv_sec = RECEIVE_S};
    size_t max = HA_ORDER_MAX_BYTES + 1; // one more shows what is too long
    ssize_t n;
    l->text = drv_xcalloc(1, max);
    setsockopt(STDIN_FILENO, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const char *end = NULL;
    do {
        n = receive_some(l, max - l->len);
        l->len += n > 0 ? (size_t)n : 0;
        end = memchr(l->text, '\n', l->len);
    } while (n > 0 && !end && l->len < max);
    if (n < 0)
        return drv_err_os(err, errno, "the order");
    l->line = end ? (size_t)(end - l->text) : l->len;
    if (l->log < 0 || l->answer < 0)
        return drv_err(err, DRV_EINVAL, "an order without log and answer");
    return 0;
}

// --- what needs privileges ---

static int find_user(struct launch *l, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    struct drv_conf *c =
        drv_conf_load(ha_conf_options, l->config ? l->config : DROVERD_CONFIG, &why);
    if (!c && why.code == DRV_ENOTFOUND && !l->config)
        c = drv_conf_new(ha_conf_options);
    int rc = c ? ha_qemu_user(c, &l->uid, &l->gid, err) : -1;
    if (!c && err)
        *err = why;
    drv_conf_free(c);
    return rc;
}

static int open_taps(struct ha_order *o, uid_t uid, struct drv_err *err)
{
    for (unsigned i = 0; i < o->n_taps; i++) {
        struct ha_order_tap *t = &o->taps[i];
        int low = ha_tap_open(t->bridge, uid, t->name, err);
        int fd = low < 0 ? -1 : move_high(low);
        if (fd < 0)
            return low < 0 ? -1 : drv_err_os(err, errno, "a tap");
        if (dup2(fd, t->fd) < 0)
            return drv_err_os(err, errno, "descriptor %d", t->fd);
        close(fd);
    }
    return 0;
}

// The user's groups are those of the system, among them the one of /dev/kvm. Under systemd it is
// that user already, with the one right that taps took.
static int become(uid_t uid, gid_t gid, struct drv_err *err)
{
    const struct passwd *pw = getpwuid(uid);
    if (geteuid() == uid)
        return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0
                   ? 0
                   : drv_err_os(err, errno, "capabilities");
    int rc = pw ? initgroups(pw->pw_name, pw->pw_gid) : setgroups(0, NULL);
    if (rc == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0)
        return 0;
    return drv_err_os(err, errno, "cannot become user %d", (int)uid);
}

static int prepare_vm(struct launch *l, struct drv_err *err)
{
    umask(077);
    if (find_user(l, err) < 0)
        return -1;
    if (geteuid() != 0 && geteuid() != l->uid) {
        drv_err(err, DRV_EDENIED, "this is user %d, but QEMU is to run as user %d (qemu_user)",
                (int)geteuid(), (int)l->uid);
        return drv_err_hint(err, "under systemd: systemctl start drover-vm.socket; and User= of "
                                 "drover-vm@.service must be qemu_user of drover.conf");
    }
    struct ucred agent;
    socklen_t len = sizeof agent;
    if (geteuid() == 0 && getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &agent, &len) == 0 &&
        agent.uid == l->uid)
        return drv_err(err, DRV_EINVAL,
                       "qemu_user: QEMU must not be the agent's own user: all of the agent's files "
                       "would be a guest's that breaks out");
    return open_taps(&l->order, l->uid, err) < 0 ? -1 : become(l->uid, l->gid, err);
}

static int prepare_store(struct launch *l, struct drv_err *err)
{
    static char program[512];
    if (l->order.n_taps)
        return drv_err(err, DRV_EINVAL, "drover-store has no taps");
    l->order.argv[0] = program;
    return drv_program_find("drover-store", ".", program, sizeof program, err);
}

// --- the program ---

static void reset_signals(void)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Nothing but log and taps is handed on.
static int arrange_fds(const struct launch *l, struct drv_err *err)
{
    DRV_AUTO_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(l->log, STDOUT_FILENO) < 0 ||
        dup2(l->log, STDERR_FILENO) < 0 ||
        syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, CLOEXEC_RANGE) < 0)
        return drv_err_os(err, errno, "descriptors");
    for (unsigned i = 0; i < l->order.n_taps; i++)
        fcntl(l->order.taps[i].fd, F_SETFD, 0);
    return 0;
}

static int answer(const struct launch *l, const struct drv_err *err)
{
    DRV_AUTO_FREE char *text = ha_order_answer(&l->order, getpid(), err);
    if (l->answer >= 0 && write(l->answer, text, strlen(text)) > 0)
        return 0;
    fprintf(stderr, "drover-launch: %s", text);
    return -1;
}

// The empty line. An agent that is gone would never know of the process.
static int await_word(const struct launch *l, struct drv_err *err)
{
    char byte = '\0';
    bool here = l->len > l->line + 1;
    if ((here ? l->text[l->line + 1] : (recv(STDIN_FILENO, &byte, 1, 0) == 1 ? byte : '\0')) ==
        '\n')
        return 0;
    return drv_err(err, DRV_EUNREACHABLE, "nobody waits for this process");
}

static int run(struct launch *l, struct drv_err *err)
{
    if (receive(l, err) < 0 || ha_order_parse(l->text, l->line, &l->order, err) < 0)
        return drv_err_prefix(err, "drover-launch");
    if ((l->vm ? prepare_vm(l, err) : prepare_store(l, err)) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return drv_err_os(err, errno, "no_new_privs");
    if (answer(l, NULL) < 0)
        return drv_err(err, DRV_EUNREACHABLE, "nobody waits for the answer");
    if (await_word(l, err) < 0 || arrange_fds(l, err) < 0)
        return -1;
    reset_signals();
    const char *const *env = l->order.env[0] ? l->order.env : plain_env;
    execvpe(l->order.argv[0], (char *const *)l->order.argv, (char *const *)env);
    return drv_err_os(err, errno, "%s", l->order.argv[0]);
}

static int usage(void)
{
    fputs("usage: drover-launch vm|store [--config=FILE] <ORDER\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct launch l = {.log = -1, .answer = -1};
    struct drv_err err = DRV_ERR_INIT;
    signal(SIGPIPE, SIG_IGN); // who gave the order may be gone
    if (argc < 2 || argc > 3 || (strcmp(argv[1], "vm") != 0 && strcmp(argv[1], "store") != 0) ||
        (argc == 3 && strncmp(argv[2], "--config=", 9) != 0))
        return usage();
    l.vm = !strcmp(argv[1], "vm");
    l.config = argc == 3 ? argv[2] + 9 : NULL;
    run(&l, &err);
    answer(&l, &err);
    ha_order_done(&l.order);
    free(l.text);
    return EXIT_FAILURE;
}
