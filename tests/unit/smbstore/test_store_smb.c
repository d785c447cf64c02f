// SPDX-License-Identifier: GPL-3.0-or-later
// SMB stores against a helper that misbehaves: a shell script that answers as the URL's folder
// says. What a real helper and server do is the integration test's part.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "drover/storeproc.h"
#include "hex.h"

// The last component of the URL is the behaviour. "connect" works but for "denied".
static const char script[] =
    "#!/bin/sh\n"
    "while read -r line; do\n"
    "  case \"${1##*/}:$line\" in\n"
    "  denied:*) echo '{\"error\":{\"code\":\"denied\",\"msg\":\"no ticket\",\"hint\":\"kinit\","
    "\"errno\":13}}' ;;\n"
    "  *connect*) echo '{\"ok\":{}}' ;;\n"
    "  silent:*) exec sleep 30 ;;\n"
    "  deaf:*mkdir*) echo '{\"ok\":{}}'; exec sleep 30 ;;\n"
    "  dies:*) exit 0 ;;\n"
    "  garbage:*) echo '{\"ok\":' ;;\n"
    "  empty:*) echo '{\"ok\":{}}' ;;\n"
    "  long:*) head -c 2000000 /dev/zero | tr '\\0' x; echo ;;\n"
    "  env:*) echo "
    "\"{\\\"ok\\\":{\\\"names\\\":[\\\"${KRB5CCNAME#FILE:/nonexistent/"
    "}\\\",\\\"${HOME:-none}\\\"]}}\" "
    ";;\n"
    "  toomany:*) echo '{\"ok\":{\"names\":[\"a\",\"b\",\"c\"]}}' ;;\n"
    "  toolong:*) echo '{\"ok\":{\"hex\":\"616263\",\"size\":3}}' ;;\n"
    "  negative:*) echo '{\"ok\":{\"is_dir\":false,\"size\":-1,\"volume_id\":\"0\","
    "\"file_id\":\"0\"}}' ;;\n"
    "  copy:*copy_more*) n=$((n + 4)); echo \"{\\\"ok\\\":{\\\"at\\\":$n}}\" ;;\n"
    "  copy:*copy_end*true*) echo kept >\"$0.hex\"; echo \"{\\\"ok\\\":{}}\" ;;\n"
    "  copy:*copy_end*) echo dropped >\"$0.hex\"; echo \"{\\\"ok\\\":{}}\" ;;\n"
    "  copy:*op*copy*) echo '{\"ok\":{\"size\":12}}' ;;\n"
    "  stuck:*copy_end*) echo dropped >\"$0.hex\"; echo \"{\\\"ok\\\":{}}\" ;;\n"
    "  stuck:*) echo '{\"ok\":{\"size\":12,\"at\":0}}' ;;\n"
    "  beyond:*) echo '{\"ok\":{\"size\":12,\"at\":13}}' ;;\n"
    "  acl:*get*) echo '{\"ok\":{\"acl\":\"REVISION:1,ACL:S-1-1-0:0/3/0\"}}' ;;\n"
    "  acl:*) echo '{\"ok\":{}}' ;;\n"
    "  names:*) echo '{\"ok\":{\"names\":[\"a\",\"../b\",\"x/y\",\"q?\",1,\"\\u202eb\"]}}' ;;\n"
    "  ids:*) echo '{\"ok\":{\"is_dir\":false,\"size\":5,\"volume_id\":\"868a1bdf\","
    "\"file_id\":\"ffffffffffffffff\"}}' ;;\n"
    "  peek:*held*) echo '{\"ok\":{\"held\":true}}' ;;\n"
    "  peek:*read*) echo \"{\\\"ok\\\":{\\\"hex\\\":\\\"$(cat "
    "\"$0.hex\")\\\",\\\"size\\\":4096}}\" ;;\n"
    "  esac\n"
    "done\n";

static char folder[] = "/tmp/drover-test-XXXXXX";
static char helper[64];

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_helper(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(helper, sizeof helper, "%s/helper", folder);
    put_file(helper, script, 0700);
    return 0;
}

static int remove_helper(void **state)
{
    (void)state;
    char hex[80];
    snprintf(hex, sizeof hex, "%s.hex", helper);
    unlink(hex);
    unlink(helper);
    return rmdir(folder);
}

static struct ss_store *open_store(const char *behaviour, struct drv_err *err)
{
    char url[128];
    snprintf(url, sizeof url, "smb://fs.example.lan/VM/%s", behaviour);
    const struct ss_identity who = {
        .ccache = "FILE:/nonexistent/cc", .helper = helper, .timeout_ms = 700};
    return ss_store_open(url, &who, err);
}

