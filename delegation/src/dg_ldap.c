// SPDX-License-Identifier: GPL-3.0-or-later
// A bound LDAP connection to a domain controller and one bounded search. Owns time-outs, SASL and
// what libldap's numbers mean. What is asked stands in dg_directory.c.
//
// SASL's GSSAPI uses the default credential. MIT has a thread-specific default cache
// (gss_krb5_ccache_name), set for the length of the bind only, so threads can bind as different
// identities and KRB5CCNAME stays untouched. (LDAP_OPT_X_SASL_GSS_CREDS would be the obvious way,
// but libldap 2.5 makes the SASL context that it belongs to inside the bind itself.)
#include <gssapi/gssapi_krb5.h>
#include <lber.h>
#include <ldap.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "delegation_int.h"
#include "drover/gss.h"

enum {
    STEP_TIMEOUT_S = 5,
    MAX_ANSWER_BYTES = 4 * 1024 * 1024,
    MIN_SSF = 56, // sealed; AD gives 256 with AES
};

struct dg_ldap {
    LDAP *ld;
    char dc[DG_NAME_LEN];
    char base[1024]; // defaultNamingContext
};

static int ldap_failed(struct drv_err *err, LDAP *ld, int rc, const char *what)
{
    static const struct {
        int rc;
        enum drv_code code;
    } codes[] = {
        {LDAP_SERVER_DOWN, DRV_EUNREACHABLE},    {LDAP_CONNECT_ERROR, DRV_EUNREACHABLE},
        {LDAP_TIMEOUT, DRV_ETIMEDOUT},           {LDAP_TIMELIMIT_EXCEEDED, DRV_ETIMEDOUT},
        {LDAP_NO_SUCH_OBJECT, DRV_ENOTFOUND},    {LDAP_INSUFFICIENT_ACCESS, DRV_EDENIED},
        {LDAP_INVALID_CREDENTIALS, DRV_EDENIED}, {LDAP_ALREADY_EXISTS, DRV_EEXIST},
    };
    enum drv_code code = DRV_EPEER;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(codes); i++)
        if (codes[i].rc == rc)
            code = codes[i].code;
    char *detail = NULL;
    if (ld)
        (void)ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
    drv_err(err, code, "%s: %s%s%s", what, ldap_err2string(rc), detail && *detail ? ": " : "",
            detail ? detail : "");
    ldap_memfree(detail);
    return drv_err_native(err, "ldap", rc);
}

// The mechanism asks for user and realm, which GSSAPI takes from the ticket: answer with nothing.
static int answer_nothing(LDAP *ld, unsigned flags, void *defaults, void *interact)
{
    (void)ld;
    (void)flags;
    (void)defaults;
    for (sasl_interact_t *i = interact; i->id != SASL_CB_LIST_END; i++) {
        i->result = "";
        i->len = 0;
    }
    return LDAP_SUCCESS;
}

