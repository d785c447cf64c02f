// SPDX-License-Identifier: GPL-3.0-or-later
// See backend_smb2.h.
#include "backend_smb2.h"

#include "drover/store.h"
#include "smb_call.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ds_session {
    struct smb2_conn *conn; // loop thread
    struct ss_url where;
};

struct ds_file {
    struct smb2_fid fid;
    struct ds_ident ident;
    bool has_ident;
};

enum { ATTRIBUTE_SPARSE = 0x200 }; // MS-FSCC 2.6

static struct ds_backend_conf conf;
// The connection that sever() cuts, one that is being made included. Loop thread.
static struct smb2_conn *current;

struct smb2_conn *ds_session_conn(const struct ds_session *s)
{
    return s->conn;
}

const struct smb2_fid *ds_file_fid(const struct ds_file *f)
{
    return &f->fid;
}

// --- sessions ---

struct connecting {
    struct smb_wait wait; // first member
    const struct ss_url *where;
    bool passing; // for one look: nobody cares how it ends
    struct smb2_conn *old, *conn;
    struct drv_err err;
};

static struct connecting *under_way; // loop thread: what sever() must wake

static void connected(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    struct connecting *w = arg;
    under_way = NULL;
    w->conn = c;
    current = c;
    if (!c)
        w->err = *err;
    smb_wait_end(&w->wait, c ? SMB2_OK : SMB2_S_LOST);
}

static void ended(void *arg, struct smb2_conn *c, const struct drv_err *err)
{
    (void)arg, (void)c;
    conf.ended(err->msg);
}

static void start_connecting(struct smb_wait *wait)
{
    struct connecting *w = (struct connecting *)wait;
    const struct smb2_config cfg = {.server = w->where->server,
                                    .share = w->where->share,
                                    .tickets = conf.tickets,
                                    .no_encryption = conf.no_encryption};
    under_way = w;
    w->conn = smb2_connect(conf.loop, &cfg, w->old, connected, w->passing ? NULL : ended, w);
    current = w->conn;
}

static struct ds_session *session_new(const struct ss_url *where, struct smb2_conn *old,
                                      bool passing, struct drv_err *err)
{
    struct connecting w = {.where = where, .old = old, .passing = passing, .err = DRV_ERR_INIT};
    if (smb_wait_run(conf.loop, &w.wait, start_connecting) != SMB2_OK) {
        if (err)
            *err = w.err;
        return NULL;
    }
    struct ds_session *s = drv_xcalloc(1, sizeof *s);
    s->conn = w.conn;
    s->where = *where;
    return s;
}

static struct ds_session *do_connect(struct ds_session *old, struct drv_err *err)
{
    struct ss_url where;
    if (ss_url_parse(conf.url, &where, err) < 0)
        return NULL;
    return session_new(&where, old ? old->conn : NULL, false, err);
}

static void free_on_loop(void *arg)
{
    struct ds_session *s = arg;
    if (current == s->conn)
        current = NULL;
    smb2_free(s->conn);
}

static void do_disconnect(struct ds_session *s)
{
    if (!s)
        return;
    drv_loop_call(conf.loop, free_on_loop, s);
    free(s);
}

struct alive_call {
    const struct ds_session *s;
    bool ret;
};

static void alive_on_loop(void *arg)
{
    struct alive_call *c = arg;
    c->ret = smb2_usable(c->s->conn);
}

static bool do_alive(const struct ds_session *s)
{
    struct alive_call c = {.s = s};
    if (s)
        drv_loop_call(conf.loop, alive_on_loop, &c);
    return c.ret;
}

// --- files ---

static uint32_t call(struct ds_session *s, struct smb_call *c, void (*run)(struct smb_call *c))
{
    c->conn = s->conn;
    return smb_call(conf.loop, c, run);
}

