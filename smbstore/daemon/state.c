// SPDX-License-Identifier: GPL-3.0-or-later
// State of a drover-store as others see it, and the one way into "lost": see store.h.
#include "store.h"

#include "drover/log.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void ds_store_init(struct ds_store *st, const struct ds_conf *conf, const struct ds_backend *be,
                   const struct ds_data *data, struct ds_thread *thread)
{
    memset(st, 0, sizeof *st);
    st->conf = conf;
    st->be = be;
    st->data = data;
    st->thread = thread;
    pthread_mutex_init(&st->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&st->wake, &attr);
    pthread_condattr_destroy(&attr);
}

enum ss_proc_state ds_state(const struct ds_store *st)
{
    if (st->lost)
        return SS_PS_LOST;
    if (st->writable || st->epoch > 0)
        return SS_PS_PROMOTED;
    bool image_ok = !st->conf->image_url || st->image_held;
    // A process that fills a new image has no record yet; elsewhere the image alone is not "held".
    bool record_ok = !st->conf->record_url || st->record_held;
    if (image_ok && record_ok)
        return SS_PS_HELD;
    return st->released ? SS_PS_RELEASED : SS_PS_OBSERVING;
}

void ds_status(struct ds_store *st, struct ss_proc_status *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->pid = getpid();
    st->data->stats(ret);
    pthread_mutex_lock(&st->lock);
    ret->state = ds_state(st);
    ret->epoch = st->epoch;
    ret->volume_id = st->volume_id;
    ret->file_id = st->file_id;
    ret->size_bytes = st->size_bytes;
    ret->stalled_ms = st->stalled ? drv_now_ms() - st->stalled_ms + 1 : 0;
    ret->guest_paused = st->guest_paused;
    ret->attention = st->attention || st->fenced;
    memcpy(ret->lost_reason, st->lost_reason, sizeof ret->lost_reason);
    pthread_mutex_unlock(&st->lock);
}

void ds_lost(struct ds_store *st, enum ds_loss how, const char *fmt, ...)
{
    char reason[sizeof st->lost_reason];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);

    pthread_mutex_lock(&st->lock);
    bool held = st->image_held || st->record_held || st->stalled;
    bool news = held && !st->lost, was_fenced = st->fenced;
    bool pause = news && st->epoch > 0 && (st->conf->image_url || st->conf->guards_guest);
    if (news) {
        st->lost = true;
        st->writable = false;
    }
    st->attention |= held && how == DS_LOST_ATTENTION;
    st->fenced |= held && how == DS_LOST_FENCED;
    st->recover_wanted = held && !st->attention && !st->fenced;
    // What time will not mend is the more important reason, and nothing is worse than fenced.
    bool worse = held && how != DS_LOST_WAIT && !was_fenced;
    if (news || worse)
        memcpy(st->lost_reason, reason, sizeof reason);
    st->pause_wanted |= pause && st->conf->qmp_path;
    pthread_cond_broadcast(&st->wake);
    pthread_mutex_unlock(&st->lock);
    if (!news) {
        if (worse)
            drv_log(LOG_ERR, "store.lost", F_STR("reason", reason));
        return;
    }
    // Whatever of our writes has not left this host must never arrive. Requests fail before the
    // guest is paused: a QEMU that waits for one would not pause.
    st->be->sever();
    st->data->fail();
    st->data->set_writable(false);
    drv_log(LOG_ERR, "store.lost", F_STR("reason", reason), F_INT("fenced", how == DS_LOST_FENCED),
            F_INT("pause", pause));
}

void ds_session_ended(struct ds_store *st, const char *why)
{
    st->data->detach();
    pthread_mutex_lock(&st->lock);
    bool held = st->image_held || st->record_held || st->stalled;
    bool news = held && !st->stalled && !st->lost;
    if (news) {
        st->stalled = true;
        st->stalled_ms = drv_now_ms();
    }
    st->recover_wanted |= (held || st->opened) && !st->attention && !st->fenced;
    pthread_cond_broadcast(&st->wake);
    pthread_mutex_unlock(&st->lock);
    if (news)
        drv_log(LOG_WARNING, "store.stalled", F_STR("reason", why));
}

void ds_verified(struct ds_store *st, int64_t asked_ms)
{
    pthread_mutex_lock(&st->lock);
    if (asked_ms > st->verified_ms)
        st->verified_ms = asked_ms;
    pthread_mutex_unlock(&st->lock);
}

bool ds_session_ok(const struct ds_store *st)
{
    return st->session && st->be->alive(st->session);
}

bool ds_call_failed(struct ds_store *st, int errnum, const char *what)
{
    char why[160];
    if (ds_session_ok(st))
        return false;
    snprintf(why, sizeof why, "%s: %s", what, strerrordesc_np(errnum));
    ds_session_ended(st, why);
    return true;
}

int ds_smb_err(struct drv_err *err, int errnum, const char *what, const char *url)
{
    switch (errnum) {
    case EBUSY:
        drv_err(err, DRV_EBUSY, "%s %s: another host holds it", what, url);
        drv_err_hint(err, "a host that was cut off keeps its handle for 5-6 s; else see which host "
                          "runs the VM with `drover vm show`");
        break;
    case EACCES:
    case EPERM:
        drv_err(err, DRV_EDENIED, "%s %s: refused by the file server", what, url);
        drv_err_hint(err, "the share and folder must allow this host's computer account to write, "
                          "and its Kerberos ticket must be valid");
        break;
    case ENOENT:
        drv_err(err, DRV_ENOTFOUND, "%s %s: no such share, folder or file", what, url);
        break;
    case ENOSPC:
    case EDQUOT:
        drv_err(err, DRV_ENOSPACE, "%s %s: the share is full", what, url);
        break;
    default:
        drv_err(err, errnum == ECONNRESET ? DRV_EUNREACHABLE : DRV_EIO, "%s %s: %s", what, url,
                strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "unknown error");
        break;
    }
    return drv_err_native(err, "smb", errnum);
}
