// SPDX-License-Identifier: GPL-3.0-or-later
// Child processes: short helpers with captured output, line-speaking helpers, and detached
// processes that outlive us (QEMU, drover-store), found again by pid and start time. Blocking;
// worker threads.
#ifndef DROVER_PROC_H
#define DROVER_PROC_H

#include "drover/err.h"
#include "drover/util.h"
#include <sys/types.h>

// Children never inherit our environment: env is the whole of it ("KEY=value", NULL-terminated);
// NULL gives PATH alone. All descriptors but 0-2 are closed in the child.

// Path of a program that belongs to us: beside our own, one folder up in lib/ (the build folder),
// or in libexec, a path from our own folder. -1 DRV_ENOTFOUND.
int drv_program_find(const char *file, const char *libexec, char *ret, size_t size,
                     struct drv_err *err);

// Run argv to its end; at most max_output bytes of stdout+stderr are returned (NUL-terminated,
// caller frees; NULL allowed). -1: could not run, timed out (child killed), or a non-zero exit,
// whose last output line stands in err->msg.
int drv_proc_run(const char *const argv[], const char *const env[], int timeout_ms,
                 size_t max_output, char **ret_output, struct drv_err *err);

// The same, and watch (NULL = nobody) sees the output as it comes, in pieces without a NUL; an
// error has its message from the first max_output bytes.
typedef void drv_proc_watch_fn(const char *text, size_t len, void *arg);
int drv_proc_watch(const char *const argv[], const char *const env[], int timeout_ms,
                   size_t max_output, drv_proc_watch_fn *watch, void *arg, struct drv_err *err);

// A helper that speaks lines on stdin/stdout; stderr is inherited.
struct drv_helper {
    pid_t pid;
    int fd; // both directions (socketpair)
    char *buf;
    size_t len, cap;
};
int drv_helper_start(const char *const argv[], const char *const env[], struct drv_helper *ret,
                     struct drv_err *err);
// Send one line (without newline) and receive one (NUL-terminated, owned by h, valid until the next
// call; at most 1 MiB). A time-out or a broken pipe kills the helper: later calls fail.
char *drv_helper_ask(struct drv_helper *h, const char *line, int timeout_ms, struct drv_err *err);
void drv_helper_stop(struct drv_helper *h); // closes, waits 1 s, then kills; idempotent

struct drv_spawn {
    const char *const *argv;
    const char *const *env;
    const char *log_path; // stdout and stderr are appended here
    int stdin_fd;         // becomes its stdin; 0 = /dev/null
};
// Start a detached process (double fork, new session): it is nobody's child and survives us.
// Returns its pid, or -1.
pid_t drv_proc_spawn(const struct drv_spawn *s, struct drv_err *err);

// Start time of a process in clock ticks since boot (proc(5), stat field 22): with the pid it names
// a process for ever. 0 if there is none.
uint64_t drv_proc_start_time(pid_t pid);
bool drv_proc_alive(pid_t pid, uint64_t start_time); // zombies count as dead
// Send sig if it is still that process; wait until it is gone. 0, or -1 DRV_ETIMEDOUT.
int drv_proc_end(pid_t pid, uint64_t start_time, int sig, int timeout_ms, struct drv_err *err);

#endif
