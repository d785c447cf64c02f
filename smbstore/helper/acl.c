// SPDX-License-Identifier: GPL-3.0-or-later
// ACLs: see acl.h. Written against libsmbclient 4.17 (libsmb_xattr.c), whose text has two traps: a
// mask in hexadecimal is stored as 0, so decimal it is; and SIDs and names do not mix in one list.
#include "acl.h"

#include <errno.h>
#include <string.h>

static const char *attribute(bool names)
{
    return names ? "system.nt_sec_desc.*+" : "system.nt_sec_desc.*";
}

// A refusal leaves errno as it was.
static int fail(struct conn *c, struct drv_err *err)
{
    if (errno)
        return conn_fail(c, errno, err);
    drv_err(err, DRV_EDENIED, "the server did not take the permissions");
    return drv_err_hint(err, "the account needs the right to change permissions there, and the "
                             "server must know everyone in the list");
}

int acl_read(struct conn *c, const char *path, bool names, char out[ACL_TEXT_MAX],
             struct drv_err *err)
{
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    memset(out, 0, ACL_TEXT_MAX);
    errno = 0;
    if (smbc_getxattr(url, attribute(names), out, ACL_TEXT_MAX - 1) < 0)
        return fail(c, err);
    return 0;
}

int acl_write(struct conn *c, const char *path, bool names, const char *text, struct drv_err *err)
{
    char url[CONN_URL_MAX];
    conn_url(c, path, url);
    errno = 0;
    if (smbc_setxattr(url, attribute(names), text, strlen(text) + 1, 0) == 0)
        return 0;
    if (errno == EINVAL) {
        drv_err(err, DRV_EINVAL, "the server does not know everyone in the list of permissions");
        return drv_err_hint(err, "write names as DOMAIN\\NAME");
    }
    return fail(c, err);
}
