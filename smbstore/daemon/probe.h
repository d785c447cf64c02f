// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store --probe: what a file server can do, tried on a file of our own.
#ifndef DROVER_STORE_PROBE_H
#define DROVER_STORE_PROBE_H

#include "smb2.h"

// url: a file that is not there yet; it is made, tried and removed. Prints what drover/storeprobe.h
// specifies, as one line of JSON on stdout. Returns an exit status. Runs the loop.
int ds_probe(struct drv_loop *loop, struct smb2_tickets *tickets, const char *url,
             bool no_encryption);

#endif
