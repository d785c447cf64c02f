// SPDX-License-Identifier: GPL-3.0-or-later
// What is missing in a folder's list of permissions, and what in it lets in too many. No I/O: see
// ss_acl_get and ss_acl_set in store.h.
#ifndef DROVER_ACL_PLAN_H
#define DROVER_ACL_PLAN_H

#include "drover/store.h"

// The folder and all that is made below it.
struct ss_grant {
    const char *sid; // "" = nobody's yet, so that it is missing for certain
    uint32_t mask;   // SS_MAY_…
};

// *ret is have with an entry more for each grant that it does not give in full, and without entries
// that give and deny nothing; *ret_missing[i]: grant i was not there. What is there is never
// narrowed: a grant that somebody is denied counts as given when an entry allows it. Returns the
// number of missing ones. -1 DRV_EPEER: no room in *ret.
int ss_acl_plan(const struct ss_acl *have, const struct ss_grant *grants, unsigned n,
                struct ss_acl *ret, bool ret_missing[], struct drv_err *err);

// Does the entry let all of a domain, or more, change things? domain_sid: without the RID.
bool ss_ace_is_broad(const struct ss_ace *a, const char *domain_sid);

#endif
