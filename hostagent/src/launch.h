// SPDX-License-Identifier: GPL-3.0-or-later
// Starting the processes that outlive the agent: QEMU, by the privileged drover-launch, and
// drover-store. Under systemd each becomes a unit of its own: who connects to drover-vm.socket or
// drover-store.socket is given one. Without systemd, as in the lab, there are no such sockets and
// the agent starts them itself, detached. Blocking; worker threads.
#ifndef HOSTAGENT_LAUNCH_H
#define HOSTAGENT_LAUNCH_H

#include "drover/proc.h"
#include "order.h"

struct ha_launcher {
    char vm_socket[108], store_socket[108]; // systemd's, if they exist
    char program[512];                      // drover-launch, for a start without systemd
    char config[512];                       // drover.conf that it is to read, "" = its default
};

// Called when the process is there but does not run the program yet: note it, so that it is found
// should the agent end now. -1: the program is not run.
typedef int ha_launch_note(pid_t pid, void *arg, struct drv_err *err);

// Start o->argv as QEMU's user, with its taps, whose names are put into o. Output goes to log_path.
// note: NULL = nobody needs to know. Returns the pid of a program that runs. -1: it does not:
// DRV_ENOTFOUND (no such bridge, no such program), DRV_EDENIED, DRV_EUNREACHABLE, DRV_ETIMEDOUT.
pid_t ha_launch_vm(const struct ha_launcher *l, struct ha_order *o, const char *log_path,
                   ha_launch_note *note, void *arg, struct drv_err *err);

// Start a drover-store, with our own rights. launcher: a struct ha_launcher; in the shape of struct
// ss_proc_spec.
pid_t ha_launch_store(const struct drv_spawn *s, void *launcher, struct drv_err *err);

#endif
