// SPDX-License-Identifier: GPL-3.0-or-later
// Disk images: creating empty ones with qemu-img, and reading what a header says. The qcow2 header
// is read by our own parser (QEMU: docs/interop/qcow2.txt), because the file may lie on SMB and
// because qemu-img would take QEMU's image lock.
#include "drover/store.h"

#include "drover/proc.h"
#include "qcow2.h"
#include "store_int.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QEMU_IMG_TIMEOUT_MS = 20000 };

// --- creating ---

static int make_empty_qcow2(const char *file, uint64_t virtual_bytes, struct drv_err *err)
{
    char size[32];
    snprintf(size, sizeof size, "%" PRIu64, virtual_bytes);
    const char *argv[] = {"qemu-img", "create",     "-q", "-f", "qcow2",
                          "-o",       "compat=1.1", file, size, NULL};
    return drv_proc_run(argv, NULL, QEMU_IMG_TIMEOUT_MS, 4096, NULL, err);
}

int ss_image_create(struct ss_store *st, const char *path, enum ss_format format,
                    uint64_t virtual_bytes, const char *tmp_dir, struct drv_err *err)
{
    if (virtual_bytes == 0 || virtual_bytes % 512 || virtual_bytes > INT64_MAX)
        return drv_err(err, DRV_EINVAL, "%s: the size of a disk must be a multiple of 512 bytes",
                       path);
    if (format == SS_RAW)
        return ss_create_image(st, path, virtual_bytes, NULL, err);

    char uuid[DRV_UUID_LEN];
    drv_uuid_new(uuid);
    DRV_AUTO_FREE char *temp = drv_xasprintf("%s/drover-%s.qcow2", tmp_dir, uuid);
    int rc = make_empty_qcow2(temp, virtual_bytes, err);
    if (rc == 0)
        rc = ss_create_image(st, path, 0, temp, err);
    if (unlink(temp) < 0 && errno != ENOENT && rc == 0)
        rc = drv_err_os(err, errno, "remove %s", temp);
    return rc;
}

// --- reading ---

int ss_qcow2_parse(const uint8_t *bytes, size_t len, uint64_t file_bytes, struct ss_image_info *ret,
                   struct drv_err *err)
{
    if (len < SS_QCOW2_HEADER_BYTES)
        return drv_err(err, DRV_EINVAL, "not a qcow2 image: too short");
    struct ss_qcow2_header h;
    memcpy(&h, bytes, sizeof h);
    uint32_t version = be32toh(h.version), cluster_bits = be32toh(h.cluster_bits);
    uint64_t size = be64toh(h.size);
    if (be32toh(h.magic) != SS_QCOW2_MAGIC)
        return drv_err(err, DRV_EINVAL, "not a qcow2 image: wrong magic");
    if (version != 2 && version != 3)
        return drv_err(err, DRV_EINVAL, "qcow2 version %u is not supported", version);
    if (cluster_bits < 9 || cluster_bits > 21 || size > INT64_MAX)
        return drv_err(err, DRV_EINVAL, "qcow2 header is damaged: cluster bits %u, size %" PRIu64,
                       cluster_bits, size);
    if (be64toh(h.l1_table_offset) > file_bytes)
        return drv_err(err, DRV_EINVAL, "qcow2 image is cut short: its L1 table is missing");
    uint64_t incompatible = version == 3 ? be64toh(h.incompatible_features) : 0;
    if (incompatible & SS_QCOW2_CORRUPT)
        return drv_err(err, DRV_EINVAL, "qcow2 image is marked corrupt: see qemu-img check");
    if (incompatible & SS_QCOW2_EXTERNAL_DATA)
        return drv_err(err, DRV_EINVAL, "qcow2 image keeps its data in another file: unsupported");
    if (h.crypt_method)
        return drv_err(err, DRV_EINVAL, "qcow2 image is encrypted: unsupported");
    *ret = (struct ss_image_info){
        .format = SS_QCOW2,
        .virtual_bytes = size,
        .allocated_bytes = file_bytes,
        .has_backing = h.backing_file_offset != 0,
        .has_snapshots = h.nb_snapshots != 0,
    };
    return 0;
}

int ss_image_info(struct ss_store *st, const char *path, enum ss_format format,
                  struct ss_image_info *ret, struct drv_err *err)
{
    struct ss_stat sb;
    if (ss_stat(st, path, &sb, err) < 0)
        return -1;
    if (sb.is_dir)
        return drv_err(err, DRV_EINVAL, "%s: is a folder, not an image", path);
    if (format == SS_RAW) {
        *ret = (struct ss_image_info){.format = SS_RAW, .virtual_bytes = sb.size_bytes};
    } else {
        size_t len = 0;
        uint64_t file_bytes = 0;
        DRV_AUTO_FREE char *head =
            ssi_read_head(st, path, SS_QCOW2_HEADER_BYTES, &len, &file_bytes, err);
        if (!head)
            return -1;
        if (ss_qcow2_parse((const uint8_t *)head, len, file_bytes, ret, err) < 0)
            return drv_err_prefix(err, "%s", path);
    }
    ret->allocated_bytes = sb.allocated_bytes;
    return 0;
}
