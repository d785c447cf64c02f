// SPDX-License-Identifier: GPL-3.0-or-later
// What every store promises, whatever its kind. Alone it runs on a local folder; the integration
// test runs the same promises on an SMB share: DROVER_TEST_STORE=smb://…
// DROVER_TEST_HELPER=…/drover-smb with KRB5CCNAME=FILE:….
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "drover/store.h"

struct fixture {
    char folder[64]; // of a local store
    struct ss_store *root, *st;
    char sub[64]; // each test works in a folder of its own
    bool is_smb;
    struct drv_err err;
};

static int setup(void **state)
{
    struct fixture *f = drv_xcalloc(1, sizeof *f);
    const char *smb = getenv("DROVER_TEST_STORE");
    const struct ss_identity who = {
        .ccache = getenv("KRB5CCNAME"),
        .helper = getenv("DROVER_TEST_HELPER"),
        .timeout_ms = 10000,
        .image_uid = geteuid(),
        .image_gid = getegid(),
    };
    f->is_smb = smb != NULL;
    DRV_COPY(f->folder, "/tmp/drover-test-XXXXXX");
    char uuid[DRV_UUID_LEN], url[400];
    drv_uuid_new(uuid);
    snprintf(f->sub, sizeof f->sub, "test %s", uuid); // with a blank, for the encoding of URLs
    assert_non_null(mkdtemp(f->folder));
    snprintf(url, sizeof url, "%s%s", smb ? smb : "local:", smb ? "" : f->folder);
    f->root = ss_store_open(url, &who, &f->err);
    if (!f->root)
        fail_msg("%s (%s)", f->err.msg, f->err.hint);
    assert_int_equal(ss_mkdir(f->root, f->sub, &f->err), 0);
    size_t used = strlen(url);
    snprintf(url + used, sizeof url - used, "/%s", f->sub);
    f->st = ss_store_open(url, &who, &f->err);
    assert_non_null(f->st);
    *state = f;
    return 0;
}

// Remove everything below path, which may be "".
static void remove_below(struct ss_store *st, const char *path)
{
    DRV_AUTO_JSON json_t *names = ss_list(st, path, 100, NULL);
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        char child[SS_PATH_MAX];
        struct ss_stat sb;
        snprintf(child, sizeof child, "%s%s%s", path, *path ? "/" : "", json_string_value(name));
        if (ss_stat(st, child, &sb, NULL) == 0 && sb.is_dir) {
            remove_below(st, child);
            ss_rmdir(st, child, NULL);
        } else {
            ss_unlink(st, child, NULL);
        }
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    remove_below(f->st, "");
    ss_store_close(f->st);
    int rc = ss_rmdir(f->root, f->sub, NULL);
    ss_store_close(f->root);
    rmdir(f->folder);
    free(f);
    return rc;
}

static void assert_done(struct fixture *f, int rc)
{
    if (rc != 0)
        fail_msg("%s: %s", drv_code_name(f->err.code), f->err.msg);
}

static void assert_refused(struct fixture *f, int rc, enum drv_code code)
{
    assert_int_equal(rc, -1);
    if (f->err.code != code)
        fail_msg("%s, not %s: %s", drv_code_name(f->err.code), drv_code_name(code), f->err.msg);
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
    assert_done(f, ss_mkdir(f->st, "a/b b/c%20#", &f->err));
    assert_done(f, ss_mkdir(f->st, "a/b b/c%20#", &f->err));
    assert_done(f, ss_stat(f->st, "a/b b/c%20#", &sb, &f->err));
    assert_true(sb.is_dir);
    assert_done(f, ss_stat(f->st, "", &sb, &f->err));
    assert_true(sb.is_dir);
    assert_int_equal(ss_rmdir(f->st, "a", &f->err), -1); // not empty
    drv_err_clear(&f->err);
    assert_done(f, ss_rmdir(f->st, "a/b b/c%20#", &f->err));
    assert_done(f, ss_rmdir(f->st, "a/b b/c%20#", &f->err));
    assert_refused(f, ss_stat(f->st, "a/b b/c%20#", &sb, &f->err), DRV_ENOTFOUND);
    assert_names(f, "a", 1);
}

static void written_file_is_whole_and_leaves_nothing_else(void **state)
{
    struct fixture *f = *state;
    size_t len = 0;
    assert_done(f, ss_mkdir(f->st, "web", &f->err));
    assert_done(f, ss_write(f->st, "web/vm.json", "one", 3, &f->err));
    assert_done(f, ss_write(f->st, "web/vm.json", "two\0x", 5, &f->err));
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

static void largest_small_file_goes_through(void **state)
{
    struct fixture *f = *state;
    size_t len = 448 * 1024, back = 0;
    DRV_AUTO_FREE char *data = drv_xcalloc(1, len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + i / 256);
    assert_done(f, ss_write(f->st, "big", data, len, &f->err));
    DRV_AUTO_FREE char *again = ss_read(f->st, "big", len, &back, &f->err);
    assert_int_equal(back, len);
    assert_memory_equal(data, again, len);
    assert_refused(f, ss_write(f->st, "big", data, len + 1, &f->err), DRV_EINVAL);
}

static void failed_write_leaves_the_old_alone(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_mkdir(f->st, "web/vm.json/sub", &f->err)); // a folder is in the way
    assert_int_equal(ss_write(f->st, "web/vm.json", "x", 1, &f->err), -1);
    assert_names(f, "web", 1);
    assert_names(f, "web/vm.json", 1);
}

