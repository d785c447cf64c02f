// SPDX-License-Identifier: GPL-3.0-or-later
// What a terminal can do, and how it is left when the program crashes: see screen.h. A file of its
// own, as term.h takes names like `columns` and `lines` for itself.
#include <curses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#undef lines
#undef columns
#include "screen.h"

// For the handler, in which ncurses must not be called.
static struct termios saved;
static char restore[128];

bool tui_screen_capable(char *ret_why, size_t size)
{
    const char *term = getenv("TERM");
    int rc;
    bool can = false;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        snprintf(ret_why, size, "this is no terminal");
    else if (!term || !*term || !strcmp(term, "dumb"))
        snprintf(ret_why, size, "TERM says that this terminal can only print");
    else if (setupterm(NULL, STDOUT_FILENO, &rc) != OK)
        snprintf(ret_why, size, "the terminal \"%s\" is not known here", term);
    else if (!cursor_address || !clear_screen)
        snprintf(ret_why, size, "the terminal \"%s\" cannot place its cursor", term);
    else
        can = true;
    tcgetattr(STDIN_FILENO, &saved); // before initscr() changes it
    if (cur_term)
        del_curterm(cur_term); // initscr() makes its own
    return can;
}

static void on_crash(int sig)
{
    ssize_t n = write(STDOUT_FILENO, restore, strlen(restore));
    (void)n;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    signal(sig, SIG_DFL);
    raise(sig);
}

bool tui_terminal_mouse(void)
{
    return key_mouse && *key_mouse;
}

// As ncurses does it: by the extended capability XM, else as xterm always could.
static const char *mouse_off(void)
{
    const char *xm = tigetstr("XM");
    if (!tui_terminal_mouse())
        return "";
    return xm && xm != (const char *)-1 ? tiparm(xm, 0) : "\033[?1000l";
}

void tui_restore_on_crash(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction act = {.sa_handler = on_crash};
    snprintf(restore, sizeof restore, "%s%s%s%s\r\n", mouse_off(),
             exit_attribute_mode ? exit_attribute_mode : "", cursor_normal ? cursor_normal : "",
             exit_ca_mode ? exit_ca_mode : "");
    for (unsigned i = 0; i < DRV_ARRAY_LEN(signals); i++)
        sigaction(signals[i], &act, NULL);
}
