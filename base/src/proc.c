// SPDX-License-Identifier: GPL-3.0-or-later
// Child processes: see proc.h.
#include "drover/proc.h"
#include "drover/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HELPER_LINE_MAX = 1 << 20 };

static const char *const default_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};

// --- in the child, between fork and exec: async-signal-safe calls only ---

static void reset_signals(void)
{
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_others(void)
{
    syscall(SYS_close_range, 3U, ~0U, 0);
}

static void exec_child(const char *const argv[], const char *const env[])
{
    execvpe(argv[0], (char *const *)argv, (char *const *)(env ? env : default_env));
    const char *why = strerrordesc_np(errno);
    if (write(2, argv[0], strlen(argv[0])) < 0 || write(2, ": ", 2) < 0 ||
        write(2, why, strlen(why)) < 0 || write(2, "\n", 1) < 0)
        _exit(126);
    _exit(127);
}

// --- run to the end ---

// A progress meter's carriage return ends a line too.
static bool ends_line(char c)
{
    return c == '\n' || c == '\r';
}

static void last_line(const char *output, char *dst, size_t size)
{
    size_t end = strlen(output);
    while (end > 0 && ends_line(output[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && !ends_line(output[start - 1]))
        start--;
    snprintf(dst, size, "%.*s", (int)(end - start), output + start);
}

// What a child says: the first max bytes are kept, all of it is shown to watch (NULL = nobody).
struct capture {
    char *out; // max + 1 bytes
    size_t max, len;
    drv_proc_watch_fn *watch;
    void *arg;
};

static ssize_t take_output(int fd, struct capture *c)
{
    char scrap[4096];
    bool room = c->len < c->max;
    char *dst = room ? c->out + c->len : scrap;
    ssize_t n = read(fd, dst, room ? c->max - c->len : sizeof scrap);
    if (n > 0 && room)
        c->len += (size_t)n;
    if (n > 0 && c->watch)
        c->watch(dst, (size_t)n, c->arg);
    return n;
}

// Read until EOF or the deadline. -1 on time-out.
static int drain(int fd, struct capture *c, int timeout_ms)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    for (;;) {
        int64_t left = deadline - drv_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return -1;
        ssize_t n = take_output(fd, c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
    }
    c->out[c->len] = '\0';
    return 0;
}

static int check_exit(int status, const char *name, const char *output, struct drv_err *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    char why[256];
    last_line(output, why, sizeof why);
    if (WIFSIGNALED(status))
        return drv_err(err, DRV_EIO, "%s: killed by signal %d", name, WTERMSIG(status));
    return drv_err(err, DRV_EIO, "%s: %s (exit %d)", name, why[0] ? why : "failed",
                   WEXITSTATUS(status));
}

static int run(const char *const argv[], const char *const env[], int timeout_ms, struct capture *c,
               struct drv_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return drv_err_os(err, errno, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        reset_signals();
        int null_fd = open("/dev/null", O_RDONLY);
        dup2(null_fd, 0);
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close_others();
        exec_child(argv, env);
    }
    int fork_errno = errno;
    close(fds[1]);
    DRV_AUTO_CLOSE int out_fd = fds[0];
    if (pid < 0)
        return drv_err_os(err, fork_errno, "fork");

    int rc = drain(out_fd, c, timeout_ms);
    if (rc < 0)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc < 0)
        return drv_err(err, DRV_ETIMEDOUT, "%s: no end after %d s", argv[0], timeout_ms / 1000);
    return check_exit(status, argv[0], c->out, err);
}

int drv_proc_run(const char *const argv[], const char *const env[], int timeout_ms,
                 size_t max_output, char **ret_output, struct drv_err *err)
{
    DRV_AUTO_FREE char *output = drv_xcalloc(1, max_output + 1);
    struct capture c = {.out = output, .max = max_output};
    if (run(argv, env, timeout_ms, &c, err) < 0)
        return -1;
    if (ret_output)
        *ret_output = DRV_TAKE(output);
    return 0;
}

int drv_proc_watch(const char *const argv[], const char *const env[], int timeout_ms,
                   size_t max_output, drv_proc_watch_fn *watch, void *arg, struct drv_err *err)
{
    DRV_AUTO_FREE char *output = drv_xcalloc(1, max_output + 1);
    struct capture c = {.out = output, .max = max_output, .watch = watch, .arg = arg};
    return run(argv, env, timeout_ms, &c, err);
}

// --- helpers that speak lines ---

int drv_helper_start(const char *const argv[], const char *const env[], struct drv_helper *ret,
                     struct drv_err *err)
{
    memset(ret, 0, sizeof *ret);
    ret->fd = -1;
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return drv_err_os(err, errno, "socketpair");
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        reset_signals();
        prctl(PR_SET_PDEATHSIG, SIGKILL); // of the forking thread; a helper never outlives its user
        if (getppid() != parent)
            _exit(125);
        dup2(sv[1], 0);
        dup2(sv[1], 1);
        close_others();
        exec_child(argv, env);
    }
    int fork_errno = errno;
    close(sv[1]);
    if (pid < 0) {
        close(sv[0]);
        return drv_err_os(err, fork_errno, "fork");
    }
    ret->pid = pid;
    ret->fd = sv[0];
    return 0;
}

static void helper_kill(struct drv_helper *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
    if (h->pid > 0) {
        kill(h->pid, SIGKILL);
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    h->pid = 0;
}

// 1 = sent, 0 = time-out: a helper that is stopped does not read; -1 = gone.
static int send_bytes(int fd, const char *data, size_t len, int64_t deadline)
{
    while (len > 0) {
        int64_t left = deadline - drv_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (rc == 0)
            return 0;
        ssize_t n = rc < 0 ? -1 : send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 1;
}

static int send_line(int fd, const char *line, int64_t deadline)
{
    int rc = send_bytes(fd, line, strlen(line), deadline);
    return rc == 1 ? send_bytes(fd, "\n", 1, deadline) : rc;
}

// Receive up to a newline into h->buf. 1 = line, 0 = time-out, -1 = gone or line too long.
static int receive_line(struct drv_helper *h, int64_t deadline)
{
    h->len = 0;
    for (;;) {
        if (h->cap - h->len < 2048) {
            if (h->cap >= HELPER_LINE_MAX)
                return -1;
            h->cap = h->cap ? h->cap * 2 : 8192;
            h->buf = realloc(h->buf, h->cap);
            if (!h->buf)
                abort();
        }
        int64_t left = deadline - drv_now_ms();
        struct pollfd p = {.fd = h->fd, .events = POLLIN};
        int rc = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc;
        ssize_t n = read(h->fd, h->buf + h->len, h->cap - h->len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        h->len += (size_t)n;
        if (h->buf[h->len - 1] == '\n') {
            h->buf[h->len - 1] = '\0';
            return 1;
        }
    }
}

char *drv_helper_ask(struct drv_helper *h, const char *line, int timeout_ms, struct drv_err *err)
{
    if (h->fd < 0) {
        drv_err(err, DRV_EUNREACHABLE, "the helper process has ended");
        return NULL;
    }
    int64_t deadline = drv_now_ms() + timeout_ms;
    int rc = send_line(h->fd, line, deadline);
    if (rc == 1)
        rc = receive_line(h, deadline);
    if (rc == 1)
        return h->buf;
    helper_kill(h);
    if (rc == 0)
        drv_err(err, DRV_ETIMEDOUT, "no answer within %d s", timeout_ms / 1000);
    else
        drv_err(err, DRV_EUNREACHABLE, "the helper process ended unexpectedly");
    return NULL;
}

void drv_helper_stop(struct drv_helper *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
    for (int i = 0; h->pid > 0 && i < 100; i++) {
        if (waitpid(h->pid, NULL, WNOHANG) != 0)
            h->pid = 0;
        else
            drv_sleep_ms(10);
    }
    helper_kill(h);
    free(h->buf);
    h->buf = NULL;
    h->len = h->cap = 0;
}

// --- detached processes ---

static void exec_detached(const struct drv_spawn *s)
{
    reset_signals();
    int null_fd = open("/dev/null", O_RDONLY);
    int log_fd = open(s->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(s->stdin_fd ? s->stdin_fd : null_fd, 0);
    dup2(log_fd >= 0 ? log_fd : null_fd, 1);
    dup2(log_fd >= 0 ? log_fd : null_fd, 2);
    close_others();
    exec_child(s->argv, s->env);
}

// In the middle process: start the real one, say its pid, end.
static void fork_detached(const struct drv_spawn *s, int fd)
{
    setsid();
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        // nbdkit asks for SIGTERM at its parent's end: that must be over before it runs.
        while (getppid() == self)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        exec_detached(s);
    }
    _exit(write(fd, &pid, sizeof pid) < 0);
}

pid_t drv_proc_spawn(const struct drv_spawn *s, struct drv_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return drv_err_os(err, errno, "pipe");
    pid_t middle = fork();
    if (middle == 0)
        fork_detached(s, fds[1]);
    int fork_errno = errno;
    close(fds[1]);
    DRV_AUTO_CLOSE int fd = fds[0];
    if (middle < 0)
        return drv_err_os(err, fork_errno, "fork");
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
        continue;
    pid_t pid = -1;
    if (read(fd, &pid, sizeof pid) != (ssize_t)sizeof pid || pid < 0)
        return drv_err(err, DRV_EIO, "cannot start %s", s->argv[0]);
    return pid;
}

// proc(5): the command name stands in parentheses and may hold anything, so fields are counted from
// its last ')': state is field 3, starttime field 22.
static bool read_stat(pid_t pid, char *ret_state, unsigned long long *ret_start)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    return p && sscanf(p + 1,
                       " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %llu",
                       ret_state, ret_start) == 2;
}

static bool look_in(const char *dir, const char *file, char *ret, size_t size)
{
    return snprintf(ret, size, "%s/%s", dir, file) < (int)size && drv_may(ret, R_OK);
}

int drv_program_find(const char *file, const char *libexec, char *ret, size_t size,
                     struct drv_err *err)
{
    char exe[256] = "", folder[400];
    const char *const places[] = {".", "../lib", libexec};
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash = n > 0 ? strrchr(exe, '/') : NULL;
    if (!slash)
        return drv_err_os(err, errno, "cannot tell where this program is");
    *slash = '\0';
    for (unsigned i = 0; i < DRV_ARRAY_LEN(places); i++) {
        snprintf(folder, sizeof(folder), "%s/%s", exe, places[i]);
        if (look_in(folder, file, ret, size))
            return 0;
    }
    return drv_err(err, DRV_ENOTFOUND, "%s is neither beside %s nor in %s", file, slash + 1,
                   folder);
}

uint64_t drv_proc_start_time(pid_t pid)
{
    char state;
    unsigned long long start;
    return pid > 0 && read_stat(pid, &state, &start) ? start : 0;
}

bool drv_proc_alive(pid_t pid, uint64_t start_time)
{
    char state;
    unsigned long long start;
    return pid > 0 && read_stat(pid, &state, &start) && start == start_time && state != 'Z' &&
           state != 'X';
}

int drv_proc_end(pid_t pid, uint64_t start_time, int sig, int timeout_ms, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    if (sig && drv_proc_alive(pid, start_time))
        kill(pid, sig);
    while (drv_proc_alive(pid, start_time)) {
        if (drv_now_ms() >= deadline)
            return drv_err(err, DRV_ETIMEDOUT, "process %d did not end within %d ms", (int)pid,
                           timeout_ms);
        drv_sleep_ms(5);
    }
    return 0;
}
