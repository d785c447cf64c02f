// SPDX-License-Identifier: GPL-3.0-or-later
// The preflight rules: facts of both hosts in, findings out. Pure. Each rule is one function that
// adds its finding or says that the check passed; none stops at another's error, so that a person
// sees all that is wrong at once.
#include "drover/facts.h"

#include <stdlib.h>
#include <string.h>

enum { MEM_RESERVE_KIB = 128 * 1024 };

struct scene {
    const struct mv_plan *plan; // NULL: two hosts, no VM
    const struct mv_facts *src, *dst;
    const char *arbiter_url; // where the VM's record is
    bool encrypt;
    int64_t skew_ms;
    struct drv_findings *out;
};

static bool between_hosts(const struct scene *s)
{
    return !s->plan || !mv_plan_is_storage(s->plan);
}

static void passed(struct scene *s, const char *id, const char *host, const char *text)
{
    drv_finding_add_as(s->out, DRV_SEV_OK, id, host, "%s", text);
}

static const struct mv_store_fact *store_fact(const struct mv_facts *f, const char *name)
{
    for (unsigned i = 0; i < f->n_stores; i++)
        if (!strcmp(f->stores[i].name, name))
            return &f->stores[i];
    return NULL;
}

static const struct mv_disk_fact *disk_fact(const struct mv_facts *f, const char *id)
{
    for (unsigned i = 0; i < f->n_disks; i++)
        if (!strcmp(f->disks[i].id, id))
            return &f->disks[i];
    return NULL;
}

// --- the source and its VM ---

static void vm_state(struct scene *s)
{
    const struct mv_facts *f = s->src;
    const char *vm = s->plan->def.name;
    if (!f->vm_state[0]) {
        drv_finding_add(s->out, "G03", f->host, "VM %s is not running on %s", vm, f->host);
        drv_finding_fix(s->out, "drover vm start %s", vm);
    } else if (strcmp(f->vm_state, "running") != 0) {
        drv_finding_add(s->out, "G02", f->host, "VM %s is %s", vm, f->vm_state);
        drv_finding_fix(s->out, "drover vm start %s", vm);
    }
    if (f->other_move[0])
        drv_finding_add(s->out, "G04", f->host, "VM %s is being moved already (%s)", vm,
                        f->other_move);
    if (f->host_device[0])
        drv_finding_add(s->out, "G01", f->host, "VM %s uses the host device %s", vm,
                        f->host_device);
    if (between_hosts(s) && f->displays)
        drv_finding_add(s->out, "G05", f->host,
                        "%u open display%s of VM %s will be cut: its display will be on %s",
                        f->displays, f->displays == 1 ? "" : "s", vm, s->plan->to);
    if (f->vm_state[0] && !f->record_ours)
        drv_finding_add(s->out, "S07", f->host,
                        "the owner record of %s does not name this host: %s", vm, f->record_error);
}

static void ram_size(struct scene *s)
{
    const struct ss_vmdef *def = &s->plan->def;
    int major = atoi(s->src->vm_qemu_version);
    if (strcmp(def->accel, "tcg") != 0 || (major >= 9 && atoi(s->dst->qemu_version) >= 9) ||
        def->memory_kib % 256 != 0)
        return;
    drv_finding_add(s->out, "M02", s->src->host,
                    "VM %s has %llu KiB of RAM, a multiple of 256 KiB: QEMU before 9.0 without KVM "
                    "loses writes during a move of such a VM",
                    def->name, (unsigned long long)def->memory_kib);
}

static void source_disks(struct scene *s)
{
    for (unsigned i = 0; i < s->plan->n_disks; i++) {
        const struct mv_disk *d = &s->plan->disks[i];
        const struct mv_disk_fact *f = disk_fact(s->src, d->id);
        if (!f || !f->accessible) {
            drv_finding_add(s->out, "S04", s->src->host, "disk %s (%s:%s): %s", d->id,
                            d->from.store, d->from.path,
                            f && f->error[0] ? f->error : "cannot be read");
            continue;
        }
        if (d->moves && f->has_snapshots)
            drv_finding_add(s->out, "S08", s->src->host,
                            "disk %s has internal snapshots, which a live copy would lose", d->id);
        if (d->moves && f->has_backing)
            drv_finding_add(s->out, "S09", s->src->host,
                            "disk %s has a backing file, which a live copy would not carry", d->id);
    }
}

static void cdroms(struct scene *s)
{
    const struct ss_vmdef *def = &s->plan->def;
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        const struct ss_cdrom *c = &def->cdroms[i];
        const struct mv_store_fact *f = c->store[0] ? store_fact(s->dst, c->store) : NULL;
        if (c->store[0] && (!f || !f->is_smb || f->error[0]))
            drv_finding_add(s->out, "S13", s->dst->host,
                            "%s: the ISO image %s:%s is attached and %s cannot reach it", c->id,
                            c->store, c->path, s->dst->host);
    }
}

