// SPDX-License-Identifier: GPL-3.0-or-later
// Lines in, lines out: see plain.h.
#include "plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console.h"

enum {
    COLUMNS = 74, // and a number
    PROGRESS_MS = 10000
};

static struct {
    struct drv_loop *loop;
    struct tui *tui;
    struct tui_doc doc;
    struct event *input;
    bool ascii, on, asked, away; // away: a console has the terminal
    char stamp[128];
    char message[TUI_MESSAGE_MAX];
    int64_t shown_ms;
    char in[512]; // a line that is not complete yet
    size_t in_len;
} pl;

static void print_keys(void)
{
    char bar[400];
    struct tui_doc lines = {.columns = COLUMNS, .ascii = pl.ascii};
    tui_plain_bar(pl.tui, bar, sizeof bar);
    tui_add_wrapped(&lines, TUI_PLAIN, 0, "%s", bar);
    for (unsigned i = 0; i < lines.n; i++)
        printf("%s\n", lines.lines[i].text);
    tui_doc_done(&lines);
}

static void print_doc(void)
{
    unsigned number = 0;
    printf("\n== %s   %s\n", pl.doc.title, pl.doc.right);
    for (unsigned i = 0; i < pl.doc.n; i++) {
        const struct tui_line *l = &pl.doc.lines[i];
        if (l->id)
            printf("%3u) %s\n", ++number, l->text);
        else
            printf("     %s\n", l->text);
    }
    if (pl.doc.cli[0])
        printf("CLI: %s\n", pl.doc.cli);
    print_keys();
}

static void print_prompt(void)
{
    const struct tui_prompt *q = &pl.tui->prompt;
    if (q->kind != TUI_PROMPT_NONE && !pl.asked)
        printf("%s%s%s%s ", q->text, q->buf[0] ? " [" : "", q->buf, q->buf[0] ? "]" : "");
    else if (q->kind == TUI_PROMPT_NONE && !pl.asked)
        printf("> ");
    pl.asked = true;
}

void tui_plain_show(void *unused)
{
    struct tui *t = pl.tui;
    char stamp[128];
    (void)unused;
    if (!pl.on || pl.away)
        return;
    tui_build(t, &pl.doc, COLUMNS, 0, pl.ascii);
    snprintf(stamp, sizeof stamp, "%d %s", tui_top(t)->kind, pl.doc.stamp);
    bool due = tui_top(t)->kind == TUI_PROGRESS && t->now_ms - pl.shown_ms >= PROGRESS_MS;
    if (strcmp(stamp, pl.stamp) != 0 || due) {
        DRV_COPY(pl.stamp, stamp);
        pl.shown_ms = t->now_ms;
        print_doc();
        pl.asked = false;
    }
    if (t->message[0] && strcmp(t->message, pl.message) != 0) {
        printf("%s\n", t->message);
        pl.asked = false;
    }
    DRV_COPY(pl.message, t->message);
    print_prompt();
    fflush(stdout);
}

static uint32_t numbered(unsigned wanted)
{
    for (unsigned i = 0; i < pl.doc.n; i++)
        if (pl.doc.lines[i].id && --wanted == 0)
            return pl.doc.lines[i].id;
    return 0;
}

// A number takes that line: opens it in a list, chooses it on a page.
static void take_number(struct tui *t, unsigned n)
{
    uint32_t id = n ? numbered(n) : 0;
    if (!id) {
        printf("There is no line %u.\n", n);
        return;
    }
    tui_top(t)->focus = id;
    tui_do(t, &pl.doc, tui_top(t)->kind == TUI_MOVE ? TUI_CHOOSE : TUI_ENTER);
}

