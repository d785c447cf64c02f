// SPDX-License-Identifier: GPL-3.0-or-later
// The host's own credential: from its keytab to a TGT in a file, and to a GSS credential that
// accepts, initiates, and turns a user's ticket into one for another service.
#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <string.h>
#include <unistd.h>

#include "delegation_int.h"
#include "drover/file.h"
#include "drover/gss.h"

enum { KEYTAB_ENTRIES_MAX = 1000, MIN_LIFE_S = 3600 };

static int open_keytab(struct dg_krb5 *k5, const char *keytab, struct drv_err *err)
{
    if (!drv_may(keytab, R_OK)) {
        drv_err_os(err, errno, "keytab %s", keytab);
        drv_err_hint(err,
                     "export the host's key: samba-tool domain exportkeytab %s "
                     "--principal='HOST$', owner root, mode 0600",
                     keytab);
        return drv_err_id(err, "K06");
    }
    char *name DRV_AUTO_FREE = drv_xasprintf("FILE:%s", keytab);
    krb5_error_code rc = krb5_kt_resolve(k5->k, name, &k5->kt);
    return rc ? dg_krb5_error(err, k5->k, rc, keytab) : 0;
}

// A computer's account is NAME$; HOST/… and the like are service names, which cannot log in.
static int account_rank(krb5_const_principal p)
{
    if (!p || p->length != 1 || p->data[0].length == 0)
        return 0;
    return p->data[0].data[p->data[0].length - 1] == '$' ? 2 : 1;
}

// Set k5->princ to the best entry of the open keytab.
static int find_account(struct dg_krb5 *k5, const char *keytab, struct drv_err *err)
{
    krb5_kt_cursor cursor;
    krb5_error_code rc = krb5_kt_start_seq_get(k5->k, k5->kt, &cursor);
    if (rc) {
        dg_krb5_error(err, k5->k, rc, keytab);
        return drv_err_id(err, "K06");
    }
    int best = 0;
    krb5_keytab_entry entry;
    for (int n = 0; n < KEYTAB_ENTRIES_MAX && best < 2; n++) {
        rc = krb5_kt_next_entry(k5->k, k5->kt, &entry, &cursor);
        if (rc)
            break;
        int rank = account_rank(entry.principal);
        if (rank > best) {
            krb5_free_principal(k5->k, k5->princ);
            k5->princ = entry.principal;
            entry.principal = NULL;
            best = rank;
        }
        (void)krb5_free_keytab_entry_contents(k5->k, &entry);
    }
    (void)krb5_kt_end_seq_get(k5->k, k5->kt, &cursor);
    if (best > 0)
        return 0;
    drv_err(err, DRV_EINVAL, "keytab %s holds no computer account (NAME$), only service names",
            keytab);
    drv_err_hint(err,
                 "export the account itself: samba-tool domain exportkeytab %s --principal='HOST$'",
                 keytab);
    return drv_err_id(err, "K06");
}

int dg_keytab_principal(const char *keytab, char ret[DG_NAME_LEN], struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    if (dg_krb5_init(&k5, err) < 0 || open_keytab(&k5, keytab, err) < 0 ||
        find_account(&k5, keytab, err) < 0)
        return -1;
    dg_krb5_name(k5.k, k5.princ, ret);
    return 0;
}

static bool is_aes(krb5_enctype e)
{
    return e == ENCTYPE_AES256_CTS_HMAC_SHA1_96 || e == ENCTYPE_AES128_CTS_HMAC_SHA1_96 ||
           e == ENCTYPE_AES256_CTS_HMAC_SHA384_192 || e == ENCTYPE_AES128_CTS_HMAC_SHA256_128;
}

static void note_key(struct dg_keys *keys, const krb5_keytab_entry *entry)
{
    if (entry->vno < keys->kvno)
        return;
    if (entry->vno > keys->kvno)
        *keys = (struct dg_keys){.kvno = entry->vno};
    if (is_aes(entry->key.enctype))
        keys->aes = true;
    else
        keys->weak = true;
}

