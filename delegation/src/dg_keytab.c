// SPDX-License-Identifier: GPL-3.0-or-later
// A new password for a computer account, and the keytab of its keys. Each key is made here from the
// password, with the salt that the KDC tells (RFC 4120 5.2.7.5), as the KDC makes its own.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delegation_int.h"

enum { REPLICATION_S = 30 }; // in which the KDC that we ask may not know a new account yet

// ---- passwords ----

int dg_password_new(struct dg_password *ret, struct drv_err *err)
{
    // 64 letters: a random byte gives one, without a bias.
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const char kinds[] = "Aa0-"; // what policies demand, should chance not give it
    uint8_t random[DG_PASSWORD_LEN - sizeof(kinds) + 1];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return drv_err_os(err, errno, "random numbers");
    for (size_t i = 0; i < sizeof(random); i++)
        ret->text[i] = letters[random[i] % 64];
    memcpy(ret->text + sizeof(random), kinds, sizeof(kinds));
    explicit_bzero(random, sizeof(random));
    return 0;
}

void dg_password_done(struct dg_password *p)
{
    explicit_bzero(p, sizeof(*p));
}

// MS-ADTS 3.1.1.3.1.5.1: in quotation marks, UTF-16LE.
struct berval dg_password_ad(const struct dg_password *p, struct dg_password_ad *ret)
{
    size_t len = 0;
    ret->bytes[len++] = '"';
    ret->bytes[len++] = '\0';
    for (const char *c = p->text; *c; c++) {
        ret->bytes[len++] = *c;
        ret->bytes[len++] = '\0';
    }
    ret->bytes[len++] = '"';
    ret->bytes[len++] = '\0';
    return (struct berval){.bv_len = len, .bv_val = ret->bytes};
}

void dg_password_ad_done(struct dg_password_ad *p)
{
    explicit_bzero(p, sizeof(*p));
}

// ---- the file ----

static int need_private(const char *dir, struct drv_err *err)
{
    struct stat st;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return drv_err_os(err, errno, "cannot make %s", dir);
    if (stat(dir, &st) < 0)
        return drv_err_os(err, errno, "%s", dir);
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IRWXG | S_IRWXO)))
        return 0;
    drv_err(err, DRV_EDENIED, "%s: keytabs are put into a folder that is yours alone", dir);
    return drv_err_hint(err,
                        "name one that is not there yet, or that you alone may enter (mode 0700)");
}

