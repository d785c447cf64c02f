// SPDX-License-Identifier: GPL-3.0-or-later
// See disk.h. One list holds every request without an answer, in the order of arrival.
#include "disk_int.h"

#include "drover/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE_REQUESTS = 128, RANGES_AT_ONCE = NBD_EXTENTS_MAX / 4 };

// --- requests ---

bool disk_changes(const struct nbd_request *r)
{
    return r->op == NBD_OP_WRITE || r->op == NBD_OP_ZERO || r->op == NBD_OP_TRIM;
}

bool disk_is_lost(uint32_t status)
{
    return status == SMB2_S_LOST || status == SMB2_S_BAD_ANSWER;
}

static struct job *job_new(struct disk *d, struct nbd_request *r)
{
    struct job *j = d->spare;
    if (j) {
        d->spare = TAILQ_NEXT(j, link);
        d->n_spare--;
    } else {
        j = drv_xcalloc(1, sizeof *j);
    }
    j->disk = d;
    j->nbd = r;
    j->entry = NULL;
    j->state = JOB_WAITS;
    j->since_ms = drv_now_ms();
    return j;
}

static void job_free(struct disk *d, struct job *j)
{
    free(DRV_TAKE(j->ranges));
    if (d->n_spare >= SPARE_REQUESTS) {
        free(j);
        return;
    }
    TAILQ_NEXT(j, link) = d->spare;
    d->spare = j;
    d->n_spare++;
}

void disk_finish(struct job *j, int errnum)
{
    struct disk *d = j->disk;
    struct nbd_request *r = j->nbd;
    if (j->entry)
        replay_drop(d->log, j->entry);
    uint8_t *scratch = r->op == NBD_OP_WRITE && !r->user ? r->data : NULL;
    TAILQ_REMOVE(&d->jobs, j, link);
    d->n_jobs--;
    job_free(d, j);
    nbd_done(r, errnum);
    free(scratch);
}

// The answer never came, or tells of a time after the server forgot and before it was told again:
// asked again on the next handle.
static bool unanswered(struct job *j, uint32_t status)
{
    struct disk *d = j->disk;
    bool stale = d->failing && !disk_changes(j->nbd);
    if (!disk_is_lost(status) && !stale)
        return false;
    j->state = JOB_WAITS;
    if (d->failed)
        disk_finish(j, EIO);
    disk_check_failing(d);
    return true;
}

static void read_done(struct smb2_request *q, uint32_t status)
{
    struct job *j = (struct job *)q;
    struct nbd_request *r = j->nbd;
    if (unanswered(j, status))
        return;
    if (status == SMB2_S_END_OF_FILE) { // the export's head-room, or a file that shrank
        q->got = 0;
        status = SMB2_OK;
    }
    if (status == SMB2_OK) {
        memset(r->data + q->got, 0, r->len - q->got);
        j->disk->stats.reads++;
        j->disk->stats.read_bytes += r->len;
    }
    disk_finish(j, smb2_errno(status));
}

static void acknowledged(struct job *j)
{
    struct disk *d = j->disk;
    const struct nbd_request *r = j->nbd;
    replay_acknowledge(d->log, DRV_TAKE(j->entry));
    d->changed_ms = drv_now_ms();
    if (!d->dirty_since_ms)
        d->dirty_since_ms = d->changed_ms;
    if (r->op != NBD_OP_WRITE) {
        d->stats.zero_bytes += r->len;
        return;
    }
    d->stats.writes++;
    d->stats.write_bytes += r->len;
    if (r->offset + r->len > d->file_bytes)
        d->file_bytes = r->offset + r->len;
}

// The next flush to be sent answers it.
static void wait_for_flush(struct job *j)
{
    j->state = JOB_WAITS_FLUSH;
    j->flush_no = j->disk->flush_no + 1;
    j->disk->flush_wanted = true;
}

static void change_done(struct smb2_request *q, uint32_t status)
{
    struct job *j = (struct job *)q;
    struct disk *d = j->disk;
    bool zero = j->nbd->op != NBD_OP_WRITE;
    if (unanswered(j, status))
        return;
    if (status == SMB2_OK)
        acknowledged(j);
    if (status == SMB2_OK && zero && j->nbd->fua) { // there is no write-through for FSCTLs
        wait_for_flush(j);
    } else {
        disk_finish(j, smb2_errno(status));
    }
    if (replay_used(d->log) > replay_capacity(d->log) / 2)
        d->flush_wanted = true;
    disk_check_failing(d);
    disk_start_all(d); // others may have waited for this one
}

// A hole from pos to the next allocated range or end, as one or two extents.
static void put_extent(struct nbd_request *r, uint64_t len, bool hole)
{
    if (len == 0)
        return;
    if (r->n_extents && r->extents[r->n_extents - 1].hole == hole)
        r->extents[r->n_extents - 1].len += len;
    else if (r->n_extents < NBD_EXTENTS_MAX)
        r->extents[r->n_extents++] = (struct nbd_extent){.len = len, .hole = hole};
}

