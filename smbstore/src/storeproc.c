// SPDX-License-Identifier: GPL-3.0-or-later
// Starting and ending drover-store processes: see storeproc.h. The process is detached; its run
// directory holds <name>.nbd .ctl .pid .log .replay.
#include "drover/proc.h"
#include "storeproc_int.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { START_MS = 10000, OPEN_MS = 40000, END_MS = 10000, PATH_BYTES = 256, MAX_ARGS = 32 };

void ss_proc_nbd_path(const char *dir, const char *name, char *out, size_t size)
{
    ss_proc_path(dir, name, "nbd", out, size);
}

static void remove_files(const char *dir, const char *name)
{
    static const char *const suffixes[] = {"nbd", "ctl", "pid"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(suffixes); i++) {
        char path[PATH_BYTES];
        ss_proc_path(dir, name, suffixes[i], path, sizeof path);
        unlink(path);
    }
}

// The process's arguments, "--key=value" each; freed by free_args.
struct args {
    const char *argv[MAX_ARGS];
    char *owned[MAX_ARGS];
    unsigned n, n_owned;
};

static void free_args(struct args *a)
{
    for (unsigned i = 0; i < a->n_owned; i++)
        free(a->owned[i]);
}

static void add(struct args *a, const char *arg)
{
    if (a->n < MAX_ARGS - 1)
        a->argv[a->n++] = arg;
}

static void add_pair(struct args *a, const char *key, const char *value)
{
    if (!value)
        return;
    a->owned[a->n_owned] = drv_xasprintf("--%s=%s", key, value);
    add(a, a->owned[a->n_owned++]);
}

static void add_number(struct args *a, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    add_pair(a, key, text);
}

// <dir>/<name>.<suffix> as the value of an option.
static void add_file(struct args *a, const struct ss_proc_spec *s, const char *key,
                     const char *suffix)
{
    char path[PATH_BYTES];
    ss_proc_path(s->dir, s->name, suffix, path, sizeof path);
    add_pair(a, key, path);
}

static void add_image(struct args *a, const struct ss_proc_spec *s)
{
    add_pair(a, "image", s->image_url);
    add_file(a, s, "nbd", "nbd");
    add_number(a, "nbd-uid", s->socket_uid);
    add_number(a, "nbd-gid", s->socket_gid);
    add_number(a, "export-bytes", s->export_bytes);
    add_file(a, s, "replay-log", "replay");
    if (s->after_crash)
        add(a, "--after-crash");
}

static pid_t spawn(const struct ss_proc_spec *s, struct drv_err *err)
{
    char log[PATH_BYTES];
    ss_proc_path(s->dir, s->name, "log", log, sizeof log);
    struct args a DRV_CLEANUP(free_args) = {.n = 0};
    add(&a, s->program);
    if (s->image_url)
        add_image(&a, s);
    add_pair(&a, s->holds_record ? "record" : "peek-record", s->record_url);
    add_file(&a, s, "control", "ctl");
    add_file(&a, s, "pidfile", "pid");
    add_pair(&a, "qmp", s->qmp_path);
    add_number(&a, "stall", s->stall_deadline_s ? s->stall_deadline_s : 60);
    if (s->record_guards_guest)
        add(&a, "--guards");
    if (s->no_encryption)
        add(&a, "--no-encryption");
    add_pair(&a, "keytab", s->keytab);
    add_pair(&a, "principal", s->principal);

    DRV_AUTO_FREE char *ccache =
        drv_xasprintf("KRB5CCNAME=%s", s->keytab || !s->ccache ? "MEMORY:" : s->ccache);
    const char *krb5 = getenv("KRB5_CONFIG");
    DRV_AUTO_FREE char *krb5_conf = drv_xasprintf("KRB5_CONFIG=%s", krb5 ? krb5 : "/etc/krb5.conf");
    const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", ccache,
                               krb5_conf, NULL};
    const struct drv_spawn sp = {.argv = a.argv, .env = env, .log_path = log};
    return s->spawn ? s->spawn(&sp, s->spawn_arg, err) : drv_proc_spawn(&sp, err);
}

// The last line of the log, for a process that ended before it could answer.
static void last_log_line(const struct ss_proc_spec *s, char *out, size_t size)
{
    char path[PATH_BYTES], line[512];
    ss_proc_path(s->dir, s->name, "log", path, sizeof path);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    drv_copy(out, size, "no message");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0])
            drv_copy(out, size, line);
    }
}

