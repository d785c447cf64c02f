// SPDX-License-Identifier: GPL-3.0-or-later
// Who may do what: identities from a ticket's PAC, roles from group SIDs, one decision table.
//
// Nothing here blocks, keeps state or logs; every function may run on any thread. The caller writes
// az_decision's text to the audit log, allowed or not.
#ifndef DROVER_AUTHZ_H
#define DROVER_AUTHZ_H

#include <gssapi/gssapi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "drover/err.h"

// ---- identities (az_pac.c) ----

enum {
    AZ_SID_LEN = 188,     // "S-1-" 48-bit authority and 15 sub-authorities in decimal, and the NUL
    AZ_NAME_LEN = 256,    // a principal with its realm, or an SPN, and the NUL
    AZ_GROUPS_MAX = 2048, // AD itself stops at 1,010 groups per token
    AZ_TRANSITED_MAX = 8, // hosts that passed a user on; drover itself makes 1
    AZ_PAC_BUFFER_MAX = 65536 // bytes of one PAC buffer; larger ones are refused
};

// One Kerberos user or computer, as its ticket's PAC describes it.
struct az_identity {
    char name[AZ_NAME_LEN]; // as Kerberos authenticated it: "alice@DROVER.TEST", "HV1$@DROVER.TEST"
    char account[AZ_NAME_LEN]; // sAMAccountName
    char sid[AZ_SID_LEN];
    char domain_sid[AZ_SID_LEN];
    char (*groups)[AZ_SID_LEN]; // primary, domain, extra and resource groups; owned
    unsigned n_groups;
    uint32_t account_flags; // MS-SAMR USER_ACCOUNT codes as the PAC has them
    bool not_delegated;     // "Account is sensitive and cannot be delegated"
    bool protected_user;    // member of Protected Users (RID 525)

    // S4U2Proxy (MS-PAC 2.9): set when somebody obtained this ticket on the user's behalf.
    bool delegated;
    char target[AZ_NAME_LEN]; // "drover/hv2.drover.test": the service that it was obtained for
    char transited[AZ_TRANSITED_MAX][AZ_NAME_LEN]; // by whom, oldest first: "HV1$@DROVER.TEST"
    unsigned n_transited;
};

// Identity of an established acceptor context: name is what gss_accept_sec_context (or
// drv_gss_peer_name) gave. Its PAC must be authenticated. display: drv_gss_peer() of the same
// context. Errors: DRV_EDENIED A06 (no PAC, or not authenticated), DRV_EPEER (unreadable or over
// the limits). On failure *ret needs no az_identity_done.
int az_identity_from_gss(gss_name_t name, const char *display, struct az_identity *ret,
                         struct drv_err *err);
void az_identity_done(
    struct az_identity *id); // frees groups and zeroes; NULL and zeroed ones are fine
void az_cleanup_identity(struct az_identity *id);
#define AZ_AUTO_IDENTITY __attribute__((cleanup(az_cleanup_identity)))

// The user itself, or one of its groups. false for "".
bool az_identity_has_sid(const struct az_identity *id, const char *sid);

// Decode PAC buffers: KERB_VALIDATION_INFO (MS-PAC 2.5) and S4U_DELEGATION_INFO (2.9), each NDR
// with its type header. Used by az_identity_from_gss and tests; ret must be zeroed before the
// first.
int az_pac_logon_info(const void *data, size_t len, struct az_identity *ret, struct drv_err *err);
int az_pac_delegation_info(const void *data, size_t len, struct az_identity *ret,
                           struct drv_err *err);

// ---- roles (az_role.c) ----

// Each role may do all that the lower ones may. Names (az_role_name) are stable.
enum az_role { AZ_NONE, AZ_VIEWER, AZ_OPERATOR, AZ_ADMIN, AZ_ROLE_MAX_ };

enum { AZ_ROLES_MAX = 32, AZ_LABEL_LEN = 128 };

// One entry of the setting `roles`.
struct az_role_entry {
    bool hosts; // the group of computers that may open a host channel; role is AZ_NONE
    enum az_role role;
    char sid[AZ_SID_LEN];     // "" while only a name is known
    char label[AZ_LABEL_LEN]; // group name for people; "" if unknown
};
struct az_roles {
    struct az_role_entry list[AZ_ROLES_MAX];
    unsigned n;
};

// Parse the setting `roles`: "admin=GROUP,operator=GROUP,viewer=GROUP,hosts=GROUP", where each kind
// may stand any number of times and GROUP is "SID", "SID:Group name", or "Group name" alone. A name
// alone leaves entry.sid empty: look it up (dg_ldap_group_sid) and store az_roles_text, so that a
// renamed or re-created group cannot slip in later. "" gives no roles: nobody but local root may do
// anything. DRV_EINVAL names the entry.
int az_roles_parse(const char *text, struct az_roles *ret, struct drv_err *err);
// First entry without a SID, NULL when all are resolved. Such entries never match anybody.
struct az_role_entry *az_roles_unresolved(struct az_roles *roles);
// The setting's text again (malloc'd).
char *az_roles_text(const struct az_roles *roles);

// Highest role of id; *ret_entry (NULL allowed): the entry that gave it, NULL if none.
enum az_role az_role_of(const struct az_roles *roles, const struct az_identity *id,
                        const struct az_role_entry **ret_entry);
