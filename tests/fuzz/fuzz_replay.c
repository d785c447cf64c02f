// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log of a predecessor: opened, walked, worked on, opened again. The input: a byte of
// flags, a count, 128 bytes of superblock, the ring. Its checksums would keep a fuzzer outside, so
// it may ask for them to be made right.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "replay_int.h"

enum { CAPACITY = 8 << 10, HEADER = 2, SUPER_INPUT = 128, PIECES = 2 * CAPACITY / REPLAY_UNIT };
enum { RIGHT_SUPER = 1, RIGHT_ENTRIES = 2, RIGHT_BYTES = 4, CUT = 8 };
_Static_assert(sizeof(struct replay_super) <= SUPER_INPUT, "the superblock is in the input");

static struct {
    struct replay_super super;
    uint8_t pad[REPLAY_SUPER - sizeof(struct replay_super)];
    uint8_t ring[CAPACITY];
} file;

static char path[64];

struct piece {
    uint64_t offset, len;
    const uint8_t *data;
};
struct pieces {
    const struct replay *r;
    struct piece at[PIECES];
    size_t n;
};

static void remove_file(void)
{
    unlink(path);
}

static void make_super_right(void)
{
    struct replay_super *s = &file.super;
    s->magic = REPLAY_SUPER_MAGIC;
    s->version = REPLAY_VERSION;
    s->super_bytes = REPLAY_SUPER;
    s->capacity = CAPACITY;
    s->check = replay_super_check(s);
    s->flushed = replay_seal(replay_unseal(s->flushed) & 0xff);
    s->pos = replay_seal(replay_unseal(s->pos));
    s->id_slot &= 1;
    s->ids[s->id_slot].check = replay_id_check(&s->ids[s->id_slot].id);
}

// n entries from the tail on, of what stands there; the head where they end.
static void make_entries_right(unsigned n, bool right_bytes)
{
    static const uint32_t states[] = {REPLAY_ACKED, REPLAY_PENDING, REPLAY_ACKED, REPLAY_FREE};
    uint64_t tail = (replay_unseal(file.super.pos) >> REPLAY_POS_BITS) * REPLAY_UNIT % CAPACITY;
    uint64_t at = tail;
    bool wrapped = false;
    while (n-- > 0) {
        uint64_t limit = wrapped ? tail : CAPACITY;
        struct replay_entry *e = (struct replay_entry *)(file.ring + at);
        if (at >= limit)
            break;
        e->magic = REPLAY_ENTRY_MAGIC;
        e->kind = 1 + e->kind % 2;
        e->offset &= INT64_MAX >> 1;
        e->len = 1 + e->len % (e->kind == REPLAY_DATA ? CAPACITY / REPLAY_PART : INT64_MAX >> 1);
        e->state = states[e->state % 4];
        e->seq = replay_seal(1 + (replay_unseal(e->seq) & 0x1ff));
        if (right_bytes)
            e->bytes = replay_entry_bytes(e->kind, e->len);
        if (right_bytes && e->bytes > limit - at) {
            if (wrapped)
                break;
            e->kind = REPLAY_FILLER;
            e->state = REPLAY_FREE;
            e->bytes = CAPACITY - at;
        }
        e->check = replay_entry_check(e, at);
        if (e->bytes > limit - at || e->bytes % REPLAY_UNIT != 0 || e->bytes == 0)
            break;
        at += e->bytes;
        if (at == CAPACITY) {
            at = 0;
            wrapped = true;
        }
    }
    file.super.pos = replay_pos(tail, at);
}

static bool note(void *arg, uint64_t offset, uint64_t len, const uint8_t *data)
{
    struct pieces *p = arg;
    const struct piece *before = p->n > 0 ? &p->at[p->n - 1] : NULL;
    volatile uint8_t sink __attribute__((unused)) = 0;
    FUZZ_CHECK(p->n < PIECES && len > 0 && offset <= INT64_MAX && len <= INT64_MAX - offset);
    FUZZ_CHECK(!before || before->offset + before->len <= offset);
    if (data) {
        FUZZ_CHECK(data >= p->r->ring && len <= p->r->capacity &&
                   data + len <= p->r->ring + p->r->capacity);
        for (uint64_t i = 0; i < len; i++)
            sink ^= data[i];
    }
    p->at[p->n++] = (struct piece){offset, len, data};
    return true;
}

