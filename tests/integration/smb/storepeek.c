// SPDX-License-Identifier: GPL-3.0-or-later
// storepeek URL HELPER UUID: prints what ss_record_peek tells about a VM's owner record, for
// scripts.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "drover/storeproc.h"

int main(int argc, char *argv[])
{
    if (argc != 4) {
        fprintf(stderr, "usage: storepeek URL HELPER UUID\n");
        return 2;
    }
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    bool held = false;
    const struct ss_identity who = {
        .ccache = getenv("KRB5CCNAME"), .helper = argv[2], .timeout_ms = 10000};
    struct ss_store *st = ss_store_open(argv[1], &who, &err);
    int rc = st ? ss_record_peek(st, argv[3], &r, &held, &err) : -1;
    ss_store_close(st);
    if (rc < 0) {
        printf("%s: %s\n", drv_code_name(err.code), err.msg);
        return 1;
    }
    printf("%s epoch=%" PRIu64 " host=%s %s\n", ss_record_state_name(r.state), r.epoch, r.host,
           held ? "held" : "unheld");
    return 0;
}
