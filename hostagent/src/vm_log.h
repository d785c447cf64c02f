// SPDX-License-Identifier: GPL-3.0-or-later
// A log per VM and host, for `vm log`: what this host did with the VM and why, the command line of
// each start, and what QEMU and the drover-stores said themselves. It outlives QEMU, the agent and
// the host's run directory: <state_dir>/log/<uuid>, bounded as logfile.h says. A VM that has left
// leaves its log behind, for a month. The functions block on files; any thread but the loop's,
// where a line at a time is let pass.
#ifndef HOSTAGENT_VM_LOG_H
#define HOSTAGENT_VM_LOG_H

#include "agent.h"

// A line from the agent itself, after all that QEMU and the stores have said so far.
void ha_vmlog(struct ha *ha, const char *uuid, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Take what has been said into *.log of the VM's run directory by now.
void ha_vmlog_collect(struct ha *ha, const char *uuid);

// The run directory goes, with all that is in it: what was said there is kept.
void ha_vm_dir_end(struct ha *ha, const char *uuid);

// As ha_logfile_read(), with what has been said up to this moment.
json_t *ha_vmlog_read(struct ha *ha, const char *uuid, unsigned lines, const char *after,
                      char ret_next[64]);

void ha_vmlog_remove(struct ha *ha, const char *uuid); // the VM was deleted

// Remove the logs of VMs that have not been here for a month, and of the others that are not here
// all but the newest 64. Wall clock; once, at start.
void ha_vmlog_prune(struct ha *ha);

#endif
