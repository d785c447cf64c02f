// SPDX-License-Identifier: GPL-3.0-or-later
// Acquiring and letting go of the two handles: see store.h and storeproc.h. Procedure thread only.
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
enum { BUSY_TRIES = 4, BUSY_WAIT_MS = 100, LOG_EVERY_MS = 60000 };

static void handles_gone(struct ds_store *st)
{
    st->data->detach();
    st->image = st->record = NULL;
    st->have_record = false;
    pthread_mutex_lock(&st->lock);
    st->image_held = st->record_held = false;
    pthread_mutex_unlock(&st->lock);
}

void ds_forget_handles(struct ds_store *st)
{
    handles_gone(st);
    st->be->disconnect(DRV_TAKE(st->session));
}

int ds_ensure_session(struct ds_store *st, struct drv_err *err)
{
    if (ds_session_ok(st))
        return 0;
    handles_gone(st);
    struct ds_session *s = st->be->connect(st->session, err);
    if (!s)
        return -1;
    st->be->disconnect(st->session);
    st->session = s;
    return 0;
}

int ds_check_usable(struct ds_store *st, struct drv_err *err)
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
    st->data->set_size(st->image_id.size_bytes);
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
static int open_checked(struct ds_store *st, const char *url, enum ds_mode mode,
                        struct ds_ident *known, bool *is_known, struct ds_file **ret,
                        struct drv_err *err)
{
    if (ds_ensure_session(st, err) < 0)
        return -1;
    struct ds_file *f = NULL;
    int64_t asked_ms = drv_now_ms();
    int e = st->be->open(st->session, url, mode, &f);
    for (int try = 1; e == EBUSY && mode != DS_OBSERVE && try < BUSY_TRIES; try++) {
        drv_sleep_ms(BUSY_WAIT_MS);
        asked_ms = drv_now_ms();
        e = st->be->open(st->session, url, mode, &f);
    }
    if (e) {
        ds_call_failed(st, e, "opening a file");
        return ds_smb_err(err, e, mode == DS_OBSERVE ? "opening" : "taking hold of", url);
    }
    if (check_ident(st, f, known, is_known, url, err) < 0) {
        st->be->close(st->session, f);
        return -1;
    }
    if (mode != DS_OBSERVE)
        ds_verified(st, asked_ms);
    *ret = f;
    return 0;
}

// A log that holds something is that of a predecessor, or from before an outage: until it has been
// replayed the handle has not all that the guest was told, so nothing may be read from it, and a
// flush of it would empty the log.
static void attach_if_clean(struct ds_store *st)
{
    if (!st->data->dirty())
        st->data->attach(st->session, st->image);
}

int ds_open(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url) {
        // Connected now, so that the record is taken hold of within a move's blackout (rule 9).
        if (ds_ensure_session(st, err) < 0)
            return -1;
        pthread_mutex_lock(&st->lock);
        st->opened = true;
        pthread_mutex_unlock(&st->lock);
        return 0;
    }
    if (st->data->ready(err) < 0)
        return -1;
    if (st->image && ds_session_ok(st))
        return 0;
    if (open_checked(st, st->conf->image_url, DS_OBSERVE, &st->image_id, &st->image_known,
                     &st->image, err) < 0)
        return -1;
    note_image(st, false);
    attach_if_clean(st);
    return 0;
}

void ds_observe_again(struct ds_store *st)
{
    struct drv_err err = DRV_ERR_INIT;
    if (st->want_image || st->want_record || ds_open(st, &err) == 0)
        return;
    if (drv_now_ms() < st->next_reopen_log_ms)
        return;
    drv_log_err(LOG_WARNING, "store.read.reopen", &err);
    st->next_reopen_log_ms = drv_now_ms() + LOG_EVERY_MS;
}

