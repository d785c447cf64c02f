// SPDX-License-Identifier: GPL-3.0-or-later
// A move as it goes.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#include "drover/text.h"

enum { COMPACT_ROWS = 8, WIDE = 76 };

// Names and order are docs/PHASES.md's; the one that pauses the guest stands out.
static const char *const phases[] = {"check",  "reserve", "prepare", "copy",  "memory",
                                     "switch", "take",    "verify",  "finish"};

// At the side where there is room, else as a line or two.
static void add_phases(struct tui_doc *d, const struct tui_progress *p)
{
    char line[256] = " ";
    bool side = tui_side_begin(d);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(phases); i++) {
        bool here = !strcmp(phases[i], p->phase), past = i + 1 < p->phase_no;
        const char *name = strcmp(phases[i], "switch") != 0 ? phases[i] : "SWITCH";
        const char *mark = here ? ">>" : past ? "OK" : "..";
        size_t at = strlen(line);
        if (p->storage && (i == 4 || i == 5))
            continue; // a storage move carries no memory
        bool no_return = i == 6;
        if (side) {
            if (no_return)
                tui_side_add(d, TUI_DIM, "-- no way back below");
            tui_side_add(d, here ? TUI_HEAD : past ? TUI_GOOD : TUI_DIM, "%s %s", mark, name);
            continue;
        }
        snprintf(line + at, sizeof line - at, "%s%s %s  ", no_return ? "| " : "", mark, name);
        if (tui_width(line) > 62 && i + 1 < DRV_ARRAY_LEN(phases)) {
            tui_add(d, TUI_HEAD, 0, "%s", line);
            snprintf(line, sizeof line, " ");
        }
    }
    if (!side && line[1])
        tui_add(d, TUI_HEAD, 0, "%s", line);
}

static void add_disks(struct tui_doc *d, const struct tui_progress *p, unsigned bar)
{
    for (unsigned i = 0; i < p->n_disks; i++) {
        char text[256];
        if (!p->disks[i].total)
            continue;
        tui_bar(text, sizeof text, bar, p->disks[i].permille, d->ascii);
        tui_add(d, TUI_PLAIN, 0, "  %-8s %s %3u%%  %s of %s  %s%s", p->disks[i].id, text,
                p->disks[i].permille / 10, drv_fmt_bytes(p->disks[i].done).s,
                drv_fmt_bytes(p->disks[i].total).s,
                p->disks[i].in_sync ? "in sync" : drv_fmt_bytes(p->disks[i].rate_bps).s,
                p->disks[i].in_sync ? "" : "/s");
    }
}

static void add_rates(struct tui_doc *d, const struct tui_progress *p)
{
    unsigned room = d->columns > 45 ? d->columns - 40 : 10,
             n = p->n_samples < room ? p->n_samples : room;
    const int64_t *rates = p->rates + p->n_samples - n, *dirty = p->dirty + p->n_samples - n;
    int64_t max = 1;
    char text[512];
    for (unsigned i = 0; i < n; i++) {
        max = rates[i] > max ? rates[i] : max;
        max = dirty[i] > max ? dirty[i] : max;
    }
    tui_spark(text, sizeof text, rates, n, max, d->ascii);
    tui_add(d, TUI_PLAIN, 0, "  %-15s %10s/s  %s", "link carries", drv_fmt_bytes(p->rate_bps).s,
            text);
    tui_spark(text, sizeof text, dirty, n, max, d->ascii);
    tui_add(d, TUI_PLAIN, 0, "  %-15s %10s/s  %s", "guest writes", drv_fmt_bytes(p->dirty_bps).s,
            text);
}

static void add_memory(struct tui_doc *d, const struct tui_progress *p, unsigned bar)
{
    char text[256];
    if (!p->pass || !p->total)
        return;
    tui_bar(text, sizeof text, bar, p->memory_permille, d->ascii);
    tui_add(d, TUI_PLAIN, 0, "  %-8s %s %3u%%  pass %lld: %s left of %s", "memory", text,
            p->memory_permille / 10, (long long)p->pass, drv_fmt_bytes(p->remaining).s,
            drv_fmt_bytes(p->total).s);
    add_rates(d, p);
    if (p->throttle)
        tui_add(d, TUI_WARN, 0, "  The guest is slowed down: %u %% of its processors' time.",
                p->throttle);
}

