// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store: see drover/storeproc.h and drover-store(8). One loop on the main thread serves the
// guest; the procedure thread acquires, lets go and recovers; the watch thread keeps the deadlines;
// each control client has a thread.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "backend_smb2.h"
#include "control.h"
#include "data_path.h"
#include "drover/file.h"
#include "drover/log.h"
#include "drover/proc.h"
#include "drover/worker.h"
#include "options.h"
#include "probe.h"

enum {
    END_WAIT_MS = 3000,
    END_PAUSE_MS = 2000,
};

static struct program {
    struct ds_options opt;
    struct drv_loop *loop;
    struct smb2_tickets *tickets;
    struct ds_store store;
    struct ds_control *control;
    struct ds_watch *watch;
    struct event *signals[2];
    bool quit_asked; // loop thread: by droverd, which knows about the guest
    bool ending, clean;
} prog;

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
    DRV_AUTO_FREE char *text =
        drv_xasprintf("%d %" PRIu64 "\n", (int)getpid(), drv_proc_start_time(getpid()));
    return drv_file_replace(path, text, strlen(text), 0600, err);
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
    struct ds_options *o = &prog.opt;
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
    struct drv_err err = DRV_ERR_INIT;
    prog.opt.store = (struct ds_conf){.stall_s = DS_STALL_S, .verify_s = DS_VERIFY_S};
    argp_program_version = "drover-store " DROVER_VERSION;
    argp_parse(&ds_argp, argc, argv, 0, NULL, &prog.opt);
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
