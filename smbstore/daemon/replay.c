// SPDX-License-Identifier: GPL-3.0-or-later
// The replay log: making it or taking it over, and the ring. Its bytes and the order in which they
// are written: replay_int.h. What is to be written again: replay_walk.c.
#include "replay_int.h"

#include "drover/util.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// All stores before it in the program are done before it, all after it later. Only the compiler
// could do otherwise: the next reader starts when this process is gone.
#define PUBLISH(word, value)                                                                       \
    do {                                                                                           \
        atomic_signal_fence(memory_order_seq_cst);                                                 \
        atomic_store_explicit((word), (value), memory_order_release);                              \
        atomic_signal_fence(memory_order_seq_cst);                                                 \
    } while (0)

static uint64_t keep_bytes(const struct replay *r)
{
    return r->capacity < REPLAY_KEEP_BYTES ? r->capacity : REPLAY_KEEP_BYTES;
}

// Memory for the ring's first `bytes`. Returns 0 or an errno.
static int allocate(struct replay *r, uint64_t bytes)
{
    int rc;
    if (bytes <= r->backed)
        return 0;
    do
        rc = fallocate(r->fd, 0, (off_t)(REPLAY_SUPER + r->backed), (off_t)(bytes - r->backed));
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return errno;
    r->backed = bytes;
    r->grown = bytes > keep_bytes(r);
    return 0;
}

// The same in larger steps, so that it is rarely a system call.
static bool back(struct replay *r, uint64_t bytes)
{
    uint64_t step = (bytes + REPLAY_KEEP_BYTES - 1) / REPLAY_KEEP_BYTES * REPLAY_KEEP_BYTES;
    uint64_t page = (bytes + REPLAY_SUPER - 1) / REPLAY_SUPER * REPLAY_SUPER;
    if (bytes <= r->backed)
        return true;
    if (step > r->capacity)
        step = r->capacity;
    return allocate(r, step) == 0 || allocate(r, page) == 0;
}

// --- the ring ---

static void publish_pos(struct replay *r)
{
    PUBLISH(&r->super->pos, replay_pos(r->tail, r->head));
}

// Give the room of entries that are gone back, from the oldest on.
static void advance(struct replay *r)
{
    uint64_t tail = r->tail;
    while (r->tail != r->head) {
        const struct replay_entry *e = replay_at(r, r->tail);
        uint32_t state = atomic_load_explicit(&e->state, memory_order_relaxed);
        if (state == REPLAY_PENDING || replay_counts(r, e))
            break;
        r->tail = replay_next(r, r->tail);
    }
    if (r->tail == tail)
        return;
    if (r->tail == r->head)
        r->tail = r->head = 0;
    publish_pos(r);
}

// Not yet part of the ring: `pos` does not cover it.
static struct replay_entry *put_head(struct replay *r, uint64_t at, enum replay_kind kind,
                                     uint64_t offset, uint64_t len, uint64_t bytes)
{
    struct replay_entry *e = replay_at(r, at);
    e->magic = REPLAY_ENTRY_MAGIC;
    e->offset = offset;
    e->len = len;
    e->bytes = bytes;
    e->kind = kind;
    e->check = replay_entry_check(e, at);
    e->reserved = 0;
    atomic_store_explicit(&e->seq, replay_seal(0), memory_order_relaxed);
    atomic_store_explicit(&e->state, kind == REPLAY_FILLER ? REPLAY_FREE : REPLAY_PENDING,
                          memory_order_relaxed);
    return e;
}

// Where an entry of that size goes: at the head, or at 0 with a filler before it. The head never
// catches up with the tail, as that would be an empty ring.
static bool find_room(const struct replay *r, uint64_t bytes, uint64_t *ret_at)
{
    *ret_at = r->head;
    if (r->head < r->tail)
        return bytes < r->tail - r->head;
    if (bytes < r->capacity - r->head || (bytes == r->capacity - r->head && r->tail > 0))
        return true;
    *ret_at = 0;
    return bytes < r->tail;
}

