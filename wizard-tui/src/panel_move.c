// SPDX-License-Identifier: GPL-3.0-or-later
// The move wizard: VM, what, where, options, check, summary. All pages are views of one plan
// (plan.c), so Back keeps everything.
#include "tui_findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drover/text.h"

static void turn_to(struct tui *t, enum tui_page page);

struct page {
    const char *name;
    void (*build)(struct tui *t, struct tui_doc *d);
    // Choose the line. True when it was one of this page's.
    bool (*choose)(struct tui *t, uint32_t id);
};

static void radio(struct tui_doc *d, uint32_t id, bool on, const char *why_not, const char *text)
{
    unsigned at = d->n;
    tui_add_item(d, why_not ? TUI_DIM : TUI_PLAIN, id, 8, "(%s) %s%s%s",
                 why_not ? "-"
                 : on    ? "*"
                         : " ",
                 text, why_not ? "  -- " : "", why_not ? why_not : "");
    if (at < d->n)
        d->lines[at].off = why_not != NULL;
    if (on && !why_not && !d->chosen)
        d->chosen = id;
}

// ---- VM ----

static void build_vm(struct tui *t, struct tui_doc *d)
{
    tui_add(d, TUI_HEAD, 0, "Which virtual machine?");
    for (unsigned i = 0; i < t->n_hosts; i++) {
        const struct tui_host *h = &t->hosts[i];
        size_t k;
        json_t *vm;
        json_array_foreach(h->vms, k, vm)
        {
            char text[256];
            const char *name = drv_json_text(vm, "name");
            snprintf(text, sizeof text, "%-20s on %-10s %s", name, tui_short(h->fqdn).s,
                     tui_vm_refusal(vm) ? "" : drv_json_text(vm, "state"));
            radio(d, tui_id(h->fqdn, name),
                  !strcmp(t->plan.vm, name) && !strcmp(t->plan.source, h->fqdn), tui_vm_refusal(vm),
                  text);
        }
    }
    if (d->n == 1 && !tui_add_silence(t, d))
        tui_add(d, TUI_DIM, 0, "No host has one. `drover vm create` makes them.");
}

static bool choose_vm(struct tui *t, uint32_t id)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        size_t k;
        json_t *vm;
        json_array_foreach(t->hosts[i].vms, k, vm)
        {
            if (tui_id(t->hosts[i].fqdn, drv_json_text(vm, "name")) != id)
                continue;
            const char *why = tui_vm_refusal(vm);
            if (why) {
                tui_say(t, "Not this one: %s.", why);
                return true;
            }
            tui_plan_begin(t, t->hosts[i].fqdn, drv_json_text(vm, "name"));
            t->plan.page = TUI_PAGE_VM;
            return true;
        }
    }
    return false;
}

// ---- what ----

static const char *const what_text[TUI_WHAT_MAX_][2] = {
    [TUI_WHAT_VM] = {"Move the virtual machine",
                     "Memory goes to the other host, the disks stay on their store. Quickest; "
                     "both hosts must reach the store."},
    [TUI_WHAT_BOTH] = {"Move the virtual machine and its disks",
                       "Memory and disks go to the other host, to a store that "
                       "you choose. Nothing needs to be shared."},
    [TUI_WHAT_STORAGE] = {"Move its storage",
                          "The VM stays on this host and runs on; its disks go to another store."},
};

static void build_what(struct tui *t, struct tui_doc *d)
{
    tui_add(d, TUI_HEAD, 0, "What shall move?");
    if (!t->plan.definition)
        tui_add(d, TUI_DIM, 0, ".. asking %s about %s ...", tui_short(t->plan.source).s,
                t->plan.vm);
    for (unsigned i = 0; i < TUI_WHAT_MAX_; i++) {
        // Nothing can have the focus before it is known what is preselected.
        uint32_t id = t->plan.definition ? tui_id("what", what_text[i][0]) : 0;
        unsigned from = d->n;
        radio(d, id, t->plan.definition && t->plan.what == i, NULL, what_text[i][0]);
        tui_add_wrapped(d, TUI_DIM, 4, "%s", what_text[i][1]);
        tui_belong(d, from, id);
    }
    for (unsigned i = 0; i < t->plan.n_disks; i++)
        tui_add(d, TUI_PLAIN, 0, "%s%-10s on store %s",
                i ? "       " : "Disks: ", t->plan.disks[i].id, t->plan.disks[i].from);
}

