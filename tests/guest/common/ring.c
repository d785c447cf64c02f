// SPDX-License-Identifier: GPL-3.0-or-later
// The ring of records: filling, reading and judging it, see ring.h.
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORDS = 512,      // of 8 bytes in a block
    SCAN_BLOCKS = 64, // read at once: large enough to be quick, small enough for a small guest
};

static const char header_magic[8] = "DROVRNG1";
static const char record_magic[8] = "DROVREC1";
static const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);

uint64_t tg_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

// FNV-1a over 64-bit words of everything but the last word of a block.
static uint64_t block_sum(const void *block)
{
    const uint64_t *words = block;
    uint64_t hash = UINT64_C(1469598103934665603);

    for (int i = 0; i < WORDS - 1; i++)
        hash = (hash ^ words[i]) * UINT64_C(1099511628211);
    return hash;
}

uint64_t tg_ring_end(uint64_t slots)
{
    return TG_RING_BASE + (1 + slots) * TG_BLOCK;
}

off_t tg_ring_offset(uint64_t seq, uint64_t slots)
{
    return (off_t)(TG_RING_BASE + (1 + seq % slots) * TG_BLOCK);
}

void tg_header_fill(struct tg_header *header, uint64_t slots, uint64_t first)
{
    memset(header, 0, sizeof(*header));
    memcpy(header->magic, header_magic, sizeof(header_magic));
    header->slots = slots;
    header->first = first;
    header->sum = block_sum(header);
}

void tg_record_fill(struct tg_record *record, uint64_t seq, uint64_t time_ns)
{
    uint64_t key = tg_mix(seq * golden);

    memcpy(record->magic, record_magic, sizeof(record_magic));
    record->seq = seq;
    record->time_ns = time_ns;
    for (size_t i = 0; i < sizeof(record->body) / sizeof(record->body[0]); i++) {
        key += golden;
        record->body[i] = key ^ (key >> 29);
    }
    record->sum = block_sum(record);
}

// pread that ends neither early nor by a signal.  A disk shorter than the ring is an error (EIO).
static int read_all(int fd, void *buffer, size_t size, off_t offset)
{
    char *at = buffer;

    while (size > 0) {
        ssize_t n = pread(fd, at, size, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return -1;
        }
        at += n;
        offset += n;
        size -= (size_t)n;
    }
    return 0;
}

int tg_ring_load(int fd, uint64_t *ret_slots, uint64_t *ret_first)
{
    struct tg_header *header = aligned_alloc(TG_BLOCK, TG_BLOCK);
    int rc = -1;

    if (!header)
        return -1;
    if (read_all(fd, header, sizeof(*header), (off_t)TG_RING_BASE) == 0) {
        rc = memcmp(header->magic, header_magic, sizeof(header_magic)) == 0 &&
             header->sum == block_sum(header) && header->slots >= TG_MIN_SLOTS &&
             header->slots <= TG_MAX_SLOTS && header->first > 0;
        *ret_slots = header->slots;
        *ret_first = header->first;
    }
    free(header);
    return rc;
}

static bool is_zero(const struct tg_record *record)
{
    static const struct tg_record zero;

    return memcmp(record, &zero, sizeof(zero)) == 0;
}

static uint64_t seq_of(const struct tg_record *record, uint64_t slots, uint64_t slot)
{
    if (is_zero(record))
        return 0;
    if (memcmp(record->magic, record_magic, sizeof(record_magic)) != 0 ||
        record->sum != block_sum(record) || record->seq % slots != slot || record->seq == 0)
        return TG_CORRUPT;
    return record->seq;
}

int tg_ring_scan(int fd, uint64_t slots, uint64_t *seqs)
{
    struct tg_record *chunk = aligned_alloc(TG_BLOCK, SCAN_BLOCKS * TG_BLOCK);
    int rc = chunk ? 0 : -1;

    for (uint64_t slot = 0; rc == 0 && slot < slots; slot += SCAN_BLOCKS) {
        uint64_t count = slots - slot < SCAN_BLOCKS ? slots - slot : SCAN_BLOCKS;

        rc = read_all(fd, chunk, count * TG_BLOCK, tg_ring_offset(slot, slots));
        for (uint64_t i = 0; rc == 0 && i < count; i++)
            seqs[slot + i] = seq_of(&chunk[i], slots, slot + i);
    }
    free(chunk);
    return rc;
}

uint64_t tg_ring_highest(const uint64_t *seqs, uint64_t slots)
{
    uint64_t highest = 0;

    for (uint64_t slot = 0; slot < slots; slot++) {
        if (seqs[slot] != TG_CORRUPT && seqs[slot] > highest)
            highest = seqs[slot];
    }
    return highest;
}

struct tg_verdict tg_ring_judge(const uint64_t *seqs, uint64_t slots, uint64_t first, uint64_t last,
                                bool in_flight)
{
    struct tg_verdict verdict = {0};
    uint64_t oldest = last >= slots ? last - slots + 1 : 1;

    if (in_flight && last >= slots)
        oldest++; // its slot is the one that last + 1 goes to
    if (oldest < first)
        oldest = first;
    for (uint64_t seq = oldest; seq <= last; seq++) {
        uint64_t found = seqs[seq % slots];

        verdict.checked++;
        if (found == TG_CORRUPT)
            verdict.corrupt++;
        else if (found < seq)
            verdict.lost++;
        else if (found > seq)
            verdict.ahead++;
    }
    return verdict;
}
