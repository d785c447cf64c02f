// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store: one process per SMB disk of a running VM (and one for the record alone when no disk
// lies on the arbiter store): an NBD export on a unix socket for QEMU, and a control socket for
// droverd. It outlives droverd, and gets its tickets by itself from the host's keytab.
//
// States of its two handles (record, image):
//   observing   image open read-only, sharing everything; NBD writes are refused (EPERM) and logged
//   held        record and image open deny-write; NBD writes refused until promoted
//   promoted    writes go through; the epoch is remembered (0: being filled, see ss_proc_fill)
//   released    record says released, handles closed; reads and FLUSH still answered, writes
//   refused lost        a held handle could not be brought back within the stall deadline, or the
//   record does
//               not confirm us: every request fails with EIO, the guest is being paused by QMP stop
// A session that ends is hidden from the guest: requests wait (stalled_ms > 0) while the process
// connects again, checks image and record and writes again what was acknowledged but not flushed.
// From "lost" it comes back to "held" by the same way, unless `attention`; with guest_paused the
// agent may then promote it and continue the guest.
// A process without holds that loses its session stays what it is and connects again when it must.
// A time-out of an acquisition cuts the connection, so that it cannot succeed behind the caller's
// back. Blocking calls with time-outs: worker threads only. Errors: DRV_EUNREACHABLE (process or
// server gone), DRV_EBUSY (another host holds it), DRV_EATTENTION, DRV_ESTATE, DRV_ETIMEDOUT.
#ifndef DROVER_STOREPROC_H
#define DROVER_STOREPROC_H

#include "drover/proc.h"
#include "drover/record.h"
#include "drover/store.h"
#include <sys/types.h>

struct ss_proc_spec {
    const char *program;    // path of drover-store
    const char *dir;        // run directory of the VM: <dir>/<name>.{nbd,ctl,pid,log,replay}
    const char *name;       // "disk0", or "record"
    const char *keytab;     // the host's keys; NULL: the tickets in ccache
    const char *principal;  // its account, "HV1$@REALM"
    const char *ccache;     // FILE:…, without a keytab
    const char *image_url;  // smb://server/share/path/file, not %-encoded; NULL = record only
    enum ss_format format;  // decides whether the export has head-room
    uint64_t export_bytes;  // 0 = the file's size now (raw); qcow2: size with head-room
    const char *record_url; // smb://…/.drover/owners/<uuid>, always
    bool holds_record;      // this process does; else it reads it after an outage
    bool after_crash;       // instead of one that died while its guest runs: what that one left is
                            // written again at promotion; without it DRV_EATTENTION
    bool record_guards_guest; // pause the guest when the record cannot be verified (VM with SMB
                              // disks)
    const char *qmp_path;     // second monitor of the QEMU to pause; may not exist yet
    unsigned stall_deadline_s;
    bool no_encryption; // sign only
    uid_t socket_uid;   // who may connect to the NBD socket (QEMU)
    gid_t socket_gid;   // a group of it
    // Starts the process; NULL = drv_proc_spawn(). Its argument is spawn_arg.
    pid_t (*spawn)(const struct drv_spawn *s, void *arg, struct drv_err *err);
    void *spawn_arg;
};

enum ss_proc_state {
    SS_PS_OBSERVING,
    SS_PS_HELD,
    SS_PS_PROMOTED,
    SS_PS_RELEASED,
    SS_PS_LOST,
    SS_PS_MAX_
};

struct ss_proc_status {
    enum ss_proc_state state;
    pid_t pid;
    uint64_t epoch;                          // promoted epoch, 0 = none
    uint64_t volume_id, file_id, size_bytes; // of the image, when open
    uint64_t reads, writes, read_bytes, write_bytes, refused_writes;
    uint64_t log_bytes; // acknowledged and not durable yet, as the replay log's size
    unsigned replays;   // outages after which something had to be written again
    int64_t stalled_ms; // since when requests wait for the server; 0: they do not
    bool guest_paused;  // by this process, since the last promotion
    bool attention;     // lost: does not come back by itself
    char lost_reason[256];
};

// Start the process, detached (own session, survives droverd), observing: the image must exist and
// be readable. Returns when both sockets answer. -1: nothing is left running. DRV_EEXIST: it runs
// already; DRV_ETIMEDOUT: it does, but does not answer.
int ss_proc_start(const struct ss_proc_spec *spec, struct drv_err *err);
// Path of the NBD socket that QEMU connects to: "<dir>/<name>.nbd".
void ss_proc_nbd_path(const char *dir, const char *name, char *out, size_t size);

