// SPDX-License-Identifier: GPL-3.0-or-later
// What the move journal promises to the mover and to recovery.
#include "tmpdb.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define MOVE "00000000-0000-4000-8000-000000000001"
#define MOVE2 "00000000-0000-4000-8000-000000000002"
#define VM "10000000-0000-4000-8000-000000000001"

static void add(struct tmpdb *t, const char *id)
{
    struct db_move m = a_move(id, VM);
    struct drv_err err = DRV_ERR_INIT;
    if (db_move_add(t->db, &m, &err))
        fail_msg("%s", err.msg);
}

static enum db_move_state state_of(struct tmpdb *t, const char *id)
{
    struct db_move m;
    assert_int_equal(db_move_get(t->db, id, &m, NULL), 0);
    enum db_move_state s = m.state;
    db_move_done(&m);
    return s;
}

static void begun_survives_kill_9(void **state)
{
    struct tmpdb *t = *state;
    add(t, MOVE);
    tmpdb_close(t); // SQLite connections do not cross fork
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct db *db = db_open(t->path, NULL);
        char ok = !!db && !db_move_phase_begin(db, MOVE, "prepare", DB_START, NULL, NULL) &&
                  !db_move_phase_end(db, MOVE, "prepare", DB_START, DB_DONE, NULL, NULL) &&
                  !db_move_phase_begin(db, MOVE, "copy", DB_START, "{\"port\":7}", NULL);
        if (write(ready[1], &ok, 1) == 1)
            pause();
        _exit(1);
    }
    char ok = 0;
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, 1);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ready[0]);
    close(ready[1]);

    tmpdb_open(t);
    struct db_phases p;
    assert_int_equal(db_move_phases(t->db, MOVE, &p, NULL), 0);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.list[2].phase, "copy");
    assert_int_equal(p.list[2].state, DB_BEGUN);
    assert_string_equal(p.list[2].detail, "{\"port\":7}");
    db_phases_done(&p);
    struct db_move m;
    assert_int_equal(db_move_get(t->db, MOVE, &m, NULL), 0);
    assert_string_equal(m.phase, "copy");
    assert_int_equal(m.state, DB_MOVE_ACTIVE);
    db_move_done(&m);
}

static void rows_come_back_as_written(void **state)
{
    struct tmpdb *t = *state;
    add(t, MOVE);
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_DONE, NULL, "{\"r\":1}", NULL), 0);
    struct db_move m;
    assert_int_equal(db_move_get(t->db, MOVE, &m, NULL), 0);
    assert_int_equal(m.role, DB_DESTINATION);
    assert_string_equal(m.vm_uuid, VM);
    assert_string_equal(m.from_host, "hv1.example.lan");
    assert_string_equal(m.to_host, "hv2.example.lan");
    assert_string_equal(m.user, "alice@EXAMPLE.LAN");
    assert_string_equal(m.decision, "alice is an operator");
    assert_string_equal(m.plan, "{}");
    assert_int_equal(m.epoch_before, 4);
    assert_string_equal(m.result, "{\"r\":1}");
    assert_null(m.error);
    assert_false(m.taking);
    db_move_done(&m);
}

