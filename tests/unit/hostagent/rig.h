// SPDX-License-Identifier: GPL-3.0-or-later
// An agent without network and QEMU for tests: configuration, database, stores and the loop on its
// own thread, in a temporary folder. The test's thread is a worker, as procedures are.
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "agent.h"
#include "drover/plan.h"
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

struct rig {
    struct ha ha; // hv1.drover.test
    char dir[64];
    pthread_t loop_thread;
    sem_t loop_ready;
};

int rig_setup(void **state); // *state: struct rig
int rig_teardown(void **state);
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

// Stores by name: a folder of the rig, and an SMB share that nobody serves.
void rig_local_store(struct rig *r, const char *name);
void rig_smb_store(struct rig *r, const char *name, const char *url);
void rig_arbiter(struct rig *r, const char *store); // the setting `arbiter`
// A file of bytes zeros in a local store.
void rig_file(struct rig *r, const char *store, const char *path, size_t bytes);
// A ticket of the host's that lives for hours, so that none is asked of a domain controller.
void rig_ticket(struct rig *r);

// A VM's definition without disks, and a virtio disk added to it.
struct ss_vmdef rig_vm(const char *name);
void rig_disk(struct ss_vmdef *def, const char *store, const char *path);

// A plan between two hosts for VM "web", without disks: encrypted, its images stay.
void rig_plan(struct mv_plan *ret, const char *from, const char *to);

// json_loads() of a text with ' for ".
json_t *rig_json(const char *text);

#endif
