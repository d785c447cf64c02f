// SPDX-License-Identifier: GPL-3.0-or-later
// See probe.h. Straight-line code on a worker thread that waits for the loop at each step.
#include "probe.h"

#include "drover/store.h"
#include "drover/worker.h"
#include "smb_call.h"
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

static uint32_t call(struct probe *p, struct smb_call *c, void (*run)(struct smb_call *c))
{
    c->conn = p->conn;
    c->fid = &p->fid;
    return smb_call(p->loop, c, run);
}

// --- what is tried ---

static int failed(struct probe *p, uint32_t status, const char *what)
{
    char name[16];
    return drv_err(&p->err, smb2_errno(status) == EACCES ? DRV_EDENIED : DRV_EIO, "%s: %s", what,
                   smb2_status_name(status, name));
}

// Microseconds of a request; -1: it failed.
static int64_t time_of(struct probe *p, void (*run)(struct smb_call *c))
{
    struct smb_call c = {.buf = NULL};
    int64_t start = drv_now_us();
    return call(p, &c, run) == SMB2_OK ? drv_now_us() - start : -1;
}

// The quickest flush after the whole file was written anew (a fast server's disk takes a few blocks
// in no time), and the quickest answer to a question, which no disk is asked for.
static int time_flushes(struct probe *p, struct smb_call *write, int64_t *ret_us,
                        int64_t *ret_answer_us)
{
    *ret_us = *ret_answer_us = INT64_MAX;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (call(p, write, smb_call_write) != SMB2_OK)
            return -1;
        int64_t us = time_of(p, smb_call_flush), answer_us = time_of(p, smb_call_query);
        if (us < 0 || answer_us < 0)
            return -1;
        *ret_us = us < *ret_us ? us : *ret_us;
        *ret_answer_us = answer_us < *ret_answer_us ? answer_us : *ret_answer_us;
    }
    return 0;
}

static uint64_t allocated(struct probe *p, bool *ret_known)
{
    struct smb2_range ranges[RANGES];
    struct smb_call c = {
        .span = (uint64_t)FILE_BLOCKS * BLOCK, .ranges = ranges, .max_ranges = RANGES};
    uint64_t sum = 0;
    *ret_known = call(p, &c, smb_call_ranges) == SMB2_OK;
    for (uint32_t i = 0; *ret_known && i < c.smb.got; i++)
        sum += ranges[i].len;
    return sum;
}

static void holes(struct probe *p)
{
    struct smb_call c = {.buf = NULL};
    bool known = false;
    bool sparse = call(p, &c, smb_call_sparse) == SMB2_OK;
    uint64_t before = allocated(p, &known);
    c.span = (uint64_t)FILE_BLOCKS / 2 * BLOCK;
    bool zeroed = call(p, &c, smb_call_zero) == SMB2_OK;
    uint64_t after = allocated(p, &known);
    json_object_set_new(p->ret, "sparse", json_boolean(sparse));
    json_object_set_new(p->ret, "ranges", json_boolean(known));
    json_object_set_new(p->ret, "punch", json_boolean(zeroed && known && after < before));
}

static int describe(struct probe *p, double flush_ms, double answer_ms)
{
    struct smb2_about a;
    smb2_about(p->conn, &a);
    p->ret =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "dialect", "3.1.1", "encrypted",
                  smb2_cipher_name(a.cipher), "signing", smb2_signing_name(a.signing),
                  "capabilities", (json_int_t)a.capabilities, "share_capabilities",
                  (json_int_t)a.tree_capabilities, "max_read", (json_int_t)a.max_read, "max_write",
                  (json_int_t)a.max_write, "flush_ms", flush_ms, "answer_ms", answer_ms);
    return p->ret ? 0 : drv_err(&p->err, DRV_EINTERNAL, "JSON");
}

static int try_file(struct probe *p)
{
    DRV_AUTO_FREE uint8_t *block = drv_xcalloc(FILE_BLOCKS, BLOCK);
    memset(block, 0x5a, (size_t)FILE_BLOCKS * BLOCK);
    struct smb_call c = {.buf = block, .len = FILE_BLOCKS * BLOCK};
    uint32_t status = call(p, &c, smb_call_write);
    if (status != SMB2_OK)
        return failed(p, status, "writing a file of ours");
    int64_t flush_us, answer_us;
    if (time_flushes(p, &c, &flush_us, &answer_us) < 0)
        return drv_err(&p->err, DRV_EIO, "the server refused to flush a file of ours");
    if (describe(p, (double)flush_us / 1000, (double)answer_us / 1000) < 0)
        return -1;
    holes(p);
    return 0;
}

static int probe_file(struct probe *p)
{
    const struct smb2_config cfg = {.server = p->where.server,
                                    .share = p->where.share,
                                    .tickets = p->tickets,
                                    .no_encryption = p->no_encryption};
    struct smb_call c = {.how = smb_call_scratch(p->where.path)};
    p->conn = smb_call_connect(p->loop, &cfg, &p->err);
    if (!p->conn)
        return -1;
    uint32_t status = call(p, &c, smb_call_open);
    if (status != SMB2_OK)
        return failed(p, status, "creating a file of ours");
    p->fid = c.opened.fid;
    int rc = try_file(p);
    call(p, &c, smb_call_close);
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
