// SPDX-License-Identifier: GPL-3.0-or-later
// Reading, writing and verifying the owner record through the held handle. Procedure thread only.
// The format is record.h; the rules are DESIGN.md section 3, rules 1, 4 and 5.
#include "store.h"

#include "drover/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// 1 decoded into st->cur, 0 the file is empty, -1 err. *ret_errno: of the read, else 0.
static int load(struct ds_store *st, int *ret_errno, struct drv_err *err)
{
    uint8_t bytes[SS_RECORD_BYTES];
    size_t len = 0;
    st->have_record = false;
    *ret_errno = st->be->read(st->session, st->record, bytes, sizeof bytes, 0, &len);
    if (*ret_errno)
        return ds_smb_err(err, *ret_errno, "reading", st->conf->record_url);
    if (len == 0)
        return 0;
    if (ss_record_decode(bytes, len, &st->cur, &st->cur_slot, err) < 0)
        return -1;
    st->have_record = true;
    return 1;
}

static int check_held(struct ds_store *st, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    bool lost = st->lost;
    pthread_mutex_unlock(&st->lock);
    if (lost)
        return drv_err(err, DRV_ESTATE, "the file server's session was lost: reopen first");
    if (!st->want_record || !st->record || !ds_session_ok(st))
        return drv_err(err, DRV_ESTATE, "the owner record is not held");
    return 0;
}

// The record never says less than the epoch at which this process ran: an older one, or none, is
// that of a server that lost a durable write. Nobody may act on it.
static int check_not_rolled_back(struct ds_store *st, struct drv_err *err)
{
    uint64_t now = st->have_record ? st->cur.epoch : 0;
    if (now >= st->last_epoch)
        return 0;
    drv_err(err, DRV_EATTENTION,
            "the file server lost a durable write: the owner record is at epoch %" PRIu64
            ", this host ran at %" PRIu64,
            now, st->last_epoch);
    ds_lost(st, DS_LOST_ATTENTION,
            "the file server lost a durable write: the owner record went back");
    return -1;
}

int ds_read_record(struct ds_store *st, struct ss_record *ret, struct drv_err *err)
{
    if (check_held(st, err) < 0)
        return -1;
    int e = 0;
    int64_t asked_ms = drv_now_ms();
    int rc = load(st, &e, err);
    if (e)
        ds_call_failed(st, e, "reading the owner record");
    if (rc < 0 || check_not_rolled_back(st, err) < 0)
        return -1;
    ds_verified(st, asked_ms);
    if (rc == 0)
        return drv_err(err, DRV_ENOTFOUND, "%s is empty: a new owner record", st->conf->record_url);
    *ret = st->cur;
    // After a reopen: somebody else was here. This copy never writes again.
    if (st->last_epoch && !st->let_go && st->cur.epoch > st->last_epoch)
        ds_lost(st, DS_LOST_FENCED,
                "fenced: the owner record is at epoch %" PRIu64 ", this host ran at %" PRIu64,
                st->cur.epoch, st->last_epoch);
    return 0;
}

// A write may repeat the epoch (release, change of the definition) or raise it by one (acquire).
static int check_next(struct ds_store *st, const struct ss_record *r, struct drv_err *err)
{
    pthread_mutex_lock(&st->lock);
    uint64_t running = st->epoch;
    pthread_mutex_unlock(&st->lock);
    if (running && r->epoch != running)
        return drv_err(err, DRV_ESTATE, "a running VM keeps its epoch %" PRIu64, running);
    if (!st->have_record)
        return r->epoch >= 1 ? 0 : drv_err(err, DRV_EINVAL, "the first epoch is 1");
    if (strcmp(r->vm, st->cur.vm) != 0)
        return drv_err(err, DRV_EATTENTION, "the record at %s is that of VM %s, not %s",
                       st->conf->record_url, st->cur.vm, r->vm);
    if (r->epoch != st->cur.epoch && r->epoch != st->cur.epoch + 1)
        return drv_err(err, DRV_ESTATE,
                       "epoch %" PRIu64 " does not follow %" PRIu64 " in the owner record",
                       r->epoch, st->cur.epoch);
    return 0;
}

