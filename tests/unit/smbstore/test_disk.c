// SPDX-License-Identifier: GPL-3.0-or-later
// The data path of a disk over a file server that is a few arrays here: it answers late and in any
// order, loses connections, forgets what was not flushed, and fails to flush. The replay log is the
// real one. nbd_done() is ours.
#include "disk.h"

#include "drover/util.h"
#include <errno.h>
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

static void take(struct smb2_request *r, enum op op, void *buf, uint64_t offset, uint64_t len)
{
    assert_true(fs.n < MAX_OPS);
    fs.ops[fs.n++] = (struct pending){r, op, buf, offset, len};
    fs.sent++;
}

static void fs_read(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                    void *buf, uint32_t len, uint64_t offset)
{
    (void)c, (void)f;
    take(r, OP_READ, buf, offset, len);
}

static void fs_write(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                     const void *buf, uint32_t len, uint64_t offset, bool write_through)
{
    (void)c, (void)f, (void)write_through;
    take(r, OP_WRITE, (void *)(uintptr_t)buf, offset, len);
}

static void fs_flush(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    (void)c, (void)f;
    take(r, OP_FLUSH, NULL, 0, 0);
}

static void fs_zero(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                    uint64_t offset, uint64_t len)
{
    (void)c, (void)f;
    take(r, OP_ZERO, NULL, offset, len);
}

static void fs_ranges(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                      uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max)
{
    (void)c, (void)f, (void)max;
    take(r, OP_RANGES, (uint8_t *)ret, offset, len);
}

static const struct disk_io io = {fs_read, fs_write, fs_flush, fs_zero, fs_ranges};

static uint32_t perform(const struct pending *p)
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
static void answer(unsigned i)
{
    struct pending p = fs.ops[i];
    memmove(&fs.ops[i], &fs.ops[i + 1], (--fs.n - i) * sizeof fs.ops[0]);
    uint32_t status = perform(&p);
    p.r->done(p.r, status);
}

static void answer_all(void)
{
    while (fs.n)
        answer(0);
}

// The connection ends: some requests were done, some were not, nobody is told.
static void cut(unsigned seed)
{
    while (fs.n) {
        struct pending p = fs.ops[--fs.n];
        if (seed >> (fs.n % 32) & 1)
            (void)(p.op == OP_FLUSH ? SMB2_OK : perform(&p));
        p.r->done(p.r, SMB2_S_LOST);
    }
}

// Power off: what was not flushed is gone.
static void crash(void)
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

static void on_resume(void *arg)
{
    (void)arg;
    resumed++;
}

static void on_broken(void *arg, uint32_t status)
{
    (void)arg;
    broken_status = status;
}

static bool prepare_ask(struct ask *a, enum nbd_op op, uint64_t offset, uint32_t len, uint8_t fill)
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

static bool ask(struct ask *a, enum nbd_op op, uint64_t offset, uint32_t len, uint8_t fill)
{
    if (!prepare_ask(a, op, offset, len, fill))
        return false;
    disk_nbd_ops.submit(disk, &a->r);
    return true;
}

static int setup(void **state)
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

static int teardown(void **state)
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

static void replayed(void *arg, uint32_t status)
{
    (void)arg;
    replay_status = status;
}

// What the owner does after an outage, when all was well.
static void recover(void)
{
    disk_replay(disk, conn, &fid, replayed, NULL);
    answer_all();
    assert_int_equal(replay_status, SMB2_OK);
    disk_attach(disk, conn, &fid);
}

static void lose_connection(unsigned seed)
{
    cut(seed);
    disk_detach(disk);
}

// --- promises ---

static void a_write_is_answered_when_the_server_has_it(void **state)
{
    (void)state;
    struct ask a;
    ask(&a, NBD_OP_WRITE, 4096, 4096, 7);
    assert_false(a.done);
    answer(0);
    assert_true(a.done && a.errnum == 0);
    assert_int_equal(fs.now[4096], 7);
    assert_true(replay_dirty(rlog));
}

