// SPDX-License-Identifier: GPL-3.0-or-later
// Finding VMs again when the agent starts: definitions from the database and the stores' cache,
// processes from the run directories. A VM outlives its agent, so nothing here touches a guest.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "drover/file.h"
#include "drover/log.h"
#include "move.h"
#include "qmp_migrate.h"
#include "vm_panic.h"

void ha_vm_dir_remove(const char *dir)
{
    if (drv_tree_remove(dir) < 0)
        drv_log(LOG_WARNING, "vm.dir.left", F_STR("path", dir));
}

// A migration without a move that steers it (the agent ended meanwhile) would hold the guest for
// ever. The record and the images are still held here, so QEMU resuming the guest by itself is
// right; after a release QEMU has completed and there is nothing to cancel.
static void cancel_orphan(struct ha_vm *vm)
{
    struct qmp_mig_info info;
    struct drv_err err = DRV_ERR_INIT;
    struct qmp *q = vm->run.qemu->qmp;
    char state[24];
    if (qmp_status(q, state, sizeof state, NULL, &err) < 0 || !strcmp(state, "inmigrate") ||
        qmp_mig_query(q, &info, &err) < 0 || info.status == QMP_MIG_NONE ||
        (QMP_MIG_BIT(info.status) & QMP_MIG_FINAL))
        return;
    drv_log(LOG_WARNING, "vm.attach.migration", F_STR("vm", vm->def.name),
            F_STR("status", qmp_mig_status_name(info.status)));
    if (qmp_mig_cancel(q, &err) < 0 || qmp_mig_wait(q, QMP_MIG_FINAL, 10000, &info, &err) < 0)
        drv_log_err(LOG_ERR, "vm.attach.migration", &err);
}

// A VM that does not run here: by now it may be another host's, as after a take-over while this one
// was down.
static void say_where(struct ha_vm *vm)
{
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    struct drv_err err = DRV_ERR_INIT;
    char why[384];
    int ours = ha_whose(vm->ha, vm->def.uuid, rec, &err);
    if (ours == 1)
        return;
    if (ours == 0)
        snprintf(
            why, sizeof why,
            "%.200s has it (epoch %llu); `drover vm delete %.64s --keep-disks` forgets it here",
            rec->host, (unsigned long long)rec->epoch, vm->def.name);
    else
        snprintf(why, sizeof why, "whose it is cannot be found out: %.300s", err.msg);
    drv_log(LOG_NOTICE, "vm.attach.whose", F_STR("vm", vm->def.name), F_STR("why", why));
    ha_vm_publish(vm, NULL, 0, why);
}

// True: it does not run here, and all that was left of it is gone.
static bool attach_process(struct ha_vm *vm)
{
    struct drv_err err = DRV_ERR_INIT;
    struct qmp_handlers handlers;
    char dir[256], state[24] = "unknown";
    bool running = false;
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    vm->run.qemu = ha_qemu_attach(dir, ha_vm_handlers(vm, &handlers), &err);
    if (!vm->run.qemu) {
        if (err.code != DRV_ENOTFOUND) {
            ha_vm_publish(vm, "unknown", 0, err.msg);
            drv_log_err(LOG_ERR, "vm.attach", &err);
            return false;
        }
        drv_err_clear(&err);
        // QEMU ended while nobody looked. Its stores may still hold record and images.
        vm->run.owner = ha_owner_attach(vm->ha, &vm->def, &err);
        drv_err_clear(&err);
        if (!drv_may(dir, F_OK)) {
            ha_vm_publish(vm, "stopped", 0, NULL);
        } else if (ha_vm_ended(vm, &err) < 0) {
            drv_log_err(LOG_WARNING, "vm.attach.cleanup", &err);
            return false;
        }
        return true;
    }
    cancel_orphan(vm);
    if (qmp_status(vm->run.qemu->qmp, state, sizeof state, &running, &err) < 0)
        drv_log_err(LOG_ERR, "vm.attach.status", &err);
    vm->run.owner = ha_owner_attach(vm->ha, &vm->run.qemu->def, &err);
    ha_vm_set_def(vm, &vm->run.qemu->def, vm->home_store, vm->home);
    uint64_t epoch = vm->run.qemu->epoch;
    if (vm->run.owner && vm->run.owner->rec_valid && vm->run.owner->rec.epoch > epoch)
        epoch = vm->run.owner->rec.epoch;
    ha_panic_recall(vm);
    ha_vm_publish(vm, state, epoch, vm->run.owner ? "" : err.msg);
    drv_log(LOG_NOTICE, "vm.attached", F_STR("vm", vm->def.name), F_STR("state", state),
            F_INT("pid", vm->run.qemu->pid));
    return false;
}