static int take_record(struct ds_store *st, enum ds_mode mode, struct drv_err *err)
{
    if (open_checked(st, st->conf->record_url, mode, &st->record_id, &st->record_known, &st->record,
                     err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    st->record_held = true;
    pthread_mutex_unlock(&st->lock);
    return 0;
}

int ds_take_record(struct ds_store *st, struct drv_err *err)
{
    return take_record(st, DS_HOLD, err);
}

int ds_hold_record(struct ds_store *st, bool create, struct drv_err *err)
{
    if (!st->conf->record_url)
        return drv_err(err, DRV_ESTATE, "this drover-store was started without a record");
    if (ds_check_usable(st, err) < 0)
        return -1;
    if (st->record && ds_session_ok(st))
        return 0;
    if (take_record(st, create ? DS_HOLD_CREATE : DS_HOLD, err) < 0)
        return -1;
    st->want_record = true;
    return 0;
}

// Detached afterwards: the caller says when the guest's requests may go there.
int ds_take_image(struct ds_store *st, struct drv_err *err)
{
    struct ds_file *held = NULL;
    if (open_checked(st, st->conf->image_url, DS_HOLD, &st->image_id, &st->image_known, &held,
                     err) < 0)
        return -1;
    if (st->data->bind(&st->image_id) < 0) {
        st->be->close(st->session, held);
        return drv_err(err, DRV_EATTENTION,
                       "acknowledged writes are kept here for another file than %s is now",
                       st->conf->image_url);
    }
    struct ds_file *old = st->image;
    st->image = held;
    note_image(st, true);
    st->data->detach();
    // What was sent on the old handle is ahead of its end.
    if (old)
        st->be->close(st->session, old);
    return 0;
}

int ds_hold_image(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url)
        return 0;
    if (ds_check_usable(st, err) < 0)
        return -1;
    if (st->want_image && st->image && ds_session_ok(st))
        return 0;
    if (ds_take_image(st, err) < 0)
        return -1;
    st->want_image = true;
    attach_if_clean(st);
    return 0;
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

static int replay_if_dirty(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url || !st->data->dirty())
        return 0;
    int e = st->data->replay(st->session, st->image);
    if (e) {
        ds_call_failed(st, e, "writing again what was not durable yet");
        return ds_smb_err(err, e, "writing again what was not durable yet:", st->conf->image_url);
    }
    st->data->attach(st->session, st->image);
    return 0;
}

int ds_promote(struct ds_store *st, uint64_t epoch, struct drv_err *err)
{
    if (ds_check_usable(st, err) < 0)
        return -1;
    if ((st->conf->image_url && !st->want_image) || (st->conf->record_url && !st->want_record) ||
        !ds_session_ok(st))
        return drv_err(err, DRV_ESTATE, "record and image must be held before promotion");
    if (check_epoch(st, epoch, err) < 0 || replay_if_dirty(st, err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    // A QMP stop on its way now would hit the guest after it was resumed.
    while (st->pausing)
        pthread_cond_wait(&st->wake, &st->lock);
    bool ok = !st->lost; // the watch thread may have been quicker
    if (ok) {
        st->epoch = epoch;
        st->writable = st->conf->image_url != NULL;
        st->released = st->guest_paused = false;
        st->pause_wanted = false;
    }
    pthread_mutex_unlock(&st->lock);
    if (!ok)
        return ds_check_usable(st, err);
    st->last_epoch = epoch;
    st->let_go = false;
    st->data->set_writable(st->conf->image_url != NULL);
    drv_log(LOG_NOTICE, "store.promoted", F_INT("epoch", epoch));
    return 0;
}

int ds_fill(struct ds_store *st, struct drv_err *err)
{
    if (ds_check_usable(st, err) < 0)
        return -1;
    if (!st->want_image || !ds_session_ok(st))
        return drv_err(err, DRV_ESTATE, "the image must be held before it can be filled");
    if (st->want_record || st->last_epoch)
        return drv_err(err, DRV_ESTATE, "this image is in an owner record: promote, not fill");
    if (replay_if_dirty(st, err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    st->writable = !st->lost;
    pthread_mutex_unlock(&st->lock);
    st->data->set_writable(true);
    drv_log(LOG_NOTICE, "store.fill");
    return 0;
}

// Requests under way are waited for, those that come from now on are refused. When it fails,
// nothing was let go, and a guest that this image is for goes on.
int ds_settle(struct ds_store *st, struct drv_err *err)
{
    if (ds_check_usable(st, err) < 0)
        return -1;
    pthread_mutex_lock(&st->lock);
    bool was_writable = st->writable;
    st->writable = false;
    pthread_mutex_unlock(&st->lock);
    st->data->set_writable(false);
    int e = st->want_image && st->image ? st->data->settle() : 0;
    if (!e)
        return 0;
    ds_call_failed(st, e, "flushing the image");
    pthread_mutex_lock(&st->lock);
    st->writable = was_writable && !st->lost;
    bool writable = st->writable;
    pthread_mutex_unlock(&st->lock);
    st->data->set_writable(writable);
    return ds_smb_err(err, e, "flushing", st->conf->image_url);
}

int ds_release_image(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->image_url)
        return 0;
    if (ds_settle(st, err) < 0)
        return -1;
    if (!st->want_image || !st->image)
        return 0;
    st->data->detach();
    int e = st->be->close(st->session, DRV_TAKE(st->image));
    st->want_image = false; // whatever close said: all is durable, and a dead session holds nothing
    st->let_go = true;
    pthread_mutex_lock(&st->lock);
    st->image_held = false;
    st->released = true;
    st->epoch = 0;
    st->pause_wanted = false;
    pthread_mutex_unlock(&st->lock);
    drv_log(LOG_NOTICE, "store.released", F_INT("epoch", st->last_epoch));
    if (e && ds_call_failed(st, e, "closing the image"))
        return ds_smb_err(err, e, "closing", st->conf->image_url);
    return 0;
}

int ds_release_record(struct ds_store *st, struct drv_err *err)
{
    if (!st->conf->record_url || !st->want_record)
        return 0;
    if (ds_check_usable(st, err) < 0)
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

int ds_flush_file(struct ds_store *st, const char *url, struct drv_err *err)
{
    if (ds_check_usable(st, err) < 0)
        return -1;
    // A new session is recovery's to make where handles were held.
    if (!ds_session_ok(st) && (st->want_image || st->want_record))
        return drv_err(err, DRV_EUNREACHABLE, "the file server's session has just ended");
    if (ds_ensure_session(st, err) < 0)
        return -1;
    int e = st->be->flush_file(st->session, url);
    if (!e)
        return 0;
    ds_call_failed(st, e, "flushing a file");
    return ds_smb_err(err, e, "flushing", url);
}

int ds_drop(struct ds_store *st, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool running = st->epoch > 0;
    pthread_mutex_unlock(&st->lock);
    if (running)
        return drv_err(err, DRV_ESTATE, "a promoted image cannot be dropped: release it or quit");
    st->want_image = st->want_record = false;
    ds_forget_handles(st);
    pthread_mutex_lock(&st->lock);
    st->writable = st->lost = st->attention = st->stalled = st->recover_wanted = false;
    st->pause_wanted = false;
    st->lost_reason[0] = '\0';
    pthread_mutex_unlock(&st->lock);
    st->data->set_writable(false);
    st->data->heal();
    return ds_open(st, err);
}

void ds_store_done(struct ds_store *st)
{
    if (ds_session_ok(st) && st->image) {
        st->data->settle();
        st->data->detach();
        st->be->close(st->session, DRV_TAKE(st->image));
    }
    if (ds_session_ok(st) && st->record)
        st->be->close(st->session, DRV_TAKE(st->record));
    ds_forget_handles(st);
}
