// SPDX-License-Identifier: GPL-3.0-or-later
// Autostart: see autostart.h; what is decided is in autostart_rules.c.
//
// A timer of the loop begins one step after the other: a worker takes the next VM in order and
// starts it, or says why not. VMs that cannot be started now are tried again in rounds, for so long
// as the setting autostart_wait says.
#include "autostart.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "autostart_rules.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "vm_log.h"

enum { TICK_S = 1, ROUND_EVERY_MS = 10000 };

#define KEY ".autostart" // in the table of settings: no setting has such a name
#define ACTION "autostart"
#define WAITS "autostart waits: "

struct ha_autostart {
    struct ha *ha;
    struct event *timer;
    struct ha_boot_list left; // loop thread
    bool busy, ended;
    int64_t next_ms, give_up_ms;
    // The step under way: the worker's.
    char tried[512][DRV_UUID_LEN]; // in this round
    unsigned n_tried;
    int64_t pause_ms; // what it asks for before the next one
    bool round_over;
};

// --- the list, on the loop and in the database ---

static void save(struct ha_autostart *a, const struct ha_boot_list *l)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *text = ha_boot_list_text(l);
    if (db_setting_set(a->ha->db, KEY, text, &err) < 0)
        drv_log_err(LOG_ERR, "autostart.save", &err);
}

struct list_call {
    struct ha_autostart *a;
    const char *remove; // NULL = nothing
    struct ha_boot_list copy;
};

static void list_on_loop(void *arg)
{
    struct list_call *c = arg;
    const struct ha_boot_list *l = &c->a->left;
    if (c->remove)
        ha_boot_list_remove(&c->a->left, c->remove);
    DRV_COPY(c->copy.boot_id, l->boot_id);
    c->copy.uuids = drv_xcalloc(l->n + 1, sizeof *l->uuids);
    memcpy(c->copy.uuids, l->uuids ? l->uuids[0] : "", l->n * sizeof *l->uuids);
    c->copy.n = l->n;
}

static void dealt_with(struct ha_autostart *a, const char *uuid)
{
    struct list_call c = {.a = a, .remove = uuid};
    drv_loop_call(a->ha->loop, list_on_loop, &c);
    save(a, &c.copy);
    ha_boot_list_done(&c.copy);
}

// --- which one is next ---

struct next_call {
    struct ha_autostart *a;
    char uuid[DRV_UUID_LEN]; // "" = none in this round
    bool known;              // its definition is
    unsigned order;
    char name[SS_NAME_MAX];
};

static bool was_tried(const struct ha_autostart *a, const char *uuid)
{
    for (unsigned i = 0; i < a->n_tried; i++)
        if (!strcmp(a->tried[i], uuid))
            return true;
    return false;
}

static void mark_tried(struct ha_autostart *a, const char *uuid)
{
    if (a->n_tried < DRV_ARRAY_LEN(a->tried))
        DRV_COPY(a->tried[a->n_tried++], uuid);
}

static bool is_known(const struct ha_vm *vm)
{
    return vm && vm->def.machine[0];
}

// First those whose definition is not known: until it is, nothing is in order. Then by order and
// name.
static bool is_before(const struct next_call *one, const struct next_call *other)
{
    if (one->known != other->known)
        return !one->known;
    if (one->order != other->order)
        return one->order < other->order;
    return strcmp(one->name, other->name) < 0;
}

static void next_on_loop(void *arg)
{
    struct next_call *best = arg;
    const struct ha_boot_list *l = &best->a->left;
    for (unsigned i = 0; i < l->n; i++) {
        const struct ha_vm *vm = ha_vm_find(best->a->ha, l->uuids[i]);
        struct next_call one = {.a = best->a, .known = is_known(vm)};
        DRV_COPY(one.uuid, l->uuids[i]);
        DRV_COPY(one.name, vm ? vm->def.name : "");
        one.order = one.known ? vm->def.start_order : 0;
        if (!was_tried(best->a, one.uuid) && (!best->uuid[0] || is_before(&one, best)))
            *best = one;
    }
}

struct store_call {
    struct ha_autostart *a;
    const char *store, *why; // that it does not answer
};

static void store_on_loop(void *arg)
{
    struct store_call *c = arg;
    for (unsigned i = 0; i < c->a->left.n; i++) {
        struct ha_vm *vm = ha_vm_find(c->a->ha, c->a->left.uuids[i]);
        if (!vm || is_known(vm) || strcmp(vm->home_store, c->store) != 0 ||
            was_tried(c->a, vm->def.uuid))
            continue;
        DRV_COPY(vm->why, c->why);
        mark_tried(c->a, vm->def.uuid);
    }
}

