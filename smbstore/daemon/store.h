// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store's rules: the record and image handles of one disk, who may write when, and what
// happens when the SMB session is lost (DESIGN.md section 3). Transport-free: SMB and the guest's
// requests are behind backend.h, QEMU behind qmp_stop.h, droverd behind control.h.
//
// A session that ends is not the end: requests wait ("stalled") while recover.c connects again,
// checks that record and image are still ours, replays the log and goes on. Only when the stall
// deadline passes, or when they are not ours any more, the state is "lost": requests fail and the
// guest is paused. From a stall that took too long it comes back by itself to "held"; droverd then
// promotes it and continues the guest.
//
// Threads. Functions marked [proc] run on the procedure thread only and own the fields above
// `lock`; functions marked [any] take the lock.
#ifndef DROVER_STORE_STORE_H
#define DROVER_STORE_STORE_H

#include "backend.h"
#include "drover/record.h"
#include "drover/storeproc.h"
#include "procedure.h"
#include <pthread.h>

struct ds_conf {
    char *image_url;  // NULL = record only
    char *record_url; // NULL = this process never holds the record
    char *peek_url;   // the record as another process holds it, to be read after an outage
    char *qmp_path;   // NULL = nothing to pause
    char *control_path;
    char *pid_path;
    uint64_t export_bytes; // 0 = the image's size when it was opened
    bool guards_guest; // pause the guest when the record is lost, though there may be no image here
    unsigned stall_s;
    unsigned verify_s;
};

struct ds_store {
    const struct ds_conf *conf;
    const struct ds_backend *be;
    const struct ds_data *data;
    struct ds_thread *thread;

    // procedure thread only
    struct ds_session *session;
    struct ds_file *image, *record;
    bool want_image, want_record; // deny-write handles that reopen must bring back
    struct ds_ident image_id, record_id;
    bool image_known, record_known; // the ids above are those of the first open
    bool have_record;               // cur is what the held record says
    struct ss_record cur;
    unsigned cur_slot;
    uint64_t last_epoch;        // highest promoted here
    bool let_go;                // since then the handles were released on purpose, not lost
    int64_t next_reopen_log_ms; // a guest that goes on reading must not fill the log

    pthread_mutex_t lock;
    pthread_cond_t wake; // the watch thread: pause wanted, or stopping
    bool opened, image_held, record_held, released;
    bool recover_wanted; // the session ended: recover.c is to bring handles back
    bool stalled;        // and requests wait for that
    bool lost;           // requests fail
    bool attention;      // lost for a reason that time does not mend
    bool fenced;         // lost for good
    bool writable;       // promoted or filling
    bool guest_paused;   // by us, since the last promotion
    int64_t stalled_ms;  // since when
    uint64_t epoch;
    int64_t verified_ms;        // when the server last confirmed our handles
    bool pause_wanted, pausing; // the guest must be paused; the watch thread is at it. Ends with
                                // the pause, with promotion, or when the guest is not ours any more
    unsigned pause_failures;
    int patience_ms;                         // 0 = the stall deadline
    uint64_t size_bytes, volume_id, file_id; // copies for status
    char lost_reason[256];
};

void ds_store_init(struct ds_store *st, const struct ds_conf *conf, const struct ds_backend *be,
                   const struct ds_data *data, struct ds_thread *thread);
void ds_store_done(
    struct ds_store *st); // [proc], or after that thread has ended; closes everything

// --- handles.c: acquiring and letting go. See storeproc.h for what each promises. ---
int ds_open(struct ds_store *st,
            struct drv_err *err); // [proc] connect and open the image, observing
