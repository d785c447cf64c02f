// SPDX-License-Identifier: GPL-3.0-or-later
// A disk from within: see disk.h. disk.c takes requests, disk_flush.c makes them durable.
#ifndef DROVER_STORE_DISK_INT_H
#define DROVER_STORE_DISK_INT_H

#include "disk.h"

#include "drover/util.h"
#include <sys/queue.h>

enum job_state { JOB_WAITS, JOB_SENT, JOB_WAITS_FLUSH };

// An NBD request on its way.
struct job {
    struct smb2_request smb; // first member
    struct disk *disk;
    struct nbd_request *nbd;
    struct replay_entry *entry; // WRITE, ZERO, TRIM
    struct smb2_range *ranges;  // STATUS
    enum job_state state;
    uint64_t flush_no; // JOB_WAITS_FLUSH: the flush that answers it
    int64_t since_ms;
    TAILQ_ENTRY(job) link;
};
TAILQ_HEAD(jobs, job);

struct replaying {
    disk_done *done; // NULL: none under way
    void *arg;
    struct smb2_conn *conn;
    struct smb2_fid fid;
    struct piece *pieces; // what is still to be written, then NULL
    unsigned sent;
    bool sending, flushing;
    bool last; // a flush has failed already: another one is for good
    uint32_t status;
    uint64_t mark;
    struct smb2_request flush;
};

struct disk {
    struct drv_loop *loop;
    const struct disk_io *io;
    struct replay *log;
    const struct disk_owner *owner;
    void *arg;
    struct event *tick;

    struct smb2_conn *conn; // NULL: detached
    struct smb2_fid fid;
    bool writable, failed;
    struct smb2_conn *failing; // a flush failed there: replay again once nothing is under way
    uint64_t export_bytes, file_bytes;

    struct jobs jobs;
    struct job *spare;
    unsigned n_jobs, n_spare;
    bool starting; // in start_all(): an answer from within must not begin another round
    bool again;

    struct smb2_request flush;
    bool flush_sent, flush_wanted;
    uint64_t flush_no; // of the last one sent
    uint64_t flush_mark;
    int64_t dirty_since_ms, changed_ms;

    struct replaying rep;
    disk_done *settled;
    void *settled_arg;
    struct disk_stats stats;
};

// --- disk.c ---
// Send what waits and can go. Safe from within answers.
void disk_start_all(struct disk *d);
void disk_finish(struct job *j, int errnum); // answers; j is gone
bool disk_changes(const struct nbd_request *r);
bool disk_is_lost(uint32_t status); // no answer came: it will be asked again

// --- disk_flush.c ---
void disk_flush_now(struct disk *d);     // if one is wanted and none under way
void disk_check_failing(struct disk *d); // begins that replay, when it is time
void disk_check_settled(struct disk *d); // tells who waits in disk_settle()
int disk_flush_init(struct disk *d);
void disk_flush_cleanup(struct disk *d);

#endif