// What gets an account a role on the host fqdn: one line.
void az_role_advice(const struct az_roles *roles, enum az_role need, const char *account,
                    const char *fqdn, char *ret, size_t size);
// Is id in a hosts' group?
bool az_is_host(const struct az_roles *roles, const struct az_identity *id);
const char *az_role_name(enum az_role role);                // "none", "viewer", "operator", "admin"
int az_role_from_name(const char *name, enum az_role *ret); // -1 for an unknown name

// A SID in its text form: S-1-<authority>(-<sub-authority>){1..15}, decimal, no leading zeros.
bool az_sid_valid(const char *sid);

// ---- decisions (az_decide.c) ----

// The setting `auth`: by what a move may be authorised. Names (az_auth_name) are stable.
enum az_auth {
    AZ_AUTH_EITHER,     // by both
    AZ_AUTH_DELEGATION, // the source acts for the user, by S4U2Proxy
    AZ_AUTH_PERMIT,     // the user got a permit from the destination itself
    AZ_AUTH_MAX_
};
const char *az_auth_name(enum az_auth auth);                // "either", "delegation", "permit"
int az_auth_from_name(const char *name, enum az_auth *ret); // -1 for an unknown name

// What a permit stands for (docs/WIRE.md, section 8). This host gave it and keeps it; that it is
// unspent and in time is for the one who keeps it to say, what it is good for is decided here.
struct az_permit {
    bool for_move;             // else it is good for a check alone
    char from[AZ_NAME_LEN];    // FQDN of the host that may show it
    char vm_uuid[40];          // of the one VM
    char vm_name[AZ_NAME_LEN]; // and its name
};

enum az_action {
    AZ_VIEW,       // show, list, check, follow a job                          viewer
    AZ_OPERATE,    // start, stop, cancel, console, move storage on this host  operator
    AZ_ADMINISTER, // create, delete, stores, settings                         admin
    AZ_MOVE_CHECK, // source: preflight of a move to another host              viewer, Kerberos user
    AZ_MOVE_OUT, // source: a VM leaves for another host                     operator, Kerberos user
    AZ_PEER,     // host channel: what another agent may ask                 hosts' group
    AZ_PEER_CHECK, // destination: preflight                                   channel + user's
                   // proof
    AZ_MOVE_IN, // destination: a VM arrives                                channel + user's proof
    AZ_PERMIT_CHECK, // destination: a permit for a check        viewer, Kerberos user over TCP
    AZ_PERMIT_MOVE,  // destination: a permit for a move         operator, Kerberos user over TCP
    AZ_PERMIT_SHOW,  // destination: a host shows a permit       channel + permit
    AZ_ACTION_MAX_
};
const char *az_action_name(enum az_action a); // "view", "move-out": stable, for the audit log

// Who asks. Borrowed pointers, valid for the call.
struct az_actor {
    bool local;                     // over the unix socket
    uid_t uid;                      // its peer's uid (SO_PEERCRED)
    const struct az_identity *user; // Kerberos user of this session; AZ_PEER_CHECK, AZ_MOVE_IN: of
                                    // the inner context, or whom the permit was given to
    const struct az_identity *host; // the host channel's other end, NULL on every other session
    const char *host_fqdn;          // and its FQDN, by the directory
    // The permit that is shown in place of a delegated ticket. At the source, which knows only that
    // the user brought one, a zeroed one. NULL: none.
    const struct az_permit *permit;
    const char *vm_uuid, *vm_name; // AZ_PEER_CHECK, AZ_MOVE_IN with a permit: the VM in question
};

// What this host has decided. Borrowed pointers.
struct az_policy {
    const char *fqdn;  // of this host
    uid_t own_uid;     // droverd's: with uid 0 the local administrator
    bool receive;      // setting `receive`
    bool send;         // setting `send`
    enum az_auth auth; // setting `auth`
    const struct az_roles *roles;
};

enum { AZ_REFUSALS_MAX = 4 };
struct az_refusal {
    char id[DRV_ID_LEN];
    char reason[512];
    char fix[384];
};
struct az_decision {
    bool allowed;
    enum az_role role; // of the actor; AZ_NONE for hosts
    char who[1024]; // "HV1$@… on behalf of alice@… (operator via VM Operators)": for the audit log
    char id[DRV_ID_LEN];                         // of the first refusal, "" when allowed
    char reason[512];                            // one line, allowed or not
    char fix[384];                               // "" when allowed
    struct az_refusal refusals[AZ_REFUSALS_MAX]; // all that stands in the way, for a preflight
    unsigned n_refusals;                         // 0 when allowed
};

// The one place that decides. Always fills *ret; returns ret->allowed.
//   A01 no role · A02 role too low (this host) · A03 role too low at the destination · A04 not in
//   the hosts' group · A06 user not proven, or proven for another host or by another host · A07 the
//   permit is for another host, VM or purpose · D13 the user's ticket was not obtained by
//   constrained delegation · D15 a permit is wanted here · D16 permits are not accepted here · K01
//   a Kerberos ticket is needed · R01 receive is off · R02 send is off
bool az_decide(const struct az_policy *policy, enum az_action action, const struct az_actor *actor,
               struct az_decision *ret);
// A refusal as an error: DRV_EDENIED with id and hint. Returns -1.
int az_decision_err(const struct az_decision *d, struct drv_err *err);

#endif
