// SPDX-License-Identifier: GPL-3.0-or-later
// The drover-store processes of a VM on this host: which there are, their start, their end, and a
// new one for one that died. What they hold and write is decided in owner.c.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "disc.h"

enum { QCOW2_HEADROOM_MIN = 64 << 20 };

// --- which process serves what ---

// Layout of the processes of def: names, disks, and which one holds the record.
static int layout(struct ha_owner *o, struct drv_err *err)
{
    char arbiter[HA_URL_MAX];
    if (ha_arbiter_url(o->ha, arbiter, sizeof arbiter, err) < 0)
        return -1;
    bool have_record = false;
    for (unsigned i = 0; i < o->def.n_disks; i++) {
        const struct ss_disk *d = &o->def.disks[i];
        struct ss_url u;
        char url[HA_URL_MAX];
        if (ha_store_url(o->ha, d->store, url, sizeof url, err) < 0 ||
            ss_url_parse(url, &u, err) < 0)
            return -1;
        if (u.kind != SS_SMB)
            continue;
        if (!have_record && !strcmp(url, arbiter)) {
            have_record = true;
            o->record_ix = o->n;
        }
        DRV_COPY(o->names[o->n], d->id);
        DRV_COPY(o->urls[o->n], url);
        o->disk_ix[o->n++] = (int)i;
    }
    if (!have_record) {
        o->record_ix = o->n;
        DRV_COPY(o->names[o->n], "record");
        o->urls[o->n][0] = '\0';
        o->disk_ix[o->n++] = -1;
    }
    for (unsigned i = 0; i < o->n; i++)
        o->guards[i] = ha_owner_guards(o);
    return 0;
}

struct ha_owner *ha_owner_new(struct ha *ha, const struct ss_vmdef *def)
{
    struct ha_owner *o = drv_xcalloc(1, sizeof *o);
    o->ha = ha;
    o->def = *def;
    DRV_COPY(o->uuid, def->uuid);
    ha_vm_dir(ha, def->uuid, o->dir, sizeof o->dir);
    return o;
}

bool ha_owner_guards(const struct ha_owner *o)
{
    return o->n > 1 || o->disk_ix[0] >= 0;
}

bool ha_owner_pauses(const struct ha_owner *o, unsigned i)
{
    return o->disk_ix[i] >= 0 || (o->guards[i] && !o->image_gone[i]);
}

// An NBD export has a fixed size, a qcow2 file grows: offer room for all data plus metadata.
static uint64_t export_bytes(const struct ss_disk *d, uint64_t virtual_bytes)
{
    if (d->format != SS_QCOW2)
        return 0;
    uint64_t room = virtual_bytes / 8 + QCOW2_HEADROOM_MIN;
    return (virtual_bytes + room + 65535) & ~(uint64_t)65535;
}

static int disk_virtual_bytes(struct ha *ha, const struct ss_disk *d, uint64_t *ret,
                              struct drv_err *err)
{
    struct ss_store *st = ha_store_open(ha, d->store, NULL, err);
    if (!st)
        return -1;
    struct ss_image_info info = {0};
    int rc = ss_image_info(st, d->path, d->format, &info, err);
    ss_store_close(st);
    *ret = info.virtual_bytes;
    return rc < 0 ? drv_err_prefix(err, "disk %s", d->id) : 0;
}

int ha_proc_base(struct ha *ha, const char *store, struct ha_proc_base *ret, struct drv_err *err)
{
    struct ha_store_settings settings;
    const char *keytab = drv_conf_str(ha->conf, "keytab");
    if (ha_store_settings(ha, store, &settings, err) < 0 ||
        dg_keytab_principal(keytab, ret->principal, err) < 0)
        return -1;
    ret->spec = (struct ss_proc_spec){
        .program = ha->store_program,
        .keytab = keytab,
        .principal = ret->principal,
        .stall_deadline_s = settings.stall_deadline_s,
        .no_encryption = !settings.encrypt,
        .socket_uid = ha->qemu_uid,
        .socket_gid = ha->qemu_gid,
        .spawn = ha_launch_store,
        .spawn_arg = &ha->launcher,
    };
    return 0;
}

