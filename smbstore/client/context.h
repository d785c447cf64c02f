// SPDX-License-Identifier: GPL-3.0-or-later
// A libsmbclient context as drover wants it: SMB 3.1.1, encrypted with AES-GCM, Kerberos only, and
// nothing of the machine's or a user's smb.conf that could weaken that. Linked into the two
// programs that use libsmbclient, and into nothing else.
#ifndef DROVER_SMB_CONTEXT_H
#define DROVER_SMB_CONTEXT_H

#include "drover/err.h"
#include <libsmbclient.h>

// Credentials: KRB5CCNAME at the time of the first connection. timeout_ms: per call. NULL + err.
// Free with smbc_free_context().
SMBCCTX *ss_smb_context(int timeout_ms, struct drv_err *err);

#endif
