// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the request parser.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "calls.h"
#include "drover/util.h"
#include "request.h"

static void a_request_is_taken_apart(void **state)
{
    (void)state;
    static const char text[] =
        "{\"call\":\"vm.show\",\"id\":1099511627776,\"args\":{\"vm\":\"web1\"}}";
    struct ha_request r;
    assert_int_equal(ha_request_parse(text, sizeof text - 1, &r, NULL), 0);
    assert_string_equal(r.call, "vm.show");
    assert_int_equal(r.id, 1099511627776);
    assert_string_equal(json_string_value(json_object_get(r.args, "vm")), "web1");
    ha_request_done(&r);
}

static void args_may_be_left_out(void **state)
{
    (void)state;
    static const char text[] = "{\"call\":\"vm.list\",\"id\":0}";
    struct ha_request r;
    assert_int_equal(ha_request_parse(text, sizeof text - 1, &r, NULL), 0);
    assert_int_equal(json_object_size(r.args), 0);
    ha_request_done(&r);
}

static void anything_else_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "GET / HTTP/1.1",
        "[]",
        "{}",
        "{\"call\":\"x\"}",
        "{\"id\":1}",
        "{\"call\":1,\"id\":1}",
        "{\"call\":\"x\",\"id\":\"1\"}",
        "{\"call\":\"x\",\"id\":1.0}",
        "{\"call\":\"x\",\"id\":-1}",
        "{\"call\":\"x\",\"id\":99999999999999999999}",
        "{\"call\":\"x\",\"id\":1,\"args\":[]}",
        "{\"call\":\"x\",\"id\":1,\"args\":null}",
        "{\"call\":\"x\",\"id\":1,\"id\":2}",
        "{\"call\":\"x\",\"id\":1,\"sudo\":true}",
        "{\"call\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
        "\"id\":1}",
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct ha_request r;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_request_parse(bad[i], strlen(bad[i]), &r, &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, DRV_EPEER);
        assert_true(err.msg[0]);
        assert_null(r.args);
    }
}

static void unknown_and_missing_arguments_are_named(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *args = json_pack("{s:s, s:i}", "vm", "web1", "forse", 1);
    DRV_AUTO_JSON json_t *none = json_object();
    struct drv_err err = DRV_ERR_INIT;
    const char *vm;
    assert_int_equal(ha_args(args, &err, "{s:s}", "vm", &vm), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    assert_non_null(strstr(err.msg, "forse"));
    drv_err_clear(&err);
    assert_int_equal(ha_args(none, &err, "{s:s}", "vm", &vm), -1);
    assert_non_null(strstr(err.msg, "vm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(args_may_be_left_out),
        cmocka_unit_test(anything_else_is_refused_with_a_reason),
        cmocka_unit_test(unknown_and_missing_arguments_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
