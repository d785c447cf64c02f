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
    const char *bad[] = {"..",
                         "../x",
                         "a/../b",
                         "/etc/passwd",
                         "a//b",
                         "a/",
                         "a/./b",
                         "a\\b",
                         "a:b",
                         "a*",
                         "a?",
                         "a\nb",
                         "<",
                         "|",
                         "\"",
                         "trailing.",
                         "sp /x",
                         "a\tb",
                         "a\x7f",
                         "a\xc2\x85"
                         "b",
                         "a\u202e"
                         "b",
                         "a\xff",
                         "a\xc3",
                         "NUL",
                         "a/con.x",
                         "x/LPT1.a/b",
                         "Aux",
                         "\ufeff"
                         "a"};
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
    assert_true(ss_path_valid("COM/COM0/COM10/LPT/conn/aux2/nulls"));
    assert_non_null(strstr(ss_path_refusal("a?b"), "Windows"));
    assert_null(ss_path_refusal("a"));
    assert_false(ss_path_valid(""));
}

// 85 * 3 bytes.
#define CJK5 "京都大阪神"
#define CJK85 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5 CJK5

static void odd_names_are_kept_to_the_letter(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {
        "with blanks in it", "100%", "a%20b", "a b", "%2e%2e",  "%00", "a#b", "a&b=c;d+e", "äöüß",
        "京都の仮想機械",    "🐑🐕",   ".dot",  "~x",  "(1) [2]", "'q'", "a,b", "!@$^`{}",   CJK85};
    char sub[SS_PATH_MAX] = "";
    for (size_t i = 0; i < DRV_ARRAY_LEN(names); i++) {
        struct ss_stat sb;
        assert_done(f, ss_write(f->st, names[i], names[i], strlen(names[i]), &f->err));
        assert_done(f, ss_stat(f->st, names[i], &sb, &f->err));
        assert_int_equal(sb.size_bytes, strlen(names[i]));
    }
    DRV_AUTO_JSON json_t *list = ss_list(f->st, "", 100, &f->err);
    assert_int_equal(json_array_size(list), DRV_ARRAY_LEN(names));
    for (size_t i = 0; i < DRV_ARRAY_LEN(names); i++) {
        DRV_AUTO_FREE char *text = ss_read(f->st, names[i], 300, NULL, &f->err);
        assert_string_equal(text, names[i]); // and not what another one says
        assert_done(f, ss_unlink(f->st, names[i], &f->err));
        if (strlen(names[i]) > 200)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", names[i], names[i]);
        assert_done(f, ss_mkdir(f->st, sub, &f->err));
        assert_done(f, ss_rename(f->st, names[i], "x", false, &f->err));
        snprintf(sub, sizeof sub, "x/%s", names[i]);
        assert_done(f, ss_rmdir(f->st, sub, &f->err));
        assert_done(f, ss_rmdir(f->st, "x", &f->err));
    }
    assert_names(f, "", 0);
}

static void longest_paths_can_be_written_by_way_of_a_longer_name(void **state)
{
    struct fixture *f = *state;
    char path[SS_PATH_MAX];
    memset(path, 'p', sizeof path);
    path[120] = path[250] = '/';
    path[SS_PATH_MAX - 1] = path[250] = '\0';
    assert_done(f, ss_mkdir(f->st, path, &f->err));
    path[250] = '/';
    assert_int_equal(strlen(path), SS_PATH_MAX - 1);
    assert_done(f, ss_write(f->st, path, "x", 1, &f->err));
    assert_done(f, ss_probe_open_rw(f->st, path, &f->err));
}

static void images_may_be_larger_than_a_tebibyte(void **state)
{
    struct fixture *f = *state;
    struct ss_stat sb;
    struct ss_image_info info;
    uint64_t size = (UINT64_C(2) << 40) + 512;
    assert_done(f, ss_create_image(f->st, "big.raw", size, NULL, &f->err));
    assert_done(f, ss_stat(f->st, "big.raw", &sb, &f->err));
    assert_true(sb.size_bytes == size);
    assert_done(f, ss_image_info(f->st, "big.raw", SS_RAW, &info, &f->err));
    assert_true(info.virtual_bytes == size);
    assert_done(f, ss_image_create(f->st, "big.qcow2", SS_QCOW2, size, "/tmp", &f->err));
    assert_done(f, ss_image_info(f->st, "big.qcow2", SS_QCOW2, &info, &f->err));
    assert_true(info.virtual_bytes == size);
}

// A file of data, hole, data, and a hole at its end. On SMB the first hole is written as zeros: the
// copy has less than its source there.
static void make_holey(struct fixture *f, const char *path)
{
    char local[400];
    static char data[3 << 20];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 + i / 4096 + 1);
    if (f->is_smb)
        snprintf(local, sizeof local, "%s/initial", f->folder);
    else
        snprintf(local, sizeof local, "%s/%s/%s", f->folder, f->sub, path);
    FILE *file = fopen(local, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, sizeof data, file), sizeof data);
    assert_int_equal(fseek(file, 9 << 20, SEEK_SET), 0);
    assert_int_equal(fwrite(data, 1, 100000, file), 100000);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), f->is_smb ? 10 << 20 : (21 << 20) + 5), 0);
    assert_int_equal(fclose(file), 0);
    if (!f->is_smb)
        return;
    assert_done(f, ss_create_image(f->st, path, (21 << 20) + 5, local, &f->err));
    unlink(local);
}