// --- settings and slots ---

static void slots(struct scene *s)
{
    for (int side = between_hosts(s) ? 0 : 1; side < 2; side++) {
        const struct mv_facts *f = side ? s->dst : s->src;
        if (f->slots_used < f->slots_max)
            continue;
        drv_finding_add(s->out, "R03", f->host, "%s has all %u move slots in use", f->host,
                        f->slots_max);
        if (!f->slots_max)
            drv_finding_command(s->out, f->host, "drover host set max_moves=2");
    }
}

static void settings(struct scene *s)
{
    const struct mv_facts *a = s->src, *b = s->dst;
    if (!a->send) {
        drv_finding_add(s->out, "R02", a->host, "%s is not set to send VMs", a->host);
        drv_finding_fix(s->out, "an administrator: drover -H %s host set send=on", a->host);
        drv_finding_command(s->out, a->host, "drover host set send=on");
    }
    if (!b->receive) {
        drv_finding_add(s->out, "R01", b->host, "%s is not set to receive VMs", b->host);
        drv_finding_fix(s->out, "an administrator: drover -H %s host set receive=on", b->host);
        drv_finding_command(s->out, b->host, "drover host set receive=on");
    } else {
        passed(s, "R01", b->host, "the destination receives moves");
    }
}

// --- versions, CPU, memory ---

static void versions(struct scene *s)
{
    const struct mv_facts *a = s->src, *b = s->dst;
    if (strcmp(a->version, b->version) != 0)
        drv_finding_add(s->out, "V01", b->host, "%s runs drover %s, %s runs %s", a->host,
                        a->version, b->host, b->version);
    if (!s->plan && strverscmp(b->qemu_version, a->qemu_version) < 0)
        drv_finding_add_as(s->out, DRV_SEV_WARNING, "V02", b->host,
                           "VMs that start in QEMU %s of %s cannot move to %s, which has %s",
                           a->qemu_version, a->host, b->host, b->qemu_version);
}

static void machine(struct scene *s)
{
    const struct mv_facts *b = s->dst;
    const struct ss_vmdef *def = &s->plan->def;
    if (s->src->vm_qemu_version[0] && strverscmp(b->qemu_version, s->src->vm_qemu_version) < 0)
        drv_finding_add(s->out, "V02", b->host, "the VM runs in QEMU %s; %s has only %s",
                        s->src->vm_qemu_version, b->host, b->qemu_version);
    if (!b->machine_ok)
        drv_finding_add(s->out, "V03", b->host, "%s does not know the machine type %s", b->host,
                        def->machine);
    if (!b->cpu_ok)
        drv_finding_add(s->out, "V04", b->host, "%s cannot run the CPU model %s%s%s", b->host,
                        def->cpu_model, b->cpu_missing[0] ? ": it lacks " : "", b->cpu_missing);
    if (!b->accel_ok)
        drv_finding_add(s->out, "V05", b->host, "%s has no working %s", b->host, def->accel);
    if (b->firmware_missing[0]) {
        drv_finding_add(s->out, "V07", b->host, "the VM starts by UEFI, and %s has no %s", b->host,
                        b->firmware_missing);
        drv_finding_command(s->out, b->host, "apt install ovmf");
    }
    if (b->cpus < def->vcpus)
        drv_finding_add(s->out, "V06", b->host, "the VM has %u CPUs, %s only %u", def->vcpus,
                        b->host, b->cpus);
    if (b->machine_ok && b->cpu_ok && b->accel_ok)
        passed(s, "V04", b->host, "machine type, CPU model and accelerator are available");
    if (b->mem_free_kib < def->memory_kib + MEM_RESERVE_KIB)
        drv_finding_add(s->out, "M01", b->host,
                        "the VM needs %llu MiB of RAM, %s has %llu MiB free",
                        (unsigned long long)(def->memory_kib / 1024), b->host,
                        (unsigned long long)(b->mem_free_kib / 1024));
    else
        passed(s, "M01", b->host, "enough free RAM");
}

// --- stores ---

static void one_store(struct scene *s, const char *name, const char *url)
{
    const char *host = s->dst->host;
    const struct mv_store_fact *f = store_fact(s->dst, name);
    if (!f || !f->url[0]) {
        drv_finding_add(s->out, "S01", host, "%s has no store named \"%s\"", host, name);
        drv_finding_fix(s->out, "drover -H %s store add %s URL", host, name);
    } else if (f->is_smb && url && strcmp(f->url, url) != 0) {
        drv_finding_add(s->out, "S02", host, "store \"%s\" is %s here and %s at %s", name, url,
                        f->url, host);
    } else if (f->error[0] || !f->writable) {
        drv_finding_add(s->out, "S12", host, "%s cannot write to store \"%s\": %s", host, name,
                        f->error[0] ? f->error : "no permission");
    }
}

