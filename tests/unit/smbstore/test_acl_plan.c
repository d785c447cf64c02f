// SPDX-License-Identifier: GPL-3.0-or-later
// What a folder's list of permissions lacks for hosts and operators, and who has too much.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drover/acl_plan.h"

#define DOMAIN "S-1-5-21-1-2-3"
#define HOSTS DOMAIN "-1107"
#define OPERATORS DOMAIN "-1108"

static const struct ss_grant wanted[] = {{HOSTS, SS_MAY_ALL}, {OPERATORS, SS_MAY_CHANGE}};
static bool missing[2];
static struct ss_acl planned;

// An entry of the folder that all below inherits.
static struct ss_ace full(const char *who, uint32_t mask)
{
    struct ss_ace a = {.mask = mask, .to_files = true, .to_folders = true};
    (void)DRV_COPY(a.who, who);
    return a;
}

static struct ss_acl list_of(unsigned n, const struct ss_ace *list)
{
    struct ss_acl acl = {.n = n};
    memcpy(acl.list, list, n * sizeof *list);
    return acl;
}

static int plan(const struct ss_acl *have)
{
    return ss_acl_plan(have, wanted, 2, &planned, missing, NULL);
}

static void both_are_given_to_a_folder_that_knows_neither(void **state)
{
    (void)state;
    struct ss_ace owner = full(DOMAIN "-500", SS_MAY_ALL);
    owner.to_files = owner.to_folders = false;
    struct ss_acl have = list_of(1, &owner);
    assert_int_equal(plan(&have), 2);
    assert_true(missing[0] && missing[1]);
    assert_int_equal(planned.n, 3);
    assert_memory_equal(&planned.list[0], &owner, sizeof owner);
    assert_string_equal(planned.list[1].who, HOSTS);
    assert_int_equal(planned.list[1].mask, SS_MAY_ALL);
    assert_true(planned.list[2].to_files && planned.list[2].to_folders);
    assert_false(planned.list[2].only_below || planned.list[2].one_level);

    struct ss_acl again = planned;
    assert_int_equal(plan(&again), 0);
    assert_int_equal(planned.n, 3);
}

static void an_entry_counts_only_where_it_reaches(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        struct ss_ace a[] = {full(HOSTS, SS_MAY_ALL), full(OPERATORS, SS_MAY_CHANGE)};
        a[0].to_files = k != 0;
        a[0].to_folders = k != 1;
        a[0].only_below = k == 2;
        a[0].one_level = k == 3;
        a[0].deny = k == 4;
        a[0].mask = k == 5 ? SS_MAY_CHANGE : SS_MAY_ALL;
        struct ss_acl have = list_of(2, a);
        assert_int_equal(plan(&have), 1);
        assert_true(missing[0] && !missing[1]);
        assert_memory_equal(&planned.list[0], &a[0], sizeof a[0]); // and stays
        assert_int_equal(planned.n, 3);
    }
}

static void children_alone_are_not_all_that_is_below(void **state)
{
    (void)state;
    struct ss_ace a[] = {full(HOSTS, SS_MAY_ALL), full(HOSTS, SS_MAY_ALL),
                         full(OPERATORS, SS_MAY_ALL)};
    for (int files = 0; files < 2; files++) {
        a[0].to_files = a[1].to_folders = !files;
        a[1].to_files = a[0].to_folders = files;
        a[1].one_level = true;
        struct ss_acl have = list_of(3, a);
        assert_int_equal(plan(&have), 1);
    }
}

static void entries_may_give_it_together(void **state)
{
    (void)state;
    struct ss_ace a[] = {full(HOSTS, SS_MAY_READ), full(HOSTS, SS_MAY_ALL), full(HOSTS, 0x10000000),
                         full(OPERATORS, SS_MAY_ALL)};
    a[1].to_files = a[1].to_folders = false; // here
    a[2].only_below = true;                  // and, as "everything", below
    struct ss_acl have = list_of(4, a);
    assert_int_equal(plan(&have), 0);
}

static void what_is_inherited_stays_behind_the_folders_own(void **state)
{
    (void)state;
    struct ss_ace a[] = {full(DOMAIN "-9", SS_MAY_READ), full("S-1-5-18", SS_MAY_ALL)};
    a[1].inherited = true;
    struct ss_acl have = list_of(2, a);
    assert_int_equal(plan(&have), 2);
    assert_string_equal(planned.list[1].who, HOSTS);
    assert_string_equal(planned.list[2].who, OPERATORS);
    assert_true(planned.list[3].inherited);
}

static void a_group_that_is_not_there_yet_is_missing(void **state)
{
    (void)state;
    const struct ss_grant nobody[] = {{"", SS_MAY_ALL}, {"", SS_MAY_CHANGE}};
    struct ss_ace a = full(HOSTS, SS_MAY_ALL);
    struct ss_acl have = list_of(1, &a);
    assert_int_equal(ss_acl_plan(&have, nobody, 2, &planned, missing, NULL), 2);
}

static void entries_without_rights_go(void **state)
{
    (void)state;
    struct ss_ace a[] = {full("S-1-1-0", 0), full(HOSTS, SS_MAY_ALL), full(OPERATORS, SS_MAY_ALL)};
    struct ss_acl have = list_of(3, a);
    assert_int_equal(plan(&have), 0);
    assert_int_equal(planned.n, 2);
}

static void a_full_list_is_an_error(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_acl have = {.n = SS_ACL_MAX};
    for (unsigned i = 0; i < SS_ACL_MAX; i++)
        have.list[i] = full("S-1-5-18", SS_MAY_ALL);
    assert_int_equal(ss_acl_plan(&have, wanted, 2, &planned, missing, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
}

static void who_lets_all_in_is_told(void **state)
{
    (void)state;
    static const char *const broad[] = {"S-1-1-0", "S-1-5-11", "S-1-5-32-545", DOMAIN "-513"};
    static const char *const narrow[] = {HOSTS, "S-1-5-21-9-9-9-513", DOMAIN "-512", "S-1-5-18"};
    for (unsigned i = 0; i < 4; i++) {
        struct ss_ace b = full(broad[i], SS_MAY_ALL), n = full(narrow[i], SS_MAY_ALL);
        assert_true(ss_ace_is_broad(&b, DOMAIN));
        assert_false(ss_ace_is_broad(&n, DOMAIN));
        b.mask = SS_MAY_READ;
        assert_false(ss_ace_is_broad(&b, DOMAIN));
        b.mask = 0x2;
        assert_true(ss_ace_is_broad(&b, DOMAIN));
        b.deny = true;
        assert_false(ss_ace_is_broad(&b, DOMAIN));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_are_given_to_a_folder_that_knows_neither),
        cmocka_unit_test(an_entry_counts_only_where_it_reaches),
        cmocka_unit_test(children_alone_are_not_all_that_is_below),
        cmocka_unit_test(entries_may_give_it_together),
        cmocka_unit_test(what_is_inherited_stays_behind_the_folders_own),
        cmocka_unit_test(a_group_that_is_not_there_yet_is_missing),
        cmocka_unit_test(entries_without_rights_go),
        cmocka_unit_test(a_full_list_is_an_error),
        cmocka_unit_test(who_lets_all_in_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