static void a_vm_has_one_active_move(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct db_move m = a_move(MOVE2, VM);
    add(t, MOVE);
    assert_int_equal(db_move_add(t->db, &m, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_FAILED, NULL, NULL, NULL), 0);
    assert_int_equal(db_move_add(t->db, &m, NULL), 0);
    drv_err_clear(&err);
    assert_int_equal(db_move_add(t->db, &m, &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
}

static void after_taking_no_refusal(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    add(t, MOVE);
    assert_int_equal(db_move_taking(t->db, MOVE, NULL), 0);
    assert_int_equal(db_move_taking(t->db, MOVE, NULL), 0); // asked again after a lost answer
    assert_int_equal(db_move_refuse(t->db, MOVE, NULL, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    assert_int_equal(state_of(t, MOVE), DB_MOVE_ACTIVE);
    // Not even when it ended otherwise: only the owner record can tell.
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_FAILED, NULL, NULL, NULL), 0);
    assert_int_equal(db_move_refuse(t->db, MOVE, NULL, NULL), -1);
}

static void after_refusal_no_taking(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    add(t, MOVE);
    assert_int_equal(db_move_refuse(t->db, MOVE, "{\"why\":1}", NULL), 0);
    assert_int_equal(db_move_refuse(t->db, MOVE, NULL, NULL), 0);
    assert_int_equal(state_of(t, MOVE), DB_MOVE_REFUSED);
    assert_int_equal(db_move_taking(t->db, MOVE, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    // Nor does it become anything else, nor start another phase.
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_DONE, NULL, NULL, NULL), -1);
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_ACTIVE, NULL, NULL, NULL), -1);
    assert_int_equal(db_move_phase_begin(t->db, MOVE, "take", DB_START, NULL, NULL), -1);
    assert_int_equal(db_move_phase_begin(t->db, MOVE, "prepare", DB_UNDO, NULL, NULL), 0);
}

static void an_ended_move_that_never_took_can_be_refused(void **state)
{
    struct tmpdb *t = *state;
    add(t, MOVE);
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_CANCELLED, NULL, NULL, NULL), 0);
    assert_int_equal(db_move_refuse(t->db, MOVE, NULL, NULL), 0);
    assert_int_equal(state_of(t, MOVE), DB_MOVE_CANCELLED);
    assert_int_equal(db_move_taking(t->db, MOVE, NULL), -1);
}