static bool choose_what(struct tui *t, uint32_t id)
{
    for (unsigned i = 0; i < TUI_WHAT_MAX_; i++)
        if (tui_id("what", what_text[i][0]) == id) {
            tui_plan_what(t, (enum tui_what)i);
            return true;
        }
    return false;
}

// ---- where ----

static void add_destinations(struct tui *t, struct tui_doc *d)
{
    tui_add(d, TUI_HEAD, 0, "To which host?");
    for (unsigned i = 0; i < t->n_hosts; i++) {
        const struct tui_host *h = &t->hosts[i];
        char buf[256], text[128];
        if (!strcmp(h->fqdn, t->plan.source))
            continue;
        snprintf(
            text, sizeof text, "%-12s %s free", tui_short(h->fqdn).s,
            drv_fmt_bytes(tui_number(json_object_get(h->show, "memory"), "free_kib") * 1024).s);
        radio(d, tui_id("to", h->fqdn), !strcmp(t->plan.to, h->fqdn),
              tui_host_refusal(t, h, buf, sizeof buf), text);
    }
    if (t->n_hosts < 2)
        tui_add(d, TUI_WARN, 0,
                "!! No other host is known. They are the members of the hosts' group (roles).");
}

static void add_stores(struct tui *t, struct tui_doc *d)
{
    const struct tui_host *h = tui_plan_target(t);
    size_t i;
    json_t *s;
    tui_add(d, TUI_HEAD, 0, "To which store%s%s?", h ? " of " : "", h ? tui_short(h->fqdn).s : "");
    if (!h)
        tui_add(d, TUI_DIM, 0, "    (choose the host first)");
    if (h && h->stores_err.code != DRV_OK)
        tui_add_wrapped(d, TUI_BAD, 4, "%s", h->stores_err.msg);
    json_array_foreach(h ? h->stores : NULL, i, s)
    {
        char text[256];
        const char *name = drv_json_text(s, "name");
        snprintf(text, sizeof text, "%-12s %-26.26s %s free", name, drv_json_text(s, "url"),
                 drv_fmt_bytes(tui_number(s, "free_bytes")).s);
        radio(d, tui_id("store", name), !strcmp(t->plan.store, name),
              tui_plan_store_refusal(&t->plan, s), text);
    }
}

static void build_where(struct tui *t, struct tui_doc *d)
{
    if (t->plan.what != TUI_WHAT_STORAGE)
        add_destinations(t, d);
    if (tui_plan_disks_move(&t->plan))
        add_stores(t, d);
}

static bool choose_host(struct tui *t, uint32_t id)
{
    for (unsigned i = 0; i < t->n_hosts; i++) {
        char buf[256];
        const struct tui_host *h = &t->hosts[i];
        if (tui_id("to", h->fqdn) != id)
            continue;
        const char *why = tui_host_refusal(t, h, buf, sizeof buf);
        if (why)
            tui_say(t, "Not to %s: %s.", tui_short(h->fqdn).s, why);
        else
            tui_plan_to(t, h->fqdn);
        return true;
    }
    return false;
}

static bool choose_where(struct tui *t, uint32_t id)
{
    const struct tui_host *h = tui_plan_target(t);
    size_t i;
    json_t *s;
    if (choose_host(t, id))
        return true;
    json_array_foreach(h ? h->stores : NULL, i, s)
    {
        if (tui_id("store", drv_json_text(s, "name")) != id)
            continue;
        const char *why = tui_plan_store_refusal(&t->plan, s);
        if (why) {
            tui_say(t, "Not to this store: %s.", why);
        } else {
            DRV_COPY(t->plan.store, drv_json_text(s, "name"));
            tui_plan_changed(&t->plan);
        }
        return true;
    }
    return false;
}

