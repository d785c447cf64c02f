// SPDX-License-Identifier: GPL-3.0-or-later
// One QEMU process of one VM: start, find again after an agent's restart, end. A VM outlives its
// agent: the handle can be dropped at any time without touching the guest. Blocking; worker
// threads.
//
// Layout of a VM's run directory (made here; on tmpfs, so it never survives the host):
//   <dir>/state.json    what ha_qemu_attach() needs (ours; QEMU cannot write here)
//   <dir>/qemu.log      QEMU's messages
//   <dir>/start.log     its command line; both stay when QEMU ends, for the VM's log (vm_log.h)
//   <dir>/qemu/         QEMU's group may write: monitors, serial console, VNC, pid file
#ifndef HOSTAGENT_QEMU_PROC_H
#define HOSTAGENT_QEMU_PROC_H

#include "launch.h"
#include "qemu_args.h"
#include "qmp.h"
#include <sys/types.h>

struct ha_qemu_spec {
    const struct ss_vmdef *def;
    struct ha_qemu_rt rt; // sock_dir and tap_fds are filled in here
    const char *dir;      // run directory of this VM
    const struct ha_launcher *launcher;
    gid_t gid;      // a group of QEMU's user: its directory and what it shall read are given to it
    uint64_t epoch; // stored with the rest, see struct ha_qemu
    const struct qmp_handlers *handlers; // for the QMP connection; NULL = none
    int timeout_ms;                      // until QMP answers; 0 = 20 s
};

struct ha_qemu {
    pid_t pid;
    uint64_t start_time;         // drv_proc_start_time(): with pid it names the process for ever
    char instance[DRV_UUID_LEN]; // random, new for each process: the owner record names it
    uint64_t epoch;              // as last saved; the owner record decides, this is a hint
    char *dir;
    struct qmp *qmp;
    struct ss_vmdef def; // what this process was built from
    char taps[SS_MAX_NICS][16];
    json_t *extra; // an object that belongs to the caller; saved with the rest. NULL = none
};

// Start QEMU (guest stopped; with rt.incoming waiting for migrate-incoming) and connect to it.
// NULL: nothing is left, and err->msg ends with QEMU's own last words. DRV_EEXIST: dir already has
// a live QEMU.
struct ha_qemu *ha_qemu_start(const struct ha_qemu_spec *spec, struct drv_err *err);

// Find the QEMU of a run directory again: pid and start time, the lock on its pid file, QMP.
// NULL: DRV_ENOTFOUND (no such process now: ha_qemu_sweep() may clean up), DRV_ETIMEDOUT or
// DRV_EUNREACHABLE (alive but its monitor does not answer: do not touch).
// Events of the meantime are lost: query the states.
struct ha_qemu *ha_qemu_attach(const char *dir, const struct qmp_handlers *handlers,
                               struct drv_err *err);

// Write state.json anew (temporary name, rename) after epoch, def or extra changed.
int ha_qemu_save(struct ha_qemu *h, struct drv_err *err);

bool ha_qemu_alive(const struct ha_qemu *h);

// End the process: QMP quit, then SIGTERM, then SIGKILL, each awaited; then remove the run files.
// Quit of a running guest is like pulling the plug; of a guest handed over it is harmless.
// -1 DRV_ETIMEDOUT: even SIGKILL did not end it (stuck in the kernel); h stays valid.
int ha_qemu_quit(struct ha_qemu *h, struct drv_err *err);

// Drop the handle: closes QMP, leaves the process alone. NULL allowed. Never from a QMP handler.
void ha_qemu_free(struct ha_qemu *h);

// What the process said last ("" = nothing), for the message after it went away. Bounded to size.
void ha_qemu_last_words(const char *dir, char *out, size_t size);

// Remove what a dead QEMU left in its run directory (state, sockets, pid file), not its messages
// and not dir's other files. DRV_EBUSY if it is alive.
int ha_qemu_sweep(const char *dir, struct drv_err *err);

// "<dir>/qemu/<name>", see HA_SOCK_*.
int ha_qemu_sock(const char *dir, const char *name, char out[HA_SOCK_MAX], struct drv_err *err);

#endif
