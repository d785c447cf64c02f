// SPDX-License-Identifier: GPL-3.0-or-later
// What a replay log must give back: acknowledgements in their order, painted one over the other
// onto a small volume. Simple and slow, to compare with.
#ifndef TESTS_REPLAY_MODEL_H
#define TESTS_REPLAY_MODEL_H

#include "replay.h"
#include <stdint.h>
#include <string.h>

enum { VOLUME = 32 << 10, NOTHING = -1, ZEROS = 256 };

struct ack {
    uint32_t offset, len, fill;
    bool zero;
};

struct model {
    struct ack acks[1 << 14];
    size_t n, flushed; // acks[flushed..n] are in the log
};

struct picture {
    int16_t at[VOLUME]; // NOTHING, ZEROS or the byte
    bool wrong;         // a piece lay outside, was empty, or met another one
    uint64_t end;       // of the piece before
};

// xorshift64*: the same everywhere for a seed.
static inline uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * UINT64_C(2685821657736338717) >> 32);
}

static inline uint32_t below(uint64_t *state, uint32_t n)
{
    return next_random(state) % n;
}

static inline uint8_t content(uint32_t fill, uint32_t offset)
{
    return (uint8_t)((fill * 2654435761U) >> 24 ^ (offset * 37 + (offset >> 8)));
}

static inline void fill_payload(uint8_t *payload, const struct ack *a)
{
    for (uint32_t i = 0; i < a->len; i++)
        payload[i] = content(a->fill, a->offset + i);
}

static inline void model_acknowledge(struct model *m, const struct ack *a)
{
    if (m->n == sizeof m->acks / sizeof m->acks[0]) {
        m->n -= m->flushed;
        memmove(m->acks, m->acks + m->flushed, m->n * sizeof m->acks[0]);
        m->flushed = 0;
    }
    m->acks[m->n++] = *a;
}

static inline void model_paint(const struct model *m, struct picture *ret)
{
    for (size_t i = 0; i < VOLUME; i++)
        ret->at[i] = NOTHING;
    for (size_t k = m->flushed; k < m->n; k++) {
        const struct ack *a = &m->acks[k];
        for (uint32_t i = 0; i < a->len; i++)
            ret->at[a->offset + i] =
                a->zero ? (int16_t)ZEROS : (int16_t)content(a->fill, a->offset + i);
    }
}

static inline bool paint_piece(void *arg, uint64_t offset, uint64_t len, const uint8_t *data)
{
    struct picture *p = arg;
    if (len == 0 || offset < p->end || offset > VOLUME || len > VOLUME - offset) {
        p->wrong = true;
        return false;
    }
    for (uint64_t i = 0; i < len; i++)
        p->at[offset + i] = data ? (int16_t)data[i] : (int16_t)ZEROS;
    p->end = offset + len;
    return true;
}

// The log gives exactly what the model has.
static inline bool model_matches(const struct model *m, const struct replay *r)
{
    static struct picture want, got;
    got.wrong = false;
    got.end = 0;
    for (size_t i = 0; i < VOLUME; i++)
        got.at[i] = NOTHING;
    model_paint(m, &want);
    replay_walk(r, paint_piece, &got);
    return !got.wrong && memcmp(want.at, got.at, sizeof want.at) == 0;
}

#endif
