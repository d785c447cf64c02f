// SPDX-License-Identifier: GPL-3.0-or-later
// Table move_phases: the journal proper. Lines are added, never changed.
#include "db_int.h"

#include <stdlib.h>
#include <string.h>

static const char *const step_names[] = {
    [DB_START] = "start",
    [DB_UNDO] = "undo",
};
_Static_assert(DRV_ARRAY_LEN(step_names) == DB_STEP_MAX_, "a name per step");

static const char *const step_state_names[] = {
    [DB_BEGUN] = "begun",
    [DB_DONE] = "done",
    [DB_FAILED] = "failed",
};
_Static_assert(DRV_ARRAY_LEN(step_state_names) == DB_STEP_STATE_MAX_, "a name per state");

const char *db_step_name(enum db_step s)
{
    return step_names[s];
}

const char *db_step_state_name(enum db_step_state s)
{
    return step_state_names[s];
}

// The move's state as a word, and the state of its last line for this phase and step ("" if none).
static int look(struct db *db, const char *move, const char *phase, enum db_step step,
                char state[32], char last[32], struct drv_err *err)
{
    DB_AUTO_STMT sqlite3_stmt *s = db_query(
        db, err,
        "SELECT state, (SELECT p.state FROM move_phases p WHERE p.move = m.id AND p.phase = ?2"
        " AND p.step = ?3 ORDER BY seq DESC LIMIT 1) FROM moves m WHERE id = ?1",
        "sss", move, phase, step_names[step]);
    int row = s ? db_step(db, s, err) : -1;
    if (row == 0)
        return drv_err(err, DRV_ENOTFOUND, "this host knows no move %s", move);
    if (row < 0)
        return -1;
    db_col_copy(s, 0, state, 32);
    db_col_copy(s, 1, last, 32);
    return 0;
}

static int add_line(struct db *db, const char *move, const char *phase, enum db_step step,
                    enum db_step_state state, const char *detail, struct drv_err *err)
{
    return db_run(db, err,
                  "INSERT INTO move_phases (move, seq, phase, step, state, at, detail) VALUES (?1,"
                  " (SELECT coalesce(max(seq), 0) + 1 FROM move_phases WHERE move = ?1),"
                  " ?2, ?3, ?4, ?5, ?6)",
                  "ssssis", move, phase, step_names[step], step_state_names[state], db_wall_ms(),
                  detail) < 0
               ? -1
               : 0;
}

int db_move_phase_begin(struct db *db, const char *move, const char *phase, enum db_step step,
                        const char *detail, struct drv_err *err)
{
    DB_HOLD(db);
    char state[32], last[32];
    if (db_begin(db, err))
        return -1;
    bool ok = !look(db, move, phase, step, state, last, err);
    if (ok && step == DB_START && strcmp(state, db_move_state_name(DB_MOVE_ACTIVE)) != 0) {
        drv_err(err, DRV_ESTATE, "move %s is %s: phase %s cannot start", move, state, phase);
        ok = false;
    }
    ok = ok && !add_line(db, move, phase, step, DB_BEGUN, detail, err) &&
         db_run(db, err, "UPDATE moves SET phase = ?2, updated_at = ?3 WHERE id = ?1", "ssi", move,
                phase, db_wall_ms()) >= 0;
    return db_end(db, ok, err);
}

int db_move_phase_end(struct db *db, const char *move, const char *phase, enum db_step step,
                      enum db_step_state end, const char *detail, struct drv_err *err)
{
    DB_HOLD(db);
    char state[32], last[32];
    if (db_begin(db, err))
        return -1;
    bool ok = !look(db, move, phase, step, state, last, err);
    if (ok && (end == DB_BEGUN || strcmp(last, step_state_names[DB_BEGUN]) != 0)) {
        drv_err(err, DRV_ESTATE, "move %s: %s of phase %s is not begun", move, step_names[step],
                phase);
        ok = false;
    }
    ok = ok && !add_line(db, move, phase, step, end, detail, err);
    return db_end(db, ok, err);
}

int db_move_phases(struct db *db, const char *move, struct db_phases *ret, struct drv_err *err)
{
    DB_HOLD(db);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(
        db, err,
        "SELECT seq, phase, step, state, at, detail FROM move_phases WHERE move = ?1 ORDER BY seq",
        "s", move);
    struct db_phases out = {0};
    int row = s ? 1 : -1;
    while (row > 0 && (row = db_step(db, s, err)) > 0) {
        int step = db_col_word(s, 2, step_names, DB_STEP_MAX_, err);
        int state = step < 0 ? -1 : db_col_word(s, 3, step_state_names, DB_STEP_STATE_MAX_, err);
        if (state < 0) {
            row = -1;
            break;
        }
        out.list = db_grow(out.list, out.n, sizeof *out.list);
        struct db_phase *p = &out.list[out.n++];
        p->seq = (unsigned)sqlite3_column_int(s, 0);
        db_col_copy(s, 1, p->phase, sizeof p->phase);
        p->step = (enum db_step)step;
        p->state = (enum db_step_state)state;
        p->at_ms = sqlite3_column_int64(s, 4);
        p->detail = db_col_text(s, 5);
    }
    if (row < 0) {
        db_phases_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}

void db_phases_done(struct db_phases *p)
{
    for (unsigned i = 0; i < p->n; i++)
        free(p->list[i].detail);
    free(p->list);
    *p = (struct db_phases){0};
}