static struct replay_entry *reserve(struct replay *r, enum replay_kind kind, uint64_t offset,
                                    uint64_t len)
{
    uint64_t bytes = replay_entry_bytes(kind, len), at;
    assert(len > 0 && offset <= INT64_MAX && len <= INT64_MAX - offset);
    if ((kind == REPLAY_DATA && len > r->capacity / REPLAY_PART) || !find_room(r, bytes, &at) ||
        !back(r, at == r->head ? at + bytes : r->head + REPLAY_UNIT))
        return NULL;
    if (at != r->head)
        put_head(r, r->head, REPLAY_FILLER, 0, 0, r->capacity - r->head);
    struct replay_entry *e = put_head(r, at, kind, offset, len, bytes);
    r->head = replay_next(r, at);
    publish_pos(r);
    return e;
}

struct replay_entry *replay_reserve_data(struct replay *r, uint64_t offset, uint32_t len)
{
    return reserve(r, REPLAY_DATA, offset, len);
}

struct replay_entry *replay_reserve_zero(struct replay *r, uint64_t offset, uint64_t len)
{
    return reserve(r, REPLAY_ZERO, offset, len);
}

uint8_t *replay_payload(struct replay_entry *e)
{
    return e->kind == REPLAY_DATA ? (uint8_t *)(e + 1) : NULL;
}

void replay_drop(struct replay *r, struct replay_entry *e)
{
    assert(atomic_load_explicit(&e->state, memory_order_relaxed) == REPLAY_PENDING);
    PUBLISH(&e->state, REPLAY_FREE);
    advance(r);
}

void replay_acknowledge(struct replay *r, struct replay_entry *e)
{
    (void)r;
    assert(atomic_load_explicit(&e->state, memory_order_relaxed) == REPLAY_PENDING);
    r->seq++;
    PUBLISH(&e->seq, replay_seal(r->seq));
    PUBLISH(&e->state, REPLAY_ACKED);
}

uint64_t replay_mark(const struct replay *r)
{
    return r->seq;
}

void replay_flushed(struct replay *r, uint64_t mark)
{
    assert(mark <= r->seq);
    if (mark <= r->flushed)
        return;
    r->flushed = mark;
    PUBLISH(&r->super->flushed, replay_seal(mark));
    advance(r);
}

bool replay_dirty(const struct replay *r)
{
    return r->seq > r->flushed;
}

size_t replay_used(const struct replay *r)
{
    return r->head >= r->tail ? r->head - r->tail : r->capacity - r->tail + r->head;
}

size_t replay_capacity(const struct replay *r)
{
    return r->capacity;
}

void replay_trim(struct replay *r)
{
    uint64_t keep = keep_bytes(r);
    if (r->head != r->tail || !r->grown || r->capacity == keep)
        return;
    // Where that fails, the memory stays.
    if (fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(REPLAY_SUPER + keep),
                  (off_t)(r->capacity - keep)) < 0)
        return;
    r->backed = keep;
    r->grown = false;
}

// --- what it belongs to ---

void replay_set_id(struct replay *r, const struct replay_id *id)
{
    struct replay_id was;
    replay_get_id(r, &was);
    if (was.volume_id == id->volume_id && was.file_id == id->file_id)
        return;
    assert(!replay_dirty(r));
    uint32_t slot = !atomic_load_explicit(&r->super->id_slot, memory_order_relaxed);
    r->super->ids[slot].id = *id;
    r->super->ids[slot].check = replay_id_check(id);
    PUBLISH(&r->super->id_slot, slot);
}

void replay_get_id(const struct replay *r, struct replay_id *ret)
{
    *ret = r->super->ids[atomic_load_explicit(&r->super->id_slot, memory_order_relaxed)].id;
}

// --- making it ---

static void make(struct replay *r)
{
    struct replay_super *s = r->super;
    s->version = REPLAY_VERSION;
    s->super_bytes = REPLAY_SUPER;
    s->capacity = r->capacity;
    s->check = replay_super_check(s);
    s->ids[0].check = replay_id_check(&s->ids[0].id); // of zeros, as the file is
    atomic_store_explicit(&s->flushed, replay_seal(0), memory_order_relaxed);
    publish_pos(r);
    s->magic = REPLAY_SUPER_MAGIC;
    atomic_signal_fence(memory_order_seq_cst);
}

// --- taking it over ---

static int damaged(const struct replay *r, struct drv_err *err, const char *what)
{
    drv_err(err, DRV_EATTENTION, "replay log %s: %s", r->path, what);
    return drv_err_hint(err, "it may hold writes that the guest was told are done; to go on "
                             "without them, shut the VM down and move the file away");
}

