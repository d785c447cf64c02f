// SPDX-License-Identifier: GPL-3.0-or-later
// Search filters and SIDs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delegation_int.h"

static void nothing_in_a_name_can_change_a_filter(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"alice", "alice"},
        {"VM Hosts", "VM Hosts"},
        {"HV1$", "HV1\\24"},
        {"*)(objectClass=*", "\\2a\\29\\28objectClass\\3d\\2a"},
        {"a\\b", "a\\5cb"},
        {"J\xc3\xbcrgen", "J\\c3\\bcrgen"},
        {"CN=VM Hosts,DC=drover", "CN\\3dVM Hosts\\2cDC\\3ddrover"},
        {"", ""},
    };
    for (unsigned i = 0; i < DRV_ARRAY_LEN(pairs); i++) {
        char *escaped DRV_AUTO_FREE = dg_filter_escape(pairs[i][0]);
        assert_string_equal(escaped, pairs[i][1]);
    }
}

static void a_binary_sid_becomes_text(void **state)
{
    (void)state;
    static const uint8_t builtin[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0};
    static const uint8_t largest[] = {1,    1,    0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    char text[DG_SID_LEN];
    assert_int_equal(dg_sid_text(builtin, sizeof(builtin), text), 0);
    assert_string_equal(text, "S-1-5-32-545");
    assert_int_equal(dg_sid_text(largest, sizeof(largest), text), 0);
    assert_string_equal(text, "S-1-281474976710655-4294967295");
}

static void the_longest_sid_fits(void **state)
{
    (void)state;
    uint8_t sid[8 + 15 * 4];
    char text[DG_SID_LEN];
    memset(sid, 0xff, sizeof(sid));
    sid[0] = 1;
    sid[1] = 15;
    assert_int_equal(dg_sid_text(sid, sizeof(sid), text), 0);
    assert_int_equal(strlen(text), strlen("S-1-281474976710655") + 15 * strlen("-4294967295"));
}

static void malformed_sids_are_refused(void **state)
{
    (void)state;
    static const uint8_t builtin[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0, 0};
    char text[DG_SID_LEN];
    for (size_t len = 0; len <= sizeof(builtin); len++)
        if (len != 16)
            assert_int_equal(dg_sid_text(builtin, len, text), -1);
    uint8_t other[16] = {2, 2};
    assert_int_equal(dg_sid_text(other, sizeof(other), text), -1);
    uint8_t many[8 + 16 * 4] = {1, 16};
    assert_int_equal(dg_sid_text(many, sizeof(many), text), -1);
    assert_true(dg_sid_valid("S-1-5-21-1-2-3-4"));
    assert_false(dg_sid_valid("S-1-5)(cn=*"));
    assert_false(dg_sid_valid(NULL));
}

static void names_of_services_compare_without_case(void **state)
{
    (void)state;
    char first[] = "cifs/FS.drover.test", second[] = "drover/hv2.drover.test";
    char *list[] = {first, second};
    const struct dg_strings s = {.list = list, .n = 2};
    assert_true(dg_strings_has(&s, "cifs/fs.drover.test"));
    assert_true(dg_strings_has(&s, "drover/hv2.drover.test"));
    assert_false(dg_strings_has(&s, "drover/hv2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_a_name_can_change_a_filter),
        cmocka_unit_test(a_binary_sid_becomes_text),
        cmocka_unit_test(the_longest_sid_fits),
        cmocka_unit_test(malformed_sids_are_refused),
        cmocka_unit_test(names_of_services_compare_without_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
