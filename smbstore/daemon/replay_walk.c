// SPDX-License-Identifier: GPL-3.0-or-later
// The newest content of every range: a sweep by offset. Entries start in order of offset; of those
// that cover the place where the sweep is, a heap gives the newest. O(n log n), and ranges come out
// in an order that a server likes.
#include "replay_int.h"

#include "drover/util.h"
#include <stdlib.h>

struct span {
    uint64_t start, end, seq;
    const uint8_t *data; // of its start; NULL: zeros
};

struct sweep {
    struct span *spans; // by start
    size_t n;
    const struct span **heap; // started and perhaps ended; the newest first
    size_t n_heap;
};

// The piece that is not yet given out, as it may go on.
struct output {
    replay_piece *piece;
    void *arg;
    const struct span *from;
    uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static void heap_push(struct sweep *s, const struct span *span)
{
    size_t i = s->n_heap++;
    for (; i > 0 && s->heap[(i - 1) / 2]->seq < span->seq; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = span;
}

static void heap_pop(struct sweep *s)
{
    const struct span *last = s->heap[--s->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->n_heap; i = child) {
        if (child + 1 < s->n_heap && s->heap[child + 1]->seq > s->heap[child]->seq)
            child++;
        if (s->heap[child]->seq <= last->seq)
            break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
}

static bool give(struct output *o)
{
    const uint8_t *data = NULL;
    if (!o->from)
        return true;
    if (o->from->data)
        data = o->from->data + (o->start - o->from->start);
    return o->piece(o->arg, o->start, o->end - o->start, data);
}

static bool add(struct output *o, const struct span *from, uint64_t start, uint64_t end)
{
    if (o->from && o->end == start && (o->from == from || (!o->from->data && !from->data))) {
        o->end = end;
        return true;
    }
    bool go_on = give(o);
    o->from = from;
    o->start = start;
    o->end = end;
    return go_on;
}

static void sweep(struct sweep *s, struct output *o)
{
    uint64_t at = 0;
    for (size_t i = 0;;) {
        while (s->n_heap > 0 && s->heap[0]->end <= at)
            heap_pop(s);
        if (s->n_heap == 0 && i < s->n)
            at = s->spans[i].start;
        while (i < s->n && s->spans[i].start <= at)
            heap_push(s, &s->spans[i++]);
        if (s->n_heap == 0)
            break;
        // The newest here is the newest up to its end, or to where another starts.
        const struct span *newest = s->heap[0];
        uint64_t end = newest->end;
        if (i < s->n && s->spans[i].start < end)
            end = s->spans[i].start;
        if (!add(o, newest, at, end))
            return;
        at = end;
    }
    give(o);
}

void replay_walk(const struct replay *r, replay_piece *piece, void *arg)
{
    size_t n = 0;
    for (uint64_t at = r->tail; at != r->head; at = replay_next(r, at))
        n += replay_counts(r, replay_at(r, at));
    if (n == 0)
        return;
    DRV_AUTO_FREE struct span *spans = drv_xcalloc(n, sizeof *spans);
    DRV_AUTO_FREE const struct span **heap = drv_xcalloc(n, sizeof *heap);
    struct sweep s = {.spans = spans, .heap = heap};
    for (uint64_t at = r->tail; at != r->head; at = replay_next(r, at)) {
        const struct replay_entry *e = replay_at(r, at);
        if (replay_counts(r, e))
            spans[s.n++] = (struct span){
                .start = e->offset,
                .end = e->offset + e->len,
                .seq = replay_unseal(atomic_load_explicit(&e->seq, memory_order_relaxed)),
                .data = e->kind == REPLAY_DATA ? (const uint8_t *)(e + 1) : NULL,
            };
    }
    qsort(spans, n, sizeof *spans, by_start);
    struct output o = {.piece = piece, .arg = arg};
    sweep(&s, &o);
}
