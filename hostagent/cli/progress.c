// SPDX-License-Identifier: GPL-3.0-or-later
// Rendering of progress events: see progress.h. Every line is built whole, cut to the screen and
// cleared of control characters before it is written.
#include "progress.h"

#include "cli.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { LINE_MAX_ = 256, BAR = 20, RATE_WINDOW_MS = 900, REDRAW_MS = 250 };

void progress_init(struct progress *p, enum progress_mode mode, FILE *out, unsigned columns)
{
    *p = (struct progress){.mode = mode, .out = out, .columns = columns};
}

// ---- reading events ----

static int64_t number(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);
    double n = json_number_value(v);
    return n > 0 && n < 9e18 ? (int64_t)n : 0;
}

static struct progress_disk *disk_of(struct progress *p, const char *id)
{
    for (unsigned i = 0; i < p->n_disks; i++)
        if (!strcmp(p->disks[i].id, id))
            return &p->disks[i];
    if (p->n_disks == DRV_ARRAY_LEN(p->disks))
        return NULL;
    struct progress_disk *d = &p->disks[p->n_disks++];
    *d = (struct progress_disk){0};
    DRV_COPY(d->id, id);
    return d;
}

static void take_disk(struct progress_disk *d, const json_t *event, int64_t now_ms)
{
    bool first = d->mark_ms == 0;
    d->done = number(event, "bytes_done");
    d->total = number(event, "bytes_total");
    unsigned permille = d->total > 0 ? (unsigned)((double)d->done / (double)d->total * 1000) : 0;
    if (permille > d->permille)
        d->permille = permille < 1000 ? permille : 1000;
    if (json_object_get(event, "rate_bps")) {
        d->rate_bps = number(event, "rate_bps");
    } else if (first || now_ms - d->mark_ms >= RATE_WINDOW_MS) {
        if (!first && d->done >= d->mark_done)
            d->rate_bps = (d->done - d->mark_done) * 1000 / (now_ms - d->mark_ms);
        d->mark_done = d->done;
        d->mark_ms = now_ms > 0 ? now_ms : 1;
    }
}

// ---- lines ----

struct line {
    char s[LINE_MAX_];
    size_t len;
};

static void add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->s + l->len, sizeof l->s - l->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        l->len += (size_t)n < sizeof l->s - l->len ? (size_t)n : sizeof l->s - l->len - 1;
}

static void put_line(struct progress *p, struct line *l)
{
    if (p->mode == PROGRESS_SCREEN) {
        if (p->columns > 1 && l->len > p->columns - 1)
            l->s[p->columns - 1] = '\0'; // a wrapped line could not be redrawn
        fputs("\033[K", p->out);
        p->drawn++;
    }
    drv_put(p->out, l->s);
    fputc('\n', p->out);
}

static int short_name(const char *host)
{
    return (int)strcspn(host, ".");
}

static void add_head(struct line *l, const json_t *e)
{
    const char *from = drv_json_text(e, "from"), *to = drv_json_text(e, "to"),
               *vm = drv_json_text(e, "vm");
    add(l, "%" PRId64 "/%" PRId64 " %-8s %s", number(e, "phase_no"), number(e, "phases"),
        drv_json_text(e, "phase"), vm);
    if (*from && *to && strcmp(from, to) != 0)
        add(l, ": %.*s -> %.*s", short_name(from), from, short_name(to), to);
    add(l, "  %s", drv_fmt_ms((double)number(e, "elapsed_ms")).s);
    if (!strcmp(drv_json_text(e, "state"), "cancelling"))
        add(l, "  cancelling");
    else if (json_is_false(json_object_get(e, "can_cancel")))
        add(l, "  (too late to cancel)");
}

static void add_disk(struct line *l, const struct progress_disk *d, bool bar, bool in_sync)
{
    add(l, "%s ", d->id);
    if (bar) {
        char filled[BAR + 1];
        unsigned n = d->permille * BAR / 1000;
        memset(filled, '.', BAR);
        memset(filled, '#', n);
        filled[BAR] = '\0';
        add(l, "[%s] %3u%%  ", filled, d->permille / 10);
    }
    add(l, "%s of %s", drv_fmt_bytes(d->done).s, drv_fmt_bytes(d->total).s);
    if (d->rate_bps > 0)
        add(l, ", %s/s", drv_fmt_bytes(d->rate_bps).s);
    if (in_sync)
        add(l, ", in sync");
}

static bool has_memory(const json_t *memory)
{
    return number(memory, "total_bytes") > 0 && number(memory, "pass") > 0;
}

static void add_memory(struct line *l, const json_t *m)
{
    add(l, "memory pass %" PRId64 ": %s left of %s", number(m, "pass"),
        drv_fmt_bytes(number(m, "remaining_bytes")).s, drv_fmt_bytes(number(m, "total_bytes")).s);
    if (number(m, "rate_bps") > 0)
        add(l, ", %s/s", drv_fmt_bytes(number(m, "rate_bps")).s);
    if (number(m, "dirty_rate_bps") > 0)
        add(l, ", guest writes %s/s", drv_fmt_bytes(number(m, "dirty_rate_bps")).s);
    if (number(m, "throttle_percent") > 0)
        add(l, ", slowed down by %" PRId64 " %%", number(m, "throttle_percent"));
}

