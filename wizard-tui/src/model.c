// SPDX-License-Identifier: GPL-3.0-or-later
// Hosts and their answers: see model.h.
#include "tui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND_MS = 2000, RETRY_MS = 5000, CALL_MS = 15000, LONG_MS = 180000 };

// ---- reading answers ----

int64_t tui_number(const json_t *obj, const char *key)
{
    double n = json_number_value(json_object_get(obj, key));
    return n > 0 && n < 9e18 ? (int64_t)n : 0;
}

struct tui_name tui_short(const char *fqdn)
{
    struct tui_name n;
    snprintf(n.s, sizeof n.s, "%.*s", (int)strcspn(fqdn, "."), fqdn);
    return n;
}

const char *tui_setting(const struct tui_host *h, const char *key)
{
    return drv_json_text(json_object_get(h->show, "settings"), key);
}

static const json_t *by_name(const json_t *list, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        if (!strcmp(drv_json_text(row, "name"), name))
            return row;
    }
    return NULL;
}

const json_t *tui_vm_of(const struct tui_host *h, const char *name)
{
    return by_name(h->vms, name);
}

const json_t *tui_store_of(const struct tui_host *h, const char *name)
{
    return by_name(h->stores, name);
}

const struct tui_host *tui_host_named(const struct tui *t, const char *fqdn)
{
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (*fqdn && !strcmp(t->hosts[i].fqdn, fqdn))
            return &t->hosts[i];
    return NULL;
}

bool tui_move_active(const json_t *job)
{
    return !strcmp(drv_json_text(job, "state"), "active");
}

bool tui_listed(const json_t *names, const char *name)
{
    size_t i;
    json_t *n;
    json_array_foreach(names, i, n)
    {
        if (json_is_string(n) && !strcmp(json_string_value(n), name))
            return true;
    }
    return false;
}

// As far as the source knows the other host's models; what it does not know, the check will tell.
static const char *cpu_refusal(const struct tui *t, const struct tui_host *h, char *buf,
                               size_t size)
{
    const json_t *def = json_object_get(t->plan.definition, "definition");
    const char *accel = drv_json_text(def, "accel"),
               *model = drv_json_text(json_object_get(def, "cpu"), "model");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(t->plan.cpus, "hosts"), i, row)
    {
        const json_t *models = json_object_get(json_object_get(row, "models"), accel);
        if (strcmp(drv_json_text(row, "host"), h->fqdn) != 0 || !json_array_size(models) ||
            !*model || tui_listed(models, model))
            continue;
        snprintf(buf, size, "its CPU cannot be the VM's %s", model);
        return buf;
    }
    return NULL;
}

bool tui_may(const struct tui_host *h, const char *role)
{
    const char *mine = drv_json_text(h->show, "role");
    return !*mine || !strcmp(mine, role) || !strcmp(mine, "admin");
}

const char *tui_vm_refusal(const json_t *vm)
{
    return strcmp(drv_json_text(vm, "state"), "stopped") != 0
               ? NULL
               : "it is stopped; only a VM that runs can move (drover vm start)";
}

const char *tui_host_refusal(const struct tui *t, const struct tui_host *h, char *buf, size_t size)
{
    int64_t wants = tui_number(json_object_get(t->plan.definition, "definition"), "memory_kib");
    const json_t *memory = json_object_get(h->show, "memory"),
                 *slots = json_object_get(h->show, "slots");
    if (!strcmp(h->fqdn, t->plan.source))
        return "the VM runs here";
    if (h->reach == TUI_DOWN) {
        snprintf(buf, size, "%s", h->err.msg);
        return buf;
    }
    if (!h->show)
        return "no answer yet";
    if (strcmp(tui_setting(h, "receive"), "on") != 0)
        return "receiving is off (host settings: receive)";
    if (!tui_number(slots, "moves"))
        return "no move slot is free";
    if (tui_number(memory, "free_kib") < wants) {
        snprintf(buf, size, "%lld MiB of memory free, %lld MiB needed",
                 (long long)tui_number(memory, "free_kib") / 1024, (long long)wants / 1024);
        return buf;
    }
    return cpu_refusal(t, h, buf, size);
}

// ---- asking ----

