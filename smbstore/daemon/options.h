// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store's command line; drover-store(8) is made from it.
#ifndef SMBSTORE_DAEMON_OPTIONS_H
#define SMBSTORE_DAEMON_OPTIONS_H

#include <argp.h>

#include "data_path.h"
#include "store.h"

enum { DS_STALL_S = 60, DS_VERIFY_S = 5 }; // defaults

struct ds_options {
    struct ds_conf store;
    struct data_path_conf path;
    const char *keytab, *principal, *probe;
    bool no_encryption;
};

extern const struct argp ds_argp; // its input is a struct ds_options

#endif
