// SPDX-License-Identifier: GPL-3.0-or-later
// A database in a folder of its own, made before a test and removed after it.
#ifndef TESTS_TMPDB_H
#define TESTS_TMPDB_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "db_int.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tmpdb {
    char dir[64];
    char path[96];
    struct db *db;
};

static inline void tmpdb_open(struct tmpdb *t)
{
    struct drv_err err = DRV_ERR_INIT;
    t->db = db_open(t->path, &err);
    if (!t->db)
        fail_msg("%s", err.msg);
}

static inline void tmpdb_close(struct tmpdb *t)
{
    db_close(t->db);
    t->db = NULL;
}

static inline int tmpdb_make_dir(void **state)
{
    struct tmpdb *t = drv_xcalloc(1, sizeof *t);
    DRV_COPY(t->dir, "/tmp/drover-db-XXXXXX");
    if (!mkdtemp(t->dir))
        return -1;
    snprintf(t->path, sizeof t->path, "%s/d.db", t->dir);
    *state = t;
    return 0;
}

static inline int tmpdb_setup(void **state)
{
    if (tmpdb_make_dir(state))
        return -1;
    tmpdb_open(*state);
    return 0;
}

static inline int tmpdb_teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    struct tmpdb *t = *state;
    db_close(t->db);
    for (size_t i = 0; i < DRV_ARRAY_LEN(suffixes); i++) {
        DRV_AUTO_FREE char *file = drv_xasprintf("%s%s", t->path, suffixes[i]);
        unlink(file);
    }
    rmdir(t->dir);
    free(t);
    return 0;
}

#define DB_TEST(f) cmocka_unit_test_setup_teardown(f, tmpdb_setup, tmpdb_teardown)
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, tmpdb_make_dir, tmpdb_teardown)

// A move as the mover would plan it.
static inline struct db_move a_move(const char *id, const char *vm_uuid)
{
    static char decision[] = "alice is an operator";
    static char plan[] = "{}";
    struct db_move m = {.role = DB_DESTINATION, .epoch_before = 4, .state = DB_MOVE_ACTIVE};
    DRV_COPY(m.id, id);
    DRV_COPY(m.vm_uuid, vm_uuid);
    DRV_COPY(m.vm_name, "web");
    DRV_COPY(m.from_host, "hv1.example.lan");
    DRV_COPY(m.to_host, "hv2.example.lan");
    DRV_COPY(m.user, "alice@EXAMPLE.LAN");
    m.decision = decision;
    m.plan = plan;
    return m;
}

#endif
