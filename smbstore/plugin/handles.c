// SPDX-License-Identifier: GPL-3.0-or-later
// Acquiring and letting go of the two handles: see store.h and storeproc.h. SMB thread only.
//
// Order is everything here (DESIGN.md section 3, rules 2-4): the image is opened before the record
// is read, ids are compared before anything is trusted, and nothing becomes writable but by
// ds_promote() and ds_fill().
#include "store.h"

#include "drover/log.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// A take-over probe of another host holds a file for an instant: refused opens are tried again.
enum { BUSY_TRIES = 4, BUSY_WAIT_MS = 100, REOPEN_WAIT_MS = 250, LOG_EVERY_MS = 60000 };

static void forget_handles(struct ds_store *st)
{
    st->be->disconnect(st->session);
    st->session = NULL;
    st->session_dead = false;
    st->image = st->record = NULL;
    st->have_record = false;
    pthread_mutex_lock(&st->lock);
    st->image_held = st->record_held = false;
    pthread_mutex_unlock(&st->lock);
}

static int ensure_session(struct ds_store *st, struct drv_err *err)
{
    if (st->session && !st->session_dead)
        return 0;
    forget_handles(st);
    st->session = st->be->connect(err);
    return st->session ? 0 : -1;
}

static bool is_lost(struct ds_store *st)
{
    pthread_mutex_lock(&st->lock);
    bool lost = st->lost;
    pthread_mutex_unlock(&st->lock);
    return lost;
}

static int check_usable(struct ds_store *st, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool fenced = st->fenced, lost = st->lost;
    pthread_mutex_unlock(&st->lock);
    if (fenced)
        return drv_err(err, DRV_EATTENTION,
                       "this copy of the VM is fenced: another host took it over");
    if (lost)
        return drv_err(err, DRV_ESTATE, "the file server's session was lost: reopen first");
    return 0;
}

// The same file as the one that was opened first? A rename with another file in its place, or a
// restored copy, must not be written to.
static int check_ident(struct ds_store *st, struct ds_file *f, struct ds_ident *known,
                       bool *is_known, const char *url, struct drv_err *err)
{
    struct ds_ident now;
    int e = st->be->ident(st->session, f, &now);
    if (e) {
        ds_call_failed(st, e, "reading a file's id");
        return ds_smb_err(err, e, "reading the id of", url);
    }
    if (*is_known && (now.file_id != known->file_id || now.volume_id != known->volume_id))
        return drv_err(err, DRV_EATTENTION,
                       "%s is another file than before (file id %" PRIu64 ", was %" PRIu64
                       "): it was replaced or restored",
                       url, now.file_id, known->file_id);
    *known = now;
    *is_known = true;
    return 0;
}

static void note_image(struct ds_store *st, bool held)
{
    pthread_mutex_lock(&st->lock);
    st->volume_id = st->image_id.volume_id;
    st->file_id = st->image_id.file_id;
    st->size_bytes = st->image_id.size_bytes;
    st->opened = true;
    st->image_held = held;
    if (held)
        st->released = false;
    pthread_mutex_unlock(&st->lock);
}

// Open url and check that it is the file known before.
static int open_checked(struct ds_store *st, const char *url, enum ds_mode mode, int64_t give_up_ms,
                        struct ds_ident *known, bool *is_known, struct ds_file **ret,
                        struct drv_err *err)
{
    if (ensure_session(st, err) < 0)
        return -1;
    struct ds_file *f = NULL;
    int e = 0;
    int64_t asked_ms = 0;
    for (int try = 1;; try++) {
        asked_ms = drv_now_ms();
        e = st->be->open(st->session, url, mode, &f);
        bool again = drv_now_ms() < give_up_ms || (give_up_ms == 0 && try < BUSY_TRIES);
        if (e != EBUSY || !again || mode == DS_OBSERVE)
            break;
        drv_sleep_ms(give_up_ms ? REOPEN_WAIT_MS : BUSY_WAIT_MS);
    }
    if (e) {
        ds_call_failed(st, e, "opening a file");
        return ds_smb_err(err, e, mode == DS_OBSERVE ? "opening" : "taking hold of", url);
    }
    if (check_ident(st, f, known, is_known, url, err) < 0) {
        if (!st->session_dead)
            st->be->close(st->session, f);
        return -1;
    }
    if (mode != DS_OBSERVE)
        ds_verified(st, asked_ms);
    *ret = f;
    return 0;
}

int ds_open(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url || (st->image && !st->session_dead)) {
        pthread_mutex_lock(&st->lock);
        st->opened = true;
        pthread_mutex_unlock(&st->lock);
        return 0;
    }
    if (open_checked(st, st->conf->image_url, DS_OBSERVE, 0, &st->image_id, &st->image_known,
                     &st->image, err) < 0)
        return -1;
    note_image(st, false);
    return 0;
}

