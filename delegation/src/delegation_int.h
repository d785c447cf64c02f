// SPDX-License-Identifier: GPL-3.0-or-later
// Shared by the files of delegation/ only.
#ifndef DROVER_DELEGATION_INT_H
#define DROVER_DELEGATION_INT_H

#include <krb5/krb5.h>

#include "drover/delegation.h"
#include "drover/util.h"

// ---- dg_krb5.c: libkrb5 with our errors and clean-up ----

// Objects of libkrb5 that live for one call. krb5_context is per thread, so each call makes its
// own.
struct dg_krb5 {
    krb5_context k;
    krb5_ccache cc;
    krb5_keytab kt;
    krb5_principal princ;
};
int dg_krb5_init(struct dg_krb5 *k5, struct drv_err *err);
void dg_krb5_done(struct dg_krb5 *k5);
#define DG_AUTO_KRB5 DRV_CLEANUP(dg_krb5_done)

// Fill err from a libkrb5 code, with the finding id that drv_gss_error knows for it. Returns -1.
int dg_krb5_error(struct drv_err *err, krb5_context k, krb5_error_code rc, const char *what);

// Name a principal in a fixed field; "?" when it does not fit.
void dg_krb5_name(krb5_context k, krb5_const_principal p, char ret[DG_NAME_LEN]);

// Replace the file path by a ccache for owner with one credential in it: temporary name, mode 0600,
// rename.
int dg_ccache_write(krb5_context k, const char *path, krb5_principal owner, krb5_creds *cred,
                    struct drv_err *err);

// Walk the tickets of cc (configuration entries skipped, at most 1000) until fn returns non-zero;
// *ret_value is what it returned, 0 if nobody wanted to stop. cred is valid during fn only.
typedef int dg_ticket_fn(krb5_context k, const krb5_creds *cred, void *arg);
int dg_ccache_each(krb5_context k, krb5_ccache cc, dg_ticket_fn *fn, void *arg, int *ret_value,
                   struct drv_err *err);

// Open an own memory ccache with all that a GSS credential holds; dg_krb5_done destroys it.
int dg_ccache_of_cred(struct dg_krb5 *k5, gss_cred_id_t cred, struct drv_err *err);

// ---- dg_diagnose.c ----

// Explain why S4U2Proxy with cred towards spn ("drover/hv2.drover.test") failed with major/minor.
// Always returns -1 with err set.
int dg_diagnose(const struct dg_env *env, gss_cred_id_t cred, const char *spn, OM_uint32 major,
                OM_uint32 minor, struct drv_err *err);

// What is known about the user and the host when a KDC has refused: the input of dg_verdict.
enum dg_known { DG_UNKNOWN, DG_NO, DG_YES };
struct dg_evidence {
    char user[DG_NAME_LEN];         // "carol@DROVER.TEST"
    char host_account[DG_NAME_LEN]; // "HV1$"
    char spn[DG_NAME_LEN];          // "drover/hv2.drover.test"
    enum dg_known forwardable;      // is the user's ticket to us?
    enum dg_known not_delegated;    // "sensitive" flag of the user
    enum dg_known protected_user;
    enum dg_known listed;   // spn stands in msDS-AllowedToDelegateTo of host_account
    char ldap_problem[256]; // why LDAP could not tell, "" if it did
};
// The finding that the evidence supports; no I/O. Always returns -1 with err set.
int dg_verdict(const struct dg_evidence *e, struct drv_err *err);

// ---- dg_dns.c ----

struct dg_server {
    char name[DG_NAME_LEN];
    unsigned priority;
};
enum { DG_SERVERS_MAX = 4 };
// Hosts of _ldap._tcp.<domain>, best first. *ret_n is 1..DG_SERVERS_MAX on success.
int dg_dns_ldap(const char *domain, struct dg_server ret[DG_SERVERS_MAX], unsigned *ret_n,
                struct drv_err *err);

// ---- dg_ldap.c and dg_text.c: for dg_directory.c ----

struct ldapmsg;
const char *dg_ldap_base(const struct dg_ldap *l); // defaultNamingContext

// One search under base, at most limit rows (more are cut off, *ret_n counts those that came).
// scope: LDAP_SCOPE_…. *ret must be freed with ldap_msgfree.
int dg_ldap_search(struct dg_ldap *l, const char *base, int scope, const char *filter,
                   const char *const attrs[], int limit, struct ldapmsg **ret, int *ret_n,
                   struct drv_err *err);
struct ldap *dg_ldap_handle(struct dg_ldap *l);

// RFC 4515: value for a search filter, everything but letters, digits and " ._-" as \xx (malloc'd).
char *dg_filter_escape(const char *value);
// A binary objectSid (MS-DTYP 2.4.2.2) as text. -1 when it is none.
int dg_sid_text(const void *data, size_t len, char ret[DG_SID_LEN]);
bool dg_sid_valid(const char *sid);

#endif
