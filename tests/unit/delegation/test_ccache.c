// SPDX-License-Identifier: GPL-3.0-or-later
// Keytabs and credential cache files, without a KDC.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "delegation_int.h"

struct env {
    char dir[64];
    struct dg_krb5 k5;
};

static char *in(const struct env *e, const char *name)
{
    return drv_xasprintf("%s/%s", e->dir, name);
}

static int setup(void **state)
{
    struct env *e = drv_xcalloc(1, sizeof(*e));
    DRV_COPY(e->dir, "/tmp/drover-ccache-XXXXXX");
    assert_non_null(mkdtemp(e->dir));
    char *conf DRV_AUTO_FREE = in(e, "krb5.conf");
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fputs("[libdefaults]\n default_realm = X.TEST\n dns_lookup_kdc = false\n", f);
    fclose(f);
    setenv("KRB5_CONFIG", conf, 1);
    assert_int_equal(dg_krb5_init(&e->k5, NULL), 0);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct env *e = *state;
    static const char *const names[] = {"krb5.conf", "keytab", "cc", "empty"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(names); i++) {
        char *path DRV_AUTO_FREE = in(e, names[i]);
        (void)unlink(path);
    }
    int left = rmdir(e->dir); // fails when a temporary file was left behind
    dg_krb5_done(&e->k5);
    free(e);
    return left;
}

static void add_key(struct env *e, const char *path, const char *principal)
{
    krb5_keytab_entry entry = {.vno = 1};
    krb5_octet bytes[32] = {1};
    krb5_keytab kt;
    char *name DRV_AUTO_FREE = drv_xasprintf("WRFILE:%s", path);
    entry.key = (krb5_keyblock){
        .enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96, .length = 32, .contents = bytes};
    assert_int_equal(krb5_parse_name(e->k5.k, principal, &entry.principal), 0);
    assert_int_equal(krb5_kt_resolve(e->k5.k, name, &kt), 0);
    assert_int_equal(krb5_kt_add_entry(e->k5.k, kt, &entry), 0);
    krb5_kt_close(e->k5.k, kt);
    krb5_free_principal(e->k5.k, entry.principal);
}

static void the_computer_account_is_found_among_service_names(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "keytab");
    char name[DG_NAME_LEN];
    add_key(e, path, "host/hv1.x.test@X.TEST");
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(dg_keytab_principal(path, name, &err), -1);
    assert_string_equal(err.id, "K06");
    add_key(e, path, "svc-drover@X.TEST");
    assert_int_equal(dg_keytab_principal(path, name, NULL), 0);
    assert_string_equal(name, "svc-drover@X.TEST");
    add_key(e, path, "HV1$@X.TEST");
    assert_int_equal(dg_keytab_principal(path, name, NULL), 0);
    assert_string_equal(name, "HV1$@X.TEST");
}

static void a_missing_or_broken_keytab_says_so(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "keytab"), *cc DRV_AUTO_FREE = in(e, "cc");
    char name[DG_NAME_LEN];
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(dg_keytab_principal(path, name, &err), -1);
    assert_string_equal(err.id, "K06");
    assert_non_null(strstr(err.msg, path));
    assert_non_null(strstr(err.hint, "exportkeytab"));
    FILE *f = fopen(path, "w");
    fputs("this is no keytab at all", f);
    fclose(f);
    drv_err_clear(&err);
    assert_int_equal(dg_host_ccache(path, NULL, cc, &err), -1);
    assert_string_equal(err.id, "K06");
    assert_int_equal(access(cc, F_OK), -1);
}

// Store a ticket for server that lives from now-given+left to now+left; data is meaningless.
static int write_ticket(struct env *e, const char *server, int left_s, struct drv_err *err)
{
    char *path DRV_AUTO_FREE = in(e, "cc");
    krb5_octet bytes[32] = {2};
    char ticket[] = "ticket";
    krb5_creds cred = {0};
    assert_int_equal(krb5_parse_name(e->k5.k, "HV1$@X.TEST", &cred.client), 0);
    assert_int_equal(krb5_parse_name(e->k5.k, server, &cred.server), 0);
    cred.keyblock = (krb5_keyblock){
        .enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96, .length = 32, .contents = bytes};
    cred.times.authtime = cred.times.starttime = (krb5_timestamp)(time(NULL) - 100);
    cred.times.endtime = (krb5_timestamp)(time(NULL) + left_s);
    cred.ticket = (krb5_data){.length = sizeof(ticket), .data = ticket};
    int rc = dg_ccache_write(e->k5.k, path, cred.client, &cred, err);
    krb5_free_principal(e->k5.k, cred.client);
    krb5_free_principal(e->k5.k, cred.server);
    return rc;
}

static void a_cache_is_for_its_owner_alone_and_leaves_no_temporary_file(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    mode_t old = umask(0);
    for (int i = 0; i < 2; i++) { // the second replaces the first
        struct stat st;
        assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    umask(old);
    // teardown fails if anything else lies in the folder
}

static void a_reader_of_the_old_cache_is_not_disturbed(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
    struct stat before, after;
    FILE *reader = fopen(path, "r");
    assert_int_equal(fstat(fileno(reader), &before), 0);
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 2000, NULL), 0);
    assert_int_equal(fstat(fileno(reader), &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    fclose(reader);
}

static void a_cache_that_cannot_be_written_is_an_error(void **state)
{
    struct env *e = *state;
    struct drv_err err = DRV_ERR_INIT;
    char real[sizeof(e->dir)];
    DRV_COPY(real, e->dir);
    DRV_COPY(e->dir, "/nonexistent");
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, &err), -1);
    DRV_COPY(e->dir, real);
    assert_int_equal(err.code, DRV_ENOTFOUND);

    char *path DRV_AUTO_FREE = in(e, "cc"); // a folder in its place: the rename fails
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), -1);
    assert_int_equal(rmdir(path), 0); // and teardown finds no temporary file
}

