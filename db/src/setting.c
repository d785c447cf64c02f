// SPDX-License-Identifier: GPL-3.0-or-later
// Table settings: what `drover host set` stored.
#include "db_int.h"

#include <stdlib.h>

int db_setting_get(struct db *db, const char *key, char **ret_value, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT value FROM settings WHERE key = ?1", "s", key);
    if (!s)
        return -1;
    int row = db_step(db, s, err);
    if (row < 0)
        return -1;
    *ret_value = row ? db_col_text(s, 0) : NULL;
    return 0;
}

int db_setting_set(struct db *db, const char *key, const char *value, struct drv_err *err)
{
    int n = value ? db_run(db, err,
                           "INSERT INTO settings (key, value) VALUES (?1, ?2)"
                           " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                           "ss", key, value)
                  : db_run(db, err, "DELETE FROM settings WHERE key = ?1", "s", key);
    return n < 0 ? -1 : 0;
}

int db_setting_set_all(struct db *db, const struct db_setting *list, unsigned n,
                       struct drv_err *err)
{
    DB_HOLD(db);
    if (db_begin(db, err))
        return -1;
    bool ok = true;
    for (unsigned i = 0; ok && i < n; i++)
        ok = !db_setting_set(db, list[i].key, list[i].value, err);
    return db_end(db, ok, err);
}

int db_setting_all(struct db *db, struct db_settings *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT key, value FROM settings ORDER BY key", "");
    struct db_settings out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        struct db_setting *e = &out.list[out.n++];
        db_col_copy(s, 0, e->key, sizeof e->key);
        e->value = db_col_text(s, 1);
    }
    if (row < 0) {
        db_settings_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

void db_settings_done(struct db_settings *s)
{
    for (unsigned i = 0; i < s->n; i++)
        free(s->list[i].value);
    free(s->list);
    *s = (struct db_settings){0};
}
