// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of a definition: see vm_change.h.
//
// A stopped VM's record is held while its definition is read, changed and written: no other host
// can start it meanwhile, with the one or the other. A running VM's is held anyway; QEMU's own
// state.json then follows the record, so that an agent that comes later finds what QEMU was given.
#include "vm_change.h"

#include <stdlib.h>
#include <string.h>

#include "disc.h"
#include "drover/log.h"
#include "notices.h"
#include "vm_next.h"
#include "vm_set.h"

enum { SETTLE_TRIES = 10, SETTLE_EVERY_MS = 1000 };

// --- the record of a VM that stands still ---

static int check_ours(struct ha_vm *vm, const char *verb, const struct ss_record *rec,
                      struct drv_err *err)
{
    if (ha_record_ours(vm->ha, rec))
        return 0;
    drv_err(err, DRV_ESTATE, "VM %s is %s on %s", vm->def.name, ss_record_state_name(rec->state),
            rec->host);
    drv_err_id(err, "S07");
    if (!strcmp(verb, "delete"))
        return drv_err_hint(err,
                            "delete it there: drover -H %s vm delete %s; or forget it here: drover "
                            "-H %s vm delete %s --keep-disks",
                            rec->host, vm->def.name, vm->ha->fqdn, vm->def.name);
    return drv_err_hint(err, "%s it there: drover -H %s vm %s %s", verb, rec->host, verb,
                        vm->def.name);
}

static void remove_dir(struct ha_vm *vm)
{
    char dir[256];
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    ha_vm_dir_remove(dir);
}

int ha_vm_hold_record(struct ha_vm *vm, const char *verb, struct ha_owner **ret_owner,
                      struct drv_err *err)
{
    struct ha *ha = vm->ha;
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    struct ss_vmdef *bare = drv_xcalloc(1, sizeof *bare);
    DRV_AUTO_FREE void *owned_rec = rec;
    DRV_AUTO_FREE void *owned_bare = bare;
    struct drv_err why = DRV_ERR_INIT;
    bool held = false;
    *ret_owner = NULL;
    struct ss_store *arbiter = ha_arbiter_open(ha, err);
    if (!arbiter)
        return -1;
    int rc = ss_record_peek(arbiter, vm->def.uuid, rec, &held, &why);
    ss_store_close(arbiter);
    if (rc < 0 && why.code == DRV_ENOTFOUND)
        return 0;
    if (rc < 0)
        *err = why;
    if (rc < 0 || check_ours(vm, verb, rec, err) < 0)
        return -1;
    DRV_COPY(bare->uuid, vm->def.uuid);
    DRV_COPY(bare->name, vm->def.name);
    struct ha_owner *o = ha_owner_start(ha, bare, 0, err);
    struct drv_err ignored = DRV_ERR_INIT;
    if (!o || ha_owner_hold(o, false, err) < 0 || check_ours(vm, verb, &o->rec, err) < 0 ||
        db_vm_epoch_check(ha->db, vm->def.uuid, o->rec.epoch, err) < 0) {
        ha_owner_quit(o, &ignored);
        remove_dir(vm); // it would look as if the VM ran here
        return -1;
    }
    *ret_owner = o;
    return 0;
}

// --- one change from its beginning to its end ---

struct changing {
    struct ha_vm *vm;
    struct ha_owner *owner; // the VM's own while it runs, else one for the record alone
    struct ss_store *home;
    struct ss_vmdef was, next;
    bool running;
};

static int begin(struct ha_vm *vm, struct changing *c, struct drv_err *err)
{
    c->vm = vm;
    c->running = vm->run.qemu && ha_qemu_alive(vm->run.qemu);
    if (vm->run.qemu && !c->running)
        return drv_err(err, DRV_EBUSY, "VM %s has just ended: try again", vm->def.name);
    c->home = ha_store_open(vm->ha, vm->home_store, NULL, err);
    if (!c->home)
        return -1;
    if (c->running) {
        c->owner = vm->run.owner;
        c->was = vm->run.qemu->def;
        if (!c->owner || !ha_owner_names(c->owner, vm->run.qemu->instance))
            return drv_err(err, DRV_ESTATE, "the owner record of VM %s is not held here now",
                           vm->def.name);
    } else {
        if (ha_vm_hold_record(vm, "set", &c->owner, err) < 0)
            return -1;
        if (!c->owner)
            return drv_err(err, DRV_EATTENTION, "VM %s has no owner record", vm->def.name);
        if (ha_home_read(c->home, vm->home, c->owner->rec.epoch, c->owner->rec.vm_json_sha256,
                         &c->was, err) < 0)
            return -1;
    }
    c->next = c->was;
    return 0;
}