// ---- options ----

// What changes a line: without a screen there are numbers alone.
static const char *changer(const struct tui_doc *d)
{
    return d->rows ? "Space" : "its number";
}

static void add_disk_table(const struct tui_plan *p, struct tui_doc *d)
{
    tui_add(d, TUI_HEAD, 0, "Where each disk goes, from a store of %s to one of %s (%s changes it)",
            tui_short(p->source).s, tui_short(p->what == TUI_WHAT_STORAGE ? p->source : p->to).s,
            changer(d));
    for (unsigned i = 0; i < p->n_disks; i++)
        tui_add(d, TUI_PLAIN, tui_id("disk", p->disks[i].id), "    %-12s %-12s -> %s",
                p->disks[i].id, p->disks[i].from, tui_plan_disk_store(p, i));
    tui_add(d, TUI_PLAIN, tui_id("opt", "keep"),
            "[%s] Keep the source's images, renamed, for %" PRId64 " days (%s)",
            p->keep_source ? "x" : " ", p->keep_s / 86400, changer(d));
}

static void build_options(struct tui *t, struct tui_doc *d)
{
    const struct tui_plan *p = &t->plan;
    const struct tui_host *h = tui_host_named(t, p->source);
    if (tui_plan_disks_move(p))
        add_disk_table(p, d);
    if (p->networks_wanted) {
        tui_add(d, TUI_HEAD, 0, "Networks that the destination lacks (%s changes one)", changer(d));
        for (unsigned i = 0; i < p->n_nics; i++)
            tui_add(d, TUI_PLAIN, tui_id("nic", p->nics[i].from), "    %-12s -> %s",
                    p->nics[i].from, p->nics[i].to[0] ? p->nics[i].to : p->nics[i].from);
    }
    if (p->what != TUI_WHAT_STORAGE) {
        tui_add(d, TUI_HEAD, 0, "Longest pause of the guest (%s changes it)", changer(d));
        if (p->max_blackout_ms)
            tui_add(d, TUI_PLAIN, tui_id("opt", "blackout"), "    %" PRId64 " ms",
                    p->max_blackout_ms);
        else
            tui_add(d, TUI_PLAIN, tui_id("opt", "blackout"), "    as the host says: %s ms",
                    h ? tui_setting(h, "max_blackout_ms") : "?");
        tui_add_wrapped(d, TUI_DIM, 4,
                        "A move that would pause it for longer is cancelled; the VM runs on here.");
    }
    if (h)
        tui_add(d, TUI_DIM, 0, "    Encryption: %s (host setting)", tui_setting(h, "encrypt"));
}

// The next store of the destination after the one that the disk goes to now.
static void next_store(struct tui *t, unsigned disk)
{
    const struct tui_host *h = tui_plan_target(t);
    size_t i, n = json_array_size(h ? h->stores : NULL);
    const char *now = tui_plan_disk_store(&t->plan, disk);
    for (i = 0; i < n && strcmp(drv_json_text(json_array_get(h->stores, i), "name"), now) != 0; i++)
        ;
    if (n)
        DRV_COPY(t->plan.disks[disk].to,
                 drv_json_text(json_array_get(h->stores, (i + 1) % n), "name"));
    tui_plan_changed(&t->plan);
}

