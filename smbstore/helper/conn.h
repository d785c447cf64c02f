// SPDX-License-Identifier: GPL-3.0-or-later
// One connection of drover-smb to one share, by libsmbclient with Kerberos, SMB 3.1.1 and
// encryption only. One thread.
#ifndef DROVER_SMB_CONN_H
#define DROVER_SMB_CONN_H

#include "drover/store.h"
#include <libsmbclient.h>

// "smb://", server, share, path of the store and a path within it, with every byte of the last
// three as %XX.
enum { CONN_URL_MAX = 6 + 256 + 3 * (81 + SS_PATH_MAX + SS_PATH_MAX + 64) + 8 };

// How far the server let us in: it tells apart refusals that libsmbclient reports with one errno.
enum conn_stage { CONN_NONE, CONN_LOGGED_ON, CONN_IN_SHARE };

struct conn {
    SMBCCTX *ctx;
    struct ss_url url;
    enum conn_stage stage;
    char detail[256]; // last complaint of the libraries below while connecting
};

// Prepare a context; connects to nothing yet. Once per process: it sets what the library reads.
int conn_init(struct conn *c, const struct ss_url *url, int timeout_ms, struct drv_err *err);

// Log on and open the share's folder; nothing to do when that has been done.
int conn_connect(struct conn *c, struct drv_err *err);

// The libsmbclient URL of a path within the store, "" = its own folder.
void conn_url(const struct conn *c, const char *path, char out[CONN_URL_MAX]);

// Turn errno of a failed libsmbclient call into an error that says what to repair. Returns -1.
int conn_fail(const struct conn *c, int errnum, struct drv_err *err);

#endif
