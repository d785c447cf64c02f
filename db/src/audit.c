// SPDX-License-Identifier: GPL-3.0-or-later
// Table audit: written once, never changed.
#include "db_int.h"

#include <stdlib.h>

int db_audit_add(struct db *db, const struct db_audit *a, struct drv_err *err)
{
    return db_run(
               db, err,
               "INSERT INTO audit (at, who, via, on_behalf, action, object, allowed, reason, move)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
               "isssssiss", db_wall_ms(), a->who, a->via, a->on_behalf, a->action, a->object,
               (int64_t)a->allowed, a->reason, a->move) < 0
               ? -1
               : 0;
}

static void read_audit(sqlite3_stmt *s, struct db_audit *ret)
{
    ret->at_ms = sqlite3_column_int64(s, 0);
    ret->who = db_col_text(s, 1);
    ret->via = db_col_text(s, 2);
    ret->on_behalf = db_col_text(s, 3);
    ret->action = db_col_text(s, 4);
    ret->object = db_col_text(s, 5);
    ret->allowed = sqlite3_column_int(s, 6) != 0;
    ret->reason = db_col_text(s, 7);
    ret->move = db_col_text(s, 8);
}

int db_audit_list(struct db *db, unsigned limit, bool refused, struct db_audits *ret,
                  struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err,
                 "SELECT at, who, via, on_behalf, action, object, allowed, reason, move FROM audit"
                 " WHERE NOT (allowed AND ?2) ORDER BY n DESC LIMIT ?1",
                 "ii", (int64_t)limit, (int64_t)refused);
    struct db_audits out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        read_audit(s, &out.list[out.n++]);
    }
    if (row < 0) {
        db_audits_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

void db_audits_done(struct db_audits *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        struct db_audit *e = &a->list[i];
        free(e->who);
        free(e->via);
        free(e->on_behalf);
        free(e->action);
        free(e->object);
        free(e->reason);
        free(e->move);
    }
    free(a->list);
    *a = (struct db_audits){0};
}
