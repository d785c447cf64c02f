// SPDX-License-Identifier: GPL-3.0-or-later
// The agent's QEMU side as commands, for run.sh. Each command finds its QEMU again by the run
// directory alone, as a restarted agent does. What goes wrong is printed as "error CODE: message",
// exit status 1.
//
//   start DIR IMAGE BRIDGE [incoming]   cont DIR        status DIR      quit DIR      sweep DIR
//   move FROM TO [stop-at READY|PAUSED] leaves it there for undo; prints figures otherwise
//   undo DIR                            cancel, abort the mirror
//   pivot DIR IMAGE FORMAT              storage move on one host
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/proc.h"
#include "drover/util.h"
#include "qemu_proc.h"
#include "qmp_block.h"
#include "qmp_migrate.h"
#include "tcpstat.h"

#define HOST "127.0.0.1"
enum { QEMU_UID = 65534, PORT_FIRST = 49152, PORT_LAST = 49160, WAIT_MS = 60 * 1000 };

static void definition(struct ss_vmdef *d, const char *bridge)
{
    *d = (struct ss_vmdef){.vcpus = 1, .n_disks = 1, .n_nics = 1, .n_cdroms = 1};
    DRV_COPY(d->uuid, "0b5e0a4e-6f10-4a39-8f0c-8d6b1c1d0001");
    DRV_COPY(d->name, "qemutest");
    DRV_COPY(d->machine, "pc-q35-7.2");
    DRV_COPY(d->accel, "tcg");
    DRV_COPY(d->cpu_model, "qemu64");
    d->memory_kib = ha_memory_fit_kib(256 * 1024, true, 70200, NULL, 0);
    DRV_COPY(d->disks[0].id, "disk0");
    DRV_COPY(d->disks[0].store, "local");
    DRV_COPY(d->disks[0].path, "disk0.raw");
    DRV_COPY(d->disks[0].serial, "QT0");
    d->disks[0].cache = SS_CACHE_WRITEBACK;
    DRV_COPY(d->cdroms[0].id, "cd0");
    DRV_COPY(d->nics[0].id, "nic0");
    DRV_COPY(d->nics[0].mac, "52:54:00:12:34:56");
    DRV_COPY(d->nics[0].network, bridge);
    DRV_COPY(d->nics[0].model, "virtio-net-pci");
    DRV_COPY(d->graphics, "none");
    DRV_COPY(d->on_host_shutdown, "stop");
    d->shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
}

// The program of the build folder, and a drover.conf beside the run directory.
static int find_launcher(struct ha_launcher *l, const char *dir, struct drv_err *err)
{
    char text[100];
    snprintf(l->config, sizeof l->config, "%s.conf", dir);
    int len = snprintf(text, sizeof text, "qemu_user = %d\nqemu_group = %d\n", QEMU_UID, QEMU_UID);
    if (drv_program_find("drover-launch", "../bin", l->program, sizeof l->program, err) < 0)
        return -1;
    return drv_file_replace(l->config, text, (size_t)len, 0644, err);
}

static int start(char **args, struct drv_err *err)
{
    struct ss_vmdef def;
    definition(&def, args[2]);
    if (ha_vmdef_place(&def, err) < 0)
        return -1;
    struct ha_launcher launcher = {.vm_socket = ""};
    if (find_launcher(&launcher, args[0], err) < 0)
        return -1;
    struct ha_qemu_spec spec = {
        .def = &def, .dir = args[0], .launcher = &launcher, .gid = QEMU_UID};
    spec.rt.disks[0].filename = args[1];
    spec.rt.incoming = args[3] != NULL;
    struct ha_qemu *h = ha_qemu_start(&spec, err);
    if (!h)
        return -1;
    printf("pid %d tap %s\n", (int)h->pid, h->taps[0]);
    ha_qemu_free(h);
    return 0;
}

// --- a move of memory and disk, as the mover's phases do it ---

struct figures {
    int64_t mirror_ms, total_ms, pause_ms, qemu_downtime_ms, ram_bytes;
    uint64_t disk_wire_bytes, memory_wire_bytes; // counted when the guest is paused
    unsigned disk_port, memory_port;
};

