// SPDX-License-Identifier: GPL-3.0-or-later
// Can VMs live on a store? What `drover store check` tells.
#ifndef HOSTAGENT_STORE_CHECK_H
#define HOSTAGENT_STORE_CHECK_H

#include "agent.h"
#include "drover/finding.h"
#include "drover/storeprobe.h"

// Look at a store as this host. Leaves nothing behind. ret: also what is in order (DRV_SEV_OK).
// -1 DRV_ENOTFOUND S01: no such store. Worker thread; seconds.
int ha_store_check(struct ha *ha, const char *name, struct drv_findings *ret, struct drv_err *err);

// The parts of it that only judge: what drover-store reported of a share, and what lies below a
// local folder.
void ha_store_judge_probe(const struct ss_probe *p, const char *name, const char *host,
                          struct drv_findings *ret);
void ha_store_judge_folder(const char *path, const char *name, const char *host,
                           struct drv_findings *ret);

#endif
