// SPDX-License-Identifier: GPL-3.0-or-later
// Local stores: every operation, and that no path leads out of the store.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "drover/proc.h"
#include "drover/storeproc.h"

struct fixture {
    char folder[64];
    struct ss_store *st;
    struct drv_err err;
};

static int setup(void **state)
{
    struct fixture *f = drv_xcalloc(1, sizeof *f);
    DRV_COPY(f->folder, "/tmp/drover-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    char url[80];
    snprintf(url, sizeof url, "local:%s", f->folder);
    const struct ss_identity who = {
        .timeout_ms = 1000, .image_uid = geteuid(), .image_gid = getegid()};
    f->st = ss_store_open(url, &who, &f->err);
    assert_non_null(f->st);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ss_store_close(f->st);
    const char *argv[] = {"rm", "-rf", "--", f->folder, NULL};
    assert_int_equal(drv_proc_run(argv, NULL, 5000, 100, NULL, NULL), 0);
    free(f);
    return 0;
}

static void assert_refused(struct fixture *f, int rc, enum drv_code code)
{
    assert_int_equal(rc, -1);
    assert_int_equal(f->err.code, code);
    drv_err_clear(&f->err);
}

static void assert_names(struct fixture *f, const char *path, size_t n)
{
    DRV_AUTO_JSON json_t *names = ss_list(f->st, path, 100, &f->err);
    assert_int_equal(json_array_size(names), n);
}

static void folders_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    assert_int_equal(ss_mkdir(f->st, "a/b/c", &f->err), 0);
    assert_int_equal(ss_mkdir(f->st, "a/b/c", &f->err), 0);
    assert_int_equal(ss_stat(f->st, "a/b/c", &sb, &f->err), 0);
    assert_true(sb.is_dir);
    assert_int_equal(ss_stat(f->st, "", &sb, &f->err), 0);
    assert_refused(f, ss_rmdir(f->st, "a", &f->err), DRV_EIO);
    assert_int_equal(ss_rmdir(f->st, "a/b/c", &f->err), 0);
    assert_int_equal(ss_rmdir(f->st, "a/b/c", &f->err), 0);
    assert_refused(f, ss_stat(f->st, "a/b/c", &sb, &f->err), DRV_ENOTFOUND);
    assert_names(f, "a", 1);
}

static void written_file_is_whole_and_leaves_nothing_else(void **state)
{
    struct fixture *f = *state;
    size_t len = 0;
    assert_int_equal(ss_mkdir(f->st, "web", &f->err), 0);
    assert_int_equal(ss_write(f->st, "web/vm.json", "one", 3, &f->err), 0);
    assert_int_equal(ss_write(f->st, "web/vm.json", "two\0x", 5, &f->err), 0);
    DRV_AUTO_FREE char *text = ss_read(f->st, "web/vm.json", 100, &len, &f->err);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "two\0x", 6);
    assert_names(f, "web", 1);
    assert_null(ss_read(f->st, "web/vm.json", 4, &len, &f->err));
    assert_refused(f, -1, DRV_EINVAL);
    assert_null(ss_read(f->st, "web/none", 4, &len, &f->err));
    assert_refused(f, -1, DRV_ENOTFOUND);
    assert_refused(f, ss_write(f->st, "none/vm.json", "x", 1, &f->err), DRV_ENOTFOUND);
}

static void failed_write_leaves_the_old_file_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ss_mkdir(f->st, "web/vm.json", &f->err), 0); // a folder is in the way
    assert_int_equal(ss_write(f->st, "web/vm.json", "x", 1, &f->err), -1);
    assert_names(f, "web", 1);
}

static void rename_replaces_only_when_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ss_write(f->st, "a", "A", 1, &f->err), 0);
    assert_int_equal(ss_write(f->st, "b", "B", 1, &f->err), 0);
    assert_refused(f, ss_rename(f->st, "a", "b", false, &f->err), DRV_EEXIST);
    assert_int_equal(ss_rename(f->st, "a", "b", true, &f->err), 0);
    DRV_AUTO_FREE char *text = ss_read(f->st, "b", 10, NULL, &f->err);
    assert_string_equal(text, "A");
    assert_refused(f, ss_rename(f->st, "a", "c", false, &f->err), DRV_ENOTFOUND);
}

static void unlink_is_done_when_it_is_gone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ss_write(f->st, "a", "A", 1, &f->err), 0);
    assert_int_equal(ss_chmod_readonly(f->st, "a", &f->err), 0);
    assert_int_equal(ss_unlink(f->st, "a", &f->err), 0);
    assert_int_equal(ss_unlink(f->st, "a", &f->err), 0);
    assert_names(f, "", 0);
}

static void illegal_paths_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *bad[] = {"..",    "../x", "a/../b", "/etc/passwd", "a//b", "a/",
                         "a/./b", "a\\b", "a:b",    "a*",          "a?",   "a\nb",
                         "<",     "|",    "\"",     "trailing.",   "sp /x"};
    struct ss_stat sb;
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        assert_false(ss_path_valid(bad[i]));
        assert_refused(f, ss_stat(f->st, bad[i], &sb, &f->err), DRV_EINVAL);
        assert_refused(f, ss_write(f->st, bad[i], "x", 1, &f->err), DRV_EINVAL);
        assert_refused(f, ss_rename(f->st, "x", bad[i], true, &f->err), DRV_EINVAL);
    }
    char longest[SS_PATH_MAX + 1];
    memset(longest, 'a', sizeof longest);
    longest[SS_PATH_MAX] = '\0';
    assert_false(ss_path_valid(longest));
    longest[SS_PATH_MAX - 1] = '\0';
    assert_true(ss_path_valid(longest));
    assert_true(ss_path_valid(".drover/owners/x"));
    assert_false(ss_path_valid(""));
}

