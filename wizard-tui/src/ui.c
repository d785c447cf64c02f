// SPDX-License-Identifier: GPL-3.0-or-later
// From keys to changes: the stack of panels, the focus, the prompt. See tui.h.
#include "tui.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHEEL_LINES = 3, DOUBLE_CLICK_MS = 400 };

const struct tui_panel_def *tui_panel_def(enum tui_panel_kind kind)
{
    static const struct tui_panel_def *const defs[TUI_PANEL_MAX_] = {
        [TUI_HOSTS] = &tui_panel_hosts,       [TUI_MOVE] = &tui_panel_move,
        [TUI_PROGRESS] = &tui_panel_progress, [TUI_RESULT] = &tui_panel_result,
        [TUI_JOBS] = &tui_panel_jobs,         [TUI_SETTINGS] = &tui_panel_settings,
        [TUI_DOCTOR] = &tui_panel_doctor,     [TUI_HELP] = &tui_panel_help,
    };
    return defs[kind];
}

void tui_init(struct tui *t, const struct tui_port *port, const char *const *hosts, unsigned n)
{
    *t = (struct tui){.port = *port};
    for (unsigned i = 0; i < n && i < TUI_HOSTS_MAX; i++)
        DRV_COPY(t->hosts[t->n_hosts++].fqdn, hosts[i]);
    if (n == 0) {
        t->hosts[0].local = true;
        t->n_hosts = 1;
    }
    tui_open(t, TUI_HOSTS);
}

void tui_done(struct tui *t)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        struct tui_host *h = &t->hosts[i];
        json_decref(h->show);
        json_decref(h->vms);
        json_decref(h->stores);
        json_decref(h->jobs);
        json_decref(h->doctor);
        json_decref(h->help);
    }
    tui_plan_done(&t->plan);
    tui_progress_done(&t->progress);
}

struct tui_panel *tui_top(struct tui *t)
{
    return &t->panels[t->depth - 1];
}

void tui_open(struct tui *t, enum tui_panel_kind kind)
{
    for (unsigned i = 0; i < t->depth; i++)
        if (t->panels[i].kind == kind) { // go back to it: a stack of the same would lead nowhere
            t->depth = i + 1;
            return;
        }
    if (t->depth < TUI_DEPTH)
        t->panels[t->depth++] = (struct tui_panel){.kind = kind};
}

void tui_close(struct tui *t)
{
    if (t->depth > 1)
        t->depth--;
}

void tui_say(struct tui *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->message, sizeof t->message, fmt, ap);
    va_end(ap);
}

void tui_say_err(struct tui *t, const struct drv_err *err)
{
    tui_say(t, "%s%s%s%s", err->msg, err->hint[0] ? " (" : "", err->hint, err->hint[0] ? ")" : "");
}

void tui_ask_for(struct tui *t, enum tui_prompt_kind kind, const char *initial, const char *fmt,
                 ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->prompt.text, sizeof t->prompt.text, fmt, ap);
    va_end(ap);
    t->prompt.kind = kind;
    DRV_COPY(t->prompt.buf, initial);
}

static unsigned last_top(const struct tui_doc *d)
{
    return d->n > d->rows ? d->n - d->rows : 0;
}

static bool on_screen(const struct tui_panel *p, const struct tui_doc *d, int line)
{
    return line >= 0 &&
           (!d->rows || ((unsigned)line >= p->top && (unsigned)line < p->top + d->rows));
}

void tui_build(struct tui *t, struct tui_doc *d, unsigned columns, unsigned rows, bool ascii)
{
    struct tui_panel *p = tui_top(t);
    tui_doc_done(d);
    d->columns = columns;
    d->rows = rows;
    d->ascii = ascii;
    tui_panel_def(p->kind)->build(t, d);
    const char *filter = t->prompt.kind == TUI_PROMPT_FILTER ? t->prompt.buf : p->filter;
    tui_doc_filter(d, filter);
    if (*filter && tui_doc_find(d, 0) < 0)
        tui_add(d, TUI_DIM, 0, "No line has \"%s\". / and an empty text: all of them again.",
                filter);
    size_t end = strlen(d->title);
    if (*filter)
        snprintf(d->title + end, sizeof d->title - end, "  [only: %s]", filter);
    int at = tui_doc_find(d, p->focus ? p->focus : d->chosen);
    p->focus = at >= 0 ? d->lines[at].id : 0;
    if (on_screen(p, d, at))
        p->adrift = 0;
    bool follow = at >= 0 && p->focus != p->adrift;
    if (follow && (unsigned)at < p->top)
        p->top = (unsigned)at;
    if (follow && rows && (unsigned)at >= p->top + rows)
        p->top = (unsigned)at - rows + 1;
    p->top = p->top < last_top(d) ? p->top : last_top(d);
    tui_clean(d->title, ascii);
    tui_clean(d->right, ascii);
    tui_clean(d->cli, ascii);
    tui_clean(d->note, ascii);
    tui_clean(t->message, ascii);
}

