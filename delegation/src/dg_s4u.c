// SPDX-License-Identifier: GPL-3.0-or-later
// Acting for a user by constrained delegation (S4U2Proxy, MS-SFU 3.1.5.2.2).
//
// A user's context to drover/hv1 carries only a ticket for hv1: the *evidence*. Because hv1
// accepted it with a credential that can also initiate (dg_host_cred), GSSAPI returns a "delegated"
// credential made of the evidence and hv1's own TGT, always, whether or not the KDC will honour it.
// The KDC is asked when that credential first initiates: it then issues a ticket "alice to
// drover/hv2, obtained by HV1$", if AD lists drover/hv2 in msDS-AllowedToDelegateTo of HV1$ and the
// evidence is forwardable. So a probe is an initiation whose token nobody gets, and a refusal has
// one code for every cause: dg_diagnose.
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <string.h>
#include <strings.h>

#include "delegation_int.h"
#include "drover/gss.h"

int dg_impersonator(gss_cred_id_t cred, char ret[DG_NAME_LEN], struct drv_err *err)
{
    if (cred == GSS_C_NO_CREDENTIAL) {
        drv_err(err, DRV_EDENIED, "the session has no credential to act for its user with");
        return drv_err_id(err, "D14");
    }
    OM_uint32 minor = 0;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    // The OID's const was forgotten in MIT's prototype.
    OM_uint32 major =
        gss_inquire_cred_by_oid(&minor, cred, (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set);
    int rc = -1;
    if (GSS_ERROR(major)) {
        drv_gss_error(err, major, minor, "delegated credential");
    } else if (!set || set->count == 0) {
        drv_err(err, DRV_EDENIED,
                "the client forwarded its whole ticket-granting ticket; drover "
                "never takes one");
        drv_err_hint(err,
                     "connect without GSS_C_DELEG_FLAG, and clear \"trust for delegation to any "
                     "service\" on this host's account");
        drv_err_id(err, "D13");
    } else if (set->elements[0].length >= DG_NAME_LEN) {
        drv_err(err, DRV_EPEER, "delegated credential: name too long");
    } else {
        memcpy(ret, set->elements[0].value, set->elements[0].length);
        ret[set->elements[0].length] = '\0';
        rc = 0;
    }
    (void)gss_release_buffer_set(&minor, &set);
    return rc;
}

// Make GSSAPI get the ticket for service@host into cred. The token is thrown away.
static OM_uint32 get_ticket(gss_cred_id_t cred, const char *service, const char *host,
                            OM_uint32 *ret_minor)
{
    char *text DRV_AUTO_FREE = drv_xasprintf("%s@%s", service, host);
    gss_buffer_desc name_text = {.length = strlen(text), .value = text};
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major = gss_import_name(ret_minor, &name_text, GSS_C_NT_HOSTBASED_SERVICE, &name);
    if (GSS_ERROR(major))
        return major;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    major = gss_init_sec_context(ret_minor, cred, &ctx, name, (gss_OID)gss_mech_krb5,
                                 GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER,
                                 NULL, &token, NULL, NULL);
    OM_uint32 ignored = 0;
    (void)gss_release_buffer(&ignored, &token);
    (void)gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
    (void)gss_release_name(&ignored, &name);
    return major;
}

int dg_probe(const struct dg_env *env, gss_cred_id_t cred, const char *service, const char *host,
             struct drv_err *err)
{
    char by[DG_NAME_LEN];
    if (dg_impersonator(cred, by, err) < 0)
        return -1;
    OM_uint32 minor = 0;
    OM_uint32 major = get_ticket(cred, service, host, &minor);
    if (!GSS_ERROR(major))
        return 0;
    char *spn DRV_AUTO_FREE = drv_xasprintf("%s/%s", service, host);
    return dg_diagnose(env, cred, spn, major, minor, err);
}

// ---- a cache for libsmbclient ----

struct wanted {
    const char *service, *host;
    const char *by;   // the host: it may have a ticket of its own for the same service
    krb5_creds *copy; // of the ticket that was found
};

static bool component_is(krb5_const_principal p, unsigned n, const char *text)
{
    return (unsigned)p->length > n && p->data[n].length == strlen(text) &&
           strncasecmp(p->data[n].data, text, p->data[n].length) == 0;
}

static int find_service(krb5_context k, const krb5_creds *cred, void *arg)
{
    struct wanted *w = arg;
    char client[DG_NAME_LEN];
    dg_krb5_name(k, cred->client, client);
    if (strcmp(client, w->by) == 0 || cred->server->length != 2 ||
        !component_is(cred->server, 0, w->service) || !component_is(cred->server, 1, w->host))
        return 0;
    return krb5_copy_creds(k, cred, &w->copy) == 0;
}

int dg_cifs_ccache(const struct dg_env *env, gss_cred_id_t cred, const char *server,
                   const char *path, struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    char by[DG_NAME_LEN];
    struct wanted wanted = {.service = "cifs", .host = server, .by = by};
    int found = 0;
    if (dg_impersonator(cred, by, err) < 0 || dg_probe(env, cred, "cifs", server, err) < 0 ||
        dg_krb5_init(&k5, err) < 0 || dg_ccache_of_cred(&k5, cred, err) < 0 ||
        dg_ccache_each(k5.k, k5.cc, find_service, &wanted, &found, err) < 0)
        return -1;
    if (!found)
        return drv_err(err, DRV_EINTERNAL, "the ticket for cifs/%s is not where GSSAPI puts it",
                       server);

    // GSSAPI files the ticket under a server without a realm; libsmbclient then does not find it.
    // The ticket itself has the whole name.
    krb5_ticket *ticket = NULL;
    krb5_error_code rc = krb5_decode_ticket(&wanted.copy->ticket, &ticket);
    int result = -1;
    if (rc) {
        dg_krb5_error(err, k5.k, rc, "ticket");
    } else {
        krb5_principal short_name = wanted.copy->server;
        wanted.copy->server = ticket->server;
        result = dg_ccache_write(k5.k, path, wanted.copy->client, wanted.copy, err);
        wanted.copy->server = short_name;
        krb5_free_ticket(k5.k, ticket);
    }
    krb5_free_creds(k5.k, wanted.copy);
    return result;
}
