// SPDX-License-Identifier: GPL-3.0-or-later
// Active Directory as this host: see agent.h.
#include "agent.h"

static const char *dc_of(struct ha *ha)
{
    const char *dc = drv_conf_str(ha->conf, "dc");
    return dc[0] ? dc : NULL;
}

struct dg_ldap *ha_directory(struct ha *ha, struct drv_err *err)
{
    char ccache[512];
    if (ha_host_ccache(ha, ccache, sizeof ccache, err) < 0)
        return NULL;
    return dg_ldap_open(ccache, NULL, dc_of(ha), err);
}

void ha_directory_close(struct dg_ldap **l)
{
    dg_ldap_free(*l);
}

void ha_delegation_env(struct ha *ha, const struct ha_peer *user, const char *host_ccache,
                       struct dg_env *ret)
{
    *ret = (struct dg_env){.host_ccache = host_ccache,
                           .dc = dc_of(ha),
                           .user_known = true,
                           .user_not_delegated = user->id.az.not_delegated,
                           .user_protected = user->id.az.protected_user};
}
