// SPDX-License-Identifier: GPL-3.0-or-later
// The audit log names who asked, over which way, on whose behalf, and how it was decided.
#include "rig.h"

#include "audit.h"
#include "drover/worker.h"
#include "tables.h"

static struct db_audit last(struct rig *r, struct db_audits *all)
{
    assert_int_equal(db_audit_list(r->ha.db, 10, false, all, NULL), 0);
    assert_int_equal(all->n, 1);
    return all->list[0];
}

static void a_local_user_is_named_by_uid(void **state)
{
    struct rig *r = *state;
    struct db_audits all = {0};
    struct ha_ctx ctx = {.ha = &r->ha, .call = "vm.start", .via = HA_VIA_UNIX, .uid = 1000};
    ha_audit_end(&ctx, "web", NULL);
    struct db_audit row = last(r, &all);
    assert_string_equal(row.who, "uid 1000");
    assert_string_equal(row.via, "unix");
    assert_null(row.on_behalf);
    assert_string_equal(row.action, "vm.start");
    assert_string_equal(row.object, "web");
    assert_true(row.allowed);
    assert_non_null(strstr(row.reason, "done"));
    db_audits_done(&all);
}

static void a_user_over_the_network_is_named_by_principal_and_a_failure_by_its_cause(void **state)
{
    struct rig *r = *state;
    struct db_audits all = {0};
    struct ha_peer alice = {.id = {.az = {.name = "alice@X.TEST"}, .role = AZ_OPERATOR}};
    struct ha_ctx ctx = {.ha = &r->ha, .call = "vm.stop", .via = HA_VIA_TCP, .peer = &alice};
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EBUSY, "VM web is busy: moving");
    ha_audit_end(&ctx, "web", &err);
    struct db_audit row = last(r, &all);
    assert_string_equal(row.who, "alice@X.TEST");
    assert_string_equal(row.via, "tcp");
    assert_string_equal(row.reason, "role operator: busy: VM web is busy: moving");
    db_audits_done(&all);
}

static void a_host_acts_on_behalf_of_a_user(void **state)
{
    struct rig *r = *state;
    struct db_audits all = {0};
    struct ha_peer host = {
        .id = {.az = {.name = "HV2$@X.TEST"}, .is_host = true, .host = "hv2.x.test"}};
    struct ha_peer alice = {.id = {.az = {.name = "alice@X.TEST"}}};
    struct ha_ctx ctx = {
        .ha = &r->ha, .call = "peer.enter", .via = HA_VIA_TCP, .peer = &host, .inner = &alice};
    ha_audit(&ctx, "peer.reserve", NULL, false, "receive is off", "some-move");
    struct db_audit row = last(r, &all);
    assert_string_equal(row.who, "HV2$@X.TEST");
    assert_string_equal(row.via, "host hv2.x.test");
    assert_string_equal(row.on_behalf, "alice@X.TEST");
    assert_string_equal(row.action, "peer.reserve");
    assert_string_equal(row.object, "");
    assert_false(row.allowed);
    assert_string_equal(row.reason, "receive is off");
    assert_string_equal(row.move, "some-move");
    db_audits_done(&all);
}

static void the_list_is_bounded_and_filtered(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_ctx ctx = {.ha = &r->ha, .call = "vm.start", .via = HA_VIA_UNIX, .uid = 1000};
    ha_audit(&ctx, "vm.start", "web", true, "role admin: done", NULL);
    ha_audit(&ctx, "move.start", "web", false, "A02: no role", "some-move");
    const struct ha_call *call = &ha_calls_audit[0];
    assert_int_equal(call->who, HA_ADMIN);
    DRV_AUTO_JSON json_t *none = json_object();
    DRV_AUTO_JSON json_t *all = call->run(&ctx, none, &err);
    assert_int_equal(json_array_size(all), 2);
    DRV_AUTO_JSON json_t *only = json_pack("{s:b, s:i}", "refused", 1, "limit", 400);
    DRV_AUTO_JSON json_t *refused = call->run(&ctx, only, &err);
    assert_int_equal(json_array_size(refused), 1);
    const json_t *row = json_array_get(refused, 0);
    assert_string_equal(json_string_value(json_object_get(row, "reason")), "A02: no role");
    assert_string_equal(json_string_value(json_object_get(row, "move")), "some-move");
    assert_string_equal(json_string_value(json_object_get(row, "on_behalf")), "");
    DRV_AUTO_JSON json_t *many = json_pack("{s:i}", "limit", 401);
    assert_null(call->run(&ctx, many, &err));
    assert_int_equal(err.code, DRV_EINVAL);
}

struct refused_call {
    struct rig *r;
    const char *call;
    const struct drv_err *err;
};

static void refuse_on_loop(void *arg)
{
    struct refused_call *c = arg;
    ha_audit_refused(&c->r->ha, "bob@X.TEST", c->call, c->err);
}

static void refusals_for_lack_of_a_right_are_kept_and_mere_mistakes_are_not(void **state)
{
    struct rig *r = *state;
    struct db_audits all = {0};
    struct drv_err denied = DRV_ERR_INIT, unknown = DRV_ERR_INIT;
    drv_err(&denied, DRV_EDENIED, "bob has no role");
    drv_err_id(&denied, "A01");
    drv_err(&unknown, DRV_ENOTFOUND, "no such call");
    drv_loop_call(r->ha.loop, refuse_on_loop, &(struct refused_call){r, "vm.explode", &unknown});
    drv_loop_call(r->ha.loop, refuse_on_loop, &(struct refused_call){r, "vm.start", &denied});
    while (drv_work_running() > 0)
        drv_sleep_ms(5);
    struct db_audit row = last(r, &all);
    assert_string_equal(row.who, "bob@X.TEST");
    assert_string_equal(row.action, "vm.start");
    assert_string_equal(row.reason, "A01: bob has no role");
    assert_false(row.allowed);
    db_audits_done(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_local_user_is_named_by_uid),
        RIG_TEST(a_user_over_the_network_is_named_by_principal_and_a_failure_by_its_cause),
        RIG_TEST(a_host_acts_on_behalf_of_a_user),
        RIG_TEST(the_list_is_bounded_and_filtered),
        RIG_TEST(refusals_for_lack_of_a_right_are_kept_and_mere_mistakes_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
