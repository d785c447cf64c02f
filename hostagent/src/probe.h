// SPDX-License-Identifier: GPL-3.0-or-later
// What this host can run: QEMU's version, machine types and CPU models, whether KVM really runs
// guests, memory. Costly answers are kept in a file until the host reboots or QEMU changes.
// Blocking (seconds); worker threads.
#ifndef HOSTAGENT_PROBE_H
#define HOSTAGENT_PROBE_H

#include "drover/err.h"
#include "launch.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HA_PROBE_MAX_NAMES = 512, HA_PROBE_NAME = 48 };

struct ha_probe {
    unsigned qemu_version; // major * 10000 + minor * 100 + micro
    char qemu_package[128];
    bool kvm;           // a guest ran under KVM
    char kvm_note[160]; // why not; "" if kvm
    unsigned n_machines, n_cpus_tcg, n_cpus_kvm;
    char machines[HA_PROBE_MAX_NAMES][HA_PROBE_NAME];
    char cpus_tcg[HA_PROBE_MAX_NAMES][HA_PROBE_NAME]; // models with nothing missing, sorted
    char cpus_kvm[HA_PROBE_MAX_NAMES][HA_PROBE_NAME];
};

struct ha_probe_spec {
    const char *emulator; // NULL = "qemu-system-x86_64"
    const struct ha_launcher *launcher;
    const char *dir; // in which a scratch directory is made; QEMU's user may pass through
    uid_t uid;       // QEMU's, part of the question: who may open /dev/kvm
    gid_t gid;
    const char *cache_path; // file to keep the answer in; NULL = none
};

// Ask QEMU, run as it will run. Returns a heap object (free()). NULL: DRV_ENOTFOUND (no QEMU),
// DRV_EPEER, DRV_ETIMEDOUT.
struct ha_probe *ha_probe_run(const struct ha_probe_spec *spec, struct drv_err *err);

bool ha_probe_has_machine(const struct ha_probe *p, const char *machine);
// accel "kvm" or "tcg". Without KVM no model counts for it.
bool ha_probe_has_cpu(const struct ha_probe *p, const char *accel, const char *model);

// false for "host" and "max": another processor on each host.
bool ha_cpu_moves(const char *model);

// /proc/meminfo in KiB: all of it, and what could be used without swapping.
int ha_host_memory_kib(uint64_t *ret_total, uint64_t *ret_available, struct drv_err *err);
// Number of CPUs online.
unsigned ha_host_cpus(void);

#endif
