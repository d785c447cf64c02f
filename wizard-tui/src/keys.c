// SPDX-License-Identifier: GPL-3.0-or-later
// All keys: dispatch, key bar and help come from this one table.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#define ON(panel) (1u << (panel))
#define ALL (~0u)
#define LISTS (ON(TUI_HOSTS) | ON(TUI_JOBS) | ON(TUI_SETTINGS) | ON(TUI_MOVE))
#define CTRL(c) ((c)&0x1f)

enum { GAP = 2 };

// In the order of the key bar: what does not fit is left out, but for help, back and quit.
const struct tui_key tui_keys[] = {
    {TUI_HELP_CMD,
     {TUI_K_F1, '?', 'h'},
     "?",
     "Help",
     ALL & ~ON(TUI_HELP),
     "help for what has the focus"},
    {TUI_ENTER,
     {'\r', '\n'},
     "Enter",
     "Open",
     ON(TUI_HOSTS) | ON(TUI_JOBS),
     "open the line with the focus"},
    {TUI_ENTER,
     {'\r', '\n'},
     "Enter",
     "Change",
     ON(TUI_SETTINGS),
     "change the setting with the focus"},
    {TUI_ENTER,
     {'\r', '\n'},
     "Enter",
     "Next",
     ON(TUI_MOVE),
     "choose the line with the focus and go on"},
    {TUI_ENTER,
     {'\r', '\n'},
     "Enter",
     "Do it",
     ON(TUI_PROGRESS) | ON(TUI_MOVE),
     "on the last page, and where there is a choice: do what the line says"},
    {TUI_CHOOSE,
     {' '},
     "Space",
     "Choose",
     ON(TUI_MOVE),
     "choose or change the line with the focus, and stay"},
    {TUI_MOVE_CMD, {'m'}, "m", "Move", ON(TUI_HOSTS), "move the VM with the focus, or choose one"},
    {TUI_JOBS_CMD, {'j'}, "j", "Jobs", ON(TUI_HOSTS), "moves in progress and past"},
    {TUI_SETTINGS_CMD,
     {'s'},
     "s",
     "Settings",
     ON(TUI_HOSTS),
     "the settings of the host with the focus"},
    {TUI_DOCTOR_CMD,
     {'d'},
     "d",
     "Doctor",
     ON(TUI_HOSTS),
     "what is wrong on the host with the focus"},
    {TUI_CONSOLE_CMD,
     {'o'},
     "o",
     "Console",
     ON(TUI_HOSTS),
     "the serial line of the VM with the focus; Ctrl-] comes back"},
    {TUI_CANCEL_CMD,
     {'c'},
     "c",
     "Cancel move",
     ON(TUI_PROGRESS) | ON(TUI_JOBS),
     "cancel the move; asks first"},
    {TUI_REFRESH, {TUI_K_F5, 'r'}, "r", "Re-check", ON(TUI_MOVE) | ON(TUI_DOCTOR), "ask again now"},
    {TUI_REFRESH,
     {TUI_K_F5, 'r'},
     "r",
     NULL,
     ON(TUI_HOSTS) | ON(TUI_JOBS) | ON(TUI_SETTINGS),
     "ask again now"},
    {TUI_NEXT, {'n'}, "n", NULL, ON(TUI_MOVE), "next page, what is chosen stays"},
    {TUI_BACK,
     {27, 'b'},
     "Esc",
     "Back",
     ON(TUI_MOVE) | ON(TUI_JOBS) | ON(TUI_SETTINGS) | ON(TUI_DOCTOR) | ON(TUI_HELP) |
         ON(TUI_RESULT),
     "back; all that was chosen stays"},
    {TUI_BACK, {27}, "Esc", NULL, ON(TUI_HOSTS), "all lines again, after a filter"},
    {TUI_ENTER, {'\r', '\n'}, "Enter", "Close", ON(TUI_RESULT) | ON(TUI_HELP), "close this"},
    {TUI_BACK, {27, 'b'}, "Esc", "Hosts", ON(TUI_PROGRESS), "back to the hosts: the move goes on"},
    {TUI_QUIT,
     {'q', CTRL('c')},
     "q",
     "Detach",
     ON(TUI_PROGRESS),
     "quit: the move goes on (also Ctrl-C)"},
    {TUI_QUIT, {'q', CTRL('c')}, "q", "Quit", ALL & ~ON(TUI_PROGRESS), "quit"},
    {TUI_FILTER, {'/'}, "/", "Filter", LISTS, "show the lines with this text alone"},
    {TUI_UP_CMD, {TUI_K_UP, 'k', TUI_K_BACKTAB}, "Up", NULL, ALL, "previous line (also Shift-Tab)"},
    {TUI_DOWN_CMD, {TUI_K_DOWN, '\t'}, "Down", NULL, ALL, "next line (also Tab)"},
    {TUI_PAGE_UP, {TUI_K_PAGE_UP}, "PgUp", NULL, ALL, "a screen up"},
    {TUI_PAGE_DOWN, {TUI_K_PAGE_DOWN}, "PgDn", NULL, ALL, "a screen down"},
    {TUI_FIRST, {TUI_K_HOME, 'g'}, "Home", NULL, ALL, "first line (also g)"},
    {TUI_LAST, {TUI_K_END, 'G'}, "End", NULL, ALL, "last line (also G)"},
    {TUI_CHOOSE,
     {TUI_K_LEFT, TUI_K_RIGHT},
     "Left/Right",
     NULL,
     ON(TUI_MOVE),
     "change the line with the focus"},
    {TUI_REDRAW, {CTRL('l')}, "Ctrl-L", NULL, ALL, "draw the screen anew"},
};
const unsigned tui_keys_count = DRV_ARRAY_LEN(tui_keys);

