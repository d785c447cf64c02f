// SPDX-License-Identifier: GPL-3.0-or-later
// What a kind of store must be able to do. store.c checks paths and errors common to all and calls
// through this table; store_local.c and store_smb.c fill it.
#ifndef DROVER_SMBSTORE_STORE_INT_H
#define DROVER_SMBSTORE_STORE_INT_H

#include "drover/store.h"

struct ss_store_ops {
    void (*close)(struct ss_store *st); // frees st
    int (*stat)(struct ss_store *st, const char *path, struct ss_stat *ret, struct drv_err *err);
    int (*mkdir)(struct ss_store *st, const char *path, struct drv_err *err);
    int (*rmdir)(struct ss_store *st, const char *path, struct drv_err *err);
    int (*unlink)(struct ss_store *st, const char *path, struct drv_err *err);
    int (*rename)(struct ss_store *st, const char *from, const char *to, bool replace,
                  struct drv_err *err);
    int (*chmod_readonly)(struct ss_store *st, const char *path, struct drv_err *err);
    json_t *(*list)(struct ss_store *st, const char *path, size_t max, struct drv_err *err);
    // The first bytes of a file, at most max: *ret_len of them, NUL-terminated. *ret_file_bytes:
    // its whole size.
    char *(*read_head)(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
                       uint64_t *ret_file_bytes, struct drv_err *err);
    int (*write)(struct ss_store *st, const char *path, const void *data, size_t len,
                 struct drv_err *err);
    int (*create_image)(struct ss_store *st, const char *path, uint64_t size_bytes,
                        const char *initial_file, struct drv_err *err);
    int (*copy)(struct ss_store *st, const char *from, const char *to,
                int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes), void *arg,
                struct drv_err *err);
    int (*acl_get)(struct ss_store *st, const char *path, bool names, struct ss_acl *ret,
                   struct drv_err *err);
    // text: as ssi_acl_format makes it; names: with names, not SIDs.
    int (*acl_set)(struct ss_store *st, const char *path, bool names, const char *text,
                   struct drv_err *err);
    int (*space)(struct ss_store *st, struct ss_space *ret, struct drv_err *err);
    int (*probe_write)(struct ss_store *st, const char *path, struct drv_err *err);
    int (*probe_open_rw)(struct ss_store *st, const char *path, struct drv_err *err);
    // Is the file open for writing somewhere, so that nobody else could hold it? Needs no more than
    // read access. Local stores: DRV_ESTATE, they cannot tell.
    int (*held)(struct ss_store *st, const char *path, bool *ret, struct drv_err *err);
};

// Common head of every kind's struct.
struct ss_store {
    const struct ss_store_ops *ops;
    struct ss_url url;
};

// Largest ss_read: what fits a helper's reply line in hexadecimal.
enum { SSI_READ_MAX = 448 * 1024 };

struct ss_store *ssi_local_open(const struct ss_url *url, const struct ss_identity *who,
                                struct drv_err *err);
struct ss_store *ssi_smb_open(const struct ss_url *url, const struct ss_identity *who,
                              struct drv_err *err);

// libsmbclient's text of an ACL: "REVISION:1,OWNER:…,GROUP:…,ACL:who:type/flags/mask,…". -1
// DRV_EPEER: not such a text, or more than struct ss_acl can say.
int ssi_acl_parse(const char *text, struct ss_acl *ret, struct drv_err *err);
// The same for setting, without owner and group; caller frees. NULL DRV_EINVAL: not a list that may
// be set. *ret_names: grantees are names.
char *ssi_acl_format(const struct ss_acl *acl, bool *ret_names, struct drv_err *err);
// The lists, in whatever order, not the owners. Names are not compared: a server writes them as it
// likes.
bool ssi_acl_same(const struct ss_acl *a, const struct ss_acl *b);

// ss_read's working half, for readers of headers: see read_head above.
char *ssi_read_head(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
                    uint64_t *ret_file_bytes, struct drv_err *err);

#endif
