// SPDX-License-Identifier: GPL-3.0-or-later
// The mover's QEMU ports: memory and disk streams of the VM on this host.
#include "move.h"

#include "drover/file.h"
#include "qmp_block.h"
#include "qmp_migrate.h"
#include "tcpstat.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const MEMORY_TLS = "tls-memory", *const DISK_TLS = "tls-disks";

static struct qmp *qmp_of(struct ha_move *m)
{
    return m->vm->run.qemu->qmp;
}

static int need_qemu(struct ha_move *m, struct drv_err *err)
{
    return m->vm && m->vm->run.qemu ? 0 : drv_err(err, DRV_EUNREACHABLE, "the VM's QEMU is gone");
}

// --- keys ---

int ha_move_keys(struct ha_move *m, struct drv_gss *channel, struct drv_err *err)
{
    char label[96];
    snprintf(label, sizeof label, "drover-%s-memory", m->plan.move);
    if (drv_gss_prf(channel, label, m->memory_key, err) < 0)
        return -1;
    snprintf(label, sizeof label, "drover-%s-disks", m->plan.move);
    return drv_gss_prf(channel, label, m->disk_key, err);
}

static void key_dir(struct ha_move *m, const char *stream, char *ret, size_t size)
{
    char dir[256];
    ha_vm_dir(m->ha, m->plan.def.uuid, dir, sizeof dir);
    snprintf(ret, size, "%s/%s", dir, stream);
}

// Give QEMU the key of a stream; *ret_id is what the stream's user names, "" without encryption.
static int add_key(struct ha_move *m, const char *id, const uint8_t *key, bool server,
                   const char **ret_id, struct drv_err *err)
{
    char dir[300];
    *ret_id = "";
    if (!m->plan.encrypt)
        return 0;
    key_dir(m, id, dir, sizeof dir);
    if (drv_dir_share(dir, m->ha->qemu_gid, 0710, err) < 0)
        return -1;
    *ret_id = id;
    if (qmp_psk_del(qmp_of(m), id, err) < 0 ||
        qmp_psk_write(dir, key, HA_KEY_BYTES, m->ha->qemu_gid, err) < 0)
        return -1;
    return qmp_psk_add(qmp_of(m), id, dir, server, err);
}

void ha_move_drop_keys(struct ha_move *m)
{
    const char *const ids[] = {MEMORY_TLS, DISK_TLS};
    for (int i = 0; i < 2; i++) {
        char dir[300];
        struct drv_err ignored = DRV_ERR_INIT;
        key_dir(m, ids[i], dir, sizeof dir);
        if (m->vm && m->vm->run.qemu && ha_qemu_alive(m->vm->run.qemu))
            qmp_psk_del(qmp_of(m), ids[i], &ignored);
        qmp_psk_wipe(dir);
        rmdir(dir);
    }
}

// --- source: disks ---

static void mirror_names(const struct ha_move *m, const struct mv_disk *d,
                         char job[SS_NAME_MAX + 8], char node[SS_NAME_MAX + 8])
{
    snprintf(job, SS_NAME_MAX + 8, "mir-%s", d->id);
    if (mv_plan_is_storage(&m->plan)) // it stays as the disk's node, and must not be in the way
        ha_storage_node(m, d, node, SS_NAME_MAX + 8);
    else
        snprintf(node, SS_NAME_MAX + 8, "tgt-%s", d->id);
}

static unsigned disk_bit(const struct ha_move *m, const struct mv_disk *d)
{
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        if (!strcmp(m->plan.disks[i].id, d->id))
            return 1u << i;
    return 0;
}

static int mirror_start(void *ctx, const struct mv_disk *d, const struct mv_endpoints *to,
                        uint64_t bandwidth_bps, struct drv_err *err)
{
    struct ha_move *m = ctx;
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8], disk[SS_NAME_MAX + 8];
    const char *tls = m->plan.encrypt ? DISK_TLS : "";
    if (mv_plan_is_storage(&m->plan))
        return ha_storage_mirror_start(m, d, bandwidth_bps, err);
    mirror_names(m, d, job, node);
    if (need_qemu(m, err) < 0)
        return -1;
    if (!m->mirrors && add_key(m, DISK_TLS, m->disk_key, false, &tls, err) < 0)
        return -1;
    m->mirrors |= disk_bit(m, d);
    m->disk_peer = *to;
    struct qmp_nbd_target t = {.node = node,
                               .host = to->addr,
                               .port = to->disk_port,
                               .export_name = d->id,
                               .tls_creds = tls};
    if (qmp_nbd_node_add(qmp_of(m), &t, err) < 0)
        return drv_err_prefix(err, "disk %s", d->id);
    ha_disk_node(m->vm->run.qemu, d->id, disk, sizeof disk);
    return qmp_mirror_start(qmp_of(m), job, disk, node, bandwidth_bps, err);
}

