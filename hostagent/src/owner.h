// SPDX-License-Identifier: GPL-3.0-or-later
// Ownership of one VM on this host: its drover-store processes and the owner record they hold
// (DESIGN.md section 3). Every acquisition and release in drover goes through here, in the order of
// rules 2 and 3. Blocking; one procedure at a time.
#ifndef HOSTAGENT_OWNER_H
#define HOSTAGENT_OWNER_H

#include "drover/delegation.h"
#include "drover/storeproc.h"

struct ha;

enum { HA_URL_MAX = 600, HA_HOLD_TIMEOUT_MS = 20000 };

struct ha_owner {
    struct ha *ha;
    char uuid[DRV_UUID_LEN];
    char dir[256];
    struct ss_vmdef def;
    struct ss_proc *procs[SS_MAX_DISKS + 1]; // control connections; NULL = found dead
    char names[SS_MAX_DISKS + 1][SS_NAME_MAX];
    char urls[SS_MAX_DISKS + 1][HA_URL_MAX]; // of the disk's store; "" for the record alone
    int disk_ix[SS_MAX_DISKS + 1];           // index into def.disks; -1 = the record alone
    bool is_new[SS_MAX_DISKS + 1];
    bool guards[SS_MAX_DISKS + 1]; // started so that it pauses the guest when the record is lost
    // Its disk went to another store (ha_owner_adopt): it goes on for the record alone. It cannot
    // be promoted any more and pauses nobody, which the images' own processes do.
    bool image_gone[SS_MAX_DISKS + 1];
    unsigned n;
    unsigned record_ix; // the one that holds the record
    // Processes that run here but serve none of the VM's disks: new images that are being filled,
    // old ones that are to be let go.
    char others[2 * SS_MAX_DISKS][SS_NAME_MAX];
    unsigned n_others;
    struct ss_record rec; // as last read or written
    bool rec_valid;
    char image_ids[SS_MAX_DISKS][DRV_UUID_LEN]; // of new images, by disk; "" = as in the record
    char unsettled[DRV_UUID_LEN]; // nonce of a commit whose outcome is unknown, "" = none
};

// What every drover-store of this host is started with, by the settings of that store. The caller
// completes spec.
struct ha_proc_base {
    struct ss_proc_spec spec;
    char principal[DG_NAME_LEN];
};
int ha_proc_base(struct ha *ha, const char *store, struct ha_proc_base *ret, struct drv_err *err);

// Start the processes for def on this host (those disks that lie on SMB stores, and one for the
// record where needed), observing. fresh: bit i set = disk i is a new image that a move fills: it
// is held and writable at once. On failure nothing is left.
struct ha_owner *ha_owner_start(struct ha *ha, const struct ss_vmdef *def, unsigned fresh,
                                struct drv_err *err);
// Connect to the processes that run already (after a restart of the agent); some may be dead. Which
// there are is in <dir>/stores.json.
struct ha_owner *ha_owner_attach(struct ha *ha, const struct ss_vmdef *def, struct drv_err *err);
// Rule 2 up to the read: hold record and images (create: the record may be new), read the record.
// DRV_EBUSY: somebody else holds one. On failure everything is dropped again.
int ha_owner_hold(struct ha_owner *o, bool create, struct drv_err *err);
// Check what was read against the definition: the image set must be exactly def's SMB and local
// disks (store and path), and the held files must be those the record names (volume and file id).
// S07/attention otherwise. Also checks the highest epoch seen by this agent (I3).
// skip: bit per disk that is not compared (a move's new images are not in the record yet).
int ha_owner_check_images(struct ha_owner *o, unsigned skip, struct drv_err *err);
// The commit: epoch+1, running here, this instance; flush; raise the db's epoch; promote all.
// vm_json_sha256 of vm.<epoch+1>.json, written before. 1 = ours, 0 = proven not ours, -1 = unknown
// (rule 5). move: the id of the move by which it is taken, "" otherwise.
int ha_owner_commit(struct ha_owner *o, const char *instance, const char *move,
                    const char *home_store, const char *home, const char *vm_json_sha256,
                    struct drv_err *err);
// Does the record as last read or written say that this instance runs here?
bool ha_owner_names(const struct ha_owner *o, const char *instance);
// Rule 3: drain and flush, write the record at the same epoch in `state` (released: to, move),
// close images, then the record. ret_written: see mv_store_ports.release.
int ha_owner_release(struct ha_owner *o, enum ss_record_state state, const char *to,
                     const char *move, bool *ret_written, struct drv_err *err);
// A new VM, after ha_owner_hold(create): its first record, epoch 1, stopped, then all handles are
// closed. vm_json_sha256: of vm.1.json, written before.
int ha_owner_create(struct ha_owner *o, const char *home_store, const char *home,
                    const char *vm_json_sha256, struct drv_err *err);
// Does the guest depend on what is held here (it has SMB disks)?
bool ha_owner_guards(const struct ha_owner *o);
// Does process i pause the guest when it loses what it holds?
bool ha_owner_pauses(const struct ha_owner *o, unsigned i);
// State of process i; DRV_EUNREACHABLE when it is dead.
int ha_owner_status(struct ha_owner *o, unsigned i, struct ss_proc_status *ret,
                    struct drv_err *err);
