// SPDX-License-Identifier: GPL-3.0-or-later
// Kept images: deleted at their time and not before, found again after a failure, logged once.
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kept.h"
#include "move.h"

#define MOVE "20000000-0000-4000-8000-000000000001"
#define KEPT(image) image ".kept-" MOVE

enum { KEEP_S = 3600 };

static int64_t in_s(int64_t s) // as kept.c's clock
{
    return ((int64_t)time(NULL) + s) * 1000;
}

static void keep(struct rig *r, const char *store, const char *path)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ha_kept_add(&r->ha, MOVE, store, path, KEEP_S, &err) < 0)
        fail_msg("%s", err.msg);
}

static bool there(struct rig *r, const char *path)
{
    DRV_AUTO_FREE char *full = drv_xasprintf("%s/%s", r->dir, path);
    return access(full, F_OK) == 0;
}

static unsigned noted(struct rig *r)
{
    struct db_kepts all;
    assert_int_equal(db_kept_due(r->ha.db, INT64_MAX, &all, NULL), 0);
    unsigned n = all.n;
    db_kepts_done(&all);
    return n;
}

// Sweep, and count the lines on stderr that contain text.
static unsigned sweep_says(struct rig *r, int64_t now_ms, const char *text)
{
    unsigned n = 0;
    char line[1024];
    DRV_AUTO_FILE FILE *log = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_non_null(log);
    fflush(stderr);
    dup2(fileno(log), STDERR_FILENO);
    ha_kept_sweep(&r->ha, now_ms);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(log);
    while (fgets(line, sizeof line, log))
        n += strstr(line, text) != NULL;
    return n;
}

// The end of a move of data:web/disk0.raw.
static void retire(struct rig *r, int64_t keep_source_s)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ha_move *m = drv_xcalloc(1, sizeof *m);
    DRV_AUTO_FREE void *owned = m;
    m->ha = &r->ha;
    m->plan.n_disks = 1;
    m->plan.keep_source_s = keep_source_s;
    m->plan.disks[0].moves = true;
    DRV_COPY(m->plan.move, MOVE);
    DRV_COPY(m->plan.from_home_store, "data");
    DRV_COPY(m->plan.from_home, "web");
    DRV_COPY(m->plan.disks[0].from.store, "data");
    DRV_COPY(m->plan.disks[0].from.path, "web/disk0.raw");
    rig_file(r, "data", "web/disk0.raw", 1);
    if (ha_move_store_ports.retire_images(m, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(there(r, "data/web/disk0.raw"));
}

static void a_move_leaves_its_image_read_only_and_noted(void **state)
{
    struct rig *r = *state;
    struct stat st;
    struct db_kepts due;
    rig_local_store(r, "data");
    retire(r, KEEP_S);
    DRV_AUTO_FREE char *kept = drv_xasprintf("%s/data/" KEPT("web/disk0.raw"), r->dir);
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0440);
    assert_int_equal(db_kept_due(r->ha.db, in_s(KEEP_S - 60), &due, NULL), 0);
    assert_int_equal(due.n, 0);
    db_kepts_done(&due);
    assert_int_equal(db_kept_due(r->ha.db, in_s(KEEP_S + 60), &due, NULL), 0);
    assert_int_equal(due.n, 1);
    assert_string_equal(due.list[0].move, MOVE);
    assert_string_equal(due.list[0].store, "data");
    assert_string_equal(due.list[0].path, KEPT("web/disk0.raw"));
    db_kepts_done(&due);
}

static void a_move_that_keeps_nothing_notes_nothing(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    retire(r, -1);
    retire(r, 0); // --keep-source=0
    assert_false(there(r, "data/web"));
    assert_int_equal(noted(r), 0);
}

static void an_image_stays_until_its_time_and_then_goes_with_its_folder(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    rig_file(r, "data", KEPT("web/disk0.raw"), 1);
    keep(r, "data", KEPT("web/disk0.raw"));
    ha_kept_sweep(&r->ha, in_s(KEEP_S - 60));
    assert_true(there(r, "data/" KEPT("web/disk0.raw")));
    assert_int_equal(noted(r), 1);
    ha_kept_sweep(&r->ha, in_s(KEEP_S + 60));
    assert_false(there(r, "data/web"));
    assert_true(there(r, "data"));
    assert_int_equal(noted(r), 0);
}

