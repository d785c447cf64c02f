// SPDX-License-Identifier: GPL-3.0-or-later
// The qcow2 header, as QEMU's docs/interop/qcow2.txt specifies it. Big-endian.
#ifndef DROVER_SMBSTORE_QCOW2_H
#define DROVER_SMBSTORE_QCOW2_H

#include "drover/store.h"
#include <stddef.h>
#include <stdint.h>

enum { SS_QCOW2_MAGIC = 0x514649fb }; // "QFI\xfb"

// Bits of incompatible_features.
enum { SS_QCOW2_CORRUPT = 1 << 1, SS_QCOW2_EXTERNAL_DATA = 1 << 2 };

struct ss_qcow2_header {
    uint32_t magic;
    uint32_t version;
    uint64_t backing_file_offset;
    uint32_t backing_file_size;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_size;
    uint64_t l1_table_offset;
    uint64_t refcount_table_offset;
    uint32_t refcount_table_clusters;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible_features; // version 3 only, from here on
};
enum { SS_QCOW2_HEADER_BYTES = sizeof(struct ss_qcow2_header) };
_Static_assert(sizeof(struct ss_qcow2_header) == 80, "as on disk");

// Parse the first len bytes of a file of file_bytes. -1 DRV_EINVAL: no qcow2, damaged, or with a
// feature that drover does not handle (encryption, external data file).
int ss_qcow2_parse(const uint8_t *bytes, size_t len, uint64_t file_bytes, struct ss_image_info *ret,
                   struct drv_err *err);

#endif
