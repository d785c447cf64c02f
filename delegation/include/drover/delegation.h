// SPDX-License-Identifier: GPL-3.0-or-later
// Credentials that drover acts with: the host's own, from its keytab, and a user's, by constrained
// delegation (S4U2Proxy, MS-SFU); and what Active Directory says about both.
//
// Everything here asks a KDC or a domain controller: worker threads only, never the loop.
// Time-outs: LDAP 5 s per step, Kerberos as krb5.conf has it. No function changes the process's
// environment. No ticket ever stands in an error or a log.
#ifndef DROVER_DELEGATION_H
#define DROVER_DELEGATION_H

#include <gssapi/gssapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drover/err.h"

enum { DG_NAME_LEN = 256, DG_SID_LEN = 188 };

// ---- the host's own credential (dg_cred.c) ----

// The account of a keytab: its first "NAME$@REALM" entry, else its first entry that is no SPN.
// K06 when the keytab cannot be read or has no such entry.
int dg_keytab_principal(const char *keytab, char ret[DG_NAME_LEN], struct drv_err *err);

// Get a TGT for principal (NULL = dg_keytab_principal) and put it at ccache_path, a plain path: a
// new file, owner-only, renamed over the old one, so that readers see the old or the new, never
// half. The helpers (drover-store, drover-smb) get it as KRB5CCNAME=FILE:path.
int dg_host_ccache(const char *keytab, const char *principal, const char *ccache_path,
                   struct drv_err *err);

// The same for the keytab's account, when less than min_life_s of ccache_path's TGT is left (< 0:
// 3600, or half of what the KDC gives if that is less). A ticket that still lives is kept when no
// KDC answers: a move under way outlives a domain controller that is down.
int dg_host_ccache_fresh(const char *keytab, const char *ccache_path, int64_t min_life_s,
                         struct drv_err *err);

// What a keytab has for principal, whose realm may be left out.
struct dg_keys {
    unsigned kvno;  // the newest
    bool aes, weak; // of that version: an AES key; one of RC4, DES or 3DES
};
// DRV_ENOTFOUND K06: nothing for this principal.
int dg_keytab_keys(const char *keytab, const char *principal, struct dg_keys *ret,
                   struct drv_err *err);

// The ticket-granting ticket of the process's own credential cache (KRB5CCNAME).
struct dg_ticket {
    char principal[DG_NAME_LEN];
    int64_t left_s;
    bool forwardable;
};
// K01: no cache, or no such ticket in it. K02: it has ended.
int dg_own_ticket(struct dg_ticket *ret, struct drv_err *err);

// The TGT of the process's own credential cache, whatever its kind, as a new ccache file,
// owner-only: for a helper that takes files alone. K01 when there is none.
int dg_ccache_export(const char *path, struct drv_err *err);

// Seconds that the TGT (or, without one, the ticket that ends first) of the file still lives; 0
// when it has ended. -1 DRV_ENOTFOUND when there is no file or no ticket.
int dg_ccache_lifetime_s(const char *ccache_path, int64_t *ret_s, struct drv_err *err);

// Credential of the host for accepting (any key of the keytab) and for initiating, S4U2Proxy
// included. Renews ccache_path first as dg_host_ccache_fresh does. Cheap otherwise: get one per
// connection, so that a new machine password or TGT counts at once. Free with dg_cred_free.
int dg_host_cred(const char *keytab, const char *ccache_path, int64_t min_life_s,
                 gss_cred_id_t *ret, struct drv_err *err);
void dg_cred_free(gss_cred_id_t *cred); // NULL and GSS_C_NO_CREDENTIAL are fine
#define DG_AUTO_CRED __attribute__((cleanup(dg_cred_free)))

// ---- acting for a user (dg_s4u.c, dg_diagnose.c) ----

// What a diagnosis may look at. Borrowed pointers.
struct dg_env {
    const char *host_ccache; // dg_host_ccache's file: LDAP asks as the host; NULL = do not ask
    const char *dc;          // domain controller; NULL = found by DNS SRV of the realm
    bool user_known;         // the next two are from the user's PAC (struct az_identity)
    bool user_not_delegated;
    bool user_protected;
};

// Who got cred by constrained delegation ("HV1$@DROVER.TEST"). cred is what accepting gave
// (drv_gss_delegated). D13 when it is a forwarded TGT instead: refuse the session; D14 when
// there is no credential at all.
int dg_impersonator(gss_cred_id_t cred, char ret[DG_NAME_LEN], struct drv_err *err);