static int write_record(struct changing *c, const char *hash, struct drv_err *err)
{
    struct ha_vm *vm = c->vm;
    struct ha_owner *o = c->owner;
    const char none[SS_MAX_DISKS][DRV_UUID_LEN] = {{0}};
    char move[DRV_UUID_LEN];
    if (!c->running)
        return ha_owner_redefine(o, &c->next, hash, err);
    DRV_COPY(move, o->rec.move);
    return ha_owner_change(o, NULL, &c->next, 0, none, move, vm->home_store, vm->home, hash, err);
}

// next is the VM's definition from here on, or nothing has changed.
static int commit(struct changing *c, struct drv_err *err)
{
    struct ha_vm *vm = c->vm;
    uint64_t epoch = c->owner->rec.epoch;
    char hash[65];
    if (ha_home_write_change(c->home, vm->home, &c->next, epoch, hash, err) < 0 ||
        ha_owner_flush_home(c->owner, vm->home_store, vm->home, epoch, hash, err) < 0)
        return -1;
    int rc = write_record(c, hash, err);
    for (int i = 0; rc == -1 && i < SETTLE_TRIES; i++) { // rule 5
        drv_err_clear(err);
        drv_sleep_ms(SETTLE_EVERY_MS);
        rc = write_record(c, hash, err);
    }
    if (rc != 1)
        return -1;
    if (c->running) {
        vm->run.qemu->def = c->next;
        if (ha_qemu_save(vm->run.qemu, err) < 0)
            return -1;
    }
    ha_vm_set_def(vm, &c->next, vm->home_store, vm->home);
    struct drv_err why = DRV_ERR_INIT; // the view is for people
    if (ha_home_write_view(c->home, vm->home, &c->next, epoch, &why) < 0)
        drv_log_err(LOG_WARNING, "vm.set.view", &why);
    return 0;
}

static int end(struct changing *c, int rc, struct drv_err *err)
{
    struct drv_err later = DRV_ERR_INIT;
    ss_store_close(c->home);
    if (!c->owner || c->running)
        return rc;
    if (ha_owner_quit(c->owner, rc < 0 ? &later : err) < 0)
        rc = -1;
    remove_dir(c->vm);
    return rc;
}

// --- settings and devices ---

// An image that an earlier disk of this id left keeps its place: the new one takes another name.
static int free_path(struct ss_store *st, struct ss_disk *d, const char *folder,
                     struct drv_err *err)
{
    struct ss_stat ignored;
    struct drv_err why = DRV_ERR_INIT;
    for (unsigned n = 2; ss_stat(st, d->path, &ignored, &why) == 0; n++)
        if (snprintf(d->path, sizeof d->path, "%s/%s-%u.%s", folder, d->id, n,
                     ss_format_name(d->format)) >= (int)sizeof d->path)
            return drv_err(err, DRV_EINVAL, "the name %s is too long", folder);
    if (why.code == DRV_ENOTFOUND)
        return 0;
    *err = why;
    return -1;
}

static int make_image(struct changing *c, struct ss_disk *d, uint64_t bytes, struct drv_err *err)
{
    struct ha *ha = c->vm->ha;
    struct ss_store *st = ha_store_open(ha, d->store, NULL, err);
    int rc = -1;
    if (st && free_path(st, d, c->vm->home, err) == 0 && ss_mkdir(st, c->vm->home, err) == 0)
        rc = ss_image_create(st, d->path, d->format, (bytes + 511) & ~(uint64_t)511,
                             drv_conf_str(ha->conf, "run_dir"), err);
    ss_store_close(st);
    return rc < 0 ? drv_err_prefix(err, "disk %s on store %s", d->id, d->store) : 0;
}

static void unmake_image(struct ha *ha, const struct ss_disk *d)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = ha_store_open(ha, d->store, NULL, &err);
    if (!st || ss_unlink(st, d->path, &err) < 0)
        drv_log(LOG_WARNING, "vm.set.leftover", F_STR("path", d->path), F_STR("msg", err.msg));
    ss_store_close(st);
}

static bool changes_devices(const struct ha_change *ch)
{
    return json_array_size(ch->remove) || ch->add.n_disks || ch->add.n_nics || ch->add.n_cdroms;
}

