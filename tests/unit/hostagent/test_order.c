// SPDX-License-Identifier: GPL-3.0-or-later
// What drover-launch takes for an order, and the agent for its answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "drover/util.h"
#include "order.h"

static int parse(const char *text, struct ha_order *o, struct drv_err *err)
{
    return ha_order_parse(text, strlen(text), o, err);
}

static void order_arrives_as_it_was_given(void **state)
{
    (void)state;
    const char *argv[] = {"/usr/bin/qemu", "-name", "a b", NULL}, *env[] = {"A=1", NULL};
    struct ha_order got, o = {.argv = argv, .env = env, .n_taps = 2};
    DRV_COPY(o.taps[0].bridge, "br0");
    DRV_COPY(o.taps[1].bridge, "br-longest-nam0");
    o.taps[0].fd = 10;
    o.taps[1].fd = 11;
    DRV_AUTO_FREE char *text = ha_order_text(&o);
    assert_int_equal(parse(text, &got, NULL), 0);
    assert_string_equal(got.argv[2], "a b");
    assert_null(got.argv[3]);
    assert_string_equal(got.env[0], "A=1");
    assert_null(got.env[1]);
    assert_int_equal(got.n_taps, 2);
    assert_string_equal(got.taps[1].bridge, "br-longest-nam0");
    assert_int_equal(got.taps[1].fd, 11);
    ha_order_done(&got);
}

static void bad_orders_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"argv\":[\"/x\"],\"env\":[]}",
        "{\"argv\":[],\"env\":[],\"taps\":[]}",
        "{\"argv\":[\"\"],\"env\":[],\"taps\":[]}",
        "{\"argv\":\"/x\",\"env\":[],\"taps\":[]}",
        "{\"argv\":[\"/x\",7],\"env\":[],\"taps\":[]}",
        "{\"argv\":[\"/x\"],\"env\":{},\"taps\":[]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":{}}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[],\"uid\":0}",
        "{\"argv\":[\"/x\"],\"argv\":[\"/y\"],\"env\":[],\"taps\":[]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[]} x",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"\",\"fd\":10}]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"sixteen-letters-\",\"fd\":10}]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"br0\",\"fd\":2}]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"br0\",\"fd\":64}]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"br0\",\"fd\":10,\"up\":1}]}",
        "{\"argv\":[\"/x\"],\"env\":[],\"taps\":[{\"bridge\":\"br0\",\"fd\":10},"
        "{\"bridge\":\"br1\",\"fd\":10}]}",
    };
    for (unsigned i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        struct ha_order o;
        if (parse(bad[i], &o, &err) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, DRV_EINVAL);
        ha_order_done(&o);
    }
}

static void too_large_an_order_is_refused(void **state)
{
    (void)state;
    static char text[HA_ORDER_MAX_BYTES + 200];
    struct drv_err err = DRV_ERR_INIT;
    struct ha_order o;
    int n = snprintf(text, sizeof text, "{\"argv\":[\"/x\",\"%0*d\"],\"env\":[],\"taps\":[]}",
                     HA_ORDER_MAX_BYTES, 0);
    assert_int_equal(ha_order_parse(text, (size_t)n, &o, &err), -1);
    assert_non_null(strstr(err.msg, "more than"));
    ha_order_done(&o);

    json_t *argv = json_array(); // short, and too many
    for (int i = 0; i <= HA_ORDER_MAX_STRINGS; i++)
        json_array_append_new(argv, json_string("x"));
    DRV_AUTO_JSON json_t *all = json_pack("{s:o, s:[], s:[]}", "argv", argv, "env", "taps");
    DRV_AUTO_FREE char *many = json_dumps(all, 0);
    drv_err_clear(&err);
    assert_int_equal(parse(many, &o, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    ha_order_done(&o);
}

static void answer_names_process_and_taps(void **state)
{
    (void)state;
    struct ha_order o = {.n_taps = 1}, got = {.n_taps = 1};
    DRV_COPY(o.taps[0].name, "dvt7");
    DRV_AUTO_FREE char *text = ha_order_answer(&o, 1234, NULL);
    assert_int_equal(ha_order_answered(text, &got, NULL), 1234);
    assert_string_equal(got.taps[0].name, "dvt7");
}

static void error_after_the_answer_counts(void **state)
{
    (void)state;
    struct ha_order o = {.n_taps = 0};
    struct drv_err e = DRV_ERR_INIT, got = DRV_ERR_INIT;
    drv_err_os(&e, 2, "/usr/bin/qemu");
    drv_err_hint(&e, "install it");
    DRV_AUTO_FREE char *first = ha_order_answer(&o, 1234, NULL);
    DRV_AUTO_FREE char *second = ha_order_answer(&o, 1234, &e);
    DRV_AUTO_FREE char *text = drv_xasprintf("%s%s", first, second);
    assert_int_equal(ha_order_answered(text, &o, &got), -1);
    assert_int_equal(got.code, DRV_ENOTFOUND);
    assert_string_equal(got.msg, e.msg);
    assert_string_equal(got.hint, "install it");
    assert_string_equal(got.origin, "os");
    assert_int_equal(got.native, 2);
}

static void nonsense_is_no_answer(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "\n",
                                      "x\n",
                                      "{\"pid\":1,\"taps\":[\"a\"]}\n",
                                      "{\"pid\":99999999999,\"taps\":[\"a\"]}\n",
                                      "{\"pid\":12,\"taps\":[]}\n",
                                      "{\"pid\":12,\"taps\":[7]}\n",
                                      "{\"pid\":12,\"taps\":[\"longer-than-a-name\"]}\n",
                                      "{\"error\":{}}\n"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct ha_order o = {.n_taps = 1};
        struct drv_err err = DRV_ERR_INIT;
        if (ha_order_answered(bad[i], &o, &err) != -1)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, DRV_EPEER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_arrives_as_it_was_given),
        cmocka_unit_test(bad_orders_are_refused),
        cmocka_unit_test(too_large_an_order_is_refused),
        cmocka_unit_test(answer_names_process_and_taps),
        cmocka_unit_test(error_after_the_answer_counts),
        cmocka_unit_test(nonsense_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
