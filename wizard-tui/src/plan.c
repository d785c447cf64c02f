// SPDX-License-Identifier: GPL-3.0-or-later
// The plan of a move: choices, sensible defaults, what is missing, and the same as a command.
#include "tui.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drover/permit.h"

enum { KEEP_S = 7 * 86400 };

static void forget_check(struct tui_plan *p)
{
    drv_findings_done(&p->findings);
    json_decref(p->prediction);
    p->prediction = NULL;
    drv_err_clear(&p->check_err);
    drv_err_clear(&p->permit_err);
}

void tui_plan_changed(struct tui_plan *p)
{
    p->ticket = 0;
    p->checking = p->checked = p->by_permit = false;
    forget_check(p);
    drv_err_clear(&p->start_err);
}

void tui_plan_done(struct tui_plan *p)
{
    tui_plan_changed(p);
    json_decref(p->definition);
    json_decref(p->cpus);
    *p = (struct tui_plan){0};
}

void tui_plan_begin(struct tui *t, const char *host, const char *vm)
{
    struct tui_plan *p = &t->plan;
    if (!strcmp(p->source, host) && !strcmp(p->vm, vm) && p->definition) {
        p->page = TUI_PAGE_WHAT; // what was chosen before is still there
        return;
    }
    tui_plan_done(p);
    DRV_COPY(p->source, host);
    DRV_COPY(p->vm, vm);
    p->page = *vm ? TUI_PAGE_WHAT : TUI_PAGE_VM;
    p->keep_s = KEEP_S;
    if (!*vm)
        return;
    tui_ask(t, host, TUI_WANT_VM, json_pack("{s:s}", "vm", vm));
    tui_ask(t, host, TUI_WANT_CPUS, NULL);
}

static bool on_share(const struct tui *t, const char *store)
{
    const struct tui_host *h = tui_host_named(t, t->plan.source);
    const json_t *s = h ? tui_store_of(h, store) : NULL;
    return !strncmp(drv_json_text(s, "url"), "smb:", 4);
}

void tui_plan_definition(struct tui *t, const json_t *vm)
{
    struct tui_plan *p = &t->plan;
    const json_t *def = json_object_get(vm, "definition");
    size_t i;
    json_t *row;
    t->message[0] = '\0'; // that it has not come yet
    bool shared = true;
    json_decref(p->definition);
    p->definition = json_incref((json_t *)(uintptr_t)vm);
    p->n_disks = p->n_nics = 0;
    json_array_foreach(json_object_get(def, "disks"), i, row)
    {
        if (p->n_disks == TUI_DISKS_MAX)
            break;
        DRV_COPY(p->disks[p->n_disks].id, drv_json_text(row, "id"));
        DRV_COPY(p->disks[p->n_disks].from, drv_json_text(row, "store"));
        shared = shared && on_share(t, p->disks[p->n_disks].from);
        p->n_disks++;
    }
    json_array_foreach(json_object_get(def, "nics"), i, row)
    {
        if (p->n_nics == TUI_NICS_MAX)
            break;
        DRV_COPY(p->nics[p->n_nics++].from, drv_json_text(row, "network"));
    }
    if (!p->what_chosen) // disks on the share can stay; local ones have to come along
        p->what = shared ? TUI_WHAT_VM : TUI_WHAT_BOTH;
}

void tui_plan_what(struct tui *t, enum tui_what what)
{
    struct tui_plan *p = &t->plan;
    p->what_chosen = true;
    if (p->what == what)
        return;
    p->what = what;
    p->store[0] = '\0';
    if (what == TUI_WHAT_STORAGE)
        p->to[0] = '\0';
    tui_plan_changed(p);
}

void tui_plan_to(struct tui *t, const char *fqdn)
{
    struct tui_plan *p = &t->plan;
    if (!strcmp(p->to, fqdn))
        return;
    DRV_COPY(p->to, fqdn);
    const struct tui_host *h = tui_host_named(t, fqdn);
    if (p->store[0] && h && !tui_store_of(h, p->store))
        p->store[0] = '\0'; // it is not there
    tui_plan_changed(p);
}

