// SPDX-License-Identifier: GPL-3.0-or-later
// The doctor: is all in order for VMs to live here and to move between this host and others? It
// does for real what a move would do (tickets, log-ons, acting for the user, opening shares,
// sending packets) and changes nothing. Preflight of one VM is `move.check`; this needs none.
//
//   doctor.c           one examination from beginning to end
//   doctor_kerberos.c  this host: name, keytab, clock, its account and groups, the setting roles
//   doctor_user.c      who asks: role and ticket, acting for her at file servers
//   doctor_stores.c    stores
//   doctor_peer.c      another host, reached as this host and as the user; what both have
//   doctor_lists.c     bridges, CPU models and stores of two hosts, compared. Pure
//   pmtu.c             do large packets pass?
//
// Worker threads; seconds per store and per host.
#ifndef HOSTAGENT_DOCTOR_H
#define HOSTAGENT_DOCTOR_H

#include "agent.h"
#include "drover/facts.h"
#include "drover/finding.h"

enum { HA_DOCTOR_PEERS_MAX = 32 };

struct ha_doctor {
    struct ha *ha;
    const struct ha_settings *settings;
    struct ha_peer *user; // who asks; NULL = root of this host, without a ticket
    enum az_role role;    // of that user here
    struct dg_ldap *ldap; // as this host; NULL = the directory does not answer (told already)
    bool identity_only;   // tickets, delegation and roles; no stores, networks, versions
    struct drv_findings *out;
};

// Examine this host, and for each of peers (full names) the way there. user: see struct ha_doctor;
// one without a role is told why and nothing else.
void ha_doctor_run(struct ha *ha, struct ha_peer *user, enum az_role role,
                   const char *const peers[], unsigned n_peers, bool identity_only,
                   struct drv_findings *ret);

// e as a finding about acting for the user: K and D ids weigh what the setting `auth` makes of
// them, where permits may do instead.
void ha_doctor_say_delegation(struct ha_doctor *d, const char *id, const struct drv_err *e);

// The parts.
void ha_doctor_name(struct ha_doctor *d);
void ha_doctor_keytab(struct ha_doctor *d);
void ha_doctor_directory(struct ha_doctor *d); // fills d->ldap; clock, account, groups
void ha_doctor_roles(struct ha_doctor *d);
void ha_doctor_user(struct ha_doctor *d);
void ha_doctor_user_at_stores(struct ha_doctor *d);
void ha_doctor_stores(struct ha_doctor *d);
void ha_doctor_peer(struct ha_doctor *d, const char *peer);

// What this host has that other hosts' VMs may need, or that its own VMs need of others:
// {bridges:[NAME], cpus:{tcg:[MODEL],kvm:[MODEL]}, uefi, stores:[{name,url}],
//  vms:[{name,accel,cpu,uefi,networks:[NAME]}]}.
json_t *ha_doctor_lists(struct ha *ha);
json_t *ha_doctor_stores_list(struct ha *ha); // its member `stores` alone
// The name of the store with that URL in such a list, NULL = none has it.
const char *ha_doctor_store_of(const json_t *stores, const char *url);
// Do the VMs of host `from` find at `to` what they need? Warnings N01, S01, V04; error S02.
// theirs comes from another host: members that are missing or strange are skipped.
void ha_doctor_compare(const char *from, const json_t *ours, const char *to, const json_t *theirs,
                       struct drv_findings *ret);

#endif
