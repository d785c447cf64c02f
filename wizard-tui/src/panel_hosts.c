// SPDX-License-Identifier: GPL-3.0-or-later
// The start screen: hosts, their VMs, what goes on.
#include "tui.h"

#include <stdio.h>
#include <string.h>

#include "drover/text.h"

enum { WIDE = 76 };

bool tui_add_silence(const struct tui *t, struct tui_doc *d)
{
    bool silent = false;
    for (unsigned i = 0; i < t->n_hosts; i++)
        silent |= t->hosts[i].reach != TUI_UP;
    if (silent)
        tui_add_wrapped(d, TUI_WARN, 0,
                        "!! None is known: not every host tells. Esc, and look at the hosts.");
    return silent;
}

// How many moves of this host have not ended.
static unsigned active_moves(const struct tui_host *h)
{
    unsigned n = 0;
    size_t i;
    json_t *row;
    json_array_foreach(h->jobs, i, row)
    {
        n += tui_move_active(row);
    }
    return n;
}

static void add_host(struct tui_doc *d, const struct tui_host *h)
{
    struct tui_name name = tui_short(h->fqdn[0] ? h->fqdn : "this host");
    const json_t *memory = json_object_get(h->show, "memory");
    uint32_t id = tui_id("host", h->fqdn);
    if (h->reach == TUI_DOWN) {
        tui_add(d, TUI_BAD, id, "XX %-12s %s", name.s,
                h->err.code == DRV_EDENIED ? "refuses you" : "unreachable");
        unsigned from = d->n;
        tui_add_wrapped(d, TUI_PLAIN, 4, "%s", h->err.msg);
        if (h->err.hint[0])
            tui_add_wrapped(d, TUI_PLAIN, 4, "What to do: %s", h->err.hint);
        tui_belong(d, from, id);
        return;
    }
    if (!h->show) {
        tui_add(d, TUI_DIM, id, ".. %-12s asking ...", name.s);
        return;
    }
    unsigned moves = active_moves(h);
    bool receive = !strcmp(tui_setting(h, "receive"), "on"),
         send = !strcmp(tui_setting(h, "send"), "on");
    if (d->columns < WIDE)
        tui_add(d, TUI_HEAD, id, "OK %-6s receives: %s sends: %s RAM %s", name.s,
                receive ? "on" : "OFF", send ? "on" : "OFF",
                drv_fmt_bytes(tui_number(memory, "free_kib") * 1024).s);
    else
        tui_add(d, TUI_HEAD, id, "OK %-12s RAM %s free of %s  receives: %s  sends: %s%s", name.s,
                drv_fmt_bytes(tui_number(memory, "free_kib") * 1024).s,
                drv_fmt_bytes(tui_number(memory, "total_kib") * 1024).s, receive ? "on" : "OFF",
                send ? "on" : "OFF",
                moves == 1 ? "  1 move"
                : moves    ? "  moves"
                           : "");
}

static const json_t *move_of(const struct tui_host *h, const char *vm)
{
    size_t i;
    json_t *row;
    json_array_foreach(h->jobs, i, row)
    {
        if (!strcmp(drv_json_text(row, "vm"), vm) && tui_move_active(row))
            return row;
    }
    return NULL;
}

// What goes on comes before figures where there is little room.
static void add_vm(struct tui_doc *d, const struct tui_host *h, const json_t *vm)
{
    const char *name = drv_json_text(vm, "name"), *state = drv_json_text(vm, "state"),
               *why = drv_json_text(vm, "why");
    const json_t *move = move_of(h, name);
    bool runs = !strcmp(state, "running");
    char doing[128] = "";
    if (move && !strcmp(state, "incoming"))
        snprintf(doing, sizeof doing, "comes from %s", tui_short(drv_json_text(move, "from")).s);
    else if (move)
        snprintf(doing, sizeof doing, "moving to %s: %s", tui_short(drv_json_text(move, "to")).s,
                 drv_json_text(move, "phase"));
    else if (*why)
        snprintf(doing, sizeof doing, "%s", why);
    enum tui_style style = runs ? TUI_PLAIN : TUI_DIM;
    if (d->columns < WIDE)
        tui_add(d, style, tui_id(h->fqdn, name), "   %s %-12s %s", runs ? "|>" : "--", name,
                *doing ? doing : state);
    else
        tui_add(d, style, tui_id(h->fqdn, name), "   %s %-20s %-10s %9s %3lld CPU  %s",
                runs ? "|>" : "--", name, state,
                drv_fmt_bytes(tui_number(vm, "memory_kib") * 1024).s,
                (long long)tui_number(vm, "vcpus"), doing);
}

