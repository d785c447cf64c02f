// SPDX-License-Identifier: GPL-3.0-or-later
// Make QEMU listen on the first free port of a range.
#ifndef HOSTAGENT_QMP_PORT_H
#define HOSTAGENT_QMP_PORT_H

#include "qmp.h"

// Try try_port(q, host, port, arg) for first..last until one succeeds. Only "address in use" goes
// on to the next; any other error ends the search. DRV_EBUSY when all are taken.
int qmp_first_port(struct qmp *q, const char *host, unsigned first, unsigned last,
                   int (*try_port)(struct qmp *q, const char *host, unsigned port, const void *arg,
                                   struct drv_err *err),
                   const void *arg, unsigned *ret_port, struct drv_err *err);

#endif