static int check_super(struct replay *r, struct drv_err *err)
{
    const struct replay_super *s = r->super;
    uint64_t pos = atomic_load_explicit(&s->pos, memory_order_relaxed);
    uint64_t flushed = atomic_load_explicit(&s->flushed, memory_order_relaxed);
    uint32_t slot = atomic_load_explicit(&s->id_slot, memory_order_relaxed);
    if (s->magic != REPLAY_SUPER_MAGIC)
        return damaged(r, err, "not one (wrong magic)");
    if (s->check != replay_super_check(s))
        return damaged(r, err, "damaged (superblock)");
    if (s->version != REPLAY_VERSION || s->super_bytes != REPLAY_SUPER)
        return damaged(r, err, "of another version of drover");
    if (s->capacity != r->capacity)
        return damaged(r, err, "its size is not the one it was made with");
    if (slot > 1 || s->ids[slot].check != replay_id_check(&s->ids[slot].id))
        return damaged(r, err, "damaged (id)");
    r->tail = (replay_unseal(pos) >> REPLAY_POS_BITS) * REPLAY_UNIT;
    r->head = (pos & REPLAY_POS_MASK) * REPLAY_UNIT;
    if (!replay_sealed(pos) || r->tail >= r->capacity || r->head >= r->capacity)
        return damaged(r, err, "damaged (positions)");
    r->flushed = replay_unseal(flushed);
    if (!replay_sealed(flushed) || r->flushed > REPLAY_SEAL_MASK / 2)
        return damaged(r, err, "damaged (flush mark)");
    r->seq = r->flushed;
    return 0;
}

// limit: where the stretch of the ring ends in which the entry must lie.
static bool entry_valid(const struct replay *r, const struct replay_entry *e, uint64_t at,
                        uint64_t limit)
{
    if (e->magic != REPLAY_ENTRY_MAGIC || e->check != replay_entry_check(e, at) ||
        e->bytes < REPLAY_UNIT || e->bytes > limit - at)
        return false;
    uint32_t state = atomic_load_explicit(&e->state, memory_order_relaxed);
    if (e->kind == REPLAY_FILLER)
        return state == REPLAY_FREE && at + e->bytes == r->capacity;
    if ((e->kind != REPLAY_DATA && e->kind != REPLAY_ZERO) || e->len == 0 ||
        e->offset > INT64_MAX || e->len > INT64_MAX - e->offset ||
        (e->kind == REPLAY_DATA && e->len > r->capacity / REPLAY_PART) ||
        e->bytes != replay_entry_bytes(e->kind, e->len))
        return false;
    return state == REPLAY_PENDING || state == REPLAY_FREE || state == REPLAY_ACKED;
}

// From the tail to the head, round the end at most once.
static int check_ring(struct replay *r, struct drv_err *err)
{
    bool to_end = r->head < r->tail;
    for (uint64_t at = r->tail; at != r->head || to_end;) {
        const struct replay_entry *e = replay_at(r, at);
        if (!entry_valid(r, e, at, to_end ? r->capacity : r->head))
            return damaged(r, err, "damaged (entry)");
        if (atomic_load_explicit(&e->state, memory_order_relaxed) == REPLAY_ACKED) {
            uint64_t word = atomic_load_explicit(&e->seq, memory_order_relaxed);
            uint64_t seq = replay_unseal(word);
            if (!replay_sealed(word) || seq == 0 || seq > REPLAY_SEAL_MASK / 2)
                return damaged(r, err, "damaged (order of entries)");
            if (seq > r->seq)
                r->seq = seq;
        }
        at = replay_next(r, at);
        if (at == 0)
            to_end = false;
    }
    return 0;
}

static int take_over(struct replay *r, struct drv_err *err)
{
    if (check_super(r, err) < 0)
        return -1;
    // It had this memory all along, unless somebody made the file up.
    int rc = allocate(r, r->head < r->tail ? r->capacity : r->head);
    if (rc != 0)
        return drv_err_os(err, rc, "replay log %s", r->path);
    r->grown = true; // perhaps; replay_trim() will see to it
    if (check_ring(r, err) < 0)
        return -1;
    // Its client got no answer to these and asks again.
    for (uint64_t at = r->tail; at != r->head; at = replay_next(r, at)) {
        struct replay_entry *e = replay_at(r, at);
        if (atomic_load_explicit(&e->state, memory_order_relaxed) == REPLAY_PENDING)
            PUBLISH(&e->state, REPLAY_FREE);
    }
    advance(r);
    return 0;
}

