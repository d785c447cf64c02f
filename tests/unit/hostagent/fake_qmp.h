// SPDX-License-Identifier: GPL-3.0-or-later
// A pretended QEMU monitor on a unix socket, for tests of our QMP client: one client, one thread.
#ifndef TESTS_FAKE_QMP_H
#define TESTS_FAKE_QMP_H

#include <jansson.h>
#include <stdbool.h>

struct fake_qmp;

// Called on the fake's thread for each command except qmp_capabilities: returns the members of the
// reply beside its id ("\"return\": {}"; freed by the fake), or NULL to stay silent.
typedef char *fake_qmp_answer(struct fake_qmp *f, const char *cmd, const json_t *args, void *arg);

// greeting NULL = that of QEMU 7.2; "" = say nothing.
struct fake_qmp *fake_qmp_start(const char *greeting, fake_qmp_answer *answer, void *arg);
void fake_qmp_stop(struct fake_qmp *f);
const char *fake_qmp_path(const struct fake_qmp *f);

void fake_qmp_send(struct fake_qmp *f, const char *text); // as it is; any thread
void fake_qmp_hang_up(struct fake_qmp *f);                // any thread
// Reply to an earlier command that was left silent.
void fake_qmp_reply(struct fake_qmp *f, json_int_t id, const char *members);
json_int_t fake_qmp_id(const struct fake_qmp *f); // of the command being answered
bool fake_qmp_is_oob(const struct fake_qmp *f);   // it came as exec-oob
int fake_qmp_fd(const struct fake_qmp *f);        // descriptor received last, -1 = none

#endif