int ds_lazy_image(struct ds_store *st)
{
    if (is_lost(st) || !st->conf->image_url)
        return EIO;
    if (st->image && !st->session_dead)
        return 0;
    st->want_image = false;
    struct drv_err err = DRV_ERR_INIT;
    if (ds_open(st, &err) == 0)
        return 0;
    if (drv_now_ms() >= st->next_reopen_log_ms) {
        drv_log_err(LOG_WARNING, "store.read.reopen", &err);
        st->next_reopen_log_ms = drv_now_ms() + LOG_EVERY_MS;
    }
    return EIO;
}

int ds_hold_record(struct ds_store *st, bool create, struct drv_err *err)
{
    if (!st->conf->record_url)
        return drv_err(err, DRV_ESTATE, "this drover-store was started without a record");
    if (check_usable(st, err) < 0)
        return -1;
    if (st->record && !st->session_dead)
        return 0;
    if (open_checked(st, st->conf->record_url, create ? DS_HOLD_CREATE : DS_HOLD, 0, &st->record_id,
                     &st->record_known, &st->record, err) < 0)
        return -1;
    st->want_record = true;
    pthread_mutex_lock(&st->lock);
    st->record_held = true;
    pthread_mutex_unlock(&st->lock);
    return 0;
}

static int hold_image_until(struct ds_store *st, int64_t give_up_ms, struct drv_err *err)
{
    struct ds_file *held = NULL;
    if (open_checked(st, st->conf->image_url, DS_HOLD, give_up_ms, &st->image_id, &st->image_known,
                     &held, err) < 0)
        return -1;
    if (st->image)
        st->be->close(st->session, st->image);
    st->image = held;
    st->want_image = true;
    note_image(st, true);
    return 0;
}

int ds_hold_image(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url)
        return 0;
    if (check_usable(st, err) < 0)
        return -1;
    if (st->want_image && st->image && !st->session_dead)
        return 0;
    return hold_image_until(st, 0, err);
}

// The epoch must be the one that the record now gives to us. A process that was lost while promoted
// stands for the same running QEMU and can only go on at the same epoch; one that let go may be
// promoted again (the source taking back), never at an older one.
static int check_epoch(struct ds_store *st, uint64_t epoch, struct drv_err *err)
{
    if (epoch == 0)
        return drv_err(err, DRV_EINVAL, "epoch 0 is not an epoch");
    if (st->conf->record_url &&
        (!st->have_record || st->cur.epoch != epoch || st->cur.state != SS_REC_RUNNING))
        return drv_err(err, DRV_ESTATE,
                       "the held record does not say running at epoch %" PRIu64 " (it says %" PRIu64
                       ")",
                       epoch, st->have_record ? st->cur.epoch : 0);
    if (st->let_go ? epoch < st->last_epoch : st->last_epoch && epoch != st->last_epoch)
        return drv_err(err, DRV_EATTENTION,
                       "epoch %" PRIu64 " does not follow epoch %" PRIu64
                       ", at which this process ran",
                       epoch, st->last_epoch);
    return 0;
}