static void the_lifetime_is_what_is_left_of_the_ticket(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    int64_t s = -1;
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
    assert_int_equal(dg_ccache_lifetime_s(path, &s, NULL), 0);
    assert_in_range(s, 990, 1000);
    assert_int_equal(write_ticket(e, "cifs/fs.x.test@X.TEST", 500, NULL), 0);
    assert_int_equal(dg_ccache_lifetime_s(path, &s, NULL), 0);
    assert_in_range(s, 490, 500);
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", -10, NULL), 0);
    assert_int_equal(dg_ccache_lifetime_s(path, &s, NULL), 0);
    assert_int_equal(s, 0);
}

static void no_cache_and_garbage_have_no_lifetime(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc"), *empty DRV_AUTO_FREE = in(e, "empty");
    int64_t s = -1;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(dg_ccache_lifetime_s(path, &s, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    FILE *f = fopen(empty, "w");
    fputs("garbage", f);
    fclose(f);
    assert_int_equal(dg_ccache_lifetime_s(empty, &s, NULL), -1);
}

static void no_credential_is_no_delegation(void **state)
{
    (void)state;
    char by[DG_NAME_LEN];
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(dg_impersonator(GSS_C_NO_CREDENTIAL, by, &err), -1);
    assert_string_equal(err.id, "D14");
    drv_err_clear(&err);
    assert_int_equal(dg_probe(NULL, GSS_C_NO_CREDENTIAL, "drover", "hv2.x.test", &err), -1);
    assert_string_equal(err.id, "D14");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static void a_failed_logon_is_explained_by_the_clock_that_the_cache_remembers(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EDENIED, "NT_STATUS_LOGON_FAILURE");
    krb5_set_real_time(e->k5.k, (krb5_timestamp)(time(NULL) - 600), 0); // the KDC's time
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
    dg_explain_logon(path, "cifs", "fs.x.test", &err);
    assert_string_equal(err.id, "T01");
    assert_non_null(strstr(err.msg, "s before that of the domain controller"));
}

static void a_failed_logon_is_explained_by_the_ticket(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EDENIED, "NT_STATUS_LOGON_FAILURE");
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", -10, NULL), 0);
    dg_explain_logon(path, "cifs", "fs.x.test", &err);
    assert_string_equal(err.id, "K02");
}

static void a_failed_logon_without_evidence_stays_as_it_is(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc");
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EDENIED, "not on this share");
    assert_int_equal(write_ticket(e, "cifs/fs.x.test@X.TEST", 1000, NULL), 0);
    dg_explain_logon(path, "cifs", "fs.x.test", &err);
    assert_string_equal(err.id, "");
    assert_string_equal(err.msg, "not on this share");
}

static void a_ticket_that_lives_is_kept_while_no_kdc_answers(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc"), *keytab DRV_AUTO_FREE = in(e, "keytab");
    struct drv_err err = DRV_ERR_INIT;
    add_key(e, keytab, "HV1$@X.TEST");
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
    assert_int_equal(dg_host_ccache_fresh(keytab, path, 5000, &err), 0);
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", -10, NULL), 0);
    assert_int_equal(dg_host_ccache_fresh(keytab, path, 5000, &err), -1);
    assert_string_equal(err.id, "K04");
}

static void a_ticket_that_lives_does_not_hide_a_broken_keytab(void **state)
{
    struct env *e = *state;
    char *path DRV_AUTO_FREE = in(e, "cc"), *keytab DRV_AUTO_FREE = in(e, "keytab");
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(write_ticket(e, "krbtgt/X.TEST@X.TEST", 1000, NULL), 0);
    assert_int_equal(dg_host_ccache_fresh(keytab, path, 500, &err), 0);
    assert_int_equal(dg_host_ccache_fresh(keytab, path, 5000, &err), -1);
    assert_string_equal(err.id, "K06");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        // First, as these start GSSAPI: MIT 1.20 forgets what it noted of errors told before that.
        TEST(a_failed_logon_is_explained_by_the_clock_that_the_cache_remembers),
        TEST(a_failed_logon_is_explained_by_the_ticket),
        TEST(a_failed_logon_without_evidence_stays_as_it_is),
        TEST(the_computer_account_is_found_among_service_names),
        TEST(a_missing_or_broken_keytab_says_so),
        TEST(a_cache_is_for_its_owner_alone_and_leaves_no_temporary_file),
        TEST(a_reader_of_the_old_cache_is_not_disturbed),
        TEST(a_cache_that_cannot_be_written_is_an_error),
        TEST(the_lifetime_is_what_is_left_of_the_ticket),
        TEST(no_cache_and_garbage_have_no_lifetime),
        TEST(no_credential_is_no_delegation),
        TEST(a_ticket_that_lives_is_kept_while_no_kdc_answers),
        TEST(a_ticket_that_lives_does_not_hide_a_broken_keytab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
