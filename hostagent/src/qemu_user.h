// SPDX-License-Identifier: GPL-3.0-or-later
// Whom QEMU runs as: qemu_user and qemu_group of drover.conf.
#ifndef HOSTAGENT_QEMU_USER_H
#define HOSTAGENT_QEMU_USER_H

#include "drover/conf.h"
#include <stdbool.h>
#include <sys/types.h>

// Names or numbers. -1 DRV_EINVAL: there is no such user or group, or it is root.
int ha_qemu_user(const struct drv_conf *conf, uid_t *ret_uid, gid_t *ret_gid, struct drv_err *err);
// Has the system put this user into the group? Any thread.
bool ha_qemu_user_in(uid_t uid, gid_t gid);

#endif