static void add_pause(struct tui_doc *d, const struct tui_progress *p)
{
    if (p->storage)
        return;
    bool over = p->expected_ms > p->max_blackout_ms;
    if (p->pass > 1 && p->expected_ms) // QEMU has measured nothing before
        tui_add_wrapped(d, over ? TUI_WARN : TUI_GOOD, 0, "%s Expected pause %s, limit %s%s",
                        over ? "!!" : "OK", drv_fmt_ms((double)p->expected_ms).s,
                        drv_fmt_ms((double)p->max_blackout_ms).s,
                        over && !p->stuck ? ": copying goes on until it fits" : "");
    else
        tui_add(d, TUI_DIM, 0, ".. Expected pause not yet known, limit %s",
                drv_fmt_ms((double)p->max_blackout_ms).s);
}

static uint32_t choice_id(const json_t *choice)
{
    return tui_id("choice", drv_json_text(choice, "name"));
}

// Why it does not end, and what the agent offers to do about it.
static void add_stuck(struct tui_doc *d, const struct tui_progress *p)
{
    const json_t *choice;
    if (!p->stuck)
        return;
    tui_add_wrapped(d, TUI_WARN, 0,
                    "!! Not converging: the guest writes %s/s, the link carries %s/s. %s runs on; "
                    "in %s the move is given up unless you choose:",
                    drv_fmt_bytes(p->dirty_bps).s, drv_fmt_bytes(p->rate_bps).s, p->vm,
                    drv_fmt_ms((double)(tui_number(p->stuck, "gives_up_ms") / 1000 * 1000)).s);
    bool wide = d->columns >= WIDE;
    for (size_t at = 0; (choice = tui_progress_choice(p, &at));) {
        tui_add(d, TUI_PLAIN, choice_id(choice), "   [ %-15s ] %s", drv_json_text(choice, "label"),
                wide ? drv_json_text(choice, "help") : "");
        if (!wide)
            tui_add_wrapped(d, TUI_DIM, 7, "%s", drv_json_text(choice, "help"));
    }
}

static void add_cancel(struct tui_doc *d, const struct tui_progress *p)
{
    switch (p->cancel) {
    case TUI_CANCEL_REQUESTED:
        tui_add(d, TUI_WARN, 0, "!! Cancel requested ...");
        break;
    case TUI_CANCEL_UNDER_WAY:
        tui_add(d, TUI_WARN, 0, "!! Cancelling: %s keeps running on %s.", p->vm,
                tui_short(p->from).s);
        break;
    case TUI_CANCEL_FAILED:
        tui_add_wrapped(d, TUI_BAD, 0, "XX Not cancelled: %s", p->err.msg);
        break;
    case TUI_CANCEL_NO:
        if (!p->phase[0])
            break;
        if (p->can_cancel)
            tui_add_wrapped(d, TUI_PLAIN, 3,
                            "c cancels until the point of no return, before take.");
        else
            tui_add(d, TUI_WARN, 0, "!! Past the point of no return: it can only go forward now.");
        break;
    }
}

static void head(struct tui_doc *d, const struct tui_progress *p)
{
    if (p->from[0])
        tui_move_title(p, d->title, sizeof d->title);
    else
        snprintf(d->title, sizeof d->title, "drover  Move %.8s", p->move);
    snprintf(d->right, sizeof d->right, "%u/%u %s  %.8s", p->phase_no, p->phases, p->phase,
             p->move);
    snprintf(d->cli, sizeof d->cli, "drover -H %s attach %.8s", tui_short(p->host).s, p->move);
    snprintf(d->stamp, sizeof d->stamp, "progress %s %d %d %d", p->phase, p->cancel, p->lost,
             p->stuck != NULL);
}

