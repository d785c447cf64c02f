// SPDX-License-Identifier: GPL-3.0-or-later
// See qemu_user.h. The agent and drover-launch both read it, each for itself.
#include "qemu_user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "drover/util.h"

static bool number(const char *text, unsigned *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno || n >= UINT32_MAX)
        return false;
    *ret = (unsigned)n;
    return true;
}

int ha_qemu_user(const struct drv_conf *conf, uid_t *ret_uid, gid_t *ret_gid, struct drv_err *err)
{
    const char *user = drv_conf_str(conf, "qemu_user");
    const char *group = drv_conf_str(conf, "qemu_group");
    bool uid_given = number(user, ret_uid), gid_given = number(group, ret_gid);
    const struct passwd *pw = uid_given ? NULL : getpwnam(user);
    const struct group *gr = gid_given ? NULL : getgrnam(group);
    if (!uid_given && !pw)
        return drv_err(err, DRV_EINVAL, "qemu_user: there is no user \"%s\"", user);
    if (!gid_given && !gr)
        return drv_err(err, DRV_EINVAL, "qemu_group: there is no group \"%s\"", group);
    if (pw)
        *ret_uid = pw->pw_uid;
    if (gr)
        *ret_gid = gr->gr_gid;
    if (*ret_uid == 0)
        return drv_err(err, DRV_EINVAL, "qemu_user: QEMU must not run as root");
    if (*ret_gid == 0)
        return drv_err(err, DRV_EINVAL, "qemu_group: QEMU must not be of root's group");
    return 0;
}

bool ha_qemu_user_in(uid_t uid, gid_t gid)
{
    char text[4096];
    gid_t groups[256];
    int n = DRV_ARRAY_LEN(groups);
    struct passwd pw, *found = NULL;
    if (getpwuid_r(uid, &pw, text, sizeof text, &found) != 0 || !found ||
        getgrouplist(pw.pw_name, pw.pw_gid, groups, &n) < 0)
        return false;
    while (n > 0 && groups[n - 1] != gid)
        n--;
    return n > 0;
}

bool ha_qemu_may(uid_t uid, gid_t gid, const struct stat *st, mode_t other)
{
    if (st->st_uid == uid)
        return st->st_mode & other << 6;
    if (st->st_gid == gid || ha_qemu_user_in(uid, st->st_gid))
        return st->st_mode & other << 3;
    return st->st_mode & other;
}