static void changes_of_the_same_bytes_are_never_under_way_together(void **state)
{
    (void)state;
    struct ask a, b, c, d;
    ask(&a, NBD_OP_WRITE, 0, 8192, 1);
    ask(&b, NBD_OP_WRITE, 4096, 8192, 2);
    ask(&c, NBD_OP_ZERO, 8192, 512, 0);
    ask(&d, NBD_OP_WRITE, 65536, 512, 4);
    assert_int_equal(fs.n, 2); // a and d
    answer(0);
    assert_int_equal(fs.n, 2); // d and b; c waits for b
    answer(1);
    answer_all();
    assert_true(a.done && b.done && c.done && d.done);
    assert_int_equal(fs.now[4095], 1);
    assert_int_equal(fs.now[4096], 2);
    assert_int_equal(fs.now[8192], 0);
}

static void a_flush_covers_only_what_was_answered_before_it_was_sent(void **state)
{
    (void)state;
    struct ask a, b, f;
    ask(&a, NBD_OP_WRITE, 0, 512, 1);
    answer(0);
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    ask(&b, NBD_OP_WRITE, 512, 512, 2);
    answer(1); // b, while the flush is under way
    assert_true(b.done && !f.done);
    answer(0);
    assert_true(f.done);
    assert_true(replay_dirty(rlog)); // b is still in the log
    crash();
    disk_detach(disk);
    recover();
    assert_int_equal(fs.durable[0], 1);
    assert_int_equal(fs.durable[512], 2);
}

static void a_crashed_server_gets_back_the_newest_content_only(void **state)
{
    (void)state;
    struct ask a, b, z;
    ask(&a, NBD_OP_WRITE, 0, 16384, 1);
    answer_all();
    ask(&b, NBD_OP_WRITE, 4096, 4096, 2);
    answer_all();
    ask(&z, NBD_OP_TRIM, 8192, 4096, 0);
    answer_all();
    crash();
    disk_detach(disk);
    disk_replay(disk, conn, &fid, replayed, NULL);
    uint64_t written = 0;
    for (unsigned i = 0; i < fs.n; i++)
        written += fs.ops[i].op == OP_WRITE || fs.ops[i].op == OP_ZERO ? fs.ops[i].len : 0;
    assert_int_equal(written, 16384); // each byte once
    while (fs.n)
        answer(fs.n - 1); // in any order
    assert_int_equal(replay_status, SMB2_OK);
    assert_int_equal(fs.durable[0], 1);
    assert_int_equal(fs.durable[4096], 2);
    assert_int_equal(fs.durable[8192], 0);
    assert_int_equal(fs.durable[12288], 1);
    assert_false(replay_dirty(rlog));
}

static void requests_wait_without_a_handle_and_go_out_with_the_next(void **state)
{
    (void)state;
    struct ask w, r, after;
    ask(&w, NBD_OP_WRITE, 0, 4096, 9);
    lose_connection(0);
    ask(&r, NBD_OP_READ, 0, 4096, 0);
    ask(&after, NBD_OP_WRITE, 8192, 512, 3);
    assert_false(w.done || r.done || after.done);
    assert_int_equal(fs.n, 0);
    recover();
    assert_true(fs.n > 0);
    answer_all();
    assert_true(w.done && !w.errnum && r.done && !r.errnum && after.done && !after.errnum);
    assert_int_equal(fs.now[0], 9);
}

static void reads_wait_until_the_log_is_replayed(void **state)
{
    (void)state;
    struct ask w, r;
    ask(&w, NBD_OP_WRITE, 0, 4096, 9);
    answer_all();
    crash();
    disk_detach(disk);
    ask(&r, NBD_OP_READ, 0, 4096, 0);
    disk_replay(disk, conn, &fid, replayed, NULL);
    for (unsigned i = 0; i < fs.n; i++)
        assert_int_not_equal(fs.ops[i].op, OP_READ);
    answer_all();
    disk_attach(disk, conn, &fid);
    answer_all();
    assert_int_equal(r.data[0], 9);
}

static void a_failed_flush_writes_all_again_and_flushes_once_more(void **state)
{
    (void)state;
    struct ask w, f;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 1;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer_all();
    assert_true(f.done && f.errnum == 0);
    assert_int_equal(fs.flushes, 2);
    assert_int_equal(fs.durable[0], 5);
    assert_int_equal(broken_status, 0);
}

