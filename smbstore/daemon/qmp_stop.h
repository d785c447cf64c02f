// SPDX-License-Identifier: GPL-3.0-or-later
// Pause a guest through a QEMU monitor socket.
#ifndef DROVER_STORE_QMP_STOP_H
#define DROVER_STORE_QMP_STOP_H

#include "drover/err.h"

// Connect, negotiate, send `stop`, wait for its answer; all within timeout_ms. Blocking; any
// thread. Several processes share the socket: QEMU serves one client at a time, the others wait
// their turn. -1 DRV_EUNREACHABLE (no QEMU there), DRV_ETIMEDOUT, DRV_EPEER.
int ds_qmp_stop(const char *path, int timeout_ms, struct drv_err *err);

#endif
