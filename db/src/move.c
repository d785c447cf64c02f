// SPDX-License-Identifier: GPL-3.0-or-later
// Table moves: one row for each move that this host takes part in, and the words that decide doubt.
// What each phase did is in phase.c.
#include "db_int.h"

#include <stdlib.h>
#include <string.h>

static const char *const role_names[] = {
    [DB_SOURCE] = "source",
    [DB_DESTINATION] = "destination",
};
_Static_assert(DRV_ARRAY_LEN(role_names) == DB_ROLE_MAX_, "a name per role");

static const char *const state_names[] = {
    [DB_MOVE_ACTIVE] = "active",   [DB_MOVE_DONE] = "done",
    [DB_MOVE_FAILED] = "failed",   [DB_MOVE_CANCELLED] = "cancelled",
    [DB_MOVE_REFUSED] = "refused", [DB_MOVE_ATTENTION] = "attention",
};
_Static_assert(DRV_ARRAY_LEN(state_names) == DB_MOVE_STATE_MAX_, "a name per state");

const char *db_role_name(enum db_role r)
{
    return role_names[r];
}

const char *db_move_state_name(enum db_move_state s)
{
    return state_names[s];
}

static bool exists(struct db *db, const char *id)
{
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, NULL, "SELECT 1 FROM moves WHERE id = ?1", "s", id);
    return s && db_step(db, s, NULL) == 1;
}

int db_move_add(struct db *db, const struct db_move *m, struct drv_err *err)
{
    DB_HOLD(db);
    struct drv_err e = DRV_ERR_INIT;
    int n =
        db_run(db, &e,
               "INSERT INTO moves (id, role, vm_uuid, vm_name, from_host, to_host, user, decision,"
               " plan, epoch_before, state, created_at, updated_at, error, result) VALUES"
               " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14)",
               "sssssssssisiss", m->id, role_names[m->role], m->vm_uuid, m->vm_name, m->from_host,
               m->to_host, m->user, m->decision, m->plan, (int64_t)m->epoch_before,
               state_names[m->state], db_wall_ms(), m->error, m->result);
    if (n >= 0)
        return 0;
    if (db_failed_by(&e, SQLITE_CONSTRAINT_UNIQUE) && exists(db, m->id))
        return drv_err(err, DRV_EEXIST, "there is a move %s already", m->id);
    if (db_failed_by(&e, SQLITE_CONSTRAINT_UNIQUE)) {
        drv_err(err, DRV_EBUSY, "%s is being moved already", m->vm_name);
        return drv_err_hint(err, "`drover jobs` shows the move; `drover cancel ID` ends it");
    }
    if (err)
        *err = e;
    return -1;
}

#define SELECT_MOVE                                                                                \
    "SELECT id, role, vm_uuid, vm_name, from_host, to_host, user, decision, plan, epoch_before,"   \
    " state, taking, phase, created_at, updated_at, error, result FROM moves"

static int read_move(sqlite3_stmt *s, struct db_move *m, struct drv_err *err)
{
    int role = db_col_word(s, 1, role_names, DB_ROLE_MAX_, err);
    int state = role < 0 ? -1 : db_col_word(s, 10, state_names, DB_MOVE_STATE_MAX_, err);
    if (state < 0)
        return -1;
    m->role = (enum db_role)role;
    m->state = (enum db_move_state)state;
    db_col_copy(s, 0, m->id, sizeof m->id);
    db_col_copy(s, 2, m->vm_uuid, sizeof m->vm_uuid);
    db_col_copy(s, 3, m->vm_name, sizeof m->vm_name);
    db_col_copy(s, 4, m->from_host, sizeof m->from_host);
    db_col_copy(s, 5, m->to_host, sizeof m->to_host);
    db_col_copy(s, 6, m->user, sizeof m->user);
    m->decision = db_col_text(s, 7);
    m->plan = db_col_text(s, 8);
    m->epoch_before = (uint64_t)sqlite3_column_int64(s, 9);
    m->taking = sqlite3_column_int(s, 11) != 0;
    db_col_copy(s, 12, m->phase, sizeof m->phase);
    m->created_at_ms = sqlite3_column_int64(s, 13);
    m->updated_at_ms = sqlite3_column_int64(s, 14);
    m->error = db_col_text(s, 15);
    m->result = db_col_text(s, 16);
    return 0;
}

int db_move_get(struct db *db, const char *id, struct db_move *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err, SELECT_MOVE " WHERE id = ?1", "s", id);
    int row = s ? db_step(db, s, err) : -1;
    if (row == 0) {
        drv_err(err, DRV_ENOTFOUND, "this host knows no move %s", id);
        return drv_err_hint(err, "`drover jobs` shows those it knows");
    }
    if (row < 0)
        return -1;
    struct db_move m = {0};
    if (read_move(s, &m, err))
        return -1;
    *ret = m;
    return 0;
}

