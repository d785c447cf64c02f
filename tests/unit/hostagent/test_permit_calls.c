// SPDX-License-Identifier: GPL-3.0-or-later
// Getting a permit and showing it, as calls: who gets none, what it is worth on a host channel, and
// what stands in the audit log.
#include "rig.h"

#include "move.h"
#include "session.h"
#include "tables.h"

#define OPERATORS "S-1-5-21-1-2-3-1002"
#define HOSTS "S-1-5-21-1-2-3-1004"
#define UUID "11111111-2222-4333-8444-555555555555"

// The rig is the destination, hv1; the VM comes from hv2.
static char operators[1][AZ_SID_LEN] = {OPERATORS}, hosts[1][AZ_SID_LEN] = {HOSTS},
            nobodies[1][AZ_SID_LEN] = {"S-1-5-21-1-2-3-513"};

// One party, with one reference of its own so that it is never freed.
#define PARTY(name_, sid_, group, is_host_, fqdn)                                                  \
    {                                                                                              \
        .id = {.az = {.name = name_ "@DROVER.TEST",                                                \
                      .account = name_,                                                            \
                      .sid = sid_,                                                                 \
                      .groups = group,                                                             \
                      .n_groups = 1},                                                              \
               .is_host = is_host_,                                                                \
               .host = fqdn},                                                                      \
        .refs = 1                                                                                  \
    }
static struct ha_peer alice = PARTY("alice", "S-1-5-21-1-2-3-11", operators, false, ""),
                      bob = PARTY("bob", "S-1-5-21-1-2-3-12", nobodies, false, ""),
                      hv2 = PARTY("HV2$", "S-1-5-21-1-2-3-13", hosts, true, "hv2.drover.test"),
                      hv3 = PARTY("HV3$", "S-1-5-21-1-2-3-14", hosts, true, "hv3.drover.test");

static void set(struct rig *r, const char *key, const char *value)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_setting s = {.value = (char *)value};
    DRV_COPY(s.key, key);
    if (ha_settings_change(&r->ha, &s, 1, &err) < 0)
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    if (rig_setup(state) < 0)
        return -1;
    set(*state, "roles", "operator=" OPERATORS ":VM Operators,hosts=" HOSTS ":VM Hosts");
    set(*state, "receive", "on");
    return 0;
}
#define CALL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)

static json_t *no_such_call(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)args, (void)err;
    fail_msg("no call %s", ctx->call);
    return NULL;
}

static const struct ha_call *row_of(const char *name)
{
    static const struct ha_call none = {.run = no_such_call};
    for (const struct ha_call *c = ha_calls_permit; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    for (const struct ha_call *c = ha_calls_peer; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return &none;
}

// The call NAME on peer's connection; args are stolen.
static json_t *ask(struct rig *r, struct ha_peer *peer, const char *name, json_t *args,
                   struct drv_err *err)
{
    static struct ha_link open_link;
    struct ha_job job = {.ctx = {.ha = &r->ha, .call = name, .via = HA_VIA_TCP, .peer = peer},
                         .link = &open_link};
    DRV_AUTO_JSON json_t *owned = args;
    drv_err_clear(err);
    json_t *ret = row_of(name)->run(&job.ctx, args, err);
    ha_peer_unref(job.ctx.inner);
    return ret;
}

static json_t *issue_args(const char *purpose)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "uuid", UUID, "vm", "web", "from", "hv2.drover.test",
                     "purpose", purpose);
}

static void get(struct rig *r, const char *purpose, char ret[DRV_PERMIT_LEN])
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *reply = ask(r, &alice, "permit.issue", issue_args(purpose), &err);
    if (!reply)
        fail_msg("%s", err.msg);
    assert_int_equal(json_integer_value(json_object_get(reply, "expires_s")), 300);
    assert_string_equal(json_string_value(json_object_get(reply, "host")), "hv1.drover.test");
    drv_copy(ret, DRV_PERMIT_LEN, json_string_value(json_object_get(reply, "permit")));
}

static int show(struct rig *r, struct ha_peer *channel, const char *permit, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *reply =
        ask(r, channel, "peer.permit", json_pack("{s:s}", "permit", permit), err);
    return reply ? 0 : -1;
}

