// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of option tables and configuration files.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <sys/stat.h>

#include "drover/conf.h"
#include "drover/proc.h"
#include "drover/util.h"

static int no_spaces(const char *item, struct drv_err *err)
{
    return strchr(item, ' ') ? drv_err(err, DRV_EINVAL, "%s has a space", item) : 0;
}

static const struct drv_option table[] = {
    {"receive", DRV_OPT_BOOL, 0, 0, "off", NULL, NULL, true, "Accept VMs.", NULL},
    {"port", DRV_OPT_INT, 1, 65535, "7583", NULL, NULL, false, "TCP port.", NULL},
    {"bandwidth", DRV_OPT_BYTES, 0, INT64_MAX, "0", "bytes/s", NULL, true, "Limit.", NULL},
    {"keep_source", DRV_OPT_DURATION, 0, 864000000, "0", NULL, NULL, true, "Keep.", NULL},
    {"socket", DRV_OPT_STRING, 1, 100, "/run/x", NULL, NULL, false, "Path-of a socket.", no_spaces},
    {"auth", DRV_OPT_ENUM, 0, 0, "kerberos", NULL, "kerberos|none", true, "How.", NULL},
    {"nets", DRV_OPT_LIST, 0, 3, "", NULL, NULL, true, "Subnets.", no_spaces},
    {0},
};

static struct drv_conf *parse(const char *text, struct drv_err *err)
{
    return drv_conf_parse(table, text, strlen(text), "drover.conf", err);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    struct drv_conf *c = parse("# nothing\n\n", NULL);
    const char *const *nets;
    assert_false(drv_conf_bool(c, "receive"));
    assert_int_equal(drv_conf_int(c, "port"), 7583);
    assert_string_equal(drv_conf_str(c, "socket"), "/run/x");
    assert_int_equal(drv_conf_list(c, "nets", &nets), 0);
    drv_conf_free(c);
}

static void values_are_read_with_their_units(void **state)
{
    (void)state;
    struct drv_conf *c = parse("receive=yes\r\n bandwidth = 10 MiB\nkeep_source = 2h\n"
                               "auth = none\nnets = 10.0.0.0/8 ,fd00::/8",
                               NULL);
    const char *const *nets;
    assert_non_null(c);
    assert_true(drv_conf_bool(c, "receive"));
    assert_int_equal(drv_conf_int(c, "bandwidth"), 10 << 20);
    assert_int_equal(drv_conf_int(c, "keep_source"), 7200000);
    assert_string_equal(drv_conf_str(c, "auth"), "none");
    assert_int_equal(drv_conf_list(c, "nets", &nets), 2);
    assert_string_equal(nets[0], "10.0.0.0/8");
    assert_string_equal(nets[1], "fd00::/8");
    drv_conf_free(c);
}

static void a_mistake_is_told_with_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"port=1\nprot = 2\n", "drover.conf:2: unknown option \"prot\""},
        {"port=1\n\nport=2", "drover.conf:3: port is given twice"},
        {"port", "drover.conf:1: \"port\" is not of the form key = value"},
        {"port = 70000", "drover.conf:1: port = 70000: must be a number from 1 to 65535"},
        {"port = 1x", "drover.conf:1: port = 1x: must be a number from 1 to 65535"},
        {"receive = maybe", "drover.conf:1: receive = maybe: must be on or off"},
        {"auth = kerb", "drover.conf:1: auth = kerb: must be one of kerberos|none"},
        {"auth = ", "drover.conf:1: auth = : must be one of kerberos|none"},
        {"nets = a,,b", "drover.conf:1: nets = a,,b: must be 0 to 3 items separated by commas"},
        {"nets = a,b,c,d",
         "drover.conf:1: nets = a,b,c,d: must be 0 to 3 items separated by commas"},
        {"nets = a b", "drover.conf:1: nets: a b has a space"},
        {"keep_source = 5", "drover.conf:1: keep_source = 5: must be a time from 0 to 10d, such as "
                            "500ms, 30s, 5m, 2h, 7d"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_null(parse(bad[i].text, &err));
        assert_int_equal(err.code, DRV_EINVAL);
        assert_string_equal(err.msg, bad[i].says);
    }
}

static void numbers_that_overflow_are_refused(void **state)
{
    (void)state;
    assert_null(parse("bandwidth = 9999999T", NULL));
    assert_null(parse("bandwidth = 16777217T", NULL)); // 2^64 + 2^40: would wrap round to 1T
    assert_null(parse("bandwidth = 99999999999999999999", NULL));
    assert_null(parse("bandwidth = -1", NULL));
}

