// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's serial line or screen as bytes between an agent and two descriptors, wherever the VM is:
// when it moves, or the agent is gone for a while, the agent that has it now is asked, with the
// user's own ticket.
#ifndef DROVER_CLI_RELAY_H
#define DROVER_CLI_RELAY_H

#include "cli.h"

enum { CLI_RELAY_WAIT_MS = 30000 }; // how long a VM that was lost is looked for

enum cli_relay_end {
    CLI_RELAY_RUNS,
    CLI_RELAY_LEFT,   // by the user: the filter said so, or in_fd has ended
    CLI_RELAY_MOVED,  // the VM runs on another host, which is c->host now
    CLI_RELAY_CLOSED, // QEMU has ended
    CLI_RELAY_LOST,   // the agent has gone; the error says how
};

struct cli_relay {
    struct cli *c;
    const char *call;    // "vm.console", "vm.vnc"
    const char *asked;   // the VM as the user wrote it
    int in_fd, out_fd;   // -1 = none
    bool end_with_in;    // the end of in_fd is the user's leaving; else it is not read any more
    const char *newline; // of what is said on stderr
    // Look at what the user sends, before the VM does: how many of the bytes are for it.
    // *ret_leave: the user wants to go. NULL = all of them.
    size_t (*filter)(const char *bytes, size_t len, bool *ret_leave);
    // Kept by cli_relay.c.
    char uuid[64], name[64], host[280]; // name: until it is known, asked
    enum cli_relay_end end;
    bool known; // has been found once: later it may have moved
};

// Ask the agent that has the VM. First bytes may come to out_fd before this returns.
int cli_relay_open(struct cli_relay *r, struct drv_err *err);
// Carry bytes until the end of one kind.
enum cli_relay_end cli_relay_run(struct cli_relay *r, struct drv_err *err);
// Open again after an end: tries for CLI_RELAY_WAIT_MS. -1: it could not be had, or (err empty) the
// user has left.
int cli_relay_again(struct cli_relay *r, struct drv_err *err);
// A line on stderr, unless --quiet.
void cli_relay_say(const struct cli_relay *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