// Bytes that the disk stream has carried so far. The kernel counts by connection and QEMU does not
// say which is whose, so the first of the moving disks stands for all.
static uint64_t wire_bytes(struct ha_move *m, const struct mv_disk *d)
{
    struct drv_err ignored = DRV_ERR_INIT;
    uint64_t sent = 0;
    bool first = (m->mirrors & (disk_bit(m, d) - 1)) == 0;
    if (!first || ha_tcp_sent(m->disk_peer.addr, m->disk_peer.disk_port, &sent, &ignored) < 0)
        return 0;
    return sent;
}

static int mirror_poll(void *ctx, const struct mv_disk *d, struct mv_mirror *ret,
                       struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct qmp_job j;
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8];
    mirror_names(m, d, job, node);
    if (need_qemu(m, err) < 0 || qmp_job_query(qmp_of(m), job, &j, err) < 0)
        return -1;
    ret->ready = j.state == QMP_JOB_READY;
    ret->failed = j.state == QMP_JOB_CONCLUDED || j.state == QMP_JOB_GONE;
    ret->done_bytes = (uint64_t)j.done_bytes;
    ret->total_bytes = (uint64_t)j.total_bytes;
    ret->wire_bytes = mv_plan_is_storage(&m->plan) ? ha_storage_written(m, d) : wire_bytes(m, d);
    DRV_COPY(ret->error, j.error[0] ? j.error : "the copy ended");
    return 0;
}

static int mirror_finish(void *ctx, const struct mv_disk *d, int timeout_ms, struct drv_err *err)
{
    struct ha_move *m = ctx;
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8];
    mirror_names(m, d, job, node);
    if (need_qemu(m, err) < 0 || qmp_mirror_finish(qmp_of(m), job, node, timeout_ms, err) < 0)
        return drv_err_prefix(err, "finishing the copy of disk %s", d->id);
    m->mirrors &= ~disk_bit(m, d);
    return 0;
}

static int mirror_abort(void *ctx, const struct mv_disk *d, struct drv_err *err)
{
    struct ha_move *m = ctx;
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8];
    mirror_names(m, d, job, node);
    if (!(m->mirrors & disk_bit(m, d)) || need_qemu(m, NULL) < 0)
        return 0;
    if (qmp_mirror_abort(qmp_of(m), job, node, err) < 0)
        return -1;
    m->mirrors &= ~disk_bit(m, d);
    if (!m->mirrors)
        ha_move_drop_keys(m);
    return 0;
}

static int freeze(void *ctx, int timeout_ms, struct drv_err *err)
{
    return ha_storage_freeze(ctx, timeout_ms, err);
}

static int pivot(void *ctx, const struct mv_disk *d, int timeout_ms, struct drv_err *err)
{
    return ha_storage_pivot(ctx, d, timeout_ms, err);
}

static int is_pivoted(void *ctx, const struct mv_disk *d, bool *ret, struct drv_err *err)
{
    return ha_storage_is_pivoted(ctx, d, ret, err);
}

static int mirror_limit(void *ctx, const struct mv_disk *d, uint64_t bandwidth_bps,
                        struct drv_err *err)
{
    struct ha_move *m = ctx;
    char job[SS_NAME_MAX + 8], node[SS_NAME_MAX + 8];
    mirror_names(m, d, job, node);
    return need_qemu(m, err) < 0 ? -1 : qmp_job_set_speed(qmp_of(m), job, bandwidth_bps, err);
}

// --- source: memory ---

static int migrate_start(void *ctx, const struct mv_endpoints *to, const struct mv_limits *limits,
                         struct drv_err *err)
{
    struct ha_move *m = ctx;
    const char *tls = "";
    if (need_qemu(m, err) < 0 || add_key(m, MEMORY_TLS, m->memory_key, false, &tls, err) < 0)
        return -1;
    struct qmp_mig_opts opts = {.max_bandwidth_bps = limits->bandwidth_bps,
                                .downtime_limit_ms = limits->downtime_limit_ms,
                                .max_throttle_percent = limits->throttle_percent,
                                .tls_creds = tls};
    if (qmp_mig_prepare(qmp_of(m), &opts, err) < 0)
        return -1;
    m->event_seq = qmp_seq(qmp_of(m));
    m->migrating = true;
    return qmp_mig_start(qmp_of(m), to->addr, to->memory_port, err);
}