static void a_flush_that_failed_just_before_an_outage_is_answered_after_it(void **state)
{
    (void)state;
    struct ask w, f;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 1;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer(0);
    lose_connection(0); // while all is written again
    assert_false(f.done);
    recover();
    answer_all();
    assert_true(f.done && f.errnum == 0);
    assert_int_equal(fs.durable[0], 5);
}

static void a_second_failed_flush_is_an_error_for_good(void **state)
{
    (void)state;
    struct ask w, f, later;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 2;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer_all();
    assert_true(f.done && f.errnum == EIO);
    assert_int_equal(broken_status, BROKEN);
    ask(&later, NBD_OP_READ, 0, 512, 0);
    assert_true(later.done && later.errnum == EIO);
    assert_true(replay_dirty(rlog)); // for a person
}

static void zeroes_that_must_be_durable_wait_for_a_flush(void **state)
{
    (void)state;
    struct ask z;
    memset(fs.now, 1, DISK);
    prepare_ask(&z, NBD_OP_ZERO, 0, 4096, 0);
    z.r.fua = true;
    disk_nbd_ops.submit(disk, &z.r);
    answer(0);
    assert_false(z.done);
    answer_all();
    assert_true(z.done && !z.errnum);
    assert_int_equal(fs.durable[0], 0);
}

static void a_full_log_makes_writes_wait_and_empties_itself(void **state)
{
    (void)state;
    enum { CHUNK = 32 * 1024, N = LOG / CHUNK };
    struct ask *asks = drv_xcalloc(N, sizeof *asks), extra;
    unsigned sent = 0;
    while (sent < N && ask(&asks[sent], NBD_OP_WRITE, (sent * CHUNK) % DISK, CHUNK, 1))
        sent++;
    assert_true(sent > 0 && sent < N);
    answer_all();
    assert_true(fs.flushes > 0); // unasked
    assert_true(resumed > 0);
    assert_true(ask(&extra, NBD_OP_WRITE, 0, CHUNK, 2));
    answer_all();
    assert_true(extra.done && !extra.errnum);
    free(asks);
}

static void what_the_server_refuses_the_guest_hears(void **state)
{
    (void)state;
    struct ask w;
    fs.write_status = SMB2_S_DISK_FULL;
    ask(&w, NBD_OP_WRITE, 0, 512, 1);
    answer_all();
    assert_int_equal(w.errnum, ENOSPC);
    assert_false(replay_dirty(rlog)); // it is not acknowledged, and never replayed
}

static void nothing_is_written_that_may_not_be(void **state)
{
    (void)state;
    struct ask w, f;
    disk_set_writable(disk, false);
    ask(&w, NBD_OP_WRITE, 0, 512, 1);
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    assert_true(w.done && w.errnum == EPERM);
    assert_true(f.done && f.errnum == 0); // nothing of ours is dirty
    assert_int_equal(fs.sent, 0);
}

static void all_fails_after_fail_and_works_after_heal(void **state)
{
    (void)state;
    struct ask under_way, waiting, later, again;
    ask(&under_way, NBD_OP_WRITE, 0, 512, 1);
    ask(&waiting, NBD_OP_WRITE, 0, 512, 2);
    disk_fail(disk);
    assert_true(waiting.done && waiting.errnum == EIO);
    cut(0);
    assert_true(under_way.done && under_way.errnum == EIO);
    ask(&later, NBD_OP_WRITE, 0, 512, 3);
    assert_true(later.done && later.errnum == EIO);
    disk_heal(disk);
    recover();
    ask(&again, NBD_OP_WRITE, 0, 512, 4);
    answer_all();
    assert_true(again.done && !again.errnum);
}

static void settling_waits_for_changes_and_makes_them_durable(void **state)
{
    (void)state;
    struct ask w;
    ask(&w, NBD_OP_WRITE, 0, 512, 6);
    disk_set_writable(disk, false);
    replay_status = BROKEN;
    disk_settle(disk, replayed, NULL);
    answer(0);
    assert_int_equal(replay_status, BROKEN); // the flush is still to come
    answer_all();
    assert_int_equal(replay_status, SMB2_OK);
    assert_int_equal(fs.durable[0], 6);
}