struct watched {
    unsigned calls;
    uint64_t last, size;
    bool stop;
};

static int watch(void *arg, uint64_t done_bytes, uint64_t size_bytes)
{
    struct watched *w = arg;
    w->calls++;
    w->last = done_bytes;
    w->size = size_bytes;
    return w->stop;
}

static void copies_are_whole_and_leave_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    struct ss_stat sb;
    make_holey(f, "a b%.raw");
    assert_done(f, ss_mkdir(f->st, "sub", &f->err));
    assert_done(f, ss_copy(f->st, "a b%.raw", "sub/c#.raw", watch, &w, &f->err));
    assert_true(w.calls > 0 && w.size == (21 << 20) + 5 && w.last < w.size);
    assert_done(f, ss_stat(f->st, "sub/c#.raw", &sb, &f->err));
    assert_int_equal(sb.size_bytes, (21 << 20) + 5);
    if (!f->is_smb) // a server does not tell; the script that runs this looks there itself
        assert_in_range(sb.allocated_bytes, 3 << 20, 5 << 20);
    assert_names(f, "sub", 1);
    assert_refused(f, ss_copy(f->st, "a b%.raw", "sub/c#.raw", NULL, NULL, &f->err), DRV_EEXIST);
    assert_refused(f, ss_copy(f->st, "none", "sub/d", NULL, NULL, &f->err), DRV_ENOTFOUND);
    assert_refused(f, ss_copy(f->st, "a b%.raw", "none/d", NULL, NULL, &f->err), DRV_ENOTFOUND);
    assert_refused(f, ss_copy(f->st, "a b%.raw", "d?", NULL, NULL, &f->err), DRV_EINVAL);
    w.stop = true;
    assert_refused(f, ss_copy(f->st, "a b%.raw", "sub/d", watch, &w, &f->err), DRV_ECANCELLED);
    assert_names(f, "sub", 1);
    assert_done(f, ss_write(f->st, "empty", "", 0, &f->err));
    assert_done(f, ss_copy(f->st, "empty", "sub/empty", NULL, NULL, &f->err));
    assert_done(f, ss_stat(f->st, "sub/empty", &sb, &f->err));
    assert_int_equal(sb.size_bytes, 0);
}

static void permissions_are_set_and_read_on_smb_only(void **state)
{
    struct fixture *f = *state;
    struct ss_acl acl, again;
    if (!f->is_smb) {
        assert_refused(f, ss_acl_get(f->st, "", false, &acl, &f->err), DRV_ESTATE);
        acl = (struct ss_acl){.n = 1, .list = {{.who = "S-1-1-0", .mask = SS_MAY_READ}}};
        assert_refused(f, ss_acl_set(f->st, "", &acl, &f->err), DRV_ESTATE);
        return;
    }
    assert_done(f, ss_mkdir(f->st, "ü %", &f->err));
    assert_done(f, ss_acl_get(f->st, "ü %", false, &acl, &f->err));
    assert_true(acl.n > 0 && !strncmp(acl.owner, "S-1-5-21-", 9));
    unsigned n = acl.n++;
    acl.list[n] = acl.list[n - 1];
    memmove(&acl.list[1], &acl.list[0], n * sizeof acl.list[0]);
    acl.list[0] = (struct ss_ace){
        .who = "S-1-5-32-546", .deny = true, .mask = 0x116, .to_files = true, .only_below = true};
    assert_done(f, ss_acl_set(f->st, "ü %", &acl, &f->err));
    assert_done(f, ss_acl_get(f->st, "ü %", false, &again, &f->err));
    assert_int_equal(again.n, acl.n);
    assert_string_equal(again.list[0].who, "S-1-5-32-546");
    assert_true(again.list[0].deny && again.list[0].to_files && again.list[0].only_below);
    assert_false(again.list[0].to_folders);
    assert_int_equal(again.list[0].mask, 0x116);
    assert_string_equal(again.owner, acl.owner);
    assert_done(f, ss_acl_get(f->st, "ü %", true, &again, &f->err));
    assert_non_null(strstr(again.list[again.n - 1].who, "\\"));
    assert_done(f, ss_acl_set(f->st, "ü %", &again, &f->err)); // by name, too
    DRV_COPY(again.list[0].who, "NOWHERE\\nobody");
    assert_refused(f, ss_acl_set(f->st, "ü %", &again, &f->err), DRV_EINVAL);
    assert_refused(f, ss_acl_get(f->st, "none", false, &again, &f->err), DRV_ENOTFOUND);
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
    assert_int_equal(again.volume_id, sb.volume_id);
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
        T(odd_names_are_kept_to_the_letter),
        T(longest_paths_can_be_written_by_way_of_a_longer_name),
        T(images_may_be_larger_than_a_tebibyte),
        T(copies_are_whole_and_leave_nothing_else),
        T(permissions_are_set_and_read_on_smb_only),
        T(images_are_created_once),
        T(failed_image_is_removed),
        T(empty_images_tell_what_they_are),
        T(probes_change_nothing),
        T(list_says_when_there_is_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
