// SPDX-License-Identifier: GPL-3.0-or-later
// Looking after running VMs: a drover-store that died is started anew on the same socket before
// QEMU's patience ends; a guest that stands still because its store was lost says why, and goes on
// when the store is back and the VM still ours.
#include <string.h>

#include "agent.h"
#include "disc.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "vm_event.h"
#include "vm_log.h"

enum { WATCH_EVERY_S = 2, RETRY_MS = 15000, BACK_RETRY_MS = 5000 };

// A person must look, an idle guest must not run on meanwhile. Most likely what the process that
// died had acknowledged and not flushed is gone: going on would lose what the guest was told is
// safe.
static void stop_guest(struct ha_vm *vm, const struct drv_err *why)
{
    struct drv_err err = DRV_ERR_INIT;
    char text[384];
    if (qmp_stop(vm->run.qemu->qmp, &err) < 0)
        drv_log_err(LOG_ERR, "vm.stop", &err);
    snprintf(text, sizeof text, "paused%s%s%s: %.300s", why->id[0] ? " (" : "", why->id,
             why->id[0] ? ")" : "", why->msg);
    ha_vm_publish(vm, NULL, 0, text);
}

// QEMU's patience had ended before the new process was there: the pause was for its sake alone.
static int end_io_error(struct ha_vm *vm, struct drv_err *err)
{
    struct ha_run *run = &vm->run;
    char state[32];
    bool running = false;
    if (qmp_status(run->qemu->qmp, state, sizeof state, &running, err) < 0)
        return -1;
    return strcmp(state, "io-error") ? 0 : ha_cont(vm->ha, run->qemu, run->owner, err);
}

// Get back what was lost, where that is right without a person: a dead process (QEMU sends again
// what it had no answer for; everything answered is durable or in the replay log), and the record
// of a VM with local disks only, whose guest does not depend on it outside a move.
static void revive(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    if (drv_now_ms() < vm->retry_ms)
        return;
    vm->retry_ms = drv_now_ms() + RETRY_MS;
    drv_log(LOG_WARNING, "vm.store.revive", F_STR("vm", vm->def.name));
    if (ha_owner_resume(vm->run.owner, vm->run.qemu->instance, &err) == 0 &&
        end_io_error(vm, &err) == 0) {
        ha_vm_publish(vm, NULL, 0, "");
        return;
    }
    drv_log_err(LOG_ERR, "vm.store.lost", &err);
    if (err.code == DRV_EATTENTION)
        stop_guest(vm, &err);
    else
        ha_vm_publish(vm, NULL, 0, err.msg);
}

// The store is back after it had been away for too long, and has made sure that the VM is still
// ours. The pause was its own doing, so ending it is, too; through the gate, as ever.
static void go_on(struct ha_vm *vm)
{
    struct ha_run *run = &vm->run;
    struct drv_err err = DRV_ERR_INIT;
    if (drv_now_ms() < vm->retry_ms)
        return;
    vm->retry_ms = drv_now_ms() + BACK_RETRY_MS;
    if (ha_owner_resume(run->owner, run->qemu->instance, &err) < 0 ||
        ha_cont(vm->ha, run->qemu, run->owner, &err) < 0) {
        drv_log_err(LOG_WARNING, "vm.store.back", &err);
        ha_vm_publish(vm, NULL, 0, err.msg);
        return;
    }
    drv_log(LOG_NOTICE, "vm.store.back", F_STR("vm", vm->def.name));
    ha_vm_publish(vm, "running", run->owner->rec.epoch, "");
}

static void say_why(struct ha_vm *vm, const char *lost)
{
    char why[384];
    snprintf(why, sizeof why,
             "paused (S14): %.240s; goes on by itself when its store is back, or with `drover vm "
             "start %s`",
             lost, vm->def.name);
    ha_vm_publish(vm, NULL, 0, why);
}