// By looking at all of them: the newest entry over a byte; of two as new, either.
static bool newest_is(const struct replay *r, uint64_t offset, const uint8_t *data)
{
    uint64_t newest = 0;
    bool is = false;
    for (uint64_t at = r->tail; at != r->head; at = replay_next(r, at)) {
        const struct replay_entry *e = replay_at(r, at);
        uint64_t seq = replay_unseal(e->seq);
        if (!replay_counts(r, e) || offset < e->offset || offset - e->offset >= e->len ||
            seq < newest)
            continue;
        const uint8_t *here =
            e->kind == REPLAY_DATA ? (const uint8_t *)(e + 1) + (offset - e->offset) : NULL;
        is = (seq == newest && is) || here == data;
        newest = seq;
    }
    return is;
}

static bool covered(const struct pieces *p, uint64_t offset)
{
    for (size_t i = 0; i < p->n; i++)
        if (offset >= p->at[i].offset && offset - p->at[i].offset < p->at[i].len)
            return true;
    return false;
}

static void check_walk(const struct replay *r)
{
    static struct pieces p;
    p.r = r;
    p.n = 0;
    replay_walk(r, note, &p);
    FUZZ_CHECK(p.n == 0 || replay_dirty(r));
    for (size_t i = 0; i < p.n; i++) {
        const struct piece *x = &p.at[i];
        FUZZ_CHECK(newest_is(r, x->offset, x->data));
        FUZZ_CHECK(newest_is(r, x->offset + x->len - 1, x->data ? x->data + x->len - 1 : NULL));
    }
    for (uint64_t at = r->tail; at != r->head; at = replay_next(r, at)) {
        const struct replay_entry *e = replay_at(r, at);
        if (replay_counts(r, e))
            FUZZ_CHECK(covered(&p, e->offset) && covered(&p, e->offset + e->len - 1));
    }
}

static void work(struct replay *r)
{
    struct replay_entry *e = replay_reserve_data(r, 100, 100);
    struct replay_entry *z = replay_reserve_zero(r, 150, 1000);
    if (e) {
        memset(replay_payload(e), 1, 100);
        replay_acknowledge(r, e);
    }
    if (z)
        replay_acknowledge(r, z);
    check_walk(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    bool found;
    if (fd < 0) {
        snprintf(path, sizeof path, "/dev/shm/drover-fuzz-replay-%d", (int)getpid());
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        atexit(remove_file);
        FUZZ_CHECK(fd >= 0);
    }
    if (size < HEADER + SUPER_INPUT || size > HEADER + SUPER_INPUT + CAPACITY)
        return 0;
    size_t ring_bytes = size - HEADER - SUPER_INPUT;
    memset(&file, 0, sizeof file);
    memcpy(&file, data + HEADER, SUPER_INPUT);
    memcpy(file.ring, data + HEADER + SUPER_INPUT, ring_bytes);
    if (data[0] & RIGHT_SUPER)
        make_super_right();
    if (data[0] & RIGHT_ENTRIES)
        make_entries_right(data[1], data[0] & RIGHT_BYTES);
    size_t len = data[0] & CUT ? REPLAY_SUPER + ring_bytes : sizeof file;
    FUZZ_CHECK(ftruncate(fd, (off_t)len) == 0 && pwrite(fd, &file, len, 0) == (ssize_t)len);

    struct replay *r = replay_open(path, CAPACITY, &found, NULL);
    if (!r)
        return 0;
    check_walk(r);
    work(r);
    bool dirty = replay_dirty(r);
    replay_close(r, false);
    r = replay_open(path, CAPACITY, &found, NULL);
    FUZZ_CHECK(r && found && replay_dirty(r) == dirty);
    check_walk(r);
    replay_flushed(r, replay_mark(r));
    FUZZ_CHECK(replay_used(r) == 0 && !replay_dirty(r));
    replay_close(r, false);
    return 0;
}
