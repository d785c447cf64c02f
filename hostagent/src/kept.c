// SPDX-License-Identifier: GPL-3.0-or-later
// Kept images: see kept.h. The table `kept` of the database says which, where and until when.
#include "kept.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drover/log.h"
#include "drover/worker.h"

enum { SWEEP_EVERY_S = 600 };

int ha_kept_add(struct ha *ha, const char *move, const char *store, const char *path,
                int64_t keep_s, struct drv_err *err)
{
    char name[SS_PATH_MAX];
    struct db_kept k = {.path = name, .until_ms = drv_wall_ms() + keep_s * 1000};
    DRV_COPY(name, path);
    DRV_COPY(k.move, move);
    DRV_COPY(k.store, store);
    return db_kept_add(ha->db, &k, err);
}

// --- sweep ---

static int delete_one(struct ha *ha, struct ss_store *st, const struct db_kept *k,
                      struct drv_err *err)
{
    char folder[SS_PATH_MAX];
    struct drv_err ignored = DRV_ERR_INIT;
    if (ss_unlink(st, k->path, err) < 0)
        return -1;
    DRV_COPY(folder, k->path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
        ss_rmdir(st, folder, &ignored); // when it is empty now
    }
    if (db_kept_remove(ha->db, k->store, k->path, err) < 0)
        return -1;
    drv_log(LOG_NOTICE, "kept.deleted", F_STR("store", k->store), F_STR("path", k->path),
            F_STR("move", k->move));
    return 0;
}

// n images, all on one store.
static void sweep_store(struct ha *ha, const struct db_kept *list, unsigned n)
{
    struct drv_err first = DRV_ERR_INIT;
    unsigned failed = 0;
    struct ss_store *st = ha_store_open(ha, list->store, NULL, &first);
    for (unsigned i = 0; i < n && st; i++) {
        struct drv_err err = DRV_ERR_INIT;
        if (delete_one(ha, st, &list[i], &err) == 0)
            continue;
        if (failed++ == 0)
            first = err;
        if (err.code == DRV_EUNREACHABLE || err.code == DRV_ETIMEDOUT)
            break; // the others would only wait as long again
    }
    if (!st || failed > 0) {
        drv_err_prefix(&first, "kept images on store \"%s\" stay until the next try", list->store);
        drv_log_err(LOG_WARNING, "kept.store", &first);
    }
    ss_store_close(st);
}

void ha_kept_sweep(struct ha *ha, int64_t now_ms)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_kepts due = {0};
    if (db_kept_due(ha->db, now_ms, &due, &err) < 0) {
        drv_log_err(LOG_ERR, "kept.due", &err);
        return;
    }
    for (unsigned i = 0, end; i < due.n; i = end) {
        for (end = i + 1; end < due.n && !strcmp(due.list[end].store, due.list[i].store);)
            end++;
        sweep_store(ha, &due.list[i], end - i);
    }
    db_kepts_done(&due);
}

// --- every 10 minutes, counted from the end of the last sweep ---

static void sweep_in(struct ha *ha, int s);

static void sweep(void *arg)
{
    ha_kept_sweep(arg, drv_wall_ms());
}

static void swept(void *arg)
{
    sweep_in(arg, SWEEP_EVERY_S);
}

static void begin(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct ha *ha = arg;
    if (drv_work(ha->loop, sweep, swept, ha) < 0)
        swept(ha);
}

static void sweep_in(struct ha *ha, int s)
{
    const struct timeval delay = {.tv_sec = s};
    if (event_base_once(drv_loop_base(ha->loop), -1, EV_TIMEOUT, begin, ha, &delay) < 0)
        abort(); // no memory
}

void ha_kept_start(struct ha *ha)
{
    sweep_in(ha, 0);
}
