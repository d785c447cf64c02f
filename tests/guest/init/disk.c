// SPDX-License-Identifier: GPL-3.0-or-later
// Writers of records, one per disk: each record goes out with O_DIRECT, is made durable by
// fdatasync and only then announced.  Whoever hears of a record may hold the disk to it.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/ring.h"
#include "guest.h"

enum {
    DEFAULT_SLOTS = 4096,
    IDLE_MS = 10,
    RETRY_MS = 100, // after a failed write
};

struct disk {
    pthread_mutex_t lock; // guards the ring and the records below
    char name[TG_DISK_NAME];
    unsigned index;
    int fd;
    uint64_t size;  // bytes
    uint64_t slots; // 0 while there is no ring
    uint64_t first;
    uint64_t seq; // last acknowledged, first - 1 when none is
    uint64_t errors;
    uint64_t max_latency_ns;
    struct tg_record *record; // one block, aligned for O_DIRECT
    _Atomic uint64_t per_s;
};

static struct disk disks[TG_MAX_DISKS];
static unsigned disk_count;

static int say(char why[GUEST_TEXT], const struct disk *disk, const char *what)
{
    snprintf(why, GUEST_TEXT, "%s: %s", disk->name, what);
    return -1;
}

// ---- records ----

static void announce(const struct disk *disk, bool hello)
{
    struct tg_ack ack = {
        .hello = hello, .slots = disk->slots, .first = disk->first, .seq = disk->seq};

    memcpy(ack.disk, disk->name, sizeof(ack.disk));
    acks_publish(disk->index, &ack);
}

static int write_block(const struct disk *disk, const void *block, off_t offset)
{
    return pwrite(disk->fd, block, TG_BLOCK, offset) == (ssize_t)TG_BLOCK &&
                   fdatasync(disk->fd) == 0
               ? 0
               : -1;
}

static void write_next(struct disk *disk)
{
    uint64_t start = guest_now_ns();
    uint64_t seq = disk->seq + 1;
    uint64_t latency;

    tg_record_fill(disk->record, seq, start);
    if (write_block(disk, disk->record, tg_ring_offset(seq, disk->slots)) != 0) {
        disk->errors++;
        printf("%s: record %" PRIu64 ": %s\n", disk->name, seq, strerror(errno));
        return;
    }
    disk->seq = seq;
    latency = guest_now_ns() - start;
    if (latency > disk->max_latency_ns)
        disk->max_latency_ns = latency;
    announce(disk, false);
}

_Noreturn static void *write_forever(void *arg)
{
    struct disk *disk = arg;

    for (;;) {
        uint64_t per_s = disk->per_s;
        uint64_t start = guest_now_ns();
        uint64_t errors, spent;

        if (per_s == 0) {
            guest_sleep_ms(IDLE_MS);
            continue;
        }
        pthread_mutex_lock(&disk->lock);
        errors = disk->errors;
        write_next(disk);
        errors = disk->errors - errors;
        pthread_mutex_unlock(&disk->lock);
        spent = guest_now_ns() - start;
        if (errors > 0)
            guest_sleep_ms(RETRY_MS);
        else if (spent < NS_PER_S / per_s)
            guest_sleep_ns(NS_PER_S / per_s - spent);
    }
}

// ---- the ring ----

static int begin_ring(struct disk *disk, uint64_t slots, char why[GUEST_TEXT])
{
    struct tg_header *header = (struct tg_header *)disk->record;

    if (slots < TG_MIN_SLOTS || slots > TG_MAX_SLOTS)
        return say(why, disk, "a ring has 16 to 65536 slots");
    if (tg_ring_end(slots) > disk->size)
        return say(why, disk, "too small for this ring, which begins at 32 MiB");
    tg_header_fill(header, slots, disk->seq + 1);
    if (write_block(disk, header, (off_t)TG_RING_BASE) != 0)
        return say(why, disk, strerror(errno));
    disk->slots = slots;
    disk->first = disk->seq + 1;
    announce(disk, true);
    return 0;
}

// The sequence numbers on disk, or NULL with errno.  The caller frees them.
static uint64_t *scan_ring(const struct disk *disk)
{
    uint64_t *seqs = calloc(disk->slots, sizeof(*seqs));

    if (seqs && tg_ring_scan(disk->fd, disk->slots, seqs) != 0) {
        free(seqs);
        return NULL;
    }
    return seqs;
}

// Takes up the ring that an earlier boot left.
static void continue_ring(struct disk *disk)
{
    uint64_t slots, first, highest;
    uint64_t *seqs;

    if (disk->size < tg_ring_end(TG_MIN_SLOTS) || tg_ring_load(disk->fd, &slots, &first) != 1 ||
        tg_ring_end(slots) > disk->size)
        return;
    disk->slots = slots;
    disk->first = first;
    seqs = scan_ring(disk);
    if (!seqs)
        guest_power_off("cannot read the ring of a disk");
    highest = tg_ring_highest(seqs, slots);
    disk->seq = highest >= first ? highest : first - 1;
    free(seqs);
    announce(disk, true);
}

static bool open_disk(struct disk *disk, unsigned index)
{
    char path[16];

    snprintf(disk->name, sizeof(disk->name), "vd%c", 'a' + (char)index);
    snprintf(path, sizeof(path), "/dev/%s", disk->name);
    disk->index = index;
    disk->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (disk->fd < 0)
        return false;
    disk->record = aligned_alloc(TG_BLOCK, TG_BLOCK);
    if (!disk->record || ioctl(disk->fd, BLKGETSIZE64, &disk->size) != 0)
        guest_power_off("cannot size a disk");
    pthread_mutex_init(&disk->lock, NULL);
    return true;
}

