// SPDX-License-Identifier: GPL-3.0-or-later
// Moves in progress and past: watch, cancel.
#include "tui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JOBS_MAX = 1000 }; // an agent tells of its last 100

// Both hosts know a move; it is listed once, as its source tells it.
static bool is_mine(const struct tui_host *h, const json_t *job)
{
    return !strcmp(drv_json_text(job, "from"), h->fqdn);
}

static enum tui_style style_of(const char *state)
{
    if (!strcmp(state, "done"))
        return TUI_GOOD;
    if (!strcmp(state, "failed") || !strcmp(state, "attention"))
        return TUI_BAD;
    return strcmp(state, "cancelled") != 0 ? TUI_DIM : TUI_PLAIN; // as somebody wished
}

static void add_job(struct tui_doc *d, const json_t *job)
{
    const char *state = drv_json_text(job, "state");
    time_t at = (time_t)(tui_number(job, "started") / 1000);
    struct tm tm;
    char when[32];
    strftime(when, sizeof when, "%m-%d %H:%M", localtime_r(&at, &tm));
    tui_add(d, style_of(state) == TUI_DIM ? TUI_HEAD : style_of(state),
            tui_id("job", drv_json_text(job, "move")), "%s %-10s %-16s %s -> %s  %-8s  %s  %.8s",
            tui_mark(style_of(state)), state, drv_json_text(job, "vm"),
            tui_short(drv_json_text(job, "from")).s, tui_short(drv_json_text(job, "to")).s,
            tui_move_active(job) ? drv_json_text(job, "phase") : "", when,
            drv_json_text(job, "move"));
}

// In progress first, then the latest.
static int by_time(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    int64_t newer = tui_number(*y, "started") - tui_number(*x, "started");
    if (tui_move_active(*x) != tui_move_active(*y))
        return tui_move_active(*x) ? -1 : 1;
    return (newer > 0) - (newer < 0);
}

static void add_jobs(const struct tui *t, struct tui_doc *d)
{
    const json_t *list[JOBS_MAX] = {NULL};
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_hosts; i++) {
        size_t k;
        json_t *job;
        json_array_foreach(t->hosts[i].jobs, k, job)
        {
            if (is_mine(&t->hosts[i], job) && n < JOBS_MAX)
                list[n++] = job;
        }
    }
    qsort(list, n, sizeof list[0], by_time);
    for (unsigned i = 0; i < n; i++)
        add_job(d, list[i]);
}

static void build(struct tui *t, struct tui_doc *d)
{
    snprintf(d->title, sizeof d->title, "drover  Moves");
    add_jobs(t, d);
    if (!d->n && !tui_add_silence(t, d))
        tui_add(d, TUI_DIM, 0, "No moves yet. Esc, then Enter on a VM plans one.");
    snprintf(d->cli, sizeof d->cli, "drover jobs");
    snprintf(d->stamp, sizeof d->stamp, "jobs %u", d->n);
}

static const json_t *at_line(const struct tui *t, uint32_t id)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        size_t k;
        json_t *job;
        json_array_foreach(t->hosts[i].jobs, k, job)
        {
            if (is_mine(&t->hosts[i], job) && tui_id("job", drv_json_text(job, "move")) == id)
                return job;
        }
    }
    return NULL;
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    const json_t *job = at_line(t, id);
    if (cmd == TUI_REFRESH)
        return tui_panel_hosts.act(t, cmd, 0);
    if ((cmd != TUI_ENTER && cmd != TUI_CANCEL_CMD) || !job)
        return false;
    if (cmd == TUI_CANCEL_CMD && !tui_move_active(job)) {
        tui_say(t, "This move has ended.");
        return true;
    }
    tui_progress_begin(t, drv_json_text(job, "from"), drv_json_text(job, "move"));
    if (cmd == TUI_CANCEL_CMD)
        tui_panel_progress.act(t, cmd, 0);
    return true;
}

const struct tui_panel_def tui_panel_jobs = {
    "Moves",
    "Enter shows a move: one in progress is watched, of a past one the result is shown. c cancels.",
    build,
    act,
    NULL,
};