static void add_pause(struct line *l, const json_t *e, const json_t *m)
{
    int64_t limit = number(e, "max_blackout_ms"), expected = number(m, "expected_blackout_ms");
    add(l, "expected pause ");
    if (expected > 0)
        add(l, "%s", drv_fmt_ms((double)expected).s);
    else
        add(l, "not yet known");
    if (limit > 0)
        add(l, ", limit %s", drv_fmt_ms((double)limit).s);
}

// What is to be done about a move that does not converge: what its agent offers, as commands.
static void put_stuck(struct progress *p, const json_t *event)
{
    const json_t *stuck = json_object_get(event, "stuck"), *m = json_object_get(event, "memory");
    size_t i;
    json_t *choice;
    struct line l = {.len = 0};
    if (!stuck)
        return;
    add(&l, "not converging: the guest writes %s/s, the link carries %s/s; given up in %s unless:",
        drv_fmt_bytes(number(m, "dirty_rate_bps")).s, drv_fmt_bytes(number(m, "rate_bps")).s,
        drv_fmt_ms((double)(number(stuck, "gives_up_ms") / 1000 * 1000)).s);
    put_line(p, &l);
    json_array_foreach(json_object_get(stuck, "choices"), i, choice)
    {
        DRV_AUTO_FREE char *command =
            cli_choice_command(p->host, drv_json_text(event, "move"), choice);
        struct line c = {.len = 0};
        if (!command)
            continue;
        add(&c, "  %s   %s", command, drv_json_text(choice, "label"));
        put_line(p, &c);
    }
}

// ---- the two forms ----

static void erase(struct progress *p)
{
    if (p->drawn > 0)
        fprintf(p->out, "\033[%uA\r\033[J", p->drawn);
    p->drawn = 0;
}

static void put_details(struct progress *p, const json_t *event, bool bars)
{
    const char *indent = p->mode == PROGRESS_SCREEN ? "  " : "";
    size_t i;
    json_t *disk;
    const json_t *memory = json_object_get(event, "memory");
    json_array_foreach(json_object_get(event, "disks"), i, disk)
    {
        const struct progress_disk *d = disk_of(p, drv_json_text(disk, "id"));
        struct line l = {.len = 0};
        if (!d || d->total <= 0)
            continue;
        add(&l, "%s", indent);
        add_disk(&l, d, bars, json_is_true(json_object_get(disk, "in_sync")));
        put_line(p, &l);
    }
    if (has_memory(memory)) {
        struct line rates = {.len = 0}, pause = {.len = 0};
        add(&rates, "%s", indent);
        add_memory(&rates, memory);
        put_line(p, &rates);
        add(&pause, "%s", indent);
        add_pause(&pause, event, memory);
        put_line(p, &pause);
    }
}

static void on_screen(struct progress *p, const json_t *event, bool new_phase, int64_t took_ms)
{
    erase(p);
    if (new_phase && p->phase[0]) { // stays above the block
        fputs("OK  ", p->out);
        drv_put(p->out, p->phase);
        fprintf(p->out, "%*s%s\n", (int)(10 - strlen(p->phase) % 10), "",
                drv_fmt_ms((double)took_ms).s);
    }
    struct line l = {.len = 0};
    add_head(&l, event);
    put_line(p, &l);
    put_details(p, event, p->columns >= 60);
    put_stuck(p, event);
}

static void in_log(struct progress *p, const json_t *event, bool new_phase, int64_t now_ms)
{
    bool stuck = json_object_get(event, "stuck") != NULL, news = stuck && !p->stuck;
    p->stuck = stuck;
    if (!new_phase && !news && now_ms < p->line_due_ms)
        return;
    p->line_due_ms = now_ms + PROGRESS_LINE_EVERY_MS;
    struct line l = {.len = 0};
    add_head(&l, event);
    put_line(p, &l);
    put_details(p, event, false);
    if (news)
        put_stuck(p, event);
}

void progress_event(struct progress *p, const json_t *event)
{
    if (p->mode == PROGRESS_NONE)
        return;
    if (p->mode == PROGRESS_JSON) {
        DRV_AUTO_JSON json_t *line = json_copy((json_t *)event);
        json_object_del(line, "id"); // of the request on the wire: means nothing here
        cli_put_json(line);
        return;
    }
    int64_t now_ms = number(event, "elapsed_ms");
    const char *phase = drv_json_text(event, "phase");
    bool new_phase = strcmp(phase, p->phase) != 0;
    size_t i;
    json_t *disk;
    json_array_foreach(json_object_get(event, "disks"), i, disk)
    {
        struct progress_disk *d = disk_of(p, drv_json_text(disk, "id"));
        if (d)
            take_disk(d, disk, now_ms);
    }
    if (p->mode == PROGRESS_SCREEN && (new_phase || now_ms >= p->redraw_due_ms)) {
        p->redraw_due_ms = now_ms + REDRAW_MS;
        on_screen(p, event, new_phase, now_ms - p->phase_began_ms);
    }
    if (p->mode == PROGRESS_LINES)
        in_log(p, event, new_phase, now_ms);
    if (new_phase) {
        DRV_COPY(p->phase, phase);
        p->phase_began_ms = now_ms;
    }
    fflush(p->out);
}

void progress_end(struct progress *p)
{
    erase(p);
    fflush(p->out);
}
