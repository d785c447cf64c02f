// SPDX-License-Identifier: GPL-3.0-or-later
// `drover host set`: what is refused, that a change is all or nothing, and that it is used and
// kept.
#include "rig.h"

#include <stdlib.h>

static int change(struct rig *r, const char *key, const char *value, struct drv_err *err)
{
    struct db_setting s = {.value = (char *)value};
    DRV_COPY(s.key, key);
    return ha_settings_change(&r->ha, &s, 1, err);
}

static struct ha_settings now(struct rig *r)
{
    struct ha_settings s;
    ha_settings_get(&r->ha, &s);
    return s;
}

static void a_new_host_neither_sends_nor_receives_and_encrypts(void **state)
{
    struct ha_settings s = now(*state);
    assert_false(s.receive);
    assert_false(s.send);
    assert_true(s.encrypt);
    assert_int_equal(s.max_moves, 2);
    assert_int_equal(s.data_port_first, 4500);
    assert_int_equal(s.data_port_last, 4599);
    assert_int_equal(s.keep_source_s, -1); // deleted after a move
    assert_string_equal(s.arbiter, "");
    assert_int_equal(s.auth, AZ_AUTH_EITHER);
    assert_string_equal(s.move_networks, "");
}

static void bad_values_are_refused_and_change_nothing(void **state)
{
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"recieve", "on", "no setting \"recieve\""},
        {"state_dir", "/tmp", "no setting"}, // drover.conf's
        {"receive", "maybe", "receive"},
        {"max_moves", "-1", "max_moves"},
        {"bandwidth", "100", "64K bytes a second"},
        {"max_moves", "65", "max_moves"},
        {"max_blackout_ms", "49", "max_blackout_ms"},
        {"max_blackout_ms", "2000ms", "max_blackout_ms"},
        {"bandwidth", "fast", "bandwidth"},
        {"data_ports", "4500", "FIRST-LAST"},
        {"data_ports", "4500-4500", "FIRST-LAST"}, // memory and disks need one each
        {"data_ports", "4600-4500", "FIRST-LAST"},
        {"data_ports", "0-10", "FIRST-LAST"},
        {"data_ports", "65000-65536", "FIRST-LAST"},
        {"data_ports", "4500-4599x", "FIRST-LAST"},
        {"move_networks", "10.0.1.0/24, 10.0.2.0", "10.0.2.0"},
        {"move_networks", "10.0.1.0/33", "10.0.1.0/33"},
        {"roles", "boss=VM Admins", "boss"},
        {"roles", "admin", "roles"},
        {"keep_source", "-1", "keep_source"},
        {"keep_source", "400d", "keep_source"},
        {"auth", "password", "auth"},
        {"auth", "kerberos", "auth"}, // what it was once
    };
    struct rig *r = *state;
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_err err = DRV_ERR_INIT;
        struct ha_settings before = now(r), after;
        if (change(r, cases[i].key, cases[i].value, &err) == 0)
            fail_msg("%s=%s was taken", cases[i].key, cases[i].value);
        after = now(r);
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s=%s: %s", cases[i].key, cases[i].value, err.msg);
        assert_memory_equal(&before, &after, sizeof before);
    }
}

static void a_change_is_used_at_once_and_kept(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(change(r, "receive", "yes", &err), 0);
    assert_int_equal(change(r, "data_ports", "5000-5003", &err), 0);
    assert_int_equal(change(r, "keep_source", "2h", &err), 0);
    assert_int_equal(change(r, "bandwidth", "10M", &err), 0);
    assert_int_equal(change(r, "auth", "permit", &err), 0);
    assert_int_equal(change(r, "roles", "admin=S-1-5-32-544,hosts=VM Hosts", &err), 0);
    struct ha_settings s = now(r);
    assert_true(s.receive);
    assert_int_equal(s.data_port_first, 5000);
    assert_int_equal(s.data_port_last, 5003);
    assert_int_equal(s.keep_source_s, 7200);
    assert_int_equal(s.auth, AZ_AUTH_PERMIT);
    assert_int_equal(s.bandwidth_bps, 10 << 20);
    assert_int_equal(s.roles.n, 2);
    memset(&r->ha.settings, 0, sizeof r->ha.settings); // as after a restart
    assert_int_equal(ha_settings_load(&r->ha, &err), 0);
    struct ha_settings again = now(r);
    assert_true(again.receive);
    assert_int_equal(again.keep_source_s, 7200);
}

static void several_changes_are_made_together_or_not_at_all(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char on[] = "on", ports[] = "9-3";
    const struct db_setting list[] = {{.key = "send", .value = on},
                                      {.key = "data_ports", .value = ports}};
    assert_int_equal(ha_settings_change(&r->ha, list, 2, &err), -1);
    assert_false(now(r).send);
    struct db_settings stored = {0};
    assert_int_equal(db_setting_all(r->ha.db, &stored, NULL), 0);
    assert_int_equal(stored.n, 0);
    db_settings_done(&stored);
}

static void every_setting_is_shown_with_its_value(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(change(r, "move_networks", "10.0.1.0/24,fd00::/64", &err), 0);
    DRV_AUTO_JSON json_t *j = ha_settings_to_json(&r->ha, &err);
    for (const struct drv_option *o = ha_setting_options; o->name; o++)
        if (!json_is_string(json_object_get(j, o->name)))
            fail_msg("%s is not shown", o->name);
    assert_string_equal(json_string_value(json_object_get(j, "move_networks")),
                        "10.0.1.0/24, fd00::/64");
    assert_string_equal(json_string_value(json_object_get(j, "encrypt")), "on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_new_host_neither_sends_nor_receives_and_encrypts),
        RIG_TEST(bad_values_are_refused_and_change_nothing),
        RIG_TEST(a_change_is_used_at_once_and_kept),
        RIG_TEST(several_changes_are_made_together_or_not_at_all),
        RIG_TEST(every_setting_is_shown_with_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
