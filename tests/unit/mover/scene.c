// SPDX-License-Identifier: GPL-3.0-or-later
#include "scene.h"

#include <string.h>

static void disk(struct ss_disk *d, const char *id, const char *path, unsigned slot)
{
    DRV_COPY(d->id, id);
    DRV_COPY(d->store, "vms");
    DRV_COPY(d->path, path);
    d->format = SS_QCOW2;
    d->bus = SS_BUS_VIRTIO;
    d->pci_slot = slot;
}

static void definition(struct ss_vmdef *def)
{
    DRV_COPY(def->uuid, "5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10");
    DRV_COPY(def->name, "web01");
    DRV_COPY(def->machine, "pc-q35-7.2");
    DRV_COPY(def->accel, "tcg");
    DRV_COPY(def->cpu_model, "qemu64");
    def->vcpus = 2;
    def->memory_kib = 262152;
    disk(&def->disks[0], "disk0", "web01/disk0.qcow2", 4);
    disk(&def->disks[1], "disk1", "web01/disk1.qcow2", 5);
    def->n_disks = 2;
    DRV_COPY(def->cdroms[0].id, "cd0");
    def->n_cdroms = 1;
    DRV_COPY(def->nics[0].id, "nic0");
    DRV_COPY(def->nics[0].mac, "52:54:00:12:34:56");
    DRV_COPY(def->nics[0].network, "br0");
    DRV_COPY(def->nics[0].model, "virtio-net-pci");
    def->nics[0].pci_slot = 3;
    def->n_nics = 1;
    DRV_COPY(def->graphics, "none");
    DRV_COPY(def->on_host_shutdown, "stop");
    def->shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
}

void scene_plan(struct mv_plan *ret, bool disks)
{
    memset(ret, 0, sizeof *ret);
    DRV_COPY(ret->move, "0d9a2d52-0b7c-4b6e-8f37-6f1f5a6f2b01");
    DRV_COPY(ret->user, "alice@EXAMPLE.LAN");
    DRV_COPY(ret->from, "hv1.example.lan");
    DRV_COPY(ret->to, "hv2.example.lan");
    definition(&ret->def);
    ret->n_disks = ret->def.n_disks;
    for (unsigned i = 0; i < ret->n_disks; i++) {
        struct mv_disk *d = &ret->disks[i];
        DRV_COPY(d->id, ret->def.disks[i].id);
        d->from = ret->def.disks[i];
        if (disks) {
            DRV_COPY(ret->def.disks[i].store, "fast");
            d->moves = true;
            snprintf(d->image_id, sizeof d->image_id, "7e0f1d6a-4c3b-4a5e-9d7f-00000000000%u", i);
        } else {
            DRV_COPY(d->to_url, "smb://fs.example.lan/VM");
        }
        d->to = ret->def.disks[i];
        d->virtual_bytes = 1ULL << 30;
    }
    DRV_COPY(ret->from_home_store, "vms");
    DRV_COPY(ret->from_home, "web01");
    DRV_COPY(ret->to_home_store, disks ? "fast" : "vms");
    DRV_COPY(ret->to_home, "web01");
    DRV_COPY(ret->arbiter_url, "smb://fs.example.lan/VM");
    ret->epoch = 7;
    ret->max_blackout_ms = 1000;
    ret->keep_source_s = -1;
    ret->encrypt = true;
}

static void store(struct mv_facts *f, const char *name, const char *url)
{
    struct mv_store_fact *s = &f->stores[f->n_stores++];
    DRV_COPY(s->name, name);
    DRV_COPY(s->url, url);
    s->is_smb = !strncmp(url, "smb:", 4);
    s->writable = true;
    s->free_bytes = 100ULL << 30;
}

void scene_facts(const struct mv_plan *plan, bool source, struct mv_facts *ret)
{
    memset(ret, 0, sizeof *ret);
    DRV_COPY(ret->host, source ? plan->from : plan->to);
    DRV_COPY(ret->version, "0.1.0");
    DRV_COPY(ret->qemu_version, "7.2.22");
    ret->send = ret->receive = true;
    ret->slots_max = 2;
    ret->mem_free_kib = 4 << 20;
    ret->cpus = 4;
    ret->machine_ok = ret->cpu_ok = ret->accel_ok = true;
    DRV_COPY(ret->nets[0].network, "br0");
    ret->nets[0].present = true;
    ret->n_nets = 1;
    store(ret, "vms", "smb://fs.example.lan/VM");
    if (!source)
        store(ret, "fast", "local:/srv/vm");
    DRV_COPY(ret->arbiter_url, plan->arbiter_url);
    ret->arbiter_ok = true;
    DRV_COPY(ret->addrs[0], source ? "10.0.1.1" : "10.0.1.2");
    DRV_COPY(ret->subnets[0], "10.0.1.0/24");
    ret->n_addrs = 1;
    for (unsigned i = 0; i < plan->n_disks; i++) {
        struct mv_disk_fact *d = &ret->disks[ret->n_disks++];
        DRV_COPY(d->id, plan->disks[i].id);
        d->accessible = source || !plan->disks[i].moves;
        d->virtual_bytes = plan->disks[i].virtual_bytes;
        d->allocated_bytes = 1 << 20;
    }
    ret->vm_known = source;
    if (!source)
        return;
    DRV_COPY(ret->vm_state, "running");
    DRV_COPY(ret->vm_qemu_version, "7.2.22");
    ret->record_ours = true;
    ret->stores[0].user_asked = ret->stores[0].user_may = true;
}