// ---- the prompt ----

static void set_host(struct tui *t, const char *key, const char *value)
{
    json_t *v = json_string(value);
    if (!v) {
        tui_say(t, "That is not UTF-8 text.");
        return;
    }
    json_t *set = json_object();
    json_object_set_new(set, key, v);
    tui_ask(t, t->host->fqdn, TUI_WANT_SET, json_pack("{s:o}", "set", set));
}

static bool said_yes(const struct tui_prompt *q)
{
    return q->buf[0] == 'y' || q->buf[0] == 'Y';
}

static void cancel_move(struct tui *t)
{
    struct tui_progress *p = &t->progress;
    if (!said_yes(&t->prompt)) {
        tui_say(t, "Not cancelled.");
        return;
    }
    p->cancel = TUI_CANCEL_REQUESTED;
    tui_ask(t, p->host, TUI_WANT_CANCEL, json_pack("{s:s}", "move", p->move));
}

static void set_blackout(struct tui *t)
{
    char *end;
    long ms = strtol(t->prompt.buf, &end, 10);
    if (t->prompt.buf[0] && (*end || ms < 50 || ms > 600000)) {
        tui_say(t, "A number of milliseconds from 50 to 600000 is wanted.");
        t->prompt.kind = TUI_PROMPT_BLACKOUT; // what was typed is still there
        return;
    }
    t->plan.max_blackout_ms = ms;
    tui_plan_changed(&t->plan);
}

void tui_prompt_take(struct tui *t)
{
    struct tui_prompt *q = &t->prompt;
    enum tui_prompt_kind kind = q->kind;
    q->kind = TUI_PROMPT_NONE;
    switch (kind) {
    case TUI_PROMPT_FILTER:
        DRV_COPY(tui_top(t)->filter, q->buf);
        break;
    case TUI_PROMPT_SETTING:
        set_host(t, q->key, q->buf);
        break;
    case TUI_PROMPT_CANCEL:
        cancel_move(t);
        break;
    case TUI_PROMPT_BLACKOUT:
        set_blackout(t);
        break;
    case TUI_PROMPT_NETWORK:
        DRV_COPY(t->plan.nics[q->index].to, q->buf);
        tui_plan_changed(&t->plan);
        break;
    case TUI_PROMPT_QUIT:
        t->quit = said_yes(q);
        break;
    case TUI_PROMPT_NONE:
        break;
    }
}

static void type_at_prompt(struct tui *t, int code)
{
    struct tui_prompt *q = &t->prompt;
    size_t n = strlen(q->buf);
    if (code == 27 || code == 3) {
        q->kind = TUI_PROMPT_NONE;
    } else if (code == '\r' || code == '\n') {
        tui_prompt_take(t);
    } else if (code == TUI_K_BACKSPACE || code == 8 || code == 127) {
        while (n > 0 && ((unsigned char)q->buf[n - 1] & 0xc0) == 0x80)
            n--;
        q->buf[n ? n - 1 : 0] = '\0';
    } else if (code == 21) { // Ctrl-U
        q->buf[0] = '\0';
    } else if (code >= ' ' && code < 256 && n + 1 < sizeof q->buf) {
        q->buf[n] = (char)code; // one byte of UTF-8 after the other
        q->buf[n + 1] = '\0';
    }
}

// ---- commands ----

// The next line that can be focused after (before) this one; -1 = there is none.
static int next_item(const struct tui_doc *d, int line, int step)
{
    do
        line += step;
    while (line >= 0 && line < (int)d->n && !d->lines[line].id);
    return line < (int)d->n ? line : -1;
}

// So many lines down, less than none: up. The focus comes along, unless there is only text.
static void scroll(struct tui *t, const struct tui_doc *d, int lines)
{
    struct tui_panel *p = tui_top(t);
    int top = (int)p->top + lines, at = tui_doc_find(d, p->focus), step = lines > 0 ? 1 : -1;
    p->top = top < 0 ? 0 : (unsigned)top < last_top(d) ? (unsigned)top : last_top(d);
    if (at < 0 || on_screen(p, d, at))
        return;
    int edge = lines > 0 ? (int)p->top - 1 : (int)(p->top + d->rows),
        item = next_item(d, edge, step);
    if (on_screen(p, d, item))
        p->focus = d->lines[item].id;
    else
        p->adrift = p->focus;
}

// To the next item; over text that takes more than a screen, line by line.
static void step_focus(struct tui *t, const struct tui_doc *d, int step)
{
    struct tui_panel *p = tui_top(t);
    int item = next_item(d, tui_doc_find(d, p->focus), step);
    bool near = item >= 0 && (on_screen(p, d, item) || on_screen(p, d, item - step));
    if (near)
        p->focus = d->lines[item].id;
    else
        scroll(t, d, step);
}

