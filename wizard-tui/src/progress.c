// SPDX-License-Identifier: GPL-3.0-or-later
// The move that is being watched: see model.h.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#include "drover/text.h"

enum { RATE_WINDOW_MS = 900, ETA_SAMPLES = 10 };

void tui_progress_done(struct tui_progress *p)
{
    json_decref(p->result);
    json_decref(p->stuck);
    json_decref(p->capabilities);
    *p = (struct tui_progress){0};
}

void tui_progress_begin(struct tui *t, const char *host, const char *move)
{
    struct tui_progress *p = &t->progress;
    t->port.unfollow(t->port.arg);
    tui_progress_done(p);
    DRV_COPY(p->host, host);
    DRV_COPY(p->move, move);
    t->port.follow(t->port.arg, tui_way(t, host), move);
    tui_open(t, TUI_PROGRESS);
}

void tui_move_title(const struct tui_progress *p, char *ret, size_t size)
{
    if (p->storage)
        snprintf(ret, size, "drover  Move the disks of %s on %s", p->vm, tui_short(p->from).s);
    else
        snprintf(ret, size, "drover  Move %s: %s -> %s", p->vm, tui_short(p->from).s,
                 tui_short(p->to).s);
}

static unsigned permille(int64_t done, int64_t total, unsigned least)
{
    unsigned n = total > 0 && done > 0 ? (unsigned)((double)done / (double)total * 1000) : 0;
    n = n < 1000 ? n : 1000;
    return n > least ? n : least;
}

static void take_disk(struct tui_progress *p, const json_t *disk)
{
    const char *id = drv_json_text(disk, "id");
    unsigned i = 0;
    while (i < p->n_disks && strcmp(p->disks[i].id, id) != 0)
        i++;
    if (i == TUI_DISKS_MAX)
        return;
    if (i == p->n_disks) {
        DRV_COPY(p->disks[i].id, id);
        p->disks[i].mark_ms = -1;
        p->n_disks++;
    }
    p->disks[i].done = tui_number(disk, "bytes_done");
    p->disks[i].total = tui_number(disk, "bytes_total");
    p->disks[i].in_sync = json_is_true(json_object_get(disk, "in_sync"));
    p->disks[i].permille = permille(p->disks[i].done, p->disks[i].total, p->disks[i].permille);
    int64_t took_ms = p->elapsed_ms - p->disks[i].mark_ms;
    if (p->disks[i].mark_ms >= 0 && took_ms < RATE_WINDOW_MS)
        return;
    if (p->disks[i].mark_ms >= 0 && p->disks[i].done >= p->disks[i].mark_done)
        p->disks[i].rate_bps = (p->disks[i].done - p->disks[i].mark_done) * 1000 / took_ms;
    p->disks[i].mark_done = p->disks[i].done;
    p->disks[i].mark_ms = p->elapsed_ms;
}

static void take_memory(struct tui_progress *p, const json_t *m)
{
    p->pass = tui_number(m, "pass");
    p->remaining = tui_number(m, "remaining_bytes");
    p->total = tui_number(m, "total_bytes");
    p->transferred = tui_number(m, "transferred_bytes");
    p->rate_bps = tui_number(m, "rate_bps");
    p->dirty_bps = tui_number(m, "dirty_rate_bps");
    p->throttle = (unsigned)tui_number(m, "throttle_percent");
    p->expected_ms = tui_number(m, "expected_blackout_ms");
    if (p->pass > 0)
        p->memory_permille = permille(p->total - p->remaining, p->total, p->memory_permille);
}

void tui_progress_event(struct tui_progress *p, const json_t *e)
{
    size_t i;
    json_t *disk;
    DRV_COPY(p->vm, drv_json_text(e, "vm"));
    DRV_COPY(p->from, drv_json_text(e, "from"));
    DRV_COPY(p->to, drv_json_text(e, "to"));
    DRV_COPY(p->kind, drv_json_text(e, "kind"));
    DRV_COPY(p->phase, drv_json_text(e, "phase"));
    DRV_COPY(p->waiting, drv_json_text(e, "waiting"));
    p->storage = !strcmp(p->kind, "storage");
    p->phase_no = (unsigned)tui_number(e, "phase_no");
    p->phases = (unsigned)tui_number(e, "phases");
    p->can_cancel = json_is_true(json_object_get(e, "can_cancel"));
    p->elapsed_ms = tui_number(e, "elapsed_ms");
    p->max_blackout_ms = tui_number(e, "max_blackout_ms");
    if (!strcmp(drv_json_text(e, "state"), "cancelling"))
        p->cancel = TUI_CANCEL_UNDER_WAY;
    json_array_foreach(json_object_get(e, "disks"), i, disk)
    {
        take_disk(p, disk);
    }
    take_memory(p, json_object_get(e, "memory"));
    json_decref(p->stuck);
    p->stuck = json_incref(json_object_get(e, "stuck"));
}

