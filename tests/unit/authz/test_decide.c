// SPDX-License-Identifier: GPL-3.0-or-later
// The decision table, as data: who asks for what, with which settings, and what comes out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drover/authz.h"
#include "drover/util.h"

#define ADMINS "S-1-5-21-1-2-3-1001"
#define OPERATORS "S-1-5-21-1-2-3-1002"
#define VIEWERS "S-1-5-21-1-2-3-1003"
#define HOSTS "S-1-5-21-1-2-3-1004"
#define ROLES                                                                                      \
    "admin=" ADMINS ":VM Admins,operator=" OPERATORS ":VM Operators,viewer=" VIEWERS               \
    ":VM Viewers,hosts=" HOSTS ":VM Hosts"
#define ME "hv2.drover.test"

// ---- people and hosts ----

enum who { NOBODY, ERIN, ALICE, VAL, BOB, HV1, HV3, WHO_MAX };
static const struct {
    const char *name, *account, *group;
} cast[] = {
    [NOBODY] = {"", "", ""},
    [ERIN] = {"erin@DROVER.TEST", "erin", ADMINS},
    [ALICE] = {"alice@DROVER.TEST", "alice", OPERATORS},
    [VAL] = {"val@DROVER.TEST", "val", VIEWERS},
    [BOB] = {"bob@DROVER.TEST", "bob", "S-1-5-21-1-2-3-513"},
    [HV1] = {"HV1$@DROVER.TEST", "HV1$", HOSTS},
    [HV3] = {"HV3$@DROVER.TEST", "HV3$", "S-1-5-21-1-2-3-515"},
};
_Static_assert(DRV_ARRAY_LEN(cast) == WHO_MAX, "one row for each");

// How the user proved itself.
enum proof {
    OWN,
    BY_HV1,
    BY_HV3,
    BY_HV1_LOWER,
    VIA_BOTH,
    FOR_HV3,
    FOR_CIFS,
    FOR_PREFIX,
    WITH_REALM,
    PERMIT,       // the user's own log-on; a permit to move web, for hv1
    PERMIT_UPPER, // hv1 in other letters
    PERMIT_CHECK, // to check a move of web
    PERMIT_HV3,   // for hv3
    PERMIT_UUID,  // for another VM of that name
    PERMIT_NAME,  // for that VM by another name
};
static const struct {
    const char *target;
    const char *transited[2];
} proofs[] = {
    [OWN] = {NULL, {NULL}},
    [BY_HV1] = {"drover/" ME, {"HV1$@DROVER.TEST"}},
    [BY_HV3] = {"drover/" ME, {"HV3$@DROVER.TEST"}},
    [BY_HV1_LOWER] = {"Drover/HV2.drover.test", {"hv1$@drover.test"}},
    [VIA_BOTH] = {"drover/" ME, {"HV3$@DROVER.TEST", "HV1$@DROVER.TEST"}},
    [FOR_HV3] = {"drover/hv3.drover.test", {"HV1$@DROVER.TEST"}},
    [FOR_CIFS] = {"cifs/" ME, {"HV1$@DROVER.TEST"}},
    [FOR_PREFIX] = {"drover/" ME ".evil.example", {"HV1$@DROVER.TEST"}},
    [WITH_REALM] = {"drover/" ME "@DROVER.TEST", {"HV1$@DROVER.TEST"}},
    [PERMIT_NAME] = {NULL, {NULL}}, // as OWN, and those before it
};

#define WEB "11111111-2222-4333-8444-555555555555"
static const struct az_permit permits[] = {
    [PERMIT] = {true, "hv1.drover.test", WEB, "web"},
    [PERMIT_UPPER] = {true, "HV1.Drover.Test", WEB, "web"},
    [PERMIT_CHECK] = {false, "hv1.drover.test", WEB, "web"},
    [PERMIT_HV3] = {true, "hv3.drover.test", WEB, "web"},
    [PERMIT_UUID] = {true, "hv1.drover.test", "11111111-2222-4333-8444-555555555556", "web"},
    [PERMIT_NAME] = {true, "hv1.drover.test", WEB, "web1"},
};