// A screen on; at the end of the text to the last item.
static void turn_page(struct tui *t, const struct tui_doc *d, int lines)
{
    struct tui_panel *p = tui_top(t);
    unsigned before = p->top;
    scroll(t, d, lines);
    int item = next_item(d, lines > 0 ? (int)d->n : -1, lines > 0 ? -1 : 1);
    if (p->top == before && on_screen(p, d, item))
        p->focus = d->lines[item].id;
}

static void quit(struct tui *t)
{
    const struct tui_progress *p = &t->progress;
    t->detached = p->move[0] && !p->result;
    bool planned = tui_top(t)->kind == TUI_MOVE && t->plan.page > TUI_PAGE_WHAT;
    if (planned)
        tui_ask_for(t, TUI_PROMPT_QUIT, "", "What was chosen is forgotten. Really quit? y/n:");
    else
        t->quit = true;
}

// What every panel understands alike.
static void do_common(struct tui *t, const struct tui_doc *d, enum tui_cmd cmd)
{
    int page = (int)(d->rows > 2 ? d->rows - 2 : 1);
    switch ((int)cmd) {
    case TUI_UP_CMD:
        step_focus(t, d, -1);
        break;
    case TUI_DOWN_CMD:
        step_focus(t, d, 1);
        break;
    case TUI_PAGE_UP:
        turn_page(t, d, -page);
        break;
    case TUI_PAGE_DOWN:
        turn_page(t, d, page);
        break;
    case TUI_FIRST:
        scroll(t, d, -TUI_LINES_MAX);
        turn_page(t, d, -TUI_LINES_MAX);
        break;
    case TUI_LAST:
        scroll(t, d, TUI_LINES_MAX);
        turn_page(t, d, TUI_LINES_MAX);
        break;
    case TUI_BACK:
        if (tui_top(t)->filter[0])
            tui_top(t)->filter[0] = '\0';
        else
            tui_close(t);
        break;
    case TUI_HELP_CMD:
        tui_open(t, TUI_HELP);
        break;
    case TUI_FILTER:
        tui_ask_for(t, TUI_PROMPT_FILTER, tui_top(t)->filter, "Show only lines with:");
        break;
    case TUI_REDRAW:
        t->redraw = true;
        break;
    case TUI_QUIT:
        quit(t);
        break;
    default:
        break;
    }
}

void tui_do(struct tui *t, const struct tui_doc *d, enum tui_cmd cmd)
{
    t->message[0] = '\0';
    if (cmd != TUI_NOTHING && !tui_panel_def(tui_top(t)->kind)->act(t, cmd, tui_top(t)->focus))
        do_common(t, d, cmd);
}

void tui_type(struct tui *t, const struct tui_doc *d, int code)
{
    if (t->prompt.kind != TUI_PROMPT_NONE) {
        type_at_prompt(t, code);
        return;
    }
    enum tui_cmd cmd = tui_key_cmd(tui_top(t)->kind, code);
    if (cmd == TUI_NOTHING && code >= ' ' && code < 127)
        tui_say(t, "%c does nothing here; ? shows all keys.", code);
    else
        tui_do(t, d, cmd);
}

static void click(struct tui *t, const struct tui_doc *d, uint32_t id, int64_t now_ms)
{
    bool again = id == t->clicked.id && now_ms - t->clicked.ms <= DOUBLE_CLICK_MS;
    t->clicked.id = again ? 0 : id;
    t->clicked.ms = now_ms;
    tui_top(t)->focus = id;
    tui_do(t, d, again ? TUI_ENTER : TUI_NOTHING);
}

void tui_point(struct tui *t, const struct tui_doc *d, enum tui_pointer what, int line,
               int64_t now_ms)
{
    uint32_t id = tui_item_at(d, line);
    if (t->prompt.kind != TUI_PROMPT_NONE)
        return;
    if (what != TUI_CLICK)
        scroll(t, d, what == TUI_WHEEL_UP ? -WHEEL_LINES : WHEEL_LINES);
    else if (id)
        click(t, d, id, now_ms);
}

void tui_farewell(const struct tui *t, char *ret, size_t size)
{
    const struct tui_progress *p = &t->progress;
    ret[0] = '\0';
    if (t->keep[0])
        snprintf(ret, size, "The move as a command:\n  %s\n", t->keep);
    size_t at = strlen(ret);
    if (p->move[0] && !p->result)
        snprintf(ret + at, size - at,
                 "Detached: the move goes on.\n"
                 "  watch it:   drover-wizard, then j\n"
                 "  follow it:  drover -H %s attach %s\n"
                 "  cancel it:  drover -H %s cancel %s\n",
                 tui_short(p->host).s, p->move, tui_short(p->host).s, p->move);
}