static void rename_replaces_only_when_told(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_write(f->st, "a", "A", 1, &f->err));
    assert_done(f, ss_write(f->st, "b", "B", 1, &f->err));
    assert_refused(f, ss_rename(f->st, "a", "b", false, &f->err), DRV_EEXIST);
    assert_done(f, ss_rename(f->st, "a", "b", true, &f->err));
    DRV_AUTO_FREE char *text = ss_read(f->st, "b", 10, NULL, &f->err);
    assert_string_equal(text, "A");
    assert_refused(f, ss_rename(f->st, "a", "c", false, &f->err), DRV_ENOTFOUND);
}

static void unlink_is_done_when_it_is_gone(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_write(f->st, "a", "A", 1, &f->err));
    assert_done(f, ss_chmod_readonly(f->st, "a", &f->err));
    assert_done(f, ss_unlink(f->st, "a", &f->err)); // also a read-only file
    assert_done(f, ss_unlink(f->st, "a", &f->err));
    assert_names(f, "", 0);
}

static void read_only_file_is_renamed_but_not_opened_for_writing(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_write(f->st, "a", "A", 1, &f->err));
    assert_done(f, ss_chmod_readonly(f->st, "a", &f->err));
    assert_done(f, ss_rename(f->st, "a", "a.kept", false, &f->err));
    if (f->is_smb || geteuid() != 0) // root writes to anything local
        assert_refused(f, ss_probe_open_rw(f->st, "a.kept", &f->err), DRV_EDENIED);
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

static void images_are_created_once(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb, again;
    assert_done(f, ss_create_image(f->st, "d.raw", UINT64_C(1) << 33, NULL, &f->err));
    assert_done(f, ss_stat(f->st, "d.raw", &sb, &f->err));
    assert_int_equal(sb.size_bytes, UINT64_C(1) << 33);
    assert_refused(f, ss_create_image(f->st, "d.raw", 512, NULL, &f->err), DRV_EEXIST);
    assert_done(f, ss_stat(f->st, "d.raw", &again, &f->err));
    assert_int_equal(again.size_bytes, sb.size_bytes);
    assert_int_equal(again.file_id, sb.file_id);
    assert_true(sb.file_id != 0);
    assert_true(sb.volume_id != 0);
}

static void failed_image_is_removed(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    assert_refused(f, ss_create_image(f->st, "img", 512, "/nonexistent/initial", &f->err),
                   DRV_ENOTFOUND);
    assert_refused(f, ss_stat(f->st, "img", &sb, &f->err), DRV_ENOTFOUND);
}

static void empty_images_tell_what_they_are(void **state)
{
    struct fixture *f = *state;
    struct ss_image_info info;
    assert_done(f, ss_image_create(f->st, "q", SS_QCOW2, UINT64_C(20) << 30, "/tmp", &f->err));
    assert_done(f, ss_image_info(f->st, "q", SS_QCOW2, &info, &f->err));
    assert_int_equal(info.virtual_bytes, UINT64_C(20) << 30);
    assert_in_range(info.allocated_bytes, 512, 1 << 20);
    assert_false(info.has_backing || info.has_snapshots);
    assert_done(f, ss_image_create(f->st, "r", SS_RAW, 1 << 20, "/tmp", &f->err));
    assert_done(f, ss_image_info(f->st, "r", SS_RAW, &info, &f->err));
    assert_int_equal(info.virtual_bytes, 1 << 20);
    assert_refused(f, ss_image_info(f->st, "r", SS_QCOW2, &info, &f->err), DRV_EINVAL);
    assert_refused(f, ss_image_create(f->st, "z", SS_RAW, 1000, "/tmp", &f->err), DRV_EINVAL);
}

static void probes_change_nothing(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_probe_write(f->st, "", &f->err));
    assert_refused(f, ss_probe_write(f->st, "none", &f->err), DRV_ENOTFOUND);
    assert_done(f, ss_write(f->st, "a", "A", 1, &f->err));
    assert_done(f, ss_probe_open_rw(f->st, "a", &f->err));
    assert_refused(f, ss_probe_open_rw(f->st, "b", &f->err), DRV_ENOTFOUND);
    assert_names(f, "", 1);
    struct ss_space space;
    assert_done(f, ss_space(f->st, &space, &f->err));
    assert_in_range(space.free_bytes, 1, space.total_bytes);
}

static void list_says_when_there_is_more(void **state)
{
    struct fixture *f = *state;
    assert_done(f, ss_write(f->st, "a", "", 0, &f->err));
    assert_done(f, ss_write(f->st, "b", "", 0, &f->err));
    assert_null(ss_list(f->st, "", 1, &f->err));
    assert_refused(f, -1, DRV_EINVAL);
    assert_names(f, "", 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(folders_come_and_go),
        T(written_file_is_whole_and_leaves_nothing_else),
        T(largest_small_file_goes_through),
        T(failed_write_leaves_the_old_alone),
        T(rename_replaces_only_when_told),
        T(unlink_is_done_when_it_is_gone),
        T(read_only_file_is_renamed_but_not_opened_for_writing),
        T(illegal_paths_are_refused),
        T(images_are_created_once),
        T(failed_image_is_removed),
        T(empty_images_tell_what_they_are),
        T(probes_change_nothing),
        T(list_says_when_there_is_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
