// SPDX-License-Identifier: GPL-3.0-or-later
// Drawing with ncurses: see screen.h. ncurses has one screen, so this file has one, too.
#include "screen.h"

#include <curses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "console.h"
#include "drover/wire.h"

enum { ESC_MS = 25, SMALL_ROWS = 14, PROGRESS_MS = 900 };

static struct {
    struct drv_loop *loop;
    struct tui *tui;
    struct tui_doc doc, foot; // foot: what is said and asked, above the keys
    struct event *input, *winch;
    bool on, ascii, colour;
    int first, rows;                    // of the body on the screen
    int64_t drawn_ms;                   // at a tick
    enum { HERE, AWAY, READ_IT } place; // a console has the terminal, or its last words stand there
} scr;

// ---- the end, come as it may ----

void tui_screen_end(void)
{
    if (!scr.on)
        return;
    scr.on = false;
    tui_console_end();
    if (scr.input)
        event_free(scr.input);
    if (scr.winch)
        event_free(scr.winch);
    tui_doc_done(&scr.doc);
    tui_doc_done(&scr.foot);
    endwin();
}

// ---- drawing ----

// State is a word or a symbol already: colour and weight only help the eye. No red against green.
static attr_t attribute(enum tui_style style)
{
    static const attr_t mono[TUI_STYLE_MAX_] = {
        [TUI_HEAD] = A_BOLD,
        [TUI_DIM] = A_DIM,
        [TUI_WARN] = A_BOLD,
        [TUI_BAD] = A_BOLD,
    };
    return mono[style] | (scr.colour ? COLOR_PAIR(style + 1) : 0);
}

static void begin_colour(void)
{
    const char *no = getenv("NO_COLOR");
    if ((no && *no) || !has_colors() || start_color() == ERR)
        return;
    use_default_colors();
    init_pair(TUI_PLAIN + 1, -1, -1);
    init_pair(TUI_HEAD + 1, -1, -1);
    init_pair(TUI_DIM + 1, -1, -1);
    init_pair(TUI_GOOD + 1, COLOR_CYAN, -1);
    init_pair(TUI_WARN + 1, COLOR_YELLOW, -1);
    init_pair(TUI_BAD + 1, COLOR_MAGENTA, -1);
    scr.colour = true;
}

// From a column to the end of the row, cut to the width; the rest of it in the same attribute.
static void put_at(int row, int column, attr_t attr, bool fill, const char *text)
{
    unsigned columns = (unsigned)COLS - (unsigned)column;
    if (row < 0 || row >= LINES || column >= COLS)
        return;
    attrset(attr);
    mvaddnstr(row, column, text, (int)tui_fit(text, columns));
    if (fill && tui_width(text) < columns)
        hline(' ' | attr, COLS);
    attrset(A_NORMAL);
}

static void put(int row, attr_t attr, bool fill, const char *text)
{
    put_at(row, 0, attr, fill, text);
}

static void put_title(void)
{
    const struct tui_doc *d = &scr.doc;
    char row[512];
    int left = (int)tui_width(d->title), right = (int)tui_width(d->right),
        gap = COLS - left - right - 2;
    if (gap < 1)
        snprintf(row, sizeof row, " %s", d->title);
    else
        snprintf(row, sizeof row, " %s%*s%s ", d->title, gap, "", d->right);
    put(0, A_REVERSE | A_BOLD, true, row);
}

// Returns the row of the focus, -1 when none is on the screen.
static int put_body(int first, int rows)
{
    const struct tui_panel *p = tui_top(scr.tui);
    int focused = -1;
    for (int i = 0; i < rows && p->top + (unsigned)i < scr.doc.n; i++) {
        const struct tui_line *l = &scr.doc.lines[p->top + (unsigned)i];
        bool focus = l->id && l->id == p->focus;
        put_at(first + i, (int)scr.doc.side_columns, attribute(l->style) | (focus ? A_REVERSE : 0),
               focus, l->text);
        focused = focus ? first + i : focused;
    }
    for (int i = 0; i < rows && (unsigned)i < scr.doc.n_side; i++) {
        attrset(attribute(scr.doc.side[i].style));
        mvaddnstr(first + i, 1, scr.doc.side[i].text,
                  (int)tui_fit(scr.doc.side[i].text, scr.doc.side_columns - 2));
        attrset(A_NORMAL);
    }
    return focused;
}

