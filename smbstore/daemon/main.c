// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store: see drover/storeproc.h and drover-store(8). One loop on the main thread serves the
// guest; the procedure thread acquires, lets go and recovers; the watch thread keeps the deadlines;
// each control client has a thread.
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "backend_smb2.h"
#include "control.h"
#include "data_path.h"
#include "drover/log.h"
#include "drover/proc.h"
#include "drover/worker.h"
#include "probe.h"

enum {
    DEFAULT_STALL_S = 60,
    DEFAULT_VERIFY_S = 5,
    END_WAIT_MS = 3000,
    END_PAUSE_MS = 2000,
};

struct options {
    struct ds_conf store;
    struct data_path_conf path;
    const char *keytab, *principal, *probe;
    bool no_encryption;
};

static struct program {
    struct options opt;
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    struct ds_store store;
    struct ds_control *control;
    struct ds_watch *watch;
    struct event *signals[2];
    bool quit_asked; // loop thread: by droverd, which knows about the guest
    bool ending, clean;
} prog;

// --- arguments ---

enum {
    O_IMAGE = 1,
    O_RECORD,
    O_PEEK,
    O_CONTROL,
    O_PIDFILE,
    O_QMP,
    O_EXPORT,
    O_STALL,
    O_VERIFY,
    O_GUARDS,
    O_NBD,
    O_NBD_UID,
    O_NBD_GID,
    O_REPLAY,
    O_AFTER_CRASH,
    O_KEYTAB,
    O_PRINCIPAL,
    O_NO_ENCRYPTION,
    O_PROBE
};

static const struct argp_option options[] = {
    {"image", O_IMAGE, "URL", 0, "the disk's image, smb://server/share/path", 0},
    {"record", O_RECORD, "URL", 0, "hold this owner record", 0},
    {"peek-record", O_PEEK, "URL", 0, "the owner record that another process holds", 0},
    {"control", O_CONTROL, "PATH", 0, "socket for the agent", 0},
    {"pidfile", O_PIDFILE, "PATH", 0, "write process id and start time here", 0},
    {"nbd", O_NBD, "PATH", 0, "socket for QEMU", 0},
    {"nbd-uid", O_NBD_UID, "UID", 0, "its owner", 0},
    {"nbd-gid", O_NBD_GID, "GID", 0, "its group", 0},
    {"export-bytes", O_EXPORT, "BYTES", 0, "size of the export; 0, the default: the file's", 0},
    {"replay-log", O_REPLAY, "PATH", 0, "keep writes that are not durable yet here, on a tmpfs", 0},
    {"after-crash", O_AFTER_CRASH, NULL, 0, "the replay log of a predecessor must be there", 0},
    {"qmp", O_QMP, "PATH", 0, "monitor of the QEMU to pause when the store is lost", 0},
    {"guards", O_GUARDS, NULL, 0, "pause it also when only the record is lost", 0},
    {"stall", O_STALL, "SECONDS", 0, "deadline of an outage, 1..3600 (60)", 0},
    {"verify", O_VERIFY, "SECONDS", 0, "how often handles are verified, 1..60 (5)", 0},
    {"keytab", O_KEYTAB, "PATH", 0, "the host's keys; without it KRB5CCNAME counts", 0},
    {"principal", O_PRINCIPAL, "NAME", 0, "its account, NAME$@REALM", 0},
    {"no-encryption", O_NO_ENCRYPTION, NULL, 0, "sign only (benchmarks)", 0},
    {"probe", O_PROBE, "URL", 0, "say what the server can do with a file made here, as JSON", 0},
    {0}};

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long n = strtoull(text, &end, 10);
    if (!*text || *end || n < min || n > max)
        return -1;
    *ret = n;
    return 0;
}