static struct ss_proc *wait_for_control(const struct ss_proc_spec *s, pid_t pid, uint64_t start,
                                        struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + START_MS;
    while (drv_now_ms() < deadline) {
        struct drv_err ignored = DRV_ERR_INIT;
        struct ss_proc *p = ss_proc_connect(s->dir, s->name, &ignored);
        if (p)
            return p;
        if (!drv_proc_alive(pid, start)) {
            char why[256];
            last_log_line(s, why, sizeof why);
            drv_err(err, DRV_EINTERNAL, "drover-store did not start: %s", why);
            return NULL;
        }
        drv_sleep_ms(5);
    }
    drv_err(err, DRV_ETIMEDOUT, "drover-store did not start within %d s", START_MS / 1000);
    return NULL;
}

int ss_proc_start(const struct ss_proc_spec *spec, struct drv_err *err)
{
    if (!spec->image_url && !spec->record_url)
        return drv_err(err, DRV_EINVAL, "drover-store %s needs an image or a record", spec->name);
    struct drv_err why = DRV_ERR_INIT;
    struct ss_proc *old = ss_proc_connect(spec->dir, spec->name, &why);
    if (old) {
        ss_proc_close(old);
        return drv_err(err, DRV_EEXIST, "drover-store %s/%s is running already", spec->dir,
                       spec->name);
    }
    if (why.code != DRV_EUNREACHABLE) { // it may be there: its files are not ours to remove
        if (err)
            *err = why;
        return -1;
    }
    remove_files(spec->dir, spec->name);
    pid_t pid = spawn(spec, err);
    if (pid < 0)
        return -1;
    uint64_t start = drv_proc_start_time(pid);
    struct ss_proc *p = wait_for_control(spec, pid, start, err);
    int rc = p ? ss_proc_ask(p, "open", NULL, OPEN_MS, NULL, err) : -1;
    ss_proc_close(p);
    if (rc < 0) {
        drv_proc_end(pid, start, SIGKILL, END_MS, NULL);
        remove_files(spec->dir, spec->name);
        drv_err_prefix(err, "disk %s", spec->name);
    }
    return rc;
}

// pid and start time from the pidfile, or 0.
static pid_t read_pidfile(const char *dir, const char *name, uint64_t *ret_start)
{
    char path[PATH_BYTES];
    ss_proc_path(dir, name, "pid", path, sizeof path);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    int pid = 0;
    unsigned long long start = 0;
    if (!f || fscanf(f, "%d %llu", &pid, &start) != 2)
        pid = 0;
    *ret_start = start;
    return (pid_t)pid;
}

int ss_proc_quit(struct ss_proc *p, bool force, struct drv_err *err)
{
    enum { QUIT_MS = 5000 };
    uint64_t start = 0;
    pid_t pid = read_pidfile(ss_proc_dir(p), ss_proc_name(p), &start);
    struct drv_err ask_err = DRV_ERR_INIT;
    int rc = ss_proc_ask(p, "quit", json_pack("{s:b}", "force", force), QUIT_MS, NULL, &ask_err);
    // Without an answer and without a pid nothing says that it is gone.
    bool unknown = pid <= 0 && ask_err.code != DRV_EUNREACHABLE;
    if (rc < 0 && (ask_err.code == DRV_ESTATE || unknown)) {
        if (err)
            *err = ask_err;
        return -1;
    }
    ss_proc_disconnect(p);
    if (pid > 0 && drv_proc_end(pid, start, rc < 0 ? SIGTERM : 0, END_MS, NULL) < 0 &&
        drv_proc_end(pid, start, SIGKILL, END_MS, err) < 0)
        return -1;
    remove_files(ss_proc_dir(p), ss_proc_name(p));
    return 0;
}

int ss_proc_end(const char *dir, const char *name, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    struct ss_proc *p = ss_proc_connect(dir, name, &why);
    if (!p && why.code == DRV_EUNREACHABLE)
        return 0;
    if (!p && err)
        *err = why;
    int rc = p ? ss_proc_quit(p, true, err) : -1;
    ss_proc_close(p);
    return rc;
}
