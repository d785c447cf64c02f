// SPDX-License-Identifier: GPL-3.0-or-later
// Looking after running VMs: a drover-store that died is started anew on the same socket before
// QEMU's patience ends; a guest that stands still because its store was lost says why.
#include <string.h>

#include "agent.h"
#include "drover/log.h"
#include "drover/worker.h"

enum { WATCH_EVERY_S = 2, RETRY_MS = 15000 };

// Get back what was lost, where that is right without a person: a dead process (QEMU sends again
// what it had no answer for; everything answered was durable), and the record of a VM with local
// disks only, whose guest does not depend on it outside a move.
static void revive(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    if (drv_now_ms() < vm->retry_ms)
        return;
    vm->retry_ms = drv_now_ms() + RETRY_MS;
    drv_log(LOG_WARNING, "vm.store.revive", F_STR("vm", vm->def.name));
    if (ha_owner_resume(vm->run.owner, vm->run.qemu->instance, &err) == 0) {
        ha_vm_publish(vm, NULL, 0, "");
        return;
    }
    drv_log_err(LOG_ERR, "vm.store.lost", &err);
    ha_vm_publish(vm, NULL, 0, err.msg);
}

static void say_why(struct ha_vm *vm, const char *lost)
{
    char why[384];
    snprintf(why, sizeof why,
             "paused (S14): %.240s; `drover vm start %s` goes on when its store is back", lost,
             vm->def.name);
    ha_vm_publish(vm, NULL, 0, why);
}

static void watch(void *arg)
{
    struct ha_vm *vm = arg;
    struct ha_run *run = &vm->run;
    char lost[300];
    if (run->qemu && !qmp_alive(run->qemu->qmp)) {
        if (drv_now_ms() < vm->retry_ms)
            return;
        vm->retry_ms = drv_now_ms() + RETRY_MS;
        ha_vm_look(vm);
        return;
    }
    if (!run->qemu || !run->owner || !ha_qemu_alive(run->qemu))
        return;
    for (unsigned i = 0; i < run->owner->n; i++) {
        struct ss_proc_status st;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_owner_status(run->owner, i, &st, &err) < 0 && err.code == DRV_EUNREACHABLE) {
            revive(vm);
            return;
        }
    }
    if (!ha_owner_lost(run->owner, lost, sizeof lost))
        vm->retry_ms = 0;
    else if (ha_owner_guards(run->owner))
        say_why(vm, lost);
    else
        revive(vm);
}

static void watched(void *arg)
{
    ha_vm_unlock(arg);
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ha *ha = arg;
    for (struct ha_vm *vm = ha->vms; vm; vm = vm->next) {
        if (!vm->busy[0] && vm->ended)
            ha_vm_reap(vm);
        if (vm->busy[0] || !vm->pid)
            continue;
        DRV_COPY(vm->busy, HA_BUSY_WATCH);
        if (drv_work(ha->loop, watch, watched, vm) < 0)
            vm->busy[0] = '\0';
    }
}

struct event *ha_watch_start(struct ha *ha)
{
    const struct timeval every = {WATCH_EVERY_S, 0};
    struct event *e = event_new(drv_loop_base(ha->loop), -1, EV_PERSIST, tick, ha);
    if (e)
        event_add(e, &every);
    return e;
}