int ds_promote(struct ds_store *st, uint64_t epoch, struct drv_err *err)
{
    if (check_usable(st, err) < 0)
        return -1;
    if ((st->conf->image_url && !st->want_image) || (st->conf->record_url && !st->want_record) ||
        st->session_dead)
        return drv_err(err, DRV_ESTATE, "record and image must be held before promotion");
    if (check_epoch(st, epoch, err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    // A QMP stop on its way now would hit the guest after it was resumed.
    while (st->pausing)
        pthread_cond_wait(&st->wake, &st->lock);
    bool ok = !st->lost; // the watch thread may have been quicker
    if (ok) {
        st->epoch = epoch;
        st->writable = st->conf->image_url != NULL;
        st->released = false;
        st->pause_wanted = false;
    }
    pthread_mutex_unlock(&st->lock);
    if (!ok)
        return check_usable(st, err);
    st->last_epoch = epoch;
    st->let_go = false;
    drv_log(LOG_NOTICE, "store.promoted", F_INT("epoch", epoch));
    return 0;
}

int ds_fill(struct ds_store *st, struct drv_err *err)
{
    if (check_usable(st, err) < 0)
        return -1;
    if (!st->want_image || st->session_dead)
        return drv_err(err, DRV_ESTATE, "the image must be held before it can be filled");
    if (st->want_record || st->last_epoch)
        return drv_err(err, DRV_ESTATE, "this image is in an owner record: promote, not fill");
    pthread_mutex_lock(&st->lock);
    st->writable = !st->lost;
    pthread_mutex_unlock(&st->lock);
    drv_log(LOG_NOTICE, "store.fill");
    return 0;
}

int ds_release_image(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url)
        return 0;
    if (check_usable(st, err) < 0)
        return -1;
    // Requests that came before this call have been run: the queue keeps the order.
    pthread_mutex_lock(&st->lock);
    st->writable = false;
    pthread_mutex_unlock(&st->lock);
    if (!st->want_image || !st->image)
        return 0;
    int e = st->be->flush(st->session, st->image);
    if (e) {
        ds_call_failed(st, e, "flushing the image");
        return ds_smb_err(err, e, "flushing", st->conf->image_url);
    }
    e = st->be->close(st->session, st->image);
    st->image = NULL;
    if (e && ds_call_failed(st, e, "closing the image"))
        return ds_smb_err(err, e, "closing", st->conf->image_url);
    st->want_image = false;
    st->let_go = true;
    pthread_mutex_lock(&st->lock);
    st->image_held = false;
    st->released = true;
    st->epoch = 0;
    st->pause_wanted = false;
    pthread_mutex_unlock(&st->lock);
    drv_log(LOG_NOTICE, "store.released", F_INT("epoch", st->last_epoch));
    return 0;
}

int ds_release_record(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->record_url || !st->want_record)
        return 0;
    if (check_usable(st, err) < 0)
        return -1;
    if (st->conf->image_url && st->want_image)
        return drv_err(err, DRV_ESTATE, "release the image before the record");
    int e = st->record ? st->be->close(st->session, st->record) : 0;
    st->record = NULL;
    st->have_record = false;
    if (e && ds_call_failed(st, e, "closing the record"))
        return ds_smb_err(err, e, "closing", st->conf->record_url);
    st->want_record = false;
    st->let_go = true;
    pthread_mutex_lock(&st->lock);
    st->record_held = false;
    st->released = true;
    st->epoch = 0;
    st->pause_wanted = false;
    pthread_mutex_unlock(&st->lock);
    return 0;
}

int ds_drop(struct ds_store *st, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool running = st->epoch > 0;
    pthread_mutex_unlock(&st->lock);
    if (running)
        return drv_err(err, DRV_ESTATE, "a promoted image cannot be dropped: release it or quit");
    st->want_image = st->want_record = false;
    forget_handles(st);
    pthread_mutex_lock(&st->lock);
    st->writable = st->lost = st->pause_wanted = false;
    st->lost_reason[0] = '\0';
    pthread_mutex_unlock(&st->lock);
    return ds_open(st, err);
}

static int reopen_held(struct ds_store *st, int64_t give_up_ms, struct drv_err *err)
{
    bool want_image = st->want_image, want_record = st->want_record;
    if (ensure_session(st, err) < 0)
        return -1;
    if (want_image && hold_image_until(st, give_up_ms, err) < 0)
        return -1;
    if (want_record) {
        if (open_checked(st, st->conf->record_url, DS_HOLD, give_up_ms, &st->record_id,
                         &st->record_known, &st->record, err) < 0)
            return -1;
        pthread_mutex_lock(&st->lock);
        st->record_held = true;
        pthread_mutex_unlock(&st->lock);
    }
    return 0;
}

// A server that is just coming back is not there for a moment: try until the deadline.
static int reopen_until(struct ds_store *st, int64_t give_up_ms, struct drv_err *err)
{
    for (;;) {
        struct drv_err now = DRV_ERR_INIT;
        st->session_dead = true;
        if (reopen_held(st, give_up_ms, &now) == 0)
            return 0;
        forget_handles(st);
        if (now.code != DRV_EUNREACHABLE || drv_now_ms() >= give_up_ms) {
            if (err)
                *err = now;
            return -1;
        }
        drv_sleep_ms(REOPEN_WAIT_MS);
    }
}

int ds_reopen(struct ds_store *st, int timeout_ms, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool fenced = st->fenced, lost = st->lost;
    pthread_mutex_unlock(&st->lock);
    if (fenced)
        return check_usable(st, err);
    if (!lost)
        return drv_err(err, DRV_ESTATE, "no session was lost");
    // Less than the caller's time, so that it hears why rather than nothing.
    if (reopen_until(st, drv_now_ms() + timeout_ms * 9LL / 10, err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    st->lost = false;
    st->epoch = 0; // until promoted again; until then a guest that still runs is to be paused
    st->lost_reason[0] = '\0';
    pthread_mutex_unlock(&st->lock);
    drv_log(LOG_NOTICE, "store.reopened");
    return 0;
}

void ds_store_done(struct ds_store *st)
{
    if (st->session && !st->session_dead && st->image)
        st->be->flush(st->session, st->image);
    forget_handles(st);
}