// --- the file ---

// Opened and locked, and still the one at that path: a predecessor may remove it in between.
static int open_locked(const char *path, struct stat *ret_st, struct drv_err *err)
{
    for (int tries = 0; tries < 10; tries++) {
        DRV_AUTO_CLOSE int fd =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        struct stat named;
        if (fd < 0)
            return drv_err_os(err, errno, "replay log %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                break;
            return drv_err_os(err, errno, "replay log %s: lock", path);
        }
        if (fstat(fd, ret_st) < 0)
            return drv_err_os(err, errno, "replay log %s", path);
        if (!S_ISREG(ret_st->st_mode))
            return drv_err(err, DRV_EINVAL, "replay log %s: not a file", path);
        if (lstat(path, &named) == 0 && named.st_ino == ret_st->st_ino &&
            named.st_dev == ret_st->st_dev) {
            int locked = fd;
            fd = -1;
            return locked;
        }
    }
    return drv_err(err, DRV_EBUSY, "replay log %s: another process has it", path);
}

// Nobody has ever used it: its maker was ended before it wrote the superblock's magic, without
// which no entry can be. The first entry ever is at the ring's start, which replay_trim() keeps.
static bool never_made(int fd, off_t size)
{
    uint64_t super, entry;
    return size == 0 ||
           (pread(fd, &super, sizeof super, 0) == sizeof super && super == 0 &&
            pread(fd, &entry, sizeof entry, REPLAY_SUPER) == sizeof entry && entry == 0);
}

static int map(struct replay *r, struct drv_err *err)
{
    void *at = mmap(NULL, REPLAY_SUPER + r->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (at == MAP_FAILED)
        return drv_err_os(err, errno, "replay log %s: map", r->path);
    r->super = at;
    r->ring = (uint8_t *)at + REPLAY_SUPER;
    return 0;
}

static int start(struct replay *r, off_t size, size_t capacity_bytes, bool *ret_found,
                 struct drv_err *err)
{
    bool fresh = never_made(r->fd, size);
    if (!fresh && (size < (off_t)(REPLAY_SUPER + REPLAY_CAPACITY_MIN) || size % REPLAY_SUPER != 0 ||
                   size > (off_t)(REPLAY_SUPER + REPLAY_CAPACITY_MAX)))
        return damaged(r, err, "not one (of no possible size)");
    r->capacity = fresh ? capacity_bytes : (size_t)size - REPLAY_SUPER;
    if (fresh &&
        (ftruncate(r->fd, 0) < 0 || ftruncate(r->fd, (off_t)(REPLAY_SUPER + r->capacity)) < 0))
        return drv_err_os(err, errno, "replay log %s", r->path);
    int rc = fallocate(r->fd, 0, 0, REPLAY_SUPER) < 0 ? errno : allocate(r, keep_bytes(r));
    if (rc != 0)
        return drv_err_os(err, rc, "replay log %s", r->path);
    if (map(r, err) < 0)
        return -1;
    if (fresh)
        make(r);
    else if (take_over(r, err) < 0)
        return -1;
    *ret_found = !fresh;
    return 0;
}

struct replay *replay_open(const char *path, size_t capacity_bytes, bool *ret_found,
                           struct drv_err *err)
{
    struct stat st;
    if (capacity_bytes % REPLAY_SUPER != 0 || capacity_bytes < REPLAY_CAPACITY_MIN ||
        capacity_bytes > REPLAY_CAPACITY_MAX) {
        drv_err(err, DRV_EINVAL, "replay log %s: capacity of %zu bytes", path, capacity_bytes);
        return NULL;
    }
    int fd = open_locked(path, &st, err);
    if (fd < 0)
        return NULL;
    struct replay *r = drv_xcalloc(1, sizeof *r);
    r->fd = fd;
    r->path = drv_xstrdup(path);
    if (start(r, st.st_size, capacity_bytes, ret_found, err) == 0)
        return r;
    replay_close(r, false);
    return NULL;
}

void replay_close(struct replay *r, bool remove_file)
{
    if (!r)
        return;
    if (r->super)
        munmap(r->super, REPLAY_SUPER + r->capacity);
    if (remove_file)
        unlink(r->path); // before the lock goes
    close(r->fd);
    free(r->path);
    free(r);
}
