// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of db/ share: the connection, statements with typed parameters, migrations.
#ifndef DB_INT_H
#define DB_INT_H

#include "drover/db.h"
#include <sqlite3.h>

struct db {
    sqlite3 *h;
    char *path;
};

// Hold the connection for the rest of the scope. Its mutex is recursive; holding it keeps other
// threads' statements out of our transaction and makes sqlite3_changes() ours.
#define DB_HOLD(db)                                                                                \
    DRV_CLEANUP(db_cleanup_hold)                                                                   \
    sqlite3_mutex *db_hold_ __attribute__((unused)) = db_hold(db)
sqlite3_mutex *db_hold(struct db *db);
void db_cleanup_hold(sqlite3_mutex **m);

#define DB_AUTO_STMT DRV_CLEANUP(db_cleanup_stmt)
void db_cleanup_stmt(sqlite3_stmt **s);

// Prepare sql and bind its ?1, ?2, … : types has a letter for each parameter: 's' const char *
// (NULL gives SQL NULL; borrowed until the statement is finalised), 'i' int64_t. NULL + err on
// failure.
sqlite3_stmt *db_query(struct db *db, struct drv_err *err, const char *sql, const char *types, ...);
// Next row: 1, no more: 0, failed: -1.
int db_step(struct db *db, sqlite3_stmt *s, struct drv_err *err);
// Run a statement that returns no rows. The number of rows it changed, or -1.
int db_run(struct db *db, struct drv_err *err, const char *sql, const char *types, ...);

int db_begin(struct db *db, struct drv_err *err);
// Commit if ok, else roll back. Returns 0 only when the transaction is on disk.
int db_end(struct db *db, bool ok, struct drv_err *err);

// Columns: copies; NULL stays NULL for text.
char *db_col_text(sqlite3_stmt *s, int col);
void db_col_copy(sqlite3_stmt *s, int col, char *dst, size_t size);
// A word of a name table as its number; -1 + err when a newer version wrote a word unknown here.
int db_col_word(sqlite3_stmt *s, int col, const char *const names[], int n, struct drv_err *err);

// Append room for one more element to a list {list, n}; the new element is zeroed.
void *db_grow(void *list, unsigned n, size_t size);

int64_t db_wall_ms(void);

// Fill err from the connection's last failure. Returns -1.
int db_fail(struct db *db, struct drv_err *err, const char *what);
// Was the last failure a constraint of this kind (SQLITE_CONSTRAINT_…)?
bool db_failed_by(const struct drv_err *err, int extended_code);

// ---- migrate.c ----
struct db_migration {
    int version;
    const char *name;
    const char *sql;
};
extern const struct db_migration db_migrations[]; // generated from schema/NNN-name.sql
extern const unsigned db_migrations_count;

// Read-only look at a file just opened: ours or empty, and not newer than the last of list.
// DRV_EINVAL when it is somebody else's, DRV_ESTATE when newer, DRV_EIO when it is no database.
int db_check_ours(struct db *db, const struct db_migration *list, unsigned n, struct drv_err *err);
// Bring the file from its user_version to the last of list (in order of version), one transaction
// for each step: a step that fails leaves the version before it.
int db_migrate(struct db *db, const struct db_migration *list, unsigned n, struct drv_err *err);

#endif