// Time does not mend it: fenced for good, or something that a person has to look at. The guest is
// paused.
static void say_attention(struct ha_vm *vm, const char *lost)
{
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    struct drv_err err = DRV_ERR_INIT;
    enum ha_trouble trouble = HA_TROUBLE_LOOK;
    char why[384];
    if (drv_now_ms() < vm->retry_ms)
        return;
    vm->retry_ms = drv_now_ms() + RETRY_MS;
    snprintf(why, sizeof why, "paused, and a person has to look: %.300s", lost);
    if (ha_whose(vm->ha, vm->def.uuid, rec, &err) >= 0 && rec->epoch > vm->run.owner->rec.epoch) {
        trouble = HA_TROUBLE_FENCED;
        snprintf(why, sizeof why,
                 "fenced (S07): %.150s has it (epoch %llu), and this copy can never run again; "
                 "`drover vm stop %s --force` ends it",
                 rec->host, (unsigned long long)rec->epoch, vm->def.name);
    }
    ha_vm_alarm(vm, trouble, why);
}

// It does not run, and nobody has said why.
static void explain(struct ha_vm *vm)
{
    struct drv_err ignored = DRV_ERR_INIT;
    char state[24];
    bool running = true;
    if (qmp_status(vm->run.qemu->qmp, state, sizeof state, &running, &ignored) < 0 || running)
        return;
    const char *words = ha_state_words(state);
    if (words)
        ha_vm_explain(vm, state, words);
}

// Does what is lost here make a process pause the guest?
static bool pauses(struct ha_owner *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        struct ss_proc_status st;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_owner_pauses(o, i) &&
            (ha_owner_status(o, i, &st, &err) < 0 || st.state == SS_PS_LOST))
            return true;
    }
    return false;
}

// What the processes say of the store, in one look at each.
struct look {
    bool dead, lost, back, attention;
    int64_t stalled_ms;
};

static struct look look_at(struct ha_owner *o)
{
    struct look l = {0};
    for (unsigned i = 0; i < o->n; i++) {
        struct ss_proc_status st;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_owner_status(o, i, &st, &err) < 0) {
            l.dead |= err.code == DRV_EUNREACHABLE;
            l.lost = true;
            continue;
        }
        l.lost |= st.state == SS_PS_LOST;
        l.attention |= st.state == SS_PS_LOST && st.attention;
        l.back |= st.state == SS_PS_HELD && st.guest_paused;
        if (st.stalled_ms > l.stalled_ms)
            l.stalled_ms = st.stalled_ms;
    }
    return l;
}

// Nothing is lost: the guest waits for the server, or nothing is to be said.
static void say_stalled(struct ha_vm *vm, int64_t stalled_ms)
{
    char why[128] = "";
    if (stalled_ms > 0)
        snprintf(why, sizeof why, "waiting for its file server since %lld s",
                 (long long)(stalled_ms + 999) / 1000);
    if (stalled_ms > 0 || vm->said_stalled)
        ha_vm_publish(vm, NULL, 0, why);
    vm->said_stalled = stalled_ms > 0;
}

// A disc's drover-store that died: it has nothing to lose, a new one is as good.
static void look_after_discs(struct ha_vm *vm)
{
    const struct ss_vmdef *def = &vm->run.qemu->def;
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        struct ha_image_at ignored;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_disc_open(vm->ha, def->uuid, &def->cdroms[i], false, &ignored, &err) < 0)
            drv_log_err(LOG_WARNING, "vm.disc.lost", &err);
    }
}

static void watch(void *arg)
{
    struct ha_vm *vm = arg;
    struct ha_run *run = &vm->run;
    char lost[300];
    ha_vmlog_collect(vm->ha, vm->def.uuid);
    if (run->qemu && !qmp_alive(run->qemu->qmp)) {
        if (drv_now_ms() < vm->retry_ms)
            return;
        vm->retry_ms = drv_now_ms() + RETRY_MS;
        ha_vm_look(vm);
        return;
    }
    if (!run->qemu || !run->owner || !ha_qemu_alive(run->qemu))
        return;
    struct look l = look_at(run->owner);
    if (l.dead)
        revive(vm);
    else if (l.attention && pauses(run->owner) && ha_owner_lost(run->owner, lost, sizeof lost))
        say_attention(vm, lost);
    else if (l.lost && ha_owner_lost(run->owner, lost, sizeof lost))
        pauses(run->owner) ? say_why(vm, lost) : revive(vm);
    else if (l.back)
        go_on(vm);
    else {
        vm->retry_ms = 0;
        say_stalled(vm, l.stalled_ms);
        look_after_discs(vm);
        explain(vm);
    }
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