// Start process i anew if it is dead, and hold what it held.
int ha_owner_revive(struct ha_owner *o, unsigned i, struct drv_err *err);
// After a lost session or a dead process (rule 4): new sessions, images first, then the record; all
// are held afterwards.
int ha_owner_reopen(struct ha_owner *o, struct drv_err *err);
// The same, then read the record; when it still names this host and instance at our epoch, promote.
// DRV_EATTENTION: fenced, or the record does not fit.
int ha_owner_resume(struct ha_owner *o, const char *instance, struct drv_err *err);
// 0 when record and images are held here, promoted at rec.epoch, and the record read back now says
// running, this host, this instance.
int ha_owner_verify(struct ha_owner *o, const char *instance, struct drv_err *err);
// A definition that was written to the home store by the name that ha_home_path() gives is durable
// afterwards; before a record may name it. Nothing to do on a local store, which flushed it.
int ha_owner_flush_home(struct ha_owner *o, const char *store, const char *home, uint64_t epoch,
                        const char *sha256, struct drv_err *err);
int ha_owner_set_patience(struct ha_owner *o, int ms, struct drv_err *err);
bool ha_owner_lost(struct ha_owner *o, char *why, size_t size); // some process has lost its session
// End all processes, those of the VM's discs too. NULL allowed; frees o in any case.
int ha_owner_quit(struct ha_owner *o, struct drv_err *err);
void ha_owner_free(struct ha_owner *o); // closes the connections, leaves the processes alone

// --- owner_disks.c: disks that go to another store while the VM runs ---
// The drover-stores of new images: of next's disks in mask those that lie on SMB stores; they are
// held and writable at once. tag is part of their names. On failure nothing is left.
struct ha_owner *ha_owner_targets_start(struct ha_owner *o, const struct ss_vmdef *next,
                                        unsigned mask, const char *tag, struct drv_err *err);
// The same after a restart of the agent: those that run and are not among o's own.
struct ha_owner *ha_owner_targets_attach(struct ha_owner *o, const struct ss_vmdef *next,
                                         unsigned mask, const char *tag, struct drv_err *err);
// End them, of images that nobody uses. NULL allowed; frees t in any case.
int ha_owner_targets_quit(struct ha_owner *o, struct ha_owner *t, struct drv_err *err);
// NBD socket of a target, "" = the disk has none (a local image).
void ha_owner_target_path(const struct ha_owner *t, unsigned disk, char *ret, size_t size);
// Is a target in trouble? Its session lost, or its process dead.
int ha_owner_targets_check(struct ha_owner *t, struct drv_err *err);
// The record at the same epoch, naming the disks of next: those in mask newly, with the ids in
// image_ids. 1 = it stands; 0 = proven that it does not; -1 = cannot be told yet (rule 5): ask
// again.
int ha_owner_change(struct ha_owner *o, struct ha_owner *t, const struct ss_vmdef *next,
                    unsigned mask, const char (*image_ids)[DRV_UUID_LEN], const char *move,
                    const char *home_store, const char *home, const char *vm_json_sha256,
                    struct drv_err *err);
// The same for a VM that stands still, whose record alone is held: it keeps its state. Disks that
// the record does not know lie in their stores.
int ha_owner_redefine(struct ha_owner *o, const struct ss_vmdef *next, const char *vm_json_sha256,
                      struct drv_err *err);
// Whatever it says about images, the record as it stands: read again, after a lost session as well.
int ha_owner_reread(struct ha_owner *o, struct drv_err *err);
// QEMU uses next's disks in mask from now on: their drover-stores take the place of the old ones
// and are promoted. The process that holds the record keeps it. Idempotent; t is empty afterwards.
int ha_owner_adopt(struct ha_owner *o, struct ha_owner *t, const struct ss_vmdef *next,
                   unsigned mask, struct drv_err *err);
// Let go of images that went away, and end their processes.
int ha_owner_retire(struct ha_owner *o, struct drv_err *err);
// For owner_proc.c: which processes there are, as <dir>/stores.json keeps it.
int ha_owner_save(const struct ha_owner *o, struct drv_err *err);
int ha_owner_load(struct ha_owner *o, struct drv_err *err); // DRV_ENOTFOUND: no file
void ha_owner_forget(const struct ha_owner *o);             // remove the file
// Parts of owner.c and owner_proc.c that it uses.
const struct ss_record_image *ha_record_image(const struct ss_record *r,
                                              const char *disk); // NULL: the record has none
struct ha_owner *ha_owner_new(struct ha *ha, const struct ss_vmdef *def);
int ha_owner_start_one(struct ha_owner *o, unsigned i, bool after_crash, struct drv_err *err);
int ha_owner_fill_fresh(struct ha_owner *o, unsigned fresh, struct drv_err *err);
int ha_owner_image_ids(struct ha_owner *o, unsigned disk, struct ss_record_image *ret,
                       struct drv_err *err);
int ha_owner_write(struct ha_owner *o, const struct ss_record *next, struct drv_err *err);
int ha_owner_settle(struct ha_owner *o, struct drv_err *err);
int ha_owner_promote(struct ha_owner *o, struct drv_err *err);

// Socket of the disk's drover-store, "" for a local disk (then *ret_file is its path).
int ha_owner_disk_path(struct ha *ha, const struct ss_vmdef *def, unsigned disk, char *ret_nbd,
                       size_t nbd_size, char *ret_file, size_t file_size, struct drv_err *err);

// --- whose.c ---
// May this host start or delete the VM of this record: does nobody run it, or does this host?
bool ha_record_ours(const struct ha *ha, const struct ss_record *rec);
// Read the record without holding it. 1: ha_record_ours(); 0: it is another host's, as *ret tells;
// -1: not to be found out (DRV_ENOTFOUND: there is no record). Worker thread.
int ha_whose(struct ha *ha, const char *uuid, struct ss_record *ret, struct drv_err *err);

#endif
