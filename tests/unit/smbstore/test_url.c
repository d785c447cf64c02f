// SPDX-License-Identifier: GPL-3.0-or-later
// Store URLs: what is taken, and what is refused with a hint.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drover/store.h"

static void good_urls_are_split(void **state)
{
    (void)state;
    struct ss_url u;
    assert_int_equal(ss_url_parse("smb://fs.example.lan/VM", &u, NULL), 0);
    assert_int_equal(u.kind, SS_SMB);
    assert_string_equal(u.server, "fs.example.lan");
    assert_string_equal(u.share, "VM");
    assert_string_equal(u.path, "");
    assert_int_equal(ss_url_parse("smb://fs.example.lan/VM Store$/a b/c%20/", &u, NULL), 0);
    assert_string_equal(u.share, "VM Store$");
    assert_string_equal(u.path, "a b/c%20");
    assert_int_equal(ss_url_parse("local:/srv/vm/", &u, NULL), 0);
    assert_int_equal(u.kind, SS_LOCAL);
    assert_string_equal(u.path, "/srv/vm");
}

static void bad_urls_are_refused_with_an_example(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "nfs://fs.example.lan/x",
                         "smb:",
                         "smb://",
                         "smb://fs.example.lan",
                         "smb://fs.example.lan/",
                         "smb://fs/VM",
                         "smb://10.0.0.1/VM",
                         "smb://alice@fs.example.lan/VM",
                         "smb://fs.example.lan:445/VM",
                         "smb://fs.example.lan./VM",
                         "smb://fs.example.lan/IPC$",
                         "smb://fs.example.lan/VM/../x",
                         "smb://fs.example.lan/VM//x",
                         "smb://fs.example.lan/V?M",
                         "local:",
                         "local:/",
                         "local:srv",
                         "local:/srv/../etc",
                         "local:/srv//vm"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct ss_url u;
        struct drv_err err = DRV_ERR_INIT;
        if (ss_url_parse(bad[i], &u, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_non_null(strstr(err.hint, "smb://"));
    }
}

static void overlong_parts_are_refused(void **state)
{
    (void)state;
    char url[1024] = "smb://fs.example.lan/";
    struct ss_url u;
    memset(url + strlen(url), 's', 81);
    assert_int_equal(ss_url_parse(url, &u, NULL), -1);
    DRV_COPY(url, "local:/");
    memset(url + strlen(url), 'p', 256);
    assert_int_equal(ss_url_parse(url, &u, NULL), -1);
    memset(url, 0, sizeof url);
    DRV_COPY(url, "smb://");
    memset(url + strlen(url), 'h', 300);
    assert_int_equal(ss_url_parse(url, &u, NULL), -1);
}

static void the_same_place_is_known_by_another_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"smb://fs.x.lan/VM", "smb://FS.x.lan/vm/", true},
        {"smb://fs.x.lan/VM/a", "smb://fs.x.lan/VM/A", true},
        {"smb://fs.x.lan/VM", "smb://fs.x.lan/VM/a", false},
        {"smb://fs.x.lan/VM", "smb://fs2.x.lan/VM", false},
        {"local:/srv/vm", "local:/srv/vm/", true},
        {"local:/srv/vm", "local:/srv/VM", false},
        {"local:/VM", "smb://fs.x.lan/VM", false},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct ss_url a, b;
        assert_int_equal(ss_url_parse(cases[i].a, &a, NULL), 0);
        assert_int_equal(ss_url_parse(cases[i].b, &b, NULL), 0);
        assert_int_equal(ss_url_same(&a, &b), cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_place_is_known_by_another_spelling),
        cmocka_unit_test(good_urls_are_split),
        cmocka_unit_test(bad_urls_are_refused_with_an_example),
        cmocka_unit_test(overlong_parts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
