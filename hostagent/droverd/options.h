// SPDX-License-Identifier: GPL-3.0-or-later
// droverd's command line; droverd(8) is made from it.
#ifndef HOSTAGENT_DROVERD_OPTIONS_H
#define HOSTAGENT_DROVERD_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

#define DROVERD_CONFIG "/etc/drover/drover.conf"

struct droverd_options {
    const char *config; // NULL = DROVERD_CONFIG, which need not exist
    bool show;
};

extern const struct argp droverd_argp; // its input is a struct droverd_options

#endif
