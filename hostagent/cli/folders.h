// SPDX-License-Identifier: GPL-3.0-or-later
// The stores' folders at file servers: who of the domain lacks permissions there, and giving them.
// With the ticket at hand, for `drover delegation setup`.
#ifndef DROVER_CLI_FOLDERS_H
#define DROVER_CLI_FOLDERS_H

#include "cli.h"
#include "drover/acl_plan.h"
#include "drover/delegation_setup.h"

struct folder {
    char *url;
    struct ss_url at;
    struct ss_acl wanted; // what is there and what is missing
    bool missing[DG_GRANTEE_MAX_];
    unsigned n_missing;
};
struct folders {
    struct dg_who who[DG_GRANTEE_MAX_];
    struct folder *list;
    unsigned n;
};

// Read the lists of the stores' folders. URLs without a share, and names of servers alone, have no
// folder. Notes go to the plan.
int folders_plan(struct folders *f, struct dg_ldap *l, const struct dg_wanted *w,
                 const char *const urls[], unsigned n, struct dg_plan *plan, struct drv_err *err);
void folders_done(struct folders *f);
unsigned folders_missing(const struct folders *f); // entries of all lists
// Give what is missing: reads the lists again, for groups that have been made since then. *ret_done
// counts entries, on failure as well.
int folders_apply(struct folders *f, struct dg_ldap *l, const struct dg_wanted *w,
                  unsigned *ret_done, struct drv_err *err);

void folders_show(const struct cli *c, const struct folders *f);
// As commands, on stdout.
void folders_smbcacls(const struct folders *f, const char *prefix);
void folders_icacls(const struct folders *f);

#endif