static void a_folder_with_something_else_in_it_stays(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    rig_file(r, "data", KEPT("web/disk0.raw"), 1);
    rig_file(r, "data", "web/disk0.raw", 1); // came back by a later move
    rig_file(r, "data", KEPT("disk1.raw"), 1);
    keep(r, "data", KEPT("web/disk0.raw"));
    keep(r, "data", KEPT("disk1.raw"));
    ha_kept_sweep(&r->ha, in_s(KEEP_S + 60));
    assert_false(there(r, "data/" KEPT("web/disk0.raw")));
    assert_true(there(r, "data/web/disk0.raw"));
    assert_false(there(r, "data/" KEPT("disk1.raw")));
    assert_int_equal(noted(r), 0);
}

static void an_image_that_is_not_there_is_forgotten(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    keep(r, "data", KEPT("web/disk0.raw"));
    assert_int_equal(sweep_says(r, in_s(KEEP_S + 60), "kept.store"), 0);
    assert_int_equal(noted(r), 0);
}

static void a_store_that_is_away_is_logged_once_and_tried_again(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    rig_local_store(r, "away");
    rig_file(r, "data", KEPT("web/disk0.raw"), 1);
    rig_file(r, "away", KEPT("web/disk1.raw"), 1);
    rig_file(r, "away", KEPT("web/disk2.raw"), 1);
    keep(r, "data", KEPT("web/disk0.raw"));
    keep(r, "away", KEPT("web/disk1.raw"));
    keep(r, "away", KEPT("web/disk2.raw"));
    DRV_AUTO_FREE char *here = drv_xasprintf("%s/away", r->dir);
    DRV_AUTO_FREE char *gone = drv_xasprintf("%s/gone", r->dir);
    assert_int_equal(rename(here, gone), 0);
    assert_int_equal(sweep_says(r, in_s(KEEP_S + 60), "<4>kept.store"), 1);
    assert_false(there(r, "data/web")); // the other store's turn came
    assert_int_equal(noted(r), 2);
    assert_int_equal(rename(gone, here), 0);
    assert_int_equal(sweep_says(r, in_s(KEEP_S + 60), "kept.store"), 0);
    assert_false(there(r, "away/web"));
    assert_int_equal(noted(r), 0);
}

static void an_image_that_cannot_be_deleted_does_not_stop_the_others(void **state)
{
    struct rig *r = *state;
    rig_local_store(r, "data");
    // Folders where images should be: unlink refuses them.
    rig_file(r, "data", KEPT("disk0.raw") "/x", 1);
    rig_file(r, "data", KEPT("disk1.raw") "/x", 1);
    rig_file(r, "data", KEPT("disk2.raw"), 1);
    keep(r, "data", KEPT("disk0.raw"));
    keep(r, "data", KEPT("disk1.raw"));
    keep(r, "data", KEPT("disk2.raw"));
    assert_int_equal(sweep_says(r, in_s(KEEP_S + 60), "kept.store"), 1);
    assert_false(there(r, "data/" KEPT("disk2.raw")));
    assert_true(there(r, "data/" KEPT("disk1.raw")));
    assert_int_equal(noted(r), 2);
}

static void start_on_loop(void *ha)
{
    ha_kept_start(ha);
}

static void the_first_sweep_comes_at_once(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    rig_local_store(r, "data");
    rig_file(r, "data", KEPT("web/disk0.raw"), 1);
    assert_int_equal(ha_kept_add(&r->ha, MOVE, "data", KEPT("web/disk0.raw"), -1, &err), 0);
    drv_loop_post(r->ha.loop, start_on_loop, &r->ha);
    for (int i = 0; i < 500 && noted(r); i++)
        drv_sleep_ms(10);
    assert_int_equal(noted(r), 0);
    assert_false(there(r, "data/web"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_move_leaves_its_image_read_only_and_noted),
        RIG_TEST(a_move_that_keeps_nothing_notes_nothing),
        RIG_TEST(an_image_stays_until_its_time_and_then_goes_with_its_folder),
        RIG_TEST(a_folder_with_something_else_in_it_stays),
        RIG_TEST(an_image_that_is_not_there_is_forgotten),
        RIG_TEST(a_store_that_is_away_is_logged_once_and_tried_again),
        RIG_TEST(an_image_that_cannot_be_deleted_does_not_stop_the_others),
        RIG_TEST(the_first_sweep_comes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
