// SPDX-License-Identifier: GPL-3.0-or-later
// Memory migration over QMP: every capability and parameter is set explicitly before each move,
// since they stick to the process and a destination is the next source. Blocking; worker threads.
// Spec: qapi/migration.json of QEMU 7.2. All errors as qmp_call() unless said otherwise.
#ifndef HOSTAGENT_QMP_MIGRATE_H
#define HOSTAGENT_QMP_MIGRATE_H

#include "qmp.h"
#include <sys/types.h>

// The same on both sides of a move, apart from tls_creds (each side's own object).
struct qmp_mig_opts {
    uint64_t max_bandwidth_bps; // bytes per second, 0 = no cap
    unsigned downtime_limit_ms; // QEMU stops the guest when it expects to need no more than this
    const char *tls_creds;      // id of a tls-creds object, NULL or "" = in the clear
    unsigned multifd_channels;  // 0 = off
    // The most that may be taken from the guest's processors when memory does not converge;
    // 0 = nothing. Auto-converge is on in any case, as it cannot be switched on later: kept to
    // QMP_MIG_LEAST_THROTTLE, it cannot be noticed.
    unsigned max_throttle_percent;
};
enum { QMP_MIG_LEAST_THROTTLE = 1 }; // that QEMU takes

// Set all capabilities that this QEMU knows (on: events, return-path, pause-before-switchover,
// late-block-activate, auto-converge, and what opts asks for; all others off) and all parameters.
// DRV_EPEER: this QEMU lacks one of those.
int qmp_mig_prepare(struct qmp *q, const struct qmp_mig_opts *opts, struct drv_err *err);

// While a migration runs: change the cap, the limit, the throttle alone. QEMU throttles at the end
// of every other pass that did not converge, and in three steps as far as it may; it ends with the
// migration, whatever becomes of that.
int qmp_mig_set_throttle(struct qmp *q, unsigned max_percent, struct drv_err *err);
int qmp_mig_set_bandwidth(struct qmp *q, uint64_t max_bandwidth_bps, struct drv_err *err);
int qmp_mig_set_downtime_limit(struct qmp *q, unsigned ms, struct drv_err *err);

// Destination: listen on host (an address of this host) and the first free port of first..last.
// DRV_EBUSY when none is free. ret_port: the one taken.
int qmp_mig_listen(struct qmp *q, const char *host, unsigned first, unsigned last,
                   unsigned *ret_port, struct drv_err *err);
// Source: start. Returns at once; qmp_mig_query() tells the rest.
int qmp_mig_start(struct qmp *q, const char *host, unsigned port, struct drv_err *err);
// Source in pre-switchover: send the rest. DRV_EPEER in any other state.
int qmp_mig_continue(struct qmp *q, struct drv_err *err);
// Ask for the end of the migration; no error if none runs. The guest resumes by itself if it was
// running and QEMU has not completed. Wait for a final status after it.
int qmp_mig_cancel(struct qmp *q, struct drv_err *err);

enum qmp_mig_status {
    QMP_MIG_NONE,
    QMP_MIG_SETUP,
    QMP_MIG_ACTIVE,
    QMP_MIG_PRE_SWITCHOVER,
    QMP_MIG_DEVICE,
    QMP_MIG_COMPLETED,
    QMP_MIG_FAILED,
    QMP_MIG_CANCELLING,
    QMP_MIG_CANCELLED,
    QMP_MIG_OTHER, // postcopy, colo, wait-unplug: never asked for here
    QMP_MIG_STATUS_MAX_
};
#define QMP_MIG_BIT(s) (1U << (s))
#define QMP_MIG_FINAL                                                                              \
    (QMP_MIG_BIT(QMP_MIG_COMPLETED) | QMP_MIG_BIT(QMP_MIG_FAILED) | QMP_MIG_BIT(QMP_MIG_CANCELLED))
const char *qmp_mig_status_name(enum qmp_mig_status s);

// query-migrate. A number that QEMU did not give (yet) is -1.
struct qmp_mig_info {
    enum qmp_mig_status status;
    int64_t ram_total, ram_remaining, ram_transferred; // bytes
    int64_t dirty_pages_per_s, page_size;
    int64_t dirty_sync_count;     // passes over memory so far
    double mbps;                  // megabits per second of the last interval, -1 = unknown
    int64_t expected_downtime_ms; // known after the first pass
    int64_t downtime_ms, total_time_ms, setup_time_ms; // final figures may follow the final status
    int64_t throttle_percent;
    char error[256]; // QEMU's error-desc, "" = none
};
int qmp_mig_query(struct qmp *q, struct qmp_mig_info *ret, struct drv_err *err);

// Wait until the status is one of mask (QMP_MIG_BIT), at most timeout_ms. Returns 0 with *ret
// filled. DRV_ETIMEDOUT: *ret is the last seen. A final status outside mask ends the wait with
// DRV_EPEER, its text in msg, *ret filled.
int qmp_mig_wait(struct qmp *q, unsigned mask, int timeout_ms, struct qmp_mig_info *ret,
                 struct drv_err *err);

// --- pre-shared keys for the memory and disk streams ---

// Write <dir>/keys.psk anew (mode 0640, of group gid, user "qemu", key in hex) for qmp_psk_add().
// key_len 16..64. The directory exists. GnuTLS's server side reads the file at the handshake, so it
// stays until the stream is up; qmp_psk_wipe() removes it.
int qmp_psk_write(const char *dir, const uint8_t *key, size_t key_len, gid_t gid,
                  struct drv_err *err);
void qmp_psk_wipe(const char *dir);

// Create / delete a tls-creds-psk object. server: true on the side that listens.
int qmp_psk_add(struct qmp *q, const char *id, const char *dir, bool server, struct drv_err *err);
int qmp_psk_del(struct qmp *q, const char *id, struct drv_err *err); // not there = 0

#endif
