// SPDX-License-Identifier: GPL-3.0-or-later
// Block nodes: see blockdev.h. Options: qapi/block-core.json of QEMU 7.2.
#include "blockdev.h"

#include <stdio.h>

int ha_blockdev_file_node(const char *node, char out[HA_NODE_MAX])
{
    int n = snprintf(out, HA_NODE_MAX, "%s-file", node);
    return n > 0 && n < HA_NODE_MAX ? 0 : -1;
}

json_t *ha_blockdev_file(const char *node, const char *filename, bool direct, bool read_only)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:{s:b, s:b}}", "driver", "file", "node-name",
                     node, "filename", filename, "locking", "on", "discard", "unmap", "read-only",
                     read_only, "cache", "direct", direct, "no-flush", 0);
}

json_t *ha_blockdev_store(const char *node, const char *nbd_path, const char *export_name,
                          unsigned reconnect_s, bool direct, bool read_only)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:i, s:s, s:b, s:{s:b, s:b}}", "driver", "nbd",
                     "node-name", node, "server", "type", "unix", "path", nbd_path, "export",
                     export_name ? export_name : "", "reconnect-delay", (int)reconnect_s, "discard",
                     "unmap", "read-only", read_only, "cache", "direct", direct, "no-flush", 0);
}

json_t *ha_blockdev_format(const char *node, const char *format, const char *file, bool direct,
                           bool read_only)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:{s:b, s:b}}", "driver", format, "node-name", node,
                     "file", file, "discard", "unmap", "read-only", read_only, "cache", "direct",
                     direct, "no-flush", 0);
}
