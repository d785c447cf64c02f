// SPDX-License-Identifier: GPL-3.0-or-later
// Starting a VM: ownership first, then QEMU, then the one gate (DESIGN.md section 3, rules 1, 2, 4,
// 7, 8).
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "disc.h"
#include "drover/finding.h"
#include "drover/log.h"
#include "takeover.h"
#include "vm_change.h"
#include "vm_log.h"
#include "vm_set.h"

// How long QEMU keeps requests for a drover-store that died, before it pauses the guest. A new one
// is there within some seconds; QEMU cannot be stopped meanwhile.
enum { NBD_RECONNECT_S = 20 };

// --- the gate ---

int ha_cont(struct ha *ha, struct ha_qemu *qemu, struct ha_owner *owner, struct drv_err *err)
{
    char state[32];
    bool running = false;
    (void)ha;
    if (qmp_status(qemu->qmp, state, sizeof state, &running, err) < 0)
        return -1;
    if (running)
        return 0;
    if (!strcmp(state, "inmigrate"))
        return drv_err(err, DRV_ESTATE, "the VM's memory has not arrived yet");
    if (ha_owner_verify(owner, qemu->instance, err) < 0)
        return drv_err_prefix(err, "this host may not run the VM");
    return qmp_cont(qemu->qmp, err);
}

int ha_cont_again(struct ha *ha, struct ha_qemu *qemu, struct ha_owner *owner, struct drv_err *err)
{
    struct drv_err closed = DRV_ERR_INIT;
    if (ha_cont(ha, qemu, owner, &closed) == 0)
        return 0;
    return ha_owner_resume(owner, qemu->instance, err) < 0 ? -1 : ha_cont(ha, qemu, owner, err);
}

// --- QEMU ---

// Of each disk and disc.
struct paths {
    struct ha_image_at disks[SS_MAX_DISKS], discs[SS_MAX_CDROMS];
};

static void put_path(const struct ha_image_at *at, struct ha_disk_rt *ret)
{
    ret->nbd_path = at->nbd[0] ? at->nbd : NULL;
    ret->filename = at->file[0] ? at->file : NULL;
}

static int find_paths(struct ha *ha, const struct ss_vmdef *def, struct paths *p,
                      struct ha_qemu_rt *ret, struct drv_err *err)
{
    for (unsigned i = 0; i < def->n_disks; i++) {
        struct ha_image_at *at = &p->disks[i];
        if (ha_owner_disk_path(ha, def, i, at->nbd, sizeof at->nbd, at->file, sizeof at->file,
                               err) < 0)
            return -1;
        put_path(at, &ret->disks[i]);
    }
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        if (ha_disc_open(ha, def->uuid, &def->cdroms[i], false, &p->discs[i], err) < 0)
            return -1;
        put_path(&p->discs[i], &ret->cdroms[i]);
    }
    return 0;
}

struct ha_qemu *ha_run_qemu(struct ha *ha, const struct ss_vmdef *def, bool incoming,
                            const struct qmp_handlers *handlers, struct drv_err *err)
{
    char dir[256];
    struct paths *paths = drv_xcalloc(1, sizeof *paths);
    DRV_AUTO_FREE void *owned = paths;
    struct ha_qemu_spec spec = {.def = def,
                                .launcher = &ha->launcher,
                                .gid = ha->qemu_gid,
                                .handlers = handlers,
                                .dir = dir};
    ha_vm_dir(ha, def->uuid, dir, sizeof dir);
    spec.rt.incoming = incoming;
    spec.rt.nbd_reconnect_s = NBD_RECONNECT_S;
    if (find_paths(ha, def, paths, &spec.rt, err) < 0)
        return NULL;
    return ha_qemu_start(&spec, err);
}

// --- a VM whose QEMU is there: paused, perhaps after a lost store ---

// Rule 4: an epoch above ours ends this copy for good. Saying so is better than "somebody holds the
// disk".
static int check_not_fenced(struct ha_vm *vm, struct drv_err *err)
{
    struct ss_record now;
    bool held;
    const struct ha_owner *o = vm->run.owner;
    struct ss_store *arbiter = ha_arbiter_open(vm->ha, err);
    int rc = arbiter ? ss_record_peek(arbiter, vm->def.uuid, &now, &held, err) : -1;
    ss_store_close(arbiter);
    if (rc < 0 || !o->rec_valid || now.epoch <= o->rec.epoch)
        return rc;
    drv_err(err, DRV_EATTENTION,
            "%s took VM %s over (epoch %llu, here %llu); this copy may never "
            "run again",
            now.host, vm->def.name, (unsigned long long)now.epoch,
            (unsigned long long)o->rec.epoch);
    drv_err_id(err, "S07");
    return drv_err_hint(err, "end this copy: drover -H %s vm stop %s --force", vm->ha->fqdn,
                        vm->def.name);
}

