// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log: what the server has acknowledged and not yet made durable, in a file on tmpfs
// that outlives this process (kill -9 included; not the host). After an outage the newest content
// of every byte range is written again, then flushed.
//
// A ring of entries in a shared mapping. An entry is reserved before its payload is there, so that
// data is received, sent and kept in one place; it counts only once acknowledged; it leaves on a
// flush that was sent after that. Entries are ordered by acknowledgement; the caller sees to it
// that overlapping requests are never in flight together. One thread.
//
// Killed at any instruction, the process leaves a log in which every acknowledgement and every
// flush is either there or not yet: replay_int.h says how.
#ifndef DROVER_STORE_REPLAY_H
#define DROVER_STORE_REPLAY_H

#include "drover/err.h"
#include <stddef.h>
#include <stdint.h>

struct replay;
struct replay_entry;

// What the log belongs to: never replayed onto anything else. Zeros: not yet known.
struct replay_id {
    uint64_t volume_id, file_id;
};

#define REPLAY_CAPACITY_MIN ((size_t)8 << 10)
#define REPLAY_CAPACITY_MAX ((size_t)512 << 20)

// Create the log, or take over the one that a predecessor left. capacity_bytes: of payload and
// heads, a multiple of 4096, REPLAY_CAPACITY_MIN to _MAX; a predecessor's log keeps its own, see
// replay_capacity(). *ret_found: a predecessor's log was there and is whole; its entries that were
// not acknowledged are gone. The file is made 0600 and removed by replay_close() alone.
// ret: NULL  DRV_EATTENTION (damaged or of another format, and left as it is)
//            DRV_EBUSY (a process has it; one that was just killed may take a moment to end)
//            DRV_ENOSPACE (tmpfs is full), DRV_EINVAL (capacity_bytes), or what open() said
struct replay *replay_open(const char *path, size_t capacity_bytes, bool *ret_found,
                           struct drv_err *err);
void replay_close(struct replay *r, bool remove_file); // NULL allowed
// Not to be changed while replay_dirty(): an entry belongs to the file it was written to.
void replay_set_id(struct replay *r, const struct replay_id *id);
void replay_get_id(const struct replay *r, struct replay_id *ret);

// Room for a write of len bytes at offset; len is not 0, offset + len at most INT64_MAX, the
// payload of one entry at most a quarter of the capacity. NULL: no room until a flush has succeeded
// or an entry was dropped. The ring is freed in the order of reservation: an entry that is neither
// acknowledged nor dropped holds up all behind it. An empty log (replay_used() 0) always has room
// for a payload of 1 MiB, as far as the quarter allows; tmpfs being full shows as a smaller ring.
struct replay_entry *replay_reserve_data(struct replay *r, uint64_t offset, uint32_t len);
struct replay_entry *replay_reserve_zero(struct replay *r, uint64_t offset, uint64_t len);
// Stays where it is until the entry leaves. NULL for zeros.
uint8_t *replay_payload(struct replay_entry *e);
void replay_drop(struct replay *r, struct replay_entry *e);        // failed, or never sent
void replay_acknowledge(struct replay *r, struct replay_entry *e); // from now on it is replayed

// A flush: mark when it is sent, and give the mark back when it has succeeded; not one from before
// an outage. All that was acknowledged before the mark leaves at once: no old content is ever left
// without the newer one over it. Marks may come back in any order.
uint64_t replay_mark(const struct replay *r);
void replay_flushed(struct replay *r, uint64_t mark);

bool replay_dirty(const struct replay *r);  // something acknowledged is not flushed
size_t replay_used(const struct replay *r); // bytes of the ring in use, whoever holds them up
size_t replay_capacity(const struct replay *r);

// The newest content of each range, each byte once, by ascending offset. data NULL: zeros, and len
// may then be of any size. piece() returns false to stop. Entries not acknowledged are left out.
// The log must not change until the walk has ended; pieces' data stays valid until
// replay_flushed().
typedef bool replay_piece(void *arg, uint64_t offset, uint64_t len, const uint8_t *data);
void replay_walk(const struct replay *r, replay_piece *piece, void *arg);

// Give memory that an empty log does not need back to the system, but for about 1 MiB. To be called
// when idle; nothing happens while entries are there.
void replay_trim(struct replay *r);

#endif