// A letter with a number, "d 2": what the letter does, of that line.
static void take_letter(struct tui *t, char letter, const char *rest)
{
    char *end;
    unsigned long n = strtoul(rest, &end, 10);
    uint32_t id = n && n < 100000 ? numbered((unsigned)n) : 0;
    if (*rest && (*end || !id)) {
        printf("A number, or one of the letters, such as d, or d 2 for line 2.\n");
        return;
    }
    if (id)
        tui_top(t)->focus = id;
    tui_type(t, &pl.doc, letter);
}

static void take_line(struct tui *t, char *line)
{
    char *end;
    pl.asked = false;
    pl.message[0] = '\0';
    if (t->prompt.kind != TUI_PROMPT_NONE) {
        if (*line)
            DRV_COPY(t->prompt.buf, line);
        tui_prompt_take(t);
        pl.stamp[0] = '\0';
        return;
    }
    unsigned long n = strtoul(line, &end, 10);
    pl.stamp[0] = '\0'; // what was done is shown, and an empty line shows it again
    if (*line >= '0' && *line <= '9' && !*end)
        take_number(t, n < 100000 ? (unsigned)n : 0);
    else if (*line)
        take_letter(t, *line, line + 1);
}

static void console_ended(bool ok)
{
    (void)ok;
    pl.away = false;
    pl.stamp[0] = '\0';
    event_add(pl.input, NULL);
    tui_plain_show(NULL);
}

static void open_console(struct tui *t)
{
    struct drv_err err = DRV_ERR_INIT;
    event_del(pl.input);
    pl.away = true;
    if (tui_console_begin(pl.loop, t->console.host, t->console.vm, console_ended, &err) < 0) {
        tui_say_err(t, &err);
        console_ended(false);
    }
    t->console.vm[0] = '\0';
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct tui *t = pl.tui;
    (void)fd;
    (void)what;
    (void)arg;
    ssize_t n = read(STDIN_FILENO, pl.in + pl.in_len, sizeof pl.in - 1 - pl.in_len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { // nobody is there any more; a move goes on
        t->quit = true;
    } else {
        pl.in_len += (size_t)n;
        for (char *nl; !t->quit && !pl.away && (nl = memchr(pl.in, '\n', pl.in_len));) {
            size_t len = (size_t)(nl - pl.in);
            *nl = '\0';
            pl.in[len - (len > 0 && nl[-1] == '\r')] = '\0';
            take_line(t, pl.in);
            if (t->console.vm[0])
                open_console(t);
            pl.in_len -= len + 1;
            memmove(pl.in, nl + 1, pl.in_len);
            if (!t->quit)
                tui_plain_show(NULL);
        }
        if (pl.in_len == sizeof pl.in - 1)
            pl.in_len = 0; // no answer is that long
    }
    if (t->quit)
        drv_loop_stop(pl.loop);
}

// Files and /dev/null can be read at any time, which epoll has no word for: they are looked at now
// and then.
static int watch_input(void)
{
    static const struct timeval soon = {.tv_usec = 50000};
    struct stat st;
    bool polled = fstat(STDIN_FILENO, &st) == 0 &&
                  (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDIN_FILENO));
    pl.input = event_new(drv_loop_base(pl.loop), polled ? STDIN_FILENO : -1,
                         (polled ? EV_READ : 0) | EV_PERSIST, on_input, NULL);
    return pl.input ? event_add(pl.input, polled ? NULL : &soon) : -1;
}

int tui_plain_begin(struct drv_loop *loop, struct tui *t, bool ascii, struct drv_err *err)
{
    memset(&pl, 0, sizeof pl);
    pl.loop = loop;
    pl.tui = t;
    pl.ascii = ascii;
    pl.on = true;
    if (watch_input() < 0)
        return drv_err(err, DRV_EINTERNAL, "cannot watch the input");
    tui_plain_show(NULL);
    return 0;
}

void tui_plain_end(void)
{
    if (!pl.on)
        return;
    pl.on = false;
    tui_console_end();
    if (pl.input)
        event_free(pl.input);
    tui_doc_done(&pl.doc);
    putchar('\n');
}