static int check_discs(struct changing *c, const struct ss_vmdef *def, struct drv_err *err)
{
    for (unsigned i = 0; i < def->n_cdroms; i++)
        if (ha_disc_check(c->vm->ha, &def->cdroms[i], err) < 0)
            return -1;
    return 0;
}

static int check_stores(struct changing *c, const struct ha_create_spec *add, struct drv_err *err)
{
    char url[HA_URL_MAX];
    for (unsigned i = 0; i < add->n_disks; i++)
        if (add->disks[i].store[0] &&
            ha_store_url(c->vm->ha, add->disks[i].store, url, sizeof url, err) < 0)
            return -1;
    return 0;
}

static int keep_devices(struct changing *c, const struct ha_change *ch, json_t *notices,
                        struct drv_err *err)
{
    struct ss_vmdef *then = drv_xcalloc(1, sizeof *then);
    DRV_AUTO_FREE void *owned = then;
    if (ha_next_keep(&c->next, ch->remove, &ch->add, then, notices, err) < 0 ||
        check_stores(c, &ch->add, err) < 0)
        return -1;
    return check_discs(c, then, err);
}

// What waited, too: ch->add has it all afterwards. The new disks are the last ones of next.
static int change_devices_now(struct changing *c, struct ha_change *ch, json_t *notices,
                              struct drv_err *err)
{
    struct ha_create_spec *all = drv_xcalloc(1, sizeof *all);
    DRV_AUTO_FREE void *owned = all;
    DRV_AUTO_JSON json_t *remove = NULL;
    if (ha_next_take(&c->next, ch->remove, &ch->add, &remove, all, err) < 0)
        return -1;
    ch->add = *all;
    if (ha_set_remove(&c->next, remove, notices, err) < 0 ||
        ha_add_devices(&ch->add, &c->next, notices, err) < 0)
        return -1;
    return check_discs(c, &c->next, err);
}

static int change_devices(struct changing *c, struct ha_change *ch, json_t *notices,
                          struct drv_err *err)
{
    for (unsigned i = 0; i < ch->add.n_disks; i++)
        if (ch->add.disks[i].import[0])
            return drv_err(err, DRV_EINVAL, "import: only `vm create` imports");
    if (!changes_devices(ch) && (c->running || !c->next.n_next_devices))
        return 0;
    return c->running ? keep_devices(c, ch, notices, err) : change_devices_now(c, ch, notices, err);
}

static int make_and_commit(struct changing *c, const struct ha_change *ch, struct drv_err *err)
{
    unsigned made = 0, want = c->running ? 0 : ch->add.n_disks, first = c->next.n_disks - want;
    int rc = 0;
    for (; rc == 0 && made < want; made += rc == 0)
        rc = make_image(c, &c->next.disks[first + made], ch->add.disks[made].size_bytes, err);
    if (rc == 0)
        rc = commit(c, err);
    // Images that the record may name are left alone.
    while (rc < 0 && !c->owner->unsettled[0] && made-- > 0)
        unmake_image(c->vm->ha, &c->next.disks[first + made]);
    return rc;
}

int ha_vm_change(struct ha_vm *vm, struct ha_change *ch, json_t *notices, struct drv_err *err)
{
    struct changing *c = drv_xcalloc(1, sizeof *c);
    DRV_AUTO_FREE void *owned = c;
    DRV_COPY(ch->add.store, vm->home_store);
    DRV_COPY(ch->add.folder, vm->home);
    int rc = begin(vm, c, err);
    if (rc == 0 && (ha_set_apply(&c->next, vm->ha->probe, ch->set, c->running, notices, err) < 0 ||
                    change_devices(c, ch, notices, err) < 0 || make_and_commit(c, ch, err) < 0))
        rc = -1;
    return end(c, rc, err);
}

// --- the name ---

// The database lets two VMs of a host have one name at no time: it is asked first.
int ha_vm_rename(struct ha_vm *vm, const char *name, json_t *notices, struct drv_err *err)
{
    struct changing *c = drv_xcalloc(1, sizeof *c);
    DRV_AUTO_FREE void *owned = c;
    struct drv_err later = DRV_ERR_INIT;
    int rc = begin(vm, c, err);
    if (rc == 0)
        rc = db_vm_rename(vm->ha->db, vm->def.uuid, name, err);
    if (rc == 0) {
        DRV_COPY(c->next.name, name);
        rc = commit(c, err);
        if (rc < 0 && db_vm_rename(vm->ha->db, vm->def.uuid, c->was.name, &later) < 0)
            drv_log_err(LOG_WARNING, "vm.rename.undo", &later);
    }
    if (rc == 0 && strcmp(vm->home, name) != 0)
        ha_notice(notices, "its folder on store %s is still named %s", vm->home_store, vm->home);
    return end(c, rc, err);
}

