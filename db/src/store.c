// SPDX-License-Identifier: GPL-3.0-or-later
// Table stores: names and addresses of the places that hold images.
#include "db_int.h"

#include <stdlib.h>

int db_store_add(struct db *db, const char *name, const char *url, struct drv_err *err)
{
    DB_HOLD(db);
    int n = db_run(db, err, "INSERT INTO stores (name, url) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                   "ss", name, url);
    if (n == 0) {
        drv_err(err, DRV_EEXIST, "there is a store \"%s\" already", name);
        return drv_err_hint(err, "`drover store list` shows it");
    }
    return n < 0 ? -1 : 0;
}

int db_store_remove(struct db *db, const char *name, struct drv_err *err)
{
    DB_HOLD(db);
    struct drv_err e = DRV_ERR_INIT;
    int n = db_run(db, &e, "DELETE FROM stores WHERE name = ?1", "s", name);
    if (n > 0)
        return 0;
    if (n == 0) {
        drv_err(err, DRV_ENOTFOUND, "there is no store \"%s\"", name);
        return drv_err_hint(err, "`drover store list` shows those there are");
    }
    if (db_failed_by(&e, SQLITE_CONSTRAINT_FOREIGNKEY)) {
        drv_err(err, DRV_EBUSY, "VMs of this host have their home on the store \"%s\"", name);
        return drv_err_hint(err, "move or delete them first: `drover vm list`");
    }
    if (err)
        *err = e;
    return -1;
}

int db_store_get(struct db *db, const char *name, char **ret_url, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT url FROM stores WHERE name = ?1", "s", name);
    int row = s ? db_step(db, s, err) : -1;
    if (row == 0) {
        drv_err(err, DRV_ENOTFOUND, "there is no store \"%s\" on this host", name);
        return drv_err_hint(err, "add it with `drover store add %s smb://SERVER/SHARE`", name);
    }
    if (row < 0)
        return -1;
    *ret_url = db_col_text(s, 0);
    return 0;
}

int db_store_list(struct db *db, struct db_stores *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT name, url FROM stores ORDER BY name", "");
    struct db_stores out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        struct db_store *e = &out.list[out.n++];
        db_col_copy(s, 0, e->name, sizeof e->name);
        e->url = db_col_text(s, 1);
    }
    if (row < 0) {
        db_stores_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

void db_stores_done(struct db_stores *s)
{
    for (unsigned i = 0; i < s->n; i++)
        free(s->list[i].url);
    free(s->list);
    *s = (struct db_stores){0};
}

int db_store_setting_set(struct db *db, const char *store, const char *key, const char *value,
                         struct drv_err *err)
{
    DB_HOLD(db);
    struct drv_err e = DRV_ERR_INIT;
    int n = db_run(db, &e,
                   "INSERT INTO store_settings (store, key, value) VALUES (?1, ?2, ?3) "
                   "ON CONFLICT DO UPDATE SET value = excluded.value",
                   "sss", store, key, value);
    if (n >= 0)
        return 0;
    if (db_failed_by(&e, SQLITE_CONSTRAINT_FOREIGNKEY))
        return drv_err(err, DRV_ENOTFOUND, "there is no store \"%s\"", store);
    if (err)
        *err = e;
    return -1;
}

int db_store_setting_get(struct db *db, const char *store, const char *key, char **ret_value,
                         struct drv_err *err)
{
    DB_HOLD(db);
    *ret_value = NULL;
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT value FROM store_settings WHERE store = ?1 AND key = ?2", "ss",
                 store, key);
    int row = s ? db_step(db, s, err) : -1;
    if (row > 0)
        *ret_value = db_col_text(s, 0);
    return row < 0 ? -1 : 0;
}
