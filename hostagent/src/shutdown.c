// SPDX-License-Identifier: GPL-3.0-or-later
// Guests at host shutdown: see shutdown.h.
#include "shutdown.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "autostart.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "vm_log.h"

enum { LOCK_POLL_MS = 250 };

const char *ha_guest_end_name(enum ha_guest_end e)
{
    static const char *const names[] = {[HA_GUEST_OFF] = "off",
                                        [HA_GUEST_FORCED] = "forced",
                                        [HA_GUEST_LEFT] = "left",
                                        [HA_GUEST_GONE] = "gone",
                                        [HA_GUEST_FAILED] = "failed"};
    _Static_assert(DRV_ARRAY_LEN(names) == HA_GUEST_END_MAX_, "a name per end");
    return names[e];
}

struct all {
    struct ha *ha;
    int64_t begun_ms, deadline_ms;
    void (*said)(const struct ha_guest *g, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned pending;
};

struct one {
    struct all *all;
    struct ha_guest *g;
    char want[16]; // on_host_shutdown
    unsigned timeout_s;
};

// --- one guest, on a worker ---

// A VM that is being moved or changed: what is done with it may end in time.
static struct ha_vm *lock_in_time(struct one *o, struct drv_err *err)
{
    for (;;) {
        drv_err_clear(err);
        struct ha_vm *vm = ha_vm_lock(o->all->ha, o->g->uuid, "host shutdown", err);
        if (vm || err->code != DRV_EBUSY || drv_now_ms() >= o->all->deadline_ms)
            return vm;
        drv_sleep_ms(LOCK_POLL_MS);
    }
}

static int wait_s(const struct one *o)
{
    int64_t left_s = (o->all->deadline_ms - drv_now_ms() + 999) / 1000;
    if (left_s > o->timeout_s)
        left_s = o->timeout_s;
    return left_s > 0 ? (int)left_s : 0;
}

static enum ha_guest_end end_it(struct one *o, struct ha_vm *vm, struct drv_err *err)
{
    bool force = !strcmp(o->want, "force");
    ha_vmlog(vm->ha, vm->def.uuid, "shutdown, as its host shuts down");
    if (ha_vm_shut(vm, false, wait_s(o), err) == 0)
        return HA_GUEST_OFF;
    if (!vm->run.qemu || !force) // without QEMU: only the record is amiss
        return HA_GUEST_FAILED;
    snprintf(o->g->msg, sizeof o->g->msg, "%s", err->msg);
    ha_vmlog(vm->ha, vm->def.uuid, "the plug is pulled: %s", err->msg);
    drv_err_clear(err);
    return ha_vm_shut(vm, true, 0, err) == 0 ? HA_GUEST_FORCED : HA_GUEST_FAILED;
}

static enum ha_guest_end deal_with(struct one *o, struct drv_err *err)
{
    if (!strcmp(o->want, "leave")) {
        drv_err(err, DRV_ESTATE, "on_host_shutdown=leave");
        return HA_GUEST_LEFT;
    }
    struct ha_vm *vm = lock_in_time(o, err);
    if (!vm)
        return err->code == DRV_ENOTFOUND ? HA_GUEST_GONE : HA_GUEST_FAILED;
    enum ha_guest_end end = vm->run.qemu ? end_it(o, vm, err) : HA_GUEST_OFF;
    ha_vm_unlock(vm);
    return end;
}

static void guest(void *arg)
{
    struct one *o = arg;
    struct all *all = o->all;
    struct ha_guest *g = o->g;
    struct drv_err err = DRV_ERR_INIT;
    char reason[sizeof g->msg + 32];
    g->end = deal_with(o, &err);
    if (err.code != DRV_OK)
        DRV_COPY(g->msg, err.msg);
    g->took_ms = drv_now_ms() - all->begun_ms;
    snprintf(reason, sizeof reason, "%s%s%s", ha_guest_end_name(g->end), g->msg[0] ? ": " : "",
             g->msg);
    ha_audit_self(all->ha, "host.shutdown_guests", g->name, true, reason);
    drv_log(LOG_NOTICE, "shutdown.guest", F_STR("vm", g->name), F_STR("end", reason),
            F_INT("took_ms", g->took_ms));
    pthread_mutex_lock(&all->lock);
    if (all->said)
        all->said(g, all->arg);
    all->pending--;
    pthread_cond_signal(&all->ended);
    pthread_mutex_unlock(&all->lock);
}

// --- all of them ---

struct list_call {
    struct ha *ha;
    struct one *list;
    struct ha_guest *guests;
    unsigned n;
};

static void list_on_loop(void *arg)
{
    struct list_call *c = arg;
    unsigned max = 0;
    for (const struct ha_vm *vm = c->ha->vms; vm; vm = vm->next)
        max++;
    c->list = drv_xcalloc(max + 1, sizeof *c->list);
    c->guests = drv_xcalloc(max + 1, sizeof *c->guests);
    for (const struct ha_vm *vm = c->ha->vms; vm; vm = vm->next) {
        if (!vm->pid && !vm->busy[0]) // off; one that is busy may be about to run
            continue;
        struct one *o = &c->list[c->n];
        o->g = &c->guests[c->n++];
        DRV_COPY(o->g->name, vm->def.name);
        DRV_COPY(o->g->uuid, vm->def.uuid);
        DRV_COPY(o->want, vm->def.on_host_shutdown);
        o->timeout_s = vm->def.shutdown_timeout_s;
    }
}

void ha_shutdown_guests(struct ha *ha, int64_t wait_ms,
                        void (*said)(const struct ha_guest *g, void *arg), void *arg,
                        struct ha_guest **ret, unsigned *ret_n)
{
    struct list_call c = {.ha = ha};
    struct all all = {.ha = ha, .said = said, .arg = arg, .begun_ms = drv_now_ms()};
    all.deadline_ms = all.begun_ms + wait_ms;
    ha_autostart_cancel(ha);
    drv_loop_call(ha->loop, list_on_loop, &c);
    pthread_mutex_init(&all.lock, NULL);
    pthread_cond_init(&all.ended, NULL);
    all.pending = c.n;
    for (unsigned i = 0; i < c.n; i++) {
        c.list[i].all = &all;
        if (drv_work(ha->loop, guest, NULL, &c.list[i]) < 0)
            guest(&c.list[i]); // no thread: here, before the others that follow
    }
    pthread_mutex_lock(&all.lock);
    while (all.pending > 0)
        pthread_cond_wait(&all.ended, &all.lock);
    pthread_mutex_unlock(&all.lock);
    pthread_cond_destroy(&all.ended);
    pthread_mutex_destroy(&all.lock);
    free(c.list);
    *ret = c.guests;
    *ret_n = c.n;
}
