// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the wire's JSON texts, error objects and base64.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "drover/frame.h"
#include "drover/util.h"
#include "drover/wire.h"

static void only_whole_json_objects_without_repeated_keys_are_messages(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "[]", "{", "{} x", "{'a':1}", "nonsense", "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_null(drv_wire_parse(bad[i], strlen(bad[i]), &err));
        assert_int_equal(err.code, DRV_EPEER);
    }
    DRV_AUTO_JSON json_t *j = drv_wire_parse("{\"a\":1}", 7, NULL);
    assert_non_null(j);
}

static void a_message_above_the_limit_is_not_sent(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *big = drv_xcalloc(1, DRV_MESSAGE_MAX + 1);
    memset(big, 'x', DRV_MESSAGE_MAX);
    DRV_AUTO_JSON json_t *j = json_pack("{s:s}", "a", big);
    struct drv_err err = DRV_ERR_INIT;
    size_t len;
    assert_null(drv_wire_text(j, &len, &err));
    assert_int_equal(err.code, DRV_EINVAL);
}

static void an_error_survives_the_wire(void **state)
{
    (void)state;
    struct drv_err sent = DRV_ERR_INIT;
    struct drv_err got = DRV_ERR_INIT;
    drv_err(&sent, DRV_EDENIED, "alice may not move web1");
    drv_err_id(&sent, "A02");
    drv_err_hint(&sent, "ask erin");
    DRV_AUTO_JSON json_t *j = drv_wire_error(&sent);
    assert_int_equal(drv_wire_error_take(j, &got), -1);
    assert_int_equal(got.code, DRV_EDENIED);
    assert_string_equal(got.id, "A02");
    assert_string_equal(got.msg, sent.msg);
    assert_string_equal(got.hint, "ask erin");
}

static void an_error_with_text_that_is_not_utf8_still_goes_out(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EIO, "file \xff\xfe");
    DRV_AUTO_JSON json_t *j = drv_wire_error(&err);
    assert_string_equal(json_string_value(json_object_get(j, "msg")), "file ??");
}

static void a_peers_malformed_error_is_an_error_too(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *wrong = json_pack("{s:i, s:s}", "code", 7, "msg", "x");
    DRV_AUTO_JSON json_t *ok =
        json_pack("{s:s, s:s, s:s}", "code", "ok", "msg", "m", "id", "TOOLONG");
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(drv_wire_error_take(NULL, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_int_equal(drv_wire_error_take(wrong, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_int_equal(drv_wire_error_take(ok, &err), -1);
    assert_int_equal(err.code, DRV_EPEER); // "ok" is no failure
    assert_string_equal(err.id, "");
}

static void base64_is_strict_and_reversible(void **state)
{
    (void)state;
    uint8_t bytes[70];
    for (size_t n = 1; n < sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 37 + n);
        DRV_AUTO_FREE char *text = drv_base64(bytes, n);
        size_t len;
        DRV_AUTO_FREE void *back = drv_base64_decode(text, n, &len, NULL);
        assert_non_null(back);
        assert_int_equal(len, n);
        assert_memory_equal(back, bytes, n);
        assert_null(drv_base64_decode(text, n - 1, &len, NULL));
    }
    DRV_AUTO_FREE char *known = drv_base64("Man", 3);
    assert_string_equal(known, "TWFu");
    static const char *const bad[] = {"", "A", "AAA", "AA=A", "====", "A===", "AA A", "QQ==QQ=="};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        size_t len;
        assert_null(drv_base64_decode(bad[i], 100, &len, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_json_objects_without_repeated_keys_are_messages),
        cmocka_unit_test(a_message_above_the_limit_is_not_sent),
        cmocka_unit_test(an_error_survives_the_wire),
        cmocka_unit_test(an_error_with_text_that_is_not_utf8_still_goes_out),
        cmocka_unit_test(a_peers_malformed_error_is_an_error_too),
        cmocka_unit_test(base64_is_strict_and_reversible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