void disk_start(void)
{
    while (disk_count < TG_MAX_DISKS && open_disk(&disks[disk_count], disk_count)) {
        struct disk *disk = &disks[disk_count++];

        continue_ring(disk);
        guest_thread(write_forever, disk);
    }
}

struct disk *disk_at(unsigned index)
{
    return index < disk_count ? &disks[index] : NULL;
}

struct disk *disk_find(const char *name)
{
    for (unsigned i = 0; i < disk_count; i++) {
        if (strcmp(disks[i].name, name) == 0)
            return &disks[i];
    }
    return NULL;
}

const char *disk_name(const struct disk *disk)
{
    return disk->name;
}

int disk_write(struct disk *disk, uint64_t per_s, uint64_t slots, char why[GUEST_TEXT])
{
    int rc = 0;

    pthread_mutex_lock(&disk->lock);
    if (slots == 0)
        slots = disk->slots ? disk->slots : DEFAULT_SLOTS;
    if (slots != disk->slots && (per_s > 0 || disk->slots))
        rc = begin_ring(disk, slots, why);
    if (rc == 0)
        disk->per_s = per_s;
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

int disk_verify(struct disk *disk, char answer[GUEST_TEXT])
{
    struct tg_verdict verdict;
    uint64_t *seqs;
    int rc = -1;

    pthread_mutex_lock(&disk->lock);
    if (disk->slots == 0) {
        say(answer, disk, "nothing was written yet");
    } else if (!(seqs = scan_ring(disk))) {
        say(answer, disk, strerror(errno));
    } else {
        verdict = tg_ring_judge(seqs, disk->slots, disk->first, disk->seq, false);
        free(seqs);
        snprintf(answer, GUEST_TEXT,
                 "checked=%" PRIu64 " lost=%" PRIu64 " corrupt=%" PRIu64 " ahead=%" PRIu64
                 " seq=%" PRIu64,
                 verdict.checked, verdict.lost, verdict.corrupt, verdict.ahead, disk->seq);
        rc = verdict.lost || verdict.corrupt || verdict.ahead ? -1 : 0;
    }
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

void disk_stat(struct disk *disk, struct disk_stat *ret_stat)
{
    pthread_mutex_lock(&disk->lock);
    ret_stat->seq = disk->seq;
    ret_stat->errors = disk->errors;
    ret_stat->max_lat_us = disk->max_latency_ns / 1000;
    disk->max_latency_ns = 0;
    pthread_mutex_unlock(&disk->lock);
}

// ---- bulk data, past the ring ----

// Checks a range of MiB against the disk and, if it is to be changed, against the ring.
static int check_range(struct disk *disk, uint64_t offset, uint64_t length, bool change,
                       char why[GUEST_TEXT])
{
    uint64_t end;

    pthread_mutex_lock(&disk->lock);
    end = tg_ring_end(disk->slots ? disk->slots : DEFAULT_SLOTS);
    pthread_mutex_unlock(&disk->lock);
    if (offset > disk->size / MIB || length > disk->size / MIB - offset)
        return say(why, disk, "past the end of the disk");
    if (change && offset * MIB < end)
        return say(why, disk, "would hit the boot files or the ring");
    return 0;
}

static void fill_mib(uint64_t *words, uint64_t seed, uint64_t number)
{
    uint64_t key = tg_mix(seed << 32 | number);

    for (size_t i = 0; i < MIB / sizeof(*words); i++) {
        key += UINT64_C(0x9e3779b97f4a7c15);
        words[i] = key ^ (key >> 29);
    }
}

int disk_fill(struct disk *disk, uint64_t offset, uint64_t length, uint64_t seed,
              char why[GUEST_TEXT])
{
    uint64_t *words;
    int rc = check_range(disk, offset, length, true, why);

    if (rc != 0)
        return rc;
    words = aligned_alloc(TG_BLOCK, MIB);
    if (!words)
        return say(why, disk, "no memory");
    for (uint64_t i = offset; rc == 0 && i < offset + length; i++) {
        fill_mib(words, seed, i);
        if (pwrite(disk->fd, words, MIB, (off_t)(i * MIB)) != (ssize_t)MIB)
            rc = say(why, disk, strerror(errno));
    }
    if (rc == 0 && fdatasync(disk->fd) != 0)
        rc = say(why, disk, strerror(errno));
    free(words);
    return rc;
}

int disk_discard(struct disk *disk, uint64_t offset, uint64_t length, char why[GUEST_TEXT])
{
    uint64_t range[2] = {offset * MIB, length * MIB};

    if (check_range(disk, offset, length, true, why) != 0)
        return -1;
    if (ioctl(disk->fd, BLKDISCARD, range) != 0)
        return say(why, disk, strerror(errno));
    return 0;
}

int disk_sum(struct disk *disk, uint64_t offset, uint64_t length, uint64_t *ret_sum,
             char why[GUEST_TEXT])
{
    uint64_t *words;
    uint64_t sum = 0;
    int rc = check_range(disk, offset, length, false, why);

    if (rc != 0)
        return rc;
    words = aligned_alloc(TG_BLOCK, MIB);
    if (!words)
        return say(why, disk, "no memory");
    for (uint64_t i = offset; rc == 0 && i < offset + length; i++) {
        if (pread(disk->fd, words, MIB, (off_t)(i * MIB)) != (ssize_t)MIB)
            rc = say(why, disk, strerror(errno));
        for (size_t j = 0; rc == 0 && j < MIB / sizeof(*words); j++)
            sum = tg_mix(sum ^ words[j]);
    }
    *ret_sum = sum;
    free(words);
    return rc;
}
