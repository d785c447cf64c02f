// SPDX-License-Identifier: GPL-3.0-or-later
// The beginning and end of a VM on this host: create, register, delete. Procedures: worker threads.
#ifndef HOSTAGENT_VM_CREATE_H
#define HOSTAGENT_VM_CREATE_H

#include "cpu_hosts.h"
#include "vm_import.h"

// A device's id: "" = the first free one.
struct ha_new_disk {
    char id[SS_NAME_MAX];
    uint64_t size_bytes;     // 0 = that of the imported file
    char store[SS_NAME_MAX]; // "" = the VM's
    bool format_set;
    enum ss_format format;
    char import[PATH_MAX]; // image file of this host; "" = an empty disk
};

struct ha_new_nic {
    char id[SS_NAME_MAX];
    char network[SS_NAME_MAX], mac[18], model[24]; // mac, model: "" = drover chooses
};

struct ha_new_cdrom {
    char id[SS_NAME_MAX];
    char store[SS_NAME_MAX], path[SS_PATH_MAX]; // both "": an empty drive
};

struct ha_create_spec {
    char name[SS_NAME_MAX], store[SS_NAME_MAX];
    char folder[SS_PATH_MAX]; // of its images, on each store; "" = as its name
    uint64_t memory_kib;
    unsigned vcpus;
    struct ha_new_disk disks[SS_MAX_DISKS];
    unsigned n_disks;
    struct ha_new_nic nics[SS_MAX_NICS];
    unsigned n_nics;
    struct ha_new_cdrom cdroms[SS_MAX_CDROMS];
    unsigned n_cdroms;
    char cpu[32], accel[8], machine[32], graphics[16]; // "" = drover chooses
    char notes[1024];
    bool uefi;
    bool windows;    // devices that Windows has drivers for by itself, and its clock
    bool import_any; // imports from anywhere (local root); else from folders of local stores only
    ha_import_progress *progress; // NULL = nobody asks
    void *progress_arg;
};

// Definition, without stores being touched: machine, CPU model, PCI slots, names. notices: what the
// user should know about choices made (array of strings, appended). DRV_EINVAL, V03, V04, V05.
// others: what the other hosts can run, where spec names no CPU model.
int ha_create_def(const struct ha_probe *probe, const struct ha_cpu_hosts *others,
                  const struct ha_create_spec *spec, struct ss_vmdef *ret, json_t *notices,
                  struct drv_err *err);

// Add spec's disks, network cards and drives to a definition, with free ids and PCI slots; those
// that it has keep theirs. spec->store: for disks that name none.
int ha_add_devices(const struct ha_create_spec *spec, struct ss_vmdef *def, json_t *notices,
                   struct drv_err *err);

// Create images, home folder, definition and owner record (epoch 1, stopped), and make the VM known
// here. A failure removes all that was made.
int ha_vm_create(struct ha *ha, const struct ha_create_spec *spec, char ret_uuid[DRV_UUID_LEN],
                 json_t *notices, struct drv_err *err);

// Make a VM known here that lies on a store: its record and the definition that the record names
// decide. Does not touch either. ret_uuid: which one it is.
int ha_vm_register(struct ha *ha, const char *store, const char *name, char ret_uuid[DRV_UUID_LEN],
                   struct drv_err *err);

// Delete a locked, stopped VM and unlock it; with keep_disks its images stay. Takes the record
// first, so that no other host can start it meanwhile. On success vm is gone; on failure it is
// still there and unlocked, and deleting again goes on.
int ha_vm_delete(struct ha_vm *vm, bool keep_disks, json_t *notices, struct drv_err *err);

#endif
