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

int ha_hosts(struct ha *ha, struct dg_host **ret, unsigned *ret_n, struct drv_err *err)
{
    struct ha_settings s;
    const char *sid = NULL;
    ha_settings_get(ha, &s);
    for (unsigned i = 0; i < s.roles.n && !sid; i++)
        if (s.roles.list[i].hosts && s.roles.list[i].sid[0])
            sid = s.roles.list[i].sid;
    if (!sid) {
        drv_err(err, DRV_ENOTFOUND, "the setting roles of %s names no hosts' group", ha->fqdn);
        return drv_err_hint(err, "drover host set roles=\"…,hosts=GROUP\"");
    }
    HA_AUTO_DIRECTORY struct dg_ldap *l = ha_directory(ha, err);
    return l ? dg_ldap_hosts(l, sid, ret, ret_n, err) : -1;
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