static struct ss_store *opened(const char *behaviour)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = open_store(behaviour, &err);
    if (!st)
        fail_msg("%s", err.msg);
    return st;
}

static void silent_helper_is_killed_and_named(void **state)
{
    (void)state;
    struct ss_store *st = opened("silent");
    struct ss_stat sb;
    struct drv_err err = DRV_ERR_INIT;
    int64_t start = drv_now_ms();
    assert_int_equal(ss_stat(st, "web01/vm.json", &sb, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    assert_non_null(strstr(err.msg, "smb://fs.example.lan/VM: stat web01/vm.json"));
    drv_err_clear(&err);
    assert_int_equal(ss_stat(st, "web01/vm.json", &sb, &err), -1); // for good, and at once
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    assert_in_range(drv_now_ms() - start, 600, 2500);
    ss_store_close(st);
}

static void helper_that_does_not_read_is_killed(void **state)
{
    (void)state;
    struct ss_store *st = opened("deaf");
    struct drv_err err = DRV_ERR_INIT;
    size_t len = 448 * 1024; // more than a socket takes in
    DRV_AUTO_FREE char *data = drv_xcalloc(1, len);
    assert_int_equal(ss_mkdir(st, "a", &err), 0);
    int64_t start = drv_now_ms();
    assert_int_equal(ss_write(st, "a/b", data, len, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    assert_in_range(drv_now_ms() - start, 600, 2500);
    ss_store_close(st);
}

static void dead_or_mad_helper_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *behaviour;
        enum drv_code code;
    } cases[] = {{"dies", DRV_EUNREACHABLE},
                 {"garbage", DRV_EPEER},
                 {"empty", DRV_EPEER},
                 {"long", DRV_EUNREACHABLE},
                 {"negative", DRV_EPEER}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct ss_store *st = opened(cases[i].behaviour);
        struct ss_stat sb;
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(ss_stat(st, "x", &sb, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        ss_store_close(st);
    }
}

static void answers_beyond_what_was_asked_are_refused(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = opened("toomany");
    assert_null(ss_list(st, "", 2, &err));
    assert_int_equal(err.code, DRV_EPEER);
    ss_store_close(st);
    drv_err_clear(&err);
    st = opened("toolong");
    assert_null(ss_read(st, "x", 2, NULL, &err));
    assert_int_equal(err.code, DRV_EPEER);
    ss_store_close(st);
}

static const char *left(void)
{
    static char text[32];
    char path[80];
    snprintf(path, sizeof path, "%s.hex", helper);
    FILE *f = fopen(path, "r");
    text[0] = '\0';
    if (f && !fgets(text, sizeof text, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    unlink(path);
    return text;
}

static int stop_at_8(void *arg, uint64_t done_bytes, uint64_t size_bytes)
{
    (*(unsigned *)arg)++;
    assert_int_equal(size_bytes, 12);
    return done_bytes == 8;
}

static void a_copy_is_kept_only_when_it_is_whole(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = opened("copy");
    assert_int_equal(ss_copy(st, "a", "b", NULL, NULL, &err), 0);
    assert_string_equal(left(), "kept\n");
    ss_store_close(st);
    st = opened("copy");
    assert_int_equal(ss_copy(st, "a", "b", stop_at_8, &calls, &err), -1);
    assert_int_equal(err.code, DRV_ECANCELLED);
    assert_int_equal(calls, 3);
    assert_string_equal(left(), "dropped\n");
    ss_store_close(st);
    static const char *const mad[] = {"stuck", "beyond", "empty"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(mad); i++) {
        st = opened(mad[i]);
        drv_err_clear(&err);
        assert_int_equal(ss_copy(st, "a", "b", NULL, NULL, &err), -1);
        assert_int_equal(err.code, DRV_EPEER);
        ss_store_close(st);
        left();
    }
}

static void permissions_stored_otherwise_are_an_error(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_store *st = opened("acl");
    const struct ss_acl acl = {
        .n = 1,
        .list = {{.who = "S-1-1-0", .mask = SS_MAY_ALL, .to_files = true, .to_folders = true}}};
    assert_int_equal(ss_acl_set(st, "a", &acl, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    ss_store_close(st);
}

static void names_that_are_not_legal_are_not_listed(void **state)
{
    (void)state;
    struct ss_store *st = opened("names");
    DRV_AUTO_JSON json_t *names = ss_list(st, "", 100, NULL);
    assert_int_equal(json_array_size(names), 1);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "a");
    ss_store_close(st);
}

static void server_refusal_keeps_its_words(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_null(open_store("denied", &err));
    assert_int_equal(err.code, DRV_EDENIED);
    assert_int_equal(err.native, 13);
    assert_string_equal(err.origin, "smb");
    assert_string_equal(err.hint, "kinit");
    assert_non_null(strstr(err.msg, "smb://fs.example.lan/VM: connect: no ticket"));
}

static void helper_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const struct ss_identity who = {
        .ccache = "FILE:/nonexistent/cc", .helper = "/nonexistent/drover-smb", .timeout_ms = 700};
    assert_null(ss_store_open("smb://fs.example.lan/VM", &who, &err));
    assert_int_equal(err.code, DRV_EUNREACHABLE);
}

static void helper_gets_the_ticket_and_no_home(void **state)
{
    (void)state;
    struct ss_store *st = opened("env");
    DRV_AUTO_JSON json_t *names = ss_list(st, "", 2, NULL);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "cc");
    assert_string_equal(json_string_value(json_array_get(names, 1)), "none");
    ss_store_close(st);
}

static void ids_keep_all_64_bits(void **state)
{
    (void)state;
    struct ss_store *st = opened("ids");
    struct ss_stat sb;
    assert_int_equal(ss_stat(st, "x", &sb, NULL), 0);
    assert_true(sb.file_id == UINT64_MAX);
    assert_int_equal(sb.volume_id, 0x868a1bdf);
    ss_store_close(st);
}

static void write_record(const char *vm)
{
    struct ss_record r = {
        .write_counter = 1,
        .epoch = 5,
        .state = SS_REC_STOPPED,
        .host = "hv1.example.lan",
        .boot_id = "11111111-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .nonce = "44444444-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .home_store = "smb1",
        .home_path = "web01",
        .stall_deadline_s = 60,
    };
    DRV_COPY(r.vm, vm);
    memset(r.vm_json_sha256, 'a', 64);
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    assert_int_equal(ss_record_encode(&r, slot, NULL), 0);
    DRV_AUTO_FREE char *hex = ss_hex_encode(slot, sizeof slot);
    char path[80];
    snprintf(path, sizeof path, "%s.hex", helper);
    put_file(path, hex, 0600);
}

static void peek_tells_record_and_holder(void **state)
{
    (void)state;
    static const char vm[] = "5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10";
    struct ss_store *st = opened("peek");
    struct ss_record r;
    struct drv_err err = DRV_ERR_INIT;
    bool held = false;
    write_record(vm);
    assert_int_equal(ss_record_peek(st, vm, &r, &held, &err), 0);
    assert_true(held);
    assert_int_equal(r.epoch, 5);
    write_record("c0000000-7a55-4a8e-9f0d-0c2f8f1f7a10"); // a copy put in its place
    assert_int_equal(ss_record_peek(st, vm, &r, &held, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    drv_err_clear(&err);
    assert_int_equal(ss_record_peek(st, "web01", &r, &held, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    ss_store_close(st);
}

static void hex_is_strict(void **state)
{
    (void)state;
    size_t len;
    assert_null(ss_hex_decode("abc", &len));
    assert_null(ss_hex_decode("zz", &len));
    assert_null(ss_hex_decode("AB", &len));
    DRV_AUTO_FREE char *bytes = ss_hex_decode("00ff", &len);
    assert_int_equal(len, 2);
    assert_memory_equal(bytes, "\0\xff", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_helper_is_killed_and_named),
        cmocka_unit_test(helper_that_does_not_read_is_killed),
        cmocka_unit_test(dead_or_mad_helper_is_an_error),
        cmocka_unit_test(answers_beyond_what_was_asked_are_refused),
        cmocka_unit_test(a_copy_is_kept_only_when_it_is_whole),
        cmocka_unit_test(permissions_stored_otherwise_are_an_error),
        cmocka_unit_test(names_that_are_not_legal_are_not_listed),
        cmocka_unit_test(server_refusal_keeps_its_words),
        cmocka_unit_test(helper_that_is_not_there_is_an_error),
        cmocka_unit_test(helper_gets_the_ticket_and_no_home),
        cmocka_unit_test(ids_keep_all_64_bits),
        cmocka_unit_test(peek_tells_record_and_holder),
        cmocka_unit_test(hex_is_strict),
    };
    return cmocka_run_group_tests(tests, make_helper, remove_helper);
}
