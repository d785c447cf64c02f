// SPDX-License-Identifier: GPL-3.0-or-later
// What is missing in an ACL: see acl_plan.h. An allowing entry reaches the folder itself, files and
// folders below, by its flags (MS-DTYP 2.4.4.1, 2.5.3); several may give together what is wanted.
#include "drover/acl_plan.h"

#include <string.h>

enum {
    GENERIC_ALL = 0x10000000, // MS-DTYP 2.4.3
    // Whatever changes a folder or what is in it: write, append, delete child, delete, WRITE_DAC,
    // WRITE_OWNER, GENERIC_WRITE, GENERIC_ALL.
    CHANGES =
        0x0002 | 0x0004 | 0x0040 | 0x00010000 | 0x00040000 | 0x00080000 | 0x40000000 | GENERIC_ALL,
};

// What entries of one grantee allow, by where.
struct reach {
    uint32_t here, files, folders;
};

static struct reach reach_of(const struct ss_acl *acl, const char *sid)
{
    struct reach r = {0};
    for (unsigned i = 0; i < acl->n; i++) {
        const struct ss_ace *a = &acl->list[i];
        if (a->deny || strcmp(a->who, sid) != 0)
            continue;
        uint32_t mask = a->mask & GENERIC_ALL ? SS_MAY_ALL : a->mask;
        if (!a->only_below)
            r.here |= mask;
        if (a->to_files && !a->one_level)
            r.files |= mask;
        if (a->to_folders && !a->one_level)
            r.folders |= mask;
    }
    return r;
}

static bool gives(const struct ss_acl *acl, const struct ss_grant *g)
{
    struct reach r = reach_of(acl, g->sid);
    return (r.here & r.files & r.folders & g->mask) == g->mask;
}

// In the order that Windows wants (MS-DTYP 2.4.5): the folder's own before what is inherited.
static int insert(struct ss_acl *acl, const struct ss_grant *g, struct drv_err *err)
{
    unsigned at = 0;
    if (acl->n == SS_ACL_MAX || strlen(g->sid) >= sizeof acl->list[0].who)
        return drv_err(err, DRV_EPEER, "the list of permissions has no room for another entry");
    while (at < acl->n && !acl->list[at].inherited)
        at++;
    memmove(&acl->list[at + 1], &acl->list[at], (acl->n - at) * sizeof acl->list[0]);
    acl->list[at] = (struct ss_ace){.mask = g->mask, .to_files = true, .to_folders = true};
    (void)DRV_COPY(acl->list[at].who, g->sid);
    acl->n++;
    return 0;
}

int ss_acl_plan(const struct ss_acl *have, const struct ss_grant *grants, unsigned n,
                struct ss_acl *ret, bool ret_missing[], struct drv_err *err)
{
    int missing = 0;
    *ret = *have;
    ret->n = 0;
    // Samba shows an entry without rights for a mode without rights, and takes none.
    for (unsigned i = 0; i < have->n; i++)
        if (have->list[i].mask)
            ret->list[ret->n++] = have->list[i];
    for (unsigned i = 0; i < n; i++) {
        ret_missing[i] = !grants[i].sid[0] || !gives(ret, &grants[i]);
        missing += ret_missing[i];
        if (ret_missing[i] && insert(ret, &grants[i], err) < 0)
            return -1;
    }
    return missing;
}

bool ss_ace_is_broad(const struct ss_ace *a, const char *domain_sid)
{
    // MS-DTYP 2.4.2.4: Everyone, Anonymous, Authenticated Users, Network, BUILTIN's Guests and
    // Users, Pre-Windows 2000 Compatible Access.
    static const char *const many[] = {"S-1-1-0",      "S-1-5-7",      "S-1-5-11",    "S-1-5-2",
                                       "S-1-5-32-546", "S-1-5-32-545", "S-1-5-32-554"};
    // A domain's Guests, Domain Users, Domain Guests, Domain Computers.
    static const char *const rids[] = {"-501", "-513", "-514", "-515"};
    size_t len = strlen(domain_sid);
    if (a->deny || !(a->mask & CHANGES))
        return false;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(many); i++)
        if (!strcmp(a->who, many[i]))
            return true;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(rids); i++)
        if (!strncmp(a->who, domain_sid, len) && !strcmp(a->who + len, rids[i]))
            return true;
    return false;
}