// Can we act for the user of cred towards service@host ("drover", "hv2.drover.test")? Gets the
// ticket (it is then in cred for drv_gss_initiate). On refusal err says why, by evidence:
//   D10 drover/… is missing in msDS-AllowedToDelegateTo of this host's account · D11 the same for
//   cifs/… and others · D12 the user is sensitive or a Protected User · K03 the user's ticket is
//   not forwardable · K02 it has expired · K04 no KDC answers · K05 no such service in AD · D14
//   none of these
int dg_probe(const struct dg_env *env, gss_cred_id_t cred, const char *service, const char *host,
             struct drv_err *err);

// A ccache file at path (owner-only, by rename) that holds nothing but cifs/<server> as the user:
// what libsmbclient needs to act as the user, and no more. server: the FQDN that the store's URL
// names. Errors as dg_probe. dg_ccache_lifetime_s tells how long it lasts.
int dg_cifs_ccache(const struct dg_env *env, gss_cred_id_t cred, const char *server,
                   const char *path, struct drv_err *err);

// ---- a log-on that another library failed (dg_explain.c) ----

// err: that failure, of a log-on with ccache_path's ticket (a plain path) at service@host. It
// becomes the cause where there is evidence: T01 this host's clock is wrong · K02, K04, K05 as
// asking for the ticket again shows. Otherwise it stays as it is. Asks a KDC.
void dg_explain_logon(const char *ccache_path, const char *service, const char *host,
                      struct drv_err *err);

// ---- Active Directory over LDAP (dg_ldap.c, dg_directory.c) ----

struct dg_ldap;

// Bind with GSSAPI, sealed, as the owner of ccache_path's TGT (NULL = the process's own credential
// cache, whatever its kind). realm NULL = the ccache's. dc NULL = DNS SRV _ldap._tcp.<realm>, at
// most 4 of them tried. One thread at a time per handle.
struct dg_ldap *dg_ldap_open(const char *ccache_path, const char *realm, const char *dc,
                             struct drv_err *err);
void dg_ldap_free(struct dg_ldap *l);
const char *dg_ldap_dc(const struct dg_ldap *l);

// Values of one attribute or rows of a search: bounded, owned.
struct dg_strings {
    char **list;
    unsigned n;
};
void dg_strings_done(struct dg_strings *s);
bool dg_strings_has(const struct dg_strings *s, const char *value); // without regard to case

// One account (user or computer), by sAMAccountName ("alice", "HV1$"). DRV_ENOTFOUND if there is
// none.
struct dg_account {
    char dn[1024];
    char name[DG_NAME_LEN]; // sAMAccountName
    char sid[DG_SID_LEN];
    char fqdn[DG_NAME_LEN]; // dNSHostName of a computer, else ""
    uint32_t uac;           // userAccountControl
    uint32_t enc_types;     // msDS-SupportedEncryptionTypes, 0 = not set
    unsigned kvno;          // msDS-KeyVersionNumber, 0 = not told
    bool not_delegated;     // uac 0x100000
    bool protected_user;    // directly or through a group in Protected Users (tokenGroups)
    struct dg_strings allowed_to_delegate; // msDS-AllowedToDelegateTo
    struct dg_strings spns;                // servicePrincipalName
};
int dg_ldap_account(struct dg_ldap *l, const char *name, struct dg_account *ret,
                    struct drv_err *err);
void dg_account_done(struct dg_account *a);
// The groups of an account as a ticket issued now would have them, nested ones included: SIDs.
int dg_ldap_groups_of(struct dg_ldap *l, const char *dn, struct dg_strings *ret,
                      struct drv_err *err);
// The domain controller's clock minus this computer's, to about a second.
int dg_ldap_skew_ms(struct dg_ldap *l, int64_t *ret_ms, struct drv_err *err);

struct dg_group {
    char dn[1024];
    char name[DG_NAME_LEN]; // sAMAccountName
    char sid[DG_SID_LEN];
};
// The group with this name (sAMAccountName or cn). DRV_ENOTFOUND, or DRV_EINVAL when two match.
int dg_ldap_group(struct dg_ldap *l, const char *group, struct dg_group *ret, struct drv_err *err);
// Its SID.
int dg_ldap_group_sid(struct dg_ldap *l, const char *group, char ret[DG_SID_LEN],
                      struct drv_err *err);
// Name (sAMAccountName) for a SID.
int dg_ldap_sid_name(struct dg_ldap *l, const char *sid, char ret[DG_NAME_LEN],
                     struct drv_err *err);

struct dg_host {
    char name[DG_NAME_LEN]; // "HV1"
    char fqdn[DG_NAME_LEN];
};
enum { DG_HOSTS_MAX = 256 };
// Computers with a dNSHostName in the group of this SID, nested groups included, by name. *ret is
// malloc'd.
int dg_ldap_hosts(struct dg_ldap *l, const char *group_sid, struct dg_host **ret, unsigned *ret_n,
                  struct drv_err *err);

#endif