static int migrate_limits(void *ctx, const struct mv_limits *limits, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (need_qemu(m, err) < 0 ||
        qmp_mig_set_downtime_limit(qmp_of(m), limits->downtime_limit_ms, err) < 0 ||
        qmp_mig_set_throttle(qmp_of(m), limits->throttle_percent, err) < 0)
        return -1;
    return qmp_mig_set_bandwidth(qmp_of(m), limits->bandwidth_bps, err);
}

static enum mv_mig_state state_of(enum qmp_mig_status s)
{
    switch (s) {
    case QMP_MIG_NONE:
        return MV_MIG_NONE;
    case QMP_MIG_PRE_SWITCHOVER:
        return MV_MIG_PRE_SWITCHOVER;
    case QMP_MIG_COMPLETED:
        return MV_MIG_COMPLETED;
    case QMP_MIG_FAILED:
        return MV_MIG_FAILED;
    case QMP_MIG_CANCELLED:
        return MV_MIG_CANCELLED;
    case QMP_MIG_SETUP:
    case QMP_MIG_ACTIVE:
    case QMP_MIG_DEVICE:
    case QMP_MIG_CANCELLING:
    case QMP_MIG_OTHER:
    case QMP_MIG_STATUS_MAX_:
    default:
        return MV_MIG_ACTIVE;
    }
}

static uint64_t known(int64_t v, uint64_t otherwise)
{
    return v >= 0 ? (uint64_t)v : otherwise;
}

static int migrate_poll(void *ctx, struct mv_migration *io, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct qmp_mig_info i;
    if (need_qemu(m, err) < 0 || qmp_mig_query(qmp_of(m), &i, err) < 0)
        return -1;
    io->state = state_of(i.status);
    // What QEMU leaves out (at the very start and in its last states) keeps its last value.
    io->total_bytes = known(i.ram_total, io->total_bytes);
    io->remaining_bytes = known(i.ram_remaining, io->remaining_bytes);
    io->transferred_bytes = known(i.ram_transferred, io->transferred_bytes);
    io->passes = known(i.dirty_sync_count, io->passes);
    if (i.mbps >= 0)
        io->rate_bps = (uint64_t)(i.mbps * 1e6 / 8);
    if (i.dirty_pages_per_s >= 0 && i.page_size > 0)
        io->dirty_rate_bps = (uint64_t)(i.dirty_pages_per_s * i.page_size);
    io->expected_downtime_ms = i.expected_downtime_ms;
    // QEMU's least is as good as nothing.
    io->throttle_percent =
        i.throttle_percent > QMP_MIG_LEAST_THROTTLE ? (unsigned)i.throttle_percent : 0;
    DRV_COPY(io->error, i.error);
    return 0;
}

static int migrate_continue(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return need_qemu(m, err) < 0 ? -1 : qmp_mig_continue(qmp_of(m), err);
}

static int migrate_cancel(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct qmp_mig_info i;
    char state[32];
    bool running = false;
    if (!m->migrating)
        return 0;
    if (need_qemu(m, err) < 0 || qmp_mig_query(qmp_of(m), &i, err) < 0)
        return -1;
    if (i.status != QMP_MIG_NONE && !(QMP_MIG_BIT(i.status) & QMP_MIG_FINAL) &&
        (qmp_mig_cancel(qmp_of(m), err) < 0 ||
         qmp_mig_wait(qmp_of(m), QMP_MIG_FINAL, 20000, &i, err) < 0))
        return -1;
    m->migrating = false;
    ha_move_drop_keys(m);
    // QEMU resumes by itself after a cancel or failure; a completed source waits for the gate.
    for (int tries = 0; tries < 20; tries++) {
        if (qmp_status(qmp_of(m), state, sizeof state, &running, err) < 0)
            return -1;
        if (running)
            return 0;
        if (!strcmp(state, "postmigrate") || tries == 19)
            break;
        drv_sleep_ms(25);
    }
    return ha_cont_again(m->ha, m->vm->run.qemu, m->vm->run.owner, err);
}

static void wait_change(void *ctx, int timeout_ms)
{
    static const char *const names[] = {"MIGRATION", "STOP", "JOB_STATUS_CHANGE", "BLOCK_JOB_READY",
                                        NULL};
    struct ha_move *m = ctx;
    struct drv_err err = DRV_ERR_INIT;
    if (need_qemu(m, &err) == 0) {
        json_decref(qmp_wait(qmp_of(m), &m->event_seq, names, timeout_ms, &err));
        if (err.code == DRV_OK || err.code == DRV_ETIMEDOUT)
            return;
    }
    drv_sleep_ms(timeout_ms); // QEMU is gone: the next poll says so
}