static void fill(struct az_identity *id, enum who who, enum proof proof, char (*group)[AZ_SID_LEN])
{
    memset(id, 0, sizeof(*id));
    DRV_COPY(id->name, cast[who].name);
    DRV_COPY(id->account, cast[who].account);
    DRV_COPY(id->sid, "S-1-5-21-1-2-3-99");
    drv_copy(group[0], AZ_SID_LEN, cast[who].group);
    id->groups = group; // borrowed: never az_identity_done
    id->n_groups = 1;
    if (!proofs[proof].target)
        return;
    id->delegated = true;
    DRV_COPY(id->target, proofs[proof].target);
    for (; id->n_transited < 2 && proofs[proof].transited[id->n_transited]; id->n_transited++)
        DRV_COPY(id->transited[id->n_transited], proofs[proof].transited[id->n_transited]);
}

// ---- the table ----

enum { LOCAL = 1, NO_RECEIVE = 2, NO_SEND = 4, NO_ROLES = 8, AUTH_P = 16, AUTH_D = 32 };

static const struct {
    enum az_action action;
    enum who user;
    enum proof proof;
    enum who host;
    unsigned flags;
    unsigned uid;
    const char *ids; // refusals in order, "" = allowed
} cases[] = {
    // At the desk, over the network.
    {AZ_VIEW, VAL, OWN, NOBODY, 0, 0, ""},
    {AZ_VIEW, ALICE, OWN, NOBODY, 0, 0, ""},
    {AZ_VIEW, BOB, OWN, NOBODY, 0, 0, "A01"},
    {AZ_OPERATE, ALICE, OWN, NOBODY, 0, 0, ""},
    {AZ_OPERATE, VAL, OWN, NOBODY, 0, 0, "A02"},
    {AZ_ADMINISTER, ERIN, OWN, NOBODY, 0, 0, ""},
    {AZ_ADMINISTER, ALICE, OWN, NOBODY, 0, 0, "A02"},
    {AZ_ADMINISTER, BOB, OWN, NOBODY, 0, 0, "A01"},
    {AZ_VIEW, ERIN, OWN, NOBODY, NO_ROLES, 0, "A01"},
    {AZ_VIEW, NOBODY, OWN, NOBODY, 0, 0, "K01"},
    // On the host, over its socket.
    {AZ_ADMINISTER, NOBODY, OWN, NOBODY, LOCAL, 0, ""},
    {AZ_ADMINISTER, NOBODY, OWN, NOBODY, LOCAL | NO_ROLES, 0, ""},
    {AZ_ADMINISTER, NOBODY, OWN, NOBODY, LOCAL, 990, ""}, // droverd's own user
    {AZ_VIEW, NOBODY, OWN, NOBODY, LOCAL, 1000, "K01"},
    {AZ_VIEW, VAL, OWN, NOBODY, LOCAL, 1000, ""},
    {AZ_OPERATE, VAL, OWN, NOBODY, LOCAL, 1000, "A02"},
    {AZ_ADMINISTER, VAL, OWN, NOBODY, LOCAL, 0, ""}, // root stays root
    // A move leaves: a Kerberos user, whoever root is.
    {AZ_MOVE_OUT, ALICE, OWN, NOBODY, 0, 0, ""},
    {AZ_MOVE_OUT, NOBODY, OWN, NOBODY, LOCAL, 0, "K01"},
    {AZ_MOVE_OUT, ALICE, OWN, NOBODY, LOCAL, 0, ""},
    {AZ_MOVE_OUT, VAL, OWN, NOBODY, LOCAL, 0, "A02"},
    {AZ_MOVE_OUT, ALICE, OWN, NOBODY, NO_SEND, 0, "R02"},
    {AZ_MOVE_OUT, BOB, OWN, NOBODY, NO_SEND, 0, "R02 A01"},
    {AZ_MOVE_OUT, ALICE, OWN, NOBODY, NO_RECEIVE, 0, ""},
    {AZ_MOVE_CHECK, VAL, OWN, NOBODY, NO_SEND, 0, ""},
    {AZ_MOVE_CHECK, NOBODY, OWN, NOBODY, LOCAL, 0, "K01"},
    // Host channel.
    {AZ_PEER, NOBODY, OWN, HV1, NO_RECEIVE, 0, ""},
    {AZ_PEER, NOBODY, OWN, HV3, 0, 0, "A04"},
    {AZ_PEER, NOBODY, OWN, HV1, NO_ROLES, 0, "A04"},
    {AZ_PEER, ERIN, OWN, NOBODY, 0, 0, "A04"},
    {AZ_PEER, NOBODY, OWN, NOBODY, LOCAL, 0, "A04"},
    {AZ_PEER, NOBODY, OWN, ALICE, 0, 0, "A04"},
    // A move arrives.
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, 0, 0, ""},
    {AZ_MOVE_IN, ERIN, BY_HV1, HV1, 0, 0, ""},
    {AZ_MOVE_IN, ALICE, BY_HV1_LOWER, HV1, 0, 0, ""},
    {AZ_MOVE_IN, ALICE, WITH_REALM, HV1, 0, 0, ""},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, NO_SEND, 0, ""},
    {AZ_MOVE_IN, VAL, BY_HV1, HV1, 0, 0, "A03"},
    {AZ_MOVE_IN, BOB, BY_HV1, HV1, 0, 0, "A03"},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV3, 0, 0, "A04"},
    {AZ_MOVE_IN, ALICE, BY_HV3, HV3, 0, 0, "A04"},
    {AZ_MOVE_IN, ALICE, BY_HV3, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, VIA_BOTH, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, FOR_HV3, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, FOR_CIFS, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, FOR_PREFIX, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, OWN, HV1, 0, 0, "D13"},
    {AZ_MOVE_IN, NOBODY, OWN, HV1, 0, 0, "A06"},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, NO_RECEIVE, 0, "R01"},
    {AZ_MOVE_IN, VAL, BY_HV1, HV1, NO_RECEIVE, 0, "R01 A03"},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, NO_ROLES, 0, "A04"},
    {AZ_MOVE_IN, ALICE, BY_HV1, NOBODY, 0, 0, "A04"},
    {AZ_MOVE_IN, NOBODY, OWN, NOBODY, LOCAL, 0, "A04"},
    {AZ_PEER_CHECK, VAL, BY_HV1, HV1, NO_RECEIVE, 0, ""},
    {AZ_PEER_CHECK, BOB, BY_HV1, HV1, 0, 0, "A03"},
    // A permit in place of delegation: for the channel's host, this VM, and what it was given for.
    {AZ_MOVE_IN, ALICE, PERMIT, HV1, 0, 0, ""},
    {AZ_MOVE_IN, ALICE, PERMIT, HV1, AUTH_P, 0, ""},
    {AZ_MOVE_IN, ALICE, PERMIT_UPPER, HV1, 0, 0, ""},
    {AZ_PEER_CHECK, ALICE, PERMIT, HV1, 0, 0, ""},
    {AZ_PEER_CHECK, VAL, PERMIT_CHECK, HV1, NO_RECEIVE, 0, ""},
    {AZ_MOVE_IN, ALICE, PERMIT_CHECK, HV1, 0, 0, "A07"},
    {AZ_MOVE_IN, ALICE, PERMIT_HV3, HV1, 0, 0, "A07"},
    {AZ_MOVE_IN, ALICE, PERMIT_UUID, HV1, 0, 0, "A07"},
    {AZ_MOVE_IN, ALICE, PERMIT_NAME, HV1, 0, 0, "A07"},
    {AZ_PEER_CHECK, ALICE, PERMIT_UUID, HV1, 0, 0, "A07"},
    {AZ_MOVE_IN, ALICE, PERMIT, HV1, AUTH_D, 0, "D16"},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, AUTH_P, 0, "D15"},
    {AZ_MOVE_IN, NOBODY, OWN, HV1, AUTH_P, 0, "D15"},
    {AZ_PEER_CHECK, VAL, BY_HV1, HV1, AUTH_P, 0, "D15"},
    {AZ_MOVE_IN, ALICE, BY_HV1, HV1, AUTH_D, 0, ""},
    // What was decided when it was given is decided again: groups, settings, the hosts' group.
    {AZ_MOVE_IN, VAL, PERMIT, HV1, 0, 0, "A03"},
    {AZ_MOVE_IN, BOB, PERMIT, HV1, 0, 0, "A03"},
    {AZ_MOVE_IN, ALICE, PERMIT, HV1, NO_RECEIVE, 0, "R01"},
    {AZ_MOVE_IN, ALICE, PERMIT_HV3, HV3, 0, 0, "A04"},
    {AZ_MOVE_IN, ALICE, PERMIT, NOBODY, 0, 0, "A04"},
    {AZ_PERMIT_SHOW, ALICE, PERMIT, HV1, 0, 0, ""},
    {AZ_PERMIT_SHOW, ALICE, PERMIT_UUID, HV1, 0, 0, ""}, // no VM has been named yet
    {AZ_PERMIT_SHOW, ALICE, PERMIT_HV3, HV1, 0, 0, "A07"},
    {AZ_PERMIT_SHOW, ALICE, PERMIT_HV3, HV3, 0, 0, "A04"},
    {AZ_PERMIT_SHOW, ALICE, PERMIT, HV1, AUTH_D, 0, "D16"},
    // Getting one: the user itself, over the network.
    {AZ_PERMIT_MOVE, ALICE, OWN, NOBODY, 0, 0, ""},
    {AZ_PERMIT_MOVE, ALICE, OWN, NOBODY, AUTH_P, 0, ""},
    {AZ_PERMIT_MOVE, ALICE, OWN, NOBODY, AUTH_D, 0, "D16"},
    {AZ_PERMIT_MOVE, ALICE, OWN, NOBODY, NO_RECEIVE, 0, "R01"},
    {AZ_PERMIT_MOVE, VAL, OWN, NOBODY, 0, 0, "A03"},
    {AZ_PERMIT_MOVE, BOB, OWN, NOBODY, 0, 0, "A03"},
    {AZ_PERMIT_CHECK, VAL, OWN, NOBODY, NO_RECEIVE, 0, ""},
    {AZ_PERMIT_CHECK, BOB, OWN, NOBODY, 0, 0, "A03"},
    {AZ_PERMIT_MOVE, ALICE, OWN, NOBODY, LOCAL, 0, "A06"},
    {AZ_PERMIT_MOVE, ALICE, BY_HV1, NOBODY, 0, 0, "A06"}, // a delegated context gives no more
    {AZ_PERMIT_MOVE, HV1, OWN, HV1, 0, 0, "A06"},
    {AZ_PERMIT_MOVE, NOBODY, OWN, NOBODY, LOCAL, 0, "A06"},
    // The source: does it offer what the user brings?
    {AZ_MOVE_OUT, ALICE, OWN, NOBODY, AUTH_P, 0, "D15"},
    {AZ_MOVE_OUT, ALICE, PERMIT, NOBODY, AUTH_P, 0, ""},
    {AZ_MOVE_OUT, ALICE, PERMIT, NOBODY, AUTH_D, 0, "D16"},
    {AZ_MOVE_OUT, VAL, OWN, NOBODY, AUTH_P, 0, "A02 D15"},
    {AZ_MOVE_CHECK, VAL, OWN, NOBODY, AUTH_P, 0, "D15"},
    {AZ_MOVE_CHECK, VAL, PERMIT, NOBODY, AUTH_D, 0, "D16"},
    {AZ_OPERATE, ALICE, OWN, NOBODY, AUTH_P, 0, ""}, // a storage move stays here
    // What a host got for a user is good for a move only.
    {AZ_VIEW, ERIN, BY_HV1, NOBODY, 0, 0, "A06"},
    {AZ_ADMINISTER, ERIN, BY_HV1, NOBODY, 0, 0, "A06"},
    {AZ_ADMINISTER, ERIN, BY_HV1, HV1, 0, 0, "A06"},
    {AZ_ADMINISTER, ERIN, OWN, HV1, 0, 0, "A06"},
    {AZ_MOVE_OUT, ALICE, BY_HV1, NOBODY, 0, 0, "A06"},
    {AZ_MOVE_OUT, ALICE, BY_HV1, HV1, 0, 0, "A06"},
    {AZ_VIEW, NOBODY, OWN, HV1, 0, 0, "A06"},
    // A host's account is nobody's user.
    {AZ_VIEW, HV1, OWN, NOBODY, 0, 0, "A01"},
};

