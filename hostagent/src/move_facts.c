// SPDX-License-Identifier: GPL-3.0-or-later
// Facts that this host knows about itself with regard to a plan; the mover's rules judge them.
#include "move.h"

#include "drover/file.h"
#include "reach.h"
#include "subnet.h"
#include "tap.h"

enum { REACH_TIMEOUT_MS = 2000 };
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// --- migration networks ---

static void addresses(const char *networks, struct mv_facts *f)
{
    struct ifaddrs *all = NULL;
    char copy[512], *save = NULL;
    if (getifaddrs(&all) < 0)
        return;
    DRV_COPY(copy, networks);
    for (char *item = strtok_r(copy, ", ", &save); item; item = strtok_r(NULL, ", ", &save)) {
        struct ha_subnet s;
        if (ha_subnet_parse(item, &s, NULL) < 0)
            continue;
        for (struct ifaddrs *i = all; i && f->n_addrs < MV_MAX_ADDRS; i = i->ifa_next) {
            if (!ha_subnet_has(&s, i->ifa_addr) || !(i->ifa_flags & IFF_UP))
                continue;
            inet_ntop(s.family, ha_sockaddr_ip(i->ifa_addr), f->addrs[f->n_addrs],
                      sizeof f->addrs[0]);
            DRV_COPY(f->subnets[f->n_addrs], s.text);
            f->n_addrs++;
        }
    }
    freeifaddrs(all);
}

// --- stores ---

static struct mv_store_fact *add_store(struct ha *ha, const char *name, struct mv_facts *f)
{
    struct drv_err err = DRV_ERR_INIT;
    for (unsigned i = 0; i < f->n_stores; i++)
        if (!strcmp(f->stores[i].name, name))
            return NULL; // known already
    if (f->n_stores == MV_MAX_STORES)
        return NULL;
    struct mv_store_fact *s = &f->stores[f->n_stores++];
    DRV_COPY(s->name, name);
    if (ha_store_url(ha, name, s->url, sizeof s->url, &err) < 0) {
        s->url[0] = '\0';
        return NULL;
    }
    s->is_smb = !strncmp(s->url, "smb://", 6);
    return s;
}

static void store_of_host(struct ha *ha, const char *name, struct mv_facts *f)
{
    struct drv_err err = DRV_ERR_INIT;
    struct mv_store_fact *s = add_store(ha, name, f);
    if (!s)
        return;
    struct ss_store *st = ha_store_open(ha, name, NULL, &err);
    struct ss_space space = {0};
    if (st && ss_space(st, &space, &err) == 0 && ss_probe_write(st, "", &err) == 0)
        s->writable = true;
    s->free_bytes = space.free_bytes;
    DRV_COPY(s->error, err.msg);
    ss_store_close(st);
}

// As the user at the SMB server: she must be allowed to write the VM's home (existing), or the
// store's root where a home will be made.
static void store_as_user(struct ha *ha, const struct mv_plan *plan, struct ha_peer *user,
                          struct mv_store_fact *s)
{
    char vm_json[SS_PATH_MAX];
    struct drv_err err = DRV_ERR_INIT;
    bool home = !strcmp(s->name, plan->from_home_store);
    snprintf(vm_json, sizeof vm_json, "%.200s/vm.json", plan->from_home);
    s->user_asked = true;
    s->user_may = ha_store_user_may(ha, s->name, user, home ? vm_json : NULL, &err) == 0;
    if (s->user_may)
        return;
    DRV_COPY(s->error, err.msg);
    if (ha_store_user_unheard(&err)) {
        DRV_COPY(s->user_id, err.id);
        DRV_COPY(s->user_fix, err.hint);
    }
}

static void stores(struct ha *ha, const struct mv_plan *plan, bool source, struct ha_peer *user,
                   struct mv_facts *f)
{
    for (unsigned i = 0; i < plan->n_disks; i++)
        store_of_host(ha, source ? plan->disks[i].from.store : plan->disks[i].to.store, f);
    store_of_host(ha, source ? plan->from_home_store : plan->to_home_store, f);
    for (unsigned i = 0; i < plan->def.n_cdroms; i++)
        if (plan->def.cdroms[i].store[0])
            store_of_host(ha, plan->def.cdroms[i].store, f);
    if (!source || !user)
        return;
    for (unsigned i = 0; i < plan->n_disks; i++) // the targets as well, so far as they are SMB
        if (plan->disks[i].to_url[0])
            add_store(ha, plan->disks[i].to.store, f);
    for (unsigned i = 0; i < f->n_stores; i++)
        if (f->stores[i].is_smb)
            store_as_user(ha, plan, user, &f->stores[i]);
}

// --- disks ---

static void disk(struct ha *ha, const struct ss_disk *d, bool target, struct mv_disk_fact *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_image_info info = {0};
    struct ss_stat st;
    DRV_COPY(ret->id, d->id);
    struct ss_store *store = ha_store_open(ha, d->store, NULL, &err);
    if (store && target) {
        ret->target_exists = ss_stat(store, d->path, &st, &err) == 0;
    } else if (store && ss_image_info(store, d->path, d->format, &info, &err) == 0) {
        ret->accessible = true;
        ret->has_backing = info.has_backing;
        ret->has_snapshots = info.has_snapshots;
        ret->virtual_bytes = info.virtual_bytes;
        ret->allocated_bytes = info.allocated_bytes;
    }
    ss_store_close(store);
    DRV_COPY(ret->error, err.msg);
}

// --- the host ---

