// SPDX-License-Identifier: GPL-3.0-or-later
// An agent on a unix socket that answers calls from a script, and a way to run a command line
// against it with its output caught.
#ifndef TESTS_FAKE_AGENT_H
#define TESTS_FAKE_AGENT_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "cli.h"
#include "drover/frame.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// What the agent says to a call; a NULL call ends a script. Calls that are not in it are errors.
struct fake_answer {
    const char *call;      // or "CALL TEXT": if its args have TEXT in them; the first that fits
    const char *reply;     // "{…}": {"return":…} or {"error":…}; NULL: never
    const char *events[4]; // sent before the reply
};

struct fake_agent {
    char dir[64], path[96], log[96]; // log: "CALL ARGS" lines of what was asked
    pid_t pid;
};

struct fake_run {
    int status; // exit status, or -signal
    char out[16384], err[16384];
};

static inline void fake_write(int fd, const char *text)
{
    uint8_t header[DRV_FRAME_HEADER];
    size_t len = strlen(text);
    drv_frame_header(header, len, NULL);
    if (write(fd, header, sizeof header) < 0 || write(fd, text, len) < 0)
        _exit(0);
}

static inline bool fake_read(int fd, char *buf, size_t size)
{
    uint8_t header[DRV_FRAME_HEADER];
    if (recv(fd, header, sizeof header, MSG_WAITALL) != sizeof header)
        return false;
    size_t len = (size_t)header[2] << 8 | header[3];
    if (len >= size || recv(fd, buf, len, MSG_WAITALL) != (ssize_t)len)
        return false;
    buf[len] = '\0';
    return true;
}

static inline bool fake_fits(const char *pattern, const char *call, const char *args)
{
    size_t len = strcspn(pattern, " ");
    return strlen(call) == len && !strncmp(pattern, call, len) &&
           (!pattern[len] || strstr(args, pattern + len + 1));
}

static inline void fake_answer_one(int fd, const char *request, const struct fake_answer *script,
                                   FILE *log)
{
    json_t *q = json_loads(request, 0, NULL);
    const char *call = json_string_value(json_object_get(q, "call"));
    json_int_t id = json_integer_value(json_object_get(q, "id"));
    char *args = json_dumps(json_object_get(q, "args"), JSON_COMPACT | JSON_SORT_KEYS);
    fprintf(log, "%s %s\n", call, args);
    fflush(log);
    const struct fake_answer *a = script;
    while (a->call && !fake_fits(a->call, call, args))
        a++;
    for (unsigned i = 0; a->call && i < DRV_ARRAY_LEN(a->events) && a->events[i]; i++)
        fake_write(fd, a->events[i]);
    if (!a->call || a->reply) {
        json_t *r = json_loads(
            a->call ? a->reply : "{\"error\":{\"code\":\"not-found\",\"msg\":\"no such call\"}}", 0,
            NULL);
        json_object_set_new(r, "id", json_integer(id));
        char *text = json_dumps(r, JSON_COMPACT);
        fake_write(fd, text);
    }
    // The process lives for one test: nothing is freed.
}

static inline void fake_serve(int listener, const struct fake_answer *script, const char *log_path)
{
    static char request[65536];
    FILE *log = fopen(log_path, "w");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 || !log)
            _exit(1);
        fake_write(fd, "{\"drover\":1,\"version\":\"0.1.0\",\"host\":\"hv1.example.lan\"}");
        while (fake_read(fd, request, sizeof request))
            fake_answer_one(fd, request, script, log);
        close(fd);
    }
}

static inline void fake_start(struct fake_agent *f, const struct fake_answer *script)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    DRV_COPY(f->dir, "/tmp/drover-cli-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/s", f->dir);
    snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    DRV_COPY(sa.sun_path, f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 4), 0);
    f->pid = fork();
    if (f->pid == 0) {
        // A test that fails leaves without fake_stop(); whoever reads its output waits for our
        // copies.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        fake_serve(fd, script, f->log);
    }
    close(fd);
}

static inline void fake_stop(struct fake_agent *f)
{
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    unlink(f->path);
    unlink(f->log);
    rmdir(f->dir);
}

// What was asked of it so far.
static inline char *fake_log(const struct fake_agent *f)
{
    static char text[16384];
    FILE *in = fopen(f->log, "r");
    size_t n = in ? fread(text, 1, sizeof text - 1, in) : 0;
    text[n] = '\0';
    if (in)
        fclose(in);
    return text;
}

// Read both pipes to their ends. on_text: called once after `wait_for` has been seen on stdout.
static inline void fake_drain(int out, int err, struct fake_run *r, const char *wait_for, pid_t pid,
                              int sig)
{
    size_t n[2] = {0};
    char *to[2] = {r->out, r->err};
    struct pollfd p[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, 20000) <= 0)
            break;
        for (int i = 0; i < 2; i++) {
            if (!p[i].revents)
                continue;
            ssize_t got = read(p[i].fd, to[i] + n[i], sizeof r->out - 1 - n[i]);
            n[i] += got > 0 ? (size_t)got : 0;
            to[i][n[i]] = '\0';
            if (got <= 0)
                p[i].fd = -1;
        }
        if (wait_for && strstr(r->out, wait_for)) {
            kill(pid, sig);
            wait_for = NULL;
        }
    }
}

// Run child(arg) in a process of its own with stdout and stderr caught and stdin at /dev/null; when
// wait_for appears on stdout, send it sig.
static inline void fake_run(struct fake_run *r, int (*child)(void *arg), void *arg,
                            const char *wait_for, int sig)
{
    int out[2], err[2], status;
    memset(r, 0, sizeof *r);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_RDONLY), 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        close(out[0]);
        close(err[0]);
        int rc = child(arg);
        fflush(NULL);
        _exit(rc);
    }
    close(out[1]);
    close(err[1]);
    fake_drain(out[0], err[0], r, wait_for, pid, sig);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(out[0]);
    close(err[0]);
    r->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("\"%s\" is not in:\n%s", (part), (text));                                     \
    } while (0)
#define assert_lacks(text, part)                                                                   \
    do {                                                                                           \
        if (strstr((text), (part)))                                                                \
            fail_msg("\"%s\" is in:\n%s", (part), (text));                                         \
    } while (0)

#endif