// What stands above the keys: what was said, broken to a few rows, and below it what is being
// asked; else in a row of its own that there is more, and a note.
static void build_foot(int rows)
{
    const struct tui *t = scr.tui;
    struct tui_doc *f = &scr.foot;
    tui_doc_done(f);
    f->columns = (unsigned)COLS;
    f->ascii = scr.ascii;
    if (t->message[0])
        tui_add_wrapped(f, TUI_HEAD, 1, "%s", t->message);
    if (t->prompt.kind != TUI_PROMPT_NONE) {
        bool beside = tui_width(t->prompt.text) + tui_width(t->prompt.buf) + 4 <= (unsigned)COLS;
        if (!beside)
            tui_add_wrapped(f, TUI_HEAD, 1, "%s", t->prompt.text);
        // The end is what is being typed.
        const char *from = t->prompt.buf;
        while (!beside && tui_width(from) + 3 > (unsigned)COLS)
            from += tui_fit(from, 1) ? tui_fit(from, 1) : 1;
        tui_add(f, TUI_HEAD, 0, " %s%s%s", beside ? t->prompt.text : "", beside ? " " : "", from);
    }
    if (f->n > (unsigned)rows) { // the end of a text says what to do, and is what is being typed
        memmove(f->lines, f->lines + (f->n - (unsigned)rows), (unsigned)rows * sizeof f->lines[0]);
        f->n = (unsigned)rows;
    }
}

// Returns the column of the prompt's cursor in the last row, -1 without a prompt.
static int put_foot(int row, int body_rows)
{
    const struct tui_doc *f = &scr.foot;
    char text[600];
    unsigned shown = tui_top(scr.tui)->top + (unsigned)body_rows,
             below = scr.doc.n > shown ? scr.doc.n - shown : 0;
    for (unsigned i = 0; i < f->n; i++)
        put(row + (int)i, A_BOLD, false, f->lines[i].text);
    if (f->n)
        return scr.tui->prompt.kind != TUI_PROMPT_NONE ? (int)tui_width(f->lines[f->n - 1].text)
                                                       : -1;
    if (below)
        snprintf(text, sizeof text, " %u more line%s below  %s", below, below == 1 ? "" : "s",
                 scr.doc.note);
    else
        snprintf(text, sizeof text, " %s", scr.doc.note);
    static const char more[] = " ... (? has it all)";
    if (tui_width(text) > (unsigned)COLS && COLS > (int)sizeof more) {
        size_t cut = tui_fit(text, (unsigned)COLS - (unsigned)sizeof more);
        snprintf(text + cut, sizeof text - cut, "%s", more);
    }
    put(row, A_DIM, false, text);
    return -1;
}

void tui_screen_draw(void *unused)
{
    struct tui *t = scr.tui;
    char bar[512], cli[1100];
    (void)unused;
    if (!scr.on || scr.place != HERE)
        return;
    bool small = LINES < SMALL_ROWS;
    build_foot(LINES / 3 > 1 ? LINES / 3 : 1);
    int said = scr.foot.n ? (int)scr.foot.n : 1;
    int first = small ? 1 : 2, foot = said + (small ? 1 : 2), rows = LINES - first - foot;
    rows = rows > 0 ? rows : 0;
    scr.first = first;
    scr.rows = rows;
    tui_build(t, &scr.doc, (unsigned)COLS, (unsigned)rows, scr.ascii);
    if (t->redraw)
        clearok(stdscr, TRUE);
    t->redraw = false;
    erase();
    put_title();
    int focus = put_body(first, rows);
    int column = put_foot(LINES - foot, rows);
    if (!small && scr.doc.cli[0]) {
        snprintf(cli, sizeof cli, " CLI: %s", scr.doc.cli);
        put(LINES - 2, A_DIM, false, cli);
    }
    tui_key_bar(t, bar, sizeof bar, (unsigned)COLS);
    put(LINES - 1, A_REVERSE, true, bar);
    // Screen readers and braille lines follow the cursor.
    if (column >= 0)
        move(LINES - foot + said - 1, column);
    else
        move(focus >= 0 ? focus : first, focus >= 0 ? (int)scr.doc.side_columns : 0);
    refresh();
}

void tui_screen_tick(void *unused)
{
    const struct tui *t = scr.tui;
    if (tui_top(scr.tui)->kind == TUI_PROGRESS && t->now_ms - scr.drawn_ms < PROGRESS_MS)
        return;
    scr.drawn_ms = t->now_ms;
    tui_screen_draw(unused);
}

// ---- input ----

static int code_of(int c)
{
    static const struct {
        int curses, code;
    } map[] = {
        {KEY_UP, TUI_K_UP},       {KEY_DOWN, TUI_K_DOWN},     {KEY_LEFT, TUI_K_LEFT},
        {KEY_RIGHT, TUI_K_RIGHT}, {KEY_PPAGE, TUI_K_PAGE_UP}, {KEY_NPAGE, TUI_K_PAGE_DOWN},
        {KEY_HOME, TUI_K_HOME},   {KEY_END, TUI_K_END},       {KEY_F(1), TUI_K_F1},
        {KEY_F(5), TUI_K_F5},     {KEY_BTAB, TUI_K_BACKTAB},  {KEY_BACKSPACE, TUI_K_BACKSPACE},
        {KEY_ENTER, '\r'},
    };
    for (unsigned i = 0; i < DRV_ARRAY_LEN(map); i++)
        if (map[i].curses == c)
            return map[i].code;
    return c < 256 ? c : 0;
}

// All events are taken, so that getch() does not wait for another key after one that is not wanted;
// clicks are told apart here, as ncurses would wait for the second one.
static void begin_mouse(void)
{
    if (!tui_terminal_mouse() || !mousemask(ALL_MOUSE_EVENTS, NULL))
        return;
    mouseinterval(0);
    scr.tui->mouse = true;
}

