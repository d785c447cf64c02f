/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ring of records on a guest's disk: its format, and the one judge of whether it lost anything.
 *
 * Used inside the guest on /dev/vdX and on the host on the disk's raw image, so that both mean the
 * same by "lost".  Everything below TG_RING_BASE belongs to the boot loader, kernel and initrd:
 *
 *     TG_RING_BASE                  struct tg_header
 *     TG_RING_BASE + (1 + n) * 4 KiB    record of slot n, n < slots; record seq lies in slot seq %
 * slots
 *
 * The guest writes record seq only after seq - 1 is durable, so at any time one slot at most is
 * being written: the one that the record after the newest takes. */
#ifndef TG_RING_H
#define TG_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TG_RING_BASE (UINT64_C(32) << 20) /* bytes from the start of the disk */
#define TG_BLOCK UINT64_C(4096)           /* bytes of a record, and of the header */
#define TG_MIN_SLOTS UINT64_C(16)
#define TG_MAX_SLOTS UINT64_C(65536)
#define TG_CORRUPT UINT64_MAX /* in place of a sequence number */

/* Both blocks end in a checksum of all that precedes it. */
struct tg_header {
    char magic[8]; /* "DROVRNG1" */
    uint64_t slots;
    uint64_t first; /* lowest sequence number written to this ring */
    uint64_t zero[508];
    uint64_t sum;
};

struct tg_record {
    char magic[8]; /* "DROVREC1" */
    uint64_t seq;
    uint64_t time_ns;   /* the guest's monotonic clock */
    uint64_t body[508]; /* incompressible, differs with seq */
    uint64_t sum;
};

_Static_assert(sizeof(struct tg_header) == TG_BLOCK, "the header fills one block");
_Static_assert(sizeof(struct tg_record) == TG_BLOCK, "a record fills one block");

/* What tg_ring_judge() found. */
struct tg_verdict {
    uint64_t checked; /* slots that had to hold a record */
    uint64_t lost;    /* of these: empty, or holding an older record */
    uint64_t corrupt; /* of these: neither empty nor a whole record of that slot */
    uint64_t ahead;   /* of these: holding a record that nobody was known to have written */
};

/* Spreads the bits of x (the finaliser of MurmurHash3): the source of all test content. */
uint64_t tg_mix(uint64_t x);

/* Bytes of disk that a ring with so many slots needs, counted from the start of the disk. */
uint64_t tg_ring_end(uint64_t slots);

/* Where record seq lies, in bytes from the start of the disk. */
off_t tg_ring_offset(uint64_t seq, uint64_t slots);

void tg_header_fill(struct tg_header *header, uint64_t slots, uint64_t first);
void tg_record_fill(struct tg_record *record, uint64_t seq, uint64_t time_ns);

/* Reads the header.  fd may be open with O_DIRECT.  Returns 1 when there is a valid one, 0 when
 * there is none, -1 with errno when the disk cannot be read. */
int tg_ring_load(int fd, uint64_t *ret_slots, uint64_t *ret_first);

/* Reads the whole ring into seqs[slots]: the sequence number that each slot holds, 0 when it was
 * never written, TG_CORRUPT when it is neither.  fd may be open with O_DIRECT.  Returns 0; -1 with
 * errno. */
int tg_ring_scan(int fd, uint64_t slots, uint64_t *seqs);

/* The highest sequence number in seqs, or 0. */
uint64_t tg_ring_highest(const uint64_t *seqs, uint64_t slots);

/* Compares a ring with what it must hold when the records first to last were acknowledged, the
 * older of them being overwritten by the newer.  With in_flight the slot after last is left out: a
 * write to it may have been under way when the disk stopped. */
struct tg_verdict tg_ring_judge(const uint64_t *seqs, uint64_t slots, uint64_t first, uint64_t last,
                                bool in_flight);

#endif