// A plan for a VM from the channel's host to here. It is in clear, which a reservation refuses
// (N05) once host and user have been found good: nothing else of the move then happens.
static json_t *plan_json(const struct ha_peer *channel, const char *uuid, const char *name)
{
    static struct mv_plan p;
    rig_plan(&p, channel->id.host, "hv1.drover.test");
    p.def = rig_vm(name);
    DRV_COPY(p.def.uuid, uuid);
    p.encrypt = false;
    return mv_plan_to_json(&p);
}

static void reserve(struct rig *r, struct ha_peer *channel, const char *uuid, const char *name,
                    struct drv_err *err)
{
    json_t *plan = plan_json(channel, uuid, name);
    json_t *args = json_pack("{s:O, s:s, s:s, s:{s:o}}", "move", json_object_get(plan, "move"),
                             "phase", "reserve", "step", "", "args", "plan", plan);
    assert_null(ask(r, channel, "peer.enter", args, err));
}

// The newest line of the audit log.
static void assert_audited(struct rig *r, const char *action, const char *on_behalf, bool allowed,
                           const char *reason)
{
    struct db_audits all = {0};
    assert_int_equal(db_audit_list(r->ha.db, 1, false, &all, NULL), 0);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.list[0].action, action);
    assert_string_equal(all.list[0].on_behalf ? all.list[0].on_behalf : "", on_behalf);
    assert_int_equal(all.list[0].allowed, allowed);
    if (!strstr(all.list[0].reason, reason))
        fail_msg("\"%s\" does not say \"%s\"", all.list[0].reason, reason);
    db_audits_done(&all);
}

static void a_permit_moves_its_vm_once(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "move", permit);
    assert_audited(r, "permit.issue", "", true, "shown by hv2.drover.test");
    assert_int_equal(show(r, &hv2, permit, &err), 0);
    assert_audited(r, "peer.permit", "alice@DROVER.TEST", true, "with a permit of alice");
    reserve(r, &hv2, UUID, "web", &err);
    assert_string_equal(err.id, "N05"); // all that was asked of host and user was found
    reserve(r, &hv2, UUID, "web", &err);
    assert_string_equal(err.id, "A07");
    assert_audited(r, "peer.reserve", "", false, "used already");
    assert_int_equal(show(r, &hv2, permit, &err), -1);
    assert_string_equal(err.id, "A07");
}

static void a_permit_that_another_host_shows_is_spent(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "move", permit);
    assert_int_equal(show(r, &hv3, permit, &err), -1);
    assert_string_equal(err.id, "A07");
    assert_non_null(strstr(err.msg, "hv2.drover.test"));
    assert_audited(r, "peer.permit", "alice@DROVER.TEST", false, "hv3.drover.test showed it");
    assert_int_equal(show(r, &hv2, permit, &err), -1);
    assert_non_null(strstr(err.msg, "used already"));
    reserve(r, &hv3, UUID, "web", &err);
    assert_string_equal(err.id, "A07");
}

static void a_permit_for_another_vm_is_spent(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *uuid, *name;
    } others[] = {{"11111111-2222-4333-8444-555555555556", "web"}, {UUID, "web1"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(others); i++) {
        struct drv_err err = DRV_ERR_INIT;
        char permit[DRV_PERMIT_LEN];
        get(r, "move", permit);
        assert_int_equal(show(r, &hv2, permit, &err), 0);
        reserve(r, &hv2, others[i].uuid, others[i].name, &err);
        assert_string_equal(err.id, "A07");
        assert_audited(r, "peer.reserve", "alice@DROVER.TEST", false, "not for");
        reserve(r, &hv2, UUID, "web", &err); // it was burnt by that
        assert_string_equal(err.id, "A07");
        assert_non_null(strstr(err.msg, "used already"));
    }
}

