// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of GSSAPI contexts that need no domain: causes are named, nothing works too early. The
// rest is in tests/integration/wire.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <krb5.h>
#include <stdio.h>
#include <unistd.h>

#include "drover/gss.h"
#include "drover/util.h"

static char conf_path[] = "/tmp/drover-test-krb5-XXXXXX";

static int no_domain(void **state)
{
    (void)state;
    static const char conf[] = "[libdefaults]\n default_realm = NOWHERE.TEST\n"
                               " dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n";
    int fd = mkstemp(conf_path);
    if (fd < 0 || write(fd, conf, sizeof conf - 1) < 0)
        return -1;
    close(fd);
    setenv("KRB5_CONFIG", conf_path, 1);
    setenv("KRB5CCNAME", "FILE:/nonexistent/ccache", 1);
    setenv("KRB5_KTNAME", "FILE:/nonexistent/keytab", 1);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    return unlink(conf_path);
}

static void without_a_ticket_the_hint_is_kinit(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    void *token;
    size_t len;
    struct drv_gss *g = drv_gss_initiate("drover", "hv1.nowhere.test", GSS_C_NO_CREDENTIAL, &err);
    assert_non_null(g);
    assert_int_equal(drv_gss_step(g, NULL, 0, &token, &len, &err), -1);
    assert_null(token);
    assert_int_equal(err.code, DRV_EDENIED);
    assert_string_equal(err.id, "K01");
    assert_non_null(strstr(err.hint, "kinit USER"));
    assert_string_equal(err.origin, "gss");
    drv_gss_free(g);
}

static void every_known_cause_has_its_finding(void **state)
{
    (void)state;
    static const struct {
        krb5_error_code minor;
        const char *id;
    } rows[] = {
        {KRB5_FCC_NOFILE, "K01"},
        {KRB5KRB_AP_ERR_TKT_EXPIRED, "K02"},
        {KRB5_KDC_UNREACH, "K04"},
        {KRB5_REALM_UNKNOWN, "K04"},
        {KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, "K05"},
        {KRB5KRB_AP_ERR_BAD_INTEGRITY, "K06"},
        {KRB5KRB_AP_ERR_BADKEYVER, "K06"},
        {KRB5_KT_NOTFOUND, "K06"},
        {KRB5KDC_ERR_PREAUTH_FAILED, "K06"},
        {KRB5KRB_AP_ERR_SKEW, "T01"},
        {KRB5KDC_ERR_BADOPTION, ""}, // many causes: delegation/ finds out which
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(rows); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(drv_gss_error(&err, GSS_S_FAILURE, (OM_uint32)rows[i].minor, "drover@hv1"),
                         -1);
        assert_string_equal(err.id, rows[i].id);
        assert_int_equal(err.native, rows[i].minor);
        assert_memory_equal(err.msg, "drover@hv1: ", 12);
        assert_true(!rows[i].id[0] || err.hint[0]);
    }
}

static void garbage_for_a_token_is_refused(void **state)
{
    (void)state;
    static const uint8_t garbage[300] = {0x60, 0x82, 0x01, 0x20, 0x06, 0x09};
    static uint8_t huge[DRV_GSS_TOKEN_MAX + 1];
    for (size_t len = 0; len < sizeof garbage; len += 7) {
        struct drv_err err = DRV_ERR_INIT;
        void *out;
        size_t out_len;
        struct drv_gss *g = drv_gss_accept(GSS_C_NO_CREDENTIAL);
        assert_int_equal(drv_gss_step(g, garbage, len, &out, &out_len, &err), -1);
        assert_true(err.code != DRV_OK && err.msg[0]);
        free(out);
        drv_gss_free(g);
    }
    struct drv_gss *g = drv_gss_accept(GSS_C_NO_CREDENTIAL);
    struct drv_err err = DRV_ERR_INIT;
    void *out;
    size_t out_len;
    assert_int_equal(drv_gss_step(g, huge, sizeof huge, &out, &out_len, &err), -1);
    assert_non_null(strstr(err.msg, "65537"));
    drv_gss_free(g);
}

static void nothing_is_wrapped_or_derived_before_the_log_on(void **state)
{
    (void)state;
    struct drv_gss *g = drv_gss_accept(GSS_C_NO_CREDENTIAL);
    void *out;
    size_t len;
    uint8_t key[32];
    assert_int_equal(drv_gss_wrap(g, "x", 1, &out, &len, NULL), -1);
    assert_int_equal(drv_gss_unwrap(g, "x", 1, &out, &len, NULL), -1);
    assert_int_equal(drv_gss_prf(g, "label", key, NULL), -1);
    assert_null(drv_gss_peer(g));
    assert_int_equal(drv_gss_lifetime_s(g), 0);
    drv_gss_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_ticket_the_hint_is_kinit),
        cmocka_unit_test(every_known_cause_has_its_finding),
        cmocka_unit_test(garbage_for_a_token_is_refused),
        cmocka_unit_test(nothing_is_wrapped_or_derived_before_the_log_on),
    };
    return cmocka_run_group_tests(tests, no_domain, clean);
}
