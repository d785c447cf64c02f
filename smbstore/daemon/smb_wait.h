// SPDX-License-Identifier: GPL-3.0-or-later
// From the procedure thread into the loop and back: start something asynchronous there and wait for
// its end.
#ifndef DROVER_STORE_SMB_WAIT_H
#define DROVER_STORE_SMB_WAIT_H

#include "drover/loop.h"
#include <pthread.h>
#include <stdint.h>

struct smb_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    uint32_t status;
    void (*start)(struct smb_wait *w); // on the loop
};

// Run start(w) on the loop and wait until smb_wait_end(w) has been called there. Returns its
// status.
uint32_t smb_wait_run(struct drv_loop *loop, struct smb_wait *w, void (*start)(struct smb_wait *w));
void smb_wait_end(struct smb_wait *w, uint32_t status); // on the loop

#endif