static void status_done(struct smb2_request *q, uint32_t status)
{
    struct job *j = (struct job *)q;
    struct nbd_request *r = j->nbd;
    uint64_t pos = r->offset, end = r->offset + r->len;
    if (unanswered(j, status))
        return;
    r->n_extents = 0;
    if (status == SMB2_OK || status == SMB2_S_BUFFER_OVERFLOW) {
        for (unsigned i = 0; i < q->got; i++) {
            put_extent(r, j->ranges[i].offset - pos, true);
            put_extent(r, j->ranges[i].len, false);
            pos = j->ranges[i].offset + j->ranges[i].len;
        }
        if (status == SMB2_OK)
            put_extent(r, end - pos, true);
        status = SMB2_OK;
    } else if (smb2_errno(status) == EOPNOTSUPP || smb2_errno(status) == EINVAL) {
        put_extent(r, r->len, false); // a server without sparse files: all is data
        status = SMB2_OK;
    }
    if (status == SMB2_OK && r->n_extents == 0)
        put_extent(r, r->len, false);
    disk_finish(j, smb2_errno(status));
}

// --- sending ---

static bool overlap(const struct nbd_request *a, const struct nbd_request *b)
{
    return a->offset < b->offset + b->len && b->offset < a->offset + a->len;
}

// Does a change of the same bytes that came earlier still have no answer?
static bool must_wait(const struct disk *d, const struct job *j)
{
    const struct job *o;
    TAILQ_FOREACH(o, &d->jobs, link)
    {
        if (o == j)
            return false;
        if (o->state != JOB_WAITS_FLUSH && disk_changes(o->nbd) && overlap(o->nbd, j->nbd))
            return true;
    }
    return false;
}

static void refuse(struct job *j)
{
    struct disk *d = j->disk;
    uint64_t n = ++d->stats.refused_writes;
    if ((n & (n - 1)) == 0) // a bug somewhere: logged, ever more rarely
        drv_log(LOG_WARNING, "store.write.refused", F_INT("offset", j->nbd->offset),
                F_INT("bytes", j->nbd->len), F_INT("count", n));
    disk_finish(j, EPERM);
}

static void send_change(struct disk *d, struct job *j)
{
    struct nbd_request *r = j->nbd;
    if (!j->entry) // ZERO and TRIM have no payload to be received: room is taken now
        j->entry = replay_reserve_zero(d->log, r->offset, r->len);
    if (!j->entry) {
        d->flush_wanted = true;
        return;
    }
    j->state = JOB_SENT;
    j->smb.done = change_done;
    if (r->op == NBD_OP_WRITE)
        d->io->write(d->conn, &j->smb, &d->fid, r->data, r->len, r->offset, r->fua);
    else
        d->io->zero(d->conn, &j->smb, &d->fid, r->offset, r->len);
}

static void send_status(struct disk *d, struct job *j)
{
    j->state = JOB_SENT;
    j->smb.done = status_done;
    if (!j->ranges)
        j->ranges = drv_xcalloc(RANGES_AT_ONCE, sizeof *j->ranges);
    d->io->ranges(d->conn, &j->smb, &d->fid, j->nbd->offset, j->nbd->len, j->ranges,
                  RANGES_AT_ONCE);
}

static void start_flush_job(struct disk *d, struct job *j)
{
    if (!replay_dirty(d->log)) {
        d->stats.flushes++;
        disk_finish(j, 0); // all that was answered is durable
        return;
    }
    wait_for_flush(j);
}

// One request that waits. It is gone or sent afterwards, or waits for another one.
static void start(struct disk *d, struct job *j)
{
    struct nbd_request *r = j->nbd;
    if (disk_changes(r) && !d->writable && !d->failed && d->conn) {
        refuse(j);
        return;
    }
    if (r->op == NBD_OP_FLUSH) {
        start_flush_job(d, j);
        return;
    }
    if (!d->conn || (disk_changes(r) && must_wait(d, j)))
        return;
    switch (r->op) {
    case NBD_OP_READ:
        j->state = JOB_SENT;
        j->smb.done = read_done;
        d->io->read(d->conn, &j->smb, &d->fid, r->data, r->len, r->offset);
        break;
    case NBD_OP_WRITE:
    case NBD_OP_ZERO:
    case NBD_OP_TRIM:
        send_change(d, j);
        break;
    case NBD_OP_STATUS:
        send_status(d, j);
        break;
    case NBD_OP_FLUSH:
        break;
    }
}