bool tui_plan_disks_move(const struct tui_plan *p)
{
    return p->what != TUI_WHAT_VM;
}

const char *tui_plan_disk_store(const struct tui_plan *p, unsigned disk)
{
    return p->disks[disk].to[0] ? p->disks[disk].to : p->store;
}

const struct tui_host *tui_plan_target(const struct tui *t)
{
    return tui_host_named(t, t->plan.what == TUI_WHAT_STORAGE ? t->plan.source : t->plan.to);
}

const char *tui_plan_store_refusal(const struct tui_plan *p, const json_t *store)
{
    const char *error = drv_json_text(store, "error"), *name = drv_json_text(store, "name");
    bool all_there = p->what == TUI_WHAT_STORAGE && p->n_disks > 0;
    for (unsigned i = 0; i < p->n_disks; i++)
        all_there &= !strcmp(p->disks[i].from, name);
    return *error ? error : all_there ? "the disks are there" : NULL;
}

static uint32_t first_store(const struct tui_plan *p, const struct tui_host *h)
{
    size_t i;
    json_t *s;
    json_array_foreach(h ? h->stores : NULL, i, s)
    {
        if (!tui_plan_store_refusal(p, s))
            return tui_id("store", drv_json_text(s, "name"));
    }
    return 0;
}

const char *tui_plan_missing(const struct tui *t, enum tui_page page, uint32_t *ret_id)
{
    const struct tui_plan *p = &t->plan;
    *ret_id = 0;
    if (page == TUI_PAGE_VM && !p->vm[0])
        return "Choose the VM to move.";
    if (page == TUI_PAGE_WHAT && !p->definition)
        return "Its host has not told of the VM yet.";
    if (page == TUI_PAGE_WHERE && p->what != TUI_WHAT_STORAGE && !p->to[0])
        return "Choose the host that the VM shall move to.";
    if (page == TUI_PAGE_WHERE && tui_plan_disks_move(p) && !p->store[0]) {
        *ret_id = first_store(p, tui_plan_target(t));
        return "Choose the store for the disks.";
    }
    if (page == TUI_PAGE_CHECK && !p->checked)
        return p->checking ? "The check is still running." : "Check first: r.";
    if (page == TUI_PAGE_CHECK && tui_plan_refused(p))
        return "Errors block the move. Correct them, then r checks again.";
    return NULL;
}

bool tui_plan_refused(const struct tui_plan *p)
{
    return p->checked && (p->check_err.code != DRV_OK || drv_findings_errors(&p->findings));
}

// ---- as arguments and as a command ----

static json_t *disk_map(const struct tui_plan *p)
{
    json_t *map = json_object();
    for (unsigned i = 0; i < p->n_disks; i++)
        if (tui_plan_disks_move(p) && p->disks[i].to[0] && strcmp(p->disks[i].to, p->store) != 0)
            json_object_set_new(map, p->disks[i].id, json_string(p->disks[i].to));
    return map;
}

static json_t *network_map(const struct tui_plan *p)
{
    json_t *map = json_object();
    for (unsigned i = 0; i < p->n_nics; i++)
        if (p->nics[i].to[0] && p->what != TUI_WHAT_STORAGE)
            json_object_set_new(map, p->nics[i].from, json_string(p->nics[i].to));
    return map;
}

json_t *tui_plan_args(const struct tui_plan *p)
{
    json_t *args = json_pack("{s:s}", "vm", p->vm);
    DRV_AUTO_JSON json_t *disks = disk_map(p), *networks = network_map(p);
    if (p->what != TUI_WHAT_STORAGE)
        json_object_set_new(args, "to", json_string(p->to));
    if (tui_plan_disks_move(p))
        json_object_set_new(args, "storage", json_string(p->store));
    if (json_object_size(disks))
        json_object_set(args, "disks", disks);
    if (json_object_size(networks))
        json_object_set(args, "network", networks);
    if (p->max_blackout_ms > 0)
        json_object_set_new(args, "max_blackout_ms", json_integer(p->max_blackout_ms));
    if (tui_plan_disks_move(p) && p->keep_source)
        json_object_set_new(args, "keep_source_s", json_integer(p->keep_s));
    return args;
}