// The store, not the record, is what is in the way.
static int still_lost(struct drv_err *err)
{
    if (!err->id[0] && (err->code == DRV_EUNREACHABLE || err->code == DRV_ETIMEDOUT)) {
        drv_err_id(err, "S14");
        drv_err_hint(err, "%s", drv_finding_def("S14")->fix);
    }
    return drv_err_prefix(err, "the VM stays paused");
}

static int resume(struct ha_vm *vm, struct drv_err *err)
{
    struct ha_run *run = &vm->run;
    char why[300];
    if (!run->owner) {
        run->owner = ha_owner_attach(vm->ha, &run->qemu->def, err);
        if (!run->owner)
            return drv_err_prefix(err, "the VM's drover-store processes");
    }
    if (ha_owner_lost(run->owner, why, sizeof why) &&
        (check_not_fenced(vm, err) < 0 ||
         ha_owner_resume(run->owner, run->qemu->instance, err) < 0))
        return still_lost(err);
    if (ha_cont(vm->ha, run->qemu, run->owner, err) < 0)
        return -1;
    ha_vm_publish(vm, "running", run->owner->rec.epoch, "");
    return 0;
}

// --- a cold start ---

// May this host start a VM whose record is rec, by rule 8 and the plain cases?
static int may_start(struct ha_vm *vm, const struct ss_record *rec,
                     const struct ha_start_opts *opts, struct ss_store *arbiter,
                     struct drv_err *err)
{
    if (db_vm_epoch_check(vm->ha->db, vm->def.uuid, rec->epoch, err) < 0)
        return -1;
    // Our own "running" with no QEMU here: it died with the host or by itself; nobody else may have
    // it.
    if (ha_record_ours(vm->ha, rec))
        return 0;
    if (!opts->take_over) {
        if (rec->state == SS_REC_RELEASED)
            drv_err(err, DRV_ESTATE, "VM %s was released by %s to %s and not taken yet",
                    vm->def.name, rec->host, rec->to);
        else
            drv_err(err, DRV_ESTATE, "VM %s runs on %s", vm->def.name, rec->host);
        drv_err_id(err, "S07");
        return drv_err_hint(err, "if %s is dead: drover -H %s vm start %s --take-over", rec->host,
                            vm->ha->fqdn, vm->def.name);
    }
    return ha_takeover_allowed(vm->ha, vm->def.uuid, rec, opts, arbiter, err);
}

// The record as it stands, unheld, and the definition that it names.
static int read_truth(struct ha_vm *vm, const struct ha_start_opts *opts, struct ss_store *home,
                      struct ss_record *ret_rec, struct ss_vmdef *ret_def, struct drv_err *err)
{
    bool held = false;
    struct ss_store *arbiter = ha_arbiter_open(vm->ha, err);
    if (!arbiter)
        return -1;
    int rc = ss_record_peek(arbiter, vm->def.uuid, ret_rec, &held, err);
    if (rc == 0)
        rc = may_start(vm, ret_rec, opts, arbiter, err);
    ss_store_close(arbiter);
    if (rc < 0)
        return -1;
    if (strcmp(ret_rec->home_store, vm->home_store) != 0 ||
        strcmp(ret_rec->home_path, vm->home) != 0)
        return drv_err(err, DRV_EATTENTION,
                       "the owner record says that the VM's home is %s:%s, here it is %s:%s",
                       ret_rec->home_store, ret_rec->home_path, vm->home_store, vm->home);
    return ha_home_read(home, vm->home, ret_rec->epoch, ret_rec->vm_json_sha256, ret_def, err);
}

