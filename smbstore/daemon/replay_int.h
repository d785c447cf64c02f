// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log's bytes, and why a SIGKILL at any instruction leaves a log that reads right.
//
// The kernel ends a process between two instructions, and its stores up to there are in the shared
// pages. So nothing but the order of stores counts, and every step becomes visible by one store of
// one word, through replay_publish():
//   reserve      the head (and a filler's) is written beyond the ring's end, then `pos` covers it
//   acknowledge  seq, then state
//   drop         state
//   flushed      `flushed`: at that instant all entries up to the mark are gone, whatever order
//                they stand in; then `pos`, which only gives their room back
//   set_id       the slot that does not count, then which one counts
// Room is written again only after `pos` has given it back. An empty ring starts again at 0: a
// guest that flushes often uses few pages, which stay in the caches.
//
// A word that changes carries 16 bits of check in itself, what does not change has a checksum: a
// file that something else has written to is refused. Payloads are not covered. Byte order is the
// host's, the file never leaves it.
#ifndef DROVER_STORE_REPLAY_INT_H
#define DROVER_STORE_REPLAY_INT_H

#include "replay.h"
#include <stdatomic.h>

enum {
    REPLAY_VERSION = 1,
    REPLAY_UNIT = 64,      // entries start at and are multiples of this
    REPLAY_SUPER = 4096,   // bytes before the ring
    REPLAY_PART = 4,       // an entry's payload is at most this part of the ring
    REPLAY_SEAL_BITS = 48, // of a sealed word's value
    REPLAY_POS_BITS = 24,  // of head and tail, in units
};
#define REPLAY_SEAL_MASK ((UINT64_C(1) << REPLAY_SEAL_BITS) - 1)
#define REPLAY_POS_MASK ((UINT64_C(1) << REPLAY_POS_BITS) - 1)
// Memory that the log keeps, in the ring: the largest request finds room even if tmpfs is full.
#define REPLAY_KEEP_BYTES ((size_t)(1 << 20) + 4096)
_Static_assert(REPLAY_CAPACITY_MAX / REPLAY_UNIT <= REPLAY_POS_MASK, "positions fit");

#define REPLAY_SUPER_MAGIC UINT64_C(0x31474f4c52564f44) // "DOVRLOG1"
#define REPLAY_ENTRY_MAGIC UINT64_C(0x3159525452564f44) // "DOVRTRY1"

// Far from each other, so that no damaged one passes for another.
enum replay_state {
    REPLAY_PENDING = 0x444e4550,
    REPLAY_ACKED = 0x444b4341,
    REPLAY_FREE = 0x45455246,
};
enum replay_kind {
    REPLAY_DATA = 1,
    REPLAY_ZERO = 2,
    REPLAY_FILLER = 3, // from the last entry to the end of the ring
};

struct replay_entry {
    uint64_t magic;
    uint64_t offset, len;
    uint64_t bytes; // head, payload and padding: a multiple of REPLAY_UNIT
    uint32_t kind;
    _Atomic uint32_t state;
    uint64_t check;       // replay_entry_check()
    _Atomic uint64_t seq; // sealed; counts from REPLAY_ACKED on
    uint64_t reserved;    // zero
};
_Static_assert(sizeof(struct replay_entry) == REPLAY_UNIT, "payloads start at a unit");

struct replay_super {
    uint64_t magic; // written last
    uint32_t version, super_bytes;
    uint64_t capacity;
    uint64_t check;           // replay_super_check()
    _Atomic uint64_t pos;     // sealed: tail, head
    _Atomic uint64_t flushed; // sealed: entries acknowledged as this or earlier are durable
    _Atomic uint32_t id_slot;
    uint32_t reserved; // zero
    struct {
        struct replay_id id;
        uint64_t check; // replay_id_check()
    } ids[2];
};
_Static_assert(sizeof(struct replay_super) <= REPLAY_SUPER, "one page");

struct replay {
    char *path;
    int fd; // locked
    struct replay_super *super;
    uint8_t *ring;
    uint64_t capacity;
    uint64_t head, tail;   // where the next entry goes, where the oldest is; equal: none
    uint64_t seq, flushed; // of the newest acknowledgement, of the newest flush
    uint64_t backed;       // bytes of the ring that have memory: touching more may be a SIGBUS
    bool grown;            // there may be memory beyond REPLAY_KEEP_BYTES
};

// --- checks ---

// One to one in either argument, so that a change of one value is always seen.
static inline uint64_t replay_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static inline uint64_t replay_seal(uint64_t value)
{
    return value | replay_mix(0x5ea1, value) >> REPLAY_SEAL_BITS << REPLAY_SEAL_BITS;
}

static inline uint64_t replay_unseal(uint64_t word)
{
    return word & REPLAY_SEAL_MASK;
}

static inline bool replay_sealed(uint64_t word)
{
    return replay_seal(replay_unseal(word)) == word;
}

static inline uint64_t replay_pos(uint64_t tail, uint64_t head)
{
    return replay_seal(tail / REPLAY_UNIT << REPLAY_POS_BITS | head / REPLAY_UNIT);
}

static inline uint64_t replay_entry_check(const struct replay_entry *e, uint64_t at)
{
    return replay_mix(replay_mix(replay_mix(replay_mix(e->kind, e->offset), e->len), e->bytes), at);
}

static inline uint64_t replay_super_check(const struct replay_super *s)
{
    return replay_mix(replay_mix(s->version, s->super_bytes), s->capacity);
}

static inline uint64_t replay_id_check(const struct replay_id *id)
{
    return replay_mix(replay_mix(1, id->volume_id), id->file_id);
}

// --- the ring ---

static inline struct replay_entry *replay_at(const struct replay *r, uint64_t at)
{
    return (struct replay_entry *)(r->ring + at);
}

static inline uint64_t replay_next(const struct replay *r, uint64_t at)
{
    at += replay_at(r, at)->bytes;
    return at == r->capacity ? 0 : at;
}

static inline uint64_t replay_entry_bytes(enum replay_kind kind, uint64_t len)
{
    uint64_t payload = kind == REPLAY_DATA ? len : 0;
    return REPLAY_UNIT + (payload + REPLAY_UNIT - 1) / REPLAY_UNIT * REPLAY_UNIT;
}

// It is to be replayed.
static inline bool replay_counts(const struct replay *r, const struct replay_entry *e)
{
    return atomic_load_explicit(&e->state, memory_order_relaxed) == REPLAY_ACKED &&
           replay_unseal(atomic_load_explicit(&e->seq, memory_order_relaxed)) > r->flushed;
}

#endif