int ha_vm_read_def(struct ha *ha, const char *home_store, const char *home, struct ss_vmdef *ret,
                   struct drv_err *err)
{
    struct ss_store *st = ha_store_open(ha, home_store, NULL, err);
    if (!st)
        return -1;
    char path[SS_PATH_MAX];
    size_t len = 0;
    char *text = NULL;
    if (snprintf(path, sizeof path, "%s/vm.json", home) < (int)sizeof path)
        text = ss_read(st, path, SS_VMDEF_MAX_BYTES, &len, err);
    ss_store_close(st);
    if (!text)
        return -1;
    int rc = ss_vmdef_parse(text, len, ret, err);
    free(text);
    return rc;
}

// What the database knows, so that every VM is in the table (busy) before the first call comes.
static int add_row(struct ha *ha, const struct db_vm *row, struct drv_err *err)
{
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    DRV_COPY(def->uuid, row->uuid);
    DRV_COPY(def->name, row->name);
    struct ha_vm *vm = ha_vm_add(ha, def, row->home_store, row->home_path, HA_BUSY_ATTACH, err);
    if (!vm)
        return -1;
    vm->wanted_running = row->wanted_running;
    ha_vm_publish(vm, "unknown", row->last_epoch, NULL);
    return 0;
}

int ha_vms_load(struct ha *ha, struct drv_err *err)
{
    struct db_vms rows = {0};
    int rc = db_vm_list(ha->db, &rows, err);
    for (unsigned i = 0; rc == 0 && i < rows.n; i++)
        rc = add_row(ha, &rows.list[i], err);
    db_vms_done(&rows);
    return rc;
}

struct find_call {
    struct ha *ha;
    const char *uuid;
    struct ha_vm *ret;
};

static void find_on_loop(void *arg)
{
    struct find_call *c = arg;
    c->ret = ha_vm_find(c->ha, c->uuid);
}

static void attach_one(struct ha *ha, const struct db_vm *row)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned = def;
    char why[384];
    struct find_call c = {.ha = ha, .uuid = row->uuid};
    drv_loop_call(ha->loop, find_on_loop, &c);
    struct ha_vm *vm = c.ret; // locked by "attaching" since ha_vms_load
    if (!vm)
        return;
    bool defined = ha_vm_read_def(ha, row->home_store, row->home_path, def, &err) ==
                   0; // it is "unknown" while that takes
    if (defined) {
        ha_vm_set_def(vm, def, row->home_store, row->home_path);
    } else {
        // The store may be away just now: the VM is still listed, and a start reads it afresh.
        snprintf(why, sizeof why, "its definition cannot be read: %.300s", err.msg);
        ha_vm_publish(vm, NULL, 0, why);
    }
    bool off = attach_process(vm);
    if (ha_move_recover(vm))
        return;
    if (off && defined)
        say_where(vm);
    ha_vm_unlock(vm);
}

static void next_on_loop(void *arg)
{
    struct find_call *c = arg;
    for (c->ret = c->ha->vms; c->ret && strcmp(c->ret->busy, HA_BUSY_ATTACH) != 0;)
        c->ret = c->ret->next;
}

// VMs that were arriving by a move when the agent ended are in no list but the journal.
static void attach_arriving(struct ha *ha)
{
    struct find_call c = {.ha = ha};
    for (drv_loop_call(ha->loop, next_on_loop, &c); c.ret;
         drv_loop_call(ha->loop, next_on_loop, &c)) {
        attach_process(c.ret);
        if (!ha_move_recover(c.ret))
            ha_vm_unlock(c.ret);
    }
}

int ha_vms_attach(struct ha *ha, struct drv_err *err)
{
    struct db_vms rows = {0};
    if (db_vm_list(ha->db, &rows, err) < 0)
        return -1;
    for (unsigned i = 0; i < rows.n; i++)
        attach_one(ha, &rows.list[i]);
    db_vms_done(&rows);
    attach_arriving(ha);
    return 0;
}
