// SPDX-License-Identifier: GPL-3.0-or-later
// What drover-smb can be asked for. One request at a time, one line of JSON each:
//   {"op":"stat","path":"web01/vm.json"} -> {"ok":{…}} or {"error":{"code","msg","hint","errno"}}
#ifndef DROVER_SMB_OPS_H
#define DROVER_SMB_OPS_H

#include "conn.h"

// Carry out one request. The reply object, new reference; never NULL.
json_t *ops_handle(struct conn *c, const char *line);

#endif