static void add(char *ret, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add(char *ret, size_t size, const char *fmt, ...)
{
    size_t at = strlen(ret);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ret + at, size - at, fmt, ap);
    va_end(ap);
}

void tui_plan_command(const struct tui_plan *p, char *ret, size_t size)
{
    DRV_AUTO_JSON json_t *disks = disk_map(p), *networks = network_map(p);
    const char *key;
    json_t *value;
    ret[0] = '\0';
    add(ret, size, "drover -H %s %s %s", tui_short(p->source).s,
        p->what == TUI_WHAT_STORAGE ? "move-storage" : "move", p->vm);
    if (p->what != TUI_WHAT_STORAGE)
        add(ret, size, " --to %s", p->to[0] ? tui_short(p->to).s : "...");
    if (tui_plan_disks_move(p))
        add(ret, size, " --storage %s", p->store[0] ? p->store : "...");
    json_object_foreach(disks, key, value)
    {
        add(ret, size, " --disk %s=%s", key, json_string_value(value));
    }
    json_object_foreach(networks, key, value)
    {
        add(ret, size, " --network %s=%s", key, json_string_value(value));
    }
    if (p->max_blackout_ms > 0 && p->what != TUI_WHAT_STORAGE)
        add(ret, size, " --max-blackout %" PRId64, p->max_blackout_ms);
    if (tui_plan_disks_move(p) && p->keep_source)
        add(ret, size, " --keep-source=%" PRId64 "s", p->keep_s);
}

// ---- check and start ----

static void ask_check(struct tui *t, bool by_permit)
{
    struct tui_plan *p = &t->plan;
    p->by_permit = by_permit;
    p->checking = true;
    p->checked = false;
    p->ticket = tui_ask(t, p->source, TUI_WANT_CHECK, tui_plan_args(p));
}

void tui_plan_check(struct tui *t)
{
    tui_plan_changed(&t->plan);
    ask_check(t, false); // delegation may have been repaired
}

// A check that failed for want of delegation alone is made again with a permit of the destination,
// as the command line does.
static bool wants_permit(const struct tui_plan *p)
{
    unsigned helped = drv_permit_helps(p->check_err.id);
    for (unsigned i = 0; i < p->findings.n; i++)
        helped += p->findings.list[i].severity == DRV_SEV_ERROR &&
                  drv_permit_helps(p->findings.list[i].id);
    return !p->by_permit && p->what != TUI_WHAT_STORAGE && helped;
}

static void take_check(struct tui_plan *p, const struct tui_ask *a)
{
    p->check_err = a->err;
    if (!a->reply || drv_findings_from_json(json_object_get(a->reply, "findings"), &p->findings,
                                            &p->check_err) < 0)
        return;
    p->prediction = json_incref(json_object_get(a->reply, "prediction"));
    for (unsigned i = 0; i < p->findings.n; i++)
        if (!strcmp(p->findings.list[i].id, "N01") && p->findings.list[i].severity == DRV_SEV_ERROR)
            p->networks_wanted = true;
}

void tui_plan_checked(struct tui *t, const struct tui_ask *a)
{
    struct tui_plan *p = &t->plan;
    if (a->ticket != p->ticket)
        return; // of choices that have changed since
    p->checking = false;
    p->checked = true;
    if (p->by_permit && !a->reply) { // what was found without one still holds
        p->by_permit = false;
        p->permit_err = a->err;
        return;
    }
    if (p->by_permit)
        forget_check(p);
    take_check(p, a);
    if (wants_permit(p))
        ask_check(t, true);
}

void tui_plan_start(struct tui *t)
{
    struct tui_plan *p = &t->plan;
    if (p->starting)
        return; // Enter twice is one move
    p->starting = true;
    drv_err_clear(&p->start_err);
    tui_ask(t, p->source, TUI_WANT_START, tui_plan_args(p));
}
