// SPDX-License-Identifier: GPL-3.0-or-later
// Passwords of new accounts, and where their keytabs may go. What is in a keytab takes a KDC:
// tests/integration/kerberos/bare.sh.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "delegation_int.h"

static int make_dir(void **state)
{
    char *dir = drv_xstrdup("/tmp/drover-test-XXXXXX");
    *state = dir;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char *keys DRV_AUTO_FREE = drv_xasprintf("%s/keys", (char *)*state);
    (void)rmdir(keys);
    int rc = rmdir(*state); // fails when something was left in it
    free(*state);
    return rc;
}

static void passwords_differ_and_are_complex(void **state)
{
    (void)state;
    struct dg_password a, b;
    assert_int_equal(dg_password_new(&a, NULL), 0);
    assert_int_equal(dg_password_new(&b, NULL), 0);
    assert_int_equal(strlen(a.text), DG_PASSWORD_LEN);
    assert_string_not_equal(a.text, b.text);
    assert_non_null(strpbrk(a.text, "0123456789"));
    assert_non_null(strpbrk(a.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    dg_password_done(&a);
    for (size_t i = 0; i < sizeof(a.text); i++)
        assert_int_equal(a.text[i], 0);
}

static void ad_gets_them_in_quotes_and_utf16(void **state)
{
    (void)state;
    struct dg_password p = {.text = "aB"};
    struct dg_password_ad ad;
    struct berval v = dg_password_ad(&p, &ad);
    assert_int_equal(v.bv_len, 8);
    assert_memory_equal(v.bv_val, "\"\0a\0B\0\"\0", 8);
}

static void a_draft_leaves_nothing(void **state)
{
    char *dir DRV_AUTO_FREE = drv_xasprintf("%s/keys", (char *)*state);
    char *path DRV_AUTO_FREE = drv_xasprintf("%s/hv1.keytab", dir);
    struct dg_keytab_draft d = {0};
    struct stat st;
    assert_int_equal(dg_keytab_begin(dir, "HV1$", &d, NULL), 0);
    assert_string_equal(d.path, path);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700); // made
    assert_int_equal(access(path, F_OK), -1);
    dg_keytab_draft_done(&d);
    assert_int_equal(rmdir(dir), 0);
}

static void a_keytab_that_is_there_stays(void **state)
{
    char *path DRV_AUTO_FREE = drv_xasprintf("%s/hv1.keytab", (char *)*state);
    struct dg_keytab_draft d = {0};
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(symlink("/nonexistent", path), 0);
    assert_int_equal(dg_keytab_begin(*state, "HV1$", &d, &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
    unlink(path);
}

static void others_may_not_look_into_the_folder(void **state)
{
    struct dg_keytab_draft d = {0};
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(chmod(*state, 0750), 0);
    assert_int_equal(dg_keytab_begin(*state, "HV1$", &d, &err), -1);
    assert_int_equal(err.code, DRV_EDENIED);
    assert_null(d.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_differ_and_are_complex),
        cmocka_unit_test(ad_gets_them_in_quotes_and_utf16),
        cmocka_unit_test_setup_teardown(a_draft_leaves_nothing, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_keytab_that_is_there_stays, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(others_may_not_look_into_the_folder, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
