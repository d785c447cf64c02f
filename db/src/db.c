// SPDX-License-Identifier: GPL-3.0-or-later
// The connection: opening, errors, statements. What each table means is in the other files.
//
// One connection in SQLite's serialized mode (SQLITE_OPEN_FULLMUTEX). A second connection would
// gain nothing (writers exclude each other) and would need busy handling everywhere.
#include "db_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DB_BUSY_MS = 5000 }; // how long to wait for somebody with the sqlite3 shell in the file

static enum drv_code code_of(sqlite3 *h)
{
    switch (sqlite3_errcode(h) & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return DRV_ENOSPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DRV_EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return DRV_EDENIED;
    case SQLITE_CANTOPEN:
        return drv_code_from_errno(sqlite3_system_errno(h));
    case SQLITE_IOERR: // the -shm file of a full disk, among others
        return sqlite3_system_errno(h) == ENOSPC ? DRV_ENOSPACE : DRV_EIO;
    case SQLITE_CONSTRAINT:
        return DRV_EINVAL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DRV_EIO;
    default:
        return DRV_EINTERNAL;
    }
}

int db_fail(struct db *db, struct drv_err *err, const char *what)
{
    int primary = sqlite3_errcode(db->h) & 0xff;
    drv_err(err, code_of(db->h), "database %s: %s: %s", db->path, what, sqlite3_errmsg(db->h));
    drv_err_native(err, "sqlite", sqlite3_extended_errcode(db->h));
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        drv_err_hint(
            err, "stop droverd, keep a copy of the file, restore it from a backup or move it away "
                 "with its -wal; then set the host up again and `drover vm register` its VMs");
    else if (code_of(db->h) == DRV_ENOSPACE)
        drv_err_hint(err, "make room in the file system of %s", db->path);
    else if (code_of(db->h) == DRV_EBUSY)
        drv_err_hint(err, "another process holds the file locked: see `fuser -v %s`", db->path);
    return -1;
}

bool db_failed_by(const struct drv_err *err, int extended_code)
{
    return err && !strcmp(err->origin, "sqlite") && err->native == extended_code;
}

sqlite3_mutex *db_hold(struct db *db)
{
    sqlite3_mutex *m = sqlite3_db_mutex(db->h);
    sqlite3_mutex_enter(m);
    return m;
}

void db_cleanup_hold(sqlite3_mutex **m)
{
    sqlite3_mutex_leave(*m);
}

void db_cleanup_stmt(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
}

void db_cleanup_close(struct db **db)
{
    db_close(*db);
}

static sqlite3_stmt *query_v(struct db *db, struct drv_err *err, const char *sql, const char *types,
                             va_list ap)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db->h, sql, -1, &s, NULL) != SQLITE_OK) {
        db_fail(db, err, "prepare");
        return NULL;
    }
    for (int i = 1; *types; i++, types++) {
        int rc = *types == 's'
                     ? sqlite3_bind_text(s, i, va_arg(ap, const char *), -1, SQLITE_STATIC)
                     : sqlite3_bind_int64(s, i, va_arg(ap, int64_t));
        if (rc != SQLITE_OK) {
            db_fail(db, err, "bind");
            sqlite3_finalize(s);
            return NULL;
        }
    }
    return s;
}

sqlite3_stmt *db_query(struct db *db, struct drv_err *err, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *s = query_v(db, err, sql, types, ap);
    va_end(ap);
    return s;
}

int db_step(struct db *db, sqlite3_stmt *s, struct drv_err *err)
{
    switch (sqlite3_step(s)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return db_fail(db, err, "cannot read or write");
    }
}

int db_run(struct db *db, struct drv_err *err, const char *sql, const char *types, ...)
{
    DB_HOLD(db);
    va_list ap;
    va_start(ap, types);
    DB_AUTO_STMT sqlite3_stmt *s = query_v(db, err, sql, types, ap);
    va_end(ap);
    if (!s || db_step(db, s, err) < 0)
        return -1;
    return sqlite3_changes(db->h);
}

int db_begin(struct db *db, struct drv_err *err)
{
    return db_run(db, err, "BEGIN IMMEDIATE", "") < 0 ? -1 : 0;
}