static void version_text(unsigned v, char *ret, size_t size)
{
    snprintf(ret, size, "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
}

static void host(struct ha *ha, struct mv_facts *f)
{
    struct ha_settings s;
    struct timespec now;
    struct drv_err err = DRV_ERR_INIT;
    uint64_t total_kib = 0;
    ha_settings_get(ha, &s);
    clock_gettime(CLOCK_REALTIME, &now);
    DRV_COPY(f->host, ha->fqdn);
    DRV_COPY(f->version, DROVER_VERSION);
    version_text(ha->probe->qemu_version, f->qemu_version, sizeof f->qemu_version);
    f->wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    f->send = s.send;
    f->receive = s.receive;
    f->encrypt = s.encrypt;
    f->slots_used = ha_moves_active(ha, false);
    f->slots_max = s.max_moves;
    ha_host_memory_kib(&total_kib, &f->mem_free_kib, &err);
    f->cpus = ha_host_cpus();
    addresses(s.move_networks, f);
}

// What of the host the plan's VM needs.
static void host_for_vm(struct ha *ha, const struct mv_plan *plan, struct mv_facts *f)
{
    struct ha_settings s;
    const struct ss_vmdef *def = &plan->def;
    ha_settings_get(ha, &s);
    if (mv_plan_is_storage(plan)) {
        f->slots_used = ha_moves_active(ha, true);
        f->slots_max = s.max_storage_moves;
    } else if (mv_plan_moves_disks(plan) && ha_moves_active(ha, true) >= s.max_storage_moves) {
        f->slots_max = f->slots_used;
    }
    f->machine_ok = ha_probe_has_machine(ha->probe, def->machine);
    f->accel_ok = !strcmp(def->accel, "tcg") || ha->probe->kvm;
    f->cpu_ok = ha_probe_has_cpu(ha->probe, def->accel, def->cpu_model);
    if (def->firmware == SS_FW_UEFI && !drv_may(HA_UEFI_CODE, R_OK))
        DRV_COPY(f->firmware_missing, HA_UEFI_CODE);
    for (unsigned i = 0; i < def->n_nics; i++) {
        DRV_COPY(f->nets[i].network, def->nics[i].network);
        f->nets[i].present = ha_bridge_exists(def->nics[i].network);
    }
    f->n_nets = def->n_nics;
}

static void arbiter(struct ha *ha, struct mv_facts *f)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_space space;
    if (ha_arbiter_url(ha, f->arbiter_url, sizeof f->arbiter_url, &err) < 0) {
        f->arbiter_url[0] = '\0';
        return;
    }
    struct ss_store *st = ha_arbiter_open(ha, &err);
    f->arbiter_ok = st && ss_space(st, &space, &err) == 0;
    ss_store_close(st);
    DRV_COPY(f->arbiter_error, err.msg);
}

// --- the VM at the source ---

// How many look at the VM's screen (QMP query-vnc).
static unsigned displays(struct ha_vm *vm)
{
    struct drv_err ignored = DRV_ERR_INIT;
    if (strcmp(vm->def.graphics, "vnc") != 0)
        return 0;
    DRV_AUTO_JSON json_t *vnc =
        qmp_call(vm->run.qemu->qmp, "query-vnc", NULL, QMP_TIMEOUT_MS, &ignored);
    return (unsigned)json_array_size(json_object_get(vnc, "clients"));
}

static void running_vm(struct ha_vm *vm, const struct mv_plan *plan, struct mv_facts *f)
{
    struct drv_err err = DRV_ERR_INIT;
    bool running;
    f->vm_known = true;
    if (vm->move[0] && strcmp(vm->move, plan->move) != 0)
        DRV_COPY(f->other_move, vm->move);
    if (!vm->run.qemu || !ha_qemu_alive(vm->run.qemu))
        return;
    if (qmp_status(vm->run.qemu->qmp, f->vm_state, sizeof f->vm_state, &running, &err) < 0)
        DRV_COPY(f->vm_state, "not answering");
    f->displays = displays(vm);
    version_text(vm->ha->probe->qemu_version, f->vm_qemu_version, sizeof f->vm_qemu_version);
    drv_err_clear(&err);
    f->record_ours =
        vm->run.owner && ha_owner_verify(vm->run.owner, vm->run.qemu->instance, &err) == 0;
    DRV_COPY(f->record_error, vm->run.owner ? err.msg : "its drover-stores are not attached");
}

int ha_move_reach(struct ha *ha, const char *addr, struct drv_err *err)
{
    struct ha_settings s;
    ha_settings_get(ha, &s);
    return ha_reach(addr, s.data_port_first, REACH_TIMEOUT_MS, err);
}

void ha_host_facts(struct ha *ha, struct mv_facts *ret)
{
    memset(ret, 0, sizeof *ret);
    host(ha, ret);
    arbiter(ha, ret);
}

int64_t ha_skew_ms(const struct mv_facts *theirs, int64_t took_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return theirs->wall_ms - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - took_ms / 2);
}

int ha_facts(struct ha *ha, const struct mv_plan *plan, struct ha_vm *vm, struct ha_peer *user,
             struct mv_facts *ret, struct drv_err *err)
{
    (void)err;
    ha_host_facts(ha, ret);
    host_for_vm(ha, plan, ret);
    stores(ha, plan, vm != NULL, user, ret);
    for (unsigned i = 0; i < plan->n_disks; i++) {
        const struct mv_disk *d = &plan->disks[i];
        disk(ha, vm ? &d->from : &d->to, !vm && d->moves, &ret->disks[i]);
    }
    ret->n_disks = plan->n_disks;
    if (vm)
        running_vm(vm, plan, ret);
    return 0;
}
