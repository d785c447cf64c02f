// SPDX-License-Identifier: GPL-3.0-or-later
// What the benchmark's programs share: options, where to read and write next, and the figures as
// one line of JSON. One thread.
#ifndef DROVER_BENCH_H
#define DROVER_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum bench_op {
    BENCH_READ,     // at random
    BENCH_WRITE,    // at random
    BENCH_SEQ_READ, // in order, around and around
    BENCH_SEQ_WRITE,
    BENCH_FLUSH,   // write, flush: the flush alone is timed
    BENCH_DURABLE, // write, flush: one operation
    BENCH_FILL,    // write all of the file once
};

enum { BENCH_US_MAX = 200 * 1000, BENCH_QD_MAX = 128 };

struct bench {
    const char *target, *url, *socket, *call;
    enum bench_op op;
    uint32_t block_bytes;
    unsigned qd;
    double seconds;
    uint64_t size_bytes;
    uint64_t flush_bytes; // direct: flush after so many were written; 0: never
    pid_t server_pid;     // NBD: its CPU and memory are counted, too
    bool no_encryption, no_signing;
    // private
    int64_t begin_us, end_us, until_us;
    uint64_t sequence, random, done, server_ticks;
    struct rusage usage;
    uint32_t *histogram; // of latencies, one slot a microsecond
};

// Exits with 2 after a message when they are wrong.
void bench_options(struct bench *b, int argc, char **argv);
void bench_begin(struct bench *b);
bool bench_more(const struct bench *b);
uint64_t bench_offset(struct bench *b);
bool bench_writes(const struct bench *b);  // every operation begins with a write
bool bench_flushes(const struct bench *b); // and goes on with a flush
void bench_count(struct bench *b, int64_t started_us);
void bench_print(struct bench *b);
void *bench_buffer(const struct bench *b); // one block, filled
_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int bench_direct(struct bench *b);
int bench_nbd(struct bench *b);
int bench_call(const struct bench *b);

#endif
