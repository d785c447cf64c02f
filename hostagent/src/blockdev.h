// SPDX-License-Identifier: GPL-3.0-or-later
// Block nodes as QEMU takes them, on the command line (-blockdev JSON) and over QMP (blockdev-add).
//
// A guest disk is two nodes: the format node carries the disk's id ("disk0") and is what guests,
// mirrors and exports use; below it the protocol node "<id>-file" holds the file or the connection.
#ifndef HOSTAGENT_BLOCKDEV_H
#define HOSTAGENT_BLOCKDEV_H

#include <jansson.h>
#include <stdbool.h>

enum { HA_NODE_MAX = 32 }; // QEMU's limit of a node name, with NUL

// "<node>-file". -1 if it would be longer than QEMU allows.
int ha_blockdev_file_node(const char *node, char out[HA_NODE_MAX]);

// Protocol nodes (new reference). direct: O_DIRECT, not for file systems without it (tmpfs).
json_t *ha_blockdev_file(const char *node, const char *filename, bool direct, bool read_only);
// The NBD socket of a drover-store: while it is away, requests wait reconnect_s seconds.
json_t *ha_blockdev_store(const char *node, const char *nbd_path, const char *export_name,
                          unsigned reconnect_s, bool direct, bool read_only);
// Format node over the protocol node file. format: "raw" or "qcow2".
json_t *ha_blockdev_format(const char *node, const char *format, const char *file, bool direct,
                           bool read_only);

#endif
