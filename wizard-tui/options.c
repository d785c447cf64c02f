// SPDX-License-Identifier: GPL-3.0-or-later
// See options.h.
#include "options.h"

enum { KEY_PLAIN = 1, KEY_NO_MOUSE };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct tui_options *o = state->input;
    switch (key) {
    case 'H':
        if (o->n < TUI_OPTION_HOSTS_MAX)
            o->hosts[o->n++] = arg;
        return 0;
    case KEY_PLAIN:
        o->plain = true;
        return 0;
    case KEY_NO_MOUSE:
        o->no_mouse = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"host", 'H', "HOST[:PORT]", 0, "Begin with this host, which names the others; may be repeated",
     0},
    {"plain", KEY_PLAIN, NULL, 0,
     "Lines of text instead of a screen. Taken by itself where input or output is no terminal, or "
     "one that can only print",
     0},
    {"no-mouse", KEY_NO_MOUSE, NULL, 0, "Leave the mouse to the terminal (DROVER_MOUSE=0)", 0},
    {0},
};

const struct argp tui_argp = {
    .options = options,
    .parser = parse,
    .doc =
        "drover's hosts and VMs, and the wizard that moves a VM.\v"
        "Without -H: DROVER_HOST, else the agent of this computer, else the hosts of the last time "
        "(~/.config/drover/hosts). Your Kerberos ticket says who you are: kinit. drover-wizard(1) "
        "has more.",
};
