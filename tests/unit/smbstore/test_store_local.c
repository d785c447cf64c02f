// SPDX-License-Identifier: GPL-3.0-or-later
// Local stores beyond what every store promises (test_store_contract.c): nothing inside leads out,
// and images are private.
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
    const struct ss_identity who = {.timeout_ms = 1000, .image_gid = getegid()};
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
    assert_null(ss_list(f->st, "out", 10, &f->err)); // nor as the last component
    assert_non_null(strstr(f->err.hint, "symbolic links"));
    drv_err_clear(&f->err);
    assert_int_equal(ss_unlink(f->st, "out", &f->err), 0); // the link itself
}

static void deep_folders_are_walked(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    assert_int_equal(ss_mkdir(f->st, "a/b/c", &f->err), 0);
    assert_int_equal(ss_write(f->st, "a/b/c/d", "x", 1, &f->err), 0);
    assert_int_equal(ss_stat(f->st, "a/b/c/d", &sb, &f->err), 0);
    assert_int_equal(sb.size_bytes, 1);
    assert_int_equal(ss_stat(f->st, "a/b/c/d/e", &sb, &f->err), -1); // a file is no folder
    drv_err_clear(&f->err);
    DRV_AUTO_JSON json_t *names = ss_list(f->st, "", 10, &f->err);
    assert_int_equal(json_array_size(names), 1);
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

static void images_are_sparse_and_private(void **state)
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
    assert_int_equal(posix.st_mode & 07777, 0660);
    assert_int_equal(sb.file_id, posix.st_ino);
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
        T(symbolic_links_lead_nowhere),       T(deep_folders_are_walked),
        T(devices_and_pipes_are_no_files),    T(images_are_sparse_and_private),
        T(image_starts_with_the_bytes_given), T(local_folder_is_no_arbiter),
        T(store_folder_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