// DESIGN.md section 3: a holder denies writing (and deleting, and so renaming) to all others; an
// observer shares everything.
static struct smb2_create how_to_open(const char *path, enum ds_mode mode)
{
    bool hold = mode != DS_OBSERVE;
    return (struct smb2_create){
        .path = path,
        .access = SMB2_READ_DATA | SMB2_READ_ATTRIBUTES | SMB2_SYNCHRONIZE |
                  (hold ? SMB2_WRITE_DATA | SMB2_APPEND_DATA | SMB2_WRITE_ATTRIBUTES : 0),
        .share = SMB2_SHARE_READ | (hold ? 0 : SMB2_SHARE_WRITE | SMB2_SHARE_DELETE),
        .disposition = mode == DS_HOLD_CREATE ? SMB2_DISP_OPEN_IF : SMB2_DISP_OPEN,
        .options = SMB2_OPT_NON_DIRECTORY};
}

static int do_open(struct ds_session *s, const char *url, enum ds_mode mode, struct ds_file **ret)
{
    struct ss_url u;
    struct drv_err err = DRV_ERR_INIT;
    if (ss_url_parse(url, &u, &err) < 0 || strcasecmp(u.server, s->where.server) != 0 ||
        strcasecmp(u.share, s->where.share) != 0)
        return EINVAL;
    struct smb_call c = {.how = how_to_open(u.path, mode)};
    uint32_t status = call(s, &c, smb_call_open);
    if (status != SMB2_OK)
        return smb2_errno(status);
    struct ds_file *f = drv_xcalloc(1, sizeof *f);
    f->fid = c.opened.fid;
    f->has_ident = c.opened.has_ids;
    f->ident = (struct ds_ident){.volume_id = c.opened.volume_id,
                                 .file_id = c.opened.file_id,
                                 .size_bytes = c.opened.size_bytes};
    // Holes are told and made only on files that are marked. A server that knows none goes without.
    if (mode != DS_OBSERVE && !(c.opened.attributes & ATTRIBUTE_SPARSE)) {
        struct smb_call sparse = {.fid = &f->fid};
        call(s, &sparse, smb_call_sparse);
    }
    *ret = f;
    return 0;
}

static int do_close(struct ds_session *s, struct ds_file *f)
{
    struct smb_call c = {.fid = &f->fid};
    int e = smb2_errno(call(s, &c, smb_call_close));
    free(f);
    return e;
}

static int do_read(struct ds_session *s, struct ds_file *f, void *buf, size_t len, uint64_t offset,
                   size_t *ret_len)
{
    struct smb_call c = {.fid = &f->fid, .buf = buf, .len = (uint32_t)len, .offset = offset};
    uint32_t status = call(s, &c, smb_call_read);
    *ret_len = status == SMB2_OK ? c.smb.got : 0;
    return status == SMB2_S_END_OF_FILE ? 0 : smb2_errno(status);
}

static int do_write(struct ds_session *s, struct ds_file *f, const void *buf, size_t len,
                    uint64_t offset)
{
    struct smb_call c = {
        .fid = &f->fid, .buf = (void *)(uintptr_t)buf, .len = (uint32_t)len, .offset = offset};
    return smb2_errno(call(s, &c, smb_call_write));
}

static int do_flush(struct ds_session *s, struct ds_file *f)
{
    struct smb_call c = {.fid = &f->fid};
    return smb2_errno(call(s, &c, smb_call_flush));
}

static int query(struct ds_session *s, struct ds_file *f, enum smb2_info what,
                 struct smb2_info_reply *ret)
{
    struct smb_call c = {.fid = &f->fid, .what = what};
    int e = smb2_errno(call(s, &c, smb_call_query));
    *ret = c.info;
    return e;
}

// The file's number and its volume's, of the open handle, not of the name: usually told by CREATE
// (QFid), else asked for.
static int do_ident(struct ds_session *s, struct ds_file *f, struct ds_ident *ret)
{
    struct smb2_info_reply internal, volume;
    int e = 0;
    if (!f->has_ident) {
        e = query(s, f, SMB2_INFO_INTERNAL, &internal);
        if (!e)
            e = query(s, f, SMB2_INFO_VOLUME, &volume);
        if (!e) {
            f->ident.file_id = internal.file_id;
            f->ident.volume_id = volume.volume_serial;
            f->has_ident = true;
        }
    }
    *ret = f->ident;
    return e;
}