// Write one slot and read it back through the same handle.
static int write_slot(struct ds_store *st, unsigned slot, const uint8_t bytes[SS_RECORD_SLOT_BYTES],
                      struct drv_err *err)
{
    uint64_t offset = (uint64_t)slot * SS_RECORD_SLOT_BYTES;
    uint8_t back[SS_RECORD_SLOT_BYTES];
    size_t len = 0;
    int e = st->be->write(st->session, st->record, bytes, SS_RECORD_SLOT_BYTES, offset);
    if (!e)
        e = st->be->flush(st->session, st->record);
    if (!e)
        e = st->be->read(st->session, st->record, back, sizeof back, offset, &len);
    if (e) {
        st->have_record = false;
        ds_call_failed(st, e, "writing the owner record");
        ds_smb_err(err, e, "writing", st->conf->record_url);
        return drv_err_hint(err, "the outcome is unknown until the record has been read again");
    }
    if (len != sizeof back || memcmp(bytes, back, sizeof back) != 0) {
        st->have_record = false;
        return drv_err(err, DRV_EATTENTION,
                       "the owner record %s does not read back as it was written",
                       st->conf->record_url);
    }
    return 0;
}

// The record says that nobody runs on these images.
static void let_go(struct ds_store *st)
{
    pthread_mutex_lock(&st->lock);
    st->writable = st->pause_wanted = false;
    st->epoch = 0;
    pthread_mutex_unlock(&st->lock);
    st->data->set_writable(false);
    st->let_go = true;
}

int ds_write_record(struct ds_store *st, const struct ss_record *r, struct drv_err *err)
{
    if (check_held(st, err) < 0)
        return -1;
    int e = 0;
    if (!st->have_record && load(st, &e, err) < 0) {
        if (e)
            ds_call_failed(st, e, "reading the owner record");
        return -1;
    }
    if (check_not_rolled_back(st, err) < 0 || check_next(st, r, err) < 0)
        return -1;
    struct ss_record next = *r;
    next.write_counter = st->have_record ? st->cur.write_counter + 1 : 1;
    unsigned slot = st->have_record ? 1 - st->cur_slot : 0;
    uint8_t bytes[SS_RECORD_SLOT_BYTES];
    int64_t asked_ms = drv_now_ms();
    if (ss_record_encode(&next, bytes, err) < 0 || write_slot(st, slot, bytes, err) < 0)
        return -1;
    st->cur = next;
    st->cur_slot = slot;
    st->have_record = true;
    ds_verified(st, asked_ms);
    if (next.state != SS_REC_RUNNING)
        let_go(st);
    drv_log(LOG_NOTICE, "store.record", F_STR("state", ss_record_state_name(next.state)),
            F_INT("epoch", next.epoch), F_INT("counter", next.write_counter));
    return 0;
}

// Compare the record's epoch with ours. -1: not ours, and ds_lost() has been called.
static int compare(struct ds_store *st, uint64_t now, uint64_t mine, struct drv_err *err)
{
    if (now == mine || mine == 0)
        return 0;
    if (now > mine) {
        ds_lost(st, DS_LOST_FENCED,
                "fenced: the owner record is at epoch %" PRIu64 ", this host ran at %" PRIu64, now,
                mine);
        return drv_err(err, DRV_EATTENTION, "another host took the VM over (epoch %" PRIu64 ")",
                       now);
    }
    ds_lost(st, DS_LOST_ATTENTION,
            "the file server lost a durable write: the owner record went back from epoch "
            "%" PRIu64 " to %" PRIu64,
            mine, now);
    return drv_err(err, DRV_EATTENTION,
                   "the file server lost a durable write: the owner record went back from epoch "
                   "%" PRIu64 " to %" PRIu64,
                   mine, now);
}

