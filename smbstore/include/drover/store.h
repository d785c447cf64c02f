// SPDX-License-Identifier: GPL-3.0-or-later
// A store: a place for VM home folders and images, smb://server/share[/path] or local:/path, behind
// one interface. An smb store is served by one drover-smb process per open handle (libsmbclient is
// not thread-safe and can wedge); every call has a time-out, after which the process is killed.
// Blocking: worker threads only. One thread at a time per handle.
#ifndef DROVER_STORE_H
#define DROVER_STORE_H

#include "drover/vmdef.h"

enum ss_kind { SS_LOCAL, SS_SMB };

struct ss_url {
    enum ss_kind kind;
    char server[256]; // smb: FQDN
    char share[81];
    char path[SS_PATH_MAX]; // local: absolute path; smb: path below the share, "" = its root
};
// "smb://fs.example.lan/VM/sub", "local:/srv/vm". -1 DRV_EINVAL with what is expected.
int ss_url_parse(const char *url, struct ss_url *ret, struct drv_err *err);
// The same place, as far as the texts tell: servers, shares and paths on SMB without regard to case
// (MS-SMB2 has them so), and a slash at the end says nothing.
bool ss_url_same(const struct ss_url *a, const struct ss_url *b);

struct ss_identity {
    const char *ccache; // "FILE:/run/…": who we are at the SMB server; NULL for local stores
    const char *helper; // path of drover-smb
    int timeout_ms;     // per call
    gid_t image_gid;    // group of images created in a local store, one of QEMU's
};

struct ss_store;
struct ss_store *ss_store_open(const char *url, const struct ss_identity *who, struct drv_err *err);
void ss_store_close(struct ss_store *st); // NULL allowed

struct ss_stat {
    bool is_dir;
    uint64_t size_bytes;
    uint64_t allocated_bytes;    // local: blocks; SMB: size_bytes, as servers do not tell
    uint64_t volume_id, file_id; // as the file system or server tells them; volume 0 = unknown
};
int ss_stat(struct ss_store *st, const char *path, struct ss_stat *ret, struct drv_err *err);
int ss_mkdir(struct ss_store *st, const char *path,
             struct drv_err *err); // and its parents; exists = ok
int ss_rmdir(struct ss_store *st, const char *path,
             struct drv_err *err); // must be empty; missing = ok
int ss_unlink(struct ss_store *st, const char *path, struct drv_err *err); // missing = ok
int ss_rename(struct ss_store *st, const char *from, const char *to, bool replace,
              struct drv_err *err);
int ss_chmod_readonly(struct ss_store *st, const char *path,
                      struct drv_err *err); // mode 0400 / DOS read-only
// Names in a folder, at most max (bounded); returns a JSON array of strings, new reference. Names
// that are not legal in a path (ss_path_valid) are left out: drover makes no such files.
json_t *ss_list(struct ss_store *st, const char *path, size_t max, struct drv_err *err);
// Whole small file, at most max bytes; NUL-terminated copy, caller frees. Missing: DRV_ENOTFOUND.
char *ss_read(struct ss_store *st, const char *path, size_t max, size_t *ret_len,
              struct drv_err *err);
// Replace a small file durably: temporary name, flush, rename.
int ss_write(struct ss_store *st, const char *path, const void *data, size_t len,
             struct drv_err *err);
// Create a file of a size (sparse), from optional initial bytes of a local file (e.g. an empty
// qcow2). Fails with DRV_EEXIST when there is one. Local stores: ours, of image_gid, mode 0660.
int ss_create_image(struct ss_store *st, const char *path, uint64_t size_bytes,
                    const char *initial_file, struct drv_err *err);
// Copy a file within the store; holes stay holes. The source is held against writers meanwhile
// (DRV_EBUSY when somebody has it open for writing; a local store cannot tell), the target has its
// name only when it is whole and written out. DRV_EEXIST when there is a target. Reads all of the
// source on SMB, holes too: some 150 to 300 MB/s. Long runs of data are copied by the server.
// When the server goes away in the middle, its part of a copy is left under a temporary name, which
// err->hint tells.
// progress: called now and then with bytes done; non-zero ends it with DRV_ECANCELLED. May be NULL.
int ss_copy(struct ss_store *st, const char *from, const char *to,
            int (*progress)(void *arg, uint64_t done_bytes, uint64_t size_bytes), void *arg,
            struct drv_err *err);
struct ss_space {
    uint64_t free_bytes, total_bytes;
};
int ss_space(struct ss_store *st, struct ss_space *ret, struct drv_err *err);
// Prove that this identity may write below folder path: creates and removes a probe file.
int ss_probe_write(struct ss_store *st, const char *path, struct drv_err *err);
// Prove write access without a change: opens an existing file for writing, sharing everything.
int ss_probe_open_rw(struct ss_store *st, const char *path, struct drv_err *err);

// --- permissions: Windows ACLs (MS-DTYP 2.4.4), SMB stores only: DRV_ESTATE on local ones ---
enum { SS_ACL_MAX = 64, SS_WHO_MAX = 160 };
enum { // masks of the usual rights, as Windows Explorer sets them on files and folders
    SS_MAY_READ = 0x1200a9,
    SS_MAY_CHANGE = 0x1301bf,
    SS_MAY_ALL = 0x1f01ff,
};
struct ss_ace {
    char who[SS_WHO_MAX]; // "S-1-5-21-…", or DOMAIN\name
    bool deny;
    uint32_t mask;
    bool to_files, to_folders; // inherited by what is made below
    bool only_below;           // not for the folder itself
    bool one_level;            // inherited by its own children alone
    bool inherited;
};
struct ss_acl {
    char owner[SS_WHO_MAX], group[SS_WHO_MAX]; // read, never set
    unsigned n;
    struct ss_ace list[SS_ACL_MAX];
};
// path "": the store's folder. names: grantees as DOMAIN\name where the server knows them.
// -1 DRV_EPEER when the list has more than SS_ACL_MAX entries or kinds other than allow and deny.
int ss_acl_get(struct ss_store *st, const char *path, bool names, struct ss_acl *ret,
               struct drv_err *err);
// Replaces the list, whole, and reads it back: -1 DRV_EPEER when the server made something else of
// it. All of `who` are SIDs or all are names. Refusals come before permissions; an empty list,
// which would lock everyone out, is refused. What is below does not follow by itself.
int ss_acl_set(struct ss_store *st, const char *path, const struct ss_acl *acl,
               struct drv_err *err);

// --- images (qemu-img does the formats) ---
struct ss_image_info {
    enum ss_format format;
    uint64_t virtual_bytes;
    uint64_t allocated_bytes; // local: blocks; SMB: file size
    bool has_backing, has_snapshots;
};
// Create an empty image: qcow2 is made locally by qemu-img in tmp_dir and uploaded.
int ss_image_create(struct ss_store *st, const char *path, enum ss_format format,
                    uint64_t virtual_bytes, const char *tmp_dir, struct drv_err *err);
// Read an image's header without taking QEMU's lock. qcow2 headers are read by our own bounded
// parser of the documented header (docs/interop/qcow2.txt), as the file may lie on SMB.
int ss_image_info(struct ss_store *st, const char *path, enum ss_format format,
                  struct ss_image_info *ret, struct drv_err *err);

#endif