static void space(struct scene *s, const struct mv_store_fact *f)
{
    uint64_t need = 0;
    for (unsigned i = 0; i < s->plan->n_disks; i++) {
        const struct mv_disk *d = &s->plan->disks[i];
        const struct mv_disk_fact *from = disk_fact(s->src, d->id);
        if (d->moves && !strcmp(d->to.store, f->name) && from)
            need += from->allocated_bytes;
    }
    if (need > f->free_bytes)
        drv_finding_add(s->out, "S03", s->dst->host,
                        "store \"%s\" needs %.1f MiB, has %.1f MiB free", f->name,
                        (double)need / 1048576, (double)f->free_bytes / 1048576);
    else if (need)
        passed(s, "S03", s->dst->host, "enough free space in the store");
}

static void nothing_to_do(struct scene *s)
{
    if (between_hosts(s) || mv_plan_moves_disks(s->plan))
        return;
    drv_finding_add(s->out, "S16", s->src->host, "the disks of %s lie where they shall go already",
                    s->plan->def.name);
}

static void user_at_store(struct scene *s, const struct mv_store_fact *f)
{
    if (!f->user_asked || f->user_may)
        return;
    if (!drv_finding_def(f->user_id)) {
        drv_finding_add(s->out, "A05", s->src->host, "%s may not write to store \"%s\": %s",
                        s->plan->user, f->name, f->error);
        return;
    }
    drv_finding_add(s->out, f->user_id, s->src->host, "%s at store \"%s\": %s", s->plan->user,
                    f->name, f->error);
    if (f->user_fix[0])
        drv_finding_fix(s->out, "%s", f->user_fix);
}

static void stores(struct scene *s)
{
    for (unsigned i = 0; i < s->plan->n_disks; i++) {
        const struct mv_disk *d = &s->plan->disks[i];
        bool seen = false;
        for (unsigned k = 0; k < i && !seen; k++)
            seen = !strcmp(s->plan->disks[k].to.store, d->to.store);
        if (!seen)
            one_store(s, d->to.store, d->to_url[0] ? d->to_url : NULL);
        const struct mv_store_fact *f = store_fact(s->dst, d->to.store);
        bool stays = between_hosts(s) && !d->moves && f && f->url[0] && !f->is_smb;
        if (stays) {
            drv_finding_add(s->out, "S04", s->dst->host,
                            "disk %s lies on the local store \"%s\", where only %s reaches it",
                            d->id, d->from.store, s->src->host);
            drv_finding_fix(s->out, "Move the disks, too: drover move %s --to %s --storage STORE",
                            s->plan->def.name, s->dst->host);
        }
        const struct mv_disk_fact *df = disk_fact(s->dst, d->id);
        if (d->moves && df && df->target_exists)
            drv_finding_add(s->out, "S11", s->dst->host, "%s:%s exists already", d->to.store,
                            d->to.path);
        if (!d->moves && !stays && f && !f->error[0] && (!df || !df->accessible))
            drv_finding_add(s->out, "S04", s->dst->host, "%s cannot read disk %s: %s", s->dst->host,
                            d->id, df ? df->error : "no answer");
        if (!d->moves && df && df->accessible && df->virtual_bytes != d->virtual_bytes)
            drv_finding_add(s->out, "S10", s->dst->host,
                            "disk %s is %llu bytes at the source and %llu at %s", d->id,
                            (unsigned long long)d->virtual_bytes,
                            (unsigned long long)df->virtual_bytes, s->dst->host);
    }
    bool home_seen = false;
    for (unsigned i = 0; i < s->plan->n_disks; i++)
        home_seen = home_seen || !strcmp(s->plan->disks[i].to.store, s->plan->to_home_store);
    if (!home_seen)
        one_store(s, s->plan->to_home_store, NULL);
    for (unsigned i = 0; i < s->dst->n_stores; i++)
        space(s, &s->dst->stores[i]);
    for (unsigned i = 0; i < s->src->n_stores; i++)
        user_at_store(s, &s->src->stores[i]);
}

static void file_rights(struct scene *s)
{
    if (s->src->by_permit)
        drv_finding_add(
            s->out, "S24", s->src->host,
            "with a permit nobody acts as %s at the file server: the role alone decides",
            s->plan->user);
}

