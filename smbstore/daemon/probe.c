// SPDX-License-Identifier: GPL-3.0-or-later
// See probe.h. Straight-line code on a worker thread that waits for the loop at each step.
#include "probe.h"

#include "drover/store.h"
#include "drover/worker.h"
#include "smb_wait.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096, FILE_BLOCKS = 256, ROUNDS = 25, RANGES = 16 };

struct probe {
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    bool no_encryption;
    struct ss_url where;
    struct smb2_conn *conn;
    struct smb2_fid fid;
    struct drv_err err;
    json_t *ret;
};

struct step {
    struct smb_wait wait; // first member
    struct smb2_request smb;
    struct probe *p;
    void (*run)(struct step *s);
    struct smb2_opened opened;
    struct smb2_range ranges[RANGES];
    uint8_t *buf;
    uint64_t offset, len;
    const char *path;
};

static void step_done(struct smb2_request *r, uint32_t status)
{
    struct step *s = (struct step *)((char *)r - offsetof(struct step, smb));
    smb_wait_end(&s->wait, status);
}

static void step_start(struct smb_wait *w)
{
    struct step *s = (struct step *)w;
    s->smb.done = step_done;
    s->run(s);
}

static uint32_t do_step(struct probe *p, struct step *s, void (*run)(struct step *s))
{
    s->p = p;
    s->run = run;
    return smb_wait_run(p->loop, &s->wait, step_start);
}

static void connected(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    struct step *s = arg;
    s->p->conn = c;
    if (!c)
        s->p->err = *err;
    smb_wait_end(&s->wait, c ? SMB2_OK : SMB2_S_LOST);
}

static void run_connect(struct step *s)
{
    struct probe *p = s->p;
    const struct smb2_config cfg = {.server = p->where.server,
                                    .share = p->where.share,
                                    .tickets = p->tickets,
                                    .no_encryption = p->no_encryption};
    smb2_connect(p->loop, &cfg, NULL, connected, NULL, s);
}

static void run_create(struct step *s)
{
    const struct smb2_create how = {.path = s->path,
                                    .access = SMB2_READ_DATA | SMB2_WRITE_DATA | SMB2_APPEND_DATA |
                                              SMB2_READ_ATTRIBUTES | SMB2_WRITE_ATTRIBUTES |
                                              SMB2_DELETE | SMB2_SYNCHRONIZE,
                                    .share = SMB2_SHARE_READ,
                                    .disposition = SMB2_DISP_CREATE,
                                    .options = SMB2_OPT_NON_DIRECTORY | SMB2_OPT_DELETE_ON_CLOSE};
    smb2_open(s->p->conn, &s->smb, &how, &s->opened);
}

static void run_close(struct step *s)
{
    smb2_close(s->p->conn, &s->smb, &s->p->fid);
}

static void run_write(struct step *s)
{
    smb2_write(s->p->conn, &s->smb, &s->p->fid, s->buf, (uint32_t)s->len, s->offset, false);
}

static void run_flush(struct step *s)
{
    smb2_flush(s->p->conn, &s->smb, &s->p->fid);
}

static void run_sparse(struct step *s)
{
    smb2_set_sparse(s->p->conn, &s->smb, &s->p->fid);
}

static void run_zero(struct step *s)
{
    smb2_zero(s->p->conn, &s->smb, &s->p->fid, s->offset, s->len);
}

static void run_ranges(struct step *s)
{
    smb2_ranges(s->p->conn, &s->smb, &s->p->fid, s->offset, s->len, s->ranges, RANGES);
}

// --- what is tried ---

