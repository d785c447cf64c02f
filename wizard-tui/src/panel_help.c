// SPDX-License-Identifier: GPL-3.0-or-later
// Help for the panel below: its own words, then its keys from the table.
#include "tui.h"

#include <stdio.h>

// Without a screen there are letters, and numbers for what a key does to a line.
static void add_key(struct tui_doc *d, const struct tui_key *k)
{
    char letter[2] = {tui_key_letter(k), '\0'};
    bool screen = d->rows > 0, number = k->cmd == TUI_ENTER || k->cmd == TUI_CHOOSE;
    const char *key = screen ? k->key : *letter ? letter : "NUMBER";
    if (screen || (k->label && (*letter || number)))
        tui_add_item(d, TUI_PLAIN, 0, 14, "  %-10s  %s", key, k->help);
}

static void build(struct tui *t, struct tui_doc *d)
{
    enum tui_panel_kind below = t->depth > 1 ? t->panels[t->depth - 2].kind : TUI_HOSTS;
    const struct tui_panel_def *def = tui_panel_def(below);
    snprintf(d->title, sizeof d->title, "drover  Help: %s", def->name);
    char buf[1024];
    const char *field = NULL;
    if (def->explain && t->depth > 1)
        field = def->explain(t, t->panels[t->depth - 2].focus, buf, sizeof buf);
    if (field) {
        tui_add_wrapped(d, TUI_HEAD, 0, "%s", field);
        tui_add(d, TUI_PLAIN, 0, " ");
    }
    tui_add_wrapped(d, TUI_PLAIN, 0, "%s", def->tip);
    tui_add(d, TUI_PLAIN, 0, " ");
    for (unsigned i = 0; i < tui_keys_count; i++)
        if (tui_keys[i].panels & (1u << below))
            add_key(d, &tui_keys[i]);
    if (t->mouse)
        tui_add_wrapped(d, TUI_PLAIN, 2,
                        "The mouse: a click goes to a line, a double click is Enter, the wheel "
                        "scrolls. To select text hold Shift, or begin with --no-mouse.");
    tui_add(d, TUI_PLAIN, 0, " ");
    tui_add_wrapped(d, TUI_DIM, 0,
                    "OK good   !! warning   XX error   .. not yet   |> runs   -- does not. "
                    "F1 is ?, F5 is r. drover-wizard(1) has more.");
    snprintf(d->stamp, sizeof d->stamp, "help");
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    (void)id;
    if (cmd == TUI_ENTER)
        tui_close(t);
    return cmd == TUI_ENTER;
}

const struct tui_panel_def tui_panel_help = {"Help", "", build, act, NULL};