static void run(unsigned i, struct az_decision *d)
{
    char user_group[1][AZ_SID_LEN], host_group[1][AZ_SID_LEN];
    struct az_identity user, host;
    struct az_roles roles;
    fill(&user, cases[i].user, cases[i].proof, user_group);
    fill(&host, cases[i].host, OWN, host_group);
    assert_int_equal(az_roles_parse(cases[i].flags & NO_ROLES ? "" : ROLES, &roles, NULL), 0);
    const struct az_policy policy = {
        .fqdn = ME,
        .own_uid = 990,
        .receive = !(cases[i].flags & NO_RECEIVE),
        .send = !(cases[i].flags & NO_SEND),
        .auth = cases[i].flags & AUTH_P   ? AZ_AUTH_PERMIT
                : cases[i].flags & AUTH_D ? AZ_AUTH_DELEGATION
                                          : AZ_AUTH_EITHER,
        .roles = &roles,
    };
    const struct az_actor actor = {
        .local = cases[i].flags & LOCAL,
        .uid = cases[i].uid,
        .user = cases[i].user ? &user : NULL,
        .host = cases[i].host ? &host : NULL,
        .host_fqdn = cases[i].host == HV3 ? "hv3.drover.test" : "hv1.drover.test",
        .permit = cases[i].proof >= PERMIT ? &permits[cases[i].proof] : NULL,
        .vm_uuid = WEB,
        .vm_name = "web",
    };
    bool allowed = az_decide(&policy, cases[i].action, &actor, d);
    assert_int_equal(allowed, d->allowed);
}