static void arbiter(struct scene *s)
{
    const struct mv_facts *sides[] = {s->src, s->dst};
    for (int i = between_hosts(s) ? 0 : 1; i < 2; i++) {
        const struct mv_facts *f = sides[i];
        if (!f->arbiter_url[0])
            drv_finding_add(s->out, "S05", f->host, "%s has no arbiter set", f->host);
        else if (strcmp(f->arbiter_url, s->arbiter_url) != 0)
            drv_finding_add(s->out, "S05", f->host, "%s has the arbiter %s, %s %s", f->host,
                            f->arbiter_url, s->plan ? "the VM's record is on" : "the other host",
                            s->arbiter_url);
        else if (!f->arbiter_ok)
            drv_finding_add(s->out, "S06", f->host, "%s cannot reach the arbiter %s: %s", f->host,
                            f->arbiter_url, f->arbiter_error);
    }
}

// --- network and time ---

static void networks(struct scene *s)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < s->dst->n_nets; i++) {
        const struct mv_net_fact *n = &s->dst->nets[i];
        if (n->present)
            continue;
        missing++;
        drv_finding_add(s->out, "N01", s->dst->host, "%s has no bridge \"%s\"", s->dst->host,
                        n->network);
        drv_finding_fix(s->out, "create it there, or map it: --network %s=BRIDGE", n->network);
    }
    if (!missing && s->dst->n_nets)
        passed(s, "N01", s->dst->host, "the VM's networks exist");
    char addr[64];
    if (mv_common_network(s->src, s->dst, addr) < 0)
        drv_finding_add(s->out, "N02", s->dst->host,
                        "%s and %s have no migration network in common", s->src->host,
                        s->dst->host);
    else if (s->src->unreachable[0])
        drv_finding_add(s->out, "N03", s->src->host,
                        "%s does not reach %s on the migration network: %s", s->src->host, addr,
                        s->src->unreachable);
    else
        drv_finding_add_as(s->out, DRV_SEV_OK, "N02", s->dst->host,
                           "memory and disks go over the migration network to %s", addr);
}

static void encryption(struct scene *s)
{
    if (s->encrypt || !s->dst->encrypt)
        return;
    drv_finding_add(s->out, "N05", s->dst->host,
                    "%s would send memory and disks in clear, %s takes them encrypted only",
                    s->src->host, s->dst->host);
    drv_finding_command(s->out, s->src->host, "drover host set encrypt=on");
}

static void clock_skew(struct scene *s)
{
    long long skew = llabs(s->skew_ms);
    if (skew >= MV_SKEW_ERROR_MS)
        drv_finding_add(s->out, "T01", s->dst->host, "the clocks of %s and %s differ by %lld s",
                        s->src->host, s->dst->host, skew / 1000);
    else if (skew >= MV_SKEW_WARN_MS)
        drv_finding_add(s->out, "T02", s->dst->host, "the clocks of %s and %s differ by %lld s",
                        s->src->host, s->dst->host, skew / 1000);
}

static bool in_list(const struct mv_facts *f, const char *subnet)
{
    for (unsigned i = 0; i < f->n_addrs; i++)
        if (!strcmp(f->subnets[i], subnet))
            return true;
    return false;
}

int mv_common_network(const struct mv_facts *src, const struct mv_facts *dst, char dst_addr[64])
{
    for (unsigned i = 0; i < dst->n_addrs; i++)
        if (in_list(src, dst->subnets[i]))
            return drv_copy(dst_addr, 64, dst->addrs[i]);
    return -1;
}

// Rules about both hosts, and what each needs to make sense.
static const struct {
    void (*rule)(struct scene *s);
    bool vm;      // needs one
    bool storage; // also of a storage move
} rules[] = {
    {settings, false, false},   {slots, false, true},     {ram_size, true, false},
    {versions, false, false},   {machine, true, false},   {cdroms, true, false},
    {stores, true, true},       {arbiter, false, true},   {nothing_to_do, true, true},
    {file_rights, true, false}, {networks, false, false}, {encryption, false, false},
    {clock_skew, false, false},
};

static void run_rules(struct scene *s)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(rules); i++)
        if ((s->plan || !rules[i].vm) && (between_hosts(s) || rules[i].storage))
            rules[i].rule(s);
}

void mv_judge(const struct mv_plan *plan, const struct mv_facts *src, const struct mv_facts *dst,
              int64_t skew_ms, struct drv_findings *ret)
{
    struct scene s = {plan, src, dst, plan->arbiter_url, plan->encrypt, skew_ms, ret};
    vm_state(&s);
    source_disks(&s);
    if (dst)
        run_rules(&s);
}

void mv_judge_hosts(const struct mv_facts *src, const struct mv_facts *dst, int64_t skew_ms,
                    struct drv_findings *ret)
{
    struct scene s = {NULL, src, dst, src->arbiter_url, src->encrypt, skew_ms, ret};
    run_rules(&s);
}
