// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store.so: the nbdkit side. Parses parameters, starts the threads, and hands NBD requests
// to data.c. The export is always announced writable with FLUSH and FUA, as NBD flags cannot change
// after QEMU has connected; until promotion writes are refused.
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "drover/log.h"
#include "drover/proc.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum {
    SMB_TIMEOUT_MS = 20000,
    DEFAULT_STALL_S = 60,
    DEFAULT_VERIFY_S = 5,
    END_WAIT_MS = 3000,
    END_PAUSE_MS = 2000
};

static struct ds_conf conf = {.stall_s = DEFAULT_STALL_S, .verify_s = DEFAULT_VERIFY_S};
static struct ds_store store;
static struct ds_control *control;
static struct ds_watch *watch;
static atomic_bool quit_asked; // by droverd, which knows about the guest

// --- parameters ---

static int config(const char *key, const char *value)
{
    static char **const texts[] = {&conf.image_url, &conf.record_url, &conf.qmp_path,
                                   &conf.control_path, &conf.pid_path};
    static const char *const text_keys[] = {"image", "record", "qmp", "control", "pidfile"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++)
        if (strcmp(key, text_keys[i]) == 0) {
            free(*texts[i]);
            *texts[i] = drv_xstrdup(value);
            return 0;
        }
    if (strcmp(key, "export_bytes") == 0)
        return nbdkit_parse_uint64_t(key, value, &conf.export_bytes);
    if (strcmp(key, "stall") == 0)
        return nbdkit_parse_unsigned(key, value, &conf.stall_s);
    if (strcmp(key, "verify") == 0)
        return nbdkit_parse_unsigned(key, value, &conf.verify_s);
    if (strcmp(key, "guards") == 0) {
        int yes = nbdkit_parse_bool(value);
        conf.guards_guest = yes == 1;
        return yes < 0 ? -1 : 0;
    }
    nbdkit_error("unknown parameter %s", key);
    return -1;
}

static int config_complete(void)
{
    if (!conf.control_path || (!conf.image_url && !conf.record_url)) {
        nbdkit_error("control=PATH and image=URL or record=URL are needed");
        return -1;
    }
    if (conf.stall_s < 1 || conf.stall_s > 3600 || conf.verify_s < 1 || conf.verify_s > 60) {
        nbdkit_error("stall must be 1..3600 s and verify 1..60 s");
        return -1;
    }
    return 0;
}

// --- life ---

static int write_pidfile(const char *path)
{
    DRV_AUTO_FREE char *tmp = drv_xasprintf("%s.new", path);
    FILE *f = fopen(tmp, "we");
    if (!f)
        return -1;
    int rc = fprintf(f, "%d %llu\n", (int)getpid(),
                     (unsigned long long)drv_proc_start_time(getpid())) < 0;
    rc |= fclose(f) != 0;
    return rc == 0 && rename(tmp, path) == 0 ? 0 : -1;
}

static void quit(void)
{
    atomic_store(&quit_asked, true);
    nbdkit_shutdown();
}

// After nbdkit has forked: threads and libsmbclient do not survive a fork.
static int after_fork(void)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ds_thread *thread = ds_thread_new(&err);
    if (thread) {
        ds_store_init(&store, &conf, ds_backend_smb(SMB_TIMEOUT_MS), thread);
        watch = ds_watch_start(&store, &err);
        control = watch ? ds_control_start(&store, conf.control_path, quit, &err) : NULL;
    }
    if (!control) {
        nbdkit_error("%s", err.msg);
        return -1;
    }
    if (conf.pid_path && write_pidfile(conf.pid_path) < 0) {
        nbdkit_error("cannot write %s: %m", conf.pid_path);
        return -1;
    }
    return 0;
}

static void run_done(struct ds_job *job)
{
    (void)job;
    ds_store_done(&store);
}

// Close the handles while the server still knows us, so that the next host need not wait for a
// time-out. A stuck SMB thread is left to the end of the process.
static void cleanup(void)
{
    if (!store.thread)
        return;
    ds_control_stop(control);
    ds_watch_stop(watch);
    if (!atomic_load(&quit_asked))
        ds_pause_at_end(&store, END_PAUSE_MS);
    struct ds_job *job = ds_job_new(sizeof *job, run_done);
    if (!job)
        return;
    ds_thread_submit(store.thread, job);
    bool clean = ds_thread_wait(store.thread, job, END_WAIT_MS);
    ds_job_put(store.thread, job);
    drv_log(LOG_NOTICE, "store.end", F_INT("clean", clean));
    if (!clean)
        _exit(0);
    ds_thread_free(store.thread);
    store.thread = NULL;
}

static void unload(void)
{
    free(conf.image_url);
    free(conf.record_url);
    free(conf.qmp_path);
    free(conf.control_path);
    free(conf.pid_path);
}

// --- a connection ---

static void *open_connection(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t get_size(void *handle)
{
    (void)handle;
    pthread_mutex_lock(&store.lock);
    bool opened = store.opened;
    uint64_t size = conf.export_bytes ? conf.export_bytes : store.size_bytes;
    pthread_mutex_unlock(&store.lock);
    if (opened && size <= INT64_MAX)
        return (int64_t)size;
    nbdkit_error("the image has not been opened");
    return -1;
}

static int yes(void *handle)
{
    (void)handle;
    return 1;
}

static int can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE; // every write is durable when it is answered
}

// --- requests ---

static int result(int errnum, const char *what)
{
    if (errnum == 0)
        return 0;
    nbdkit_debug("%s: %s", what, strerrordesc_np(errnum));
    nbdkit_set_error(errnum);
    return -1;
}

static int do_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    return result(ds_data_read(&store, buf, count, offset), "read");
}

static int do_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)handle, (void)flags;
    return result(ds_data_write(&store, buf, count, offset), "write");
}

static int do_flush(void *handle, uint32_t flags)
{
    (void)handle, (void)flags;
    return result(ds_data_flush(&store), "flush");
}

static struct nbdkit_plugin plugin = {
    .name = "drover-store",
    .longname = "drover VM disk on an SMB3 share",
    .version = DROVER_VERSION,
    .config = config,
    .config_complete = config_complete,
    .after_fork = after_fork,
    .cleanup = cleanup,
    .unload = unload,
    .open = open_connection,
    .get_size = get_size,
    .can_write = yes,
    .can_flush = yes,
    .can_multi_conn = yes, // one server-side handle behind all connections
    .can_fua = can_fua,
    .pread = do_pread,
    .pwrite = do_pwrite,
    .flush = do_flush,
    .errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