static void each_case_ends_as_the_table_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct az_decision d;
        char got[AZ_REFUSALS_MAX * DRV_ID_LEN + 1] = "";
        run(i, &d);
        for (unsigned k = 0; k < d.n_refusals; k++) {
            strcat(got, k ? " " : "");
            strcat(got, d.refusals[k].id);
        }
        if (strcmp(got, cases[i].ids) != 0 || d.allowed != (cases[i].ids[0] == '\0'))
            fail_msg("case %u (%s, %s): got \"%s\", want \"%s\"", i,
                     az_action_name(cases[i].action), cast[cases[i].user].name, got, cases[i].ids);
    }
}

static void every_refusal_says_what_and_what_to_do(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct az_decision d;
        run(i, &d);
        assert_true(d.who[0] && d.reason[0]);
        assert_int_equal(d.allowed, d.id[0] == '\0');
        for (unsigned k = 0; k < d.n_refusals; k++) {
            const struct az_refusal *r = &d.refusals[k];
            assert_true(r->reason[0] && r->fix[0]);
            // Whole, not cut off by the field.
            assert_true(strlen(r->reason) < sizeof(r->reason) - 1);
            assert_true(strlen(r->fix) < sizeof(r->fix) - 1);
        }
    }
}

static void the_audit_text_names_user_role_group_and_host(void **state)
{
    (void)state;
    static const struct {
        enum az_action action;
        enum who user, host;
        enum proof proof;
        unsigned flags;
        const char *who;
    } texts[] = {
        {AZ_MOVE_IN, ALICE, HV1, OWN, 0,
         "HV1$@DROVER.TEST on behalf of alice@DROVER.TEST (operator via VM Operators)"},
        {AZ_MOVE_IN, ALICE, HV1, PERMIT, 0,
         "HV1$@DROVER.TEST with a permit of alice@DROVER.TEST (operator via VM Operators)"},
        {AZ_MOVE_OUT, ALICE, NOBODY, PERMIT, 0,
         "alice@DROVER.TEST (operator via VM Operators) with a permit"},
        {AZ_VIEW, ALICE, NOBODY, OWN, 0, "alice@DROVER.TEST (operator via VM Operators)"},
        {AZ_VIEW, BOB, NOBODY, OWN, 0, "bob@DROVER.TEST (no role)"},
        {AZ_VIEW, NOBODY, NOBODY, OWN, LOCAL, "local uid 0 (administrator)"},
        {AZ_MOVE_OUT, ALICE, NOBODY, OWN, LOCAL,
         "alice@DROVER.TEST (operator via VM Operators) from local uid 0"},
        {AZ_PEER, NOBODY, HV1, OWN, 0, "HV1$@DROVER.TEST"},
    };
    struct az_roles roles;
    assert_int_equal(az_roles_parse(ROLES, &roles, NULL), 0);
    const struct az_policy policy = {.fqdn = ME, .receive = true, .send = true, .roles = &roles};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        char user_group[1][AZ_SID_LEN], host_group[1][AZ_SID_LEN];
        struct az_identity user, host;
        struct az_decision d;
        fill(&user, texts[i].user, OWN, user_group);
        fill(&host, texts[i].host, OWN, host_group);
        const struct az_actor actor = {.local = texts[i].flags & LOCAL,
                                       .user = texts[i].user ? &user : NULL,
                                       .host = texts[i].host ? &host : NULL,
                                       .host_fqdn = "hv1.drover.test",
                                       .permit = texts[i].proof >= PERMIT ? &permits[texts[i].proof]
                                                                          : NULL,
                                       .vm_uuid = WEB,
                                       .vm_name = "web"};
        az_decide(&policy, texts[i].action, &actor, &d);
        assert_string_equal(d.who, texts[i].who);
    }
}