static void build(struct tui *t, struct tui_doc *d)
{
    const struct tui_progress *p = &t->progress;
    char eta[128];
    unsigned bar = d->columns >= 100 ? 30 : d->columns >= WIDE ? 18 : 6;
    head(d, p);
    tui_progress_eta(p, eta, sizeof eta);
    if (p->lost && p->err.code != DRV_EUNREACHABLE && p->err.code != DRV_ETIMEDOUT)
        tui_add_wrapped(d, TUI_BAD, 0, "XX %s does not tell, trying again: %s%s%s",
                        tui_short(p->host).s, p->err.msg, p->err.hint[0] ? ". What to do: " : "",
                        p->err.hint);
    else if (p->lost)
        tui_add_wrapped(d, TUI_WARN, 0, "!! No connection to %s, trying again%s. %s",
                        tui_short(p->host).s, p->phase[0] ? "; the move goes on" : "", p->err.msg);
    if (!p->phase[0]) {
        tui_add(d, TUI_DIM, 0, ".. waiting for the first word about the move ...");
        return;
    }
    bool compact = d->rows < COMPACT_ROWS;
    if (compact)
        tui_add(d, TUI_HEAD, 0, ">> %s, %s", p->phase, drv_fmt_ms((double)p->elapsed_ms).s);
    else
        add_phases(d, p);
    if (compact)
        add_stuck(d, p);
    else if (!d->n_side)
        tui_add(d, TUI_PLAIN, 0, " ");
    add_disks(d, p, bar);
    add_memory(d, p, bar);
    if (!compact)
        tui_add(d, TUI_PLAIN, 0, " ");
    add_pause(d, p);
    if (!compact)
        add_stuck(d, p);
    tui_add(d, TUI_PLAIN, 0, "   Time left: %s.  So far: %s.", eta,
            drv_fmt_ms((double)(p->elapsed_ms / 1000 * 1000)).s);
    if (p->waiting[0])
        tui_add_wrapped(d, TUI_WARN, 0, "!! Waiting: %s", p->waiting);
    add_cancel(d, p);
    if (!compact && p->cancel == TUI_CANCEL_NO)
        tui_add(d, TUI_DIM, 0, "   q or Ctrl-C leaves: the move goes on without you.");
}

static bool ask_cancel(struct tui *t)
{
    struct tui_progress *p = &t->progress;
    if (p->phase[0] && !p->can_cancel) {
        tui_say(t, "Too late to cancel: the move can only go forward now.");
        return true;
    }
    const struct tui_host *h = tui_host_named(t, p->host);
    if (h && !tui_may(h, "operator")) {
        tui_say(t, "To cancel a move takes the role operator; you have the role %s.",
                drv_json_text(h->show, "role"));
        return true;
    }
    if (p->cancel == TUI_CANCEL_NO || p->cancel == TUI_CANCEL_FAILED)
        tui_ask_for(t, TUI_PROMPT_CANCEL, "",
                    "%s stays on %s, what was copied is deleted. Cancel? y/n:", p->vm,
                    tui_short(p->from).s);
    return true;
}

static bool take_choice(struct tui *t, uint32_t id)
{
    const struct tui_progress *p = &t->progress;
    const json_t *choice;
    size_t at = 0;
    while ((choice = tui_progress_choice(p, &at)) && choice_id(choice) != id)
        ;
    if (!choice)
        return false;
    if (!strcmp(drv_json_text(choice, "call"), "move.cancel"))
        return ask_cancel(t);
    json_t *args = json_deep_copy(json_object_get(choice, "args"));
    if (!json_is_object(args)) {
        json_decref(args);
        args = json_object();
    }
    json_object_set_new(args, "move", json_string(p->move));
    tui_say(t, "%s: asked %s.", drv_json_text(choice, "label"), tui_short(p->host).s);
    tui_ask_call(t, p->host, TUI_WANT_CHOICE, drv_json_text(choice, "call"), args);
    return true;
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    if (cmd == TUI_ENTER)
        return take_choice(t, id);
    return cmd == TUI_CANCEL_CMD && ask_cancel(t);
}

const struct tui_panel_def tui_panel_progress = {
    "Progress",
    "The agents do the move, not this program: leave whenever you like, by q, Ctrl-C or by closing "
    "the terminal, and find it again under Jobs. Bars show what has been reached at best and never "
    "run backwards. c asks before it cancels; after SWITCH a move can only go forward.",
    build,
    act,
    NULL,
};
