// SPDX-License-Identifier: GPL-3.0-or-later
// Any NBD server on a unix socket, through libnbd, with qd requests under way.
#include "bench.h"

#include "drover/util.h"
#include <libnbd.h>
#include <stdlib.h>

struct slot {
    struct slot *next; // in the list of those whose answer has come
    struct run *run;
    uint8_t *buf;
    int64_t started_us;
    bool flushing;
};

struct run {
    struct bench *b;
    struct nbd_handle *nbd;
    struct slot *answered;
    unsigned active;
};

// libnbd holds its lock: no calls from here.
static int completed(void *arg, int *error)
{
    struct slot *s = arg;
    if (*error)
        bench_die("NBD: error %d", *error);
    s->next = s->run->answered;
    s->run->answered = s;
    return 1;
}

static void sent(int64_t cookie)
{
    if (cookie < 0)
        bench_die("NBD: %s", nbd_get_error());
}

static void go(struct slot *s)
{
    struct run *run = s->run;
    struct bench *b = run->b;
    nbd_completion_callback done = {.callback = completed, .user_data = s};
    if (!bench_more(b)) {
        run->active--;
        return;
    }
    s->flushing = false;
    s->started_us = drv_now_us();
    if (bench_writes(b))
        sent(nbd_aio_pwrite(run->nbd, s->buf, b->block_bytes, bench_offset(b), done, 0));
    else
        sent(nbd_aio_pread(run->nbd, s->buf, b->block_bytes, bench_offset(b), done, 0));
}

static void answer(struct slot *s)
{
    struct bench *b = s->run->b;
    if (bench_flushes(b) && !s->flushing) {
        s->flushing = true;
        if (b->op == BENCH_FLUSH)
            s->started_us = drv_now_us();
        sent(nbd_aio_flush(s->run->nbd,
                           (nbd_completion_callback){.callback = completed, .user_data = s}, 0));
        return;
    }
    bench_count(b, s->started_us);
    go(s);
}

int bench_nbd(struct bench *b)
{
    struct run run = {.b = b, .nbd = nbd_create()};
    DRV_AUTO_FREE struct slot *slots = drv_xcalloc(b->qd, sizeof *slots);
    if (!run.nbd || nbd_set_pread_initialize(run.nbd, false) < 0 ||
        nbd_connect_unix(run.nbd, b->socket) < 0)
        bench_die("NBD: %s", nbd_get_error());
    bench_begin(b);
    run.active = b->qd;
    for (unsigned i = 0; i < b->qd; i++) {
        slots[i] = (struct slot){.run = &run, .buf = bench_buffer(b)};
        go(&slots[i]);
    }
    while (run.active > 0) {
        if (!run.answered && nbd_poll(run.nbd, -1) < 0)
            bench_die("NBD: %s", nbd_get_error());
        struct slot *s = run.answered;
        run.answered = NULL;
        while (s) {
            struct slot *next = s->next;
            answer(s);
            s = next;
        }
    }
    bench_print(b);
    nbd_shutdown(run.nbd, 0);
    nbd_close(run.nbd);
    for (unsigned i = 0; i < b->qd; i++)
        free(slots[i].buf);
    return EXIT_SUCCESS;
}
