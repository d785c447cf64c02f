// SPDX-License-Identifier: GPL-3.0-or-later
// Port search: see qmp_port.h.
#include "qmp_port.h"

#include <string.h>

int qmp_first_port(struct qmp *q, const char *host, unsigned first, unsigned last,
                   int (*try_port)(struct qmp *q, const char *host, unsigned port, const void *arg,
                                   struct drv_err *err),
                   const void *arg, unsigned *ret_port, struct drv_err *err)
{
    for (unsigned port = first; port <= last && port <= 65535; port++) {
        struct drv_err why = DRV_ERR_INIT;
        if (try_port(q, host, port, arg, &why) == 0) {
            *ret_port = port;
            return 0;
        }
        // QEMU gives no error number, only strerror()'s text.
        if (!strstr(why.msg, "Address already in use")) {
            if (err && err->code == DRV_OK)
                *err = why;
            return -1;
        }
    }
    drv_err(err, DRV_EBUSY, "no free port on %s in %u-%u", host, first, last);
    return drv_err_hint(err, "wait for other moves to end, or widen `drover host set data_ports=`");
}