int db_end(struct db *db, bool ok, struct drv_err *err)
{
    if (ok && db_run(db, err, "COMMIT", "") >= 0)
        return 0;
    // A failed statement may have rolled back already (disk full): then there is nothing to undo.
    if (!sqlite3_get_autocommit(db->h))
        db_run(db, NULL, "ROLLBACK", "");
    return -1;
}

char *db_col_text(sqlite3_stmt *s, int col)
{
    return drv_xstrdup((const char *)sqlite3_column_text(s, col));
}

void db_col_copy(sqlite3_stmt *s, int col, char *dst, size_t size)
{
    drv_copy(dst, size, (const char *)sqlite3_column_text(s, col));
}

int db_col_word(sqlite3_stmt *s, int col, const char *const names[], int n, struct drv_err *err)
{
    const char *word = (const char *)sqlite3_column_text(s, col);
    for (int i = 0; word && i < n; i++)
        if (!strcmp(word, names[i]))
            return i;
    drv_err(err, DRV_ESTATE, "the database holds the unknown %s \"%s\"",
            sqlite3_column_name(s, col), word ? word : "");
    return drv_err_hint(err, "a newer drover wrote it: install that version again");
}

void *db_grow(void *list, unsigned n, size_t size)
{
    char *p = reallocarray(list, (size_t)n + 1, size);
    if (!p)
        abort();
    memset(p + n * size, 0, size);
    return p;
}

int64_t db_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// SQLite creates files by the umask; the journal names users and hosts, so it is root's alone.
static int create_private(const char *path, struct drv_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        drv_err_os(err, errno, "cannot open the database %s", path);
        return drv_err_hint(err, "its folder must exist and be writable by droverd");
    }
    close(fd);
    return 0;
}

// A single answer of a PRAGMA compared with what it should be.
static int expect_pragma(struct db *db, const char *sql, const char *want, struct drv_err *err)
{
    DB_AUTO_STMT sqlite3_stmt *s = db_query(db, err, sql, "");
    if (!s)
        return -1;
    int row = db_step(db, s, err);
    if (row < 0)
        return -1;
    const char *got = row ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (want && (!got || strcmp(got, want) != 0)) {
        drv_err(err, DRV_EIO, "database %s: %s answers \"%s\", not \"%s\"", db->path, sql,
                got ? got : "", want);
        return -1;
    }
    return 0;
}

static int configure(struct db *db, struct drv_err *err)
{
    sqlite3_busy_timeout(db->h, DB_BUSY_MS);
    sqlite3_extended_result_codes(db->h, 1);
    sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (expect_pragma(db, "PRAGMA trusted_schema=OFF", NULL, err) ||
        expect_pragma(db, "PRAGMA quick_check(1)", "ok", err)) {
        return drv_err_hint(err,
                            "stop droverd and keep a copy of %s and its -wal; if no backup can be "
                            "restored, move them away, set the host up again and `drover vm "
                            "register` its VMs",
                            db->path);
    }
    // FULL: the log is synced at every commit, so a row is on disk when its function returns.
    if (expect_pragma(db, "PRAGMA journal_mode=WAL", "wal", err) ||
        expect_pragma(db, "PRAGMA synchronous=FULL", NULL, err) ||
        expect_pragma(db, "PRAGMA synchronous", "2", err) ||
        expect_pragma(db, "PRAGMA foreign_keys=ON", NULL, err) ||
        expect_pragma(db, "PRAGMA foreign_keys", "1", err))
        return -1;
    return 0;
}

struct db *db_open(const char *path, struct drv_err *err)
{
    if (create_private(path, err))
        return NULL;
    DB_AUTO_CLOSE struct db *db = drv_xcalloc(1, sizeof *db);
    db->path = drv_xstrdup(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(path, &db->h, flags, NULL) != SQLITE_OK) {
        db_fail(db, err, "cannot open");
        return NULL;
    }
    // Whose file it is comes before anything that could write to it (journal_mode does).
    if (db_check_ours(db, db_migrations, db_migrations_count, err) || configure(db, err) ||
        db_migrate(db, db_migrations, db_migrations_count, err))
        return NULL;
    return DRV_TAKE(db);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    sqlite3_close(db->h);
    free(db->path);
    free(db);
}