static bool choose_option(struct tui *t, uint32_t id)
{
    struct tui_plan *p = &t->plan;
    for (unsigned i = 0; i < p->n_disks; i++)
        if (tui_id("disk", p->disks[i].id) == id) {
            next_store(t, i);
            return true;
        }
    for (unsigned i = 0; i < p->n_nics; i++)
        if (tui_id("nic", p->nics[i].from) == id) {
            t->prompt.index = i;
            tui_ask_for(t, TUI_PROMPT_NETWORK, p->nics[i].to,
                        "Bridge on %s instead of %s:", tui_short(p->to).s, p->nics[i].from);
            return true;
        }
    if (id == tui_id("opt", "keep")) {
        p->keep_source = !p->keep_source;
        tui_plan_changed(p);
    } else if (id == tui_id("opt", "blackout")) {
        char now[24] = "";
        if (p->max_blackout_ms)
            snprintf(now, sizeof now, "%" PRId64, p->max_blackout_ms);
        tui_ask_for(t, TUI_PROMPT_BLACKOUT, now, "Longest pause in ms, empty = as the host says:");
    } else {
        return false;
    }
    return true;
}

// ---- check and summary ----

static void add_error(struct tui_doc *d, const char *what, const struct drv_err *err)
{
    tui_add_wrapped(d, TUI_BAD, 0, "XX %s%s%s%s", what, err->id, err->id[0] ? " " : "", err->msg);
    if (err->hint[0])
        tui_add_wrapped(d, TUI_PLAIN, 3, "Fix: %s", err->hint);
}

static void build_check(struct tui *t, struct tui_doc *d)
{
    const struct tui_plan *p = &t->plan;
    if (!p->checked) {
        tui_add(d, TUI_DIM, 0,
                ".. checking both hosts, the stores and the network between them ...");
        return;
    }
    if (p->by_permit)
        tui_add(d, TUI_PLAIN, 0, "   Without delegation: with a permit of %s.", tui_short(p->to).s);
    if (p->check_err.code != DRV_OK)
        add_error(d, "", &p->check_err);
    else
        tui_add_findings(d, &p->findings);
    if (p->permit_err.code != DRV_OK)
        add_error(d, "Nor by permit: ", &p->permit_err);
    if (tui_plan_refused(p))
        tui_add(d, TUI_PLAIN, 0, "   When it is corrected, r checks again.");
}

static bool choose_nothing(struct tui *t, uint32_t id)
{
    (void)t;
    (void)id;
    return true;
}

static void build_summary(struct tui *t, struct tui_doc *d)
{
    const struct tui_plan *p = &t->plan;
    char command[1024];
    tui_plan_command(p, command, sizeof command);
    tui_add(d, TUI_HEAD, 0, "%s: %s", what_text[p->what][0], p->vm);
    tui_add(d, TUI_PLAIN, 0, "    from    %s", p->source);
    if (p->what != TUI_WHAT_STORAGE)
        tui_add(d, TUI_PLAIN, 0, "    to      %s", p->to);
    for (unsigned i = 0; tui_plan_disks_move(p) && i < p->n_disks; i++)
        tui_add(d, TUI_PLAIN, 0, "    %-7s %s of %s -> %s of %s", p->disks[i].id, p->disks[i].from,
                tui_short(p->source).s, tui_plan_disk_store(p, i),
                tui_short(p->what == TUI_WHAT_STORAGE ? p->source : p->to).s);
    tui_add(d, TUI_PLAIN, 0, "    copies  memory %s, disks %s",
            drv_fmt_bytes(tui_number(p->prediction, "memory_bytes")).s,
            drv_fmt_bytes(tui_number(p->prediction, "disk_bytes")).s);
    if (p->what != TUI_WHAT_STORAGE)
        tui_add(d, TUI_PLAIN, 0, "    pause   at most %s, else cancelled",
                drv_fmt_ms((double)tui_number(p->prediction, "max_blackout_ms")).s);
    tui_add(d, TUI_PLAIN, 0, "The same on a command line:");
    tui_add_wrapped(d, TUI_HEAD, 4, "%s", command);
    if (p->start_err.code != DRV_OK)
        tui_add_wrapped(d, TUI_BAD, 0, "XX %s%s%s", p->start_err.msg,
                        p->start_err.hint[0] ? ". " : "", p->start_err.hint);
    tui_add(d, TUI_PLAIN, tui_id("go", "start"),
            p->starting ? ".. starting ..." : "[ Start the move ]");
    tui_add(d, TUI_PLAIN, tui_id("go", "check"), "[ Check only ] again, and change nothing");
    tui_add(d, TUI_PLAIN, tui_id("go", "copy"),
            "[ Copy command ] to the terminal's clipboard; it is printed on leaving, too");
}