char *dg_keytab_path(const char *dir, const char *host)
{
    char *brief DRV_AUTO_FREE = dg_short_name(host);
    for (char *c = brief; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return drv_xasprintf("%s/%s.keytab", dir, brief);
}

int dg_keytab_begin(const char *dir, const char *account, struct dg_keytab_draft *ret,
                    struct drv_err *err)
{
    struct stat st;
    if (need_private(dir, err) < 0)
        return -1;
    struct dg_keytab_draft d DRV_CLEANUP(dg_keytab_draft_done) = {.path =
                                                                      dg_keytab_path(dir, account)};
    if (lstat(d.path, &st) == 0) {
        drv_err(err, DRV_EEXIST, "there is a %s already", d.path);
        return drv_err_hint(err, "remove it if it is of no use, or name another folder");
    }
    char *folder = drv_xasprintf("%s/.new-XXXXXX", dir);
    if (!mkdtemp(folder)) {
        drv_err_os(err, errno, "cannot write in %s", dir);
        free(folder);
        return -1;
    }
    d.folder = folder;
    d.temp = drv_xasprintf("%s/keytab", folder);
    *ret = d;
    d = (struct dg_keytab_draft){0};
    return 0;
}

void dg_keytab_draft_done(struct dg_keytab_draft *d)
{
    if (d->temp)
        (void)unlink(d->temp);
    if (d->folder)
        (void)rmdir(d->folder);
    free(d->path);
    free(d->folder);
    free(d->temp);
    *d = (struct dg_keytab_draft){0};
}

// On the disk, and then at its place.
static int publish(const struct dg_keytab_draft *d, struct drv_err *err)
{
    int fd DRV_AUTO_CLOSE = open(d->temp, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0 ||
        renameat2(AT_FDCWD, d->temp, AT_FDCWD, d->path, RENAME_NOREPLACE) < 0)
        return drv_err_os(err, errno, "%s", d->path);
    return 0;
}

// ---- keys ----

// How a KDC makes a key of this kind from the account's password.
struct recipe {
    krb5_data salt, params;
};

static void recipe_done(struct recipe *r)
{
    // Both were allocated by libkrb5; its function for it wants a context and does not use it.
    krb5_free_data_contents(NULL, &r->salt);
    krb5_free_data_contents(NULL, &r->params);
}

static krb5_error_code ask_recipe(struct dg_krb5 *k5, krb5_get_init_creds_opt *opt,
                                  krb5_enctype kind, struct recipe *ret)
{
    krb5_enctype got = 0;
    krb5_error_code rc;
    krb5_get_init_creds_opt_set_etype_list(opt, &kind, 1);
    for (int tries = 0; tries < REPLICATION_S; tries++) {
        rc = krb5_get_etype_info(k5->k, k5->princ, opt, &got, &ret->salt, &ret->params);
        if (rc != KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN)
            break;
        drv_sleep_ms(1000);
    }
    return !rc && got != kind ? KRB5KDC_ERR_ETYPE_NOSUPP : rc;
}

static krb5_error_code add_key(struct dg_krb5 *k5, krb5_get_init_creds_opt *opt, krb5_enctype kind,
                               const struct dg_password *password, unsigned kvno)
{
    struct recipe r DRV_CLEANUP(recipe_done) = {.salt = {0}};
    krb5_data text = {.length = (unsigned)strlen(password->text),
                      .data = (char *)(uintptr_t)password->text};
    krb5_keytab_entry entry = {.principal = k5->princ, .vno = kvno};
    krb5_error_code rc = ask_recipe(k5, opt, kind, &r);
    if (!rc)
        rc = krb5_c_string_to_key_with_params(k5->k, kind, &text, &r.salt,
                                              r.params.length ? &r.params : NULL, &entry.key);
    if (!rc)
        rc = krb5_kt_add_entry(k5->k, k5->kt, &entry);
    krb5_free_keyblock_contents(k5->k, &entry.key); // wipes it
    return rc;
}

static krb5_error_code add_keys(struct dg_krb5 *k5, const char *file, const char *principal,
                                const struct dg_password *password, unsigned kvno)
{
    static const krb5_enctype kinds[] = {ENCTYPE_AES256_CTS_HMAC_SHA1_96,
                                         ENCTYPE_AES128_CTS_HMAC_SHA1_96};
    char *name DRV_AUTO_FREE = drv_xasprintf("WRFILE:%s", file);
    krb5_get_init_creds_opt *opt = NULL;
    krb5_error_code rc = krb5_parse_name(k5->k, principal, &k5->princ);
    if (!rc)
        rc = krb5_kt_resolve(k5->k, name, &k5->kt);
    if (!rc)
        rc = krb5_get_init_creds_opt_alloc(k5->k, &opt);
    for (unsigned i = 0; !rc && i < DRV_ARRAY_LEN(kinds); i++)
        rc = add_key(k5, opt, kinds[i], password, kvno);
    krb5_get_init_creds_opt_free(k5->k, opt);
    return rc;
}

int dg_keytab_finish(struct dg_keytab_draft *d, const char *principal,
                     const struct dg_password *password, unsigned kvno, struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    if (dg_krb5_init(&k5, err) < 0)
        return -1;
    krb5_error_code rc = add_keys(&k5, d->temp, principal, password, kvno);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, d->path);
    return publish(d, err);
}