static void the_fix_names_the_group_to_join(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        if (cases[i].action != AZ_MOVE_IN || strcmp(cases[i].ids, "A03") != 0)
            continue;
        struct az_decision d;
        run(i, &d);
        assert_non_null(strstr(d.fix, "addmembers \"VM Operators\" "));
        assert_non_null(strstr(d.fix, cast[cases[i].user].account));
    }
}

static void a_host_that_another_one_passed_on_opens_no_channel(void **state)
{
    (void)state;
    char group[1][AZ_SID_LEN];
    struct az_identity host;
    struct az_roles roles;
    struct az_decision d;
    fill(&host, HV1, BY_HV3, group);
    assert_int_equal(az_roles_parse(ROLES, &roles, NULL), 0);
    const struct az_policy policy = {.fqdn = ME, .receive = true, .roles = &roles};
    const struct az_actor actor = {.host = &host};
    assert_false(az_decide(&policy, AZ_PEER, &actor, &d));
    assert_string_equal(d.id, "A04");
}

static void a_refusal_becomes_an_error_with_id_and_hint(void **state)
{
    (void)state;
    struct az_decision d;
    struct drv_err err = DRV_ERR_INIT;
    run(2, &d); // bob looks
    assert_int_equal(az_decision_err(&d, &err), -1);
    assert_int_equal(err.code, DRV_EDENIED);
    assert_string_equal(err.id, "A01");
    assert_string_equal(err.msg, d.reason);
    assert_string_equal(err.hint, d.fix);
}

static void auth_settings_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < AZ_AUTH_MAX_; i++) {
        enum az_auth got = AZ_AUTH_MAX_;
        assert_int_equal(az_auth_from_name(az_auth_name((enum az_auth)i), &got), 0);
        assert_int_equal(got, i);
    }
    enum az_auth same = AZ_AUTH_PERMIT;
    assert_int_equal(az_auth_from_name("kerberos", &same), -1);
    assert_int_equal(same, AZ_AUTH_PERMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_ends_as_the_table_says),
        cmocka_unit_test(every_refusal_says_what_and_what_to_do),
        cmocka_unit_test(the_audit_text_names_user_role_group_and_host),
        cmocka_unit_test(the_fix_names_the_group_to_join),
        cmocka_unit_test(a_host_that_another_one_passed_on_opens_no_channel),
        cmocka_unit_test(a_refusal_becomes_an_error_with_id_and_hint),
        cmocka_unit_test(auth_settings_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