struct stopped_call {
    struct ha_vm *vm;
    int64_t at_us;
};

static void stopped_on_loop(void *arg)
{
    struct stopped_call *c = arg;
    c->at_us = c->vm->stopped_us;
}

static int64_t stopped_at_us(void *ctx)
{
    struct ha_move *m = ctx;
    struct stopped_call c = {.vm = m->vm};
    drv_loop_call(m->ha->loop, stopped_on_loop, &c);
    return c.at_us;
}

// --- destination ---

static int incoming_start(void *ctx, struct mv_endpoints *io, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct qmp_handlers handlers;
    struct ha_settings s;
    const char *tls = "";
    ha_settings_get(m->ha, &s);
    m->vm->run.qemu = ha_run_qemu(m->ha, &m->plan.def, true, ha_vm_handlers(m->vm, &handlers), err);
    if (!m->vm->run.qemu)
        return -1;
    ha_vm_publish(m->vm, "incoming", 0, NULL);
    io->disk_port = 0;
    if (!mv_plan_moves_disks(&m->plan))
        return 0;
    if (add_key(m, DISK_TLS, m->disk_key, true, &tls, err) < 0 ||
        qmp_nbd_server_start(qmp_of(m), io->addr, s.data_port_first, s.data_port_last, tls,
                             &io->disk_port, err) < 0)
        return -1;
    for (unsigned i = 0; i < m->plan.n_disks; i++)
        if (m->plan.disks[i].moves && qmp_export_add(qmp_of(m), m->plan.disks[i].id, err) < 0)
            return -1;
    return 0;
}

static int incoming_listen(void *ctx, struct mv_endpoints *io, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct ha_settings s;
    const char *tls = "";
    ha_settings_get(m->ha, &s);
    if (need_qemu(m, err) < 0 || add_key(m, MEMORY_TLS, m->memory_key, true, &tls, err) < 0)
        return -1;
    struct qmp_mig_opts opts = {.downtime_limit_ms = 300, .tls_creds = tls};
    if (qmp_mig_prepare(qmp_of(m), &opts, err) < 0)
        return -1;
    return qmp_mig_listen(qmp_of(m), io->addr, s.data_port_first, s.data_port_last,
                          &io->memory_port, err);
}

static int incoming_disks_done(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return need_qemu(m, err) < 0 ? -1 : qmp_nbd_server_stop(qmp_of(m), err);
}

static int incoming_wait_loaded(void *ctx, int timeout_ms, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct qmp_mig_info i;
    if (need_qemu(m, err) < 0)
        return -1;
    return qmp_mig_wait(qmp_of(m), QMP_MIG_BIT(QMP_MIG_COMPLETED), timeout_ms, &i, err);
}

// --- both ---

static int cont(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (need_qemu(m, err) < 0 || ha_cont(m->ha, m->vm->run.qemu, m->vm->run.owner, err) < 0)
        return -1;
    return 0;
}

static int run_state(void *ctx, char *ret_state, size_t size, struct drv_err *err)
{
    struct ha_move *m = ctx;
    bool running;
    return need_qemu(m, err) < 0 ? -1 : qmp_status(qmp_of(m), ret_state, size, &running, err);
}

static int quit(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (!m->vm || !m->vm->run.qemu)
        return 0;
    if (ha_qemu_quit(m->vm->run.qemu, err) < 0)
        return -1;
    ha_qemu_free(m->vm->run.qemu);
    m->vm->run.qemu = NULL;
    ha_move_drop_keys(m);
    return 0;
}

const struct mv_qemu_ports ha_move_qemu_ports = {
    .mirror_start = mirror_start,
    .mirror_poll = mirror_poll,
    .mirror_finish = mirror_finish,
    .mirror_abort = mirror_abort,
    .mirror_limit = mirror_limit,
    .freeze = freeze,
    .pivot = pivot,
    .is_pivoted = is_pivoted,
    .migrate_start = migrate_start,
    .migrate_limits = migrate_limits,
    .migrate_poll = migrate_poll,
    .migrate_continue = migrate_continue,
    .migrate_cancel = migrate_cancel,
    .wait_change = wait_change,
    .stopped_at_us = stopped_at_us,
    .incoming_start = incoming_start,
    .incoming_listen = incoming_listen,
    .incoming_disks_done = incoming_disks_done,
    .incoming_wait_loaded = incoming_wait_loaded,
    .cont = cont,
    .run_state = run_state,
    .quit = quit,
};
