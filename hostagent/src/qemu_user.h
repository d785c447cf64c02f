// SPDX-License-Identifier: GPL-3.0-or-later
// Whom QEMU runs as: qemu_user and qemu_group of drover.conf.
#ifndef HOSTAGENT_QEMU_USER_H
#define HOSTAGENT_QEMU_USER_H

#include "drover/conf.h"
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

// Names or numbers. -1 DRV_EINVAL: there is no such user or group, or it is root.
int ha_qemu_user(const struct drv_conf *conf, uid_t *ret_uid, gid_t *ret_gid, struct drv_err *err);
// Has the system put this user into the group? Any thread.
bool ha_qemu_user_in(uid_t uid, gid_t gid);
// Do owner, groups and mode of a file let QEMU's user, with this group as well, do what S_IROTH,
// S_IWOTH or S_IXOTH says for others? Any thread.
bool ha_qemu_may(uid_t uid, gid_t gid, const struct stat *st, mode_t other);

#endif
