// SPDX-License-Identifier: GPL-3.0-or-later
// Constrained delegation in Active Directory as drover needs it: what is missing, and adding it. A
// domain admin's work, from any machine; no agent takes part.
//
// Every host of the group gets, Kerberos only and without a flag in userAccountControl:
//
//   servicePrincipalName: drover/<fqdn>, drover/<NAME>
//   msDS-AllowedToDelegateTo: those of the other hosts, and cifs/ of the file servers likewise
//   msDS-SupportedEncryptionTypes: AES, and neither DES nor RC4
//
// A host without an account gets one if that is asked for, with a random password that nobody sees:
// what is left of it are the keys in its keytab. And there are the groups of the people: who is in
// one has the role that the hosts' setting `roles` gives it.
//
// MS-SFU 3.1.5.2 (S4U2Proxy asks by FQDN, Windows's consoles list both), MS-KILE 2.2.7.
//
// Worker threads or a command's main thread: all but planning asks a domain controller.
#ifndef DROVER_DELEGATION_SETUP_H
#define DROVER_DELEGATION_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "drover/delegation.h"

enum { DG_SETUP_HOSTS_MAX = 256, DG_SETUP_SERVERS_MAX = 64 };
#define DG_DEFAULT_GROUP "VM Hosts"

enum dg_role { DG_ADMINS, DG_OPERATORS, DG_VIEWERS, DG_ROLE_MAX_ };
struct dg_wanted_role {
    const char *group;        // NULL: leave alone
    const char *const *users; // that shall be in it, by sAMAccountName
    unsigned n_users;
};

// Borrowed strings. Hosts that are in the group already count as asked for; so do the file servers
// that they may delegate to.
struct dg_wanted {
    const char *group; // of the hosts: "VM Hosts"
    const char *const *hosts;
    unsigned n_hosts;
    const char *const *servers; // of the stores: FQDN
    unsigned n_servers;
    const char *const *remove; // hosts that shall go
    unsigned n_remove;
    bool create;                     // accounts for hosts that have none
    const char *const *new_password; // hosts whose password shall change, for the sake of a keytab
    unsigned n_new_password;
    struct dg_wanted_role roles[DG_ROLE_MAX_];
};

enum dg_change_kind {
    DG_NEW_GROUP,     // attr and value unused
    DG_NEW_COMPUTER,  // value: its dNSHostName; its service names follow from that
    DG_NEW_PASSWORD,  // value unused: it is random, and nobody sees it
    DG_ADD_VALUE,     // value to attr
    DG_REMOVE_VALUE,  // value from attr
    DG_REPLACE_VALUE, // attr becomes value
};

// One value each, so that what is there already stays as it is.
struct dg_change {
    enum dg_change_kind kind;
    char *dn;
    char *account; // sAMAccountName of dn: "HV1$", "VM Hosts"
    const char *attr;
    char *value;
    char *value_account; // member: sAMAccountName of the value; else NULL
};

struct dg_plan {
    struct dg_change *changes;
    unsigned n;
    char **notes; // what is wrong but is not drover's to change, with the command that would
    unsigned n_notes;
};
void dg_plan_done(struct dg_plan *p);
void dg_plan_note(struct dg_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Where the keytab of a host ("hv1", "HV1$", "hv1.example.lan") goes. Caller frees.
char *dg_keytab_path(const char *dir, const char *host);
// How many of its changes write a keytab.
unsigned dg_plan_keytabs(const struct dg_plan *p);

// What is missing. DRV_ENOTFOUND: a host or user has no account; DRV_EEXIST: another account has a
// host's service name; DRV_EINVAL: a name that is none, or an account without dNSHostName.
int dg_setup_plan(struct dg_ldap *l, const struct dg_wanted *w, struct dg_plan *ret,
                  struct drv_err *err);
// Carry it out, in order. Values that came or went meanwhile are no error. keytab_dir: where the
// keytabs go, <name>.keytab each; NULL when the plan makes none. Nothing is changed when one of
// them could not be written. *ret_done: how many changes were carried out, on failure as well.
// DRV_EDENIED: the directory, or the folder, says no.
int dg_setup_apply(struct dg_ldap *l, const struct dg_plan *p, const char *keytab_dir,
                   unsigned *ret_done, struct drv_err *err);

// Who has a say in the hosts' folders at the file servers.
enum dg_grantee {
    DG_OF_HOSTS,
    DG_OF_DOMAIN_ADMINS,
    DG_OF_ADMINS,
    DG_OF_OPERATORS,
    DG_GRANTEE_MAX_
};
struct dg_who {
    char name[2 * DG_NAME_LEN]; // "EXAMPLE\VM Hosts"; "" = not asked for
    char sid[DG_SID_LEN];       // "" = there is no such group yet
};
int dg_setup_grantees(struct dg_ldap *l, const struct dg_wanted *w,
                      struct dg_who ret[DG_GRANTEE_MAX_], struct drv_err *err);

// The plan for people who may not, or do not want to, have it carried out: text to paste, with
// notes as comments. Caller frees.
char *dg_plan_ldif(const struct dg_plan *p);
char *dg_plan_samba_tool(const struct dg_plan *p);
char *dg_plan_powershell(const struct dg_plan *p);

#endif