void disk_start_all(struct disk *d)
{
    d->again = true;
    if (d->starting)
        return;
    d->starting = true;
    while (d->again) {
        d->again = false;
        for (struct job *j = TAILQ_FIRST(&d->jobs), *next; j; j = next) {
            next = TAILQ_NEXT(j, link); // start() ends no other than j
            if (j->state == JOB_WAITS)
                start(d, j);
        }
        disk_flush_now(d);
    }
    d->starting = false;
    disk_check_settled(d);
}

// --- the NBD server's side ---

static int nbd_size(void *arg, uint64_t *ret_bytes)
{
    const struct disk *d = arg;
    *ret_bytes = d->export_bytes;
    return d->export_bytes ? 0 : ENXIO; // not opened yet
}

static uint8_t *nbd_write_buffer(void *arg, struct nbd_request *r)
{
    struct disk *d = arg;
    struct replay_entry *e = d->failed ? NULL : replay_reserve_data(d->log, r->offset, r->len);
    r->user = e;
    if (e)
        return replay_payload(e);
    if (d->failed) // it will be refused, but has to be received
        return malloc(r->len);
    d->flush_wanted = true;
    disk_start_all(d);
    return NULL;
}

static void nbd_discard(void *arg, struct nbd_request *r)
{
    struct disk *d = arg;
    if (r->user)
        replay_drop(d->log, r->user);
    else
        free(r->data);
}

static void nbd_submit(void *arg, struct nbd_request *r)
{
    struct disk *d = arg;
    struct job *j = job_new(d, r);
    if (r->op == NBD_OP_WRITE)
        j->entry = r->user;
    TAILQ_INSERT_TAIL(&d->jobs, j, link);
    d->n_jobs++;
    if (d->failed)
        disk_finish(j, EIO);
    else
        start(d, j);
    if (d->flush_wanted && !d->starting)
        disk_flush_now(d);
}

const struct nbd_ops disk_nbd_ops = {.size = nbd_size,
                                     .write_buffer = nbd_write_buffer,
                                     .discard = nbd_discard,
                                     .submit = nbd_submit};

// --- life ---

const struct disk_io disk_smb2 = {.read = smb2_read,
                                  .write = smb2_write,
                                  .flush = smb2_flush,
                                  .zero = smb2_zero,
                                  .ranges = smb2_ranges};

struct disk *disk_new(struct drv_loop *loop, const struct disk_io *io, struct replay *log,
                      const struct disk_owner *owner, void *arg)
{
    struct disk *d = drv_xcalloc(1, sizeof *d);
    d->loop = loop;
    d->io = io;
    d->log = log;
    d->owner = owner;
    d->arg = arg;
    TAILQ_INIT(&d->jobs);
    if (disk_flush_init(d) == 0)
        return d;
    free(d);
    return NULL;
}

static void finish_waiting(struct disk *d, int errnum)
{
    for (struct job *j = TAILQ_FIRST(&d->jobs), *next; j; j = next) {
        next = TAILQ_NEXT(j, link);
        if (j->state != JOB_SENT)
            disk_finish(j, errnum);
    }
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    d->failed = true;
    finish_waiting(d, ESHUTDOWN);
    disk_flush_cleanup(d);
    while (d->spare) {
        struct job *j = d->spare;
        d->spare = TAILQ_NEXT(j, link);
        free(j);
    }
    free(d);
}

void disk_set_size(struct disk *d, uint64_t export_bytes, uint64_t file_bytes)
{
    d->export_bytes = export_bytes;
    d->file_bytes = file_bytes;
}

void disk_attach(struct disk *d, struct smb2_conn *c, const struct smb2_fid *f)
{
    const struct job *j;
    d->conn = c;
    d->fid = *f;
    TAILQ_FOREACH(j, &d->jobs, link)
    {
        if (j->state == JOB_WAITS_FLUSH) // the one that it waited for went down with its connection
            d->flush_wanted = true;
    }
    disk_start_all(d);
}

void disk_detach(struct disk *d)
{
    d->conn = d->failing = NULL;
    disk_check_settled(d);
}

void disk_set_writable(struct disk *d, bool writable)
{
    d->writable = writable;
    disk_start_all(d);
}

void disk_fail(struct disk *d)
{
    d->conn = d->failing = NULL;
    d->failed = true;
    finish_waiting(d, EIO);
    d->owner->resume(d->arg);
}

void disk_heal(struct disk *d)
{
    d->failed = false;
    disk_start_all(d);
}

int64_t disk_oldest_ms(const struct disk *d)
{
    const struct job *j = TAILQ_FIRST(&d->jobs);
    return j ? drv_now_ms() - j->since_ms : 0;
}

void disk_get_stats(const struct disk *d, struct disk_stats *ret)
{
    *ret = d->stats;
    ret->log_bytes = replay_used(d->log);
    ret->waiting = d->n_jobs;
}
