// SPDX-License-Identifier: GPL-3.0-or-later
// The program itself, run against a scripted agent.
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include "fake_agent.h"

struct command {
    struct fake_agent *agent; // NULL = there is none
    const char *argv[32];
};

static inline int exec_drover(void *arg)
{
    struct command *cmd = arg;
    setenv("DROVER_SOCKET", cmd->agent ? cmd->agent->path : "/nonexistent/drover.sock", 1);
    setenv("KRB5CCNAME", "FILE:/nonexistent/ccache", 1);
    setenv("TERM", "xterm", 1);
    execv(DROVER_BIN, (char *const *)cmd->argv);
    return 99;
}

// Run drover with these words against a script; NULL: no agent.
#define RUN(r, agent_, ...)                                                                        \
    fake_run((r), exec_drover, &(struct command){(agent_), {"drover", __VA_ARGS__}}, NULL, 0)

#endif
