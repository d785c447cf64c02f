// SPDX-License-Identifier: GPL-3.0-or-later
// The seam between drover-store's rules (handles.c, record_io.c, data.c) and what speaks SMB. Today
// it is libsmbclient (backend_smb.c); unit tests put a fake here. All functions but sever() are
// called on the SMB thread only. Functions that return int give 0 or a positive errno.
#ifndef DROVER_STORE_BACKEND_H
#define DROVER_STORE_BACKEND_H

#include "drover/err.h"
#include "drover/util.h"

struct ds_session; // one SMB connection; defined by the backend
struct ds_file;    // one open handle of a session

enum ds_mode {
    DS_OBSERVE,     // read-only, shares everything: another host may hold the file
    DS_HOLD,        // read-write, deny write: fails with EBUSY while another host holds the file
    DS_HOLD_CREATE, // the same, creating an empty file when there is none
};

struct ds_ident {
    uint64_t volume_id; // names server and share, not the server's volume: see backend_smb.c
    uint64_t file_id;
    uint64_t size_bytes;
};

struct ds_backend {
    struct ds_session *(*connect)(struct drv_err *err); // may be lazy: the first open then connects
    // Ends the session and its files, with or without the server's help. NULL allowed.
    void (*disconnect)(struct ds_session *s);
    int (*open)(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret);
    int (*close)(struct ds_session *s, struct ds_file *f); // f is gone whatever it returns
    // Reads up to len bytes; fewer only at the end of the file.
    int (*read)(struct ds_session *s, struct ds_file *f, void *buf, size_t len, uint64_t offset,
                size_t *ret_len);
    // Writes all of it; extends the file. Durable on return (share: sync always).
    int (*write)(struct ds_session *s, struct ds_file *f, const void *buf, size_t len,
                 uint64_t offset);
    int (*flush)(struct ds_session *s, struct ds_file *f);
    int (*ident)(struct ds_session *s, struct ds_file *f, struct ds_ident *ret);
    // Any thread: cut the connection under a call that does not return, and forget what was not
    // sent.
    void (*sever)(void);
};

// Does this errno of a call on an open handle mean that the session (and so every handle) is gone?
bool ds_session_lost(int errnum);

// libsmbclient, configured by client/context.c. timeout_ms: per call.
const struct ds_backend *ds_backend_smb(int timeout_ms);

#endif