// --- one VM ---

static void decided(struct ha_vm *vm, bool started, const char *why)
{
    struct ha *ha = vm->ha;
    drv_log(LOG_NOTICE, "autostart", F_STR("vm", vm->def.name), F_INT("started", started),
            F_STR("why", why));
    ha_audit_self(ha, ACTION, vm->def.name, started, why);
    if (!started)
        ha_vm_publish(vm, NULL, 0, why);
}

static void say_waits(const struct ha_autostart *a, const char *why, char *ret, size_t size)
{
    int64_t left_min = (a->give_up_ms - drv_now_ms() + 59999) / 60000;
    snprintf(ret, size, WAITS "%.280s; it tries for %lld more min", why,
             (long long)(left_min > 0 ? left_min : 0));
}

static void wait_for(const struct ha_autostart *a, struct ha_vm *vm, const char *why)
{
    char text[384];
    say_waits(a, why, text, sizeof text);
    ha_vm_publish(vm, NULL, 0, text);
}

static enum ha_autostart_word judge(struct ha_vm *vm, char *why, size_t size)
{
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_autostart_case c = {.host = vm->ha->fqdn,
                                  .name = vm->def.name,
                                  .was_running = vm->wanted_running,
                                  .def = &vm->def,
                                  .err = &err};
    if ((vm->def.autostart || vm->wanted_running) && ha_whose(vm->ha, vm->def.uuid, rec, &err) >= 0)
        c.rec = rec;
    return ha_autostart_judge(&c, why, size);
}

// The definition, which could not be read when the agent started. The others of its store are not
// asked for in this round: should the store come back in the middle of it, the first would be last.
static bool get_known(struct ha_autostart *a, struct ha_vm *vm)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    struct drv_err err = DRV_ERR_INIT;
    char why[384], waits[384];
    if (ha_vm_read_def(vm->ha, vm->home_store, vm->home, def, &err) == 0) {
        ha_vm_set_def(vm, def, vm->home_store, vm->home);
        return true;
    }
    ha_autostart_judge(&(struct ha_autostart_case){.err = &err}, why, sizeof why);
    wait_for(a, vm, why);
    say_waits(a, why, waits, sizeof waits);
    drv_loop_call(a->ha->loop, store_on_loop, &(struct store_call){a, vm->home_store, waits});
    return false;
}

// False: to be tried again.
static bool start_one(struct ha_autostart *a, struct ha_vm *vm)
{
    static const struct ha_start_opts plain = {.take_over = false};
    struct drv_err err = DRV_ERR_INIT;
    ha_vmlog(vm->ha, vm->def.uuid, "start, as its host has booted");
    if (ha_vm_start(vm, &plain, &err) == 0) {
        a->pause_ms = (int64_t)vm->def.start_delay_s * 1000;
        decided(vm, true, "its host has booted");
        return true;
    }
    if (ha_autostart_again(&err)) {
        wait_for(a, vm, err.msg);
        return false;
    }
    char why[384];
    snprintf(why, sizeof why, "not started with its host: %.300s", err.msg);
    decided(vm, false, why);
    return true;
}

// False: to be tried again.
static bool deal_with(struct ha_autostart *a, struct ha_vm *vm)
{
    char why[384];
    if (vm->run.qemu) // a person was faster, or the boot was none
        return true;
    switch (judge(vm, why, sizeof why)) {
    case HA_AUTO_START:
        return start_one(a, vm);
    case HA_AUTO_LATER:
        wait_for(a, vm, why);
        return false;
    case HA_AUTO_NOT:
    default:
        if (why[0])
            decided(vm, false, why);
        return true;
    }
}

static void give_up(struct ha_autostart *a, struct ha_vm *vm)
{
    char why[384], now[384];
    ha_vm_why(vm, now, sizeof now);
    bool known = !strncmp(now, WAITS, strlen(WAITS));
    const char *last = known ? now + strlen(WAITS) : "in vain";
    snprintf(why, sizeof why, "autostart has given up: %.*s; `drover vm start %.64s` tries again",
             (int)strcspn(last, ";"), last, vm->def.name);
    decided(vm, false, why);
    dealt_with(a, vm->def.uuid);
}