// --- discs ---

static struct ss_cdrom *find_drive(struct ss_vmdef *def, const char *drive, bool full,
                                   struct drv_err *err)
{
    struct ss_cdrom *found = NULL;
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        struct ss_cdrom *d = &def->cdroms[i];
        if (drive[0] ? !strcmp(d->id, drive) : !found && (!d->store[0] != full))
            found = d;
    }
    if (!found && !drive[0] && def->n_cdroms == 1)
        found = &def->cdroms[0];
    if (found)
        return found;
    if (def->n_cdroms == 0) {
        drv_err(err, DRV_ENOTFOUND, "VM %s has no CD-ROM drive", def->name);
        drv_err_hint(err, "from its next start on: drover vm set %s --add-cdrom empty", def->name);
    } else {
        drv_err(err, DRV_ENOTFOUND,
                drive[0] ? "VM %s has no such CD-ROM drive" : "VM %s: which CD-ROM drive?",
                def->name);
        drv_err_hint(err, "`drover vm show %s` lists its devices", def->name);
    }
    return NULL;
}

static int take_out(struct changing *c, const char *drive, struct drv_err *err)
{
    if (!c->running)
        return 0;
    return ha_disc_take_out(c->vm->run.qemu->qmp, drive, err) < 0
               ? -1
               : ha_disc_close(c->vm->run.qemu->dir, drive, err);
}

static int put_in(struct changing *c, const struct ss_cdrom *drive, struct drv_err *err)
{
    struct ha_image_at at;
    if (!c->running)
        return 0;
    if (ha_disc_open(c->vm->ha, c->next.uuid, drive, true, &at, err) < 0)
        return -1;
    if (ha_disc_put_in(c->vm->run.qemu->qmp, drive->id, &at, err) == 0)
        return 0;
    struct drv_err later = DRV_ERR_INIT;
    if (ha_disc_close(c->vm->run.qemu->dir, drive->id, &later) < 0)
        drv_log_err(LOG_WARNING, "vm.insert.undo", &later);
    return -1;
}

// The definition says what is to be before QEMU gets it, and what was until QEMU has let go of it:
// a drive that is empty although the definition names a disc does no harm, at a move neither; the
// other way round it would.
static int swap_disc(struct changing *c, struct ss_cdrom *drive, const struct ha_new_cdrom *disc,
                     struct drv_err *err)
{
    if (take_out(c, drive->id, err) < 0)
        return -1;
    DRV_COPY(drive->store, disc ? disc->store : "");
    DRV_COPY(drive->path, disc ? disc->path : "");
    if (commit(c, err) < 0)
        return drv_err_prefix(err, "drive %s is empty now", drive->id);
    if (!disc || put_in(c, drive, err) == 0)
        return 0;
    drive->store[0] = drive->path[0] = '\0';
    struct drv_err later = DRV_ERR_INIT;
    if (commit(c, &later) < 0)
        drv_log_err(LOG_WARNING, "vm.insert.undo", &later);
    return drv_err_prefix(err, "drive %s is empty now", drive->id);
}

int ha_vm_disc(struct ha_vm *vm, const char *drive, const struct ha_new_cdrom *disc,
               json_t *notices, struct drv_err *err)
{
    struct changing *c = drv_xcalloc(1, sizeof *c);
    DRV_AUTO_FREE void *owned = c;
    int rc = begin(vm, c, err);
    struct ss_cdrom *found = rc == 0 ? find_drive(&c->next, drive, !disc, err) : NULL;
    if (found && disc) {
        struct ss_cdrom wanted = *found;
        DRV_COPY(wanted.store, disc->store);
        DRV_COPY(wanted.path, disc->path);
        rc = ha_disc_check(vm->ha, &wanted, err);
    }
    if (!found || rc < 0 || swap_disc(c, found, disc, err) < 0)
        rc = -1;
    else
        ha_notice(notices, disc ? "the disc is in drive %s" : "drive %s is empty", found->id);
    return end(c, rc, err);
}