static bool choose_summary(struct tui *t, uint32_t id)
{
    if (id == tui_id("go", "start"))
        tui_plan_start(t);
    if (id == tui_id("go", "check")) {
        tui_plan_changed(&t->plan);
        turn_to(t, TUI_PAGE_CHECK);
    }
    if (id == tui_id("go", "copy")) {
        tui_plan_command(&t->plan, t->copy, sizeof t->copy);
        DRV_COPY(t->keep, t->copy);
        tui_say(t, "Copied, if this terminal can; it is printed on leaving.");
    }
    return true;
}

// ---- the pages ----

static const struct page pages[TUI_PAGE_MAX_] = {
    [TUI_PAGE_VM] = {"VM", build_vm, choose_vm},
    [TUI_PAGE_WHAT] = {"What", build_what, choose_what},
    [TUI_PAGE_WHERE] = {"Where", build_where, choose_where},
    [TUI_PAGE_OPTIONS] = {"Options", build_options, choose_option},
    [TUI_PAGE_CHECK] = {"Check", build_check, choose_nothing},
    [TUI_PAGE_SUMMARY] = {"Summary", build_summary, choose_summary},
};

// The steps, and what was chosen in each.
static void add_steps(const struct tui_plan *p, struct tui_doc *d)
{
    static const char *const what[TUI_WHAT_MAX_] = {"memory", "memory and disks", "disks"};
    if (!tui_side_begin(d))
        return;
    for (int i = 0; i < TUI_PAGE_MAX_; i++) {
        bool here = i == (int)p->page, past = i < (int)p->page;
        const char *chosen = i == TUI_PAGE_VM     ? p->vm
                             : i == TUI_PAGE_WHAT ? (past || here ? what[p->what] : "")
                                                  : "";
        struct tui_name to = tui_short(p->to);
        if (i == TUI_PAGE_WHERE)
            chosen = to.s;
        tui_side_add(d,
                     here   ? TUI_HEAD
                     : past ? TUI_GOOD
                            : TUI_DIM,
                     "%s %s%s%.18s",
                     here   ? ">>"
                     : past ? "OK"
                            : "..",
                     pages[i].name, *chosen ? " " : "", chosen);
    }
}

static void build(struct tui *t, struct tui_doc *d)
{
    const struct tui_plan *p = &t->plan;
    size_t at = 0;
    add_steps(p, d);
    snprintf(d->title, sizeof d->title, "drover  Move %s", p->vm);
    if (p->to[0])
        at = strlen(d->title), snprintf(d->title + at, sizeof d->title - at, ": %s -> %s",
                                        tui_short(p->source).s, tui_short(p->to).s);
    snprintf(d->right, sizeof d->right, "step %d/%d  %s", (int)p->page + 1, (int)TUI_PAGE_MAX_,
             pages[p->page].name);
    if (p->vm[0] && p->page != TUI_PAGE_SUMMARY)
        tui_plan_command(p, d->cli, sizeof d->cli);
    pages[p->page].build(t, d);
    snprintf(d->stamp, sizeof d->stamp, "move %d %d %d %d", p->page, p->checked, p->starting,
             p->definition != NULL);
}

static void turn_to(struct tui *t, enum tui_page page)
{
    t->plan.page = page;
    tui_top(t)->focus = 0;
    tui_top(t)->top = 0;
    tui_top(t)->adrift = 0;
    tui_top(t)->filter[0] = '\0';
    if (page == TUI_PAGE_CHECK && !t->plan.checked && !t->plan.checking)
        tui_plan_check(t);
}

