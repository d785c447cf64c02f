// SPDX-License-Identifier: GPL-3.0-or-later
// How a move ended.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#include "drover/text.h"

static void add_done(struct tui_doc *d, const struct tui_progress *p, const json_t *r)
{
    tui_add(d, TUI_GOOD, 0,
            p->storage ? "OK The disks of %s have moved; the VM ran on." : "OK %s runs on %s.",
            p->vm, tui_short(p->to).s);
    tui_add(d, TUI_PLAIN, 0, " ");
    if (!p->storage)
        tui_add(d, TUI_PLAIN, 0, "Paused     %s (predicted %s)",
                drv_fmt_ms((double)tui_number(r, "blackout_ms")).s,
                drv_fmt_ms((double)tui_number(r, "predicted_blackout_ms")).s);
    else if (tui_number(r, "blackout_ms"))
        tui_add(d, TUI_PLAIN, 0, "Paused     %s",
                drv_fmt_ms((double)tui_number(r, "blackout_ms")).s);
    tui_add(d, TUI_PLAIN, 0, "Took       %s", drv_fmt_ms((double)tui_number(r, "total_ms")).s);
    if (p->storage) {
        tui_add(d, TUI_PLAIN, 0, "Carried    %s", drv_fmt_bytes(tui_number(r, "disk_bytes")).s);
        return;
    }
    tui_add(d, TUI_PLAIN, 0, "Carried    memory %s in %lld passes, disks %s",
            drv_fmt_bytes(tui_number(r, "memory_bytes")).s, (long long)tui_number(r, "passes"),
            drv_fmt_bytes(tui_number(r, "disk_bytes")).s);
    tui_add(d, TUI_PLAIN, 0, "Wire       %s, %s", drv_fmt_bytes(tui_number(r, "wire_bytes")).s,
            json_is_true(json_object_get(r, "encrypted")) ? "encrypted" : "not encrypted");
}

static void add_error(struct tui_doc *d, const json_t *e)
{
    if (!json_is_object(e))
        return;
    tui_add_wrapped(d, TUI_BAD, 0, "%s%s%s%s", drv_json_text(e, "msg"),
                    *drv_json_text(e, "id") ? " [" : "", drv_json_text(e, "id"),
                    *drv_json_text(e, "id") ? "]" : "");
    if (*drv_json_text(e, "phase"))
        tui_add(d, TUI_PLAIN, 0, "It was in phase %s.", drv_json_text(e, "phase"));
    if (*drv_json_text(e, "hint"))
        tui_add_wrapped(d, TUI_PLAIN, 0, "What to do: %s", drv_json_text(e, "hint"));
}

static void build(struct tui *t, struct tui_doc *d)
{
    const struct tui_progress *p = &t->progress;
    const json_t *r = p->result;
    const char *state = drv_json_text(r, "state");
    tui_move_title(p, d->title, sizeof d->title);
    snprintf(d->right, sizeof d->right, "%s", state);
    if (!strcmp(state, "done"))
        add_done(d, p, r);
    else if (!strcmp(state, "attention"))
        tui_add(d, TUI_BAD, 0, "XX The move of %s needs attention.", p->vm);
    else if (!strcmp(state, "cancelled")) {
        tui_add(d, TUI_GOOD, 0, "OK Cancelled. %s runs on %s, as before.", p->vm,
                tui_short(p->from).s);
        tui_add(d, TUI_PLAIN, 0, "   What was copied is deleted.");
    } else {
        tui_add(d, TUI_BAD, 0, "XX The move failed. %s stays on %s, as before.", p->vm,
                tui_short(p->from).s);
    }
    tui_add(d, TUI_PLAIN, 0, " ");
    if (strcmp(state, "cancelled") != 0)
        add_error(d, json_object_get(r, "error"));
    tui_add(d, TUI_DIM, 0, "Move %s", p->move);
    snprintf(d->stamp, sizeof d->stamp, "result %s %s", p->move, state);
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    (void)id;
    struct tui_progress *p = &t->progress;
    if (cmd != TUI_ENTER && cmd != TUI_BACK)
        return false;
    bool done = !strcmp(drv_json_text(p->result, "state"), "done");
    t->panels[0].focus = tui_id(done ? p->to : p->from, p->vm);
    if (!strcmp(t->plan.vm, p->vm))
        tui_plan_done(&t->plan); // the next one begins anew
    tui_progress_done(p);
    tui_close(t);
    if (tui_top(t)->kind == TUI_MOVE)
        tui_close(t);
    return true;
}

const struct tui_panel_def tui_panel_result = {
    "Result",
    "How the move ended. A move that failed or was cancelled leaves the VM running where it was. "
    "One that needs attention could not be undone, or ended, in full: the page says what is left "
    "and what to do.",
    build,
    act,
    NULL,
};
