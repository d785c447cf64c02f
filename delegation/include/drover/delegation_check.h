// SPDX-License-Identifier: GPL-3.0-or-later
// What is wrong in Active Directory, as findings: the same comparison that setting it up makes
// (delegation_setup.h), told to a person instead of carried out. Changes nothing; any user may.
//
// Worker threads or a command's main thread: these ask a domain controller.
#ifndef DROVER_DELEGATION_CHECK_H
#define DROVER_DELEGATION_CHECK_H

#include "drover/delegation_setup.h"
#include "drover/finding.h"

// Compare what the hosts of w (`remove` is not looked at), and all in their group, have with what
// they need:
//   A04 not in the group · K05 without its service name · D10, D11 may not act for users at another
//   host or at a file server · D17, D18 may act for too many · D19 encryption types · D20 its
//   service name is another account's · D21 no account, or one without a DNS name
// missing: what D10 and D11 are, by what the hosts authorise moves with: an error where delegation
// is the only way, a warning where permits may do instead, a note where they do.
// -1: the directory could not be asked, or w names no host.
int dg_check(struct dg_ldap *l, const struct dg_wanted *w, enum drv_severity missing,
             struct drv_findings *ret, struct drv_err *err);

#endif