const json_t *tui_progress_choice(const struct tui_progress *p, size_t *io_at)
{
    const json_t *list = json_object_get(p->stuck, "choices"), *c;
    while ((c = json_array_get(list, (*io_at)++)))
        if (!strncmp(drv_json_text(c, "call"), "move.", 5) &&
            tui_listed(p->capabilities, drv_json_text(c, "name")))
            return c;
    return NULL;
}

// Bytes and the rates seen lately of what is being carried now.
static int64_t left_now(const struct tui_progress *p, int64_t *ret_least_bps, int64_t *ret_most_bps)
{
    int64_t left = 0, rate = 0;
    *ret_least_bps = *ret_most_bps = 0;
    if (!strcmp(p->phase, "copy")) {
        for (unsigned i = 0; i < p->n_disks; i++) {
            left += p->disks[i].total - p->disks[i].done;
            rate += p->disks[i].rate_bps;
        }
        *ret_least_bps = rate * 3 / 4;
        *ret_most_bps = rate * 5 / 4;
        return left;
    }
    for (unsigned i = p->n_samples > ETA_SAMPLES ? p->n_samples - ETA_SAMPLES : 0; i < p->n_samples;
         i++) {
        if (p->rates[i] > *ret_most_bps)
            *ret_most_bps = p->rates[i];
        int64_t net = p->rates[i] - p->dirty[i];
        if (net > 0 && (*ret_least_bps == 0 || net < *ret_least_bps))
            *ret_least_bps = net;
    }
    return p->remaining;
}

void tui_progress_eta(const struct tui_progress *p, char *ret, size_t size)
{
    int64_t least, most, left = left_now(p, &least, &most);
    bool carrying = !strcmp(p->phase, "copy") || !strcmp(p->phase, "memory");
    if (!carrying)
        snprintf(ret, size, "a moment");
    else if (p->stuck)
        snprintf(ret, size, "cannot be said: the rest does not get smaller");
    else if (left > 0 && least > 0 && most > 0)
        snprintf(ret, size, "this phase: %s to %s",
                 drv_fmt_ms((double)left * 1000 / (double)most).s,
                 drv_fmt_ms((double)left * 1000 / (double)least).s);
    else
        snprintf(ret, size, "measuring");
}

// What the hosts said about this move before it ended.
static void end_in_lists(struct tui *t, const json_t *result)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        size_t k;
        json_t *row;
        json_array_foreach(t->hosts[i].jobs, k, row)
        {
            if (!strcmp(drv_json_text(row, "move"), t->progress.move))
                json_object_set(row, "state", json_object_get(result, "state"));
        }
        t->hosts[i].due_ms = 0; // they have changed
    }
}

void tui_followed(struct tui *t, const json_t *message, const struct drv_err *err)
{
    struct tui_progress *p = &t->progress;
    if (!message) {
        p->lost = true;
        p->err = *err;
        p->sample_due_ms = t->now_ms + 2000;
        return;
    }
    p->lost = false;
    if (!strcmp(drv_json_text(message, "event"), "greeting")) {
        json_decref(p->capabilities);
        p->capabilities = json_incref(json_object_get(message, "capabilities"));
        return;
    }
    if (strcmp(drv_json_text(message, "event"), "result") != 0) {
        tui_progress_event(p, message);
        return;
    }
    json_decref(p->result);
    p->result = json_incref((json_t *)(uintptr_t)message);
    DRV_COPY(p->vm, drv_json_text(message, "vm"));
    DRV_COPY(p->from, drv_json_text(message, "from"));
    DRV_COPY(p->to, drv_json_text(message, "to"));
    end_in_lists(t, message);
    bool asking = t->prompt.kind == TUI_PROMPT_CANCEL;
    if (asking)
        t->prompt.kind = TUI_PROMPT_NONE;
    if (tui_top(t)->kind == TUI_PROGRESS) {
        tui_top(t)->kind = TUI_RESULT;
        t->message[0] = '\0'; // of what went on
        if (asking)
            tui_say(t, "Too late to cancel: the move has ended.");
    } else {
        tui_say(t, "The move of %s has ended: %s.", p->vm, drv_json_text(message, "state"));
    }
}
