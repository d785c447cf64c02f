// SPDX-License-Identifier: GPL-3.0-or-later
// libkrb5 for the rest of delegation/: a context per call, errors with finding ids, reading and
// writing credential caches. Knows nothing about delegation.
#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delegation_int.h"
#include "drover/gss.h"

enum { TICKETS_MAX = 1000 }; // in one cache; an honest one holds a handful

int dg_krb5_error(struct drv_err *err, krb5_context k, krb5_error_code rc, const char *what)
{
    // drv_gss_error knows which codes have a finding; its text would lack libkrb5's details.
    struct drv_err known = DRV_ERR_INIT;
    drv_gss_error(&known, GSS_S_FAILURE, (OM_uint32)rc, what);
    if (k) {
        const char *text = krb5_get_error_message(k, rc);
        drv_err(err, known.code, "%s: %s", what, text);
        krb5_free_error_message(k, text);
    } else {
        drv_err(err, known.code, "%s: %s", what, error_message(rc));
    }
    if (known.id[0])
        drv_err_id(err, known.id);
    if (known.hint[0])
        drv_err_hint(err, "%s", known.hint);
    return drv_err_native(err, "krb5", (long)rc);
}

int dg_krb5_init(struct dg_krb5 *k5, struct drv_err *err)
{
    krb5_error_code rc = krb5_init_context(&k5->k);
    return rc ? dg_krb5_error(err, NULL, rc, "krb5.conf") : 0;
}

void dg_krb5_done(struct dg_krb5 *k5)
{
    if (!k5->k)
        return;
    if (k5->cc && strcmp(krb5_cc_get_type(k5->k, k5->cc), "MEMORY") == 0)
        (void)krb5_cc_destroy(k5->k, k5->cc);
    else if (k5->cc)
        (void)krb5_cc_close(k5->k, k5->cc);
    if (k5->kt)
        (void)krb5_kt_close(k5->k, k5->kt);
    krb5_free_principal(k5->k, k5->princ);
    krb5_free_context(k5->k);
    memset(k5, 0, sizeof(*k5));
}

void dg_krb5_name(krb5_context k, krb5_const_principal p, char ret[DG_NAME_LEN])
{
    char *text = NULL;
    if (!p || krb5_unparse_name(k, p, &text) != 0 || drv_copy(ret, DG_NAME_LEN, text) < 0)
        drv_copy(ret, DG_NAME_LEN, "?");
    if (text)
        krb5_free_unparsed_name(k, text);
}

static krb5_error_code fill_ccache(krb5_context k, krb5_ccache cc, krb5_principal owner,
                                   krb5_creds *cred)
{
    krb5_error_code rc = krb5_cc_initialize(k, cc, owner);
    return rc ? rc : krb5_cc_store_cred(k, cc, cred);
}

int dg_ccache_write(krb5_context k, const char *path, krb5_principal owner, krb5_creds *cred,
                    struct drv_err *err)
{
    char *temp DRV_AUTO_FREE = drv_xasprintf("%s.XXXXXX", path);
    int fd DRV_AUTO_CLOSE =
        mkstemp(temp); // mode 0600; libkrb5 replaces it by one of its own, 0600 too
    if (fd < 0)
        return drv_err_os(err, errno, "%s", temp);

    char *name DRV_AUTO_FREE = drv_xasprintf("FILE:%s", temp);
    krb5_ccache cc = NULL;
    krb5_error_code rc = krb5_cc_resolve(k, name, &cc);
    if (!rc)
        rc = fill_ccache(k, cc, owner, cred);
    if (rc)
        dg_krb5_error(err, k, rc, path);
    if (cc)
        (void)krb5_cc_close(k, cc);
    if (!rc && rename(temp, path) == 0)
        return 0;
    if (!rc)
        drv_err_os(err, errno, "%s", path);
    (void)unlink(temp);
    return -1;
}

int dg_ccache_each(krb5_context k, krb5_ccache cc, dg_ticket_fn *fn, void *arg, int *ret_value,
                   struct drv_err *err)
{
    krb5_cc_cursor cursor;
    krb5_error_code rc = krb5_cc_start_seq_get(k, cc, &cursor);
    if (rc)
        return dg_krb5_error(err, k, rc, "credential cache");
    int value = 0;
    krb5_creds cred;
    for (int n = 0; n < TICKETS_MAX && value == 0; n++) {
        rc = krb5_cc_next_cred(k, cc, &cursor, &cred);
        if (rc)
            break;
        if (!krb5_is_config_principal(k, cred.server))
            value = fn(k, &cred, arg);
        krb5_free_cred_contents(k, &cred);
    }
    (void)krb5_cc_end_seq_get(k, cc, &cursor);
    if (rc && rc != KRB5_CC_END)
        return dg_krb5_error(err, k, rc, "credential cache");
    *ret_value = value;
    return 0;
}

bool dg_is_tgt(const krb5_creds *cred)
{
    return cred->server->length == 2 && cred->server->data[0].length == strlen("krbtgt") &&
           memcmp(cred->server->data[0].data, "krbtgt", strlen("krbtgt")) == 0;
}

struct export
{
    const char *path;
    krb5_principal owner;
    struct drv_err *err;
};

// 1: written; -1: not.
static int export_tgt(krb5_context k, const krb5_creds *cred, void *arg)
{
    const struct export *e = arg;
    krb5_creds copy = *cred; // libkrb5's functions want no const
    if (!dg_is_tgt(cred) || !krb5_realm_compare(k, cred->server, e->owner))
        return 0;
    return dg_ccache_write(k, e->path, e->owner, &copy, e->err) < 0 ? -1 : 1;
}

int dg_ccache_export(const char *path, struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    int written = 0;
    if (dg_krb5_init(&k5, err) < 0)
        return -1;
    krb5_error_code rc = krb5_cc_default(k5.k, &k5.cc);
    if (!rc)
        rc = krb5_cc_get_principal(k5.k, k5.cc, &k5.princ);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, "credential cache");
    struct export e = {.path = path, .owner = k5.princ, .err = err};
    if (dg_ccache_each(k5.k, k5.cc, export_tgt, &e, &written, err) < 0 || written < 0)
        return -1;
    return written ? 0 : dg_krb5_error(err, k5.k, KRB5_CC_NOTFOUND, "a ticket of a ticket server");
}

int dg_ccache_of_cred(struct dg_krb5 *k5, gss_cred_id_t cred, struct drv_err *err)
{
    char uuid[DRV_UUID_LEN];
    drv_uuid_new(uuid);
    char *name DRV_AUTO_FREE = drv_xasprintf("MEMORY:drover-%s", uuid);
    krb5_error_code rc = krb5_cc_resolve(k5->k, name, &k5->cc);
    if (rc)
        return dg_krb5_error(err, k5->k, rc, "credential cache");

    gss_key_value_element_desc element = {.key = "ccache", .value = name};
    gss_key_value_set_desc store = {.count = 1, .elements = &element};
    OM_uint32 minor = 0;
    OM_uint32 major =
        gss_store_cred_into(&minor, cred, GSS_C_INITIATE, gss_mech_krb5, 1, 1, &store, NULL, NULL);
    return GSS_ERROR(major) ? drv_gss_error(err, major, minor, "delegated credential") : 0;
}
