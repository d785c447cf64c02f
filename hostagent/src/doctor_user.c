// SPDX-License-Identifier: GPL-3.0-or-later
// Who asks the doctor: her role by her ticket and by the directory, and whether this host may act
// for her at the file servers.
#include <string.h>

#include "doctor.h"
#include "drover/store.h"

// The role that a ticket issued now would give. -1: the directory does not tell.
static int role_of_new_ticket(struct ha_doctor *d, enum az_role *ret, struct drv_err *err)
{
    struct dg_account a = {0};
    struct dg_strings groups DRV_CLEANUP(dg_strings_done) = {0};
    AZ_AUTO_IDENTITY struct az_identity id = {0};
    if (dg_ldap_account(d->ldap, d->user->id.az.account, &a, err) < 0)
        return -1;
    int rc = dg_ldap_groups_of(d->ldap, a.dn, &groups, err);
    if (rc == 0) {
        DRV_COPY(id.sid, a.sid);
        id.groups = drv_xcalloc(groups.n + 1, sizeof *id.groups);
        for (unsigned i = 0; i < groups.n; i++)
            DRV_COPY(id.groups[id.n_groups++], groups.list[i]);
        *ret = az_role_of(&d->settings->roles, &id, NULL);
    }
    dg_account_done(&a);
    return rc;
}

void ha_doctor_user(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *name = d->user->id.az.name;
    int name_len = (int)strcspn(name, "@");
    enum az_role now = d->role;
    if (d->ldap && role_of_new_ticket(d, &now, &err) < 0)
        drv_finding_err(d->out, "K04", d->ha->fqdn, &err);
    if (now > d->role) {
        drv_finding_add(d->out, "A08", d->ha->fqdn,
                        "%s has the role %s here, but her ticket is older and gives %s", name,
                        az_role_name(now), az_role_name(d->role));
        drv_finding_command(d->out, DRV_AT_USER, "kinit %.*s", name_len, name);
    } else if (now < d->role) {
        drv_finding_add(d->out, "A11", d->ha->fqdn,
                        "%s keeps the role %s until her ticket ends; a new one gives %s", name,
                        az_role_name(d->role), az_role_name(now));
    } else if (d->role == AZ_NONE) {
        drv_finding_add(d->out, "A01", d->ha->fqdn, "%s has no role on %s", name, d->ha->fqdn);
        for (unsigned i = 0; i < d->settings->roles.n; i++)
            if (d->settings->roles.list[i].role == AZ_OPERATOR &&
                d->settings->roles.list[i].label[0])
                drv_finding_command(d->out, DRV_AT_DOMAIN, "samba-tool group addmembers '%s' %.*s",
                                    d->settings->roles.list[i].label, name_len, name);
    }
}

void ha_doctor_say_delegation(struct ha_doctor *d, const char *id, const struct drv_err *e)
{
    static const char *const ids[] = {"D10", "D11", "D12", "D14", "K03"};
    if (!drv_finding_err(d->out, id, d->ha->fqdn, e))
        return;
    struct drv_finding *f = &d->out->list[d->out->n - 1];
    for (unsigned i = 0; i < DRV_ARRAY_LEN(ids); i++)
        if (!strcmp(f->id, ids[i]) && d->settings->auth == AZ_AUTH_EITHER)
            f->severity = DRV_SEV_WARNING;
}

// Acting for the user at a file server is tried with the first store there.
static bool seen_before(const struct db_stores *all, unsigned at, const struct ss_url *u)
{
    for (unsigned i = 0; i < at; i++) {
        struct ss_url other;
        if (ss_url_parse(all->list[i].url, &other, NULL) == 0 && other.kind == SS_SMB &&
            !strcasecmp(other.server, u->server))
            return true;
    }
    return false;
}

void ha_doctor_user_at_stores(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_stores all = {0};
    if (d->settings->auth == AZ_AUTH_PERMIT)
        return; // nobody acts for users
    if (db_store_list(d->ha->db, &all, &err) < 0) {
        drv_finding_err(d->out, "S01", d->ha->fqdn, &err);
        return;
    }
    for (unsigned i = 0; i < all.n; i++) {
        struct ss_url u;
        drv_err_clear(&err);
        if (ss_url_parse(all.list[i].url, &u, &err) < 0 || u.kind != SS_SMB)
            continue;
        if (ha_store_user_may(d->ha, all.list[i].name, d->user, NULL, &err) == 0) {
            drv_finding_add_as(d->out, DRV_SEV_OK, "A05", d->ha->fqdn,
                               "%s may write to store %s, with a ticket that this host got",
                               d->user->id.az.name, all.list[i].name);
        } else if (!ha_store_user_unheard(&err)) {
            if (d->role < AZ_OPERATOR || err.code == DRV_ENOTFOUND)
                continue; // whoever only looks need not write; a share that is not there: S12
            drv_finding_add(d->out, "A05", d->ha->fqdn, "%s may not write to store %s: %s",
                            d->user->id.az.name, all.list[i].name, err.msg);
            if (err.code == DRV_EDENIED)
                drv_finding_command(d->out, DRV_AT_DOMAIN, "drover delegation setup --store %s",
                                    all.list[i].url);
        } else if (!seen_before(&all, i, &u)) {
            ha_doctor_say_delegation(d, NULL, &err);
        }
    }
    db_stores_done(&all);
}
