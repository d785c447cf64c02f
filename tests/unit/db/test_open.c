// SPDX-License-Identifier: GPL-3.0-or-later
// What db_open() accepts, refuses and says; what a full disk does.
#include "tmpdb.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *h;
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *buf = drv_xcalloc(1, 1 << 20);
    *ret_len = fread(buf, 1, 1 << 20, f);
    fclose(f);
    return buf;
}

static void refused(struct tmpdb *t, enum drv_code code, const char *words)
{
    size_t before_len, after_len;
    DRV_AUTO_FREE char *before = read_file(t->path, &before_len);
    struct drv_err err = DRV_ERR_INIT;
    assert_null(db_open(t->path, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, t->path)); // every refusal names the file
    assert_non_null(strstr(err.msg, words));
    assert_string_not_equal(err.hint, "");
    DRV_AUTO_FREE char *after = read_file(t->path, &after_len);
    assert_int_equal(before_len, after_len); // and leaves it alone
    assert_memory_equal(before, after, before_len);
}

static void a_new_file_is_private_and_durable(void **state)
{
    struct tmpdb *t = *state;
    tmpdb_open(t);
    struct stat st;
    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    DB_AUTO_STMT sqlite3_stmt *s = db_query(t->db, NULL, "PRAGMA synchronous", "");
    assert_int_equal(db_step(t->db, s, NULL), 1);
    assert_int_equal(sqlite3_column_int(s, 0), 2);
}

static void opening_again_keeps_what_was_written(void **state)
{
    struct tmpdb *t = *state;
    tmpdb_open(t);
    assert_int_equal(db_setting_set(t->db, "receive", "on", NULL), 0);
    tmpdb_close(t);
    tmpdb_open(t);
    DRV_AUTO_FREE char *value = NULL;
    assert_int_equal(db_setting_get(t->db, "receive", &value, NULL), 0);
    assert_string_equal(value, "on");
}

static void a_text_file_is_refused(void **state)
{
    struct tmpdb *t = *state;
    put_file(t->path, "this is not a database, but it is long enough to have a header: "
                      "0123456789012345678901234567890123456789\n");
    refused(t, DRV_EIO, "not a database");
}

static void somebody_elses_database_is_refused(void **state)
{
    struct tmpdb *t = *state;
    run_sql(t->path, "CREATE TABLE customers (name TEXT)");
    refused(t, DRV_EINVAL, "not drover's");
}

static void a_newer_schema_is_refused(void **state)
{
    struct tmpdb *t = *state;
    tmpdb_open(t);
    tmpdb_close(t);
    run_sql(t->path, "PRAGMA journal_mode=DELETE; PRAGMA user_version=900");
    refused(t, DRV_ESTATE, "schema 900");
}

static void a_damaged_file_is_refused(void **state)
{
    struct tmpdb *t = *state;
    tmpdb_open(t);
    tmpdb_close(t);
    run_sql(t->path, "PRAGMA journal_mode=DELETE");
    FILE *f = fopen(t->path, "r+");
    assert_non_null(f);
    fseek(f, 4096, SEEK_SET); // page 2: the first table
    for (int i = 0; i < 4096; i++)
        fputc(0xee, f);
    fclose(f);
    struct drv_err err = DRV_ERR_INIT;
    assert_null(db_open(t->path, &err));
    assert_int_equal(err.code, DRV_EIO);
    assert_non_null(strstr(err.msg, t->path));
    assert_non_null(strstr(err.hint, "register"));
}

static void a_missing_folder_is_named(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/none/d.db", t->dir);
    assert_null(db_open(path, &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_non_null(strstr(err.msg, path));
}

// Fill a 512 KiB file system until the journal cannot grow. Exit status: 0 as promised, 77 not
// possible here, else a line of this file.
static int full_disk_child(const char *dir, const char *path)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", dir, "tmpfs", 0, "size=512k"))
        return 77;
    struct drv_err err = DRV_ERR_INIT;
    struct db *db = db_open(path, &err);
    if (!db)
        return 1;
    struct db_move m =
        a_move("00000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000001");
    if (db_move_add(db, &m, &err))
        return 2;
    char detail[8192];
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    unsigned begun = 0;
    while (begun < 1000 && !db_move_phase_begin(db, m.id, "copy", DB_UNDO, detail, &err))
        begun++;
    if (begun == 0 || begun == 1000 || err.code != DRV_ENOSPACE || !strstr(err.hint, path))
        return 3;
    // What was confirmed is there, what was not is not.
    struct db_phases p;
    if (db_move_phases(db, m.id, &p, NULL) || p.n != begun)
        return 4;
    db_phases_done(&p);
    db_close(db);
    return 0;
}

static void a_full_disk_says_so_and_loses_nothing(void **state)
{
    struct tmpdb *t = *state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(full_disk_child(t->dir, t->path));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIR_TEST(a_new_file_is_private_and_durable),
        DIR_TEST(opening_again_keeps_what_was_written),
        DIR_TEST(a_text_file_is_refused),
        DIR_TEST(somebody_elses_database_is_refused),
        DIR_TEST(a_newer_schema_is_refused),
        DIR_TEST(a_damaged_file_is_refused),
        DIR_TEST(a_missing_folder_is_named),
        DIR_TEST(a_full_disk_says_so_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
