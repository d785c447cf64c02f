// SPDX-License-Identifier: GPL-3.0-or-later
// Stopping a VM, and cleaning up after one that ended by itself.
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "vm_log.h"

// After a lost session: is the VM another host's by now (rule 4)? Then nothing is ours to write.
static bool taken_by_another(struct ha_vm *vm, const struct ha_owner *o)
{
    struct drv_err ignored = DRV_ERR_INIT;
    struct ss_record now;
    bool held;
    struct ss_store *arbiter = ha_arbiter_open(vm->ha, &ignored);
    bool taken = arbiter && ss_record_peek(arbiter, o->uuid, &now, &held, &ignored) == 0 &&
                 now.epoch > o->rec.epoch;
    ss_store_close(arbiter);
    return taken;
}

// QEMU is gone: say "stopped" in the record if it is still ours to say.
static int say_stopped(struct ha_vm *vm, struct ha_owner *o, struct drv_err *err)
{
    char why[300];
    bool written = false;
    if (!o->rec_valid || o->rec.state != SS_REC_RUNNING || o->unsettled[0] ||
        strcmp(o->rec.host, vm->ha->fqdn) != 0)
        return 0;
    if (ha_owner_lost(o, why, sizeof why)) {
        if (taken_by_another(vm, o))
            return 0;
        if (ha_owner_resume(o, o->rec.instance, err) < 0)
            return drv_err_prefix(err,
                                  "VM %s is off, but its owner record still says that it runs "
                                  "here",
                                  vm->def.name);
    }
    return ha_owner_release(o, SS_REC_STOPPED, "", "", &written, err);
}

// Say "stopped" in the record, then end the drover-stores.
static int let_go(struct ha_vm *vm, struct drv_err *err)
{
    struct ha_owner *o = vm->run.owner;
    if (!o)
        return 0;
    vm->run.owner = NULL;
    int rc = say_stopped(vm, o, err);
    struct drv_err later = DRV_ERR_INIT;
    if (ha_owner_quit(o, rc < 0 ? &later : err) < 0)
        rc = -1;
    return rc;
}

int ha_vm_ended(struct ha_vm *vm, struct drv_err *err)
{
    struct ha_qemu *qemu = vm->run.qemu;
    char last[200] = "";
    int rc = 0;
    if (qemu) {
        if (ha_qemu_quit(qemu, err) < 0)
            return -1; // stuck in the kernel: its disks must not be let go
        ha_qemu_free(qemu);
        vm->run.qemu = NULL;
    }
    rc = let_go(vm, err);
    if (rc < 0)
        snprintf(last, sizeof last, "the owner record could not be set to stopped: %.120s",
                 err ? err->msg : "");
    ha_vm_publish(vm, "stopped", 0, last);
    ha_vm_dir_end(vm->ha, vm->def.uuid);
    return rc;
}

static int wait_end(struct ha_qemu *qemu, int timeout_s)
{
    int64_t deadline = drv_now_ms() + (int64_t)timeout_s * 1000;
    while (ha_qemu_alive(qemu)) {
        if (drv_now_ms() >= deadline)
            return -1;
        drv_sleep_ms(50);
    }
    return 0;
}

// A paused guest cannot notice its power button.
static int check_listening(struct ha_vm *vm, struct drv_err *err)
{
    char state[32];
    bool running = false;
    if (qmp_status(vm->run.qemu->qmp, state, sizeof state, &running, err) < 0)
        return -1;
    if (running)
        return 0;
    drv_err(err, DRV_ESTATE, "VM %s is paused (%s) and cannot shut down", vm->def.name, state);
    drv_err_id(err, "G02");
    return drv_err_hint(err,
                        "resume it: drover vm start %s; or pull the plug: drover vm stop %s "
                        "--force",
                        vm->def.name, vm->def.name);
}

// Until QEMU has ended, or is to be ended.
static int ask(struct ha_vm *vm, bool force, int timeout_s, struct drv_err *err)
{
    struct ha_qemu *qemu = vm->run.qemu;
    if (!qemu) {
        drv_err(err, DRV_ESTATE, "VM %s is not running on %s", vm->def.name, vm->ha->fqdn);
        return drv_err_id(err, "G03");
    }
    if (!force && ha_qemu_alive(qemu)) {
        if (check_listening(vm, err) < 0)
            return -1;
        if (qmp_powerdown(qemu->qmp, err) < 0)
            return -1;
        if (wait_end(qemu, timeout_s) < 0) {
            drv_err(err, DRV_ETIMEDOUT, "VM %s did not shut down within %d s", vm->def.name,
                    timeout_s);
            return drv_err_hint(err,
                                "its system may ignore the power button: drover vm stop %s "
                                "--force pulls the plug",
                                vm->def.name);
        }
    }
    return 0;
}

int ha_vm_shut(struct ha_vm *vm, bool force, int timeout_s, struct drv_err *err)
{
    return ask(vm, force, timeout_s, err) < 0 ? -1 : ha_vm_ended(vm, err);
}

int ha_vm_stop(struct ha_vm *vm, bool force, int timeout_s, struct drv_err *err)
{
    if (ask(vm, force, timeout_s, err) < 0)
        return -1;
    int rc = ha_vm_ended(vm, err);
    struct drv_err later = DRV_ERR_INIT;
    if (db_vm_set_wanted(vm->ha->db, vm->def.uuid, false, rc < 0 ? &later : err) < 0)
        rc = -1;
    return rc;
}

// --- a QEMU that ended by itself ---

// The monitor's connection broke, but QEMU lives: the guest must not die of that.
static void reconnect(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    struct qmp_handlers handlers;
    char dir[256];
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    struct ha_qemu *again = ha_qemu_attach(dir, ha_vm_handlers(vm, &handlers), &err);
    drv_log(LOG_WARNING, "vm.monitor.lost", F_STR("vm", vm->def.name), F_STR("msg", err.msg));
    if (!again) {
        ha_vm_publish(vm, "unknown", 0, err.msg);
        return;
    }
    ha_qemu_free(vm->run.qemu);
    vm->run.qemu = again;
}

void ha_vm_look(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ha_qemu *qemu = vm->run.qemu;
    if (qemu && qemu->qmp && qmp_alive(qemu->qmp))
        return; // what ended was this one's predecessor
    // The process may take a moment after its monitor closed.
    if (qemu && wait_end(qemu, 5) < 0) {
        reconnect(vm);
        return;
    }
    drv_log(LOG_NOTICE, "vm.ended", F_STR("vm", vm->def.name));
    ha_vmlog(vm->ha, vm->def.uuid, "QEMU has ended");
    if (ha_vm_ended(vm, &err) < 0)
        drv_log_err(LOG_ERR, "vm.ended.cleanup", &err);
}

static void reap(void *arg)
{
    ha_vm_look(arg);
}

static void reaped(void *arg)
{
    ha_vm_unlock(arg);
}

void ha_vm_reap(struct ha_vm *vm)
{
    vm->ended = false;
    DRV_COPY(vm->busy, "cleaning up");
    if (drv_work(vm->ha->loop, reap, reaped, vm) < 0) {
        vm->busy[0] = '\0';
        vm->ended = true; // no thread: looked at again with the next watch
    }
}
