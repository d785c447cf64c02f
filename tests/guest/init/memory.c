// SPDX-License-Identifier: GPL-3.0-or-later
// A working set of memory that changes at a known rate and whose every byte can be checked.
//
// Page i begins with three words: a magic, its number and generation, and the complement of that
// word. The rest is derived from the page's number and the generation in which it was last written
// in full, so it does not compress, never repeats, and a page that went missing in a migration
// shows.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "../common/ring.h"
#include "guest.h"

enum {
    PAGE = 4096,
    PAGE_WORDS = PAGE / 8,
    HEAD_WORDS = 3,
    STEP_MS = 4,
    KEEP_FREE_MIB = 24, // for the kernel: a guest that runs out panics
};

#define MOST_OWED (200 * NS_PER_S / 1000)

static const char page_magic[8] = "DROVMEM1";

static struct {
    pthread_mutex_t lock; // guards all but the atomics
    uint64_t (*pages)[PAGE_WORDS];
    uint32_t *generation; // of each page's head
    uint32_t *full;       // of each page's body
    uint64_t count;
    uint64_t next; // page to write next
    _Atomic uint64_t pages_per_s;
    _Atomic bool whole_pages;
    _Atomic uint64_t dirtied;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t body_key(uint64_t page, uint32_t generation)
{
    return tg_mix(page << 32 | generation);
}

// The body's words in order, from key as body_key() gives it.
static uint64_t next_word(uint64_t *key)
{
    *key += UINT64_C(0x9e3779b97f4a7c15);
    return *key ^ (*key >> 29);
}

static void write_page(uint64_t page, bool whole)
{
    uint64_t *words = memory.pages[page];
    uint32_t generation = ++memory.generation[page];

    if (whole) {
        uint64_t key = body_key(page, generation);

        for (int i = HEAD_WORDS; i < PAGE_WORDS; i++)
            words[i] = next_word(&key);
        memory.full[page] = generation;
    }
    memcpy(&words[0], page_magic, sizeof(page_magic));
    words[1] = page << 32 | generation;
    words[2] = ~words[1];
}

static bool page_is_right(uint64_t page)
{
    const uint64_t *words = memory.pages[page];
    uint64_t head = page << 32 | memory.generation[page];
    uint64_t key = body_key(page, memory.full[page]);

    if (memcmp(&words[0], page_magic, sizeof(page_magic)) != 0 || words[1] != head ||
        words[2] != ~head)
        return false;
    for (int i = HEAD_WORDS; i < PAGE_WORDS; i++) {
        if (words[i] != next_word(&key))
            return false;
    }
    return true;
}

_Noreturn static void *dirty_forever(void *unused)
{
    uint64_t last = guest_now_ns();
    uint64_t owed = 0; // pages times nanoseconds

    (void)unused;
    for (;;) {
        uint64_t rate = memory.pages_per_s;
        uint64_t now, elapsed;

        guest_sleep_ms(rate ? STEP_MS : 5 * STEP_MS);
        now = guest_now_ns();
        elapsed = now - last;
        last = now;
        owed += (elapsed < MOST_OWED ? elapsed : MOST_OWED) * rate;
        pthread_mutex_lock(&memory.lock);
        for (; owed >= NS_PER_S && memory.count > 0; owed -= NS_PER_S) {
            write_page(memory.next, memory.whole_pages);
            memory.next = (memory.next + 1) % memory.count;
            memory.dirtied++;
        }
        pthread_mutex_unlock(&memory.lock);
        owed %= NS_PER_S;
    }
}

void memory_start(void)
{
    guest_thread(dirty_forever, NULL);
}

static void release_set(void)
{
    if (memory.pages)
        munmap(memory.pages, memory.count * PAGE);
    free(memory.generation);
    free(memory.full);
    memory.pages = NULL;
    memory.generation = memory.full = NULL;
    memory.count = memory.next = 0;
}

// With the old set released and the lock held.
static int fill_set(uint64_t mib, char why[GUEST_TEXT])
{
    uint64_t count = mib * (MIB / PAGE);
    struct sysinfo info;
    uint64_t free_mib;

    if (sysinfo(&info) != 0)
        memset(&info, 0, sizeof(info));
    free_mib = (uint64_t)info.freeram * info.mem_unit / MIB;
    if (mib > free_mib || free_mib - mib < KEEP_FREE_MIB) {
        snprintf(why, GUEST_TEXT, "%llu MiB are free and %d of them must stay so",
                 (unsigned long long)free_mib, KEEP_FREE_MIB);
        return -1;
    }
    memory.generation = calloc(count, sizeof(*memory.generation));
    memory.full = calloc(count, sizeof(*memory.full));
    memory.pages =
        mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory.pages == MAP_FAILED)
        memory.pages = NULL;
    if (!memory.generation || !memory.full || !memory.pages) {
        snprintf(why, GUEST_TEXT, "no memory");
        memory.count = count; // what release_set() unmaps
        release_set();
        return -1;
    }
    for (uint64_t page = 0; page < count; page++)
        write_page(page, true);
    memory.count = count;
    return 0;
}

int memory_set(uint64_t mib, char why[GUEST_TEXT])
{
    int rc = 0;

    pthread_mutex_lock(&memory.lock);
    release_set();
    if (mib > 0)
        rc = fill_set(mib, why);
    pthread_mutex_unlock(&memory.lock);
    return rc;
}

void memory_dirty(uint64_t mib_per_s, bool full)
{
    memory.whole_pages = full;
    memory.dirtied = 0;
    memory.pages_per_s = mib_per_s * (MIB / PAGE);
}

uint64_t memory_check(uint64_t *ret_pages)
{
    uint64_t bad = 0;

    pthread_mutex_lock(&memory.lock);
    for (uint64_t page = 0; page < memory.count; page++)
        bad += !page_is_right(page);
    *ret_pages = memory.count;
    pthread_mutex_unlock(&memory.lock);
    return bad;
}

uint64_t memory_dirtied(void)
{
    return memory.dirtied;
}