static void number(struct argp_state *state, const char *name, uint64_t min, uint64_t max,
                   const char *text, uint64_t *ret)
{
    if (parse_number(text, min, max, ret) < 0)
        argp_error(state, "--%s must be a number from %llu to %llu", name, (unsigned long long)min,
                   (unsigned long long)max);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    struct {
        int key;
        const char **text;
    } texts[] = {{O_KEYTAB, &o->keytab},
                 {O_PRINCIPAL, &o->principal},
                 {O_PROBE, &o->probe},
                 {O_NBD, &o->path.nbd_path},
                 {O_REPLAY, &o->path.replay_path},
                 {O_IMAGE, (const char **)&o->store.image_url},
                 {O_RECORD, (const char **)&o->store.record_url},
                 {O_PEEK, (const char **)&o->store.peek_url},
                 {O_CONTROL, (const char **)&o->store.control_path},
                 {O_PIDFILE, (const char **)&o->store.pid_path},
                 {O_QMP, (const char **)&o->store.qmp_path}};
    uint64_t n = 0;
    for (size_t i = 0; i < DRV_ARRAY_LEN(texts); i++)
        if (texts[i].key == key) {
            *texts[i].text = arg;
            return 0;
        }
    switch (key) {
    case O_EXPORT:
        number(state, "export-bytes", 0, INT64_MAX, arg, &o->path.export_bytes);
        break;
    case O_STALL:
        number(state, "stall", 1, 3600, arg, &n);
        o->store.stall_s = (unsigned)n;
        break;
    case O_VERIFY:
        number(state, "verify", 1, 60, arg, &n);
        o->store.verify_s = (unsigned)n;
        break;
    case O_NBD_UID:
        number(state, "nbd-uid", 0, UINT32_MAX - 1, arg, &n);
        o->path.nbd_uid = (uid_t)n;
        break;
    case O_NBD_GID:
        number(state, "nbd-gid", 0, UINT32_MAX - 1, arg, &n);
        o->path.nbd_gid = (gid_t)n;
        break;
    case O_GUARDS:
        o->store.guards_guest = true;
        break;
    case O_AFTER_CRASH:
        o->path.after_crash = true;
        break;
    case O_NO_ENCRYPTION:
        o->no_encryption = true;
        break;
    case ARGP_KEY_END:
        if (o->probe)
            break;
        if (!o->store.control_path || (!o->store.image_url && !o->store.record_url))
            argp_error(state, "--control and --image or --record are needed");
        if (!!o->store.image_url != !!o->path.nbd_path ||
            !!o->store.image_url != !!o->path.replay_path)
            argp_error(state, "--image, --nbd and --replay-log go together");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

// --- the end ---

static void close_all(struct ds_job *job)
{
    (void)job;
    ds_store_done(&prog.store);
}

// On a worker, as control clients and the procedure thread need the loop to end. Handles are closed
// while the server still knows us, so that the next host need not wait for a time-out.
static void end(void *arg)
{
    (void)arg;
    ds_control_stop(prog.control);
    ds_watch_stop(prog.watch);
    if (!prog.quit_asked)
        ds_pause_at_end(&prog.store, END_PAUSE_MS);
    struct ds_job *job = ds_job_new(sizeof *job, close_all);
    if (!job)
        return;
    ds_thread_submit(prog.store.thread, job);
    prog.clean = ds_thread_wait(prog.store.thread, job, END_WAIT_MS);
    ds_job_put(prog.store.thread, job);
}

static void ended(void *arg)
{
    (void)arg;
    data_path_stop();
    drv_log(LOG_NOTICE, "store.end", F_INT("clean", prog.clean));
    if (!prog.clean) // a procedure that is stuck is left to the end of the process
        _exit(EXIT_SUCCESS);
    drv_loop_stop(prog.loop);
}

static void begin_end(void *arg)
{
    prog.quit_asked |= arg != NULL;
    if (prog.ending)
        return;
    prog.ending = true;
    if (drv_work(prog.loop, end, ended, NULL) < 0)
        _exit(EXIT_FAILURE);
}

static void quit(void) // a control client's thread
{
    drv_loop_post(prog.loop, begin_end, &prog);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)sig, (void)what, (void)arg;
    begin_end(NULL);
}

// --- the beginning ---

static void session_ended(const char *why)
{
    ds_session_ended(&prog.store, why);
}

static void broken(const char *why)
{
    ds_lost(&prog.store, DS_LOST_ATTENTION, "%s", why);
}

static int write_pidfile(const char *path, struct drv_err *err)
{
    DRV_AUTO_FREE char *tmp = drv_xasprintf("%s.new", path);
    FILE *f = fopen(tmp, "we");
    if (!f)
        return drv_err_os(err, errno, "%s", tmp);
    bool bad = fprintf(f, "%d %llu\n", (int)getpid(),
                       (unsigned long long)drv_proc_start_time(getpid())) < 0;
    bad |= fclose(f) != 0;
    return !bad && rename(tmp, path) == 0 ? 0 : drv_err_os(err, errno, "%s", path);
}

static int catch_signals(struct drv_err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < DRV_ARRAY_LEN(numbers); i++) {
        prog.signals[i] = evsignal_new(drv_loop_base(prog.loop), numbers[i], on_signal, NULL);
        if (!prog.signals[i] || event_add(prog.signals[i], NULL) < 0)
            return drv_err(err, DRV_EINTERNAL, "signals");
    }
    return 0;
}

