// SPDX-License-Identifier: GPL-3.0-or-later
// A replay log whose file was damaged, cut or put there by somebody else: it is refused and left
// alone, or what it gives is right.
#include "replay_rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES = REPLAY_SUPER + SMALL };

static void write_file(const uint8_t *bytes, size_t len)
{
    DRV_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), (ssize_t)len);
}

static void read_file(uint8_t *bytes)
{
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, FILE_BYTES, 0), FILE_BYTES);
}

// A ring that has wrapped, with an entry of each state and kind.
static void make_sample(uint8_t *file, struct model *m)
{
    memset(m, 0, sizeof *m);
    struct replay *r = new_log(SMALL);
    replay_set_id(r, &(struct replay_id){.volume_id = 3, .file_id = 4});
    for (uint32_t i = 0; i < 5; i++)
        write_now(r, m, (struct ack){.offset = i * 50, .len = 1400, .fill = i});
    replay_flushed(r, 3);
    m->flushed = 3;
    assert_true(put(r, &(struct ack){.offset = 0, .len = 1000, .fill = 8}) != NULL);
    write_now(r, m, (struct ack){.offset = 700, .len = 300, .zero = true});
    struct replay_entry *e = put(r, &(struct ack){.offset = 0, .len = 100, .fill = 9});
    put(r, &(struct ack){.offset = 0, .len = 100, .fill = 9});
    replay_drop(r, e);
    write_now(r, m, (struct ack){.offset = 720, .len = 100, .fill = 10});
    assert_true(r->head < r->tail);
    replay_close(r, false);
    read_file(file);
}

// The damaged file is refused and left alone, or what it gives is the same as without the damage.
static bool refused_or_right(const uint8_t *file, const struct model *m)
{
    static uint8_t after[FILE_BYTES];
    struct drv_err err = DRV_ERR_INIT;
    bool found = false;
    write_file(file, FILE_BYTES);
    struct replay *r = replay_open(path, SMALL, &found, &err);
    if (!r) {
        assert_int_equal(err.code, DRV_EATTENTION);
        read_file(after);
        assert_memory_equal(file, after, FILE_BYTES);
        return true;
    }
    assert_true(found);
    assert_true(model_matches(m, r));
    replay_close(r, false);
    return false;
}

// Calls it for the superblock and each head of the ring.
static unsigned for_each_head(uint8_t *file, const struct model *m,
                              unsigned damage(uint8_t *, size_t, size_t, const struct model *))
{
    unsigned n = damage(file, 0, sizeof(struct replay_super), m);
    for (size_t at = REPLAY_SUPER; at < FILE_BYTES; at += REPLAY_UNIT) {
        struct replay_entry e;
        memcpy(&e, file + at, sizeof e);
        if (e.magic == REPLAY_ENTRY_MAGIC && e.check == replay_entry_check(&e, at - REPLAY_SUPER))
            n += damage(file, at, sizeof e, m);
    }
    return n;
}

static unsigned flip_bits(uint8_t *file, size_t at, size_t len, const struct model *m)
{
    unsigned n = 0;
    for (size_t bit = at * 8; bit < (at + len) * 8; bit++) {
        file[bit / 8] ^= (uint8_t)(1U << bit % 8);
        n += refused_or_right(file, m);
        file[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    return n;
}

static unsigned change_words(uint8_t *file, size_t at, size_t len, const struct model *m)
{
    uint64_t seed = 77 + at;
    unsigned n = 0;
    for (size_t word = at; word < at + len; word += 4) {
        uint32_t was, now;
        memcpy(&was, file + word, sizeof was);
        for (int i = 0; i < 12; i++) {
            now = i == 0   ? 0
                  : i == 1 ? UINT32_MAX
                  : i < 6  ? was + (uint32_t)i - 3
                           : next_random(&seed);
            memcpy(file + word, &now, sizeof now);
            n += refused_or_right(file, m);
        }
        memcpy(file + word, &was, sizeof was);
    }
    return n;
}

static void damage_is_refused_or_makes_no_difference(void **state)
{
    (void)state;
    static uint8_t file[FILE_BYTES];
    static struct model m;
    make_sample(file, &m);
    assert_false(refused_or_right(file, &m));
    assert_true(for_each_head(file, &m, flip_bits) > 3000);
    assert_true(for_each_head(file, &m, change_words) > 1000);
    unlink(path);
}

static void file_of_another_size_or_kind_is_refused(void **state)
{
    (void)state;
    static uint8_t file[FILE_BYTES * 2];
    static struct model m;
    make_sample(file, &m);
    const size_t sizes[] = {
        1, 64, 4095, 4096, 4097, 8192, FILE_BYTES - 1, FILE_BYTES + 1, FILE_BYTES * 2};
    for (size_t i = 0; i < DRV_ARRAY_LEN(sizes); i++) {
        write_file(file, sizes[i]);
        refused(SMALL, DRV_EATTENTION);
    }
    memset(file, 'x', sizeof file);
    write_file(file, FILE_BYTES);
    refused(SMALL, DRV_EATTENTION);
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    struct drv_err err = DRV_ERR_INIT;
    bool found;
    assert_null(replay_open(path, SMALL, &found, &err));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(SMALL, DRV_EINVAL);
    unlink(path);
}

static void log_that_was_never_made_whole_is_made_anew(void **state)
{
    (void)state;
    static uint8_t file[FILE_BYTES];
    struct replay *r = new_log(SMALL);
    replay_close(r, false);
    read_file(file);
    memset(file, 0, 8);
    write_file(file, FILE_BYTES);
    replay_close(open_log(SMALL, false), false);
    write_file(file, 0);
    replay_close(open_log(SMALL, false), false);
    // Not so once something has been in it.
    r = open_log(SMALL, true);
    replay_acknowledge(r, replay_reserve_zero(r, 0, 1));
    replay_close(r, false);
    read_file(file);
    memset(file, 0, 8);
    write_file(file, FILE_BYTES);
    refused(SMALL, DRV_EATTENTION);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_refused_or_makes_no_difference),
        cmocka_unit_test(file_of_another_size_or_kind_is_refused),
        cmocka_unit_test(log_that_was_never_made_whole_is_made_anew),
    };
    snprintf(path, sizeof path, "/dev/shm/drover-test-replay-damage-%d", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