static void an_unknown_move_can_be_refused_for_ever(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(db_move_refuse(t->db, MOVE, NULL, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    struct db_move m = a_move(MOVE, VM);
    m.state = DB_MOVE_REFUSED;
    assert_int_equal(db_move_add(t->db, &m, NULL), 0);
    m.state = DB_MOVE_ACTIVE;
    assert_int_equal(db_move_add(t->db, &m, NULL), -1);
    assert_int_equal(db_move_taking(t->db, MOVE, NULL), -1);
}

struct race {
    struct db *db;
    pthread_barrier_t start;
    int took, refused;
};

static void *race_take(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(&r->start);
    r->took = db_move_taking(r->db, MOVE, NULL);
    return NULL;
}

static void *race_refuse(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(&r->start);
    r->refused = db_move_refuse(r->db, MOVE, NULL, NULL);
    return NULL;
}

static void exactly_one_of_two_threads_wins(void **state)
{
    struct tmpdb *t = *state;
    int wins[2] = {0};
    for (int i = 0; i < 100; i++) {
        assert_true(db_run(t->db, NULL, "DELETE FROM moves", "") >= 0);
        add(t, MOVE);
        struct race r = {.db = t->db};
        pthread_t a, b;
        pthread_barrier_init(&r.start, NULL, 2);
        assert_int_equal(pthread_create(&a, NULL, i % 2 ? race_take : race_refuse, &r), 0);
        assert_int_equal(pthread_create(&b, NULL, i % 2 ? race_refuse : race_take, &r), 0);
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        pthread_barrier_destroy(&r.start);
        assert_int_equal(r.took + r.refused, -1); // one 0, one -1
        wins[r.took == 0]++;
    }
    print_message("taken %d, refused %d\n", wins[1], wins[0]);
}

// Two moves journalled by two threads on the one connection: no statement of the one may land in
// the other's transaction and share its fate.
static void *journal_many(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(&r->start);
    for (int i = 0; i < 100; i++)
        // The second end fails and rolls back, in its own transaction alone.
        if (db_move_phase_begin(r->db, MOVE, "copy", DB_START, NULL, NULL) ||
            db_move_phase_end(r->db, MOVE, "copy", DB_START, DB_DONE, NULL, NULL) ||
            !db_move_phase_end(r->db, MOVE, "copy", DB_START, DB_DONE, NULL, NULL))
            r->took = -1;
    return NULL;
}

static void *set_many(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(&r->start);
    for (int i = 0; i < 300; i++) {
        char value[16], *got = NULL;
        snprintf(value, sizeof value, "%d", i);
        if (db_setting_set(r->db, "k", value, NULL) || db_setting_get(r->db, "k", &got, NULL) ||
            strcmp(got, value) != 0)
            r->refused = -1;
        free(got);
    }
    return NULL;
}

static void threads_do_not_share_transactions(void **state)
{
    struct tmpdb *t = *state;
    add(t, MOVE);
    struct race r = {.db = t->db};
    pthread_t a, b;
    pthread_barrier_init(&r.start, NULL, 2);
    assert_int_equal(pthread_create(&a, NULL, journal_many, &r), 0);
    assert_int_equal(pthread_create(&b, NULL, set_many, &r), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    pthread_barrier_destroy(&r.start);
    assert_int_equal(r.took, 0);
    assert_int_equal(r.refused, 0);
    struct db_phases p;
    assert_int_equal(db_move_phases(t->db, MOVE, &p, NULL), 0);
    assert_int_equal(p.n, 200);
    assert_int_equal(p.list[199].seq, 200);
    db_phases_done(&p);
}

static void an_end_needs_a_begin(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    add(t, MOVE);
    assert_int_equal(db_move_phase_end(t->db, MOVE, "copy", DB_START, DB_DONE, NULL, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    assert_int_equal(db_move_phase_begin(t->db, MOVE, "copy", DB_START, NULL, NULL), 0);
    assert_int_equal(db_move_phase_end(t->db, MOVE, "copy", DB_UNDO, DB_DONE, NULL, NULL), -1);
    assert_int_equal(db_move_phase_end(t->db, MOVE, "copy", DB_START, DB_FAILED, NULL, NULL), 0);
    assert_int_equal(db_move_phase_begin(t->db, MOVE2, "copy", DB_START, NULL, NULL), -1);
}

static void the_list_is_newest_first_and_filters(void **state)
{
    struct tmpdb *t = *state;
    add(t, MOVE);
    assert_int_equal(db_move_set_state(t->db, MOVE, DB_MOVE_DONE, NULL, NULL, NULL), 0);
    add(t, MOVE2);
    struct db_moves l;
    assert_int_equal(db_move_list(t->db, false, 10, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.list[0].id, MOVE2);
    db_moves_done(&l);
    assert_int_equal(db_move_list(t->db, true, 10, &l, NULL), 0);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.list[0].id, MOVE2);
    db_moves_done(&l);
    assert_int_equal(db_move_list(t->db, false, 1, &l, NULL), 0);
    assert_int_equal(l.n, 1);
    db_moves_done(&l);
}

static void a_word_of_a_newer_version_is_an_error(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct db_move m;
    add(t, MOVE);
    assert_int_equal(db_run(t->db, NULL, "UPDATE moves SET state = 'parked'", ""), 1);
    assert_int_equal(db_move_get(t->db, MOVE, &m, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    assert_non_null(strstr(err.msg, "parked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(begun_survives_kill_9),
        DB_TEST(rows_come_back_as_written),
        DB_TEST(a_vm_has_one_active_move),
        DB_TEST(after_taking_no_refusal),
        DB_TEST(after_refusal_no_taking),
        DB_TEST(an_ended_move_that_never_took_can_be_refused),
        DB_TEST(an_unknown_move_can_be_refused_for_ever),
        DB_TEST(exactly_one_of_two_threads_wins),
        DB_TEST(threads_do_not_share_transactions),
        DB_TEST(an_end_needs_a_begin),
        DB_TEST(the_list_is_newest_first_and_filters),
        DB_TEST(a_word_of_a_newer_version_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
