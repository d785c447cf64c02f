// SPDX-License-Identifier: GPL-3.0-or-later
// The disk and its NBD server behind struct ds_data: calls from any thread that reach the loop. One
// process has one of it.
#ifndef DROVER_STORE_DATA_PATH_H
#define DROVER_STORE_DATA_PATH_H

#include "backend.h"
#include "disk.h"

struct data_path_conf {
    struct drv_loop *loop;
    const char *nbd_path; // NULL: no disk, every function does nothing
    uid_t nbd_uid;
    gid_t nbd_gid;
    const char *replay_path;
    bool after_crash;      // a predecessor's log must be there; else one that is there is removed
    uint64_t export_bytes; // 0: as large as the file
    void (*broken)(const char *why); // loop thread: acknowledged writes cannot be made durable
};

// Loop thread. A predecessor's log that is missing or damaged is told by ready(): DRV_EATTENTION.
int data_path_start(const struct data_path_conf *conf, struct drv_err *err);
void data_path_stop(void); // loop thread; the log's file stays when it holds something
const struct ds_data *data_path(void);

#endif
