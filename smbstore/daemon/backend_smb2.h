// SPDX-License-Identifier: GPL-3.0-or-later
// The asynchronous SMB client behind backend.h: calls of the procedure thread that wait for the
// loop. One process has one of it.
#ifndef DROVER_STORE_BACKEND_SMB2_H
#define DROVER_STORE_BACKEND_SMB2_H

#include "backend.h"
#include "smb2.h"

struct ds_backend_conf {
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    const char *url; // of the file whose share sessions are made for
    bool no_encryption;
    void (*ended)(const char *why); // loop thread: a session that was connected has ended by itself
};

const struct ds_backend *ds_backend_smb2(const struct ds_backend_conf *conf);

// For the data path, loop thread: where requests go.
struct smb2_conn *ds_session_conn(const struct ds_session *s);
const struct smb2_fid *ds_file_fid(const struct ds_file *f);

#endif
