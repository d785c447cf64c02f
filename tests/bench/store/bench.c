// SPDX-License-Identifier: GPL-3.0-or-later
// See bench.h.
#include "bench.h"

#include "drover/util.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const ops[] = {"read",  "write",   "seqread", "seqwrite",
                                  "flush", "durable", "fill"};

void bench_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("store-bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(EXIT_FAILURE);
}

static void usage(void)
{
    fputs("usage: store-bench direct|nbd OPTIONS, store-bench-smbclient OPTIONS\n"
          "       store-bench call --socket PATH --call JSON\n"
          "  --url smb://SERVER/SHARE/FILE | --socket PATH [--server-pid PID]\n"
          "  --op read|write|seqread|seqwrite|flush|durable|fill\n"
          "  --block BYTES (4096) --qd N (1) --seconds S (1.5) --size MIB (256)\n"
          "  --no-encryption --no-signing (libsmbclient) --flush-every MIB (direct)\n",
          stderr);
    exit(2);
}

static enum bench_op op_of(const char *name)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(ops); i++)
        if (strcmp(name, ops[i]) == 0)
            return (enum bench_op)i;
    usage();
    return BENCH_READ;
}

static void check(const struct bench *b)
{
    if (b->qd < 1 || b->qd > BENCH_QD_MAX || b->block_bytes < 512 || b->block_bytes > 1 << 20 ||
        b->size_bytes < b->block_bytes || b->seconds <= 0 || (!b->url && !b->socket))
        usage();
}

void bench_options(struct bench *b, int argc, char **argv)
{
    enum { URL = 256, SOCKET, OP, BLOCK, QD, SECONDS, SIZE, FLUSH, PID, CALL, PLAIN, UNSIGNED };
    static const struct option options[] = {{"url", required_argument, NULL, URL},
                                            {"socket", required_argument, NULL, SOCKET},
                                            {"op", required_argument, NULL, OP},
                                            {"block", required_argument, NULL, BLOCK},
                                            {"qd", required_argument, NULL, QD},
                                            {"seconds", required_argument, NULL, SECONDS},
                                            {"size", required_argument, NULL, SIZE},
                                            {"flush-every", required_argument, NULL, FLUSH},
                                            {"server-pid", required_argument, NULL, PID},
                                            {"call", required_argument, NULL, CALL},
                                            {"no-encryption", no_argument, NULL, PLAIN},
                                            {"no-signing", no_argument, NULL, UNSIGNED},
                                            {0}};
    *b = (struct bench){.block_bytes = 4096,
                        .qd = 1,
                        .seconds = 1.5,
                        .size_bytes = 256 << 20,
                        .random = 88172645463325252};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case URL:
            b->url = optarg;
            break;
        case SOCKET:
            b->socket = optarg;
            break;
        case OP:
            b->op = op_of(optarg);
            break;
        case BLOCK:
            b->block_bytes = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case QD:
            b->qd = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case SECONDS:
            b->seconds = strtod(optarg, NULL);
            break;
        case SIZE:
            b->size_bytes = strtoull(optarg, NULL, 10) << 20;
            break;
        case FLUSH:
            b->flush_bytes = strtoull(optarg, NULL, 10) << 20;
            break;
        case PID:
            b->server_pid = (pid_t)strtol(optarg, NULL, 10);
            break;
        case CALL:
            b->call = optarg;
            break;
        case PLAIN:
            b->no_encryption = true;
            break;
        case UNSIGNED:
            b->no_signing = true;
            break;
        default:
            usage();
        }
    }
    if (optind < argc)
        b->target = argv[optind];
    check(b);
    b->histogram = drv_xcalloc(BENCH_US_MAX + 1, sizeof b->histogram[0]);
}

// --- of another process ---