static void symbolic_links_lead_nowhere(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    char link[128];
    snprintf(link, sizeof link, "%s/out", f->folder);
    assert_int_equal(symlink("/etc", link), 0);
    assert_int_equal(ss_stat(f->st, "out/passwd", &sb, &f->err), -1);
    assert_non_null(strstr(f->err.hint, "symbolic links"));
    drv_err_clear(&f->err);
    assert_null(ss_read(f->st, "out/passwd", 100000, NULL, &f->err));
    drv_err_clear(&f->err);
    assert_int_equal(ss_write(f->st, "out/drover-test", "x", 1, &f->err), -1);
    drv_err_clear(&f->err);
    assert_int_equal(ss_mkdir(f->st, "out/drover-test", &f->err), -1);
    drv_err_clear(&f->err);
    assert_int_equal(ss_unlink(f->st, "out", &f->err), 0); // the link itself
}

static void devices_and_pipes_are_no_files(void **state)
{
    struct fixture *f = *state;
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", f->folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(ss_read(f->st, "fifo", 100, NULL, &f->err)); // and does not hang
    assert_refused(f, -1, DRV_EINVAL);
}

static void images_are_sparse_private_and_never_overwritten(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    struct stat posix;
    char file[128];
    snprintf(file, sizeof file, "%s/d.raw", f->folder);
    assert_int_equal(ss_create_image(f->st, "d.raw", UINT64_C(1) << 33, NULL, &f->err), 0);
    assert_int_equal(ss_stat(f->st, "d.raw", &sb, &f->err), 0);
    assert_int_equal(sb.size_bytes, UINT64_C(1) << 33);
    assert_in_range(sb.allocated_bytes, 0, 65536);
    assert_int_equal(stat(file, &posix), 0);
    assert_int_equal(posix.st_mode & 07777, 0600);
    assert_int_equal(sb.file_id, posix.st_ino);
    assert_refused(f, ss_create_image(f->st, "d.raw", 512, NULL, &f->err), DRV_EEXIST);
    assert_int_equal(stat(file, &posix), 0);
    assert_int_equal(posix.st_size, INT64_C(1) << 33);
}

static void image_starts_with_the_bytes_given(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    char initial[128];
    snprintf(initial, sizeof initial, "%s/initial", f->folder);
    assert_int_equal(ss_write(f->st, "initial", "HEAD", 4, &f->err), 0);
    assert_int_equal(ss_create_image(f->st, "img", 100, initial, &f->err), 0);
    DRV_AUTO_FREE char *bytes = ss_read(f->st, "img", 100, NULL, &f->err);
    assert_memory_equal(bytes, "HEAD\0\0", 6);
    assert_int_equal(ss_stat(f->st, "img", &sb, &f->err), 0);
    assert_int_equal(sb.size_bytes, 100);
}

static void failed_image_is_removed(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    assert_refused(f, ss_create_image(f->st, "img", 512, "/nonexistent/initial", &f->err),
                   DRV_ENOTFOUND);
    assert_refused(f, ss_stat(f->st, "img", &sb, &f->err), DRV_ENOTFOUND);
}

static void probes_change_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ss_probe_write(f->st, "", &f->err), 0);
    assert_refused(f, ss_probe_write(f->st, "none", &f->err), DRV_ENOTFOUND);
    assert_int_equal(ss_write(f->st, "a", "A", 1, &f->err), 0);
    assert_int_equal(ss_probe_open_rw(f->st, "a", &f->err), 0);
    assert_names(f, "", 1);
    struct ss_space space;
    assert_int_equal(ss_space(f->st, &space, &f->err), 0);
    assert_in_range(space.free_bytes, 1, space.total_bytes);
}

static void list_says_when_there_is_more(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ss_write(f->st, "a", "", 0, &f->err), 0);
    assert_int_equal(ss_write(f->st, "b", "", 0, &f->err), 0);
    assert_null(ss_list(f->st, "", 1, &f->err));
    assert_refused(f, -1, DRV_EINVAL);
    DRV_AUTO_JSON json_t *names = ss_list(f->st, "", 2, &f->err);
    assert_int_equal(json_array_size(names), 2);
}

static void local_folder_is_no_arbiter(void **state)
{
    struct fixture *f = *state;
    struct ss_record r;
    bool held;
    assert_refused(
        f, ss_record_peek(f->st, "5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10", &r, &held, &f->err),
        DRV_ESTATE);
}

static void store_folder_must_exist(void **state)
{
    struct fixture *f = *state;
    const struct ss_identity who = {.timeout_ms = 1000};
    assert_null(ss_store_open("local:/nonexistent/folder", &who, &f->err));
    assert_refused(f, -1, DRV_ENOTFOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(folders_come_and_go),
        T(written_file_is_whole_and_leaves_nothing_else),
        T(failed_write_leaves_the_old_file_alone),
        T(rename_replaces_only_when_told),
        T(unlink_is_done_when_it_is_gone),
        T(illegal_paths_are_refused),
        T(symbolic_links_lead_nowhere),
        T(devices_and_pipes_are_no_files),
        T(images_are_sparse_private_and_never_overwritten),
        T(image_starts_with_the_bytes_given),
        T(failed_image_is_removed),
        T(probes_change_nothing),
        T(list_says_when_there_is_more),
        T(local_folder_is_no_arbiter),
        T(store_folder_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
