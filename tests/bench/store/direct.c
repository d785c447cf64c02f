// SPDX-License-Identifier: GPL-3.0-or-later
// The asynchronous client with qd requests under way, each started from the end of the last.
#include "bench.h"

#include "drover/store.h"
#include "drover/util.h"
#include "smb2.h"
#include <stdlib.h>

struct slot {
    struct smb2_request smb; // first member
    struct direct *d;
    uint8_t *buf;
    int64_t started_us;
    bool flushing;
};

struct direct {
    struct bench *b;
    struct drv_loop *loop;
    struct smb2_conn *conn;
    struct smb2_request open;
    struct smb2_opened file;
    struct ss_url url;
    struct slot slots[BENCH_QD_MAX];
    unsigned active;
    uint64_t unflushed; // bytes
};

static void go(struct slot *s)
{
    struct direct *d = s->d;
    struct bench *b = d->b;
    if (!bench_more(b)) {
        if (--d->active == 0)
            drv_loop_stop(d->loop);
        return;
    }
    s->flushing = false;
    s->started_us = drv_now_us();
    if (bench_writes(b))
        smb2_write(d->conn, &s->smb, &d->file.fid, s->buf, b->block_bytes, bench_offset(b), false);
    else
        smb2_read(d->conn, &s->smb, &d->file.fid, s->buf, b->block_bytes, bench_offset(b));
}

static bool flush_is_due(struct direct *d)
{
    d->unflushed += d->b->block_bytes;
    if (!d->b->flush_bytes || d->unflushed < d->b->flush_bytes)
        return false;
    d->unflushed = 0;
    return true;
}

static void done(struct smb2_request *r, uint32_t status)
{
    struct slot *s = (struct slot *)r;
    char name[16];
    if (status != SMB2_OK)
        bench_die("I/O: %s", smb2_status_name(status, name));
    if (!s->flushing && (bench_flushes(s->d->b) || flush_is_due(s->d))) {
        s->flushing = true;
        if (s->d->b->op == BENCH_FLUSH)
            s->started_us = drv_now_us();
        smb2_flush(s->d->conn, r, &s->d->file.fid);
        return;
    }
    bench_count(s->d->b, s->started_us);
    go(s);
}

static void opened(struct smb2_request *r, uint32_t status)
{
    struct direct *d = (struct direct *)((char *)r - offsetof(struct direct, open));
    char name[16];
    if (status != SMB2_OK)
        bench_die("open: %s", smb2_status_name(status, name));
    bench_begin(d->b);
    d->active = d->b->qd;
    for (unsigned i = 0; i < d->b->qd; i++) {
        d->slots[i] = (struct slot){.d = d, .buf = bench_buffer(d->b), .smb.done = done};
        go(&d->slots[i]);
    }
}

static void connected(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    struct direct *d = arg;
    if (!c)
        bench_die("%s", err->msg);
    const struct smb2_create how = {
        .path = d->url.path,
        .access = SMB2_READ_DATA | SMB2_WRITE_DATA | SMB2_READ_ATTRIBUTES | SMB2_SYNCHRONIZE,
        .share = SMB2_SHARE_READ,
        .disposition = d->b->op == BENCH_FILL ? SMB2_DISP_OPEN_IF : SMB2_DISP_OPEN,
        .options = SMB2_OPT_NON_DIRECTORY};
    d->conn = c;
    d->open.done = opened;
    smb2_open(c, &d->open, &how, &d->file);
}

static void ended(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    (void)arg, (void)c;
    bench_die("%s", err->msg);
}

int bench_direct(struct bench *b)
{
    struct drv_err err = DRV_ERR_INIT;
    struct direct *d = drv_xcalloc(1, sizeof *d);
    struct smb2_tickets *tickets = smb2_tickets_new(NULL, NULL, &err);
    d->b = b;
    d->loop = drv_loop_new(&err);
    if (!tickets || !d->loop || ss_url_parse(b->url, &d->url, &err) < 0)
        bench_die("%s", err.msg);
    const struct smb2_config cfg = {.server = d->url.server,
                                    .share = d->url.share,
                                    .tickets = tickets,
                                    .no_encryption = b->no_encryption};
    smb2_connect(d->loop, &cfg, NULL, connected, ended, d);
    drv_loop_run(d->loop);
    bench_print(b);
    smb2_free(d->conn);
    for (unsigned i = 0; i < b->qd; i++)
        free(d->slots[i].buf);
    drv_loop_free(d->loop);
    smb2_tickets_free(tickets);
    free(d);
    return EXIT_SUCCESS;
}
