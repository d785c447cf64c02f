// SPDX-License-Identifier: GPL-3.0-or-later
// Host probe: see probe.h. QEMU itself is asked, once per accelerator, over QMP.
#include "probe_int.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/proc.h"
#include "drover/util.h"
#include "qmp.h"

enum { ASK_TIMEOUT_MS = 15 * 1000 };

// --- asking a QEMU ---

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void put_name(char names[][HA_PROBE_NAME], unsigned *n, const json_t *name)
{
    const char *s = json_string_value(name);
    if (s && *n < HA_PROBE_MAX_NAMES && drv_copy(names[*n], HA_PROBE_NAME, s) == 0)
        (*n)++;
}

static int ask_version(struct qmp *q, struct ha_probe *p, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *r = qmp_call(q, "query-version", NULL, QMP_TIMEOUT_MS, err);
    if (!r)
        return -1;
    int major, minor, micro;
    const char *package;
    if (json_unpack(r, "{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", &major, "minor", &minor,
                    "micro", &micro, "package", &package) < 0)
        return drv_err(err, DRV_EPEER, "query-version: an answer of another shape");
    p->qemu_version = (unsigned)(major * 10000 + minor * 100 + micro);
    DRV_COPY(p->qemu_package, package);
    return 0;
}

static int ask_machines(struct qmp *q, struct ha_probe *p, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *list = qmp_call(q, "query-machines", NULL, QMP_TIMEOUT_MS, err);
    if (!list)
        return -1;
    size_t i;
    json_t *m;
    json_array_foreach(list, i, m)
    {
        put_name(p->machines, &p->n_machines, json_object_get(m, "name"));
    }
    qsort(p->machines, p->n_machines, HA_PROBE_NAME, by_name);
    return 0;
}

static int ask_cpus(struct qmp *q, char names[][HA_PROBE_NAME], unsigned *n, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *list = qmp_call(q, "query-cpu-definitions", NULL, QMP_TIMEOUT_MS, err);
    if (!list)
        return -1;
    size_t i;
    json_t *cpu;
    json_array_foreach(list, i, cpu)
    {
        const json_t *missing = json_object_get(cpu, "unavailable-features");
        if (json_is_array(missing) && json_array_size(missing) == 0)
            put_name(names, n, json_object_get(cpu, "name"));
    }
    qsort(names, *n, HA_PROBE_NAME, by_name);
    return 0;
}

static int ask(struct qmp *q, const char *accel, struct ha_probe *p, struct drv_err *err)
{
    if (!strcmp(accel, "kvm"))
        return ask_cpus(q, p->cpus_kvm, &p->n_cpus_kvm, err);
    if (ask_version(q, p, err) < 0 || ask_machines(q, p, err) < 0)
        return -1;
    return ask_cpus(q, p->cpus_tcg, &p->n_cpus_tcg, err);
}

// Start a QEMU that never runs a guest, ask it, end it.
static int ask_qemu(const struct probe_run *run, const char *accel, struct ha_probe *p,
                    struct drv_err *err)
{
    char sock[PATH_MAX], log[PATH_MAX];
    snprintf(sock, sizeof sock, "%s/qmp.sock", run->sock_dir);
    snprintf(log, sizeof log, "%s/ask.log", run->dir);
    struct ha_argv a = {.v = NULL};
    ha_argv_add(&a, "%s", run->emulator);
    ha_argv_add(&a, "-nodefaults");
    ha_argv_add(&a, "-no-user-config");
    ha_argv_add(&a, "-machine");
    ha_argv_add(&a, "q35,accel=%s", accel);
    ha_argv_add(&a, "-m");
    ha_argv_add(&a, "16M");
    ha_argv_add(&a, "-display");
    ha_argv_add(&a, "none");
    ha_argv_add(&a, "-S");
    ha_argv_add(&a, "-qmp");
    ha_argv_add(&a, "unix:%s,server=on,wait=off", sock);
    struct ha_order order = {.argv = (const char **)a.v};
    pid_t pid = ha_launch_vm(run->launcher, &order, log, NULL, NULL, err);
    ha_argv_done(&a);
    if (pid < 0)
        return -1;
    uint64_t start = drv_proc_start_time(pid);
    int64_t deadline = drv_now_ms() + ASK_TIMEOUT_MS;
    while (!drv_may(sock, F_OK) && drv_proc_alive(pid, start) && drv_now_ms() < deadline)
        drv_sleep_ms(10);
    struct qmp *q = qmp_connect(sock, drv_proc_alive(pid, start) ? ASK_TIMEOUT_MS : 0, NULL, err);
    int rc = q ? ask(q, accel, p, err) : -1;
    qmp_close(q);
    drv_proc_end(pid, start, SIGKILL, ASK_TIMEOUT_MS, NULL); // it has nothing to lose
    unlink(sock);
    unlink(log);
    return rc;
}

