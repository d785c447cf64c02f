// SPDX-License-Identifier: GPL-3.0-or-later
// After the session's end (DESIGN.md section 3, rule 4): connect again, with the server ending the
// old session first; the image's handle; is it the same file; the record: is it still ours; only
// then write again what was acknowledged and not flushed; then go on. Procedure thread only.
//
// Holding one image keeps every other host from committing an epoch, so the order makes the check
// of the record good for as long as the handle stands.
#include "store.h"

#include "drover/log.h"
#include <errno.h>
#include <string.h>

enum { REOPEN_WAIT_MS = 250 };

// By an earlier try, in the session that is.
static bool image_is_held(struct ds_store *st)
{
    pthread_mutex_lock(&st->lock);
    bool held = st->image_held && st->image;
    pthread_mutex_unlock(&st->lock);
    return held;
}

static int take_back(struct ds_store *st, struct drv_err *err)
{
    if (ds_ensure_session(st, err) < 0)
        return -1;
    if (!st->want_image && !st->want_record)
        return ds_open(st, err);
    if (st->want_image && !image_is_held(st) && ds_take_image(st, err) < 0) {
        if (err->code == DRV_EBUSY)
            ds_look_for_fence(st); // or it is our own handle from before
        return -1;
    }
    if (st->want_record && !st->record && ds_take_record(st, err) < 0)
        return -1;
    return ds_check_record(st, err);
}

// The log is a predecessor's, and nobody has said yet that the VM is still this host's: that is for
// ds_promote().
static bool log_is_not_ours_yet(struct ds_store *st)
{
    pthread_mutex_lock(&st->lock);
    bool filling = st->writable;
    pthread_mutex_unlock(&st->lock);
    return !st->last_epoch && !filling;
}

// The guest's requests go on, after what was acknowledged and is not durable.
static int go_on(struct ds_store *st, struct drv_err *err)
{
    bool dirty = st->want_image && st->data->dirty();
    if (!st->want_image || (dirty && log_is_not_ours_yet(st)))
        return 0;
    int e = dirty ? st->data->replay(st->session, st->image) : 0;
    if (e == 0) {
        st->data->attach(st->session, st->image);
        return 0;
    }
    if (!ds_call_failed(st, e, "writing again what was not durable yet"))
        ds_lost(st, DS_LOST_ATTENTION, "what was not durable cannot be written again: %s",
                strerrordesc_np(e));
    return ds_smb_err(err, e, "writing again what was not durable yet:", st->conf->image_url);
}

// A person must look: another file in the image's place, a record that says something impossible.
static void give_up_if_hopeless(struct ds_store *st, const struct drv_err *err)
{
    if (err->code == DRV_EATTENTION)
        ds_lost(st, DS_LOST_ATTENTION, "%s", err->msg);
}

// false: the new session has ended meanwhile.
static bool recovered(struct ds_store *st)
{
    if (!ds_session_ok(st))
        return false;
    pthread_mutex_lock(&st->lock);
    bool was_lost = st->lost;
    int64_t ms = st->stalled ? drv_now_ms() - st->stalled_ms : 0;
    st->recover_wanted = st->stalled = st->lost = st->attention = false;
    if (was_lost) {
        st->epoch = 0; // until promoted again; until then a guest that still runs is to be paused
        st->lost_reason[0] = '\0';
    }
    pthread_mutex_unlock(&st->lock);
    st->data->heal(); // also of a loss that was told in this very moment
    drv_log(LOG_NOTICE, "store.recovered", F_INT("stalled_ms", ms), F_INT("was_lost", was_lost));
    return true;
}

static int try_once(struct ds_store *st, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    if (take_back(st, &why) == 0 && go_on(st, &why) == 0) {
        if (recovered(st))
            return 0;
        drv_err(&why, DRV_EUNREACHABLE, "the connection ended again");
    }
    give_up_if_hopeless(st, &why);
    if (err)
        *err = why;
    return -1;
}

int ds_recover(struct ds_store *st, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool wanted = st->recover_wanted && !st->fenced && !st->attention;
    pthread_mutex_unlock(&st->lock);
    return wanted ? try_once(st, err) : 0;
}

int ds_reopen(struct ds_store *st, int timeout_ms, struct drv_err *err)
{
    // Less than the caller's time, so that it hears why rather than nothing.
    int64_t give_up_ms = drv_now_ms() + timeout_ms * 9LL / 10;
    pthread_mutex_lock(&st->lock);
    bool fenced = st->fenced, lost = st->lost;
    pthread_mutex_unlock(&st->lock);
    if (fenced)
        return ds_check_usable(st, err);
    if (!lost)
        return drv_err(err, DRV_ESTATE, "no session was lost");
    for (;;) {
        struct drv_err why = DRV_ERR_INIT;
        if (try_once(st, &why) == 0)
            return 0;
        // A server that is just coming back is not there for a moment, or still knows our old
        // handle.
        bool passing =
            why.code == DRV_EUNREACHABLE || why.code == DRV_EBUSY || why.code == DRV_ETIMEDOUT;
        if (!passing || drv_now_ms() >= give_up_ms) {
            if (err)
                *err = why;
            return -1;
        }
        drv_sleep_ms(REOPEN_WAIT_MS);
    }
}