int db_move_list(struct db *db, bool active_only, unsigned limit, struct db_moves *ret,
                 struct drv_err *err)
{
    DB_HOLD(db);
    const char *sql = active_only ? SELECT_MOVE
                          " WHERE state IN ('active', 'attention') ORDER BY n DESC LIMIT ?1"
                                  : SELECT_MOVE " ORDER BY n DESC LIMIT ?1";
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err, sql, "i", (int64_t)limit);
    struct db_moves out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        if (read_move(s, &out.list[out.n++], err))
            row = -1;
    }
    if (row < 0) {
        db_moves_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

int db_move_counts(struct db *db, uint64_t ret[DB_ROLE_MAX_][DB_MOVE_STATE_MAX_],
                   struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s =
        db_query(db, err, "SELECT role, state, count(*) FROM moves GROUP BY role, state", "");
    int row = s ? 1 : -1;
    memset(ret, 0, sizeof(uint64_t) * DB_ROLE_MAX_ * DB_MOVE_STATE_MAX_);
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        int role = db_col_word(s, 0, role_names, DB_ROLE_MAX_, err);
        int state = role < 0 ? -1 : db_col_word(s, 1, state_names, DB_MOVE_STATE_MAX_, err);
        if (state < 0)
            return -1;
        ret[role][state] = (uint64_t)sqlite3_column_int64(s, 2);
    }
    return row;
}

int db_move_last_done(struct db *db, struct db_move *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(
        db, err, SELECT_MOVE " WHERE state = 'done' AND role = 'source' ORDER BY n DESC LIMIT 1",
        "");
    int row = s ? db_step(db, s, err) : -1;
    if (row == 0)
        return drv_err(err, DRV_ENOTFOUND, "no move from here is done yet");
    struct db_move m = {0};
    if (row < 0 || read_move(s, &m, err) < 0)
        return -1;
    *ret = m;
    return 0;
}

void db_move_done(struct db_move *m)
{
    free(m->decision);
    free(m->plan);
    free(m->error);
    free(m->result);
    *m = (struct db_move){0};
}

void db_moves_done(struct db_moves *m)
{
    for (unsigned i = 0; i < m->n; i++)
        db_move_done(&m->list[i]);
    free(m->list);
    *m = (struct db_moves){0};
}

// Why a compare-and-set changed nothing: the row is missing, or in a state that forbids it.
static int not_now(struct db *db, const char *id, const char *what, struct drv_err *err)
{
    struct db_move m = {0};
    if (db_move_get(db, id, &m, err))
        return -1;
    drv_err(err, DRV_ESTATE, "move %s is %s%s: it cannot %s", id, state_names[m.state],
            m.taking ? ", and its epoch write may have been sent" : "", what);
    db_move_done(&m);
    return -1;
}

int db_move_set_state(struct db *db, const char *id, enum db_move_state state, const char *error,
                      const char *result, struct drv_err *err)
{
    DB_HOLD(db);
    int n =
        db_run(db, err,
               "UPDATE moves SET state = ?2, error = coalesce(?3, error),"
               " result = coalesce(?4, result), updated_at = ?5 WHERE id = ?1 AND (state = ?2 OR"
               " (state IN ('active', 'attention') AND ?2 <> 'refused'))",
               "ssssi", id, state_names[state], error, result, db_wall_ms());
    if (n == 0) {
        DRV_AUTO_FREE char *what = drv_xasprintf("become %s", state_names[state]);
        return not_now(db, id, what, err);
    }
    return n < 0 ? -1 : 0;
}

int db_move_taking(struct db *db, const char *id, struct drv_err *err)
{
    DB_HOLD(db);
    int n = db_run(
        db, err, "UPDATE moves SET taking = 1, updated_at = ?2 WHERE id = ?1 AND state = 'active'",
        "si", id, db_wall_ms());
    if (n == 0)
        return not_now(db, id, "take the VM", err);
    return n < 0 ? -1 : 0;
}

int db_move_refuse(struct db *db, const char *id, const char *error, struct drv_err *err)
{
    DB_HOLD(db);
    // One statement: a row that has ended without taking keeps its state; its word is as durable.
    int n =
        db_run(db, err,
               "UPDATE moves SET error = CASE WHEN state IN ('active', 'attention')"
               " THEN coalesce(?2, error) ELSE error END, updated_at = ?3,"
               " state = CASE WHEN state IN ('active', 'attention') THEN 'refused' ELSE state END"
               " WHERE id = ?1 AND taking = 0 AND state <> 'done'",
               "ssi", id, error, db_wall_ms());
    if (n == 0)
        return not_now(db, id, "be refused", err);
    return n < 0 ? -1 : 0;
}