static int failed(struct probe *p, uint32_t status, const char *what)
{
    char name[16];
    return drv_err(&p->err, smb2_errno(status) == EACCES ? DRV_EDENIED : DRV_EIO, "%s: %s", what,
                   smb2_status_name(status, name));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// Median microseconds of `run`, after a write when dirty. -1: it failed.
static int64_t time_of(struct probe *p, struct step *s, bool dirty, void (*run)(struct step *s))
{
    int64_t us[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        s->offset = (uint64_t)(i * 7 % FILE_BLOCKS) * BLOCK;
        if (dirty && do_step(p, s, run_write) != SMB2_OK)
            return -1;
        int64_t start = drv_now_us();
        if (do_step(p, s, run) != SMB2_OK)
            return -1;
        us[i] = drv_now_us() - start;
    }
    qsort(us, ROUNDS, sizeof us[0], compare);
    return us[ROUNDS / 2];
}

static uint64_t allocated(struct probe *p, bool *ret_known)
{
    struct step s = {.offset = 0, .len = FILE_BLOCKS * BLOCK};
    uint64_t sum = 0;
    *ret_known = do_step(p, &s, run_ranges) == SMB2_OK;
    for (uint32_t i = 0; *ret_known && i < s.smb.got; i++)
        sum += s.ranges[i].len;
    return sum;
}

static void holes(struct probe *p)
{
    struct step s = {.buf = NULL};
    bool known = false;
    bool sparse = do_step(p, &s, run_sparse) == SMB2_OK;
    uint64_t before = allocated(p, &known);
    s.offset = 0;
    s.len = FILE_BLOCKS / 2 * BLOCK;
    bool zeroed = do_step(p, &s, run_zero) == SMB2_OK;
    uint64_t after = allocated(p, &known);
    json_object_set_new(p->ret, "sparse", json_boolean(sparse));
    json_object_set_new(p->ret, "ranges", json_boolean(known));
    json_object_set_new(p->ret, "punch", json_boolean(zeroed && known && after < before));
}

static const char *cipher_name(uint16_t cipher)
{
    return cipher == SMB2_AES128_GCM   ? "AES-128-GCM"
           : cipher == SMB2_AES256_GCM ? "AES-256-GCM"
                                       : "";
}

static int describe(struct probe *p, double flush_ms, double empty_ms)
{
    struct smb2_about a;
    smb2_about(p->conn, &a);
    p->ret =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "dialect", "3.1.1", "encrypted",
                  cipher_name(a.cipher), "signing",
                  a.signing == SMB2_SIGN_GMAC ? "AES-128-GMAC" : "AES-128-CMAC", "capabilities",
                  (json_int_t)a.capabilities, "share_capabilities", (json_int_t)a.tree_capabilities,
                  "max_read", (json_int_t)a.max_read, "max_write", (json_int_t)a.max_write,
                  "flush_ms_median", flush_ms, "flush_empty_ms", empty_ms);
    return p->ret ? 0 : drv_err(&p->err, DRV_EINTERNAL, "JSON");
}

static int try_file(struct probe *p)
{
    DRV_AUTO_FREE uint8_t *block = drv_xcalloc(FILE_BLOCKS, BLOCK);
    memset(block, 0x5a, (size_t)FILE_BLOCKS * BLOCK);
    struct step s = {.buf = block, .len = FILE_BLOCKS * BLOCK};
    uint32_t status = do_step(p, &s, run_write);
    if (status != SMB2_OK)
        return failed(p, status, "writing a file of ours");
    s.len = BLOCK;
    int64_t flush_us = time_of(p, &s, true, run_flush), empty_us = time_of(p, &s, false, run_flush);
    if (flush_us < 0 || empty_us < 0)
        return drv_err(&p->err, DRV_EIO, "the server refused to flush a file of ours");
    if (describe(p, (double)flush_us / 1000, (double)empty_us / 1000) < 0)
        return -1;
    holes(p);
    return 0;
}

static int probe_file(struct probe *p)
{
    struct step s = {.path = p->where.path};
    if (do_step(p, &s, run_connect) != SMB2_OK)
        return -1;
    uint32_t status = do_step(p, &s, run_create);
    if (status != SMB2_OK)
        return failed(p, status, "creating a file of ours");
    p->fid = s.opened.fid;
    int rc = try_file(p);
    do_step(p, &s, run_close);
    return rc;
}

static void work(void *arg)
{
    probe_file(arg);
}

static void worked(void *arg)
{
    struct probe *p = arg;
    smb2_free(p->conn);
    drv_loop_stop(p->loop);
}

int ds_probe(struct drv_loop *loop, struct smb2_tickets *tickets, const char *url,
             bool no_encryption)
{
    struct probe p = {
        .loop = loop, .tickets = tickets, .no_encryption = no_encryption, .err = DRV_ERR_INIT};
    if (ss_url_parse(url, &p.where, &p.err) == 0 && p.where.kind != SS_SMB)
        drv_err(&p.err, DRV_EINVAL, "%s is no share", url);
    if (!p.err.code && drv_work(loop, work, worked, &p) == 0)
        drv_loop_run(loop);
    if (p.err.code)
        p.ret = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", drv_code_name(p.err.code), "msg",
                          p.err.msg, "hint", p.err.hint);
    DRV_AUTO_JSON json_t *ret = p.ret;
    json_dumpf(ret, stdout, JSON_COMPACT);
    putchar('\n');
    return p.err.code ? EXIT_FAILURE : EXIT_SUCCESS;
}