static void step(void *arg)
{
    struct ha_autostart *a = arg;
    struct next_call next = {.a = a};
    struct drv_err err = DRV_ERR_INIT;
    a->pause_ms = 0;
    drv_loop_call(a->ha->loop, next_on_loop, &next);
    a->round_over = !next.uuid[0] || a->n_tried == DRV_ARRAY_LEN(a->tried);
    if (a->round_over) {
        a->n_tried = 0;
        return;
    }
    struct ha_vm *vm = ha_vm_lock(a->ha, next.uuid, "starting", &err);
    if (!vm && err.code == DRV_ENOTFOUND) { // it has moved or was deleted
        dealt_with(a, next.uuid);
        return;
    }
    if (vm && !next.known && get_known(a, vm)) { // now it has its place in the order
        ha_vm_unlock(vm);
        return;
    }
    mark_tried(a, next.uuid);
    if (vm && next.known && deal_with(a, vm))
        dealt_with(a, next.uuid);
    else if (vm && drv_now_ms() >= a->give_up_ms)
        give_up(a, vm);
    ha_vm_unlock(vm);
}

// --- the timer ---

static void stepped(void *arg)
{
    struct ha_autostart *a = arg;
    a->busy = false;
    a->next_ms = drv_now_ms() + (a->round_over ? ROUND_EVERY_MS : a->pause_ms);
    if (a->left.n == 0)
        event_del(a->timer);
    else if (!a->ended && !a->round_over && a->pause_ms == 0)
        event_active(a->timer, EV_TIMEOUT, 0); // the next at once
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ha_autostart *a = arg;
    if (a->busy || a->ended || a->left.n == 0 || drv_now_ms() < a->next_ms)
        return;
    a->busy = drv_work(a->ha->loop, step, stepped, a) == 0;
}

static void begin_on_loop(void *arg)
{
    struct ha_autostart *a = arg;
    const struct timeval every = {TICK_S, 0};
    a->ha->autostarts = a;
    a->give_up_ms = drv_now_ms() + a->ha->settings.autostart_wait_ms;
    a->timer = event_new(drv_loop_base(a->ha->loop), -1, EV_PERSIST, tick, a);
    if (!a->timer)
        abort();
    if (a->left.n > 0 && a->ha->server) { // else the agent is ending already
        event_add(a->timer, &every);
        event_active(a->timer, EV_TIMEOUT, 0);
    }
}

void ha_autostart_begin(struct ha *ha)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_vms rows = {0};
    char *kept = NULL;
    if (db_setting_get(ha->db, KEY, &kept, &err) < 0 || db_vm_list(ha->db, &rows, &err) < 0) {
        drv_log_err(LOG_ERR, "autostart.load", &err);
        free(kept);
        return; // better none than those that had their turn
    }
    char(*uuids)[DRV_UUID_LEN] = drv_xcalloc(rows.n + 1, sizeof *uuids);
    for (unsigned i = 0; i < rows.n; i++)
        DRV_COPY(uuids[i], rows.list[i].uuid);
    struct ha_autostart *a = drv_xcalloc(1, sizeof *a);
    a->ha = ha;
    ha_boot_list_make(kept, ha->boot_id, (const char(*)[DRV_UUID_LEN])uuids, rows.n, &a->left);
    save(a, &a->left);
    if (a->left.n > 0)
        drv_log(LOG_NOTICE, "autostart.begin", F_STR("boot", ha->boot_id), F_INT("vms", a->left.n));
    free(uuids);
    free(kept);
    db_vms_done(&rows);
    drv_loop_call(ha->loop, begin_on_loop, a);
}

// --- others' words ---

struct find_call {
    struct ha *ha;
    const char *uuid; // NULL = all
    bool listed;
};

static void find_on_loop(void *arg)
{
    struct find_call *c = arg;
    struct ha_autostart *a = c->ha->autostarts;
    for (unsigned i = 0; a && c->uuid && i < a->left.n; i++)
        c->listed |= !strcmp(a->left.uuids[i], c->uuid);
    if (a && !c->uuid) {
        c->listed = a->left.n > 0;
        a->left.n = 0;
    }
}

void ha_autostart_forget(struct ha *ha, const char *uuid)
{
    struct find_call c = {.ha = ha, .uuid = uuid};
    drv_loop_call(ha->loop, find_on_loop, &c);
    if (c.listed)
        dealt_with(ha->autostarts, uuid);
}

void ha_autostart_cancel(struct ha *ha)
{
    struct find_call c = {.ha = ha};
    drv_loop_call(ha->loop, find_on_loop, &c);
    if (c.listed)
        dealt_with(ha->autostarts, "");
}

void ha_autostart_stop(struct ha *ha)
{
    if (!ha->autostarts)
        return;
    ha->autostarts->ended = true;
    event_del(ha->autostarts->timer);
}

void ha_autostart_free(struct ha *ha)
{
    struct ha_autostart *a = ha->autostarts;
    if (!a)
        return;
    event_free(a->timer);
    ha_boot_list_done(&a->left);
    free(a);
    ha->autostarts = NULL;
}
