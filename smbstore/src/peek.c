// SPDX-License-Identifier: GPL-3.0-or-later
// Looking at an owner record without holding it.
#include "drover/storeproc.h"

#include "store_int.h"
#include <stdlib.h>
#include <string.h>

int ss_record_peek(struct ss_store *arbiter, const char *uuid, struct ss_record *ret,
                   bool *ret_held, struct drv_err *err)
{
    char path[SS_PATH_MAX];
    ss_record_path(uuid, path);
    if (!drv_uuid_valid(uuid))
        return drv_err(err, DRV_EINVAL, "\"%.64s\" is not the id of a VM", uuid);
    // Held first: a record read afterwards is at least as new as what was seen of its holder.
    bool held = false;
    if (arbiter->ops->held(arbiter, path, &held, err) < 0)
        return -1;
    size_t len = 0;
    unsigned slot;
    DRV_AUTO_FREE char *bytes = ss_read(arbiter, path, SS_RECORD_BYTES, &len, err);
    if (!bytes)
        return -1;
    struct ss_record r;
    if (ss_record_decode((const uint8_t *)bytes, len, &r, &slot, err) < 0)
        return drv_err_prefix(err, "VM %s", uuid);
    if (strcmp(r.vm, uuid) != 0)
        return drv_err(err, DRV_EATTENTION, "owner record %s names another VM, %s", path, r.vm);
    *ret = r;
    *ret_held = held;
    return 0;
}
