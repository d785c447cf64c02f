// SPDX-License-Identifier: GPL-3.0-or-later
// See data_path.h.
#include "data_path.h"

#include "backend_smb2.h"
#include "drover/log.h"
#include "smb_wait.h"
#include <errno.h>
#include <unistd.h>

enum { LOG_BYTES = 64 << 20 };

static struct {
    struct data_path_conf conf;
    struct replay *log;
    struct disk *disk; // NULL: there is none
    struct nbd_server *nbd;
    struct drv_err unready; // why there is no log, and so no disk
} path;

// --- what the disk tells ---

static void resume(void *arg)
{
    (void)arg;
    nbd_server_resume(path.nbd);
}

static void broken(void *arg, uint32_t status)
{
    (void)arg;
    char name[16], why[96];
    snprintf(why, sizeof why, "acknowledged writes cannot be made durable: %s",
             smb2_status_name(status, name));
    path.conf.broken(why);
}

// --- struct ds_data ---

struct where {
    struct smb_wait wait; // first member
    struct ds_session *session;
    struct ds_file *image;
};

static void attach_on_loop(void *arg)
{
    const struct where *w = arg;
    disk_attach(path.disk, ds_session_conn(w->session), ds_file_fid(w->image));
}

static void do_attach(struct ds_session *s, struct ds_file *image)
{
    struct where w = {.session = s, .image = image};
    if (path.disk)
        drv_loop_call(path.conf.loop, attach_on_loop, &w);
}

static void detach_on_loop(void *arg)
{
    disk_detach(arg);
}

static void do_detach(void)
{
    if (path.disk)
        drv_loop_call(path.conf.loop, detach_on_loop, path.disk);
}

static void waited(void *arg, uint32_t status)
{
    smb_wait_end(arg, status);
}

static void start_replay(struct smb_wait *wait)
{
    struct where *w = (struct where *)wait;
    disk_replay(path.disk, ds_session_conn(w->session), ds_file_fid(w->image), waited, wait);
}

static int do_replay(struct ds_session *s, struct ds_file *image)
{
    struct where w = {.session = s, .image = image};
    return path.disk ? smb2_errno(smb_wait_run(path.conf.loop, &w.wait, start_replay)) : 0;
}

static void start_settle(struct smb_wait *wait)
{
    disk_settle(path.disk, waited, wait);
}

static int do_settle(void)
{
    struct smb_wait w;
    return path.disk ? smb2_errno(smb_wait_run(path.conf.loop, &w, start_settle)) : 0;
}

static void writable_on_loop(void *arg)
{
    disk_set_writable(path.disk, *(const bool *)arg);
}

static void do_set_writable(bool writable)
{
    if (path.disk)
        drv_loop_call(path.conf.loop, writable_on_loop, &writable);
}

static void size_on_loop(void *arg)
{
    uint64_t file = *(const uint64_t *)arg;
    disk_set_size(path.disk, path.conf.export_bytes ? path.conf.export_bytes : file, file);
}

static void do_set_size(uint64_t file_bytes)
{
    if (path.disk)
        drv_loop_call(path.conf.loop, size_on_loop, &file_bytes);
}

static void fail_on_loop(void *arg)
{
    disk_fail(arg);
}

static void do_fail(void)
{
    if (path.disk)
        drv_loop_call(path.conf.loop, fail_on_loop, path.disk);
}

static void heal_on_loop(void *arg)
{
    disk_heal(arg);
}

static void do_heal(void)
{
    if (path.disk)
        drv_loop_call(path.conf.loop, heal_on_loop, path.disk);
}

static int do_ready(struct drv_err *err)
{
    if (path.unready.code && err)
        *err = path.unready;
    return path.unready.code ? -1 : 0;
}

struct look {
    int64_t oldest_ms;
    bool dirty;
    struct disk_stats stats;
};

static void look_on_loop(void *arg)
{
    struct look *l = arg;
    l->oldest_ms = disk_oldest_ms(path.disk);
    l->dirty = replay_dirty(path.log);
    disk_get_stats(path.disk, &l->stats);
}

static struct look look(void)
{
    struct look l = {0};
    if (path.disk)
        drv_loop_call(path.conf.loop, look_on_loop, &l);
    return l;
}

static int64_t do_oldest_ms(void)
{
    return look().oldest_ms;
}

static bool do_dirty(void)
{
    return look().dirty;
}

struct binding {
    const struct ds_ident *id;
    int rc;
};

static void bind_on_loop(void *arg)
{
    struct binding *b = arg;
    struct replay_id now, want = {b->id->volume_id, b->id->file_id};
    replay_get_id(path.log, &now);
    bool same = now.volume_id == want.volume_id && now.file_id == want.file_id;
    b->rc = replay_dirty(path.log) && !same ? -1 : 0;
    if (b->rc == 0 && !same)
        replay_set_id(path.log, &want);
}

static int do_bind(const struct ds_ident *id)
{
    struct binding b = {.id = id};
    if (path.disk)
        drv_loop_call(path.conf.loop, bind_on_loop, &b);
    return b.rc;
}

static void do_stats(struct ss_proc_status *ret)
{
    const struct disk_stats s = look().stats;
    ret->reads = s.reads;
    ret->writes = s.writes;
    ret->read_bytes = s.read_bytes;
    ret->write_bytes = s.write_bytes;
    ret->refused_writes = s.refused_writes;
    ret->log_bytes = s.log_bytes;
    ret->replays = (unsigned)s.replays;
}

static const struct ds_data data = {.attach = do_attach,
                                    .detach = do_detach,
                                    .replay = do_replay,
                                    .settle = do_settle,
                                    .set_writable = do_set_writable,
                                    .set_size = do_set_size,
                                    .fail = do_fail,
                                    .heal = do_heal,
                                    .oldest_ms = do_oldest_ms,
                                    .dirty = do_dirty,
                                    .bind = do_bind,
                                    .stats = do_stats,
                                    .ready = do_ready};

const struct ds_data *data_path(void)
{
    return &data;
}

// --- life ---

static int open_log(const struct data_path_conf *c, struct drv_err *err)
{
    bool found = false;
    if (!c->after_crash)
        (void)unlink(c->replay_path);
    path.log = replay_open(c->replay_path, LOG_BYTES, &found, err);
    if (!path.log || found || !c->after_crash)
        return path.log ? 0 : -1;
    drv_err(err, DRV_EATTENTION,
            "%s, with the writes that the disk had not made durable yet, is gone", c->replay_path);
    replay_close(DRV_TAKE(path.log), true);
    return -1;
}

int data_path_start(const struct data_path_conf *c, struct drv_err *err)
{
    static const struct disk_owner owner = {.resume = resume, .broken = broken};
    path.conf = *c;
    if (!c->nbd_path || open_log(c, &path.unready) < 0)
        return 0;
    path.disk = disk_new(c->loop, &disk_smb2, path.log, &owner, NULL);
    if (!path.disk)
        return drv_err(err, DRV_ENOSPACE, "no memory for the disk");
    path.nbd =
        nbd_server_new(c->loop, c->nbd_path, c->nbd_uid, c->nbd_gid, &disk_nbd_ops, path.disk, err);
    return path.nbd ? 0 : -1;
}

void data_path_stop(void)
{
    nbd_server_free(DRV_TAKE(path.nbd));
    disk_free(DRV_TAKE(path.disk));
    if (path.log)
        replay_close(path.log, !replay_dirty(path.log));
    path.log = NULL;
}
