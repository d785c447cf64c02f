// SPDX-License-Identifier: GPL-3.0-or-later
// Parts of the host probe: see probe.h.
#ifndef HOSTAGENT_PROBE_INT_H
#define HOSTAGENT_PROBE_INT_H

#include "argv.h"
#include "probe.h"
#include <sys/types.h>

// Where and as whom the probe's QEMUs run.
struct probe_run {
    const char *emulator;
    const struct ha_launcher *launcher;
    gid_t gid;
    const char *parent;
    char dir[80];      // scratch directory in it, ours: disk image, log
    char sock_dir[96]; // below it, where QEMU may write
};

// Run a small guest under accel: true if it did its work in time. Else note says why.
bool probe_guest_runs(const struct probe_run *run, const char *accel, char *note, size_t size);

// Does it under KVM? Sets p->kvm and p->kvm_note.
void probe_kvm(const struct probe_run *run, struct ha_probe *p);

// Keep a result under a key that changes when the result may have; read it back if the key fits.
int probe_cache_read(const char *path, const char *key, struct ha_probe *ret);
void probe_cache_write(const char *path, const char *key, const struct ha_probe *p);

#endif