static const struct {
    const char *call;
    int timeout_ms;
} questions[TUI_WANT_MAX_] = {
    [TUI_WANT_HOSTS] = {"host.list", CALL_MS},    [TUI_WANT_SHOW] = {"host.show", CALL_MS},
    [TUI_WANT_VMS] = {"vm.list", CALL_MS},        [TUI_WANT_STORES] = {"store.list", LONG_MS},
    [TUI_WANT_JOBS] = {"move.list", CALL_MS},     [TUI_WANT_VM] = {"vm.show", LONG_MS},
    [TUI_WANT_CHECK] = {"move.check", LONG_MS},   [TUI_WANT_START] = {"move.start", LONG_MS},
    [TUI_WANT_CANCEL] = {"move.cancel", CALL_MS}, [TUI_WANT_CHOICE] = {"move.set", CALL_MS},
    [TUI_WANT_SET] = {"host.set", LONG_MS},       [TUI_WANT_HELP] = {"host.show", CALL_MS},
    [TUI_WANT_CPUS] = {"host.cpus", LONG_MS},     [TUI_WANT_DOCTOR] = {"doctor.host", LONG_MS},
};

const char *tui_way(const struct tui *t, const char *fqdn)
{
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (t->hosts[i].local && !strcmp(t->hosts[i].fqdn, fqdn))
            return "";
    return fqdn;
}

unsigned tui_ask_call(struct tui *t, const char *host, enum tui_want want, const char *call,
                      json_t *args)
{
    struct tui_ask *a = drv_xcalloc(1, sizeof *a);
    DRV_COPY(a->host, tui_way(t, host));
    a->want = want;
    a->ticket = ++t->tickets;
    DRV_COPY(a->call, call);
    a->timeout_ms = questions[want].timeout_ms;
    a->args = args;
    a->permit = t->plan.by_permit && (want == TUI_WANT_CHECK || want == TUI_WANT_START);
    unsigned ticket = a->ticket;
    t->port.ask(t->port.arg, a);
    return ticket;
}

unsigned tui_ask(struct tui *t, const char *host, enum tui_want want, json_t *args)
{
    const char *call = questions[want].call;
    if (t->plan.what == TUI_WHAT_STORAGE && want == TUI_WANT_CHECK)
        call = "move.storage_check";
    if (t->plan.what == TUI_WHAT_STORAGE && want == TUI_WANT_START)
        call = "move.storage";
    return tui_ask_call(t, host, want, call, args);
}

static struct tui_host *host_of(struct tui *t, const char *fqdn)
{
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (!strcmp(t->hosts[i].fqdn, fqdn))
            return &t->hosts[i];
    return NULL;
}

static struct tui_host *host_add(struct tui *t, const char *fqdn)
{
    struct tui_host *h = host_of(t, fqdn);
    if (h || t->n_hosts == TUI_HOSTS_MAX)
        return h;
    h = &t->hosts[t->n_hosts++];
    DRV_COPY(h->fqdn, fqdn);
    return h;
}

static void ask_host(struct tui *t, struct tui_host *h)
{
    static const enum tui_want round[] = {TUI_WANT_SHOW, TUI_WANT_VMS, TUI_WANT_JOBS,
                                          TUI_WANT_STORES};
    if (h->open || t->now_ms < h->due_ms)
        return;
    h->open = DRV_ARRAY_LEN(round);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(round); i++)
        tui_ask(t, h->fqdn, round[i], NULL);
}

void tui_tick(struct tui *t, int64_t now_ms)
{
    struct tui_progress *p = &t->progress;
    t->now_ms = now_ms;
    for (unsigned i = 0; i < t->n_hosts; i++)
        ask_host(t, &t->hosts[i]);
    if (p->lost && !p->result && t->now_ms >= p->sample_due_ms) { // the agent may be back
        p->sample_due_ms = t->now_ms + ROUND_MS;
        t->port.follow(t->port.arg, tui_way(t, p->host), p->move);
    }
    if (p->move[0] && !p->lost && !p->result && t->now_ms >= p->sample_due_ms) {
        p->sample_due_ms = t->now_ms + 1000;
        if (p->n_samples == TUI_SAMPLES) {
            memmove(p->rates, p->rates + 1, sizeof p->rates - sizeof *p->rates);
            memmove(p->dirty, p->dirty + 1, sizeof p->dirty - sizeof *p->dirty);
            p->n_samples--;
        }
        p->rates[p->n_samples] = p->rate_bps;
        p->dirty[p->n_samples++] = p->dirty_bps;
    }
}

// ---- answers ----

static void keep(json_t **slot, const struct tui_ask *a)
{
    if (!a->reply)
        return;
    json_decref(*slot);
    *slot = json_incref(a->reply);
}

static void take_hosts(struct tui *t, const json_t *list)
{
    size_t i;
    json_t *row;
    json_array_foreach(list, i, row)
    {
        const char *fqdn = drv_json_text(row, "fqdn");
        if (*fqdn && strlen(fqdn) < sizeof t->entry)
            host_add(t, fqdn);
    }
}

