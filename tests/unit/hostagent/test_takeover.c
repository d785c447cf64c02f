// SPDX-License-Identifier: GPL-3.0-or-later
// Rule 8: what lets a host take a VM that another one owns, and what does not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "takeover_rules.h"

static const struct ha_takeover ask = {.self = "hv2.lan", .vm = "web"};
static const struct ha_takeover dead = {.self = "hv2.lan", .vm = "web", .host_is_dead = true};

static struct ss_record record(enum ss_record_state state, const char *host, const char *to)
{
    struct ss_record r = {.epoch = 4, .state = state, .stall_deadline_s = 60};
    DRV_COPY(r.host, host);
    DRV_COPY(r.to, to);
    DRV_COPY(r.nonce, "44444444-4444-4444-8444-444444444444");
    return r;
}

static void only_a_living_hosts_no_or_a_dead_hosts_silence_lets_it_go_on(void **state)
{
    (void)state;
    static const struct {
        enum ha_word word;
        bool said_dead;
        int rc;
        const char *hint;
    } cases[] = {
        {HA_SAYS_NO, false, 1, NULL},
        {HA_SAYS_NO, true, 1, NULL},
        {HA_SAYS_NOTHING, true, 0, NULL},
        {HA_SAYS_NOTHING, false, -1, "--take-over --host-is-dead"},
        // Whoever says that the host is dead is wrong when it answers.
        {HA_SAYS_RUNNING, true, -1, "drover -H hv1.lan move web"},
        {HA_SAYS_RUNNING, false, -1, "drover -H hv1.lan move web"},
        {HA_SAYS_MOVING, true, -1, "drover -H hv1.lan jobs --active"},
        {HA_SAYS_MOVING, false, -1, "drover -H hv1.lan jobs --active"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_err err = DRV_ERR_INIT;
        int rc = ha_takeover_heard(cases[i].said_dead ? &dead : &ask, "hv1.lan", cases[i].word,
                                   "no route to host", &err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d", i, rc);
        if (rc < 0) {
            assert_string_equal(err.id, "S07");
            assert_true(cases[i].hint && strstr(err.hint, cases[i].hint));
        } else {
            assert_int_equal(err.code, DRV_OK);
        }
    }
}

static void the_holder_is_asked_and_of_a_released_vm_both_hosts(void **state)
{
    (void)state;
    const char *hosts[2];
    struct ss_record r = record(SS_REC_RUNNING, "hv1.lan", "");
    assert_int_equal(ha_takeover_parties(&r, "hv3.lan", hosts), 1);
    assert_string_equal(hosts[0], "hv1.lan");
    r = record(SS_REC_RELEASED, "hv1.lan", "hv2.lan");
    assert_int_equal(ha_takeover_parties(&r, "hv3.lan", hosts), 2);
    assert_string_equal(hosts[0], "hv1.lan");
    assert_string_equal(hosts[1], "hv2.lan");
    assert_int_equal(ha_takeover_parties(&r, "hv2.lan", hosts), 1);
    assert_string_equal(hosts[0], "hv1.lan");
    assert_int_equal(ha_takeover_parties(&r, "hv1.lan", hosts), 1);
    assert_string_equal(hosts[0], "hv2.lan");
    r = record(SS_REC_RUNNING, "hv1.lan", "hv2.lan"); // `to` of an earlier move means nothing
    assert_int_equal(ha_takeover_parties(&r, "hv3.lan", hosts), 1);
    assert_int_equal(ha_takeover_parties(&r, "hv1.lan", hosts), 0);
}

static void a_watched_record_must_stay_unheld_and_unwritten(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const struct ss_record r = record(SS_REC_RUNNING, "hv1.lan", "");
    struct ss_record now = r;
    assert_int_equal(ha_takeover_seen(&dead, &r, &now, false, &err), 0);
    assert_int_equal(err.code, DRV_OK);
    assert_int_equal(ha_takeover_seen(&dead, &r, &now, true, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_string_equal(err.id, "S07");
    assert_non_null(strstr(err.hint, "alive"));
    drv_err_clear(&err);
    now.epoch++;
    assert_int_equal(ha_takeover_seen(&dead, &r, &now, false, &err), -1);
    drv_err_clear(&err);
    now = r;
    now.nonce[0] = '5'; // written anew at the same epoch
    assert_int_equal(ha_takeover_seen(&dead, &r, &now, false, &err), -1);
    assert_string_equal(err.id, "S07");
}

static void an_answer_is_understood_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        int rc;
        enum ha_word word;
    } cases[] = {
        {"{\"known\":true,\"running\":true,\"moving\":true}", 0, HA_SAYS_RUNNING},
        {"{\"known\":true,\"running\":false,\"moving\":true}", 0, HA_SAYS_MOVING},
        {"{\"known\":true,\"running\":false,\"moving\":false}", 0, HA_SAYS_NO},
        {"{\"known\":false,\"running\":false,\"moving\":false,\"more\":1}", 0, HA_SAYS_NO},
        {"{\"known\":false,\"running\":false}", -1, 0},
        {"{\"known\":true,\"running\":\"no\",\"moving\":false}", -1, 0},
        {"[]", -1, 0},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        DRV_AUTO_JSON json_t *j = json_loads(cases[i].reply, 0, NULL);
        enum ha_word word = HA_SAYS_NOTHING;
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(ha_takeover_parse(j, &word, &err), cases[i].rc);
        if (cases[i].rc == 0)
            assert_int_equal(word, cases[i].word);
        else
            assert_int_equal(err.code, DRV_EPEER); // and never "it does not run there"
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_living_hosts_no_or_a_dead_hosts_silence_lets_it_go_on),
        cmocka_unit_test(the_holder_is_asked_and_of_a_released_vm_both_hosts),
        cmocka_unit_test(a_watched_record_must_stay_unheld_and_unwritten),
        cmocka_unit_test(an_answer_is_understood_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