static void take_mouse(void)
{
    MEVENT e;
    if (getmouse(&e) != OK || e.bstate & (BUTTON_SHIFT | BUTTON_CTRL | BUTTON_ALT))
        return; // with a key it is the terminal's
    bool body = e.y >= scr.first && e.y < scr.first + scr.rows && e.x >= (int)scr.doc.side_columns;
    int line = body ? e.y - scr.first + (int)tui_top(scr.tui)->top : -1;
    int64_t now = drv_now_ms();
    if (e.bstate & BUTTON4_PRESSED)
        tui_point(scr.tui, &scr.doc, TUI_WHEEL_UP, line, now);
    else if (e.bstate & BUTTON5_PRESSED)
        tui_point(scr.tui, &scr.doc, TUI_WHEEL_DOWN, line, now);
    else if (e.bstate & (BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON1_DOUBLE_CLICKED))
        tui_point(scr.tui, &scr.doc, TUI_CLICK, line, now);
    // Press and release that came at once may be one event.
    if (e.bstate & BUTTON1_DOUBLE_CLICKED)
        tui_point(scr.tui, &scr.doc, TUI_CLICK, line, now);
}

static void take_size(void)
{
    struct winsize w;
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_row && w.ws_col)
        resizeterm(w.ws_row, w.ws_col);
    scr.tui->redraw = true;
}

static void come_back(void)
{
    scr.place = HERE;
    flushinp();
    take_size();
    tui_screen_draw(NULL);
}

static void console_ended(bool ok)
{
    event_add(scr.input, NULL);
    if (ok) {
        come_back();
        return;
    }
    scr.place = READ_IT;
    printf("\nEnter goes back to the hosts. ");
    fflush(stdout);
}

static void open_console(void)
{
    struct tui *t = scr.tui;
    struct drv_err err = DRV_ERR_INIT;
    endwin();
    for (int i = 0; i < LINES; i++) // what an earlier one has left goes up
        printf("\n");
    printf("\033[H");
    event_del(scr.input);
    scr.place = AWAY;
    if (tui_console_begin(scr.loop, t->console.host, t->console.vm, console_ended, &err) < 0) {
        event_add(scr.input, NULL);
        tui_say_err(t, &err);
        come_back();
    }
    t->console.vm[0] = '\0';
}

// OSC 52: terminals that know it, also over ssh, take it into the clipboard of who sits there.
static void copy(void)
{
    DRV_AUTO_FREE char *text = drv_base64(scr.tui->copy, strlen(scr.tui->copy));
    printf("\033]52;c;%s\a", text);
    fflush(stdout);
    scr.tui->copy[0] = '\0';
}

static void suspend(void)
{
    endwin();
    raise(SIGTSTP);
    scr.tui->redraw = true;
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct tui *t = scr.tui;
    int c, waiting = 0;
    (void)what;
    (void)arg;
    if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting == 0) { // the terminal is gone
        t->quit = true;
        drv_loop_stop(scr.loop);
        return;
    }
    if (scr.place == READ_IT) { // a line, as the terminal is in its usual mode
        char line[256];
        ssize_t n = read(fd, line, sizeof line);
        (void)n;
        come_back();
        return;
    }
    while (!t->quit && scr.place == HERE && (c = getch()) != ERR) {
        if (c == ('Z' & 0x1f))
            suspend();
        else if (c == KEY_MOUSE)
            take_mouse();
        else if (code_of(c))
            tui_type(t, &scr.doc, code_of(c));
        // Later keys act on what this one has brought up.
        tui_screen_draw(NULL);
        if (t->console.vm[0])
            open_console();
        if (t->copy[0])
            copy();
    }
    if (t->quit)
        drv_loop_stop(scr.loop);
}

static void on_winch(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    (void)arg;
    if (scr.place != HERE)
        return; // it is looked at when we come back
    take_size();
    tui_screen_draw(NULL);
}

int tui_screen_begin(struct drv_loop *loop, struct tui *t, bool ascii, bool mouse,
                     struct drv_err *err)
{
    struct event_base *base = drv_loop_base(loop);
    scr.loop = loop;
    scr.tui = t;
    scr.ascii = ascii;
    if (!getenv("ESCDELAY"))
        set_escdelay(ESC_MS); // Esc acts at once
    if (!initscr())
        return drv_err(err, DRV_EIO, "the terminal cannot be used");
    scr.on = true;
    tui_restore_on_crash();
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    begin_colour();
    if (mouse)
        begin_mouse();
    scr.input = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, NULL);
    scr.winch = evsignal_new(base, SIGWINCH, on_winch, NULL);
    if (!scr.input || !scr.winch || event_add(scr.input, NULL) < 0 ||
        event_add(scr.winch, NULL) < 0) {
        tui_screen_end();
        return drv_err(err, DRV_EINTERNAL, "cannot watch the terminal");
    }
    tui_screen_draw(NULL);
    return 0;
}