// The local agent has told its name: it is one of the hosts from now on.
static void name_local(struct tui *t, struct tui_host *h)
{
    const char *name = drv_json_text(h->show, "host");
    if (h->local && !h->fqdn[0] && *name)
        DRV_COPY(h->fqdn, name);
    if (!t->entry[0] && h->fqdn[0]) {
        DRV_COPY(t->entry, h->fqdn);
        tui_ask(t, h->fqdn, TUI_WANT_HOSTS, NULL);
    }
}

// An answer of the regular round.
static void take_round(struct tui *t, struct tui_host *h, const struct tui_ask *a)
{
    json_t **slot = a->want == TUI_WANT_SHOW   ? &h->show
                    : a->want == TUI_WANT_VMS  ? &h->vms
                    : a->want == TUI_WANT_JOBS ? &h->jobs
                                               : &h->stores;
    if (h->open > 0 && --h->open == 0)
        h->due_ms = t->now_ms + (h->reach == TUI_DOWN ? RETRY_MS : ROUND_MS);
    keep(slot, a);
    if (a->want == TUI_WANT_STORES)
        h->stores_err = a->err;
    if (a->want != TUI_WANT_SHOW)
        return;
    h->reach = a->reply ? TUI_UP : TUI_DOWN;
    h->err = a->err;
    if (a->reply)
        name_local(t, h);
}

static void take_cancel(struct tui *t, const struct tui_ask *a)
{
    struct tui_progress *p = &t->progress;
    if (a->reply) {
        tui_say(t, "Cancelling: the VM keeps running where it is.");
        if (p->cancel == TUI_CANCEL_REQUESTED)
            p->cancel = TUI_CANCEL_UNDER_WAY;
    } else {
        p->err = a->err;
        if (p->cancel == TUI_CANCEL_REQUESTED)
            p->cancel = TUI_CANCEL_FAILED;
        tui_say_err(t, &a->err);
    }
}

static void take_start(struct tui *t, const struct tui_ask *a)
{
    const char *move = drv_json_text(a->reply, "move");
    t->plan.starting = false;
    t->plan.start_err = a->err;
    if (!drv_uuid_valid(move)) {
        tui_say_err(t, &a->err);
        return;
    }
    tui_progress_begin(t, t->plan.source, move);
}

static void take_set(struct tui *t, struct tui_host *h, const struct tui_ask *a)
{
    if (!a->reply) {
        tui_say_err(t, &a->err);
        if ((a->err.code == DRV_EINVAL || a->err.code == DRV_ENOTFOUND) &&
            t->prompt.kind == TUI_PROMPT_NONE && tui_top(t)->kind == TUI_SETTINGS)
            t->prompt.kind = TUI_PROMPT_SETTING; // what was typed is still there
        return;
    }
    tui_say(t, "Done.");
    if (h)
        h->due_ms = 0;
}

static struct tui_host *answered(struct tui *t, const struct tui_ask *a)
{
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (a->host[0] ? !strcmp(t->hosts[i].fqdn, a->host) : t->hosts[i].local)
            return &t->hosts[i];
    return NULL;
}

static void take(struct tui *t, struct tui_host *h, const struct tui_ask *a)
{
    switch (a->want) {
    case TUI_WANT_HOSTS:
        take_hosts(t, a->reply);
        if (!a->reply)
            tui_say_err(t, &a->err);
        break;
    case TUI_WANT_SHOW:
    case TUI_WANT_VMS:
    case TUI_WANT_JOBS:
    case TUI_WANT_STORES:
        if (h)
            take_round(t, h, a);
        break;
    case TUI_WANT_VM:
        if (a->reply && !strcmp(drv_json_text(a->reply, "name"), t->plan.vm))
            tui_plan_definition(t, a->reply);
        else if (!a->reply)
            tui_say_err(t, &a->err);
        break;
    case TUI_WANT_CHECK:
        tui_plan_checked(t, a);
        break;
    case TUI_WANT_START:
        take_start(t, a);
        break;
    case TUI_WANT_CANCEL:
        take_cancel(t, a);
        break;
    case TUI_WANT_CHOICE:
    case TUI_WANT_SET:
        take_set(t, h, a);
        break;
    case TUI_WANT_CPUS:
        if (h && !strcmp(t->plan.source, h->fqdn))
            keep(&t->plan.cpus, a);
        break;
    case TUI_WANT_HELP:
        if (h)
            keep(&h->help, a);
        break;
    case TUI_WANT_DOCTOR:
        if (h) {
            keep(&h->doctor, a);
            h->doctor_err = a->err;
            h->doctor_asked = false;
        }
        break;
    case TUI_WANT_MAX_:
        break;
    }
}

void tui_answer(struct tui *t, struct tui_ask *a)
{
    take(t, answered(t, a), a);
    json_decref(a->reply);
    free(a);
}
