// SPDX-License-Identifier: GPL-3.0-or-later
// The setting `roles`.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drover/authz.h"
#include "drover/util.h"

#define D "S-1-5-21-1-2-3"

static void every_kind_and_form_of_entry_is_read(void **state)
{
    (void)state;
    struct az_roles roles;
    assert_int_equal(az_roles_parse(" admin = " D "-512 , operator=" D "-1114:VM Operators,"
                                    "operator=" D "-1200,viewer=VM Viewers,hosts=" D "-1112,",
                                    &roles, NULL),
                     0);
    assert_int_equal(roles.n, 5);
    assert_int_equal(roles.list[0].role, AZ_ADMIN);
    assert_string_equal(roles.list[0].sid, D "-512");
    assert_string_equal(roles.list[1].label, "VM Operators");
    assert_int_equal(roles.list[2].role, AZ_OPERATOR);
    assert_string_equal(roles.list[3].sid, "");
    assert_ptr_equal(az_roles_unresolved(&roles), &roles.list[3]);
    assert_true(roles.list[4].hosts);
    assert_int_equal(roles.list[4].role, AZ_NONE);
}

static void text_and_table_are_the_same_thing(void **state)
{
    (void)state;
    static const char text[] = "admin=" D "-512,operator=" D "-1114:VM Operators,"
                               "viewer=VM Viewers,hosts=" D "-1112:VM Hosts";
    struct az_roles roles;
    assert_int_equal(az_roles_parse(text, &roles, NULL), 0);
    char *again DRV_AUTO_FREE = az_roles_text(&roles);
    assert_string_equal(again, text);
    assert_int_equal(az_roles_parse("", &roles, NULL), 0);
    char *empty DRV_AUTO_FREE = az_roles_text(&roles);
    assert_string_equal(empty, "");
}

static void a_bad_setting_is_refused_whole(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "root=" D "-1",
        "none=" D "-1",
        "Admin=" D "-1",
        "operator",
        "operator=",
        "operator=S-1-5-21-",
        "operator=S-1-5-21-01",
        "operator=S-1-",
        "operator=S-1-5-21-4294967296",
        "operator=S-1-5",
        "operator=a*b",
        "operator=" D "-1:",
        "operator=" D "-1:a\nb",
        "viewer=VM=Viewers",
        "viewer=S-1-281474976710656-1",
        "operator=s-1-5-21-7",
        "operator=" D "-1 x",
    };
    for (unsigned i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        struct az_roles roles = {.n = 7};
        char *text DRV_AUTO_FREE = drv_xasprintf("admin=" D "-512,%s", bad[i]);
        if (az_roles_parse(text, &roles, &err) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_int_equal(roles.n, 7); // untouched
    }
}

static void more_entries_than_fit_are_refused(void **state)
{
    (void)state;
    char text[AZ_ROLES_MAX * 16 + 32] = "";
    struct az_roles roles;
    for (unsigned i = 0; i < AZ_ROLES_MAX; i++)
        strcat(text, "viewer=S-1-5-1,");
    assert_int_equal(az_roles_parse(text, &roles, NULL), 0);
    strcat(text, "viewer=S-1-5-1");
    assert_int_equal(az_roles_parse(text, &roles, NULL), -1);
}

static void sids_are_checked_to_the_last_digit(void **state)
{
    (void)state;
    assert_true(az_sid_valid("S-1-5-32-545"));
    assert_true(az_sid_valid("S-1-1-0"));
    assert_true(az_sid_valid("S-1-281474976710655-4294967295"));
    assert_true(az_sid_valid("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15"));
    assert_false(az_sid_valid("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16"));
    assert_false(az_sid_valid("S-2-5-1"));
    assert_false(az_sid_valid("S-1-5-"));
    assert_false(az_sid_valid("S-1-5-1x"));
    assert_false(az_sid_valid("S-1-5-4294967296"));
    assert_false(az_sid_valid("S-1-5-18446744073709551617"));
    assert_false(az_sid_valid(""));
    assert_false(az_sid_valid(NULL));
}

static struct az_identity member_of(const char *sid)
{
    struct az_identity id = {
        .name = "alice@X", .account = "alice", .sid = D "-1104", .n_groups = 1};
    id.groups = drv_xcalloc(1, sizeof(*id.groups));
    DRV_COPY(id.groups[0], sid);
    return id;
}

static void the_highest_matching_role_counts(void **state)
{
    (void)state;
    struct az_roles roles;
    const struct az_role_entry *entry = NULL;
    struct az_identity id AZ_AUTO_IDENTITY = member_of(D "-1114");
    assert_int_equal(
        az_roles_parse("viewer=" D "-1114,operator=" D "-1114:Ops,admin=" D "-9", &roles, NULL), 0);
    assert_int_equal(az_role_of(&roles, &id, &entry), AZ_OPERATOR);
    assert_string_equal(entry->label, "Ops");
    // A role may be given to a person too.
    assert_int_equal(az_roles_parse("admin=" D "-1104", &roles, NULL), 0);
    assert_int_equal(az_role_of(&roles, &id, NULL), AZ_ADMIN);
    assert_int_equal(az_role_of(&roles, NULL, &entry), AZ_NONE);
    assert_null(entry);
}

static void a_name_without_sid_matches_nobody(void **state)
{
    (void)state;
    struct az_roles roles;
    struct az_identity id AZ_AUTO_IDENTITY = member_of("");
    assert_int_equal(az_roles_parse("admin=VM Admins,hosts=VM Hosts", &roles, NULL), 0);
    assert_int_equal(az_role_of(&roles, &id, NULL), AZ_NONE);
    assert_false(az_is_host(&roles, &id));
}

static void hosts_and_roles_do_not_mix(void **state)
{
    (void)state;
    struct az_roles roles;
    struct az_identity host AZ_AUTO_IDENTITY = member_of(D "-1112");
    struct az_identity admin AZ_AUTO_IDENTITY = member_of(D "-512");
    assert_int_equal(az_roles_parse("hosts=" D "-1112,admin=" D "-512", &roles, NULL), 0);
    assert_true(az_is_host(&roles, &host));
    const struct az_role_entry *entry = NULL;
    assert_int_equal(az_role_of(&roles, &host, &entry), AZ_NONE);
    assert_null(entry);
    assert_false(az_is_host(&roles, &admin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_form_of_entry_is_read),
        cmocka_unit_test(text_and_table_are_the_same_thing),
        cmocka_unit_test(a_bad_setting_is_refused_whole),
        cmocka_unit_test(more_entries_than_fit_are_refused),
        cmocka_unit_test(sids_are_checked_to_the_last_digit),
        cmocka_unit_test(the_highest_matching_role_counts),
        cmocka_unit_test(a_name_without_sid_matches_nobody),
        cmocka_unit_test(hosts_and_roles_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
