// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers, names and the table of verbs.
#include "fake_agent.h"

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; // -1 = refused
    } cases[] = {
        {"10G", INT64_C(10) << 30},
        {"512M", 512 << 20},
        {"4096", 4096},
        {"2T", INT64_C(2) << 40},
        {"1 GiB", 1 << 30},
        {"", -1},
        {"G", -1},
        {"10X", -1},
        {"-1G", -1},
        {"10G5", -1},
        {"99999999T", -1},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        int64_t got = -1;
        struct drv_err err = DRV_ERR_INIT;
        if (cli_parse_size(cases[i].text, &got, &err))
            assert_int_equal(cases[i].bytes, -1);
        else if (got != cases[i].bytes)
            fail_msg("%s", cases[i].text);
    }
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"7d", 7 * 86400000},
        {"12h", 12 * 3600000},
        {"5m", 300000},
        {"300ms", 300},
        {"30s", 30000},
        {"7", -1},
        {"x", -1},
        {"-1s", -1},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        int64_t got = -1;
        struct drv_err err = DRV_ERR_INIT;
        if (cli_parse_duration(cases[i].text, &got, &err))
            assert_int_equal(cases[i].ms, -1);
        else if (got != cases[i].ms)
            fail_msg("%s", cases[i].text);
    }
}

static void numbers_read_well(void **state)
{
    (void)state;
    assert_string_equal(drv_fmt_bytes(0).s, "0 B");
    assert_string_equal(drv_fmt_bytes(1536).s, "1.5 KiB");
    assert_string_equal(drv_fmt_bytes(INT64_C(40) << 30).s, "40 GiB");
    assert_string_equal(drv_fmt_ms(84.4).s, "84 ms");
    assert_string_equal(drv_fmt_ms(3200).s, "3.2 s");
    assert_string_equal(drv_fmt_ms(72000).s, "1 min 12 s");
    assert_string_equal(drv_fmt_ms(7320000).s, "2 h 2 min");
}

static void hosts_and_ports_are_split(void **state)
{
    (void)state;
    char host[64];
    unsigned port;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(drv_host_port("hv1", host, sizeof host, &port, &err), 0);
    assert_string_equal(host, "hv1");
    assert_int_equal(port, 4484);
    assert_int_equal(drv_host_port("hv1.example.lan:9", host, sizeof host, &port, &err), 0);
    assert_string_equal(host, "hv1.example.lan");
    assert_int_equal(port, 9);
    assert_int_equal(drv_host_port("hv1:", host, sizeof host, &port, &err), -1);
    drv_err_clear(&err);
    assert_int_equal(drv_host_port("hv1:70000", host, sizeof host, &port, &err), -1);
}

static void addresses_are_not_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"10.0.0.1", "fe80::1", "", "a b", "-x"};
    char fqdn[256];
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        if (!drv_host_fqdn(bad[i], fqdn, sizeof fqdn, &err))
            fail_msg("\"%s\" became %s", bad[i], fqdn);
        assert_int_equal(err.code, DRV_EINVAL);
    }
}

static void short_names_get_the_realms_domain(void **state)
{
    (void)state;
    char path[] = "/tmp/drover-krb5-XXXXXX", fqdn[256], small[8];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char conf[] = "[libdefaults]\ndefault_realm = EXAMPLE.LAN\n";
    assert_int_equal(write(fd, conf, sizeof conf - 1), sizeof conf - 1);
    close(fd);
    setenv("KRB5_CONFIG", path, 1);
    assert_int_equal(drv_host_fqdn("hv2", fqdn, sizeof fqdn, NULL), 0);
    assert_string_equal(fqdn, "hv2.example.lan");
    assert_int_equal(drv_host_fqdn("hv2.other.lan", fqdn, sizeof fqdn, NULL), 0);
    assert_string_equal(fqdn, "hv2.other.lan");
    assert_int_equal(drv_host_fqdn("hv2", small, sizeof small, NULL), -1);
    unsetenv("KRB5_CONFIG");
    unlink(path);
}

static void near_misses_are_suggested(void **state)
{
    (void)state;
    static const char *const words[] = {"move", "check", "start", "stop", "vm", NULL};
    assert_string_equal(cli_suggest("mvoe", words), "move");
    assert_string_equal(cli_suggest("chekc", words), "check");
    assert_string_equal(cli_suggest("strat", words), "start");
    assert_string_equal(cli_suggest("vms", words), "vm");
    assert_null(cli_suggest("frobnicate", words));
    assert_null(cli_suggest("xy", words));
}

static void verbs_are_found_whole(void **state)
{
    (void)state;
    char vm[] = "vm", start[] = "start", move[] = "move", web[] = "web";
    char *two[] = {vm, start, web}, *one[] = {move, web};
    int words;
    assert_ptr_equal(cli_find_verb(3, two, &words)->run, cli_vm_start);
    assert_int_equal(words, 2);
    assert_ptr_equal(cli_find_verb(2, one, &words)->run, cli_move);
    assert_int_equal(words, 1);
}

static void every_verb_has_all_its_parts(void **state)
{
    (void)state;
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        assert_non_null(v->run);
        assert_non_null(v->summary);
        assert_non_null(v->examples);
        assert_true(v->max_pos == 0 || v->args);
        assert_true(v->min_pos <= v->max_pos);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(numbers_read_well),
        cmocka_unit_test(hosts_and_ports_are_split),
        cmocka_unit_test(addresses_are_not_names),
        cmocka_unit_test(short_names_get_the_realms_domain),
        cmocka_unit_test(near_misses_are_suggested),
        cmocka_unit_test(verbs_are_found_whole),
        cmocka_unit_test(every_verb_has_all_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
