// SPDX-License-Identifier: GPL-3.0-or-later
// What another agent may not ask over its host channel.
#include "rig.h"

#include "move.h"
#include "tables.h"

static json_t *(*handler(const char *name))(struct ha_ctx *, const json_t *, struct drv_err *)
{
    for (const struct ha_call *c = ha_calls_peer; c->name; c++)
        if (!strcmp(c->name, name))
            return c->run;
    fail_msg("no call %s", name);
    return NULL;
}

static json_t *plan_json(const char *from, const char *to)
{
    static struct mv_plan p;
    rig_plan(&p, from, to);
    return mv_plan_to_json(&p);
}

static const struct ha_peer hv3 = {
    .id = {.az = {.name = "HV3$@DROVER.TEST"}, .is_host = true, .host = "hv3.drover.test"}};

static json_t *ask(struct rig *r, const char *call, json_t *args, struct drv_err *err)
{
    struct ha_ctx ctx = {.ha = &r->ha, .call = call, .via = HA_VIA_TCP, .peer = (void *)&hv3};
    DRV_AUTO_JSON json_t *owned = args;
    drv_err_clear(err);
    return handler(call)(&ctx, args, err);
}

static void a_plan_of_other_hosts_is_refused_on_this_hosts_channel(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *from, *to;
    } wrong[] = {
        {"hv2.drover.test", "hv1.drover.test"}, // hv3 speaks for hv2
        {"hv3.drover.test", "hv2.drover.test"}, // not to us
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(wrong); i++) {
        struct drv_err err = DRV_ERR_INIT;
        json_t *args = json_pack("{s:o}", "plan", plan_json(wrong[i].from, wrong[i].to));
        assert_null(ask(r, "peer.facts", args, &err));
        assert_int_equal(err.code, DRV_EDENIED);
        assert_string_equal(err.id, "R05");
    }
}

static void a_reservation_by_the_wrong_host_is_refused_and_audited(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    json_t *plan = plan_json("hv2.drover.test", "hv1.drover.test");
    json_t *move = json_incref(json_object_get(plan, "move"));
    assert_null(ask(r, "peer.enter",
                    json_pack("{s:o, s:s, s:s, s:{s:o}}", "move", move, "phase", "reserve", "step",
                              "start", "args", "plan", plan),
                    &err));
    assert_string_equal(err.id, "R05");
    struct db_audits all = {0};
    assert_int_equal(db_audit_list(r->ha.db, 10, false, &all, NULL), 0);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.list[0].action, "peer.reserve");
    assert_string_equal(all.list[0].who, "HV3$@DROVER.TEST");
    assert_false(all.list[0].allowed);
    db_audits_done(&all);
    assert_null(r->ha.moves);
}

static void a_move_that_this_host_never_began_cannot_be_stepped_or_undone(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    static const char id[] = "33333333-3333-4333-8333-333333333333";
    assert_null(ask(
        r, "peer.enter",
        json_pack("{s:s, s:s, s:s, s:{}}", "move", id, "phase", "take", "step", "start", "args"),
        &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_null(ask(r, "peer.undo", json_pack("{s:s, s:s}", "move", id, "phase", "take"), &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_null(ask(r, "peer.enter",
                    json_pack("{s:s, s:s, s:s, s:{}}", "move", "../../etc", "phase", "take", "step",
                              "start", "args"),
                    &err));
    assert_int_equal(err.code, DRV_EINVAL);
    DRV_AUTO_JSON json_t *j = ask(r, "peer.status", json_pack("{s:s}", "move", id), &err);
    assert_string_equal(json_string_value(json_object_get(j, "state")), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_plan_of_other_hosts_is_refused_on_this_hosts_channel),
        RIG_TEST(a_reservation_by_the_wrong_host_is_refused_and_audited),
        RIG_TEST(a_move_that_this_host_never_began_cannot_be_stepped_or_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