struct ss_proc; // a control connection
// Waits 5 s for a process that does not accept (DRV_ETIMEDOUT); DRV_EUNREACHABLE: there is none.
struct ss_proc *ss_proc_connect(const char *dir, const char *name, struct drv_err *err);
void ss_proc_close(struct ss_proc *p); // closes the connection only; NULL allowed
int ss_proc_status(struct ss_proc *p, struct ss_proc_status *ret, struct drv_err *err);

// Rule 2, in this order: hold_record on one process, hold_image on all, read_record, write_record
// (= commit), promote on all, cont.
// Refused opens are tried for 0.3 s (probes of other hosts are that short), then DRV_EBUSY. Both
// are idempotent. hold_image: DRV_EATTENTION when the file is not the one that was opened at start.
int ss_proc_hold_record(struct ss_proc *p, bool create, int timeout_ms, struct drv_err *err);
int ss_proc_hold_image(struct ss_proc *p, int timeout_ms, struct drv_err *err);
// Both need the record held. read_record: ENOTFOUND: empty new file.
int ss_proc_read_record(struct ss_proc *p, struct ss_record *ret, struct drv_err *err);
// Write r (nonce set by the caller, counter by the process) into the other slot, flush, read back.
// Its epoch is that of the record or one more, and while promoted exactly that; a record below the
// epoch at which this process ran is a server that lost a durable write (DRV_EATTENTION). A record
// that is not "running" ends promotion of this process's own image. DRV_ETIMEDOUT/DRV_EUNREACHABLE:
// the outcome is unknown (rule 5).
int ss_proc_write_record(struct ss_proc *p, const struct ss_record *r, struct drv_err *err);
// All handles that the process was started for must be held; the record, if held here, must have
// been read or written as running at this epoch. After a loss only the epoch from before is
// accepted.
int ss_proc_promote(struct ss_proc *p, uint64_t epoch, struct drv_err *err);
// Allow writes to a held image that is in no owner record yet: the target of a disk move. Refused
// once the record is held or the process was promoted. The later promote() ends it.
int ss_proc_fill(struct ss_proc *p, struct drv_err *err);
// Rule 3: wait for requests under way, refuse writes from now on, flush. -1: nothing has changed.
// Undone by promote() at the same epoch.
int ss_proc_settle(struct ss_proc *p, struct drv_err *err);
// What others, libsmbclient say, wrote to the file at url is durable on its server afterwards: they
// cannot flush. Any share; quickest on that of the image or the record.
int ss_proc_flush_file(struct ss_proc *p, const char *url, struct drv_err *err);
// Settle, and close the image handle.
int ss_proc_release_image(struct ss_proc *p, struct drv_err *err);
// Close the record handle (after write_record of "released" or "stopped").
int ss_proc_release_record(struct ss_proc *p, struct drv_err *err);
// From the middle of an acquisition that failed: close all handles, back to observing, change
// nothing.
int ss_proc_drop(struct ss_proc *p, struct drv_err *err);
// Refused (DRV_ESTATE) while promoted. The next is for state lost only.
// After "lost": new SMB session (ccache refreshed by the caller), rule 4: image handle first,
// compare file and volume id, then the record handle. State becomes held. The caller then reads the
// record, compares the epoch and promotes.
int ss_proc_reopen(struct ss_proc *p, int timeout_ms, struct drv_err *err);
// Patience of this process during a hand-over: requests fail after ms (rule 9); 0 = default.
int ss_proc_set_patience(struct ss_proc *p, int ms, struct drv_err *err);
// End the process: refuses while promoted unless force. Waits until it is gone; removes its files
// but the log. A promoted process that is ended by a signal pauses its guest first.
int ss_proc_quit(struct ss_proc *p, bool force, struct drv_err *err);
// The same, forced, by name, without a connection. None there = 0; one that does not answer is
// left: DRV_ETIMEDOUT.
int ss_proc_end(const char *dir, const char *name, struct drv_err *err);

// Read a record without holding it (shares everything): for show, take-over probes, preflight.
// ret_held: 1 when some host holds it deny-write now. Uses a store handle.
int ss_record_peek(struct ss_store *arbiter, const char *uuid, struct ss_record *ret,
                   bool *ret_held, struct drv_err *err);

#endif