static uint64_t ticks_of(pid_t pid) // user and system time: fields 14 and 15, proc(5)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("/proc/%d/stat", (int)pid);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    char line[1024];
    if (!f || !fgets(line, sizeof line, f) || !strrchr(line, ')'))
        bench_die("%s cannot be read", path);
    unsigned long long user = 0, sys = 0;
    if (sscanf(strrchr(line, ')') + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu",
               &user, &sys) != 2)
        bench_die("%s is not as proc(5) says", path);
    return user + sys;
}

static long rss_kib(pid_t pid)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("/proc/%d/statm", (int)pid);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    long pages = 0;
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        bench_die("%s cannot be read", path);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// --- the run ---

void bench_begin(struct bench *b)
{
    if (b->server_pid)
        b->server_ticks = ticks_of(b->server_pid);
    getrusage(RUSAGE_SELF, &b->usage);
    b->begin_us = b->end_us = drv_now_us();
    b->until_us = b->begin_us + (int64_t)(b->seconds * 1e6);
}

bool bench_more(const struct bench *b)
{
    if (b->op == BENCH_FILL)
        return b->sequence * b->block_bytes < b->size_bytes;
    return b->end_us < b->until_us;
}

uint64_t bench_offset(struct bench *b)
{
    uint64_t blocks = b->size_bytes / b->block_bytes;
    if (b->op == BENCH_SEQ_READ || b->op == BENCH_SEQ_WRITE || b->op == BENCH_FILL)
        return b->sequence++ % blocks * b->block_bytes;
    b->random ^= b->random << 13; // xorshift64
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random % blocks * b->block_bytes;
}

bool bench_writes(const struct bench *b)
{
    return b->op != BENCH_READ && b->op != BENCH_SEQ_READ;
}

bool bench_flushes(const struct bench *b)
{
    return b->op == BENCH_FLUSH || b->op == BENCH_DURABLE;
}

void bench_count(struct bench *b, int64_t started_us)
{
    b->end_us = drv_now_us();
    int64_t us = b->end_us - started_us;
    b->histogram[us < 0 ? 0 : us > BENCH_US_MAX ? BENCH_US_MAX : us]++;
    b->done++;
}

static unsigned percentile(const struct bench *b, double share)
{
    uint64_t want = (uint64_t)((double)b->done * share), sum = 0;
    for (unsigned us = 0; us <= BENCH_US_MAX; us++)
        if ((sum += b->histogram[us]) > want)
            return us;
    return BENCH_US_MAX;
}

static double seconds_of(const struct timeval *from, const struct timeval *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_usec - from->tv_usec) / 1e6;
}

void bench_print(struct bench *b)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    double wall_s = (double)(b->end_us - b->begin_us) / 1e6;
    double cpu_s = seconds_of(&b->usage.ru_utime, &now.ru_utime) +
                   seconds_of(&b->usage.ru_stime, &now.ru_stime);
    long rss = rss_kib(getpid());
    if (b->server_pid) {
        cpu_s += (double)(ticks_of(b->server_pid) - b->server_ticks) / (double)sysconf(_SC_CLK_TCK);
        rss = rss_kib(b->server_pid);
    }
    if (b->done == 0)
        bench_die("nothing was done");
    double n = (double)b->done, gb = n * b->block_bytes / 1e9;
    printf("{\"op\":\"%s\",\"qd\":%u,\"block\":%u,\"n\":%.0f,\"iops\":%.1f,\"mb_s\":%.2f,"
           "\"p50_us\":%u,\"p99_us\":%u,\"cpu_us_per_op\":%.2f,\"cpu_s_per_gb\":%.4f,"
           "\"rss_kib\":%ld}\n",
           ops[b->op], b->qd, b->block_bytes, n, n / wall_s, gb * 1e3 / wall_s, percentile(b, 0.5),
           percentile(b, 0.99), cpu_s * 1e6 / n, cpu_s / gb, rss);
    free(b->histogram);
}

void *bench_buffer(const struct bench *b)
{
    uint8_t *p = drv_xcalloc(1, b->block_bytes);
    for (uint32_t i = 0; i < b->block_bytes; i++)
        p[i] = (uint8_t)(i * 7 + 1);
    return p;
}
