// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the limits per address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "door.h"

static struct ha_door door;

static int fresh(void **state)
{
    (void)state;
    memset(&door, 0, sizeof door);
    return 0;
}

static struct ha_door_address at(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct ha_door_address a;
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        ha_door_address((struct sockaddr *)&in, &a);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        ha_door_address((struct sockaddr *)&in6, &a);
    else
        fail_msg("%s", text);
    return a;
}

static const char *refusal(const char *from, int64_t now_ms)
{
    struct ha_door_address a = at(from);
    return ha_door_refusal(&door, &a, now_ms);
}

static void enter(const char *from, int64_t now_ms)
{
    struct ha_door_address a = at(from);
    ha_door_enter(&door, &a, now_ms);
}

static void leave(const char *from, bool failed, int64_t now_ms)
{
    struct ha_door_address a = at(from);
    ha_door_leave(&door, &a, failed, now_ms);
}

static void fail_times(const char *from, int times, int64_t now_ms)
{
    for (int i = 0; i < times; i++) {
        enter(from, now_ms);
        leave(from, true, now_ms);
    }
}

static void an_address_has_so_many_log_ons_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < HA_DOOR_LOGONS; i++) {
        assert_null(refusal("10.0.0.1", 1000));
        enter("10.0.0.1", 1000);
    }
    assert_non_null(strstr(refusal("10.0.0.1", 1000), "at a time from this address"));
    assert_null(refusal("10.0.0.2", 1000));
    leave("10.0.0.1", false, 2000);
    assert_null(refusal("10.0.0.1", 2000));
}

static void failures_are_counted_and_forgotten_one_by_one(void **state)
{
    (void)state;
    fail_times("10.0.0.1", HA_DOOR_FAILURES - 1, 1000);
    assert_null(refusal("10.0.0.1", 1000));
    fail_times("10.0.0.1", 1, 1000);
    assert_non_null(strstr(refusal("10.0.0.1", 1000), "failed log-ons"));
    assert_null(refusal("10.0.0.2", 1000));
    assert_non_null(refusal("10.0.0.1", 1000 + HA_DOOR_FORGIVE_MS - 1));
    assert_null(refusal("10.0.0.1", 1000 + HA_DOOR_FORGIVE_MS));
    fail_times("10.0.0.1", 1, 1000 + HA_DOOR_FORGIVE_MS);
    assert_non_null(refusal("10.0.0.1", 1000 + HA_DOOR_FORGIVE_MS));
}

static void log_ons_that_succeed_cost_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 10 * HA_DOOR_FAILURES; i++) {
        enter("10.0.0.1", 1000);
        leave("10.0.0.1", false, 1000);
    }
    assert_null(refusal("10.0.0.1", 1000));
}

static void an_ipv6_network_is_one_address(void **state)
{
    (void)state;
    fail_times("2001:db8:1:2::1", HA_DOOR_FAILURES, 1000);
    assert_non_null(refusal("2001:db8:1:2:ffff::9", 1000));
    assert_null(refusal("2001:db8:1:3::1", 1000));
}

static void an_ipv4_address_is_the_same_in_either_guise(void **state)
{
    (void)state;
    fail_times("10.0.0.1", HA_DOOR_FAILURES, 1000);
    assert_non_null(refusal("::ffff:10.0.0.1", 1000));
    assert_null(refusal("::ffff:10.0.0.2", 1000));
    assert_null(refusal("::1", 1000));
}

static void a_crowd_of_addresses_displaces_neither_log_ons_nor_failures(void **state)
{
    (void)state;
    for (int i = 0; i < HA_DOOR_LOGONS; i++)
        enter("10.0.0.1", 1000);
    fail_times("10.0.0.2", HA_DOOR_FAILURES, 1000);
    for (unsigned i = 0; i < 3 * HA_DOOR_ADDRESSES; i++) {
        char other[32];
        snprintf(other, sizeof other, "10.1.%u.%u", i / 256, i % 256);
        enter(other, 2000);
        leave(other, false, 2000);
    }
    assert_non_null(refusal("10.0.0.1", 3000));
    assert_non_null(refusal("10.0.0.2", 3000));
}

static void an_address_is_logged_once_a_minute(void **state)
{
    (void)state;
    struct ha_door_address a = at("10.0.0.1"), b = at("10.0.0.2");
    assert_true(ha_door_may_log(&door, &a, 1000));
    assert_false(ha_door_may_log(&door, &a, 1000 + HA_DOOR_SILENCE_MS - 1));
    assert_true(ha_door_may_log(&door, &b, 1000));
    assert_true(ha_door_may_log(&door, &a, 1000 + HA_DOOR_SILENCE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_address_has_so_many_log_ons_at_a_time, fresh),
        cmocka_unit_test_setup(failures_are_counted_and_forgotten_one_by_one, fresh),
        cmocka_unit_test_setup(log_ons_that_succeed_cost_nothing, fresh),
        cmocka_unit_test_setup(an_ipv6_network_is_one_address, fresh),
        cmocka_unit_test_setup(an_ipv4_address_is_the_same_in_either_guise, fresh),
        cmocka_unit_test_setup(a_crowd_of_addresses_displaces_neither_log_ons_nor_failures, fresh),
        cmocka_unit_test_setup(an_address_is_logged_once_a_minute, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
