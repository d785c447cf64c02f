// SPDX-License-Identifier: GPL-3.0-or-later
// Schema versions, from 001 to the newest.
#include "tmpdb.h"

static int64_t ask(struct db *db, const char *sql)
{
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, NULL, sql, "");
    assert_int_equal(db_step(db, s, NULL), 1);
    return sqlite3_column_int64(s, 0);
}

static void open_raw(struct tmpdb *t)
{
    t->db = drv_xcalloc(1, sizeof *t->db);
    t->db->path = drv_xstrdup(t->path);
    assert_int_equal(sqlite3_open(t->path, &t->db->h), SQLITE_OK);
}

// A file that the first version made, with a row in it.
static void make_version_1(struct tmpdb *t)
{
    open_raw(t);
    assert_int_equal(db_migrate(t->db, db_migrations, 1, NULL), 0);
    assert_int_equal(db_setting_set(t->db, "receive", "on", NULL), 0);
    assert_int_equal(ask(t->db, "PRAGMA user_version"), 1);
    tmpdb_close(t);
}

static void the_first_schema_opens_and_keeps_its_rows(void **state)
{
    struct tmpdb *t = *state;
    make_version_1(t);
    tmpdb_open(t);
    DRV_AUTO_FREE char *value = NULL;
    assert_int_equal(db_setting_get(t->db, "receive", &value, NULL), 0);
    assert_string_equal(value, "on");
    assert_int_equal(ask(t->db, "PRAGMA user_version"), db_migrations_count);
}

static void a_setting_that_meant_nothing_is_dropped(void **state)
{
    struct tmpdb *t = *state;
    open_raw(t);
    assert_int_equal(db_migrate(t->db, db_migrations, 2, NULL), 0);
    assert_int_equal(db_setting_set(t->db, "auth", "kerberos", NULL), 0);
    assert_int_equal(db_setting_set(t->db, "receive", "on", NULL), 0);
    tmpdb_close(t);
    tmpdb_open(t);
    assert_int_equal(ask(t->db, "SELECT count(*) FROM settings WHERE key = 'auth'"), 0);
    assert_int_equal(ask(t->db, "SELECT count(*) FROM settings"), 1);
}

static void steps_run_once_each_in_order(void **state)
{
    struct tmpdb *t = *state;
    const struct db_migration list[] = {
        {1, "one", "CREATE TABLE t (a)"},
        {2, "two", "INSERT INTO t VALUES (2); ALTER TABLE t ADD COLUMN b"},
        {3, "three", "UPDATE t SET b = a + 1"},
    };
    open_raw(t);
    assert_int_equal(db_migrate(t->db, list, 1, NULL), 0);
    assert_int_equal(db_migrate(t->db, list, 3, NULL), 0);
    assert_int_equal(db_migrate(t->db, list, 3, NULL), 0);
    assert_int_equal(ask(t->db, "SELECT sum(b) FROM t"), 3);
    assert_int_equal(ask(t->db, "PRAGMA user_version"), 3);
}

static void a_failing_step_leaves_the_version_before(void **state)
{
    struct tmpdb *t = *state;
    const struct db_migration list[] = {
        {1, "one", "CREATE TABLE t (a)"},
        {2, "two", "INSERT INTO t VALUES (2); INSERT INTO nowhere VALUES (1)"},
    };
    struct drv_err err = DRV_ERR_INIT;
    open_raw(t);
    assert_int_equal(db_migrate(t->db, list, 2, &err), -1);
    assert_non_null(strstr(err.msg, "schema 002"));
    assert_int_equal(ask(t->db, "PRAGMA user_version"), 1);
    assert_int_equal(ask(t->db, "SELECT count(*) FROM t"), 0);
}

static void numbers_have_no_gap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < db_migrations_count; i++)
        assert_int_equal(db_migrations[i].version, i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIR_TEST(the_first_schema_opens_and_keeps_its_rows),
        DIR_TEST(a_setting_that_meant_nothing_is_dropped),
        DIR_TEST(steps_run_once_each_in_order),
        DIR_TEST(a_failing_step_leaves_the_version_before),
        cmocka_unit_test(numbers_have_no_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
