// SPDX-License-Identifier: GPL-3.0-or-later
// A blocking client of QEMU's monitor protocol (QMP), usable from several threads at once.
//
// One reader thread per connection matches replies to callers by id and keeps a short history of
// events. Every call ends: by its reply, at its own time-out, or when the connection dies. A reply
// that is malformed or larger than QMP_LINE_MAX kills the connection (DRV_EPEER for everybody).
// QEMU serves one client per socket: a second one connects and then gets no greeting.
// Spec: QEMU docs/interop/qmp-spec.txt, 7.2.
#ifndef HOSTAGENT_QMP_H
#define HOSTAGENT_QMP_H

#include "drover/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct qmp;

enum {
    QMP_LINE_MAX = 4 << 20,    // bytes of one reply or event
    QMP_HISTORY = 256,         // events kept for qmp_wait()
    QMP_TIMEOUT_MS = 10 * 1000 // for commands that QEMU answers at once unless it is stuck
};

struct qmp_handlers {
    // Each event, in order, from the reader thread: hand it on, do not block, do not call QMP.
    // ev is borrowed.
    void (*on_event)(const json_t *ev, void *arg);
    // The connection died by itself (QEMU ended, or talked nonsense); once, from the reader thread.
    // Not called because of qmp_close(). why says what was seen. Both may be called before
    // qmp_connect() has returned.
    void (*on_gone)(const struct drv_err *why, void *arg);
    void *arg;
};

// Connect to a unix socket, read the greeting and negotiate (out-of-band commands are switched on
// when offered). handlers: copied; NULL = none. While the socket does not exist or refuses, tries
// again until timeout_ms is over. NULL: DRV_EUNREACHABLE (nobody listens), DRV_ETIMEDOUT (no
// greeting: stuck, or another client has it), DRV_EPEER.
struct qmp *qmp_connect(const char *path, int timeout_ms, const struct qmp_handlers *handlers,
                        struct drv_err *err);

// Close the connection and join the reader thread; QEMU goes on. Waiting callers get
// DRV_EUNREACHABLE, but none may be inside a call when this returns. Never from a handler. NULL
// allowed.
void qmp_close(struct qmp *q);

bool qmp_alive(struct qmp *q); // any thread
// Who listened on the socket, as the kernel has it; -1 = unknown. Any thread.
pid_t qmp_pid(const struct qmp *q);

// Run a command and wait for its reply: the value of "return" (new reference), or NULL.
// args: an object, stolen (also on failure); NULL = none.
// Errors: DRV_EPEER, origin "qmp", QEMU's own text in msg (DeviceNotFound becomes DRV_ENOTFOUND);
// DRV_ETIMEDOUT: no reply yet, QEMU may still carry it out; DRV_EUNREACHABLE: connection gone.
json_t *qmp_call(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err)
    __attribute__((warn_unused_result));

// The same for a command whose return value does not matter. 0 or -1.
int qmp_do(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err);

// The same, carried out at once even while QEMU's main loop is stuck: only yank, migrate-pause and
// migrate-recover are allowed so (QMP "exec-oob").
int qmp_do_oob(struct qmp *q, const char *cmd, json_t *args, int timeout_ms, struct drv_err *err);

// Pass a descriptor to QEMU under a name ("getfd"); the caller keeps its own copy.
int qmp_send_fd(struct qmp *q, const char *name, int fd, struct drv_err *err);

// Number of the newest event so far (0 = none). Take it before the command whose event is awaited.
uint64_t qmp_seq(struct qmp *q);

// Wait for the first event numbered above *seq whose name is in names (NULL-terminated list; NULL =
// any); sets *seq to its number and returns it (new reference). NULL: DRV_ETIMEDOUT, or the
// connection's error. Events older than QMP_HISTORY are lost: after an event, query the state and
// do not trust the event alone.
json_t *qmp_wait(struct qmp *q, uint64_t *seq, const char *const names[], int timeout_ms,
                 struct drv_err *err);

// --- small queries ---

// Run state as QEMU names it ("running", "paused", "inmigrate", "postmigrate", "io-error"…).
int qmp_status(struct qmp *q, char *out, size_t size, bool *ret_running, struct drv_err *err);
// Stop all CPUs (returns when they have stopped and disks are drained and flushed).
int qmp_stop(struct qmp *q, struct drv_err *err);
// Continue the CPUs. Only the one gate in hostagent may call it (DESIGN.md section 3, rule 7).
int qmp_cont(struct qmp *q, struct drv_err *err);
// Press the guest's power button; it may ignore it.
int qmp_powerdown(struct qmp *q, struct drv_err *err);

#endif
