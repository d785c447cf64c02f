// SPDX-License-Identifier: GPL-3.0-or-later
// A disk over a file server that is a few arrays here: it answers when it is told to, in any order,
// loses connections, forgets what was not flushed, and fails to flush. The replay log is the real
// one. nbd_done() is ours: for one test program each.
#ifndef TESTS_DISK_RIG_H
#define TESTS_DISK_RIG_H

#include "disk.h"

#include "drover/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISK = 256 * 1024, LOG = 1 << 20, MAX_OPS = 512, UNIT = 512 };
#define BROKEN 0xC0000001u // STATUS_UNSUCCESSFUL

// --- the file server ---

enum op { OP_READ, OP_WRITE, OP_ZERO, OP_FLUSH, OP_RANGES };

struct pending {
    struct smb2_request *r;
    enum op op;
    uint8_t *buf;
    uint64_t offset, len;
};

static struct {
    uint8_t durable[DISK], now[DISK];
    struct pending ops[MAX_OPS];
    unsigned n, sent, flushes, fail_flushes;
    bool flush_failed; // the last one
    uint32_t write_status;
    uint64_t file_bytes;
    struct smb2_range ranges[4];
    unsigned n_ranges;
} fs;

static inline void take(struct smb2_request *r, enum op op, void *buf, uint64_t offset,
                        uint64_t len)
{
    assert_true(fs.n < MAX_OPS);
    fs.ops[fs.n++] = (struct pending){r, op, buf, offset, len};
    fs.sent++;
}

static inline void fs_read(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                           void *buf, uint32_t len, uint64_t offset)
{
    (void)c, (void)f;
    take(r, OP_READ, buf, offset, len);
}

static inline void fs_write(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                            const void *buf, uint32_t len, uint64_t offset, bool write_through)
{
    (void)c, (void)f, (void)write_through;
    take(r, OP_WRITE, (void *)(uintptr_t)buf, offset, len);
}

static inline void fs_flush(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    (void)c, (void)f;
    take(r, OP_FLUSH, NULL, 0, 0);
}

static inline void fs_zero(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                           uint64_t offset, uint64_t len)
{
    (void)c, (void)f;
    take(r, OP_ZERO, NULL, offset, len);
}

static inline void fs_ranges(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                             uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max)
{
    (void)c, (void)f, (void)max;
    take(r, OP_RANGES, (uint8_t *)ret, offset, len);
}

static const struct disk_io io = {fs_read, fs_write, fs_flush, fs_zero, fs_ranges};

static inline uint32_t perform(const struct pending *p)
{
    switch (p->op) {
    case OP_READ:
        if (p->offset >= fs.file_bytes)
            return SMB2_S_END_OF_FILE;
        p->r->got =
            (uint32_t)(p->len < fs.file_bytes - p->offset ? p->len : fs.file_bytes - p->offset);
        memcpy(p->buf, fs.now + p->offset, p->r->got);
        break;
    case OP_WRITE:
        if (fs.write_status)
            return fs.write_status;
        memcpy(fs.now + p->offset, p->buf, p->len);
        if (p->offset + p->len > fs.file_bytes)
            fs.file_bytes = p->offset + p->len;
        break;
    case OP_ZERO:
        memset(fs.now + p->offset, 0, p->len);
        break;
    case OP_FLUSH:
        fs.flushes++;
        fs.flush_failed = fs.fail_flushes > 0;
        if (fs.fail_flushes) {
            fs.fail_flushes--;
            memcpy(fs.now, fs.durable, DISK); // Linux: what could not be written is dropped
            return BROKEN;
        }
        memcpy(fs.durable, fs.now, DISK);
        break;
    case OP_RANGES:
        memcpy(p->buf, fs.ranges, sizeof fs.ranges);
        p->r->got = fs.n_ranges;
        break;
    }
    return SMB2_OK;
}

