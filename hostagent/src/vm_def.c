// SPDX-License-Identifier: GPL-3.0-or-later
// A new VM's definition: what the user asked for, completed with what suits this host and survives
// a move. Touches no store.
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "notices.h"
#include "qemu_args.h"
#include "vm_create.h"

// --- machine, accelerator, CPU ---

// The newest versioned q35: it stays the same machine on a newer QEMU.
static int newest_machine(const struct ha_probe *p, char *ret, size_t size, struct drv_err *err)
{
    unsigned best = 0;
    for (unsigned i = 0; i < p->n_machines; i++) {
        unsigned major, minor;
        char end;
        if (sscanf(p->machines[i], "pc-q35-%u.%u%c", &major, &minor, &end) != 2 ||
            major * 1000 + minor <= best)
            continue;
        best = major * 1000 + minor;
        drv_copy(ret, size, p->machines[i]);
    }
    if (!best)
        return drv_err(err, DRV_ENOTFOUND, "this host's QEMU has no machine type pc-q35-…");
    return 0;
}

static int choose_machine(const struct ha_probe *p, const char *wanted, struct ss_vmdef *d,
                          struct drv_err *err)
{
    if (!wanted[0])
        return newest_machine(p, d->machine, sizeof d->machine, err);
    DRV_COPY(d->machine, wanted);
    if (ha_probe_has_machine(p, wanted))
        return 0;
    char newest[HA_PROBE_NAME] = "pc-q35-…";
    struct drv_err ignored = DRV_ERR_INIT;
    newest_machine(p, newest, sizeof newest, &ignored);
    drv_err(err, DRV_EINVAL, "this host's QEMU has no machine type %s", wanted);
    drv_err_id(err, "V03");
    return drv_err_hint(err, "the newest here is %s", newest);
}

static int choose_accel(const struct ha_probe *p, const char *wanted, struct ss_vmdef *d,
                        json_t *notices, struct drv_err *err)
{
    DRV_COPY(d->accel, wanted[0] ? wanted : p->kvm ? "kvm" : "tcg");
    if (!strcmp(d->accel, "kvm") && !p->kvm) {
        drv_err(err, DRV_EINVAL, "KVM does not work on this host: %s", p->kvm_note);
        drv_err_id(err, "V05");
        return drv_err_hint(err, "--accel tcg emulates the processor: slow, but it works");
    }
    if (!wanted[0] && !p->kvm)
        ha_notice(notices, "the processor is emulated (tcg), which is slow: %s", p->kvm_note);
    return 0;
}

// A name without a version is another processor with each machine type, but for the fixed aliases.
static void put_version(const struct ha_probe *p, const char *wanted, struct ss_vmdef *d,
                        json_t *notices)
{
    char versioned[sizeof d->cpu_model];
    DRV_COPY(d->cpu_model, wanted);
    if (snprintf(versioned, sizeof versioned, "%s-v1", wanted) >= (int)sizeof versioned ||
        !ha_probe_has_cpu(p, d->accel, versioned))
        return;
    DRV_COPY(d->cpu_model, versioned);
    ha_notice(notices, "CPU model %s: %s says which version", versioned, wanted);
}

static int take_cpu(const struct ha_probe *p, const char *wanted, struct ss_vmdef *d,
                    json_t *notices, struct drv_err *err)
{
    if (!ha_cpu_moves(wanted)) {
        drv_err(err, DRV_EINVAL,
                "CPU model %s is another processor on each host: the VM could not move", wanted);
        drv_err_id(err, "V04");
        return drv_err_hint(err, "leave --cpu out: the best model that all hosts have is taken");
    }
    if (ha_probe_has_cpu(p, d->accel, wanted)) {
        put_version(p, wanted, d, notices);
        return 0;
    }
    drv_err(err, DRV_EINVAL, "CPU model %s is not usable here with %s", wanted, d->accel);
    drv_err_id(err, "V04");
    return drv_err_hint(err, "`drover --json host list --cpu` tells each host's models");
}

static void say_who_counted(const struct ha_cpu_hosts *others, const struct ss_vmdef *d,
                            json_t *notices)
{
    unsigned asked = 0;
    for (unsigned i = 0; i < others->n; i++) {
        const struct ha_cpu_host *h = &others->list[i];
        if (!h->models)
            ha_notice(notices,
                      "%s did not answer: whether it can run CPU model %s is not known: %s",
                      h->fqdn, d->cpu_model, h->error);
        else if (json_array_size(json_object_get(h->models, d->accel)) == 0)
            ha_notice(notices, "%s has no %s: this VM cannot move there", h->fqdn, d->accel);
        else
            asked++;
    }
    if (others->error[0])
        ha_notice(notices, "CPU model %s: the best of this host alone, as others are not known: %s",
                  d->cpu_model, others->error);
    else
        ha_notice(notices, "CPU model %s: the best that this host and %u other%s can run",
                  d->cpu_model, asked, asked == 1 ? "" : "s");
}

