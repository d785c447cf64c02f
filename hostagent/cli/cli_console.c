// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm console: a VM's serial line on this terminal.
//
// The terminal is raw meanwhile, so that each key goes to the guest. It gets its old settings back
// on every way out: the end of the program, and signals that end it.
#include "relay.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { LEAVE_KEY = 0x1d }; // Ctrl-]

// ---- the terminal ----

static struct termios before;
static volatile sig_atomic_t is_raw;

static void restore(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    is_raw = 0;
}

static void on_signal(int sig)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void make_raw(void)
{
    static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                  SIGPIPE, SIGABRT, SIGSEGV, SIGBUS};
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return; // no terminal
    atexit(restore);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(signals); i++)
        signal(signals[i], on_signal);
    raw = before;
    cfmakeraw(&raw);
    is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

// ---- the verb ----

static size_t until_leave_key(const char *bytes, size_t len, bool *ret_leave)
{
    const char *key = memchr(bytes, LEAVE_KEY, len);
    *ret_leave = key;
    return key ? (size_t)(key - bytes) : len;
}

// The exit status; -1: go on.
static int after(struct cli_relay *r, enum cli_relay_end end, struct drv_err *err)
{
    if (end == CLI_RELAY_LEFT) {
        cli_relay_say(r, "left the serial line of %s", r->name);
        return DRV_EXIT_OK;
    }
    if (end == CLI_RELAY_CLOSED) {
        cli_relay_say(r, "%s has stopped", r->name);
        return DRV_EXIT_OK;
    }
    if (end == CLI_RELAY_MOVED)
        cli_relay_say(r, "%s has moved to %s", r->name, r->c->host);
    else
        cli_relay_say(r, "%s; trying again (Ctrl-] leaves)", err->msg);
    if (cli_relay_again(r, err) == 0) {
        cli_relay_say(r, "connected again");
        return -1;
    }
    restore();
    return err->code == DRV_OK ? DRV_EXIT_OK : cli_error(r->c, err);
}

int cli_vm_console(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    struct cli_relay r = {.c = c,
                          .call = "vm.console",
                          .asked = a->pos[0],
                          .in_fd = STDIN_FILENO,
                          .out_fd = STDOUT_FILENO,
                          .newline = "\n",
                          .filter = until_leave_key};
    if (cli_relay_open(&r, &err) < 0)
        return cli_error(c, &err);
    cli_relay_say(&r, "the serial line of %s; Ctrl-] leaves, Enter may bring a prompt", r.name);
    make_raw();
    r.newline = is_raw ? "\r\n" : "\n";
    int status = -1;
    while (status < 0) {
        drv_err_clear(&err);
        enum cli_relay_end end = cli_relay_run(&r, &err);
        status = after(&r, end, &err);
    }
    restore();
    return status;
}
