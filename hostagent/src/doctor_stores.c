// SPDX-License-Identifier: GPL-3.0-or-later
// The stores of this host, as the doctor sees them: `drover store check` of each, and the
// permissions of shares.
#include "doctor.h"
#include "drover/acl_plan.h"
#include "drover/store.h"
#include "store_check.h"

// The groups of the setting `roles`, with what each needs below a store's folder.
static unsigned grants_of(const struct az_roles *roles, struct ss_grant ret[AZ_ROLES_MAX],
                          const struct az_role_entry *ret_entry[AZ_ROLES_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < roles->n; i++) {
        const struct az_role_entry *e = &roles->list[i];
        if (!e->sid[0] || (!e->hosts && e->role < AZ_OPERATOR))
            continue;
        ret_entry[n] = e;
        ret[n++] = (struct ss_grant){e->sid, e->hosts ? SS_MAY_ALL : SS_MAY_CHANGE};
    }
    return n;
}

static void check_permissions(struct ha_doctor *d, const struct db_store *store)
{
    struct ss_grant grants[AZ_ROLES_MAX];
    const struct az_role_entry *entries[AZ_ROLES_MAX];
    bool missing[AZ_ROLES_MAX];
    struct drv_err err = DRV_ERR_INIT;
    struct ss_acl *acls = drv_xcalloc(2, sizeof *acls);
    DRV_AUTO_FREE void *owned = acls;
    unsigned n = grants_of(&d->settings->roles, grants, entries);
    struct ss_store *st = ha_store_open(d->ha, store->name, NULL, &err);
    if (!st)
        return; // told by ha_store_check
    int rc = ss_acl_get(st, "", false, &acls[0], &err);
    if (rc == 0)
        rc = ss_acl_plan(&acls[0], grants, n, &acls[1], missing, &err);
    ss_store_close(st);
    if (rc < 0) {
        drv_finding_err(d->out, "S25", d->ha->fqdn, &err);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct az_role_entry *e = entries[i];
        if (!missing[i])
            continue;
        drv_finding_add(d->out, "S25", d->ha->fqdn, "%s: %s may not %s all that is made there",
                        store->name, e->label[0] ? e->label : e->sid,
                        e->hosts ? "control" : "modify");
    }
    if (rc == 0)
        drv_finding_add_as(d->out, DRV_SEV_OK, "S25", d->ha->fqdn,
                           "%s: hosts and operators may do there what they must", store->name);
}

static void check_store(struct ha_doctor *d, const struct db_store *store)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_url u;
    unsigned before = d->out->n;
    if (ha_store_check(d->ha, store->name, d->out, &err) < 0) {
        drv_finding_err(d->out, "S01", d->ha->fqdn, &err);
        return;
    }
    if (ss_url_parse(store->url, &u, &err) < 0 || u.kind != SS_SMB)
        return;
    check_permissions(d, store);
    static const char *const ids[] = {"S12", "S25"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(ids); i++)
        drv_finding_commands(d->out, before, ids[i], d->ha->fqdn, DRV_AT_DOMAIN,
                             "drover delegation setup --store %s", store->url);
}

void ha_doctor_stores(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_stores all = {0};
    if (db_store_list(d->ha->db, &all, &err) < 0) {
        drv_finding_err(d->out, "S01", d->ha->fqdn, &err);
        return;
    }
    for (unsigned i = 0; i < all.n; i++)
        check_store(d, &all.list[i]);
    db_stores_done(&all);
}