// Answer the i-th request under way.
static inline void answer(unsigned i)
{
    struct pending p = fs.ops[i];
    memmove(&fs.ops[i], &fs.ops[i + 1], (--fs.n - i) * sizeof fs.ops[0]);
    uint32_t status = perform(&p);
    p.r->done(p.r, status);
}

static inline void answer_all(void)
{
    while (fs.n)
        answer(0);
}

// The connection ends: some requests were done, some were not, nobody is told.
static inline void cut(unsigned seed)
{
    while (fs.n) {
        struct pending p = fs.ops[--fs.n];
        if (seed >> (fs.n % 32) & 1)
            (void)(p.op == OP_FLUSH ? SMB2_OK : perform(&p));
        p.r->done(p.r, SMB2_S_LOST);
    }
}

// Power off: what was not flushed is gone.
static inline void crash(void)
{
    memcpy(fs.now, fs.durable, DISK);
}

// --- the guest ---

struct ask {
    struct nbd_request r; // first member
    uint8_t data[64 * 1024];
    struct nbd_extent extents[NBD_EXTENTS_MAX];
    bool done;
    int errnum;
};

static struct drv_loop *loop;
static struct replay *rlog;
static struct disk *disk;
static char log_path[64];
static unsigned resumed;
static uint32_t broken_status;
static struct smb2_conn *const conn = (struct smb2_conn *)1; // never looked into
static const struct smb2_fid fid = {1, 2};

void nbd_done(struct nbd_request *r, int errnum)
{
    struct ask *a = (struct ask *)r;
    assert_false(a->done);
    a->done = true;
    a->errnum = errnum;
}

static inline void on_resume(void *arg)
{
    (void)arg;
    resumed++;
}

static inline void on_broken(void *arg, uint32_t status)
{
    (void)arg;
    broken_status = status;
}

static inline bool prepare_ask(struct ask *a, enum nbd_op op, uint64_t offset, uint32_t len,
                               uint8_t fill)
{
    memset(a, 0, offsetof(struct ask, data));
    a->done = false;
    a->r = (struct nbd_request){.op = op, .offset = offset, .len = len, .extents = a->extents};
    a->r.data = a->data;
    if (op != NBD_OP_WRITE)
        return true;
    a->r.data = disk_nbd_ops.write_buffer(disk, &a->r);
    if (a->r.data)
        memset(a->r.data, fill, len);
    return a->r.data != NULL;
}

static inline bool ask(struct ask *a, enum nbd_op op, uint64_t offset, uint32_t len, uint8_t fill)
{
    if (!prepare_ask(a, op, offset, len, fill))
        return false;
    disk_nbd_ops.submit(disk, &a->r);
    return true;
}

static inline int setup(void **state)
{
    static const struct disk_owner owner = {.resume = on_resume, .broken = on_broken};
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    bool found;
    memset(&fs, 0, sizeof fs);
    fs.file_bytes = DISK;
    resumed = broken_status = 0;
    snprintf(log_path, sizeof log_path, "/dev/shm/test-disk-%d", (int)getpid());
    loop = drv_loop_new(&err);
    rlog = replay_open(log_path, LOG, &found, &err);
    disk = disk_new(loop, &io, rlog, &owner, NULL);
    disk_set_size(disk, DISK, DISK);
    disk_set_writable(disk, true);
    disk_attach(disk, conn, &fid);
    return rlog && disk ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    disk_detach(disk);
    cut(0);
    disk_free(disk);
    replay_close(rlog, true);
    drv_loop_free(loop);
    return 0;
}

static uint32_t replay_status;

static inline void replayed(void *arg, uint32_t status)
{
    (void)arg;
    replay_status = status;
}

// What the owner does after an outage, when all was well.
static inline void recover(void)
{
    disk_replay(disk, conn, &fid, replayed, NULL);
    answer_all();
    assert_int_equal(replay_status, SMB2_OK);
    disk_attach(disk, conn, &fid);
}

static inline void lose_connection(unsigned seed)
{
    cut(seed);
    disk_detach(disk);
}

#endif
