// SPDX-License-Identifier: GPL-3.0-or-later
// QEMU's command line: see qemu_args.h.
//
// Whatever the guest can see is written out, not left to defaults that depend on the backend: block
// sizes, write cache, PCI addresses, CPU topology. Otherwise a disk that moves from an NBD socket
// to a local file would change under a running guest.
#include "qemu_args.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "argv.h"
#include "blockdev.h"

enum { DEFAULT_RECONNECT_S = 60, FIRST_CD_PORT = 4, FIRST_FREE_SLOT = 2 };

static bool is_nvram(const struct ss_disk *d)
{
    return !strcmp(d->id, "nvram");
}

static bool has_scsi(const struct ss_vmdef *def)
{
    for (unsigned i = 0; i < def->n_disks; i++)
        if (def->disks[i].bus == SS_BUS_SCSI && !is_nvram(&def->disks[i]))
            return true;
    return false;
}

static bool has_video(const struct ss_vmdef *def)
{
    return !strcmp(def->graphics, "vnc");
}

// --- PCI slots ---

static uint32_t own_slots(const struct ss_vmdef *def)
{
    uint32_t used = 1U << 0 | 1U << 31; // host bridge; ICH9 (LPC, AHCI, SMBus)
    if (has_video(def))
        used |= 1U << HA_SLOT_VIDEO | 1U << HA_SLOT_USB;
    if (has_scsi(def))
        used |= 1U << HA_SLOT_SCSI;
    return used;
}

static int claim(uint32_t *used, unsigned slot, const char *id, struct drv_err *err)
{
    if (slot > 31 || (*used & 1U << slot))
        return drv_err(err, DRV_EINVAL, "%s: PCI slot %u is taken or does not exist", id, slot);
    *used |= 1U << slot;
    return 0;
}

