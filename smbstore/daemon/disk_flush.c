// SPDX-License-Identifier: GPL-3.0-or-later
// Making writes durable: flushes, and the replay after an outage. See disk.h.
#include "disk_int.h"

#include "drover/log.h"
#include <stdlib.h>

enum {
    REPLAY_AT_ONCE = 16,       // replayed pieces under way
    REPLAY_ZERO_MAX = 1 << 30, // bytes of one SET_ZERO_DATA
    TICK_MS = 1000,
    FLUSH_DIRTY_MS = 3000, // acknowledged writes are made durable after that long, unasked
    TRIM_IDLE_MS = 10000,  // an idle disk gives its log's memory back
};

struct piece {
    struct smb2_request smb; // first member
    struct disk *disk;
    struct piece *next;
    uint64_t offset, len;
    const uint8_t *data; // NULL: zeros
};

static void replay_again(struct disk *d);

// --- flush ---

static void broken(struct disk *d, uint32_t status)
{
    disk_fail(d);
    d->owner->broken(d->arg, status);
}

static void durable(struct disk *d, uint64_t mark)
{
    replay_flushed(d->log, mark);
    d->dirty_since_ms = replay_dirty(d->log) ? drv_now_ms() : 0;
}

static void answer_flushed(struct disk *d, uint64_t flush_no)
{
    for (struct job *j = TAILQ_FIRST(&d->jobs), *next; j; j = next) {
        next = TAILQ_NEXT(j, link);
        if (j->state != JOB_WAITS_FLUSH || j->flush_no > flush_no)
            continue;
        d->stats.flushes++;
        disk_finish(j, 0);
    }
}

static void flush_done(struct smb2_request *q, uint32_t status)
{
    struct disk *d = (struct disk *)((char *)q - offsetof(struct disk, flush));
    d->flush_sent = false;
    if (disk_is_lost(status)) {
        d->flush_wanted = true; // of the next handle
        return;
    }
    if (status != SMB2_OK) {
        char name[16];
        drv_log(LOG_ERR, "store.flush.failed", F_STR("status", smb2_status_name(status, name)));
        replay_again(d);
        return;
    }
    durable(d, d->flush_mark);
    answer_flushed(d, d->flush_no);
    d->owner->resume(d->arg);
    disk_start_all(d);
}

void disk_flush_now(struct disk *d)
{
    if (!d->flush_wanted || d->flush_sent || !d->conn)
        return;
    d->flush_wanted = false;
    d->flush_sent = true;
    d->flush_no++;
    d->flush_mark = replay_mark(d->log);
    d->flush.done = flush_done;
    d->io->flush(d->conn, &d->flush, &d->fid);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct disk *d = arg;
    int64_t now = drv_now_ms();
    if (d->dirty_since_ms && now - d->dirty_since_ms >= FLUSH_DIRTY_MS) {
        d->flush_wanted = true;
        disk_flush_now(d);
    }
    if (now - d->changed_ms >= TRIM_IDLE_MS)
        replay_trim(d->log);
}

int disk_flush_init(struct disk *d)
{
    static const struct timeval tick = {.tv_sec = TICK_MS / 1000};
    d->tick = event_new(drv_loop_base(d->loop), -1, EV_PERSIST, on_tick, d);
    if (!d->tick || event_add(d->tick, &tick) < 0)
        return -1;
    return 0;
}

// --- settle ---

static bool changes_pending(const struct disk *d)
{
    const struct job *j;
    TAILQ_FOREACH(j, &d->jobs, link)
    {
        if (disk_changes(j->nbd) && j->state != JOB_WAITS_FLUSH)
            return true;
    }
    return false;
}

static void settled(struct disk *d, uint32_t status)
{
    disk_done *done = DRV_TAKE(d->settled);
    done(d->settled_arg, status);
}

void disk_check_settled(struct disk *d)
{
    if (!d->settled)
        return;
    if (d->failed || !d->conn) {
        if (!d->rep.done && !d->failing)
            settled(d, SMB2_S_LOST);
    } else if (changes_pending(d) || d->flush_sent) {
        return;
    } else if (replay_dirty(d->log)) {
        d->flush_wanted = true;
        disk_flush_now(d);
    } else {
        settled(d, SMB2_OK);
    }
}

void disk_settle(struct disk *d, disk_done *done, void *arg)
{
    d->settled = done;
    d->settled_arg = arg;
    disk_start_all(d);
}

// --- replay ---

static void send_pieces(struct disk *d);
static void start_replay(struct disk *d, bool last);