static int add_keys(struct ha_qemu *from, struct ha_qemu *to, struct drv_err *err)
{
    uint8_t key[32];
    if (getrandom(key, sizeof key, 0) != sizeof key)
        return drv_err(err, DRV_EIO, "getrandom");
    struct ha_qemu *const sides[] = {from, to};
    for (int i = 0; i < 2; i++) {
        DRV_AUTO_FREE char *dir = drv_xasprintf("%s/psk", sides[i]->dir);
        mkdir(dir, 0711);
        qmp_psk_wipe(dir);
        if (qmp_psk_write(dir, key, sizeof key, QEMU_UID, err) < 0 ||
            qmp_psk_del(sides[i]->qmp, "tls0", err) < 0 ||
            qmp_psk_add(sides[i]->qmp, "tls0", dir, i == 1, err) < 0)
            return -1;
    }
    return 0;
}

static int copy_disk(struct ha_qemu *from, struct ha_qemu *to, struct figures *f,
                     struct drv_err *err)
{
    struct qmp_nbd_target t = {
        .node = "disk0-target", .host = HOST, .export_name = "disk0", .tls_creds = "tls0"};
    if (qmp_nbd_server_start(to->qmp, HOST, PORT_FIRST, PORT_LAST, "tls0", &t.port, err) < 0 ||
        qmp_export_add(to->qmp, "disk0", err) < 0 || qmp_nbd_node_add(from->qmp, &t, err) < 0)
        return -1;
    f->disk_port = t.port;
    return qmp_mirror_start(from->qmp, "mirror0", "disk0", t.node, 0, err) < 0
               ? -1
               : qmp_mirror_wait_ready(from->qmp, "mirror0", WAIT_MS, err);
}

static int copy_memory(struct ha_qemu *from, struct ha_qemu *to, struct figures *f,
                       struct drv_err *err)
{
    struct qmp_mig_opts opts = {.downtime_limit_ms = 300, .tls_creds = "tls0"};
    struct qmp_mig_info info;
    if (qmp_mig_prepare(from->qmp, &opts, err) < 0 || qmp_mig_prepare(to->qmp, &opts, err) < 0 ||
        qmp_mig_listen(to->qmp, HOST, PORT_FIRST, PORT_LAST, &f->memory_port, err) < 0 ||
        qmp_mig_start(from->qmp, HOST, f->memory_port, err) < 0)
        return -1;
    return qmp_mig_wait(from->qmp, QMP_MIG_BIT(QMP_MIG_PRE_SWITCHOVER), WAIT_MS, &info, err);
}

static int switch_over(struct ha_qemu *from, struct ha_qemu *to, struct figures *f,
                       struct drv_err *err)
{
    struct qmp_mig_info info;
    int64_t paused = drv_now_ms();
    unsigned completed = QMP_MIG_BIT(QMP_MIG_COMPLETED);
    if (ha_tcp_sent(HOST, f->disk_port, &f->disk_wire_bytes, err) < 0 ||
        ha_tcp_sent(HOST, f->memory_port, &f->memory_wire_bytes, err) < 0)
        return -1;
    if (qmp_mirror_finish(from->qmp, "mirror0", "disk0-target", WAIT_MS, err) < 0 ||
        qmp_nbd_server_stop(to->qmp, err) < 0 || qmp_mig_continue(from->qmp, err) < 0 ||
        qmp_mig_wait(from->qmp, completed, WAIT_MS, &info, err) < 0 ||
        qmp_mig_wait(to->qmp, completed, WAIT_MS, &info, err) < 0 || qmp_cont(to->qmp, err) < 0)
        return -1;
    f->pause_ms = drv_now_ms() - paused;
    drv_sleep_ms(100); // the final figures may come after the status
    if (qmp_mig_query(from->qmp, &info, err) < 0)
        return -1;
    f->qemu_downtime_ms = info.downtime_ms;
    f->ram_bytes = info.ram_transferred;
    return 0;
}

static int move(struct ha_qemu *from, struct ha_qemu *to, const char *stop_at, struct drv_err *err)
{
    struct figures f = {.mirror_ms = 0};
    int64_t begun = drv_now_ms();
    if (add_keys(from, to, err) < 0 || copy_disk(from, to, &f, err) < 0)
        return -1;
    f.mirror_ms = drv_now_ms() - begun;
    if (stop_at && !strcmp(stop_at, "READY"))
        return 0;
    if (copy_memory(from, to, &f, err) < 0)
        return -1;
    if (stop_at)
        return 0;
    if (switch_over(from, to, &f, err) < 0)
        return -1;
    f.total_ms = drv_now_ms() - begun;
    printf("{\"mirror_ms\":%lld,\"total_ms\":%lld,\"pause_ms\":%lld,\"qemu_downtime_ms\":%lld,"
           "\"ram_bytes\":%lld,\"memory_wire_bytes\":%llu,\"disk_wire_bytes\":%llu}\n",
           (long long)f.mirror_ms, (long long)f.total_ms, (long long)f.pause_ms,
           (long long)f.qemu_downtime_ms, (long long)f.ram_bytes,
           (unsigned long long)f.memory_wire_bytes, (unsigned long long)f.disk_wire_bytes);
    return 0;
}

