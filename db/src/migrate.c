// SPDX-License-Identifier: GPL-3.0-or-later
// Schema versions: schema/NNN-name.sql brings a file from version NNN-1 to NNN. The version is
// SQLite's user_version; its application_id tells our files from others'. Files are never changed
// once released: a change is a new number.
#include "db_int.h"

enum { DB_APPLICATION_ID = 0x64727672 }; // "drvr"

static int ask_int(struct db *db, const char *sql, int64_t *ret, struct drv_err *err)
{
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err, sql, "");
    if (!s || db_step(db, s, err) != 1)
        return -1;
    *ret = sqlite3_column_int64(s, 0);
    return 0;
}

int db_check_ours(struct db *db, const struct db_migration *list, unsigned n, struct drv_err *err)
{
    int64_t app = 0, version = 0, objects = 0;
    int64_t known = n ? list[n - 1].version : 0;
    if (ask_int(db, "SELECT count(*) FROM sqlite_schema", &objects, err) ||
        ask_int(db, "PRAGMA application_id", &app, err) ||
        ask_int(db, "PRAGMA user_version", &version, err))
        return -1;
    if (app != DB_APPLICATION_ID && (objects > 0 || app != 0)) {
        drv_err(err, DRV_EINVAL, "%s is a database, but not drover's", db->path);
        return drv_err_hint(err, "set `database` in the configuration to another file");
    }
    if (version > known) {
        drv_err(err, DRV_ESTATE, "database %s has schema %lld, this drover knows %lld", db->path,
                (long long)version, (long long)known);
        return drv_err_hint(err,
                            "a newer drover wrote it: install that version again, or restore the "
                            "file from before the upgrade");
    }
    return 0;
}

static int apply(struct db *db, const struct db_migration *m, struct drv_err *err)
{
    if (db_begin(db, err))
        return -1;
    DRV_AUTO_FREE char *stamp = drv_xasprintf("PRAGMA application_id=%d; PRAGMA user_version=%d",
                                              DB_APPLICATION_ID, m->version);
    bool ok = sqlite3_exec(db->h, m->sql, NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(db->h, stamp, NULL, NULL, NULL) == SQLITE_OK;
    if (!ok)
        db_fail(db, err, m->name);
    return db_end(db, ok, err);
}

int db_migrate(struct db *db, const struct db_migration *list, unsigned n, struct drv_err *err)
{
    DB_HOLD(db);
    int64_t version = 0;
    if (ask_int(db, "PRAGMA user_version", &version, err))
        return -1;
    for (unsigned i = 0; i < n; i++)
        if (list[i].version > version && apply(db, &list[i], err))
            return drv_err_prefix(err, "schema %03d", list[i].version);
    return 0;
}
