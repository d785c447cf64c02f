// SPDX-License-Identifier: GPL-3.0-or-later
// Table kept: images that a move left at its source for a while.
#include "db_int.h"

#include <stdlib.h>

int db_kept_add(struct db *db, const struct db_kept *k, struct drv_err *err)
{
    DB_HOLD(db);
    int n = db_run(db, err,
                   "INSERT INTO kept (store, path, move, until) VALUES (?1, ?2, ?3, ?4)"
                   " ON CONFLICT DO UPDATE SET move = excluded.move, until = excluded.until",
                   "sssi", k->store, k->path, k->move, k->until_ms);
    return n < 0 ? -1 : 0;
}

int db_kept_due(struct db *db, int64_t now_ms, struct db_kepts *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err,
                                            "SELECT store, path, move, until FROM kept"
                                            " WHERE until <= ?1 ORDER BY store, until, path",
                                            "i", now_ms);
    struct db_kepts out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        struct db_kept *k = &out.list[out.n++];
        db_col_copy(s, 0, k->store, sizeof k->store);
        k->path = db_col_text(s, 1);
        db_col_copy(s, 2, k->move, sizeof k->move);
        k->until_ms = sqlite3_column_int64(s, 3);
    }
    if (row < 0) {
        db_kepts_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

int db_kept_remove(struct db *db, const char *store, const char *path, struct drv_err *err)
{
    DB_HOLD(db);
    int n = db_run(db, err, "DELETE FROM kept WHERE store = ?1 AND path = ?2", "ss", store, path);
    return n < 0 ? -1 : 0;
}

void db_kepts_done(struct db_kepts *k)
{
    for (unsigned i = 0; i < k->n; i++)
        free(k->list[i].path);
    free(k->list);
    *k = (struct db_kepts){0};
}