static void build(struct tui *t, struct tui_doc *d)
{
    snprintf(d->title, sizeof d->title, "drover  Hosts and their VMs");
    snprintf(d->right, sizeof d->right, "%u host%s", t->n_hosts, t->n_hosts == 1 ? "" : "s");
    for (unsigned i = 0; i < t->n_hosts; i++) {
        const struct tui_host *h = &t->hosts[i];
        size_t k;
        json_t *vm;
        add_host(d, h);
        if (h->vms && !json_array_size(h->vms) && h->reach == TUI_UP) {
            unsigned from = d->n;
            tui_add(d, TUI_DIM, 0, "      no VMs");
            tui_belong(d, from, tui_id("host", h->fqdn));
        }
        json_array_foreach(h->vms, k, vm)
        {
            add_vm(d, h, vm);
        }
    }
    bool any = false;
    for (unsigned i = 0; i < t->n_hosts; i++)
        any = any || json_array_size(t->hosts[i].vms);
    if (any && d->rows > d->n + 1) {
        tui_add(d, TUI_PLAIN, 0, " ");
        bool may = false;
        for (unsigned i = 0; i < t->n_hosts; i++)
            may = may || tui_may(&t->hosts[i], "operator");
        tui_add(d, TUI_DIM, 0, "   %s",
                may ? "Go to a VM with the arrow keys; Enter moves it."
                    : "You may look (role viewer); to move a VM takes the role operator.");
    }
    snprintf(d->stamp, sizeof d->stamp, "hosts %u", d->n);
}

// The host and VM of a line; *ret_vm "" on a host's own line.
static struct tui_host *at_line(struct tui *t, uint32_t id, const char **ret_vm)
{
    *ret_vm = "";
    for (unsigned i = 0; i < t->n_hosts; i++) {
        struct tui_host *h = &t->hosts[i];
        size_t k;
        json_t *vm;
        if (tui_id("host", h->fqdn) == id)
            return h;
        json_array_foreach(h->vms, k, vm)
        {
            if (tui_id(h->fqdn, drv_json_text(vm, "name")) == id) {
                *ret_vm = drv_json_text(vm, "name");
                return h;
            }
        }
    }
    return NULL;
}

static void ask_doctor(struct tui *t, struct tui_host *h)
{
    DRV_AUTO_JSON json_t *peers = json_array();
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (&t->hosts[i] != h && t->hosts[i].fqdn[0])
            json_array_append_new(peers, json_string(t->hosts[i].fqdn));
    h->doctor_asked = true;
    tui_ask(t, h->fqdn, TUI_WANT_DOCTOR, json_pack("{s:O}", "peers", peers));
}

// A VM that is being moved: watch that move; else plan one.
static void open_vm(struct tui *t, struct tui_host *h, const char *vm)
{
    const json_t *move = move_of(h, vm);
    if (move) {
        tui_progress_begin(t, drv_json_text(move, "from"), drv_json_text(move, "move"));
        return;
    }
    const char *why = tui_vm_refusal(tui_vm_of(h, vm));
    if (why) {
        tui_say(t, "%s does not move: %s.", vm, why);
        return;
    }
    tui_plan_begin(t, h->fqdn, vm);
    tui_open(t, TUI_MOVE);
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    const char *vm;
    struct tui_host *h = at_line(t, id, &vm);
    if (cmd == TUI_REFRESH) {
        for (unsigned i = 0; i < t->n_hosts; i++)
            t->hosts[i].due_ms = 0;
        return true;
    }
    if (cmd == TUI_JOBS_CMD) {
        tui_open(t, TUI_JOBS);
        return true;
    }
    if (cmd == TUI_MOVE_CMD && h && *vm) {
        open_vm(t, h, vm);
        return true;
    }
    if (cmd == TUI_MOVE_CMD) {
        tui_plan_begin(t, "", "");
        tui_open(t, TUI_MOVE);
        return true;
    }
    if (!h)
        return false;
    if (cmd == TUI_CONSOLE_CMD && !*vm) {
        tui_say(t, "The console is a VM's: go to one first.");
        return true;
    }
    if (cmd == TUI_CONSOLE_CMD && !strcmp(drv_json_text(tui_vm_of(h, vm), "state"), "stopped")) {
        tui_say(t, "%s is stopped: there is nothing to see.", vm);
        return true;
    }
    if (cmd == TUI_CONSOLE_CMD) {
        DRV_COPY(t->console.host, tui_way(t, h->fqdn));
        DRV_COPY(t->console.vm, vm);
        return true;
    }
    if (cmd == TUI_ENTER && *vm) {
        open_vm(t, h, vm);
        return true;
    }
    if (cmd == TUI_ENTER || cmd == TUI_SETTINGS_CMD || cmd == TUI_DOCTOR_CMD) {
        t->host = h;
        if (cmd == TUI_DOCTOR_CMD && !h->doctor && !h->doctor_asked)
            ask_doctor(t, h);
        if (cmd != TUI_DOCTOR_CMD && !h->help)
            tui_ask(t, h->fqdn, TUI_WANT_HELP, json_pack("{s:b}", "help", true));
        tui_open(t, cmd == TUI_DOCTOR_CMD ? TUI_DOCTOR : TUI_SETTINGS);
        return true;
    }
    return false;
}

const struct tui_panel_def tui_panel_hosts = {
    "Hosts",
    "All hosts of the domain's hosts' group, asked every two seconds with your ticket. Enter on a "
    "VM "
    "plans its move, or watches the one that is under way; Enter on a host shows its settings.",
    build,
    act,
    NULL,
};