int dg_keytab_keys(const char *keytab, const char *principal, struct dg_keys *ret,
                   struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    if (dg_krb5_init(&k5, err) < 0 || open_keytab(&k5, keytab, err) < 0)
        return -1;
    krb5_error_code rc = krb5_parse_name(k5.k, principal, &k5.princ);
    if (!rc)
        rc = krb5_kt_start_seq_get(k5.k, k5.kt, &cursor);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, keytab);
    *ret = (struct dg_keys){0};
    for (int n = 0; n < KEYTAB_ENTRIES_MAX; n++) {
        if (krb5_kt_next_entry(k5.k, k5.kt, &entry, &cursor) != 0)
            break;
        if (krb5_principal_compare(k5.k, entry.principal, k5.princ))
            note_key(ret, &entry);
        (void)krb5_free_keytab_entry_contents(k5.k, &entry);
    }
    (void)krb5_kt_end_seq_get(k5.k, k5.kt, &cursor);
    if (ret->aes || ret->weak)
        return 0;
    drv_err(err, DRV_ENOTFOUND, "keytab %s has no key of %s", keytab, principal);
    return drv_err_id(err, "K06");
}

// AS exchange with the keytab's key.
static krb5_error_code login(struct dg_krb5 *k5, krb5_creds *ret)
{
    krb5_get_init_creds_opt *opt = NULL;
    krb5_error_code rc = krb5_get_init_creds_opt_alloc(k5->k, &opt);
    if (rc)
        return rc;
    krb5_get_init_creds_opt_set_forwardable(opt, 0); // nobody is ever given the host's TGT
    krb5_get_init_creds_opt_set_proxiable(opt, 0);
    rc = krb5_get_init_creds_keytab(k5->k, ret, k5->princ, k5->kt, 0, NULL, opt);
    krb5_get_init_creds_opt_free(k5->k, opt);
    return rc;
}

int dg_host_ccache(const char *keytab, const char *principal, const char *ccache_path,
                   struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    if (dg_krb5_init(&k5, err) < 0 || open_keytab(&k5, keytab, err) < 0)
        return -1;
    krb5_error_code rc = 0;
    if (!principal && find_account(&k5, keytab, err) < 0)
        return -1;
    if (principal && (rc = krb5_parse_name(k5.k, principal, &k5.princ)) != 0)
        return dg_krb5_error(err, k5.k, rc, principal);

    char name[DG_NAME_LEN];
    dg_krb5_name(k5.k, k5.princ, name);
    krb5_creds cred = {0};
    rc = login(&k5, &cred);
    if (rc) {
        dg_krb5_error(err, k5.k, rc, keytab);
        return drv_err_prefix(err, "ticket of %s", name);
    }
    int result = dg_ccache_write(k5.k, ccache_path, k5.princ, &cred, err);
    krb5_free_cred_contents(k5.k, &cred);
    return result;
}

struct life {
    bool found;
    krb5_timestamp start, end;
};

// krb5_timestamp is 32 bits, read as unsigned since MIT krb5 1.16 (good until 2106).
static int64_t seconds(krb5_timestamp from, krb5_timestamp to)
{
    return (int64_t)(uint32_t)to - (int64_t)(uint32_t)from;
}

// The TGT decides; else the ticket that ends first.
static int note_life(krb5_context k, const krb5_creds *cred, void *arg)
{
    (void)k;
    struct life *life = arg;
    krb5_timestamp start = cred->times.starttime ? cred->times.starttime : cred->times.authtime;
    bool tgt = dg_is_tgt(cred);
    if (tgt || !life->found || seconds(cred->times.endtime, life->end) > 0)
        *life = (struct life){.found = true, .start = start, .end = cred->times.endtime};
    return tgt;
}

// Seconds left and seconds given; both 0 when it has ended.
static int ccache_life(const char *path, int64_t *ret_left_s, int64_t *ret_given_s,
                       struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    if (!drv_may(path, R_OK))
        return drv_err_os(err, errno, "credential cache %s", path);
    if (dg_krb5_init(&k5, err) < 0)
        return -1;
    char *name DRV_AUTO_FREE = drv_xasprintf("FILE:%s", path);
    krb5_error_code rc = krb5_cc_resolve(k5.k, name, &k5.cc);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, path);
    struct life life = {0};
    int stopped = 0;
    if (dg_ccache_each(k5.k, k5.cc, note_life, &life, &stopped, err) < 0)
        return drv_err_prefix(err, "%s", path);
    if (!life.found)
        return drv_err(err, DRV_ENOTFOUND, "credential cache %s holds no ticket", path);
    krb5_timestamp now = 0;
    rc = krb5_timeofday(k5.k, &now);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, path);
    int64_t left = seconds(now, life.end);
    *ret_left_s = left > 0 ? left : 0;
    *ret_given_s = left > 0 ? seconds(life.start, life.end) : 0;
    return 0;
}

