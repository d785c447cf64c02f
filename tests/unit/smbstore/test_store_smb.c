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
    "  dies:*) exit 0 ;;\n"
    "  garbage:*) echo '{\"ok\":' ;;\n"
    "  empty:*) echo '{\"ok\":{}}' ;;\n"
    "  long:*) head -c 2000000 /dev/zero | tr '\\0' x; echo ;;\n"
    "  env:*) echo \"{\\\"ok\\\":{\\\"names\\\":[\\\"$KRB5CCNAME\\\",\\\"${HOME:-none}\\\"]}}\" "
    ";;\n"
    "  toomany:*) echo '{\"ok\":{\"names\":[\"a\",\"b\",\"c\"]}}' ;;\n"
    "  toolong:*) echo '{\"ok\":{\"hex\":\"616263\",\"size\":3}}' ;;\n"
    "  negative:*) echo '{\"ok\":{\"is_dir\":false,\"size\":-1,\"volume_id\":\"0\","
    "\"file_id\":\"0\"}}' ;;\n"
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
    assert_string_equal(json_string_value(json_array_get(names, 0)), "FILE:/nonexistent/cc");
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
        cmocka_unit_test(dead_or_mad_helper_is_an_error),
        cmocka_unit_test(answers_beyond_what_was_asked_are_refused),
        cmocka_unit_test(server_refusal_keeps_its_words),
        cmocka_unit_test(helper_that_is_not_there_is_an_error),
        cmocka_unit_test(helper_gets_the_ticket_and_no_home),
        cmocka_unit_test(ids_keep_all_64_bits),
        cmocka_unit_test(peek_tells_record_and_holder),
        cmocka_unit_test(hex_is_strict),
    };
    return cmocka_run_group_tests(tests, make_helper, remove_helper);
}