static void a_file_with_a_nul_byte_is_refused(void **state)
{
    (void)state;
    assert_null(drv_conf_parse(table, "port=1\0\n", 8, "f", NULL));
}

static void a_single_value_comes_back_in_canonical_form(void **state)
{
    (void)state;
    const struct drv_option *o = drv_option_find(table, "bandwidth");
    DRV_AUTO_FREE char *v = drv_option_canonical(o, "1048576", NULL);
    DRV_AUTO_FREE char *w = drv_option_canonical(drv_option_find(table, "nets"), "a,b", NULL);
    assert_string_equal(v, "1M");
    assert_string_equal(w, "a, b");
    assert_null(drv_option_canonical(o, "1 parsec", NULL));
    assert_null(drv_option_find(table, "nope"));
}

static void reloading_keeps_what_needs_a_restart_and_names_it(void **state)
{
    (void)state;
    struct drv_conf *c = parse("port=1\nreceive=off", NULL);
    char ignored[64];
    drv_conf_reload(c, parse("port=2\nreceive=on", NULL), ignored, sizeof ignored);
    assert_int_equal(drv_conf_int(c, "port"), 1);
    assert_true(drv_conf_bool(c, "receive"));
    assert_string_equal(ignored, "port");
    drv_conf_free(c);
}

static void what_is_shown_can_be_read_again(void **state)
{
    (void)state;
    struct drv_conf *c = parse("nets=a,b\nbandwidth=3K\nkeep_source=90s\nreceive=true", NULL);
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    drv_conf_show(c, f);
    fclose(f);
    struct drv_conf *again = parse(text, NULL);
    assert_non_null(again);
    for (const struct drv_option *o = table; o->name; o++)
        assert_string_equal(drv_conf_str(c, o->name), drv_conf_str(again, o->name));
    free(text);
    drv_conf_free(again);
    drv_conf_free(c);
}

// --- files ---

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    return drv_proc_run(argv, NULL, 5000, 100, NULL, NULL);
}

static void put(const char *name, const char *text)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", dir, name);
    DRV_AUTO_FILE FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
}

static struct drv_conf *load(struct drv_err *err)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/drover.conf", dir);
    return drv_conf_load(table, path, err);
}

static void put_drop_in(const char *name, const char *text)
{
    DRV_AUTO_FREE char *folder = drv_xasprintf("%s/drover.conf.d", dir);
    DRV_AUTO_FREE char *in_dir = drv_xasprintf("drover.conf.d/%s", name);
    mkdir(folder, 0755);
    put(in_dir, text);
}

static void a_drop_in_overrides_the_file_and_a_later_one_both(void **state)
{
    (void)state;
    put("drover.conf", "port = 1\nreceive = on\n");
    put_drop_in("10-site.conf", "port = 2\nsocket = /run/site\n");
    put_drop_in("20-host.conf", "port = 3\n");
    put_drop_in("30-old.conf.dpkg-old", "port = 4\n");
    put_drop_in(".swap.conf", "port = 5\n");
    struct drv_conf *c = load(NULL);
    assert_non_null(c);
    assert_int_equal(drv_conf_int(c, "port"), 3);
    assert_string_equal(drv_conf_str(c, "socket"), "/run/site");
    assert_true(drv_conf_bool(c, "receive"));
    drv_conf_free(c);
}

static void a_mistake_in_a_drop_in_is_told_with_its_file_and_refuses_all(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    put("drover.conf", "port = 1\n");
    put_drop_in("10-site.conf", "port = 2\nport = 3\n");
    assert_null(load(&err));
    assert_non_null(strstr(err.msg, "10-site.conf:2: port is given twice"));
}

static void drop_ins_need_no_file_and_nothing_at_all_is_told(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_null(load(&err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    put_drop_in("10-site.conf", "port = 2\n");
    struct drv_conf *c = load(NULL);
    assert_non_null(c);
    assert_int_equal(drv_conf_int(c, "port"), 2);
    drv_conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(values_are_read_with_their_units),
        cmocka_unit_test(a_mistake_is_told_with_file_and_line),
        cmocka_unit_test(numbers_that_overflow_are_refused),
        cmocka_unit_test(a_file_with_a_nul_byte_is_refused),
        cmocka_unit_test(a_single_value_comes_back_in_canonical_form),
        cmocka_unit_test(reloading_keeps_what_needs_a_restart_and_names_it),
        cmocka_unit_test(what_is_shown_can_be_read_again),
        cmocka_unit_test_setup_teardown(a_drop_in_overrides_the_file_and_a_later_one_both, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(
            a_mistake_in_a_drop_in_is_told_with_its_file_and_refuses_all, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(drop_ins_need_no_file_and_nothing_at_all_is_told, make_dir,
                                        remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