int dg_ccache_lifetime_s(const char *ccache_path, int64_t *ret_s, struct drv_err *err)
{
    int64_t given_s = 0;
    return ccache_life(ccache_path, ret_s, &given_s, err);
}

// The first one counts: kinit and libkrb5 keep the realm's own there.
static int note_own(krb5_context k, const krb5_creds *cred, void *arg)
{
    struct dg_ticket *t = arg;
    krb5_timestamp now = 0;
    if (!dg_is_tgt(cred) || krb5_timeofday(k, &now) != 0)
        return 0;
    t->left_s = seconds(now, cred->times.endtime);
    t->forwardable = (cred->ticket_flags & TKT_FLG_FORWARDABLE) != 0;
    return 1;
}

int dg_own_ticket(struct dg_ticket *ret, struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    int found = 0;
    *ret = (struct dg_ticket){0};
    if (dg_krb5_init(&k5, err) < 0)
        return -1;
    krb5_error_code rc = krb5_cc_default(k5.k, &k5.cc);
    if (!rc)
        rc = krb5_cc_get_principal(k5.k, k5.cc, &k5.princ);
    if (!rc) {
        dg_krb5_name(k5.k, k5.princ, ret->principal);
        if (dg_ccache_each(k5.k, k5.cc, note_own, ret, &found, err) < 0)
            return -1;
    }
    if (!found) {
        drv_err(err, DRV_ENOTFOUND, "you have no Kerberos ticket");
        drv_err_hint(err, "kinit USER");
        return drv_err_id(err, "K01");
    }
    if (ret->left_s > 0)
        return 0;
    drv_err(err, DRV_EDENIED, "the ticket of %s has ended", ret->principal);
    drv_err_hint(err, "kinit %.*s", (int)strcspn(ret->principal, "@"), ret->principal);
    return drv_err_id(err, "K02");
}

int dg_host_ccache_fresh(const char *keytab, const char *ccache_path, int64_t min_life_s,
                         struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    int64_t left_s = 0, given_s = 0;
    (void)ccache_life(ccache_path, &left_s, &given_s, NULL); // left_s stays 0 without a cache
    int64_t want_s = min_life_s;
    if (want_s < 0)
        want_s = given_s / 2 < MIN_LIFE_S ? given_s / 2 : MIN_LIFE_S;
    if ((left_s > 0 && left_s >= want_s) || dg_host_ccache(keytab, NULL, ccache_path, &why) == 0)
        return 0;
    if (left_s > 0 && why.code == DRV_EUNREACHABLE)
        return 0;
    if (err)
        *err = why;
    return -1;
}

int dg_host_cred(const char *keytab, const char *ccache_path, int64_t min_life_s,
                 gss_cred_id_t *ret, struct drv_err *err)
{
    if (dg_host_ccache_fresh(keytab, ccache_path, min_life_s, err) < 0)
        return -1;

    char *kt DRV_AUTO_FREE = drv_xasprintf("FILE:%s", keytab);
    char *cc DRV_AUTO_FREE = drv_xasprintf("FILE:%s", ccache_path);
    gss_key_value_element_desc elements[] = {{"keytab", kt}, {"ccache", cc}};
    gss_key_value_set_desc store = {.count = DRV_ARRAY_LEN(elements), .elements = elements};
    gss_OID_set_desc mechs = {.count = 1, .elements = (gss_OID)gss_mech_krb5};
    OM_uint32 minor = 0;
    // Without a name: it initiates as the cache's owner and accepts with any key of the keytab.
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs,
                                            GSS_C_BOTH, &store, ret, NULL, NULL);
    return GSS_ERROR(major) ? drv_gss_error(err, major, minor, "credential of this host") : 0;
}

void dg_cred_free(gss_cred_id_t *cred)
{
    OM_uint32 minor = 0;
    if (cred && *cred != GSS_C_NO_CREDENTIAL)
        (void)gss_release_cred(&minor, cred);
}