static void next(struct tui *t)
{
    uint32_t id;
    const char *missing = tui_plan_missing(t, t->plan.page, &id);
    if (missing) {
        tui_say(t, "%s", missing);
        if (id)
            tui_top(t)->focus = id;
    } else if (t->plan.page < TUI_PAGE_SUMMARY) {
        turn_to(t, t->plan.page + 1);
    }
}

static bool act(struct tui *t, enum tui_cmd cmd, uint32_t id)
{
    struct tui_plan *p = &t->plan;
    enum tui_page page = p->page;
    switch ((int)cmd) {
    case TUI_CHOOSE:
        return pages[page].choose(t, id);
    case TUI_ENTER:
        // On the options Enter goes on, so that a look at them changes nothing.
        if (page != TUI_PAGE_OPTIONS)
            pages[page].choose(t, id);
        if (page != TUI_PAGE_SUMMARY && !t->prompt.kind && !t->message[0])
            next(t);
        return true;
    case TUI_NEXT:
        next(t);
        return true;
    case TUI_BACK:
        if (p->page == TUI_PAGE_VM)
            return false;
        turn_to(t, p->page - 1);
        return true;
    case TUI_REFRESH:
        if (p->page == TUI_PAGE_CHECK)
            tui_plan_check(t);
        return p->page == TUI_PAGE_CHECK;
    default:
        return false;
    }
}

static const struct {
    enum tui_page page;
    const char *kind, *name; // as its id; NULL = any line of the page
    const char *text;
} explained[] = {
    {TUI_PAGE_VM, NULL, NULL, "The VM to move. It may run: it runs on while it moves."},
    {TUI_PAGE_WHAT, NULL, NULL,
     "What shall move. A VM whose disks all lie on the share needs to move its memory alone; with "
     "a "
     "disk in a folder of its host, the disks have to come along. Moving storage leaves the VM "
     "where "
     "it is."},
    {TUI_PAGE_WHERE, NULL, NULL,
     "Where to. A line that is greyed says why it cannot be: receiving is off, no slot is free, "
     "too "
     "little memory, no answer, or a store that cannot be reached."},
    {TUI_PAGE_OPTIONS, "opt", "keep",
     "Without this, the images at the source are deleted once the VM runs at the destination. Kept "
     "ones are renamed, cannot be started by mistake, and go when the time is over."},
    {TUI_PAGE_OPTIONS, "opt", "blackout",
     "For how long the guest may stand still at the end of the move, when the last memory goes "
     "over. "
     "Two seconds do not break connections. A busy guest on a slow link needs more."},
    {TUI_PAGE_OPTIONS, NULL, NULL,
     "Space goes through what can be chosen here: a disk's store, or the bridge that a network "
     "card "
     "is connected to at the destination."},
    {TUI_PAGE_CHECK, NULL, NULL,
     "What the agents found. XX blocks the move, !! does not. drover-troubleshooting(7) "
     "explains each by its id."},
    {TUI_PAGE_SUMMARY, "go", "check", "Asks both hosts once more, and changes nothing."},
    {TUI_PAGE_SUMMARY, "go", "copy",
     "The command that does the same, for a script or for later. It is sent to the clipboard of "
     "your "
     "terminal (OSC 52, which some terminals do not know) and printed when you leave."},
    {TUI_PAGE_SUMMARY, NULL, NULL,
     "Starts the move. The agents do it, also when you leave; it can be cancelled until the VM is "
     "switched over."},
};

static const char *explain(const struct tui *t, uint32_t id, char *ret, size_t size)
{
    (void)ret;
    (void)size;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(explained); i++)
        if (explained[i].page == t->plan.page &&
            (!explained[i].kind || tui_id(explained[i].kind, explained[i].name) == id))
            return explained[i].text;
    return NULL;
}

const struct tui_panel_def tui_panel_move = {
    "Move a VM",
    "Six steps: VM, what moves, where to, options, check, summary. Nothing happens before Start on "
    "the "
    "last one. Space chooses, Enter chooses and goes on, Esc goes back and keeps what was chosen. "
    "The "
    "line at the bottom is the same move as a command.",
    build,
    act,
    explain,
};
