// SPDX-License-Identifier: GPL-3.0-or-later
// Why did a log-on fail that somebody else's Kerberos library tried? libsmbclient has Heimdal
// inside and says NT_STATUS_LOGON_FAILURE for nearly everything. The cache that it was given tells
// more: MIT keeps the domain controller's time in it, which Heimdal does not look at, and asking
// for the same ticket again gives the KDC's own answer.
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdlib.h>

#include "delegation_int.h"
#include "drover/gss.h"

enum { SKEW_MAX_S = 300 }; // krb5.conf's clockskew, and what Active Directory tolerates

// This computer's clock minus the domain controller's when the cache's TGT was got, 0 = not known.
static int clock_error_s(const char *ccache_name)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    krb5_timestamp dc_minus_us = 0;
    krb5_int32 us;
    if (dg_krb5_init(&k5, NULL) < 0 || krb5_cc_resolve(k5.k, ccache_name, &k5.cc) != 0 ||
        krb5_cc_get_principal(k5.k, k5.cc, &k5.princ) != 0 || // reads the header, offset included
        krb5_get_time_offsets(k5.k, &dc_minus_us, &us) != 0)
        return 0;
    return -(int)dc_minus_us;
}

// The first step of a log-on, thrown away: the ticket for it is what may fail.
static int ask_for_ticket(const char *ccache_name, const char *service, const char *host,
                          struct drv_err *err)
{
    gss_key_value_element_desc element = {.key = "ccache", .value = ccache_name};
    gss_key_value_set_desc store = {.count = 1, .elements = &element};
    gss_OID_set_desc mechs = {1, gss_mech_krb5};
    gss_cred_id_t cred DG_AUTO_CRED = GSS_C_NO_CREDENTIAL;
    void *token DRV_AUTO_FREE = NULL;
    size_t len;
    OM_uint32 minor;
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs,
                                            GSS_C_INITIATE, &store, &cred, NULL, NULL);
    if (GSS_ERROR(major))
        return drv_gss_error(err, major, minor, "Kerberos credentials");
    struct drv_gss *g = drv_gss_initiate(service, host, cred, err);
    int rc = g ? drv_gss_step(g, NULL, 0, &token, &len, err) : -1;
    drv_gss_free(g);
    return rc;
}

void dg_explain_logon(const char *ccache_path, const char *service, const char *host,
                      struct drv_err *err)
{
    char *name DRV_AUTO_FREE = drv_xasprintf("FILE:%s", ccache_path);
    struct drv_err cause = DRV_ERR_INIT;
    int off_s = clock_error_s(name);
    if (abs(off_s) > SKEW_MAX_S) {
        drv_err(&cause, DRV_EDENIED,
                "the clock of this host is %d s %s that of the domain controller, so %s refuses "
                "its log-on",
                abs(off_s), off_s > 0 ? "before" : "behind", host);
        drv_err_id(&cause, "T01");
        drv_err_hint(&cause, "set this host's clock by the domain controller's (timedatectl, "
                             "chronyc tracking), then restart droverd");
    } else {
        ask_for_ticket(name, service, host, &cause);
    }
    if (cause.id[0])
        *err = cause;
}