int ha_owner_start_one(struct ha_owner *o, unsigned i, bool after_crash, struct drv_err *err)
{
    struct ha *ha = o->ha;
    char image_url[HA_URL_MAX] = "", record_url[HA_URL_MAX], arbiter[HA_URL_MAX];
    char record[SS_PATH_MAX], qmp2[HA_SOCK_MAX];
    struct ha_settings host;
    struct ha_proc_base base;
    ha_settings_get(ha, &host);
    ss_record_path(o->uuid, record);
    if (ha_proc_base(ha, o->disk_ix[i] < 0 ? host.arbiter : o->def.disks[o->disk_ix[i]].store,
                     &base, err) < 0 ||
        ha_arbiter_url(ha, arbiter, sizeof arbiter, err) < 0 ||
        ha_store_file_url(arbiter, record, record_url, sizeof record_url, err) < 0 ||
        ha_qemu_sock(o->dir, HA_SOCK_QMP2, qmp2, err) < 0)
        return -1;
    struct ss_proc_spec spec = base.spec;
    spec.dir = o->dir;
    spec.name = o->names[i];
    spec.record_url = record_url;
    spec.holds_record = i == o->record_ix;
    spec.after_crash = after_crash;
    spec.record_guards_guest = o->guards[i];
    spec.qmp_path = qmp2;
    if (o->disk_ix[i] >= 0) {
        const struct ss_disk *d = &o->def.disks[o->disk_ix[i]];
        uint64_t virtual_bytes = 0;
        if (ha_store_file_url(o->urls[i], d->path, image_url, sizeof image_url, err) < 0 ||
            disk_virtual_bytes(ha, d, &virtual_bytes, err) < 0)
            return -1;
        spec.image_url = image_url;
        spec.format = d->format;
        spec.export_bytes = export_bytes(d, virtual_bytes);
    }
    if (ss_proc_start(&spec, err) < 0)
        return drv_err_prefix(err, "drover-store of %s", o->names[i]);
    o->procs[i] = ss_proc_connect(o->dir, o->names[i], err);
    return o->procs[i] ? 0 : -1;
}

int ha_owner_fill_fresh(struct ha_owner *o, unsigned fresh, struct drv_err *err)
{
    for (unsigned i = 0; i < o->n; i++) {
        if (o->disk_ix[i] < 0 || !(fresh & (1u << o->disk_ix[i])))
            continue;
        o->is_new[i] = true;
        if (ss_proc_hold_image(o->procs[i], HA_HOLD_TIMEOUT_MS, err) < 0 ||
            ss_proc_fill(o->procs[i], err) < 0)
            return drv_err_prefix(err, "new image of %s", o->names[i]);
    }
    return 0;
}

static int make_dir(const char *dir, struct drv_err *err)
{
    if (mkdir(dir, 0711) < 0 && errno != EEXIST)
        return drv_err_os(err, errno, "cannot make %s", dir);
    return 0;
}

struct ha_owner *ha_owner_start(struct ha *ha, const struct ss_vmdef *def, unsigned fresh,
                                struct drv_err *err)
{
    struct ha_owner *o = ha_owner_new(ha, def);
    int rc = layout(o, err);
    if (rc == 0)
        rc = make_dir(o->dir, err);
    if (rc == 0)
        rc = ha_owner_save(o, err);
    for (unsigned i = 0; rc == 0 && i < o->n; i++)
        rc = ha_owner_start_one(o, i, false, err);
    if (rc == 0)
        rc = ha_owner_fill_fresh(o, fresh, err);
    if (rc == 0)
        return o;
    struct drv_err ignored = DRV_ERR_INIT;
    ha_owner_quit(o, &ignored);
    return NULL;
}

struct ha_owner *ha_owner_attach(struct ha *ha, const struct ss_vmdef *def, struct drv_err *err)
{
    struct ha_owner *o = ha_owner_new(ha, def);
    struct drv_err ignored = DRV_ERR_INIT;
    int rc = ha_owner_load(o, &ignored);
    if (rc < 0 && ignored.code == DRV_ENOTFOUND)
        rc = layout(o, err);
    else if (rc < 0)
        *err = ignored;
    if (rc < 0) {
        ha_owner_free(o);
        return NULL;
    }
    // One that is dead or has lost its session is left as it is: `vm start` brings it back.
    for (unsigned i = 0; i < o->n; i++)
        o->procs[i] = ss_proc_connect(o->dir, o->names[i], &ignored);
    if (o->procs[o->record_ix] &&
        ss_proc_read_record(o->procs[o->record_ix], &o->rec, &ignored) == 0)
        o->rec_valid = true;
    return o;
}