int ds_hold_record(struct ds_store *st, bool create, struct drv_err *err); // [proc]
int ds_hold_image(struct ds_store *st, struct drv_err *err);               // [proc]
int ds_promote(struct ds_store *st, uint64_t epoch, struct drv_err *err);  // [proc]
int ds_fill(struct ds_store *st, struct drv_err *err);                     // [proc]
int ds_settle(struct ds_store *st, struct drv_err *err);                   // [proc]
int ds_release_image(struct ds_store *st, struct drv_err *err);            // [proc]
int ds_release_record(struct ds_store *st, struct drv_err *err);           // [proc]
int ds_drop(struct ds_store *st, struct drv_err *err);                     // [proc]
void ds_observe_again(struct ds_store *st); // [proc] after a release: a handle for reads alone

// --- recover.c: after the session's end ---
// [proc] One try. 0: nothing is to be done any more. Not for long: a connection is tried once.
int ds_recover(struct ds_store *st, struct drv_err *err);
// [proc] Like it, when a person asks: also after what needed attention; tries until timeout_ms.
int ds_reopen(struct ds_store *st, int timeout_ms, struct drv_err *err);

// --- handles.c, for recover.c ---
int ds_ensure_session(struct ds_store *st, struct drv_err *err); // [proc] connects when it is dead
int ds_take_record(struct ds_store *st, struct drv_err *err);  // [proc] hold it, whatever the state
int ds_take_image(struct ds_store *st, struct drv_err *err);   // [proc]
void ds_forget_handles(struct ds_store *st);                   // [proc] end of the session
int ds_check_usable(struct ds_store *st, struct drv_err *err); // [any]

// [proc] What others wrote to this file, on whatever share, is durable when it returns 0.
int ds_flush_file(struct ds_store *st, const char *url, struct drv_err *err);

// --- record_io.c ---
int ds_read_record(struct ds_store *st, struct ss_record *ret, struct drv_err *err);      // [proc]
int ds_write_record(struct ds_store *st, const struct ss_record *r, struct drv_err *err); // [proc]
void ds_verify(struct ds_store *st); // [proc] periodic; ends in ds_lost() when something is wrong
// [proc] The record, as bytes of it were just read: still ours? For one that is not held: from
// peek_url. -1: DRV_EATTENTION after ds_lost(), or the read failed.
int ds_check_record(struct ds_store *st, struct drv_err *err);
// [proc] Somebody else holds what was ours: if the record says that another host took the VM over,
// ds_lost() for good.
void ds_look_for_fence(struct ds_store *st);

// --- state.c ---
enum ss_proc_state ds_state(const struct ds_store *st);          // lock held
void ds_status(struct ds_store *st, struct ss_proc_status *ret); // [any]
enum ds_loss {
    DS_LOST_WAIT,      // it may come back by itself
    DS_LOST_ATTENTION, // a person must look
    DS_LOST_FENCED,    // another host runs the VM: never again
};
// [any] The handles are not ours any more, or may not be: nothing is written from now on, every
// request fails, and the guest is paused if it was running on them. No effect when nothing was
// held.
void ds_lost(struct ds_store *st, enum ds_loss how, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// [any] The connection ended: stalled, if that matters.
void ds_session_ended(struct ds_store *st, const char *why);
// [any] The server confirmed our handles in answer to something sent at asked_ms.
void ds_verified(struct ds_store *st, int64_t asked_ms);
bool ds_session_ok(const struct ds_store *st); // [proc]
// [proc] A call on an open handle failed: true if the session is gone (which is then known to all).
bool ds_call_failed(struct ds_store *st, int errnum, const char *what);
// [proc] err from a failed SMB call, by who must act. Returns -1.
int ds_smb_err(struct drv_err *err, int errnum, const char *what, const char *url);

// --- watch.c: verifies every verify_s, pauses the guest, and catches a call that never returns ---
struct ds_watch;
struct ds_watch *ds_watch_start(struct ds_store *st, struct drv_err *err);
void ds_watch_stop(struct ds_watch *w); // NULL allowed
// The process ends though it is promoted, and not because droverd said so: the guest is paused, as
// from now on nobody watches its record. After ds_watch_stop(); takes up to timeout_ms.
void ds_pause_at_end(struct ds_store *st, int timeout_ms);

#endif
