// SPDX-License-Identifier: GPL-3.0-or-later
// Small JSON files: in a VM's run directory, by which a restarted agent finds what runs, and what
// the probe found out. Blocking.
#ifndef DROVER_HOSTAGENT_JSON_FILE_H
#define DROVER_HOSTAGENT_JSON_FILE_H

#include "drover/err.h"
#include "drover/util.h"

// Replace path, by drv_file_replace(). Mode 0600. No fsync: after a crash of the host there are no
// processes to find.
int ha_json_save(const char *path, const json_t *j, struct drv_err *err);
// At most max_bytes. New reference. NULL: DRV_ENOTFOUND, DRV_EINVAL (no JSON), or what fopen()
// said.
json_t *ha_json_load(const char *path, size_t max_bytes, struct drv_err *err);
void ha_json_remove(const char *path); // with its temporary file

#endif