static int check_slots(const struct ss_vmdef *def, struct drv_err *err)
{
    uint32_t used = own_slots(def);
    for (unsigned i = 0; i < def->n_disks; i++) {
        const struct ss_disk *d = &def->disks[i];
        if (d->bus == SS_BUS_VIRTIO && !is_nvram(d) && claim(&used, d->pci_slot, d->id, err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < def->n_nics; i++)
        if (claim(&used, def->nics[i].pci_slot, def->nics[i].id, err) < 0)
            return -1;
    return 0;
}

static int place(uint32_t *used, unsigned *slot, const char *id, struct drv_err *err)
{
    // Slots that drover may want for itself later are given away last of all, that is never.
    for (unsigned s = FIRST_FREE_SLOT; *slot == 0 && s < HA_SLOT_SCSI; s++)
        if (!(*used & 1U << s)) {
            *used |= 1U << s;
            *slot = s;
        }
    return *slot ? 0 : drv_err(err, DRV_EINVAL, "%s: no free PCI slot", id);
}

int ha_vmdef_place(struct ss_vmdef *def, struct drv_err *err)
{
    uint32_t used = own_slots(def);
    for (unsigned i = 0; i < def->n_disks; i++)
        used |= 1U << (def->disks[i].pci_slot & 31);
    for (unsigned i = 0; i < def->n_nics; i++)
        used |= 1U << (def->nics[i].pci_slot & 31);
    for (unsigned i = 0; i < def->n_disks; i++) {
        struct ss_disk *d = &def->disks[i];
        if (d->bus == SS_BUS_VIRTIO && !is_nvram(d) && place(&used, &d->pci_slot, d->id, err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < def->n_nics; i++)
        if (place(&used, &def->nics[i].pci_slot, def->nics[i].id, err) < 0)
            return -1;
    return 0;
}

// --- block nodes ---

static void add_blockdev(struct ha_argv *a, json_t *node)
{
    DRV_AUTO_JSON json_t *owned = node;
    DRV_AUTO_FREE char *text = json_dumps(owned, JSON_COMPACT);
    ha_argv_add(a, "-blockdev");
    ha_argv_add(a, "%s", text ? text : "");
}

static int add_nodes(struct ha_argv *a, const char *id, const char *format, bool direct,
                     bool read_only, const struct ha_disk_rt *where, const struct ha_qemu_rt *rt,
                     struct drv_err *err)
{
    char file[HA_NODE_MAX];
    if (ha_blockdev_file_node(id, file) < 0)
        return drv_err(err, DRV_EINVAL, "%s: id too long for QEMU", id);
    if (!where->nbd_path == !where->filename)
        return drv_err(err, DRV_EINTERNAL, "%s: neither or both of socket and file", id);
    unsigned reconnect = rt->nbd_reconnect_s ? rt->nbd_reconnect_s : DEFAULT_RECONNECT_S;
    add_blockdev(a, where->nbd_path ? ha_blockdev_store(file, where->nbd_path, where->export_name,
                                                        reconnect, direct, read_only)
                                    : ha_blockdev_file(file, where->filename, direct, read_only));
    add_blockdev(a, ha_blockdev_format(id, format, file, direct, read_only));
    return 0;
}

// --- devices ---

// What a disk is to the guest, the same on every backend. The guest stops at an I/O error: its
// requests are kept and go again when it continues.
#define DISK_PROPERTIES                                                                            \
    "backend_defaults=off,logical_block_size=512,physical_block_size=512,share-rw=off,"            \
    "write-cache=on,werror=stop,rerror=stop"

static int add_disk_device(struct ha_argv *a, const struct ss_disk *d, unsigned order,
                           unsigned bootindex, struct drv_err *err)
{
    ha_argv_add(a, "-device");
    switch (d->bus) {
    case SS_BUS_VIRTIO:
        ha_argv_add(a, "virtio-blk-pci,id=dev-%s,bus=pcie.0,addr=0x%x,drive=%s", d->id, d->pci_slot,
                    d->id);
        break;
    case SS_BUS_SATA:
        if (order >= HA_SATA_DISKS)
            return drv_err(err, DRV_EINVAL, "%s: more than %d SATA disks", d->id, HA_SATA_DISKS);
        ha_argv_add(a, "ide-hd,id=dev-%s,bus=ide.%u,drive=%s", d->id, order, d->id);
        break;
    case SS_BUS_SCSI:
        ha_argv_add(a, "scsi-hd,id=dev-%s,bus=scsi0.0,channel=0,scsi-id=%u,lun=0,drive=%s", d->id,
                    order, d->id);
        break;
    case SS_BUS_MAX_:
    default:
        return drv_err(err, DRV_EINTERNAL, "%s: unknown bus", d->id);
    }
    if (d->serial[0])
        ha_argv_append(a, ",serial=%s", d->serial);
    ha_argv_append(a, ",bootindex=%u,%s", bootindex, DISK_PROPERTIES);
    return 0;
}

static int add_disks(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt,
                     struct drv_err *err)
{
    unsigned order[SS_BUS_MAX_] = {0}, bootindex = 1;
    if (has_scsi(def)) {
        ha_argv_add(a, "-device");
        ha_argv_add(a, "virtio-scsi-pci,id=scsi0,bus=pcie.0,addr=0x%x", HA_SLOT_SCSI);
    }
    for (unsigned i = 0; i < def->n_disks; i++) {
        const struct ss_disk *d = &def->disks[i];
        if (add_nodes(a, d->id, ss_format_name(d->format), d->cache == SS_CACHE_NONE, false,
                      &rt->disks[i], rt, err) < 0)
            return -1;
        if (is_nvram(d) || d->bus >= SS_BUS_MAX_)
            continue;
        if (add_disk_device(a, d, order[d->bus]++, bootindex++, err) < 0)
            return -1;
    }
    return 0;
}

static int add_cdroms(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt,
                      struct drv_err *err)
{
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        const struct ss_cdrom *c = &def->cdroms[i];
        const struct ha_disk_rt *where = &rt->cdroms[i];
        bool disc = where->nbd_path || where->filename;
        if (disc && add_nodes(a, c->id, "raw", false, true, where, rt, err) < 0)
            return -1;
        ha_argv_add(a, "-device");
        ha_argv_add(a, "ide-cd,id=dev-%s,bus=ide.%u,bootindex=%u", c->id, FIRST_CD_PORT + i,
                    SS_MAX_DISKS + 1 + i);
        if (disc)
            ha_argv_append(a, ",drive=%s", c->id);
    }
    return 0;
}

static void add_nics(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt)
{
    for (unsigned i = 0; i < def->n_nics; i++) {
        const struct ss_nic *n = &def->nics[i];
        ha_argv_add(a, "-netdev");
        ha_argv_add(a, "tap,id=net-%s,fd=%d,vhost=off", n->id, rt->tap_fds[i]);
        // No option ROM: it differs between hosts' packages, and memory blocks of unequal size end
        // a migration.
        ha_argv_add(a, "-device");
        ha_argv_add(a, "%s,id=dev-%s,netdev=net-%s,mac=%s,bus=pcie.0,addr=0x%x,romfile=", n->model,
                    n->id, n->id, n->mac, n->pci_slot);
    }
}

// --- the machine ---

static int add_machine(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt,
                       struct drv_err *err)
{
    if (strncmp(def->machine, "pc-q35-", 7) != 0)
        return drv_err(err, DRV_EINVAL, "machine type %s: only versioned pc-q35 types are built",
                       def->machine);
    ha_argv_add(a, "-machine");
    ha_argv_add(a, "%s,accel=%s,usb=off,dump-guest-core=off", def->machine, def->accel);
    if (def->firmware == SS_FW_UEFI) {
        if (!ss_vmdef_disk(def, "nvram"))
            return drv_err(err, DRV_EINVAL, "a UEFI machine needs a disk with the id nvram");
        ha_argv_append(a, ",pflash0=uefi-code,pflash1=nvram");
        add_blockdev(a, ha_blockdev_file("uefi-code", rt->uefi_code ? rt->uefi_code : HA_UEFI_CODE,
                                         false, true));
    }
    // enforce: a host that lacks a feature of the model refuses, instead of giving the guest less.
    ha_argv_add(a, "-cpu");
    ha_argv_add(a, "%s,enforce", def->cpu_model);
    // Windows runs its clock and interrupts by these; all of them migrate. QEMU has them with KVM
    // alone.
    if (def->hyperv && !strcmp(def->accel, "kvm"))
        ha_argv_append(a, ",hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vpindex=on,"
                          "hv-runtime=on,hv-time=on,hv-synic=on,hv-stimer=on,hv-frequencies=on");
    ha_argv_add(a, "-smp");
    ha_argv_add(a, "cpus=%u,sockets=1,cores=%u,threads=1", def->vcpus, def->vcpus);
    ha_argv_add(a, "-m");
    ha_argv_add(a, "%lluK", (unsigned long long)def->memory_kib);
    ha_argv_add(a, "-uuid");
    ha_argv_add(a, "%s", def->uuid);
    ha_argv_add(a, "-rtc");
    ha_argv_add(a, "base=%s,driftfix=slew", def->rtc_localtime ? "localtime" : "utc");
    // A guest that crashes goes on as its system wants it: a dump, a reboot. It is only told of.
    ha_argv_add(a, "-action");
    ha_argv_add(a, "panic=none");
    if (def->pvpanic) {
        ha_argv_add(a, "-device");
        ha_argv_add(a, "pvpanic,id=dev-panic0,ioport=0x505,events=3");
    }
    return 0;
}

static int add_monitor(struct ha_argv *a, const struct ha_qemu_rt *rt, const char *id,
                       const char *sock, struct drv_err *err)
{
    char path[HA_SOCK_MAX];
    if (ha_sock_path(rt->sock_dir, sock, path, err) < 0)
        return -1;
    ha_argv_add(a, "-chardev");
    ha_argv_add(a, "socket,id=%s,path=%s,server=on,wait=off", id, path);
    ha_argv_add(a, "-mon");
    ha_argv_add(a, "chardev=%s,mode=control", id);
    return 0;
}

static int add_consoles(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt,
                        struct drv_err *err)
{
    char path[HA_SOCK_MAX];
    if (ha_sock_path(rt->sock_dir, HA_SOCK_SERIAL, path, err) < 0)
        return -1;
    ha_argv_add(a, "-chardev");
    ha_argv_add(a, "socket,id=serial0,path=%s,server=on,wait=off", path);
    if (rt->serial_log)
        ha_argv_append(a, ",logfile=%s", rt->serial_log);
    ha_argv_add(a, "-device");
    ha_argv_add(a, "isa-serial,id=dev-serial0,chardev=serial0");
    if (!has_video(def)) {
        ha_argv_add(a, "-display");
        ha_argv_add(a, "none");
        return 0;
    }
    if (ha_sock_path(rt->sock_dir, HA_SOCK_VNC, path, err) < 0)
        return -1;
    ha_argv_add(a, "-vnc");
    ha_argv_add(a, "unix:%s", path);
    ha_argv_add(a, "-device");
    ha_argv_add(a, "VGA,id=video0,bus=pcie.0,addr=0x%x", HA_SLOT_VIDEO);
    ha_argv_add(a, "-device");
    ha_argv_add(a, "qemu-xhci,id=usb0,bus=pcie.0,addr=0x%x", HA_SLOT_USB);
    ha_argv_add(a, "-device");
    ha_argv_add(a, "usb-tablet,id=tablet0,bus=usb0.0,port=1");
    return 0;
}

static int add_process(struct ha_argv *a, const struct ss_vmdef *def, const struct ha_qemu_rt *rt,
                       struct drv_err *err)
{
    char pidfile[HA_SOCK_MAX];
    if (ha_sock_path(rt->sock_dir, HA_PIDFILE, pidfile, err) < 0)
        return -1;
    ha_argv_add(a, "-name");
    ha_argv_add(a, "guest=%s,debug-threads=on", def->name);
    ha_argv_add(a, "-nodefaults");
    ha_argv_add(a, "-no-user-config");
    ha_argv_add(a, "-sandbox");
    ha_argv_add(a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    ha_argv_add(a, "-msg");
    ha_argv_add(a, "timestamp=on");
    ha_argv_add(a, "-pidfile");
    ha_argv_add(a, "%s", pidfile);
    ha_argv_add(a, "-S");
    if (rt->incoming) {
        ha_argv_add(a, "-incoming");
        ha_argv_add(a, "defer");
    }
    return 0;
}

int ha_qemu_args(const struct ss_vmdef *def, const struct ha_qemu_rt *rt, struct ha_argv *ret,
                 struct drv_err *err)
{
    struct ha_argv a = {.v = NULL};
    ha_argv_add(&a, "%s", rt->emulator ? rt->emulator : "qemu-system-x86_64");
    if (check_slots(def, err) < 0 || add_process(&a, def, rt, err) < 0 ||
        add_machine(&a, def, rt, err) < 0 || add_monitor(&a, rt, "mon0", HA_SOCK_QMP, err) < 0 ||
        add_monitor(&a, rt, "mon1", HA_SOCK_QMP2, err) < 0 || add_consoles(&a, def, rt, err) < 0 ||
        add_disks(&a, def, rt, err) < 0 || add_cdroms(&a, def, rt, err) < 0) {
        ha_argv_done(&a);
        *ret = a;
        return -1;
    }
    add_nics(&a, def, rt);
    *ret = a;
    return 0;
}

int ha_sock_path(const char *sock_dir, const char *name, char out[HA_SOCK_MAX], struct drv_err *err)
{
    int n = snprintf(out, HA_SOCK_MAX, "%s/%s", sock_dir, name);
    if (n < 0 || n >= HA_SOCK_MAX)
        return drv_err(err, DRV_EINVAL, "%s/%s: longer than %d bytes", sock_dir, name,
                       HA_SOCK_MAX - 1);
    if (strchr(out, ','))
        return drv_err(err, DRV_EINVAL, "%s: a comma in a path that QEMU must parse", out);
    return 0;
}

uint64_t ha_memory_fit_kib(uint64_t kib, bool tcg, unsigned qemu_version, char *note,
                           size_t note_size)
{
    enum { LEAST_KIB = 16 * 1024, PAGE_KIB = 4, BAD_KIB = 256, STEP_KIB = 8, FIXED_IN = 90000 };
    if (note_size)
        note[0] = '\0';
    uint64_t fit = kib < LEAST_KIB ? LEAST_KIB : kib / PAGE_KIB * PAGE_KIB;
    if (tcg && qemu_version < FIXED_IN && fit % BAD_KIB == 0) {
        fit += STEP_KIB;
        if (note_size)
            snprintf(note, note_size,
                     "%llu KiB instead of %llu: before version 9.0, QEMU without KVM can lose "
                     "memory writes during a move when the size is a multiple of 256 KiB",
                     (unsigned long long)fit, (unsigned long long)kib);
    }
    return fit;
}
