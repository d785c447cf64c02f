// SPDX-License-Identifier: GPL-3.0-or-later
// What drover's SMB client would be behind nbdkit: a plugin whose threads hand each request to the
// client's loop thread and wait. For the comparison only: no replay log, no reconnecting.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "drover/store.h"
#include "drover/util.h"
#include "smb_call.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct {
    const char *url;
    bool no_encryption;
    struct ss_url where;
    pthread_t thread;
    pthread_barrier_t started;
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    struct smb2_conn *conn;
    struct smb2_opened file;
    struct drv_err err;
} bridge;

static int call(struct smb_call *c, void (*run)(struct smb_call *c))
{
    char name[16];
    c->conn = bridge.conn;
    c->fid = &bridge.file.fid;
    uint32_t status = smb_call(bridge.loop, c, run);
    if (status == SMB2_OK)
        return 0;
    nbdkit_error("%s", smb2_status_name(status, name));
    nbdkit_set_error(EIO);
    return -1;
}

static void *loop_thread(void *arg)
{
    (void)arg;
    bridge.loop = drv_loop_new(&bridge.err);
    pthread_barrier_wait(&bridge.started);
    if (bridge.loop)
        drv_loop_run(bridge.loop);
    return NULL;
}

static int bridge_config(const char *key, const char *value)
{
    if (strcmp(key, "url") == 0) {
        bridge.url = value;
    } else if (strcmp(key, "no_encryption") == 0) {
        bridge.no_encryption = nbdkit_parse_bool(value) == 1;
    } else {
        nbdkit_error("unknown parameter %s", key);
        return -1;
    }
    return 0;
}

static int bridge_after_fork(void)
{
    struct smb_call opening = {.buf = NULL};
    bridge.err = (struct drv_err)DRV_ERR_INIT;
    bridge.tickets = smb2_tickets_new(NULL, NULL, &bridge.err);
    if (!bridge.tickets || !bridge.url ||
        ss_url_parse(bridge.url, &bridge.where, &bridge.err) < 0) {
        nbdkit_error("url: %s", bridge.err.msg);
        return -1;
    }
    pthread_barrier_init(&bridge.started, NULL, 2);
    if (pthread_create(&bridge.thread, NULL, loop_thread, NULL) != 0)
        return -1;
    pthread_barrier_wait(&bridge.started);
    const struct smb2_config cfg = {.server = bridge.where.server,
                                    .share = bridge.where.share,
                                    .tickets = bridge.tickets,
                                    .no_encryption = bridge.no_encryption};
    bridge.conn = bridge.loop ? smb_call_connect(bridge.loop, &cfg, &bridge.err) : NULL;
    if (!bridge.conn) {
        nbdkit_error("%s", bridge.err.msg);
        return -1;
    }
    opening.how = (struct smb2_create){.path = bridge.where.path,
                                       .access = SMB2_READ_DATA | SMB2_WRITE_DATA |
                                                 SMB2_READ_ATTRIBUTES | SMB2_SYNCHRONIZE,
                                       .share = SMB2_SHARE_READ,
                                       .disposition = SMB2_DISP_OPEN,
                                       .options = SMB2_OPT_NON_DIRECTORY};
    int rc = call(&opening, smb_call_open);
    bridge.file = opening.opened;
    return rc;
}

static void *bridge_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t bridge_get_size(void *handle)
{
    (void)handle;
    return (int64_t)bridge.file.size_bytes;
}

static int bridge_can_multi_conn(void *handle)
{
    (void)handle;
    return 1;
}

static int bridge_pread(void *handle, void *buf, uint32_t len, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    struct smb_call c = {.buf = buf, .len = len, .offset = offset};
    return call(&c, smb_call_read);
}

static int bridge_pwrite(void *handle, const void *buf, uint32_t len, uint64_t offset,
                         uint32_t flags)
{
    (void)handle;
    struct smb_call c = {.buf = (void *)(uintptr_t)buf,
                         .len = len,
                         .offset = offset,
                         .write_through = (flags & NBDKIT_FLAG_FUA) != 0};
    return call(&c, smb_call_write);
}

static int bridge_flush(void *handle, uint32_t flags)
{
    (void)handle, (void)flags;
    struct smb_call c = {.buf = NULL};
    return call(&c, smb_call_flush);
}

static struct nbdkit_plugin plugin = {
    .name = "bridge",
    .longname = "drover's SMB client behind nbdkit, for a benchmark",
    .config = bridge_config,
    .after_fork = bridge_after_fork,
    .open = bridge_open,
    .get_size = bridge_get_size,
    .can_multi_conn = bridge_can_multi_conn,
    .pread = bridge_pread,
    .pwrite = bridge_pwrite,
    .flush = bridge_flush,
};

NBDKIT_REGISTER_PLUGIN(plugin)
