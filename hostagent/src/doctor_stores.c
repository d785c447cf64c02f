// SPDX-License-Identifier: GPL-3.0-or-later
// The stores of this host, as the doctor sees them: `drover store check` of each.
#include "doctor.h"
#include "store_check.h"

void ha_doctor_stores(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_stores all = {0};
    if (db_store_list(d->ha->db, &all, &err) < 0) {
        drv_finding_err(d->out, "S01", d->ha->fqdn, &err);
        return;
    }
    for (unsigned i = 0; i < all.n; i++)
        if (ha_store_check(d->ha, all.list[i].name, d->out, &err) < 0)
            drv_finding_err(d->out, "S01", d->ha->fqdn, &err);
    db_stores_done(&all);
}