static int start(struct drv_err *err)
{
    struct options *o = &prog.opt;
    struct ds_backend_conf backend = {.loop = prog.loop,
                                      .tickets = prog.tickets,
                                      .url = o->store.image_url ? o->store.image_url
                                                                : o->store.record_url,
                                      .no_encryption = o->no_encryption,
                                      .ended = session_ended};
    struct ds_thread *thread = ds_thread_new(err);
    if (!thread)
        return -1;
    ds_store_init(&prog.store, &o->store, ds_backend_smb2(&backend), data_path(), thread);
    o->path.loop = prog.loop;
    o->path.broken = broken;
    if (data_path_start(&o->path, err) < 0 || catch_signals(err) < 0)
        return -1;
    prog.watch = ds_watch_start(&prog.store, err);
    prog.control =
        prog.watch ? ds_control_start(&prog.store, o->store.control_path, quit, err) : NULL;
    if (!prog.control)
        return -1;
    return o->store.pid_path ? write_pidfile(o->store.pid_path, err) : 0;
}

static void tidy(void)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(prog.signals); i++)
        if (prog.signals[i])
            event_free(prog.signals[i]);
    ds_thread_free(prog.store.thread);
    smb2_tickets_free(prog.tickets);
    drv_loop_free(prog.loop);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Serve one VM disk on an SMB3 share to QEMU, and hold the VM's owner record."};
    struct drv_err err = DRV_ERR_INIT;
    prog.opt.store = (struct ds_conf){.stall_s = DEFAULT_STALL_S, .verify_s = DEFAULT_VERIFY_S};
    argp_program_version = "drover-store " DROVER_VERSION;
    argp_parse(&argp, argc, argv, 0, NULL, &prog.opt);
#ifndef __SANITIZE_ADDRESS__   // whose search for leaks wants to trace us
    prctl(PR_SET_DUMPABLE, 0); // keys and a guest's data: no core file
#endif
    prog.loop = drv_loop_new(&err);
    if (prog.loop)
        prog.tickets = smb2_tickets_new(prog.opt.keytab, prog.opt.principal, &err);
    if (prog.tickets && prog.opt.probe)
        return ds_probe(prog.loop, prog.tickets, prog.opt.probe, prog.opt.no_encryption);
    if (!prog.tickets || start(&err) < 0) {
        fprintf(stderr, "drover-store: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    drv_loop_run(prog.loop);
    tidy();
    return EXIT_SUCCESS;
}
