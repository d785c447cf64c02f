// SPDX-License-Identifier: GPL-3.0-or-later
// QEMU processes: see qemu_proc.h.
#include "qemu_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/proc.h"
#include "qemu_state.h"

enum { START_TIMEOUT_MS = 20 * 1000, ATTACH_TIMEOUT_MS = 5 * 1000, POLL_MS = 10, TAP_FD = 10 };

static void in_dir(const char *dir, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

int ha_qemu_sock(const char *dir, const char *name, char out[HA_SOCK_MAX], struct drv_err *err)
{
    char sock_dir[PATH_MAX];
    in_dir(dir, "qemu", sock_dir);
    return ha_sock_path(sock_dir, name, out, err);
}

// --- the run directory ---

static int make_dirs(const struct ha_qemu_spec *spec, const char *sock_dir, struct drv_err *err)
{
    if (mkdir(spec->dir, 0711) < 0 && errno != EEXIST)
        return drv_err_os(err, errno, "cannot create %s", spec->dir);
    return drv_dir_share(sock_dir, spec->gid, 0770, err);
}

static void remove_files(const char *dir)
{
    char path[PATH_MAX];
    in_dir(dir, "qemu", path);
    drv_tree_remove(path);
    ha_state_remove(dir);
    rmdir(dir); // stays when there are logs, or others have files in it
}

void ha_qemu_last_words(const char *dir, char *out, size_t size)
{
    char path[PATH_MAX], tail[4096];
    drv_copy(out, size, "");
    in_dir(dir, "qemu.log", path);
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    off_t from = st.st_size > (off_t)sizeof tail - 1 ? st.st_size - (off_t)sizeof tail + 1 : 0;
    ssize_t n = pread(fd, tail, sizeof tail - 1, from);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    if (n <= 0)
        return;
    tail[n] = '\0';
    const char *line = strrchr(tail, '\n');
    line = line ? line + 1 : tail;
    const char *text =
        strstr(line, "qemu-system-"); // after the time stamp: "qemu-system-x86_64: …"
    const char *colon = text ? strstr(text, ": ") : NULL;
    const char *words = colon ? colon + 2 : line;
    const char *json_end = strstr(words, "}: "); // it repeats a whole -blockdev before the reason
    drv_copy(out, size, words[0] == '-' && json_end ? json_end + 3 : words);
}

// QEMU holds a lock on its pid file as long as it lives: ask the kernel who does. *ret -1: there is
// no such file, 0: nobody.
static int pidfile_holder(const char *dir, pid_t *ret, struct drv_err *err)
{
    char path[HA_SOCK_MAX];
    if (ha_qemu_sock(dir, HA_PIDFILE, path, err) < 0)
        return -1;
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *ret = -1;
    if (fd < 0)
        return errno == ENOENT ? 0 : drv_err_os(err, errno, "cannot open %s", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return drv_err_os(err, errno, "cannot ask for the lock on %s", path);
    *ret = lock.l_type == F_UNLCK ? 0 : lock.l_pid;
    return 0;
}

int ha_qemu_sweep(const char *dir, struct drv_err *err)
{
    struct drv_err ignored = DRV_ERR_INIT;
    struct ha_qemu *h = ha_state_read(dir, NULL);
    bool alive = h && ha_qemu_alive(h);
    pid_t pid = h ? h->pid : 0;
    ha_qemu_free(h);
    if (!h && pidfile_holder(dir, &pid, &ignored) == 0) // its state is lost, it need not be
        alive = pid > 0;
    if (alive)
        return drv_err(err, DRV_EBUSY, "%s: QEMU still runs as process %d", dir, (int)pid);
    remove_files(dir);
    return 0;
}

// --- start ---

// For the VM's log.
static void note_command(const char *dir, const struct ha_argv *argv)
{
    char path[PATH_MAX];
    DRV_AUTO_FREE char *text = ha_argv_text(argv);
    in_dir(dir, "start.log", path);
    DRV_AUTO_FILE FILE *f = fopen(path, "ae");
    if (f)
        fprintf(f, "%s\n", text);
}

// Taps get the numbers that the command line says.
static void order_taps(const struct ha_qemu *h, struct ha_qemu_rt *rt, struct ha_order *o)
{
    o->n_taps = h->def.n_nics;
    for (unsigned i = 0; i < o->n_taps; i++) {
        DRV_COPY(o->taps[i].bridge, h->def.nics[i].network);
        o->taps[i].fd = rt->tap_fds[i] = TAP_FD + (int)i;
    }
}

struct noting {
    struct ha_qemu *h;
    const struct ha_order *order;
};

// An agent that ends from here on finds the process.
static int note(pid_t pid, void *arg, struct drv_err *err)
{
    struct noting *n = arg;
    n->h->pid = pid;
    n->h->start_time = drv_proc_start_time(pid);
    for (unsigned i = 0; i < n->order->n_taps; i++)
        DRV_COPY(n->h->taps[i], n->order->taps[i].name);
    return ha_state_write(n->h, err);
}

// Command line and process.
static int spawn(struct ha_qemu *h, const struct ha_qemu_spec *spec, const char *sock_dir,
                 struct drv_err *err)
{
    struct ha_qemu_rt rt = spec->rt;
    struct ha_order o = {.n_taps = 0};
    char log_path[PATH_MAX];
    struct ha_argv argv;
    rt.sock_dir = sock_dir;
    order_taps(h, &rt, &o);
    in_dir(h->dir, "qemu.log", log_path);
    int rc = ha_qemu_args(&h->def, &rt, &argv, err);
    if (rc == 0) {
        note_command(h->dir, &argv);
        o.argv = (const char **)argv.v;
        struct noting n = {h, &o};
        rc = ha_launch_vm(spec->launcher, &o, log_path, note, &n, err) < 0 ? -1 : 0;
    }
    ha_argv_done(&argv);
    return rc;
}

static int connect_qmp(struct ha_qemu *h, const struct qmp_handlers *handlers, int timeout_ms,
                       struct drv_err *err)
{
    char path[HA_SOCK_MAX];
    if (ha_qemu_sock(h->dir, HA_SOCK_QMP, path, err) < 0)
        return -1;
    int64_t deadline = drv_now_ms() + timeout_ms;
    // A process that ended is noticed here; one that ends later closes the connection.
    while (!drv_may(path, F_OK) && drv_now_ms() < deadline) {
        if (!ha_qemu_alive(h))
            return drv_err(err, DRV_EPEER, "QEMU did not start");
        drv_sleep_ms(POLL_MS);
    }
    int64_t left = deadline - drv_now_ms();
    h->qmp = qmp_connect(path, left > 1 ? (int)left : 1, handlers, err);
    if (!h->qmp || qmp_pid(h->qmp) == h->pid)
        return h->qmp ? 0 : -1;
    // The folder is QEMU's user's, and so every QEMU's of this host.
    drv_err(err, DRV_EPEER, "process %d, not QEMU, listens on %s", (int)qmp_pid(h->qmp), path);
    qmp_close(DRV_TAKE(h->qmp));
    return -1;
}

// What QEMU itself said is the cause; that its monitor is gone is not worth a word then.
static void explain(const char *dir, struct drv_err *err)
{
    char words[400];
    ha_qemu_last_words(dir, words, sizeof words);
    if (!err || !words[0])
        return;
    if (err->code == DRV_EUNREACHABLE || err->code == DRV_EPEER)
        drv_err_clear(err);
    if (err->code == DRV_OK)
        drv_err(err, DRV_EPEER, "QEMU did not start: %s", words);
    else
        drv_err_prefix(err, "QEMU says \"%s\"", words);
    drv_err_native(err, "qemu", 0);
    if (strstr(words, "annot allocate memory"))
        drv_err_hint(err, "the VM has more memory than this host: drover host show; drover vm set "
                          "VM memory=…");
}

struct ha_qemu *ha_qemu_start(const struct ha_qemu_spec *spec, struct drv_err *err)
{
    char sock_dir[PATH_MAX];
    in_dir(spec->dir, "qemu", sock_dir);
    if (ha_qemu_sweep(spec->dir, err) < 0) {
        if (err)
            err->code = DRV_EEXIST;
        return NULL;
    }
    if (drv_may(sock_dir, F_OK)) { // QEMU would stumble over it
        drv_err(err, DRV_ESTATE, "%s cannot be removed", sock_dir);
        drv_err_hint(err, "rm -r %s", sock_dir);
        return NULL;
    }
    if (make_dirs(spec, sock_dir, err) < 0)
        return NULL;

    struct ha_qemu *h = drv_xcalloc(1, sizeof *h);
    h->dir = drv_xstrdup(spec->dir);
    h->def = *spec->def;
    h->epoch = spec->epoch;
    drv_uuid_new(h->instance);
    if (spawn(h, spec, sock_dir, err) == 0 &&
        connect_qmp(h, spec->handlers, spec->timeout_ms ? spec->timeout_ms : START_TIMEOUT_MS,
                    err) == 0)
        return h;
    if (h->pid > 0) {
        drv_proc_end(h->pid, h->start_time, SIGKILL, START_TIMEOUT_MS, NULL);
        explain(h->dir, err);
    }
    remove_files(h->dir);
    ha_qemu_free(h);
    return NULL;
}

// --- found again ---

// A process that was found in the middle of its start may have no lock yet.
static int check_pidfile(const struct ha_qemu *h, struct drv_err *err)
{
    pid_t holder = 0;
    if (pidfile_holder(h->dir, &holder, err) < 0)
        return -1;
    if (holder < 0 || holder == h->pid)
        return 0;
    return drv_err(err, DRV_EUNREACHABLE, "%s: process %d does not hold its pid file", h->dir,
                   (int)h->pid);
}

struct ha_qemu *ha_qemu_attach(const char *dir, const struct qmp_handlers *handlers,
                               struct drv_err *err)
{
    struct ha_qemu *h = ha_state_read(dir, err);
    if (!h)
        return NULL;
    int rc = 0;
    if (!ha_qemu_alive(h))
        rc = drv_err(err, DRV_ENOTFOUND, "%s: process %d has ended", dir, (int)h->pid);
    if (rc == 0)
        rc = check_pidfile(h, err);
    if (rc == 0)
        rc = connect_qmp(h, handlers, ATTACH_TIMEOUT_MS, err);
    if (rc == 0)
        return h;
    // It may have ended while it was being asked.
    if (err && err->code != DRV_ENOTFOUND && !ha_qemu_alive(h))
        err->code = DRV_ENOTFOUND;
    ha_qemu_free(h);
    return NULL;
}

int ha_qemu_save(struct ha_qemu *h, struct drv_err *err)
{
    return ha_state_write(h, err);
}

bool ha_qemu_alive(const struct ha_qemu *h)
{
    return drv_proc_alive(h->pid, h->start_time);
}

// --- end ---

int ha_qemu_quit(struct ha_qemu *h, struct drv_err *err)
{
    // Signal 0 awaits the effect of QMP's quit. Each step has time enough for a healthy QEMU to
    // close its disks; the last one only fails for a process stuck in the kernel.
    static const struct {
        int sig, wait_ms;
    } steps[] = {{0, 5000}, {SIGTERM, 3000}, {SIGKILL, 10000}};
    bool asked = h->qmp && qmp_do(h->qmp, "quit", NULL, 2000, NULL) == 0;
    int rc = ha_qemu_alive(h) ? -1 : 0;
    struct drv_err why = DRV_ERR_INIT;
    for (unsigned i = asked ? 0 : 1; rc < 0 && i < DRV_ARRAY_LEN(steps); i++) {
        drv_err_clear(&why);
        rc = drv_proc_end(h->pid, h->start_time, steps[i].sig, steps[i].wait_ms, &why);
    }
    if (rc < 0) {
        if (err && err->code == DRV_OK)
            *err = why;
        return -1;
    }
    remove_files(h->dir);
    return 0;
}

void ha_qemu_free(struct ha_qemu *h)
{
    if (!h)
        return;
    qmp_close(h->qmp);
    json_decref(h->extra);
    free(h->dir);
    free(h);
}
