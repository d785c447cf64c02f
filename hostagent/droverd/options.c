// SPDX-License-Identifier: GPL-3.0-or-later
// See options.h.
#include "options.h"

enum { KEY_SHOW = 1 };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct droverd_options *o = state->input;
    switch (key) {
    case 'c':
        o->config = arg;
        return 0;
    case KEY_SHOW:
        o->show = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: droverd takes no arguments", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0,
     "Configuration, see drover.conf(5). The default is " DROVERD_CONFIG ", which need not exist",
     0},
    {"show-config", KEY_SHOW, NULL, 0,
     "Print every option with its value and what it means, in the syntax of the file, then end", 0},
    {0},
};

const struct argp droverd_argp = {
    .options = options,
    .parser = parse,
    .doc = "drover's agent: runs and moves this host's virtual machines.",
};
