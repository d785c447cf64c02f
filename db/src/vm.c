// SPDX-License-Identifier: GPL-3.0-or-later
// Tables vms (a cache) and vm_epochs (the memory that rule 1 of DESIGN.md section 3 asks for).
#include "db_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// e says that the name is another VM's?
static bool say_taken(const struct drv_err *e, const char *name, struct drv_err *err)
{
    if (!db_failed_by(e, SQLITE_CONSTRAINT_UNIQUE))
        return false;
    drv_err(err, DRV_EEXIST, "another VM of this host is named \"%s\"", name);
    drv_err_hint(err, "`drover vm show %s` shows it", name);
    return true;
}

int db_vm_put(struct db *db, const struct db_vm *vm, struct drv_err *err)
{
    DB_HOLD(db);
    struct drv_err e = DRV_ERR_INIT;
    int n =
        db_run(db, &e,
               "INSERT INTO vms (uuid, name, home_store, home_path, wanted_running, registered_at)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (uuid) DO UPDATE SET"
               " name = excluded.name, home_store = excluded.home_store,"
               " home_path = excluded.home_path, wanted_running = excluded.wanted_running",
               "ssssii", vm->uuid, vm->name, vm->home_store, vm->home_path,
               (int64_t)vm->wanted_running, db_wall_ms());
    if (n >= 0)
        return 0;
    if (say_taken(&e, vm->name, err))
        return -1;
    if (db_failed_by(&e, SQLITE_CONSTRAINT_FOREIGNKEY)) {
        drv_err(err, DRV_ENOTFOUND, "there is no store \"%s\" on this host", vm->home_store);
        return drv_err_hint(err, "add it with `drover store add %s URL`", vm->home_store);
    }
    if (err)
        *err = e;
    return -1;
}

#define SELECT_VM                                                                                  \
    "SELECT vms.uuid, name, home_store, home_path, coalesce(last_epoch, 0), wanted_running,"       \
    " registered_at FROM vms LEFT JOIN vm_epochs ON vm_epochs.uuid = vms.uuid"

static void read_vm(sqlite3_stmt *s, struct db_vm *ret)
{
    db_col_copy(s, 0, ret->uuid, sizeof ret->uuid);
    db_col_copy(s, 1, ret->name, sizeof ret->name);
    db_col_copy(s, 2, ret->home_store, sizeof ret->home_store);
    ret->home_path = db_col_text(s, 3);
    ret->last_epoch = (uint64_t)sqlite3_column_int64(s, 4);
    ret->wanted_running = sqlite3_column_int(s, 5) != 0;
    ret->registered_at_ms = sqlite3_column_int64(s, 6);
}

int db_vm_get(struct db *db, const char *key, struct db_vm *ret, struct drv_err *err)
{
    DB_HOLD(db);
    // A VM may be named like another's uuid: the uuid wins.
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, SELECT_VM " WHERE vms.uuid = ?1 OR name = ?1 ORDER BY vms.uuid = ?1 DESC",
                 "s", key);
    int row = s ? db_step(db, s, err) : -1;
    if (row == 0) {
        drv_err(err, DRV_ENOTFOUND, "there is no VM \"%s\" on this host", key);
        return drv_err_hint(err, "`drover vm list` shows those there are");
    }
    if (row < 0)
        return -1;
    *ret = (struct db_vm){0};
    read_vm(s, ret);
    return 0;
}

int db_vm_list(struct db *db, struct db_vms *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err, SELECT_VM " ORDER BY name", "");
    struct db_vms out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        read_vm(s, &out.list[out.n++]);
    }
    if (row < 0) {
        db_vms_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

int db_vm_rename(struct db *db, const char *uuid, const char *name, struct drv_err *err)
{
    struct drv_err e = DRV_ERR_INIT;
    int n = db_run(db, &e, "UPDATE vms SET name = ?2 WHERE uuid = ?1", "ss", uuid, name);
    if (n == 0)
        return drv_err(err, DRV_ENOTFOUND, "there is no VM %s on this host", uuid);
    if (n < 0 && !say_taken(&e, name, err) && err)
        *err = e;
    return n < 0 ? -1 : 0;
}

int db_vm_set_wanted(struct db *db, const char *uuid, bool running, struct drv_err *err)
{
    int n = db_run(db, err, "UPDATE vms SET wanted_running = ?2 WHERE uuid = ?1", "si", uuid,
                   (int64_t)running);
    if (n == 0)
        return drv_err(err, DRV_ENOTFOUND, "there is no VM %s on this host", uuid);
    return n < 0 ? -1 : 0;
}

int db_vm_remove(struct db *db, const char *uuid, struct drv_err *err)
{
    return db_run(db, err, "DELETE FROM vms WHERE uuid = ?1", "s", uuid) < 0 ? -1 : 0;
}

void db_vm_done(struct db_vm *vm)
{
    free(vm->home_path);
    *vm = (struct db_vm){0};
}

void db_vms_done(struct db_vms *v)
{
    for (unsigned i = 0; i < v->n; i++)
        db_vm_done(&v->list[i]);
    free(v->list);
    *v = (struct db_vms){0};
}

static int check_range(uint64_t epoch, struct drv_err *err)
{
    if (epoch > 0 && epoch <= INT64_MAX)
        return 0;
    return drv_err(err, DRV_EINVAL, "%" PRIu64 " is no epoch", epoch);
}

int db_vm_epoch_raise(struct db *db, const char *uuid, uint64_t epoch, struct drv_err *err)
{
    if (check_range(epoch, err))
        return -1;
    int n = db_run(db, err,
                   "INSERT INTO vm_epochs (uuid, last_epoch) VALUES (?1, ?2) ON CONFLICT (uuid)"
                   " DO UPDATE SET last_epoch = excluded.last_epoch"
                   " WHERE excluded.last_epoch > last_epoch",
                   "si", uuid, (int64_t)epoch);
    return n < 0 ? -1 : 0;
}

int db_vm_epoch_get(struct db *db, const char *uuid, uint64_t *ret_epoch, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT last_epoch FROM vm_epochs WHERE uuid = ?1", "s", uuid);
    int row = s ? db_step(db, s, err) : -1;
    if (row < 0)
        return -1;
    *ret_epoch = row ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    return 0;
}

int db_vm_epoch_check(struct db *db, const char *uuid, uint64_t epoch, struct drv_err *err)
{
    uint64_t highest = 0;
    if (db_vm_epoch_get(db, uuid, &highest, err))
        return -1;
    if (epoch >= highest)
        return 0;
    drv_err(err, DRV_EATTENTION,
            "the owner record says epoch %" PRIu64 ", but this host has seen %" PRIu64, epoch,
            highest);
    return drv_err_hint(err,
                        "the file server lost a write that it had confirmed, or an old copy was "
                        "restored: nobody may run the VM until a person has looked");
}
