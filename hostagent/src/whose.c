// SPDX-License-Identifier: GPL-3.0-or-later
// Whose a VM is, by its owner record: see owner.h.
#include <string.h>

#include "agent.h"
#include "owner.h"

bool ha_record_ours(const struct ha *ha, const struct ss_record *rec)
{
    return rec->state == SS_REC_STOPPED ||
           (rec->state == SS_REC_RUNNING && !strcmp(rec->host, ha->fqdn));
}

int ha_whose(struct ha *ha, const char *uuid, struct ss_record *ret, struct drv_err *err)
{
    bool held = false;
    struct ss_store *arbiter = ha_arbiter_open(ha, err);
    int rc = arbiter ? ss_record_peek(arbiter, uuid, ret, &held, err) : -1;
    ss_store_close(arbiter);
    return rc < 0 ? -1 : ha_record_ours(ha, ret);
}
