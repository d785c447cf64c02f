// SPDX-License-Identifier: GPL-3.0-or-later
// Reading and setting the Windows ACL of a file or folder, as libsmbclient's text.
#ifndef DROVER_SMB_ACL_H
#define DROVER_SMB_ACL_H

#include "conn.h"

enum { ACL_TEXT_MAX = 32 * 1024 };

// names: grantees as DOMAIN\name, which asks the server's LSA; otherwise as SIDs.
int acl_read(struct conn *c, const char *path, bool names, char out[ACL_TEXT_MAX],
             struct drv_err *err);
// Replaces the whole list of who may do what; the owner stays.
int acl_write(struct conn *c, const char *path, bool names, const char *text, struct drv_err *err);

#endif
