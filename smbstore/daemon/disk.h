// SPDX-License-Identifier: GPL-3.0-or-later
// The data path of one image: NBD requests in, SMB requests out, and what it takes for a guest not
// to notice an outage. Loop thread only, but where a function says otherwise.
//
// What it keeps, whatever the connection does:
// - A write is answered when the server has it; from then on it is in the replay log until a FLUSH
//   that was sent later has succeeded on the same session.
// - Requests that change the same bytes are never under way together: the server does not order
//   them.
// - Without a handle nothing is sent and nothing fails: requests wait until the owner attaches a
// new
//   handle, and before that replays the log onto it, or gives up.
// - A FLUSH that fails is followed by one replay and FLUSH; a second failure is for good, as the
//   server's system forgets after having told once.
// Who may write, and whether a handle is the right one, others decide (handles.c).
#ifndef DROVER_STORE_DISK_H
#define DROVER_STORE_DISK_H

#include "nbd.h"
#include "replay.h"
#include "smb2.h"

// What the disk asks of the client; unit tests put a fake server here.
struct disk_io {
    void (*read)(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f, void *buf,
                 uint32_t len, uint64_t offset);
    void (*write)(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                  const void *buf, uint32_t len, uint64_t offset, bool write_through);
    void (*flush)(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f);
    void (*zero)(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                 uint64_t offset, uint64_t len);
    void (*ranges)(struct smb2_conn *c, struct smb2_request *r, const struct smb2_fid *f,
                   uint64_t offset, uint64_t len, struct smb2_range *ret, unsigned max);
};
extern const struct disk_io disk_smb2;

struct disk_owner {
    // Room in the replay log again: nbd_server_resume().
    void (*resume)(void *arg);
    // Acknowledged writes can't be made durable: status of the second FLUSH, or of a replayed
    // write. The disk fails everything from now on.
    void (*broken)(void *arg, uint32_t status);
};

struct disk_stats {
    uint64_t reads, writes, flushes, read_bytes, write_bytes, zero_bytes, refused_writes;
    uint64_t replayed_bytes, replays;
    uint64_t log_bytes; // now in the replay log
    unsigned waiting;   // requests without an answer
};

struct disk;
// log is borrowed; the caller closes it after disk_free().
struct disk *disk_new(struct drv_loop *loop, const struct disk_io *io, struct replay *log,
                      const struct disk_owner *owner, void *arg);
void disk_free(struct disk *d); // requests that wait fail with ESHUTDOWN; none may be under way

// The other side of the NBD server: arg is the struct disk.
extern const struct nbd_ops disk_nbd_ops;
void disk_set_size(struct disk *d, uint64_t export_bytes, uint64_t file_bytes);

// A handle to work with. Requests that waited go out. Needs a log with nothing in it that this
// handle has not: see disk_replay().
void disk_attach(struct disk *d, struct smb2_conn *c, const struct smb2_fid *f);
// The connection is gone, or the handle is about to be closed or exchanged: requests wait.
void disk_detach(struct disk *d);
void disk_set_writable(struct disk *d, bool writable); // else writes fail: EPERM
// Fail everything with EIO, what waits and what comes, until disk_heal().
void disk_fail(struct disk *d);
void disk_heal(struct disk *d);

typedef void disk_done(void *arg, uint32_t status);
// Write the log's newest content to this handle and flush it; the log is then empty. Detached only.
// One of these three at a time.
void disk_replay(struct disk *d, struct smb2_conn *c, const struct smb2_fid *f, disk_done *done,
                 void *arg);
// Wait for all changes under way and flush; the handle has everything then. Those that come later
// are not waited for: writing is switched off first.
void disk_settle(struct disk *d, disk_done *done, void *arg);

// Age of the oldest request without an answer, in milliseconds; 0 = there is none.
int64_t disk_oldest_ms(const struct disk *d);
void disk_get_stats(const struct disk *d, struct disk_stats *ret);

#endif
