// SPDX-License-Identifier: GPL-3.0-or-later
// Importing an image file of this host into a new VM's disk, with qemu-img: converted, thin, and
// compared afterwards. Blocking, for as long as the image is large; worker threads.
#ifndef HOSTAGENT_VM_IMPORT_H
#define HOSTAGENT_VM_IMPORT_H

#include <limits.h>

#include "agent.h"

struct ha_import {
    char path[PATH_MAX]; // absolute, no symbolic links
    const char *format;  // qemu-img's name: "raw", "qcow2", "vhdx", "vpc" (VHD), "vmdk"
    uint64_t bytes;      // what the guest would see of it, in whole sectors
};

// How far one is: of which disk (id in vm.json), in which step ("copy", "compare"). Called on the
// procedure's thread, about once a per cent.
typedef void ha_import_progress(const char *disk, const char *step, unsigned percent, void *arg);

// What a source is. any: it may lie anywhere (local root's), else in the folders of local stores
// only. DRV_EINVAL: of no known format, or it needs other files (a backing or parent image, extents
// of their own): the agent reads as root, and an image could name any file. DRV_EDENIED.
int ha_import_look(struct ha *ha, const char *path, bool any, struct ha_import *ret,
                   struct drv_err *err);
// Copy a source into a disk's image, which exists and is all zeros, and compare the two. Disks on
// SMB stores are written through their running drover-store. progress: NULL = nobody asks.
int ha_import_copy(struct ha *ha, const struct ss_vmdef *def, unsigned disk,
                   const struct ha_import *from, ha_import_progress *progress, void *arg,
                   struct drv_err *err);

#endif