static int move_dirs(char **args, struct drv_err *err)
{
    struct ha_qemu *from = ha_qemu_attach(args[0], NULL, err);
    struct ha_qemu *to = from ? ha_qemu_attach(args[1], NULL, err) : NULL;
    int rc = to ? move(from, to, args[2] ? args[3] : NULL, err) : -1;
    ha_qemu_free(to);
    ha_qemu_free(from);
    return rc;
}

// --- commands on one QEMU ---

static int undo(struct ha_qemu *h, char **args, struct drv_err *err)
{
    (void)args;
    struct qmp_mig_info info;
    int64_t begun = drv_now_ms();
    if (qmp_mig_cancel(h->qmp, err) < 0 || qmp_mig_query(h->qmp, &info, err) < 0)
        return -1;
    if (info.status != QMP_MIG_NONE && qmp_mig_wait(h->qmp, QMP_MIG_FINAL, WAIT_MS, &info, err) < 0)
        return -1;
    if (qmp_mirror_abort(h->qmp, "mirror0", "disk0-target", err) < 0)
        return -1;
    printf("undone in %lld ms\n", (long long)(drv_now_ms() - begun));
    return 0;
}

static int pivot(struct ha_qemu *h, char **args, struct drv_err *err)
{
    char node[64];
    if (qmp_disk_node(h->qmp, "disk0", node, sizeof node, err) < 0 ||
        qmp_file_node_add(h->qmp, "disk0-new", args[2], args[1], false, err) < 0 ||
        qmp_mirror_start(h->qmp, "mirror0", node, "disk0-new", 0, err) < 0 ||
        qmp_mirror_wait_ready(h->qmp, "mirror0", WAIT_MS, err) < 0 ||
        qmp_mirror_pivot(h->qmp, "mirror0", node, WAIT_MS, err) < 0 ||
        qmp_disk_node(h->qmp, "disk0", node, sizeof node, err) < 0)
        return -1;
    printf("disk0 is %s\n", node);
    return 0;
}

static int cont(struct ha_qemu *h, char **args, struct drv_err *err)
{
    (void)args;
    return qmp_cont(h->qmp, err);
}

static int quit(struct ha_qemu *h, char **args, struct drv_err *err)
{
    qmp_psk_wipe(args[1] ? args[1] : "");
    return ha_qemu_quit(h, err);
}

static int status(struct ha_qemu *h, char **args, struct drv_err *err)
{
    (void)args;
    char text[32];
    if (qmp_status(h->qmp, text, sizeof text, NULL, err) < 0)
        return -1;
    puts(text);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct ha_qemu *h, char **args, struct drv_err *err);
} commands[] = {
    {"cont", cont}, {"status", status}, {"quit", quit}, {"undo", undo}, {"pivot", pivot}};

static int run_command(const char *name, char **args, struct drv_err *err)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(commands); i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        struct ha_qemu *h = ha_qemu_attach(args[0], NULL, err);
        int rc = h ? commands[i].run(h, args, err) : -1;
        ha_qemu_free(h);
        return rc;
    }
    return drv_err(err, DRV_EINVAL, "unknown command %s", name);
}

int main(int argc, char **argv)
{
    struct drv_err err = DRV_ERR_INIT;
    if (argc < 3)
        return 2;
    char **args = argv + 2;
    int rc;
    if (!strcmp(argv[1], "start") && argc >= 5)
        rc = start(args, &err);
    else if (!strcmp(argv[1], "move") && argc >= 4)
        rc = move_dirs(args, &err);
    else if (!strcmp(argv[1], "sweep"))
        rc = ha_qemu_sweep(args[0], &err);
    else
        rc = run_command(argv[1], args, &err);
    if (rc < 0)
        printf("error %s: %s\n", drv_code_name(err.code), err.msg);
    return rc < 0 ? 1 : 0;
}
