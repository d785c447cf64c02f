// SPDX-License-Identifier: GPL-3.0-or-later
// Which addresses lie in a migration network, and what is no network at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "drover/util.h"
#include "subnet.h"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage ss = {.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
    void *ip = ss.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)&ss)->sin_addr
                                       : (void *)&((struct sockaddr_in6 *)(void *)&ss)->sin6_addr;
    assert_int_equal(inet_pton(ss.ss_family, text, ip), 1);
    return ss;
}

static void an_address_is_in_a_network_by_its_prefix_bits(void **state)
{
    (void)state;
    static const struct {
        const char *net, *addr;
        bool in;
    } cases[] = {
        {"10.83.1.0/24", "10.83.1.255", true},
        {"10.83.1.0/24", "10.83.2.0", false},
        {"10.83.1.77/24", "10.83.1.1", true}, // a host address names its network
        {"10.83.0.0/17", "10.83.127.255", true},
        {"10.83.0.0/17", "10.83.128.0", false},
        {"10.83.1.128/25", "10.83.1.128", true},
        {"10.83.1.128/25", "10.83.1.127", false},
        {"10.83.1.4/31", "10.83.1.5", true},
        {"10.83.1.4/31", "10.83.1.6", false},
        {"10.83.1.4/32", "10.83.1.4", true},
        {"10.83.1.4/32", "10.83.1.5", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "fd00::1", false},
        {"fd00:1::/64", "fd00:1::ffff:1", true},
        {"fd00:1::/64", "fd00:1:0:1::1", false},
        {"fd00:1:2:8000::/49", "fd00:1:2:ffff::1", true},
        {"fd00:1:2:8000::/49", "fd00:1:2:7fff::1", false},
        {"fd00::4/127", "fd00::5", true},
        {"fd00::4/127", "fd00::6", false},
        {"fd00::4/128", "fd00::4", true},
        {"fd00::4/128", "fd00::5", false},
        {"::/0", "fd00::1", true},
        {"::/0", "10.0.0.1", false},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct ha_subnet s;
        struct sockaddr_storage ss = address(cases[i].addr);
        assert_int_equal(ha_subnet_parse(cases[i].net, &s, NULL), 0);
        assert_string_equal(s.text, cases[i].net);
        if (ha_subnet_has(&s, (struct sockaddr *)&ss) != cases[i].in)
            fail_msg("%s in %s", cases[i].addr, cases[i].net);
    }
}

static void an_interface_without_an_address_is_in_no_network(void **state)
{
    (void)state;
    struct ha_subnet s;
    struct sockaddr_storage packet = {.ss_family = AF_PACKET};
    assert_int_equal(ha_subnet_parse("0.0.0.0/0", &s, NULL), 0);
    assert_false(ha_subnet_has(&s, NULL));
    assert_false(ha_subnet_has(&s, (struct sockaddr *)&packet));
}

static void what_is_no_network_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/ 8",
        "10.0.0.0/8x",
        "10.0.0.0/0x8",
        "10.0.0/8",
        "/8",
        "eth0/8",
        "fd00::/129",
        "fd00::/64/64",
        "10.0.0.0/0000000000000000000000000000000000000000000000000000000000000008",
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct ha_subnet s;
        struct drv_err err = DRV_ERR_INIT;
        if (ha_subnet_parse(bad[i], &s, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_non_null(strstr(err.msg, "not a network"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_in_a_network_by_its_prefix_bits),
        cmocka_unit_test(an_interface_without_an_address_is_in_no_network),
        cmocka_unit_test(what_is_no_network_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
