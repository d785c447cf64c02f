// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's serial line: see console.h. There is one terminal, so this file has one child.
#include "console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    pid_t pid; // 0 = none
    struct event *child;
    void (*ended)(bool ok);
} con;

static void forget(void)
{
    event_free(con.child);
    con.child = NULL;
    con.pid = 0;
}

static void on_child(evutil_socket_t sig, short what, void *arg)
{
    int status;
    (void)sig;
    (void)what;
    (void)arg;
    if (!con.pid || waitpid(con.pid, &status, WNOHANG) != con.pid)
        return;
    void (*ended)(bool ok) = con.ended;
    forget();
    ended(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void __attribute__((noreturn)) child(const char *host, const char *vm)
{
    const char *argv[8];
    unsigned n = 0;
    argv[n++] = "drover";
    if (*host) {
        argv[n++] = "-H";
        argv[n++] = host;
    }
    argv[n++] = "vm";
    argv[n++] = "console";
    argv[n++] = vm;
    argv[n] = NULL;
    signal(SIGPIPE, SIG_DFL);
    execvp("drover", (char *const *)(uintptr_t)argv);
    fprintf(stderr, "drover: %s; the console needs that program\n", strerror(errno));
    _exit(127);
}

int tui_console_begin(struct drv_loop *loop, const char *host, const char *vm,
                      void (*ended)(bool ok), struct drv_err *err)
{
    if (con.pid)
        return drv_err(err, DRV_EBUSY, "a console is open");
    con.ended = ended;
    con.child = evsignal_new(drv_loop_base(loop), SIGCHLD, on_child, NULL);
    if (!con.child || event_add(con.child, NULL) < 0)
        return drv_err(err, DRV_EIO, "cannot watch a child");
    fflush(stdout);
    con.pid = fork();
    if (con.pid == 0)
        child(host, vm);
    if (con.pid > 0)
        return 0;
    drv_err(err, DRV_EIO, "cannot start drover: %s", strerror(errno));
    forget();
    return -1;
}

void tui_console_end(void)
{
    if (!con.pid)
        return;
    kill(con.pid, SIGTERM); // it gives the terminal its modes back
    waitpid(con.pid, NULL, 0);
    forget();
}
