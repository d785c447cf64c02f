// SPDX-License-Identifier: GPL-3.0-or-later
// NBD requests: each becomes a job on the SMB thread and is waited for as long as our patience
// lasts (the stall deadline; during a hand-over the blackout limit). When that is passed the
// session is given up: an answer that comes later finds nobody.
#include "store.h"

#include "drover/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum io_op { IO_READ, IO_WRITE, IO_FLUSH };

struct io_job {
    struct ds_job job; // first member
    struct ds_store *st;
    enum io_op op;
    uint32_t len;
    uint64_t offset;
    int result; // errno
    uint8_t data[];
};

static int run_read(struct ds_store *st, struct io_job *io)
{
    int e = ds_lazy_image(st);
    if (e)
        return e;
    size_t got = 0;
    // What is past the end of the file, the export's head-room, stays zero as the job was made.
    e = st->be->read(st->session, st->image, io->data, io->len, io->offset, &got);
    if (e)
        return ds_call_failed(st, e, "reading the image") ? EIO : e;
    pthread_mutex_lock(&st->lock);
    st->reads++;
    st->read_bytes += io->len;
    pthread_mutex_unlock(&st->lock);
    return 0;
}

// Writes that nobody may make are a bug somewhere: logged, ever more rarely.
static int refuse_write(struct ds_store *st, const struct io_job *io)
{
    pthread_mutex_lock(&st->lock);
    bool lost = st->lost;
    uint64_t n = lost ? 0 : ++st->refused_writes;
    pthread_mutex_unlock(&st->lock);
    if (n && (n & (n - 1)) == 0)
        drv_log(LOG_WARNING, "store.write.refused", F_INT("offset", io->offset),
                F_INT("bytes", io->len), F_INT("count", n));
    return lost ? EIO : EPERM;
}

static int run_write(struct ds_store *st, struct io_job *io)
{
    pthread_mutex_lock(&st->lock);
    bool allowed = st->writable && !st->lost;
    pthread_mutex_unlock(&st->lock);
    if (!allowed)
        return refuse_write(st, io);
    if (!st->image || st->session_dead)
        return EIO;
    int e = st->be->write(st->session, st->image, io->data, io->len, io->offset);
    if (e)
        return ds_call_failed(st, e, "writing the image") ? EIO : e;
    pthread_mutex_lock(&st->lock);
    st->writes++;
    st->write_bytes += io->len;
    if (io->offset + io->len > st->size_bytes)
        st->size_bytes = io->offset + io->len;
    pthread_mutex_unlock(&st->lock);
    return 0;
}

static int run_flush(struct ds_store *st)
{
    pthread_mutex_lock(&st->lock);
    bool lost = st->lost, held = st->image_held;
    pthread_mutex_unlock(&st->lock);
    if (lost)
        return EIO;
    if (!held) // observing or released: nothing of ours can be dirty
        return 0;
    int e = st->image && !st->session_dead ? st->be->flush(st->session, st->image) : EIO;
    return e && ds_call_failed(st, e, "flushing the image") ? EIO : e;
}

static void run_io(struct ds_job *job)
{
    struct io_job *io = (struct io_job *)job;
    switch (io->op) {
    case IO_READ:
        io->result = run_read(io->st, io);
        break;
    case IO_WRITE:
        io->result = run_write(io->st, io);
        break;
    case IO_FLUSH:
        io->result = run_flush(io->st);
        break;
    }
}

// When lost, requests fail at once, even while the SMB thread is stuck.
static bool already_lost(struct ds_store *st, int *ret_patience_ms)
{
    pthread_mutex_lock(&st->lock);
    bool lost = st->lost;
    *ret_patience_ms = st->patience_ms ? st->patience_ms : (int)st->conf->stall_s * 1000;
    pthread_mutex_unlock(&st->lock);
    return lost;
}

static int do_io(struct ds_store *st, enum io_op op, void *in, const void *out, uint32_t len,
                 uint64_t offset)
{
    int patience_ms;
    if (already_lost(st, &patience_ms))
        return EIO;
    struct io_job *io = (struct io_job *)ds_job_new(sizeof *io + len, run_io);
    if (!io)
        return ENOMEM;
    io->st = st;
    io->op = op;
    io->len = len;
    io->offset = offset;
    io->result = EIO;
    if (out)
        memcpy(io->data, out, len);
    ds_thread_submit(st->thread, &io->job);
    int e = EIO;
    if (ds_thread_wait(st->thread, &io->job, patience_ms)) {
        e = io->result;
        if (!e && in)
            memcpy(in, io->data, len);
    } else {
        ds_lost(st, false, "the file server did not answer within %d ms", patience_ms);
    }
    ds_job_put(st->thread, &io->job);
    return e;
}

int ds_data_read(struct ds_store *st, void *buf, uint32_t len, uint64_t offset)
{
    return do_io(st, IO_READ, buf, NULL, len, offset);
}

int ds_data_write(struct ds_store *st, const void *buf, uint32_t len, uint64_t offset)
{
    return do_io(st, IO_WRITE, NULL, buf, len, offset);
}

int ds_data_flush(struct ds_store *st)
{
    return do_io(st, IO_FLUSH, NULL, NULL, 0, 0);
}