static int choose_cpu(const struct ha_probe *p, const struct ha_cpu_hosts *others,
                      const char *wanted, struct ss_vmdef *d, json_t *notices, struct drv_err *err)
{
    if (wanted[0])
        return take_cpu(p, wanted, d, notices, err);
    const char *best = ha_cpu_best(p, others, d->accel);
    if (!best) {
        drv_err(err, DRV_ENOTFOUND, "no CPU model is known to run on all hosts with %s", d->accel);
        drv_err_id(err, "V04");
        return drv_err_hint(err,
                            "choose one with --cpu: `drover --json host list --cpu` tells each "
                            "host's models");
    }
    DRV_COPY(d->cpu_model, best);
    say_who_counted(others, d, notices);
    return 0;
}

// --- devices ---

static void random_mac(char ret[18])
{
    unsigned char b[3] = {0};
    if (getrandom(b, sizeof b, 0) != sizeof b)
        abort(); // never short for so few bytes
    snprintf(ret, 18, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
}

// wanted, if it is free, or "" for the first of "disk0", "disk1", … that no device has.
static int choose_id(const struct ss_vmdef *d, const char *kind, const char *wanted,
                     char ret[SS_NAME_MAX], struct drv_err *err)
{
    if (ss_vmdef_has_device(d, wanted))
        return drv_err(err, DRV_EEXIST, "VM %s has a device \"%s\" already", d->name, wanted);
    drv_copy(ret, SS_NAME_MAX, wanted);
    for (unsigned n = 0; !*ret || ss_vmdef_has_device(d, ret); n++)
        snprintf(ret, SS_NAME_MAX, "%s%u", kind, n);
    return 0;
}

static int add_nic(const struct ha_new_nic *want, struct ss_vmdef *d, json_t *notices,
                   struct drv_err *err)
{
    struct ss_nic nic = {.pci_slot = 0};
    if (d->n_nics == SS_MAX_NICS)
        return drv_err(err, DRV_EINVAL, "a VM has at most %d network cards", SS_MAX_NICS);
    if (choose_id(d, "nic", want->id, nic.id, err) < 0)
        return -1;
    DRV_COPY(nic.network, want->network);
    DRV_COPY(nic.model, want->model[0] ? want->model : "virtio-net-pci");
    DRV_COPY(nic.mac, want->mac);
    for (char *c = nic.mac; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (!nic.mac[0])
        random_mac(nic.mac);
    if (!if_nametoindex(nic.network))
        ha_notice(notices, "this host has no bridge %s yet", nic.network);
    d->nics[d->n_nics++] = nic;
    return 0;
}

static int add_cdrom(const struct ha_new_cdrom *want, struct ss_vmdef *d, struct drv_err *err)
{
    struct ss_cdrom drive = {.id = ""};
    if (d->n_cdroms == SS_MAX_CDROMS)
        return drv_err(err, DRV_EINVAL, "a VM has at most %d CD-ROM drives", SS_MAX_CDROMS);
    if (choose_id(d, "cd", want->id, drive.id, err) < 0)
        return -1;
    DRV_COPY(drive.store, want->store);
    DRV_COPY(drive.path, want->path);
    d->cdroms[d->n_cdroms++] = drive;
    return 0;
}

static int add_disk(const struct ha_new_disk *want, const struct ha_create_spec *spec,
                    struct ss_vmdef *d, struct drv_err *err)
{
    const char *folder = spec->folder[0] ? spec->folder : d->name;
    struct ss_disk disk = {.bus = SS_BUS_VIRTIO, .cache = SS_CACHE_NONE};
    char uuid[DRV_UUID_LEN];
    if (d->n_disks == SS_MAX_DISKS)
        return drv_err(err, DRV_EINVAL, "a VM has at most %d disks", SS_MAX_DISKS);
    if (choose_id(d, "disk", want->id, disk.id, err) < 0)
        return -1;
    DRV_COPY(disk.store, want->store[0] ? want->store : spec->store);
    disk.format = want->format_set ? want->format : SS_QCOW2;
    drv_uuid_new(uuid);
    snprintf(disk.serial, sizeof disk.serial, "%.8s%.4s%.4s", uuid, uuid + 9, uuid + 14);
    if (snprintf(disk.path, sizeof disk.path, "%s/%s.%s", folder, disk.id,
                 ss_format_name(disk.format)) >= (int)sizeof disk.path)
        return drv_err(err, DRV_EINVAL, "the name %s is too long", folder);
    d->disks[d->n_disks++] = disk;
    return 0;
}

// UEFI's variables lie beside the first disk and go wherever it goes: one more disk to all but the
// guest. Raw, of the size that QEMU's flash has.
static int add_nvram(const struct ha_create_spec *spec, struct ss_vmdef *d, struct drv_err *err)
{
    struct ss_disk disk = {.format = SS_RAW, .bus = SS_BUS_SATA, .cache = SS_CACHE_NONE};
    if (!spec->uefi)
        return 0;
    if (d->n_disks == SS_MAX_DISKS)
        return drv_err(err, DRV_EINVAL, "a UEFI VM has at most %d disks", SS_MAX_DISKS - 1);
    DRV_COPY(disk.id, "nvram");
    DRV_COPY(disk.store, d->n_disks ? d->disks[0].store : spec->store);
    if (snprintf(disk.path, sizeof disk.path, "%s/nvram.raw", d->name) >= (int)sizeof disk.path)
        return drv_err(err, DRV_EINVAL, "the name %s is too long", d->name);
    d->firmware = SS_FW_UEFI;
    d->disks[d->n_disks++] = disk;
    return 0;
}

// The codec knows all rules of a definition: let it judge, as it will when the file is read again.
static int judge(struct ss_vmdef *d, struct drv_err *err)
{
    DRV_AUTO_FREE char *text = ss_vmdef_format(d);
    return ss_vmdef_parse(text, strlen(text), d, err);
}

int ha_add_devices(const struct ha_create_spec *spec, struct ss_vmdef *def, json_t *notices,
                   struct drv_err *err)
{
    for (unsigned i = 0; i < spec->n_disks; i++) {
        if (add_disk(&spec->disks[i], spec, def, err) < 0)
            return -1;
        if (spec->windows)
            def->disks[def->n_disks - 1].bus = SS_BUS_SATA;
    }
    for (unsigned i = 0; i < spec->n_nics; i++) {
        if (add_nic(&spec->nics[i], def, notices, err) < 0)
            return -1;
        if (spec->windows && !spec->nics[i].model[0])
            DRV_COPY(def->nics[def->n_nics - 1].model, "e1000e");
    }
    for (unsigned i = 0; i < spec->n_cdroms; i++)
        if (add_cdrom(&spec->cdroms[i], def, err) < 0)
            return -1;
    return ha_vmdef_place(def, err) < 0 ? -1 : judge(def, err);
}

int ha_create_def(const struct ha_probe *probe, const struct ha_cpu_hosts *others,
                  const struct ha_create_spec *spec, struct ss_vmdef *ret, json_t *notices,
                  struct drv_err *err)
{
    struct ss_vmdef *d = ret;
    char note[300];
    memset(d, 0, sizeof *d);
    drv_uuid_new(d->uuid);
    DRV_COPY(d->name, spec->name);
    if (choose_machine(probe, spec->machine, d, err) < 0 ||
        choose_accel(probe, spec->accel, d, notices, err) < 0 ||
        choose_cpu(probe, others, spec->cpu, d, notices, err) < 0)
        return -1;
    d->vcpus = spec->vcpus;
    d->memory_kib = ha_memory_fit_kib(spec->memory_kib, !strcmp(d->accel, "tcg"),
                                      probe->qemu_version, note, sizeof note);
    if (note[0])
        ha_notice(notices, "%s", note);
    DRV_COPY(d->graphics, spec->graphics[0] ? spec->graphics : "vnc");
    DRV_COPY(d->on_host_shutdown, "stop");
    d->pvpanic = true;
    d->start_order = SS_START_ORDER;
    d->shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
    DRV_COPY(d->notes, spec->notes);
    d->rtc_localtime = d->hyperv = spec->windows;
    if (spec->windows && spec->n_disks > HA_SATA_DISKS)
        return drv_err(err, DRV_EINVAL, "a Windows VM begins with at most %d disks", HA_SATA_DISKS);
    if (ha_add_devices(spec, d, notices, err) < 0 || add_nvram(spec, d, err) < 0)
        return -1;
    return judge(d, err);
}