enum tui_cmd tui_key_cmd(enum tui_panel_kind panel, int code)
{
    for (unsigned i = 0; i < tui_keys_count; i++)
        if (tui_keys[i].panels & ON(panel))
            for (unsigned k = 0; k < DRV_ARRAY_LEN(tui_keys[i].codes); k++)
                if (code && tui_keys[i].codes[k] == code)
                    return tui_keys[i].cmd;
    return TUI_NOTHING;
}

static bool jobs_active(const struct tui *t)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        size_t k;
        json_t *job;
        json_array_foreach(t->hosts[i].jobs, k, job)
        {
            if (tui_move_active(job))
                return true;
        }
    }
    return false;
}

// A key that would do nothing now is not offered.
static bool offered(const struct tui *t, const struct tui_key *k)
{
    enum tui_panel_kind panel = t->panels[t->depth - 1].kind;
    if (!k->label || !(k->panels & ON(panel)))
        return false;
    if (panel == TUI_PROGRESS && k->cmd == TUI_CANCEL_CMD)
        return t->progress.can_cancel && t->progress.cancel == TUI_CANCEL_NO;
    if (panel == TUI_JOBS && k->cmd == TUI_CANCEL_CMD)
        return jobs_active(t);
    if (panel == TUI_MOVE && t->plan.page == TUI_PAGE_CHECK && k->cmd == TUI_ENTER &&
        tui_plan_refused(&t->plan))
        return false;
    if (panel == TUI_MOVE && k->cmd == TUI_REFRESH)
        return t->plan.page == TUI_PAGE_CHECK;
    if (panel == TUI_MOVE && (k->cmd == TUI_CHOOSE || k->cmd == TUI_FILTER))
        return t->plan.page < TUI_PAGE_CHECK;
    if (panel == TUI_MOVE && k->cmd == TUI_ENTER)
        return (t->plan.page == TUI_PAGE_SUMMARY) == !strcmp(k->label, "Do it");
    if (panel == TUI_SETTINGS && k->cmd == TUI_ENTER)
        return t->host && t->host->show && tui_may(t->host, "admin");
    if (panel == TUI_PROGRESS && k->cmd == TUI_ENTER)
        return t->progress.stuck != NULL;
    return true;
}

// Without these nobody finds out of a panel, so other keys make room for them.
static bool essential(const struct tui_key *k)
{
    return k->cmd == TUI_HELP_CMD || k->cmd == TUI_BACK || k->cmd == TUI_QUIT ||
           (k->cmd == TUI_CANCEL_CMD && k->panels & ON(TUI_PROGRESS));
}

static unsigned item_of(const struct tui_key *k, char *ret, size_t size)
{
    snprintf(ret, size, "%s %s", k->key, k->label);
    return tui_width(ret);
}

char tui_key_letter(const struct tui_key *k)
{
    if (k->cmd == TUI_ENTER && !strcmp(k->label, "Next"))
        return 'n';
    for (unsigned i = 0; i < DRV_ARRAY_LEN(k->codes); i++)
        if (k->codes[i] > ' ' && k->codes[i] < 127)
            return (char)k->codes[i];
    return '\0';
}

void tui_plain_bar(const struct tui *t, char *ret, size_t size)
{
    size_t at = (size_t)snprintf(ret, size, "Enter Again");
    for (unsigned i = 0; i < tui_keys_count && at < size; i++) {
        const struct tui_key *k = &tui_keys[i];
        if (!offered(t, k) || !strcmp(k->label, "Close"))
            continue;
        char letter = tui_key_letter(k);
        if (letter)
            at += (size_t)snprintf(ret + at, size - at, "  %c %s", letter, k->label);
        else if (k->cmd == TUI_ENTER || k->cmd == TUI_CHOOSE)
            at += (size_t)snprintf(ret + at, size - at, "  NUMBER %s", k->label);
    }
    if (at < size && t->panels[t->depth - 1].kind == TUI_HOSTS)
        snprintf(ret + at, size - at, "  (d 2 is d of line 2)");
}

void tui_key_bar(const struct tui *t, char *ret, size_t size, unsigned columns)
{
    char item[48];
    unsigned used = 0, reserved = 0;
    size_t at = 0;
    ret[0] = '\0';
    if (t->prompt.kind != TUI_PROMPT_NONE) { // keys are text now
        snprintf(ret, size, " Enter Answer  Esc Leave it  Ctrl-U Empty");
        return;
    }
    for (unsigned i = 0; i < tui_keys_count; i++)
        if (offered(t, &tui_keys[i]) && essential(&tui_keys[i]))
            reserved += item_of(&tui_keys[i], item, sizeof item) + GAP;
    for (unsigned i = 0; i < tui_keys_count; i++) {
        const struct tui_key *k = &tui_keys[i];
        if (!offered(t, k))
            continue;
        unsigned needs = item_of(k, item, sizeof item) + (used ? GAP : 1);
        reserved -= essential(k) ? needs + (used ? 0 : 1) : 0;
        if (used + needs + reserved > columns || at + needs >= size)
            continue; // a shorter one may still fit
        at += (size_t)snprintf(ret + at, size - at, "%s%s", used ? "  " : " ", item);
        used += needs;
    }
}