static void asking_about_another_vm_spends_it_too(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "move", permit);
    assert_int_equal(show(r, &hv2, permit, &err), 0);
    assert_null(ask(r, &hv2, "peer.facts",
                    json_pack("{s:o}", "plan", plan_json(&hv2, UUID, "web1")), &err));
    assert_string_equal(err.id, "A07");
    reserve(r, &hv2, UUID, "web", &err);
    assert_string_equal(err.id, "A07");
    assert_non_null(strstr(err.msg, "used already"));
}

static void a_check_is_no_move(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "check", permit);
    assert_int_equal(show(r, &hv2, permit, &err), 0);
    reserve(r, &hv2, UUID, "web", &err);
    assert_string_equal(err.id, "A07");
    assert_non_null(strstr(err.msg, "not for moving"));
}

static void without_a_permit_the_channel_has_no_user(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "move", permit);
    assert_int_equal(show(r, &hv2, permit, &err), 0);
    reserve(r, &hv3, UUID, "web", &err); // hv2's permit does not help hv3's channel
    assert_string_equal(err.id, "A06");
    set(r, "auth", "permit");
    reserve(r, &hv3, UUID, "web", &err);
    assert_string_equal(err.id, "D15");
}

static void who_may_not_move_gets_none(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_null(ask(r, &bob, "permit.issue", issue_args("move"), &err));
    assert_string_equal(err.id, "A03");
    assert_audited(r, "permit.issue", "", false, "no role");
    assert_null(ask(r, &hv2, "permit.issue", issue_args("move"), &err));
    assert_string_equal(err.id, "A06");
    set(r, "receive", "off");
    assert_null(ask(r, &alice, "permit.issue", issue_args("move"), &err));
    assert_string_equal(err.id, "R01");
    set(r, "receive", "on");
    set(r, "auth", "delegation");
    assert_null(ask(r, &alice, "permit.issue", issue_args("move"), &err));
    assert_string_equal(err.id, "D16");
}

static void settings_count_when_a_permit_is_shown_and_used(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    char permit[DRV_PERMIT_LEN];
    get(r, "move", permit);
    assert_int_equal(show(r, &hv2, permit, &err), 0);
    set(r, "roles", "hosts=" HOSTS); // alice lost her role meanwhile
    reserve(r, &hv2, UUID, "web", &err);
    assert_string_equal(err.id, "A03");
    set(r, "roles", "operator=" OPERATORS ",hosts=" HOSTS);
    get(r, "move", permit);
    set(r, "auth", "delegation");
    assert_int_equal(show(r, &hv2, permit, &err), -1);
    assert_string_equal(err.id, "D16");
}

static void bad_arguments_are_named(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *args, *says;
    } cases[] = {
        {"{'vm':'web','from':'hv2.drover.test','purpose':'move'}", "uuid"},
        {"{'uuid':'x','vm':'web','from':'hv2.drover.test','purpose':'move'}", "uuid"},
        {"{'uuid':'" UUID "','vm':'../web','from':'hv2.drover.test','purpose':'move'}", "vm"},
        {"{'uuid':'" UUID "','vm':'web','from':'hv2','purpose':'move'}", "from"},
        {"{'uuid':'" UUID "','vm':'web','from':'hv2.drover.test','purpose':'all'}", "purpose"},
        {"{'uuid':'" UUID "','vm':'web','from':'a.b','purpose':'move','lifetime_s':0}",
         "lifetime_s"},
        {"{'uuid':'" UUID "','vm':'web','from':'a.b','purpose':'move','lifetime_s':901}",
         "lifetime_s"},
        {"{'uuid':'" UUID "','vm':'web','from':'a.b','purpose':'move','to':'x'}", "to"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_null(ask(r, &alice, "permit.issue", rig_json(cases[i].args), &err));
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].args, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(a_permit_moves_its_vm_once),
        CALL_TEST(a_permit_that_another_host_shows_is_spent),
        CALL_TEST(a_permit_for_another_vm_is_spent),
        CALL_TEST(asking_about_another_vm_spends_it_too),
        CALL_TEST(a_check_is_no_move),
        CALL_TEST(without_a_permit_the_channel_has_no_user),
        CALL_TEST(who_may_not_move_gets_none),
        CALL_TEST(settings_count_when_a_permit_is_shown_and_used),
        CALL_TEST(bad_arguments_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