// --- the whole ---

// Path of the emulator, as the shell would find it.
static int find_emulator(const char *name, char out[PATH_MAX])
{
    static const char *const dirs[] = {"", "/usr/local/bin/", "/usr/bin/"};
    for (size_t i = strchr(name, '/') ? 0 : 1; i < DRV_ARRAY_LEN(dirs); i++) {
        snprintf(out, PATH_MAX, "%s%s", dirs[i], name);
        if (drv_may(out, X_OK))
            return 0;
    }
    return -1;
}

// Everything that may change the answer: this boot, this QEMU, the KVM device, who runs it.
static void make_key(const char *emulator, uid_t uid, char *out, size_t size)
{
    char boot_id[64] = "";
    DRV_AUTO_FILE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f && fgets(boot_id, sizeof boot_id, f))
        boot_id[strcspn(boot_id, "\n")] = '\0';
    struct stat st = {.st_size = 0}, kvm = {.st_mode = 0};
    stat(emulator, &st);
    stat("/dev/kvm", &kvm);
    snprintf(out, size, "%s %s %lld.%lld %o.%d %d", boot_id, emulator, (long long)st.st_size,
             (long long)st.st_mtime, kvm.st_mode, (int)kvm.st_gid, (int)uid);
}

static int make_dirs(struct probe_run *run, struct drv_err *err)
{
    snprintf(run->dir, sizeof run->dir, "%s/probe-XXXXXX", run->parent);
    if (!mkdtemp(run->dir) || chmod(run->dir, 0711) < 0)
        return drv_err_os(err, errno, "cannot create a directory in %s", run->parent);
    snprintf(run->sock_dir, sizeof run->sock_dir, "%s/q", run->dir);
    if (drv_dir_share(run->sock_dir, run->gid, 0770, err) < 0) {
        rmdir(run->sock_dir);
        rmdir(run->dir);
        return -1;
    }
    return 0;
}

struct ha_probe *ha_probe_run(const struct ha_probe_spec *spec, struct drv_err *err)
{
    char path[PATH_MAX], key[PATH_MAX + 256];
    const char *name = spec->emulator ? spec->emulator : "qemu-system-x86_64";
    if (find_emulator(name, path) < 0) {
        drv_err(err, DRV_ENOTFOUND, "there is no %s on this host", name);
        drv_err_hint(err, "install the package qemu-system-x86");
        return NULL;
    }
    make_key(path, spec->uid, key, sizeof key);
    struct ha_probe *p = drv_xcalloc(1, sizeof *p);
    if (spec->cache_path && probe_cache_read(spec->cache_path, key, p) == 0)
        return p;

    struct probe_run run = {
        .emulator = path, .launcher = spec->launcher, .gid = spec->gid, .parent = spec->dir};
    if (make_dirs(&run, err) < 0) {
        free(p);
        return NULL;
    }
    int rc = ask_qemu(&run, "tcg", p, err);
    if (rc == 0) {
        probe_kvm(&run, p);
        if (p->kvm)
            rc = ask_qemu(&run, "kvm", p, err);
    }
    rmdir(run.sock_dir);
    rmdir(run.dir);
    if (rc < 0) {
        drv_err_prefix(err, "%s", path);
        free(p);
        return NULL;
    }
    if (spec->cache_path)
        probe_cache_write(spec->cache_path, key, p);
    return p;
}

static bool has_name(const char names[][HA_PROBE_NAME], unsigned n, const char *name)
{
    return bsearch(name, names, n, HA_PROBE_NAME, by_name) != NULL;
}

bool ha_probe_has_machine(const struct ha_probe *p, const char *machine)
{
    return has_name(p->machines, p->n_machines, machine);
}

bool ha_probe_has_cpu(const struct ha_probe *p, const char *accel, const char *model)
{
    if (!strcmp(accel, "kvm"))
        return p->kvm && has_name(p->cpus_kvm, p->n_cpus_kvm, model);
    return has_name(p->cpus_tcg, p->n_cpus_tcg, model);
}

bool ha_cpu_moves(const char *model)
{
    return strcmp(model, "host") != 0 && strcmp(model, "max") != 0;
}

int ha_host_memory_kib(uint64_t *ret_total, uint64_t *ret_available, struct drv_err *err)
{
    DRV_AUTO_FILE FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned found = 0;
    while (f && fgets(line, sizeof line, f)) {
        found += sscanf(line, "MemTotal: %lu kB", ret_total) == 1;
        found += sscanf(line, "MemAvailable: %lu kB", ret_available) == 1;
    }
    return found == 2 ? 0 : drv_err(err, DRV_EIO, "cannot read /proc/meminfo");
}

unsigned ha_host_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}
