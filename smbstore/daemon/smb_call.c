// SPDX-License-Identifier: GPL-3.0-or-later
// See smb_call.h.
#include "smb_call.h"

#include <stddef.h>

static void done(struct smb2_request *r, uint32_t status)
{
    struct smb_call *c = (struct smb_call *)((char *)r - offsetof(struct smb_call, smb));
    smb_wait_end(&c->wait, status);
}

static void start(struct smb_wait *w)
{
    struct smb_call *c = (struct smb_call *)w;
    c->smb.done = done;
    c->run(c);
}

uint32_t smb_call(struct drv_loop *loop, struct smb_call *c, void (*run)(struct smb_call *c))
{
    c->run = run;
    return smb_wait_run(loop, &c->wait, start);
}

struct smb2_create smb_call_scratch(const char *path)
{
    return (struct smb2_create){.path = path,
                                .access = SMB2_READ_DATA | SMB2_WRITE_DATA | SMB2_APPEND_DATA |
                                          SMB2_READ_ATTRIBUTES | SMB2_WRITE_ATTRIBUTES |
                                          SMB2_DELETE | SMB2_SYNCHRONIZE,
                                .share = SMB2_SHARE_READ,
                                .disposition = SMB2_DISP_CREATE,
                                .options = SMB2_OPT_NON_DIRECTORY | SMB2_OPT_DELETE_ON_CLOSE};
}

void smb_call_open(struct smb_call *c)
{
    smb2_open(c->conn, &c->smb, &c->how, &c->opened);
}

void smb_call_close(struct smb_call *c)
{
    smb2_close(c->conn, &c->smb, c->fid);
}

void smb_call_read(struct smb_call *c)
{
    smb2_read(c->conn, &c->smb, c->fid, c->buf, c->len, c->offset);
}

void smb_call_write(struct smb_call *c)
{
    smb2_write(c->conn, &c->smb, c->fid, c->buf, c->len, c->offset, c->write_through);
}

void smb_call_flush(struct smb_call *c)
{
    smb2_flush(c->conn, &c->smb, c->fid);
}

void smb_call_set_eof(struct smb_call *c)
{
    smb2_set_eof(c->conn, &c->smb, c->fid, c->span);
}

void smb_call_query(struct smb_call *c)
{
    smb2_query(c->conn, &c->smb, c->fid, c->what, &c->info);
}

void smb_call_sparse(struct smb_call *c)
{
    smb2_set_sparse(c->conn, &c->smb, c->fid);
}

void smb_call_zero(struct smb_call *c)
{
    smb2_zero(c->conn, &c->smb, c->fid, c->offset, c->span);
}

void smb_call_ranges(struct smb_call *c)
{
    smb2_ranges(c->conn, &c->smb, c->fid, c->offset, c->span, c->ranges, c->max_ranges);
}

void smb_call_echo(struct smb_call *c)
{
    smb2_echo(c->conn, &c->smb);
}

// --- connecting ---

struct connecting {
    struct smb_wait wait; // first member
    struct drv_loop *loop;
    const struct smb2_config *cfg;
    struct smb2_conn *conn;
    struct drv_err *err;
};

static void connected(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    struct connecting *w = arg;
    w->conn = c;
    if (!c)
        *w->err = *err;
    smb_wait_end(&w->wait, c ? SMB2_OK : SMB2_S_LOST);
}

static void start_connecting(struct smb_wait *wait)
{
    struct connecting *w = (struct connecting *)wait;
    smb2_connect(w->loop, w->cfg, NULL, connected, NULL, w);
}

struct smb2_conn *smb_call_connect(struct drv_loop *loop, const struct smb2_config *cfg,
                                   struct drv_err *err)
{
    struct connecting w = {.loop = loop, .cfg = cfg, .err = err};
    smb_wait_run(loop, &w.wait, start_connecting);
    return w.conn;
}