static int do_confirm(struct ds_session *s, struct ds_file *f)
{
    struct smb2_info_reply standard;
    return query(s, f, SMB2_INFO_STANDARD, &standard);
}

static void back_to(void *arg)
{
    current = ((struct ds_session *)arg)->conn;
}

// A look at a file of any share: in our session if it is there, else in one of its own.
struct visit {
    struct ds_session *home, *at;
    struct ss_url url;
};

static int visit_begin(struct visit *v, struct ds_session *s, const char *url)
{
    struct drv_err err = DRV_ERR_INIT;
    v->home = s;
    if (ss_url_parse(url, &v->url, &err) < 0)
        return EINVAL;
    bool here = strcasecmp(v->url.server, s->where.server) == 0 &&
                strcasecmp(v->url.share, s->where.share) == 0;
    v->at = here ? s : session_new(&v->url, NULL, true, &err);
    return v->at ? 0 : EHOSTUNREACH;
}

static void visit_end(struct visit *v)
{
    if (v->at == v->home)
        return;
    do_disconnect(v->at);
    drv_loop_call(conf.loop, back_to, v->home);
}

static int do_peek(struct ds_session *s, const char *url, void *buf, size_t len, size_t *ret_len)
{
    struct visit v;
    struct ds_file *f = NULL;
    int e = visit_begin(&v, s, url);
    if (e)
        return e;
    e = do_open(v.at, url, DS_OBSERVE, &f);
    if (!e) {
        e = do_read(v.at, f, buf, len, 0, ret_len);
        do_close(v.at, f);
    }
    visit_end(&v);
    return e;
}

// A server flushes for a handle that may write alone (MS-SMB2 3.3.5.11), and then the whole file,
// whoever wrote it.
static int do_flush_file(struct ds_session *s, const char *url)
{
    struct visit v;
    int e = visit_begin(&v, s, url);
    if (e)
        return e;
    struct smb_call c = {.how = {.path = v.url.path,
                                 .access = SMB2_WRITE_DATA | SMB2_APPEND_DATA | SMB2_SYNCHRONIZE,
                                 .share = SMB2_SHARE_READ | SMB2_SHARE_WRITE | SMB2_SHARE_DELETE,
                                 .disposition = SMB2_DISP_OPEN,
                                 .options = SMB2_OPT_NON_DIRECTORY}};
    e = smb2_errno(call(v.at, &c, smb_call_open));
    if (!e) {
        c.fid = &c.opened.fid;
        e = smb2_errno(call(v.at, &c, smb_call_flush));
        call(v.at, &c, smb_call_close);
    }
    visit_end(&v);
    return e;
}

static void sever_on_loop(void *arg)
{
    (void)arg;
    struct connecting *w = under_way;
    if (w) { // its caller gets no other answer
        under_way = NULL;
        smb2_free(current);
        current = NULL;
        drv_err(&w->err, DRV_ECANCELLED, "connecting was cut short");
        smb_wait_end(&w->wait, SMB2_S_LOST);
    } else if (current) {
        smb2_abandon(current, true);
    }
}

static void do_sever(void)
{
    drv_loop_post(conf.loop, sever_on_loop, NULL);
}

static const struct ds_backend backend = {
    .connect = do_connect,
    .disconnect = do_disconnect,
    .alive = do_alive,
    .open = do_open,
    .close = do_close,
    .read = do_read,
    .write = do_write,
    .flush = do_flush,
    .ident = do_ident,
    .confirm = do_confirm,
    .peek = do_peek,
    .flush_file = do_flush_file,
    .sever = do_sever,
};

const struct ds_backend *ds_backend_smb2(const struct ds_backend_conf *c)
{
    conf = *c;
    return &backend;
}