static void settling_fails_with_the_connection(void **state)
{
    (void)state;
    struct ask w;
    ask(&w, NBD_OP_WRITE, 0, 512, 6);
    disk_settle(disk, replayed, NULL);
    replay_status = SMB2_OK;
    lose_connection(0);
    assert_int_equal(replay_status, SMB2_S_LOST);
}

static void behind_the_end_of_the_file_there_are_zeros(void **state)
{
    (void)state;
    struct ask r;
    memset(fs.now, 1, DISK);
    fs.file_bytes = 4096;
    memset(r.data, 0xff, sizeof r.data);
    ask(&r, NBD_OP_READ, 2048, 4096, 0);
    answer_all();
    assert_true(r.done && !r.errnum);
    assert_int_equal(r.data[2047], 1);
    assert_int_equal(r.data[2048], 0);
    memset(r.data, 0xff, sizeof r.data);
    ask(&r, NBD_OP_READ, 8192, 512, 0);
    answer_all();
    assert_int_equal(r.data[0], 0);
}

static void status_tells_holes_and_data(void **state)
{
    (void)state;
    struct ask s;
    fs.ranges[0] = (struct smb2_range){8192, 4096};
    fs.ranges[1] = (struct smb2_range){12288, 4096};
    fs.n_ranges = 2;
    ask(&s, NBD_OP_STATUS, 4096, 65536, 0);
    answer_all();
    assert_int_equal(s.r.n_extents, 3);
    assert_true(s.extents[0].hole && s.extents[0].len == 4096);
    assert_true(!s.extents[1].hole && s.extents[1].len == 8192);
    assert_true(s.extents[2].hole && s.extents[2].len == 65536 - 12288);
}

// --- a model, and chance ---

enum { GUESTS = 24 };

static struct {
    uint8_t told[DISK]; // newest content that was answered
} model;

static bool overlaps_change(const struct ask *asks, const bool *used, unsigned self)
{
    const struct nbd_request *r = &asks[self].r;
    for (unsigned i = 0; i < GUESTS; i++) {
        const struct nbd_request *o = &asks[i].r;
        if (i != self && used[i] && o->op != NBD_OP_READ && o->op != NBD_OP_FLUSH &&
            o->offset < r->offset + r->len && r->offset < o->offset + o->len)
            return true;
    }
    return false;
}

static void check_read(const struct ask *a)
{
    for (uint32_t i = 0; i < a->r.len; i++)
        if (a->data[i] != model.told[a->r.offset + i])
            fail_msg("byte %u reads %u, was told %u", (unsigned)(a->r.offset + i), a->data[i],
                     model.told[a->r.offset + i]);
}

// A guest request is done: remember what the guest was told.
static void conclude(struct ask *a)
{
    assert_int_equal(a->errnum, 0);
    if (a->r.op == NBD_OP_WRITE)
        memcpy(model.told + a->r.offset, a->data, a->r.len);
    else if (a->r.op == NBD_OP_ZERO)
        memset(model.told + a->r.offset, 0, a->r.len);
    else if (a->r.op == NBD_OP_READ)
        check_read(a);
}

static void random_request(struct ask *asks, bool *used, unsigned i, unsigned *seed)
{
    static const enum nbd_op ops[] = {NBD_OP_WRITE, NBD_OP_WRITE, NBD_OP_WRITE, NBD_OP_ZERO,
                                      NBD_OP_READ,  NBD_OP_READ,  NBD_OP_FLUSH};
    struct ask *a = &asks[i];
    enum nbd_op op = ops[(unsigned)rand_r(seed) % DRV_ARRAY_LEN(ops)];
    uint32_t len = (1 + (unsigned)rand_r(seed) % 16) * UNIT;
    uint64_t offset = (unsigned)rand_r(seed) % ((DISK - len) / UNIT) * (uint64_t)UNIT;
    memset(a, 0, offsetof(struct ask, data));
    a->r = (struct nbd_request){.op = op, .offset = offset, .len = op == NBD_OP_FLUSH ? 0 : len};
    // Overlapping changes of a real guest may end in any order; the model wants to know which.
    if (op != NBD_OP_FLUSH && overlaps_change(asks, used, i))
        return;
    if (op != NBD_OP_FLUSH && op != NBD_OP_READ)
        for (unsigned k = 0; k < GUESTS; k++) // nor a change under a read
            if (used[k] && asks[k].r.op == NBD_OP_READ && asks[k].r.offset < offset + len &&
                offset < asks[k].r.offset + asks[k].r.len)
                return;
    uint8_t fill = (uint8_t)rand_r(seed);
    used[i] = ask(a, op, offset, a->r.len, fill);
    if (used[i] && op == NBD_OP_WRITE) // the payload may be gone when it is answered
        memset(a->data, fill, len);
}

