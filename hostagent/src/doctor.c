// SPDX-License-Identifier: GPL-3.0-or-later
// One examination, from beginning to end: see doctor.h.
#include "doctor.h"

static void examine(struct ha_doctor *d, const char *const peers[], unsigned n_peers)
{
    ha_doctor_name(d);
    ha_doctor_keytab(d);
    if (d->ldap)
        ha_doctor_roles(d);
    if (d->user)
        ha_doctor_user_at_stores(d);
    if (!d->identity_only)
        ha_doctor_stores(d);
    for (unsigned i = 0; i < n_peers; i++)
        ha_doctor_peer(d, peers[i]);
}

void ha_doctor_run(struct ha *ha, struct ha_peer *user, enum az_role role,
                   const char *const peers[], unsigned n_peers, bool identity_only,
                   struct drv_findings *ret)
{
    struct ha_settings *settings = drv_xcalloc(1, sizeof *settings);
    DRV_AUTO_FREE void *owned = settings;
    struct ha_doctor d = {.ha = ha,
                          .settings = settings,
                          .user = user,
                          .role = role,
                          .identity_only = identity_only,
                          .out = ret};
    ha_settings_get(ha, settings);
    ha_doctor_directory(&d);
    if (user)
        ha_doctor_user(&d);
    if (!user || role >= AZ_VIEWER)
        examine(&d, peers, n_peers);
    dg_ldap_free(d.ldap);
}
