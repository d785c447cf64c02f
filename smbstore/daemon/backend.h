// SPDX-License-Identifier: GPL-3.0-or-later
// The two seams of drover-store's rules (handles.c, record_io.c, watch.c): what speaks SMB, and
// what serves the guest's requests. The program puts the asynchronous client and the disk behind
// them (backend_smb2.c, data_path.c), unit tests put fakes there. Functions that return int give 0
// or a positive errno. Called on the procedure thread, but where it says "any thread".
#ifndef DROVER_STORE_BACKEND_H
#define DROVER_STORE_BACKEND_H

#include "drover/storeproc.h"
#include "drover/util.h"

struct ds_session; // one SMB connection; defined by the backend
struct ds_file;    // one open handle of a session

enum ds_mode {
    DS_OBSERVE,     // read-only, shares everything: another host may hold the file
    DS_HOLD,        // read-write, deny write: fails with EBUSY while another host holds the file
    DS_HOLD_CREATE, // the same, creating an empty file when there is none
};

struct ds_ident {
    uint64_t volume_id, file_id; // on the server's disk
    uint64_t size_bytes;
};

struct ds_backend {
    // A session at the share of the image, or of the record when there is no image. old: ours from
    // before, whose server side is ended first (with its writes done or dropped); stays the
    // caller's.
    struct ds_session *(*connect)(struct ds_session *old, struct drv_err *err);
    // Ends the session and its files, with or without the server's help. NULL allowed.
    void (*disconnect)(struct ds_session *s);
    bool (*alive)(const struct ds_session *s); // its handles may still stand. NULL: no
    int (*open)(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret);
    int (*close)(struct ds_session *s, struct ds_file *f); // f is gone whatever it returns
    // Reads up to len bytes; fewer only at the end of the file.
    int (*read)(struct ds_session *s, struct ds_file *f, void *buf, size_t len, uint64_t offset,
                size_t *ret_len);
    // Writes all of it; extends the file. Durable after flush() alone.
    int (*write)(struct ds_session *s, struct ds_file *f, const void *buf, size_t len,
                 uint64_t offset);
    int (*flush)(struct ds_session *s, struct ds_file *f);
    int (*ident)(struct ds_session *s, struct ds_file *f, struct ds_ident *ret); // as it was opened
    int (*confirm)(struct ds_session *s, struct ds_file *f); // asks the server: does it stand?
    // The beginning of a file on any share, sharing everything.
    int (*peek)(struct ds_session *s, const char *url, void *buf, size_t len, size_t *ret_len);
    // Make durable what others wrote to a file on any share, denying nothing to anybody.
    int (*flush_file)(struct ds_session *s, const char *url);
    // Any thread: end the connection under a call that does not return, and throw away what has not
    // left this host.
    void (*sever)(void);
};

// The guest's requests: see disk.h, which the functions are named after. All but attach() and
// replay(): any thread; none may be called with the store's lock held.
struct ds_data {
    void (*attach)(struct ds_session *s, struct ds_file *image);
    void (*detach)(void);
    int (*replay)(struct ds_session *s, struct ds_file *image);
    int (*settle)(void); // 0: all changes are durable on the attached handle
    void (*set_writable)(bool writable);
    void (*set_size)(uint64_t file_bytes);
    void (*fail)(void);
    void (*heal)(void);
    int64_t (*oldest_ms)(void);
    bool (*dirty)(void); // the log holds something
    // The log is for this file from now on. -1: it holds something for another one.
    int (*bind)(const struct ds_ident *id);
    int (*ready)(struct drv_err *err);         // -1: there can be no disk, and why
    void (*stats)(struct ss_proc_status *ret); // the fields that count requests and the log
};

#endif
