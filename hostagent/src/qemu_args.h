// SPDX-License-Identifier: GPL-3.0-or-later
// QEMU's command line from a VM's definition. What the guest can see comes from the definition
// alone, so that both hosts of a move build the same machine; what differs per host (sockets,
// descriptors, files) is struct ha_qemu_rt. Pure functions: any thread.
#ifndef HOSTAGENT_QEMU_ARGS_H
#define HOSTAGENT_QEMU_ARGS_H

#include "argv.h"
#include "drover/vmdef.h"
#include <stdbool.h>

// Where the bytes of one disk or CD-ROM are, on this host.
struct ha_disk_rt {
    const char *nbd_path;    // unix socket of its drover-store; NULL: a local file
    const char *export_name; // NULL = ""
    const char *filename; // local image; NULL with nbd_path; both NULL: CD-ROM drive without a disc
};

// The same with its texts: a socket or a file, the other is ""; both "": a drive without a disc.
struct ha_image_at {
    char nbd[172], file[SS_PATH_MAX * 2];
};

struct ha_qemu_rt {
    const char *emulator; // NULL = "qemu-system-x86_64"
    const char *sock_dir; // directory in which QEMU creates its sockets and pid file
    struct ha_disk_rt disks[SS_MAX_DISKS];   // in the order of def->disks
    struct ha_disk_rt cdroms[SS_MAX_CDROMS]; // in the order of def->cdroms
    int tap_fds[SS_MAX_NICS];                // in the order of def->nics
    bool incoming;                           // wait for migrate-incoming
    unsigned nbd_reconnect_s; // how long requests wait for a dead drover-store (0 = 60)
    const char
        *serial_log; // file in which QEMU also keeps the console's output, unbounded; NULL = none
    const char *uefi_code; // NULL = HA_UEFI_CODE
};

// UEFI as Debian's package ovmf has it: the program, and what a new VM's variables begin with. Both
// are loaded by QEMU as flash, whose size a migration fixes: only this pair is used.
#define HA_UEFI_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define HA_UEFI_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"

enum { HA_SATA_DISKS = 4 }; // of six ports; the last two are for CD-ROM drives

// Slots on pcie.0 that drover uses itself, for machines that have these devices.
enum { HA_SLOT_VIDEO = 0x01, HA_SLOT_SCSI = 0x1d, HA_SLOT_USB = 0x1e };

// Build the whole vector, [0] = emulator. The guest always starts stopped (-S): only the gate of
// rule 7 continues it. Two monitors: HA_SOCK_QMP is droverd's, HA_SOCK_QMP2 drover-store's.
// -1 DRV_EINVAL: the definition asks for something that cannot be built (slot taken twice, machine
// that is not q35, no nvram disk for UEFI …); *ret is then empty. ha_argv_done() frees it.
int ha_qemu_args(const struct ss_vmdef *def, const struct ha_qemu_rt *rt, struct ha_argv *ret,
                 struct drv_err *err);

// Give each virtio disk and NIC with pci_slot 0 a free slot on pcie.0 and keep the others. SATA and
// SCSI disks have none: their place is their order among those of their bus. -1 DRV_EINVAL: full.
int ha_vmdef_place(struct ss_vmdef *def, struct drv_err *err);

// Paths within sock_dir. Each fits struct sockaddr_un or the function returns -1 DRV_EINVAL.
enum { HA_SOCK_MAX = 108 };
int ha_sock_path(const char *sock_dir, const char *name, char out[HA_SOCK_MAX],
                 struct drv_err *err);
#define HA_SOCK_QMP "mon0.sock"  // droverd
#define HA_SOCK_QMP2 "mon1.sock" // drover-store, which stops the guest when its record is in doubt
#define HA_SOCK_SERIAL "serial.sock"
#define HA_SOCK_VNC "vnc.sock"
#define HA_PIDFILE "qemu.pid"

// The size of memory to give QEMU for a wanted one: at least 16 MiB and a multiple of 4 KiB. Before
// 9.0, QEMU under TCG loses guest writes during migration when the size is a multiple of 256 KiB:
// such a size becomes 8 KiB larger and note (may be NULL) says so; note is "" otherwise.
// qemu_version: major * 10000 + minor * 100 + micro.
uint64_t ha_memory_fit_kib(uint64_t kib, bool tcg, unsigned qemu_version, char *note,
                           size_t note_size);

#endif