static void replay_over(struct disk *d)
{
    struct replaying *p = &d->rep;
    disk_done *done = DRV_TAKE(p->done);
    while (p->pieces) {
        struct piece *next = p->pieces->next;
        free(p->pieces);
        p->pieces = next;
    }
    if (p->status == SMB2_OK)
        d->stats.replays++;
    done(p->arg, p->status);
}

static void replay_flush_done(struct smb2_request *q, uint32_t status)
{
    struct disk *d = (struct disk *)((char *)q - offsetof(struct disk, rep.flush));
    if (status != SMB2_OK && !disk_is_lost(status) && !d->rep.last) {
        start_replay(d, true);
        return;
    }
    d->rep.status = status;
    if (status == SMB2_OK)
        durable(d, d->rep.mark);
    replay_over(d);
}

static void piece_done(struct smb2_request *q, uint32_t status)
{
    struct piece *piece = (struct piece *)q;
    struct disk *d = piece->disk;
    d->rep.sent--;
    if (status != SMB2_OK && d->rep.status == SMB2_OK)
        d->rep.status = status;
    else
        d->stats.replayed_bytes += piece->len;
    free(piece);
    if (!d->rep.sending) // an answer from within
        send_pieces(d);
}

static void send_pieces(struct disk *d)
{
    struct replaying *p = &d->rep;
    p->sending = true;
    while (p->pieces && p->sent < REPLAY_AT_ONCE && p->status == SMB2_OK) {
        struct piece *piece = p->pieces;
        p->pieces = piece->next;
        p->sent++;
        piece->smb.done = piece_done;
        if (piece->data)
            d->io->write(p->conn, &piece->smb, &p->fid, piece->data, (uint32_t)piece->len,
                         piece->offset, false);
        else
            d->io->zero(p->conn, &piece->smb, &p->fid, piece->offset, piece->len);
    }
    p->sending = false;
    if (p->sent > 0 || p->flushing)
        return;
    if (p->status != SMB2_OK) {
        replay_over(d);
        return;
    }
    p->flushing = true;
    p->flush.done = replay_flush_done;
    d->io->flush(p->conn, &p->flush, &p->fid);
}

static bool add_piece(void *arg, uint64_t offset, uint64_t len, const uint8_t *data)
{
    struct disk *d = arg;
    uint64_t most = data ? SMB2_IO_MAX : REPLAY_ZERO_MAX;
    for (uint64_t at = 0; at < len; at += most) {
        struct piece *piece = drv_xcalloc(1, sizeof *piece);
        piece->disk = d;
        piece->offset = offset + at;
        piece->len = len - at < most ? len - at : most;
        piece->data = data ? data + at : NULL;
        piece->next = d->rep.pieces;
        d->rep.pieces = piece;
    }
    return true;
}

static void start_replay(struct disk *d, bool last)
{
    struct replaying *p = &d->rep;
    p->last = last;
    p->flushing = false;
    p->status = SMB2_OK;
    p->mark = replay_mark(d->log);
    replay_walk(d->log, add_piece, d);
    send_pieces(d);
}

static void begin_replay(struct disk *d, struct smb2_conn *c, const struct smb2_fid *f, bool last,
                         disk_done *done, void *arg)
{
    d->rep = (struct replaying){.done = done, .arg = arg, .conn = c, .fid = *f};
    start_replay(d, last);
}

void disk_replay(struct disk *d, struct smb2_conn *c, const struct smb2_fid *f, disk_done *done,
                 void *arg)
{
    begin_replay(d, c, f, false, done, arg);
}

// After a flush that failed, the server's system may have thrown the data away and forgotten that
// it did: all of it is written again, once.
static void replayed_again(void *arg, uint32_t status)
{
    struct disk *d = arg;
    if (disk_is_lost(status))
        return; // the owner was told by the connection
    if (status != SMB2_OK) {
        broken(d, status);
        return;
    }
    answer_flushed(d, d->flush_no);
    d->owner->resume(d->arg);
    disk_attach(d, d->rep.conn, &d->rep.fid);
}

// Not while changes are under way: what is replayed must not overtake them.
void disk_check_failing(struct disk *d)
{
    const struct job *j;
    if (!d->failing)
        return;
    TAILQ_FOREACH(j, &d->jobs, link)
    {
        if (j->state == JOB_SENT)
            return;
    }
    struct smb2_conn *c = DRV_TAKE(d->failing);
    begin_replay(d, c, &d->fid, true, replayed_again, d);
}

static void replay_again(struct disk *d)
{
    d->failing = DRV_TAKE(d->conn);
    disk_check_failing(d);
}

void disk_flush_cleanup(struct disk *d)
{
    event_free(d->tick);
}