static void collect(struct ask *asks, bool *used)
{
    for (unsigned i = 0; i < GUESTS; i++)
        if (used[i] && asks[i].done) {
            conclude(&asks[i]);
            used[i] = false;
        }
}

// The server dies or the connection does, perhaps again while the log is being replayed.
static void random_outage(struct ask *asks, bool *used, unsigned *seed)
{
    bool dies = rand_r(seed) % 2;
    lose_connection((unsigned)rand_r(seed));
    collect(asks, used);
    if (dies)
        crash();
    while (rand_r(seed) % 3 == 0) {
        disk_replay(disk, conn, &fid, replayed, NULL);
        for (int k = rand_r(seed) % 8; k > 0 && fs.n; k--)
            answer((unsigned)rand_r(seed) % fs.n);
        cut((unsigned)rand_r(seed));
        if (rand_r(seed) % 2)
            crash();
    }
    recover();
    collect(asks, used);
}

static void run_model(unsigned seed)
{
    struct ask *asks = drv_xcalloc(GUESTS, sizeof *asks);
    bool used[GUESTS] = {false};
    void *none = NULL;
    memset(&model, 0, sizeof model);
    assert_int_equal(setup(&none), 0);
    for (int step = 0; step < 3000; step++) {
        unsigned i = (unsigned)rand_r(&seed) % GUESTS;
        if (!used[i])
            random_request(asks, used, i, &seed);
        for (int k = rand_r(&seed) % 4; k > 0 && fs.n; k--)
            answer((unsigned)rand_r(&seed) % fs.n);
        collect(asks, used);
        if (rand_r(&seed) % 100 == 0)
            random_outage(asks, used, &seed);
        if (rand_r(&seed) % 400 == 0 && !fs.flush_failed) // two in a row are for good
            fs.fail_flushes = 1;
    }
    fs.fail_flushes = 0;
    answer_all();
    collect(asks, used);
    crash(); // all that was answered comes back, flushed or not
    disk_detach(disk);
    recover();
    assert_memory_equal(fs.durable, model.told, DISK);
    assert_int_equal(broken_status, 0);
    teardown(&none);
    free(asks);
}

static void whatever_happens_the_guest_reads_what_it_was_told(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++)
        run_model(seed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_answered_when_the_server_has_it),
        TEST(changes_of_the_same_bytes_are_never_under_way_together),
        TEST(a_flush_covers_only_what_was_answered_before_it_was_sent),
        TEST(a_crashed_server_gets_back_the_newest_content_only),
        TEST(requests_wait_without_a_handle_and_go_out_with_the_next),
        TEST(reads_wait_until_the_log_is_replayed),
        TEST(a_failed_flush_writes_all_again_and_flushes_once_more),
        TEST(a_flush_that_failed_just_before_an_outage_is_answered_after_it),
        TEST(a_second_failed_flush_is_an_error_for_good),
        TEST(zeroes_that_must_be_durable_wait_for_a_flush),
        TEST(a_full_log_makes_writes_wait_and_empties_itself),
        TEST(what_the_server_refuses_the_guest_hears),
        TEST(nothing_is_written_that_may_not_be),
        TEST(all_fails_after_fail_and_works_after_heal),
        TEST(settling_waits_for_changes_and_makes_them_durable),
        TEST(settling_fails_with_the_connection),
        TEST(behind_the_end_of_the_file_there_are_zeros),
        TEST(status_tells_holes_and_data),
        cmocka_unit_test(whatever_happens_the_guest_reads_what_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