int ha_owner_status(struct ha_owner *o, unsigned i, struct ss_proc_status *ret, struct drv_err *err)
{
    if (!o->procs[i])
        return drv_err(err, DRV_EUNREACHABLE, "drover-store of %s is not running", o->names[i]);
    return ss_proc_status(o->procs[i], ret, err);
}

int ha_owner_revive(struct ha_owner *o, unsigned i, struct drv_err *err)
{
    struct ss_proc_status st;
    struct drv_err gone = DRV_ERR_INIT;
    if (ha_owner_status(o, i, &st, &gone) == 0)
        return 0;
    // What this process acknowledged is durable or in its replay log, and it took its holds with
    // it: a new one on the same socket may take over after the checks of rule 4, which the caller
    // makes.
    if (o->procs[i])
        ss_proc_quit(o->procs[i], true, &(struct drv_err)DRV_ERR_INIT);
    ss_proc_close(DRV_TAKE(o->procs[i]));
    o->image_gone[i] = false; // a new one is for the record from its start
    o->guards[i] = ha_owner_guards(o);
    if (ha_owner_start_one(o, i, true, err) < 0)
        return err->code == DRV_EATTENTION ? drv_err_id(err, "S23") : -1;
    if (ha_owner_save(o, err) < 0)
        return -1;
    if (o->disk_ix[i] >= 0 && ss_proc_hold_image(o->procs[i], HA_HOLD_TIMEOUT_MS, err) < 0)
        return drv_err_prefix(err, "disk %s", o->names[i]);
    if (i == o->record_ix && ss_proc_hold_record(o->procs[i], false, HA_HOLD_TIMEOUT_MS, err) < 0)
        return drv_err_prefix(err, "owner record of %s", o->def.name);
    return 0;
}

// --- the end ---

int ha_owner_quit(struct ha_owner *o, struct drv_err *err)
{
    int rc = 0;
    if (!o)
        return 0;
    for (unsigned i = 0; i < o->n; i++)
        if (o->procs[i] && ss_proc_quit(o->procs[i], true, rc ? NULL : err) < 0)
            rc = -1;
    for (unsigned i = 0; i < o->n_others; i++)
        if (ss_proc_end(o->dir, o->others[i], rc ? NULL : err) < 0)
            rc = -1;
    if (ha_discs_close(o->dir, rc ? NULL : err) < 0)
        rc = -1;
    if (rc == 0)
        ha_owner_forget(o);
    ha_owner_free(o);
    return rc;
}

void ha_owner_free(struct ha_owner *o)
{
    if (!o)
        return;
    for (unsigned i = 0; i < o->n; i++)
        ss_proc_close(o->procs[i]);
    free(o);
}

int ha_owner_disk_path(struct ha *ha, const struct ss_vmdef *def, unsigned disk, char *ret_nbd,
                       size_t nbd_size, char *ret_file, size_t file_size, struct drv_err *err)
{
    const struct ss_disk *d = &def->disks[disk];
    char url[HA_URL_MAX], dir[256];
    struct ss_url u;
    ret_nbd[0] = ret_file[0] = '\0';
    if (ha_store_url(ha, d->store, url, sizeof url, err) < 0 || ss_url_parse(url, &u, err) < 0)
        return -1;
    if (u.kind == SS_LOCAL) {
        if (snprintf(ret_file, file_size, "%s/%s", u.path, d->path) >= (int)file_size)
            return drv_err(err, DRV_EINVAL, "the path of disk %s is too long", d->id);
        return 0;
    }
    ha_vm_dir(ha, def->uuid, dir, sizeof dir);
    ss_proc_nbd_path(dir, d->id, ret_nbd, nbd_size);
    return 0;
}