static int look(struct ds_store *st, struct ss_record *ret, bool *ret_empty, struct drv_err *err)
{
    uint8_t bytes[SS_RECORD_BYTES];
    size_t len = 0;
    unsigned slot;
    const char *url = st->conf->record_url ? st->conf->record_url : st->conf->peek_url;
    int e = st->be->peek(st->session, url, bytes, sizeof bytes, &len);
    if (e) {
        ds_call_failed(st, e, "reading the owner record");
        return ds_smb_err(err, e, "reading", url);
    }
    *ret_empty = len == 0;
    return len == 0 ? 0 : ss_record_decode(bytes, len, ret, &slot, err);
}

void ds_look_for_fence(struct ds_store *st)
{
    struct drv_err ignored = DRV_ERR_INIT;
    struct ss_record now;
    bool empty;
    bool has_url = st->conf->record_url || st->conf->peek_url;
    if (!st->last_epoch || st->let_go || !has_url || look(st, &now, &empty, &ignored) < 0)
        return;
    if (!empty && now.epoch > st->last_epoch)
        (void)compare(st, now.epoch, st->last_epoch, &ignored);
}

int ds_check_record(struct ds_store *st, struct drv_err *err)
{
    // One that let go may be overtaken, but not with writes in its log: they would be replayed.
    bool bound = !st->let_go || (st->want_image && st->data->dirty());
    uint64_t mine = bound ? st->last_epoch : 0;
    struct ss_record now;
    bool empty = true;
    int e = 0;
    if (st->want_record) {
        int rc = load(st, &e, err);
        if (e)
            ds_call_failed(st, e, "reading the owner record");
        if (rc < 0)
            return -1;
        empty = rc == 0;
        now = st->cur;
    } else if (!mine || !st->conf->peek_url) {
        return 0;
    } else if (look(st, &now, &empty, err) < 0) {
        return -1;
    }
    if (compare(st, empty ? 0 : now.epoch, mine, err) < 0)
        return -1;
    // A release whose answer was lost: it is one.
    if (mine && !empty && now.state != SS_REC_RUNNING)
        let_go(st);
    return 0;
}

// false: the record does not confirm us, and ds_lost() has been called.
static bool verify_record(struct ds_store *st)
{
    struct drv_err err = DRV_ERR_INIT;
    pthread_mutex_lock(&st->lock);
    uint64_t running = st->epoch;
    pthread_mutex_unlock(&st->lock);
    // After a write that failed half-way the record is not known, but where the guest runs is.
    uint64_t mine = st->have_record ? st->cur.epoch : running;
    int e = 0;
    int rc = load(st, &e, &err);
    if (rc < 0) {
        if (!e || !ds_call_failed(st, e, "verifying the owner record"))
            ds_lost(st, DS_LOST_ATTENTION, "verifying the owner record: %s", err.msg);
        return false;
    }
    return compare(st, rc == 1 ? st->cur.epoch : 0, mine, &err) == 0;
}

void ds_verify(struct ds_store *st)
{
    if (st->session && !ds_session_ok(st)) // ended while others were busy
        ds_session_ended(st, "the connection ended");
    pthread_mutex_lock(&st->lock);
    bool skip = st->lost || st->stalled || (!st->image_held && !st->record_held);
    pthread_mutex_unlock(&st->lock);
    if (skip || !ds_session_ok(st))
        return;
    int64_t asked_ms = drv_now_ms();
    if (st->want_record && st->record && !verify_record(st))
        return;
    if (st->want_image && st->image) {
        int e = st->be->confirm(st->session, st->image);
        if (e) {
            if (!ds_call_failed(st, e, "verifying the image"))
                ds_lost(st, DS_LOST_ATTENTION, "verifying the image: %s", strerrordesc_np(e));
            return;
        }
    }
    ds_verified(st, asked_ms);
}
