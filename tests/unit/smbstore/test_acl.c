// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the text form of ACLs: what libsmbclient writes is read, what a hostile server might
// write is refused, and what would lock everyone out is never set.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "store_int.h"

static void the_servers_text_is_read(void **state)
{
    (void)state;
    struct ss_acl acl;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ssi_acl_parse("REVISION:1,OWNER:DROVER\\HV1$,GROUP:S-1-5-21-1-2-3-515,"
                                   "ACL:DROVER\\vm hosts:0/3/0x001f01ff,ACL:S-1-1-0:1/29/1",
                                   &acl, &err),
                     0);
    assert_int_equal(acl.n, 2);
    assert_string_equal(acl.owner, "DROVER\\HV1$");
    assert_string_equal(acl.group, "S-1-5-21-1-2-3-515");
    const struct ss_ace *a = &acl.list[0], *b = &acl.list[1];
    assert_string_equal(a->who, "DROVER\\vm hosts");
    assert_int_equal(a->mask, SS_MAY_ALL);
    assert_true(a->to_files && a->to_folders && !a->deny && !a->only_below && !a->inherited);
    assert_string_equal(b->who, "S-1-1-0");
    assert_true(b->deny && b->to_files && !b->to_folders && b->one_level && b->only_below &&
                b->inherited);
    assert_int_equal(ssi_acl_parse("REVISION:1", &acl, &err), 0);
    assert_int_equal(acl.n, 0);
}

static void hostile_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "ACL:S-1-1-0:0/3/1",
        "REVISION:1,ACL:",
        "REVISION:1,ACL:S-1-1-0",
        "REVISION:1,ACL::0/0/1",
        "REVISION:1,ACL:S-1-1-0:0/3",
        "REVISION:1,ACL:S-1-1-0:0/3/",
        "REVISION:1,ACL:S-1-1-0:0/3/1x",
        "REVISION:1,ACL:S-1-1-0:-1/3/1",
        "REVISION:1,ACL:S-1-1-0:5/3/1", // an object's entry
        "REVISION:1,ACL:S-1-1-0:0/256/1",
        "REVISION:1,ACL:S-1-1-0:0/3/0x100000000",
        "REVISION:1,ACL:S-1-1-0:0/3/99999999999999999999",
        "REVISION:1,ACL:S-1-1-0:ALLOWED/3/FULL",
    };
    struct ss_acl acl;
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        if (ssi_acl_parse(bad[i], &acl, &err) != -1)
            fail_msg("%s", bad[i]);
        assert_int_equal(err.code, DRV_EPEER);
    }
    char text[8000] = "REVISION:1";
    for (int i = 0; i <= SS_ACL_MAX; i++)
        strcat(text, ",ACL:S-1-1-0:0/0/1");
    assert_int_equal(ssi_acl_parse(text, &acl, NULL), -1);
    snprintf(text, sizeof text, "REVISION:1,ACL:%0*d:0/0/1", SS_WHO_MAX, 0);
    assert_int_equal(ssi_acl_parse(text, &acl, NULL), -1);
    snprintf(text, sizeof text, "REVISION:1,OWNER:%0*d", SS_WHO_MAX, 0);
    assert_int_equal(ssi_acl_parse(text, &acl, NULL), -1);
}

static void what_is_set_reads_back_the_same(void **state)
{
    (void)state;
    struct ss_acl again,
        acl = {
            .n = 3,
            .list = {{.who = "S-1-5-32-546", .deny = true, .mask = UINT32_MAX, .one_level = true},
                     {.who = "S-1-5-21-1-2-3-1112",
                      .mask = SS_MAY_ALL,
                      .to_files = true,
                      .to_folders = true},
                     {.who = "S-1-1-0", .mask = SS_MAY_READ, .inherited = true}},
        };
    bool names = true;
    DRV_AUTO_FREE char *text = ssi_acl_format(&acl, &names, NULL);
    assert_string_equal(text, "REVISION:1,ACL:S-1-5-32-546:1/4/4294967295,ACL:S-1-5-21-1-2-3-1112:"
                              "0/3/2032127,ACL:S-1-1-0:0/16/1179817");
    assert_false(names);
    assert_int_equal(ssi_acl_parse(text, &again, NULL), 0);
    assert_true(ssi_acl_same(&acl, &again));
    again.list[1] = acl.list[2]; // libsmbclient sorts them
    again.list[2] = acl.list[1];
    assert_true(ssi_acl_same(&acl, &again));
    again.list[1] = again.list[0]; // one twice, another missing
    assert_false(ssi_acl_same(&acl, &again));
    assert_false(ssi_acl_same(&again, &acl));
    again.list[2] = acl.list[2];
    again.list[1] = acl.list[1];
    again.list[1].mask = 0; // what libsmbclient makes of a hexadecimal mask
    assert_false(ssi_acl_same(&acl, &again));
    again = acl;
    again.n--;
    assert_false(ssi_acl_same(&acl, &again));
    again = acl;
    DRV_COPY(again.list[2].who, "S-1-1-1");
    assert_false(ssi_acl_same(&acl, &again));
    struct ss_acl by_name = {.n = 1, .list = {{.who = "DROVER\\VM Hosts", .mask = SS_MAY_CHANGE}}};
    DRV_AUTO_FREE char *named = ssi_acl_format(&by_name, &names, NULL);
    assert_string_equal(named, "REVISION:1,ACL:DROVER\\VM Hosts:0/0/1245631");
    assert_true(names);
}

static void a_list_that_harms_is_not_set(void **state)
{
    (void)state;
    static const struct ss_acl bad[] = {
        {.n = 0},
        {.n = SS_ACL_MAX + 1},
        {.n = 1, .list = {{.who = "S-1-1-0"}}}, // nothing
        {.n = 1, .list = {{.who = "", .mask = 1}}},
        {.n = 1, .list = {{.who = "a,ACL:S-1-1-0:0/3/1", .mask = 1}}},
        {.n = 1, .list = {{.who = "a\nb", .mask = 1}}},
        {.n = 1, .list = {{.who = "S-1-1-0", .mask = 1, .deny = true}}}, // everyone locked out
        {.n = 2, .list = {{.who = "S-1-1-0", .mask = 1}, {.who = "D\\x", .mask = 1}}},
        {.n = 2,
         .list = {{.who = "S-1-1-0", .mask = 1}, {.who = "S-1-1-0", .mask = 1, .deny = true}}},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        bool names;
        if (ssi_acl_format(&bad[i], &names, &err))
            fail_msg("case %zu", i);
        assert_int_equal(err.code, DRV_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_text_is_read),
        cmocka_unit_test(hostile_text_is_refused),
        cmocka_unit_test(what_is_set_reads_back_the_same),
        cmocka_unit_test(a_list_that_harms_is_not_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
