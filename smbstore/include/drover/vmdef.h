// SPDX-License-Identifier: GPL-3.0-or-later
// vm.json, schema 1: the only definition of a VM (DESIGN.md section 6). Plain data; the codec
// refuses unknown keys and wrong types by name. Loop and worker threads alike: no state.
#ifndef DROVER_VMDEF_H
#define DROVER_VMDEF_H

#include "drover/err.h"
#include "drover/util.h"
#include <stdint.h>

enum {
    SS_NAME_MAX = 64,  // VM, store, disk, network names (bytes with NUL)
    SS_PATH_MAX = 256, // path of a file within a store, '/'-separated, relative, no "..", with NUL
    SS_MAX_DISKS = 8,
    SS_MAX_CDROMS = 2,
    SS_MAX_NICS = 8,
    SS_MAX_NEXT = 16, // devices that come or go with the next start
    SS_VMDEF_MAX_BYTES = 64 * 1024,
    SS_START_ORDER = 1000, // defaults of new VMs, and where vm.json does not say
    SS_SHUTDOWN_TIMEOUT_S = 120,
};

#define SS_DISK_MAX_BYTES (UINT64_C(1) << 46) // 64 TiB

enum ss_format { SS_RAW, SS_QCOW2, SS_FORMAT_MAX_ };
enum ss_bus { SS_BUS_VIRTIO, SS_BUS_SATA, SS_BUS_SCSI, SS_BUS_MAX_ };
enum ss_cache { SS_CACHE_NONE, SS_CACHE_WRITEBACK, SS_CACHE_MAX_ };
enum ss_firmware { SS_FW_BIOS, SS_FW_UEFI, SS_FW_MAX_ };

struct ss_disk {
    char id[SS_NAME_MAX];    // "disk0": QEMU node name; unique in the VM. NVRAM is a disk with id
                             // "nvram".
    char store[SS_NAME_MAX]; // store name as both hosts know it
    char path[SS_PATH_MAX];  // within the store, e.g. "web01/disk0.qcow2"
    enum ss_format format;
    enum ss_bus bus;
    unsigned pci_slot; // virtio: device number 1..30 on pcie.0, stored so that removing a disk
                       // never shifts others; 0 for the other buses and for NVRAM
    char serial[21];   // what the guest sees
    enum ss_cache cache;
};

struct ss_cdrom {
    char id[SS_NAME_MAX];
    char store[SS_NAME_MAX]; // "" = empty drive
    char path[SS_PATH_MAX];
};

struct ss_nic {
    char id[SS_NAME_MAX];
    char mac[18];
    char network[SS_NAME_MAX]; // bridge name on the host
    char model[24];            // "virtio-net-pci", "e1000e"
    unsigned pci_slot;         // as a disk's, shared numbering
};

enum ss_next_change {
    SS_NEXT_REMOVE,
    SS_NEXT_ADD_DISK,
    SS_NEXT_ADD_NIC,
    SS_NEXT_ADD_CDROM,
    SS_NEXT_CHANGE_MAX_
};

// A device that comes or goes with the VM's next start.
struct ss_next_device {
    char id[SS_NAME_MAX]; // that it has, or will have
    enum ss_next_change change;
    char store[SS_NAME_MAX]; // of a disk: "" = where the VM's home is then; of a drive: as ss_cdrom
    uint64_t size_bytes;     // of a disk, which is made then
    enum ss_format format;
    char path[SS_PATH_MAX];                        // of a drive's disc
    char mac[18], network[SS_NAME_MAX], model[24]; // of a network card
};

struct ss_vmdef {
    char uuid[DRV_UUID_LEN];
    char name[SS_NAME_MAX];
    char machine[32]; // versioned: "pc-q35-7.2"
    char accel[8];    // "kvm" or "tcg"
    char cpu_model[32];
    unsigned vcpus;
    bool hyperv;         // what Windows expects of a hypervisor; with KVM only
    uint64_t memory_kib; // exactly what QEMU gets
    enum ss_firmware firmware;
    bool rtc_localtime;
    struct ss_disk disks[SS_MAX_DISKS];
    unsigned n_disks;
    struct ss_cdrom cdroms[SS_MAX_CDROMS];
    unsigned n_cdroms;
    struct ss_nic nics[SS_MAX_NICS];
    unsigned n_nics;
    char graphics[16];           // "none" or "vnc"
    bool pvpanic;                // a device by which the guest tells that its system has crashed
    bool autostart;              // start it when its host has booted
    unsigned start_order;        // then: the lower, the earlier
    unsigned start_delay_s;      // after it has started, the next one waits so long
    char on_host_shutdown[16];   // "stop", "force" (ask, then pull the plug) or "leave"
    unsigned shutdown_timeout_s; // how long the guest may take then
    char notes[1024];
    char next[512]; // what was set while it ran and holds from the next start on: "KEY = VALUE"
                    // lines, understood by hostagent
    struct ss_next_device next_devices[SS_MAX_NEXT];
    unsigned n_next_devices;
};

// Parse and check text (len <= SS_VMDEF_MAX_BYTES). err names the key and what it should be.
int ss_vmdef_parse(const char *text, size_t len, struct ss_vmdef *ret, struct drv_err *err);
// Canonical text (sorted keys, stable for the same definition, trailing newline). Caller frees.
char *ss_vmdef_format(const struct ss_vmdef *def);
// The same as a JSON tree for the wire (new reference), and back.
json_t *ss_vmdef_to_json(const struct ss_vmdef *def);
int ss_vmdef_from_json(const json_t *j, struct ss_vmdef *ret, struct drv_err *err);
// Lower-case hex SHA-256 of a text (the record's vm.json hash).
void ss_text_sha256(const char *text, size_t len, char out_hex[65]);
// NULL if there is no disk with this id.
const struct ss_disk *ss_vmdef_disk(const struct ss_vmdef *def, const char *id);
// A disk, drive or network card.
bool ss_vmdef_has_device(const struct ss_vmdef *def, const char *id);

const char *ss_format_name(enum ss_format f); // "raw", "qcow2"
int ss_format_from_name(const char *name, enum ss_format *ret);

// 1 when path is a legal relative path within a store: what every file server can store under
// exactly this name, Windows included, and what cannot lead out of the store or deceive a reader.
int ss_path_valid(const char *path);
// The same: NULL, or why not, as the end of a sentence ("it holds '?', …").
const char *ss_path_refusal(const char *path);

#endif