static int set_options(struct dg_ldap *l)
{
    const struct timeval limit = {.tv_sec = STEP_TIMEOUT_S};
    const int version = LDAP_VERSION3, time_limit = STEP_TIMEOUT_S;
    ber_len_t ssf = MIN_SSF;
    int rc = ldap_set_option(l->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    rc |= ldap_set_option(l->ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
    rc |= ldap_set_option(l->ld, LDAP_OPT_TIMEOUT, &limit);
    rc |= ldap_set_option(l->ld, LDAP_OPT_TIMELIMIT, &time_limit);
    rc |= ldap_set_option(l->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    // Without this the name of the ticket comes from reverse DNS.
    rc |= ldap_set_option(l->ld, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON);
    rc |= ldap_set_option(l->ld, LDAP_OPT_X_SASL_SSF_MIN, &ssf);
    return rc == LDAP_OPT_SUCCESS ? 0 : -1;
}

// One attribute of the server itself (rootDSE, RFC 4512 5.1; MS-ADTS 3.1.1.3.2).
static int read_root(struct dg_ldap *l, const char *attr, char *ret, size_t size,
                     struct drv_err *err)
{
    const char *const attrs[] = {attr, NULL};
    LDAPMessage *msg = NULL;
    int n = 0;
    if (dg_ldap_search(l, "", LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1, &msg, &n, err) < 0)
        return -1;
    LDAPMessage *entry = ldap_first_entry(l->ld, msg);
    struct berval **values = entry ? ldap_get_values_len(l->ld, entry, attr) : NULL;
    int rc = values && values[0] ? drv_copy(ret, size, values[0]->bv_val) : -1;
    ldap_value_free_len(values);
    ldap_msgfree(msg);
    return rc < 0 ? drv_err(err, DRV_EPEER, "%s does not tell its %s", l->dc, attr) : 0;
}

// The default naming context is read before any other search.
static int read_base(struct dg_ldap *l, struct drv_err *err)
{
    return read_root(l, "defaultNamingContext", l->base, sizeof l->base, err);
}

int dg_ldap_skew_ms(struct dg_ldap *l, int64_t *ret_ms, struct drv_err *err)
{
    char text[32];
    struct tm t = {0};
    struct timespec now;
    if (read_root(l, "currentTime", text, sizeof text, err) < 0)
        return -1;
    clock_gettime(CLOCK_REALTIME, &now);
    // Generalised time in whole seconds (RFC 4517 3.3.13): the truth is half a second later on
    // average.
    const char *end = strptime(text, "%Y%m%d%H%M%S", &t);
    if (!end || strcmp(end, ".0Z") != 0)
        return drv_err(err, DRV_EPEER, "%s tells the time as \"%s\"", l->dc, text);
    *ret_ms = (int64_t)timegm(&t) * 1000 + 500 - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return 0;
}

static int bind_as(LDAP *ld, const char *ccache_path, struct drv_err *err)
{
    char *cc DRV_AUTO_FREE = ccache_path ? drv_xasprintf("FILE:%s", ccache_path) : NULL;
    OM_uint32 minor = 0;
    OM_uint32 major = gss_krb5_ccache_name(&minor, cc, NULL);
    if (GSS_ERROR(major))
        return drv_gss_error(err, major, minor, ccache_path ? ccache_path : "credential cache");
    int rc = ldap_sasl_interactive_bind_s(ld, NULL, "GSSAPI", NULL, NULL, LDAP_SASL_QUIET,
                                          answer_nothing, NULL);
    (void)gss_krb5_ccache_name(&minor, NULL, NULL);
    if (rc == LDAP_SUCCESS)
        return 0;
    ldap_failed(err, ld, rc, "bind");
    return rc == LDAP_LOCAL_ERROR
               ? drv_err_hint(err,
                              "name the domain controller by its full DNS name, not by address "
                              "or alias, and look whether this host's ticket is valid")
               : -1;
}

static int connect_to(struct dg_ldap *l, const char *dc, const char *ccache_path,
                      struct drv_err *err)
{
    if (DRV_COPY(l->dc, dc) < 0)
        return drv_err(err, DRV_EINVAL, "name of the domain controller is too long");
    char *url DRV_AUTO_FREE = drv_xasprintf("ldap://%s", dc);
    int rc = ldap_initialize(&l->ld, url);
    if (rc != LDAP_SUCCESS)
        return ldap_failed(err, NULL, rc, url);
    if (set_options(l) < 0)
        return drv_err(err, DRV_EINTERNAL, "libldap does not know one of our options");
    if (bind_as(l->ld, ccache_path, err) < 0)
        return drv_err_prefix(err, "%s", url);
    Sockbuf *sb = NULL;
    ber_len_t max = MAX_ANSWER_BYTES;
    if (ldap_get_option(l->ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb)
        (void)ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max);
    return read_base(l, err);
}

static void disconnect(struct dg_ldap *l)
{
    if (l->ld)
        (void)ldap_unbind_ext_s(l->ld, NULL, NULL);
    l->ld = NULL;
}

// The realm of a ccache's owner; AD's DNS domain has the same name.
static int realm_of(const char *ccache_path, char ret[DG_NAME_LEN], struct drv_err *err)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    char *name DRV_AUTO_FREE = ccache_path ? drv_xasprintf("FILE:%s", ccache_path) : NULL;
    char owner[DG_NAME_LEN];
    if (dg_krb5_init(&k5, err) < 0)
        return -1;
    krb5_error_code rc = name ? krb5_cc_resolve(k5.k, name, &k5.cc) : krb5_cc_default(k5.k, &k5.cc);
    if (!rc)
        rc = krb5_cc_get_principal(k5.k, k5.cc, &k5.princ);
    if (rc)
        return dg_krb5_error(err, k5.k, rc, ccache_path ? ccache_path : "credential cache");
    dg_krb5_name(k5.k, k5.princ, owner);
    const char *at = strrchr(owner, '@');
    return drv_copy(ret, DG_NAME_LEN, at ? at + 1 : "");
}

struct dg_ldap *dg_ldap_open(const char *ccache_path, const char *realm, const char *dc,
                             struct drv_err *err)
{
    struct dg_server servers[DG_SERVERS_MAX] = {0};
    unsigned n = 1;
    char own_realm[DG_NAME_LEN];
    if (dc && DRV_COPY(servers[0].name, dc) < 0) {
        drv_err(err, DRV_EINVAL, "name of the domain controller is too long");
        return NULL;
    }
    if (!dc && !realm && realm_of(ccache_path, own_realm, err) < 0)
        return NULL;
    if (!dc && dg_dns_ldap(realm ? realm : own_realm, servers, &n, err) < 0)
        return NULL;

    struct dg_ldap *l = drv_xcalloc(1, sizeof(*l));
    struct drv_err last = DRV_ERR_INIT;
    for (unsigned i = 0; i < n; i++) {
        drv_err_clear(&last);
        if (connect_to(l, servers[i].name, ccache_path, &last) == 0)
            return l;
        disconnect(l);
    }
    dg_ldap_free(l);
    if (err)
        *err = last;
    return NULL;
}

void dg_ldap_free(struct dg_ldap *l)
{
    if (!l)
        return;
    disconnect(l);
    free(l);
}

const char *dg_ldap_dc(const struct dg_ldap *l)
{
    return l->dc;
}

const char *dg_ldap_base(const struct dg_ldap *l)
{
    return l->base;
}

LDAP *dg_ldap_handle(struct dg_ldap *l)
{
    return l->ld;
}

int dg_ldap_search(struct dg_ldap *l, const char *base, int scope, const char *filter,
                   const char *const attrs[], int limit, LDAPMessage **ret, int *ret_n,
                   struct drv_err *err)
{
    struct timeval timeout = {.tv_sec = STEP_TIMEOUT_S};
    LDAPMessage *msg = NULL;
    int rc = ldap_search_ext_s(l->ld, base, scope, filter, (char **)attrs, 0, NULL, NULL, &timeout,
                               limit, &msg);
    // A cut-off answer still holds the first `limit` rows.
    if (rc != LDAP_SUCCESS && rc != LDAP_SIZELIMIT_EXCEEDED) {
        ldap_msgfree(msg);
        return ldap_failed(err, l->ld, rc, l->dc);
    }
    *ret = msg;
    *ret_n = msg ? ldap_count_entries(l->ld, msg) : 0;
    return 0;
}

// libldap's types have no const.
static char *loose(const char *text)
{
    return (char *)(uintptr_t)text;
}

struct berval dg_text(const char *text)
{
    return (struct berval){.bv_len = strlen(text), .bv_val = loose(text)};
}

static int modify(struct dg_ldap *l, const char *dn, int op, const char *attr, struct berval value)
{
    struct berval *values[] = {&value, NULL};
    LDAPMod mod = {.mod_op = op | LDAP_MOD_BVALUES, .mod_type = loose(attr), .mod_bvalues = values};
    LDAPMod *mods[] = {&mod, NULL};
    return ldap_modify_ext_s(l->ld, dn, mods, NULL, NULL);
}

int dg_ldap_modify(struct dg_ldap *l, const char *dn, int op, const char *attr, const char *value,
                   struct drv_err *err)
{
    int rc = modify(l, dn, op, attr, dg_text(value));
    bool there = op == LDAP_MOD_ADD &&
                 (rc == LDAP_TYPE_OR_VALUE_EXISTS || rc == LDAP_ALREADY_EXISTS); // AD: a member
    bool gone =
        op == LDAP_MOD_DELETE &&
        (rc == LDAP_NO_SUCH_ATTRIBUTE ||
         (rc == LDAP_UNWILLING_TO_PERFORM && strcmp(attr, "member") == 0)); // AD: no such member
    return rc == LDAP_SUCCESS || there || gone ? 0 : ldap_failed(err, l->ld, rc, dn);
}

int dg_ldap_set(struct dg_ldap *l, const char *dn, const char *attr, struct berval value,
                struct drv_err *err)
{
    int rc = modify(l, dn, LDAP_MOD_REPLACE, attr, value);
    return rc == LDAP_SUCCESS ? 0 : ldap_failed(err, l->ld, rc, dn);
}

int dg_ldap_add(struct dg_ldap *l, const char *dn, const struct dg_attr *attrs, unsigned n,
                struct drv_err *err)
{
    enum { ATTRS_MAX = 8 };
    struct berval values[ATTRS_MAX][DG_ATTR_VALUES], *pointers[ATTRS_MAX][DG_ATTR_VALUES + 1];
    LDAPMod mods[ATTRS_MAX], *list[ATTRS_MAX + 1] = {NULL};
    if (n > ATTRS_MAX)
        return drv_err(err, DRV_EINTERNAL, "%s: too many attributes", dn);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < attrs[i].n; k++) {
            values[i][k] = attrs[i].values[k];
            pointers[i][k] = &values[i][k];
        }
        pointers[i][attrs[i].n] = NULL;
        mods[i] = (LDAPMod){.mod_op = LDAP_MOD_ADD | LDAP_MOD_BVALUES,
                            .mod_type = loose(attrs[i].name),
                            .mod_bvalues = pointers[i]};
        list[i] = &mods[i];
    }
    int rc = ldap_add_ext_s(l->ld, dn, list, NULL, NULL);
    return rc == LDAP_SUCCESS ? 0 : ldap_failed(err, l->ld, rc, dn);
}