// Devices that waited for this start come and go before it, as a change of the stopped VM. One that
// another host owned waits on: such a change is the owner's.
static int settle_devices(struct ha_vm *vm, const struct ha_start_opts *opts, struct ss_store *home,
                          struct ss_record *rec, struct ss_vmdef *def, struct drv_err *err)
{
    if (!def->n_next_devices || !ha_record_ours(vm->ha, rec))
        return 0;
    struct ha_change *nothing_more = drv_xcalloc(1, sizeof *nothing_more);
    DRV_AUTO_FREE void *owned = nothing_more;
    DRV_AUTO_JSON json_t *notices = json_array();
    struct drv_err why = DRV_ERR_INIT;
    if (ha_vm_change(vm, nothing_more, notices, &why) < 0) {
        drv_err_prefix(&why, "what was added or removed while the VM was running");
        if (!why.hint[0])
            drv_err_hint(&why, "take it back: drover vm set %s --remove %s", def->name,
                         def->next_devices[0].id);
        *err = why;
        return -1;
    }
    size_t i;
    json_t *text;
    json_array_foreach(notices, i, text)
    {
        ha_vmlog(vm->ha, def->uuid, "%s", json_string_value(text));
    }
    return read_truth(vm, opts, home, rec, def, err);
}

static int own_and_run(struct ha_vm *vm, const struct ss_vmdef *def, const struct ss_record *seen,
                       struct ss_store *home, struct drv_err *err)
{
    struct ha *ha = vm->ha;
    struct ha_run *run = &vm->run;
    struct qmp_handlers handlers;
    char hash[65];
    run->owner = ha_owner_start(ha, def, 0, err);
    if (!run->owner || ha_owner_hold(run->owner, false, err) < 0)
        return -1;
    if (run->owner->rec.epoch != seen->epoch || strcmp(run->owner->rec.nonce, seen->nonce) != 0)
        return drv_err(err, DRV_EBUSY,
                       "another host changed the owner record meanwhile: try again");
    if (ha_owner_check_images(run->owner, 0, err) < 0)
        return -1;
    run->qemu = ha_run_qemu(ha, def, false, ha_vm_handlers(vm, &handlers), err);
    if (!run->qemu)
        return -1;
    if (ha_home_write_epoch(home, vm->home, def, seen->epoch + 1, hash, err) < 0 ||
        ha_owner_flush_home(run->owner, vm->home_store, vm->home, seen->epoch + 1, NULL, err) < 0)
        return -1;
    int rc =
        ha_owner_commit(run->owner, run->qemu->instance, "", vm->home_store, vm->home, hash, err);
    for (int i = 0; rc == -1 && i < 10; i++) { // rule 5: neither run nor say "refused" until known
        drv_err_clear(err);
        drv_sleep_ms(1000);
        rc = ha_owner_commit(run->owner, run->qemu->instance, "", vm->home_store, vm->home, hash,
                             err);
    }
    if (rc != 1)
        return -1;
    run->qemu->epoch = run->owner->rec.epoch;
    if (ha_qemu_save(run->qemu, err) < 0 || ha_cont(ha, run->qemu, run->owner, err) < 0)
        return -1;
    ha_vm_set_def(vm, def, vm->home_store, vm->home);
    ha_vm_publish(vm, "running", run->owner->rec.epoch, "");
    ha_vmlog(ha, def->uuid, "started with epoch %llu", (unsigned long long)run->owner->rec.epoch);
    // The guest runs. The view is for people: without it nothing stops.
    struct drv_err why = DRV_ERR_INIT;
    if (ha_home_write_view(home, vm->home, def, run->owner->rec.epoch, &why) < 0)
        drv_log_err(LOG_WARNING, "vm.start.view", &why);
    return 0;
}

int ha_vm_start(struct ha_vm *vm, const struct ha_start_opts *opts, struct drv_err *err)
{
    struct ha *ha = vm->ha;
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    struct ss_vmdef *def = drv_xcalloc(1, sizeof *def);
    DRV_AUTO_FREE void *owned_rec = rec;
    DRV_AUTO_FREE void *owned_def = def;
    if (vm->run.qemu && ha_qemu_alive(vm->run.qemu))
        return resume(vm, err);
    if (vm->run.qemu && ha_vm_ended(vm, err) < 0)
        return -1;
    struct ss_store *home = ha_store_open(ha, vm->home_store, NULL, err);
    if (!home)
        return -1;
    ha_vm_publish(vm, "starting", 0, "");
    int rc = read_truth(vm, opts, home, rec, def, err);
    if (rc == 0)
        rc = ha_set_pending(def, ha->probe, err);
    if (rc == 0)
        rc = settle_devices(vm, opts, home, rec, def, err);
    if (rc == 0)
        rc = own_and_run(vm, def, rec, home, err);
    ss_store_close(home);
    if (rc == 0)
        return db_vm_set_wanted(ha->db, vm->def.uuid, true, err);
    struct drv_err ignored = DRV_ERR_INIT;
    ha_vm_ended(vm, &ignored);
    return drv_err_prefix(err, "VM %s was not started", vm->def.name);
}
