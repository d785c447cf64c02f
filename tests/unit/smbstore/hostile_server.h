// SPDX-License-Identifier: GPL-3.0-or-later
// A file server that is hostile within what POSIX and SMB allow: it answers in any order, ends
// connections with any of the requests done or not, writes back what it likes when it likes, loses
// on a crash what was not flushed, forgets on a failed flush what it should have written, runs
// full, and drops clean pages. What it does follows from `seed`.
#ifndef TESTS_HOSTILE_SERVER_H
#define TESTS_HOSTILE_SERVER_H

#include "disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DISK = 64 * 1024, PAGE = 512, PAGES = DISK / PAGE, MAX_OPS = 512, MAX_RANGES = 4 };
#define BROKEN 0xC0000001u // STATUS_UNSUCCESSFUL

static unsigned seed;

static inline unsigned dice(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

enum op { OP_READ, OP_WRITE, OP_ZERO, OP_FLUSH, OP_RANGES };

struct pending {
    struct smb2_request *r;
    enum op op;
    bool through;
    bool performed; // but not answered
    uint32_t status;
    uint8_t *buf;
    uint64_t offset, len;
};

static struct {
    uint8_t disk[DISK], cache[DISK];
    bool dirty[PAGES];          // else a page may be dropped from the cache
    uint64_t disk_bytes, bytes; // size of the file
    struct pending ops[MAX_OPS];
    unsigned n;
    bool dead; // the connection
    bool fail_flush, flush_failed;
    bool may_refuse; // not what is replayed: that is for a person
} fs;

static inline void write_back(unsigned page)
{
    memcpy(fs.disk + page * PAGE, fs.cache + page * PAGE, PAGE);
    fs.dirty[page] = false;
    uint64_t end = (uint64_t)(page + 1) * PAGE;
    end = end < fs.bytes ? end : fs.bytes;
    if (end > fs.disk_bytes)
        fs.disk_bytes = end;
}

static inline void drop_clean_page(unsigned page)
{
    if (!fs.dirty[page])
        memcpy(fs.cache + page * PAGE, fs.disk + page * PAGE, PAGE);
}

static inline void server_crash(void)
{
    memcpy(fs.cache, fs.disk, DISK);
    memset(fs.dirty, 0, sizeof fs.dirty);
    fs.bytes = fs.disk_bytes;
}

static inline uint32_t server_flush(void)
{
    fs.flush_failed = fs.fail_flush;
    fs.fail_flush = false;
    for (unsigned p = 0; p < PAGES; p++) {
        if (!fs.dirty[p])
            continue;
        if (fs.flush_failed && dice(2)) { // Linux: clean from now on, and forgotten
            fs.dirty[p] = false;
            if (dice(2))
                drop_clean_page(p);
        } else {
            write_back(p);
        }
    }
    if (fs.flush_failed)
        return BROKEN;
    fs.disk_bytes = fs.bytes;
    return SMB2_OK;
}

static inline void change(const struct pending *p, uint64_t len)
{
    if (p->op == OP_WRITE)
        memcpy(fs.cache + p->offset, p->buf, len);
    else
        memset(fs.cache + p->offset, 0, len);
    if (p->op == OP_WRITE && p->offset + len > fs.bytes)
        fs.bytes = p->offset + len;
    for (uint64_t at = p->offset / PAGE; len && at <= (p->offset + len - 1) / PAGE; at++) {
        fs.dirty[at] = true;
        if (p->through)
            write_back((unsigned)at);
    }
}

static inline uint32_t allocated(const struct pending *p)
{
    struct smb2_range *ret = (struct smb2_range *)p->buf;
    unsigned n = 0;
    for (uint64_t at = p->offset; at < p->offset + p->len && at < fs.bytes; at++) {
        if (!fs.cache[at])
            continue;
        bool joins = n && ret[n - 1].offset + ret[n - 1].len >= at;
        if (!joins && n == MAX_RANGES) {
            p->r->got = n;
            return SMB2_S_BUFFER_OVERFLOW;
        }
        if (!joins)
            ret[n++] = (struct smb2_range){.offset = at, .len = 0};
        uint64_t end = (at / PAGE + 1) * PAGE;
        end = end < p->offset + p->len ? end : p->offset + p->len;
        ret[n - 1].len = end - ret[n - 1].offset;
        at = end - 1;
    }
    p->r->got = n;
    return SMB2_OK;
}

static inline uint32_t perform(const struct pending *p)
{
    bool io_error = p->op == OP_READ || p->op == OP_WRITE || p->op == OP_ZERO;
    if (io_error && fs.may_refuse && !fs.flush_failed && dice(200) == 0) {
        if (p->op == OP_READ)
            return BROKEN;
        change(p, dice((unsigned)p->len)); // some of it
        return SMB2_S_DISK_FULL;
    }
    switch (p->op) {
    case OP_READ:
        if (p->offset >= fs.bytes)
            return SMB2_S_END_OF_FILE;
        p->r->got = (uint32_t)(p->len < fs.bytes - p->offset ? p->len : fs.bytes - p->offset);
        memcpy(p->buf, fs.cache + p->offset, p->r->got);
        return SMB2_OK;
    case OP_WRITE:
    case OP_ZERO:
        change(p, p->len);
        return SMB2_OK;
    case OP_FLUSH:
        return server_flush();
    case OP_RANGES:
        return allocated(p);
    }
    return BROKEN;
}

// A flush that fails is answered at once: no client can tell what a read in between has seen.
static inline void perform_early(unsigned i)
{
    struct pending *p = &fs.ops[i];
    if (p->performed || (p->op == OP_FLUSH && fs.fail_flush))
        return;
    p->performed = true;
    p->status = perform(p);
}

static inline struct pending pull(unsigned i)
{
    struct pending p = fs.ops[i];
    memmove(&fs.ops[i], &fs.ops[i + 1], (--fs.n - i) * sizeof fs.ops[0]);
    return p;
}

static inline void answer(unsigned i)
{
    struct pending p = pull(i);
    uint32_t status = p.performed ? p.status : perform(&p);
    p.r->done(p.r, status);
}

// The server works on; answers may be far behind.
static inline void answer_one(void)
{
    for (unsigned k = dice(4); k > 0; k--)
        perform_early(dice(fs.n));
    answer(dice(fs.n));
}

// Requests of the connection are done, half done or not; nobody is told which.
static inline void cut(void)
{
    fs.dead = true;
    while (fs.n) {
        struct pending p = pull(dice(fs.n));
        bool works = !p.performed && dice(2);
        if (works && (p.op == OP_WRITE || p.op == OP_ZERO))
            change(&p, dice(2) ? p.len : dice((unsigned)p.len));
        else if (works && p.op == OP_FLUSH && !fs.fail_flush)
            server_flush();
        p.r->done(p.r, dice(8) ? SMB2_S_LOST : SMB2_S_BAD_ANSWER);
    }
}

static inline void take(struct smb2_request *r, enum op op, const void *buf, uint64_t offset,
                        uint64_t len, bool through)
{
    if (fs.dead) {
        r->done(r, SMB2_S_LOST);
        return;
    }
    assert_true(fs.n < MAX_OPS && offset + len <= DISK);
    for (unsigned i = 0; i < fs.n && (op == OP_WRITE || op == OP_ZERO); i++) {
        const struct pending *o = &fs.ops[i];
        if ((o->op == OP_WRITE || o->op == OP_ZERO) && o->offset < offset + len &&
            offset < o->offset + o->len)
            fail_msg("changes of the same bytes are under way together");
    }
    fs.ops[fs.n++] = (struct pending){.r = r,
                                      .op = op,
                                      .through = through,
                                      .buf = (uint8_t *)(uintptr_t)buf,
                                      .offset = offset,
                                      .len = len};
}

static inline void fs_read(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                           void *buf, uint32_t len, uint64_t offset)
{
    (void)c, (void)f;
    take(r, OP_READ, buf, offset, len, false);
}

static inline void fs_write(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                            const void *buf, uint32_t len, uint64_t offset, bool write_through)
{
    (void)c, (void)f;
    take(r, OP_WRITE, buf, offset, len, write_through);
}

static inline void fs_flush(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f)
{
    (void)c, (void)f;
    take(r, OP_FLUSH, NULL, 0, 0, false);
}

static inline void fs_zero(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                           uint64_t offset, uint64_t len)
{
    (void)c, (void)f;
    take(r, OP_ZERO, NULL, offset, len, false);
}

static inline void fs_ranges(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                             uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max)
{
    (void)c, (void)f;
    assert_true(max >= MAX_RANGES);
    take(r, OP_RANGES, ret, offset, len, false);
}

static const struct disk_io io = {fs_read, fs_write, fs_flush, fs_zero, fs_ranges};

#endif
