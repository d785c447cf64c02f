// SPDX-License-Identifier: GPL-3.0-or-later
// Shared by the files of delegation/ only.
#ifndef DROVER_DELEGATION_INT_H
#define DROVER_DELEGATION_INT_H

#include <krb5/krb5.h>
#include <lber.h>

#include "drover/delegation.h"
#include "drover/delegation_setup.h"
#include "drover/finding.h"
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

bool dg_is_tgt(const krb5_creds *cred);

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

// One value more, less or instead: op is LDAP_MOD_ADD, _DELETE or _REPLACE. 0 also when it is
// there, or gone, already.
int dg_ldap_modify(struct dg_ldap *l, const char *dn, int op, const char *attr, const char *value,
                   struct drv_err *err);
// Replaces an attribute that is no text.
int dg_ldap_set(struct dg_ldap *l, const char *dn, const char *attr, struct berval value,
                struct drv_err *err);
// A new object. -1 DRV_EEXIST: its name is taken.
enum { DG_ATTR_VALUES = 4 };
struct dg_attr {
    const char *name;
    struct berval values[DG_ATTR_VALUES];
    unsigned n;
};
int dg_ldap_add(struct dg_ldap *l, const char *dn, const struct dg_attr *attrs, unsigned n,
                struct drv_err *err);
struct berval dg_text(const char *text); // borrowed
// Is the object dn in the group, through others as well? Not by the user's primary group.
int dg_ldap_in_group(struct dg_ldap *l, const char *dn, const char *group_dn, bool *ret,
                     struct drv_err *err);
// Version number of the keys that an account has now.
int dg_ldap_kvno(struct dg_ldap *l, const char *dn, unsigned *ret, struct drv_err *err);
struct dg_domain {
    char dns[DG_NAME_LEN];     // "example.lan"
    char netbios[DG_NAME_LEN]; // "EXAMPLE"
    char sid[DG_SID_LEN];
};
int dg_ldap_domain(struct dg_ldap *l, struct dg_domain *ret, struct drv_err *err);
// sAMAccountName of the account with this service name, "" = none has it.
int dg_ldap_spn_owner(struct dg_ldap *l, const char *spn, char ret[DG_NAME_LEN],
                      struct drv_err *err);

// ---- dg_keytab.c ----

enum { DG_PASSWORD_LEN = 44 }; // 240 random bits and a letter of each kind
struct dg_password {
    char text[DG_PASSWORD_LEN + 1];
};
int dg_password_new(struct dg_password *ret, struct drv_err *err);
void dg_password_done(struct dg_password *p); // wipes it
// As AD's unicodePwd takes it; the value lies in *ret.
struct dg_password_ad {
    char bytes[2 * (DG_PASSWORD_LEN + 2)];
};
struct berval dg_password_ad(const struct dg_password *p, struct dg_password_ad *ret);
void dg_password_ad_done(struct dg_password_ad *p); // wipes it

// A keytab to come, <dir>/<name>.keytab for the account NAME$. Beginning proves that it can be
// written: before anything is changed in a directory. dir is made if it is not there.
// -1 DRV_EEXIST: there is such a file; DRV_EDENIED: others may look into dir.
struct dg_keytab_draft {
    char *path, *folder, *temp;
};
int dg_keytab_begin(const char *dir, const char *account, struct dg_keytab_draft *ret,
                    struct drv_err *err);
// Put the AES keys that password gives into it: mode 0600, at its place when it is whole. Asks the
// KDC for the salts; waits half a minute for one that does not know the account yet.
int dg_keytab_finish(struct dg_keytab_draft *d, const char *principal,
                     const struct dg_password *password, unsigned kvno, struct drv_err *err);
void dg_keytab_draft_done(struct dg_keytab_draft *d); // what was not finished leaves nothing

// ---- dg_setup.c: comparing; dg_setup_read.c fills struct dg_found, dg_setup_apply.c acts ----

enum {
    DG_UAC_ANY_SERVICE = 0x00080000,  // MS-ADTS 2.2.16: TRUSTED_FOR_DELEGATION
    DG_UAC_ANY_PROTOCOL = 0x01000000, // TRUSTED_TO_AUTH_FOR_DELEGATION
    DG_ENC_AES = 0x18,                // MS-KILE 2.2.7: AES-128 and AES-256
};
#define DG_ENC_AES_TEXT "24"

// "hv1", "hv1.example.lan" and "HV1$" → "HV1$".
int dg_account_name(const char *host, char ret[DG_NAME_LEN], struct drv_err *err);

struct dg_found_host {
    struct dg_account a;         // of a new one: names and dn that it will have
    bool is_new;                 // no account yet; it shall be made
    bool new_password;           // and a keytab of it
    bool member;                 // of the group, through others as well
    bool leaving;                // it was asked to go
    char spn_owner[DG_NAME_LEN]; // another account with one of its service names, "" = none
    char spn[DG_NAME_LEN + 8];   // that name
};
struct dg_found_user { // who is not in the group yet
    char dn[1024];
    char name[DG_NAME_LEN];
};
struct dg_found_role {
    struct dg_group group; // dn is where it would be; no name: leave alone
    bool is_there;
    struct dg_found_user *users;
    unsigned n_users;
};
struct dg_found {          // what the directory has
    struct dg_group group; // dn is where it would be when it is not there
    bool group_is_there;
    struct dg_found_host *hosts;
    unsigned n_hosts;
    struct dg_strings servers; // FQDN of file servers: asked for, and found
    struct dg_found_role roles[DG_ROLE_MAX_];
};
// What the directory has of what is wanted. The caller frees *ret, on failure as well.
int dg_setup_read(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *ret,
                  struct drv_err *err);
void dg_found_done(struct dg_found *f);
// What is missing; no I/O.
int dg_setup_compare(const struct dg_found *f, struct dg_plan *ret, struct drv_err *err);

// "HV1" of "HV1$", "fs" of "fs.example.lan". Caller frees.
char *dg_short_name(const char *name);
// The two forms of a service name: by FQDN and by NAME.
struct dg_two_names {
    char *list[2];
};
struct dg_two_names dg_names_of(const char *service, const char *fqdn, const char *name);
void dg_two_names_done(struct dg_two_names *t);
#define DG_AUTO_NAMES DRV_CLEANUP(dg_two_names_done)

// ---- dg_check.c ----

// The findings of dg_check that follow from f; no I/O.
int dg_check_found(const struct dg_found *f, enum drv_severity missing, struct drv_findings *ret,
                   struct drv_err *err);

void dg_strings_add(struct dg_strings *s, const char *value); // unless it is there

// RFC 4515: value for a search filter, everything but letters, digits and " ._-" as \xx (malloc'd).
char *dg_filter_escape(const char *value);
// A binary objectSid (MS-DTYP 2.4.2.2) as text. -1 when it is none.
int dg_sid_text(const void *data, size_t len, char ret[DG_SID_LEN]);
bool dg_sid_valid(const char *sid);

#endif
