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
};

enum dg_change_kind {
    DG_NEW_GROUP,     // attr and value unused
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

// What is missing. DRV_ENOTFOUND: a host has no account; DRV_EEXIST: another account has a host's
// service name; DRV_EINVAL: a name that is none, or an account without dNSHostName.
int dg_setup_plan(struct dg_ldap *l, const struct dg_wanted *w, struct dg_plan *ret,
                  struct drv_err *err);
// Carry it out, in order. Values that came or went meanwhile are no error. *ret_done: how many were
// carried out, on failure as well. DRV_EDENIED: the directory says no.
int dg_setup_apply(struct dg_ldap *l, const struct dg_plan *p, unsigned *ret_done,
                   struct drv_err *err);

// The plan for people who may not, or do not want to, have it carried out: text to paste, with
// notes as comments. Caller frees.
char *dg_plan_ldif(const struct dg_plan *p);
char *dg_plan_samba_tool(const struct dg_plan *p);
char *dg_plan_powershell(const struct dg_plan *p);

#endif
