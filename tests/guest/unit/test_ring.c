// SPDX-License-Identifier: GPL-3.0-or-later
// The judge of rings must see every kind of loss, and nothing where nothing is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../common/ring.h"

enum { SLOTS = 16 };

// A ring after records first to last were written in turn.
static void fill(uint64_t seqs[SLOTS], uint64_t first, uint64_t last)
{
    memset(seqs, 0, SLOTS * sizeof(seqs[0]));
    for (uint64_t seq = first; seq <= last; seq++)
        seqs[seq % SLOTS] = seq;
}

static void assert_clean(struct tg_verdict verdict, uint64_t checked)
{
    assert_int_equal(verdict.checked, checked);
    assert_int_equal(verdict.lost + verdict.corrupt + verdict.ahead, 0);
}

static void a_whole_ring_is_clean(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    for (uint64_t last = 0; last < 5 * SLOTS; last++) {
        fill(seqs, 1, last);
        assert_clean(tg_ring_judge(seqs, SLOTS, 1, last, false), last < SLOTS ? last : SLOTS);
        assert_int_equal(tg_ring_highest(seqs, SLOTS), last);
    }
}

static void every_missing_record_is_lost(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    for (uint64_t missing = 25; missing <= 40; missing++) {
        fill(seqs, 1, 40);
        seqs[missing % SLOTS] = missing - SLOTS; // what it should have overwritten
        assert_int_equal(tg_ring_judge(seqs, SLOTS, 1, 40, false).lost, 1);
        seqs[missing % SLOTS] = 0;
        assert_int_equal(tg_ring_judge(seqs, SLOTS, 1, 40, false).lost, 1);
    }
}

static void a_newest_record_that_only_the_log_knows_is_lost(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    fill(seqs, 1, 40);
    assert_int_equal(tg_ring_judge(seqs, SLOTS, 1, 42, true).lost, 2);
}

static void only_the_slot_in_flight_may_be_corrupt(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    for (uint64_t torn = 0; torn < SLOTS; torn++) {
        struct tg_verdict verdict;

        fill(seqs, 1, 40);
        seqs[torn] = TG_CORRUPT;
        assert_int_equal(tg_ring_highest(seqs, SLOTS), torn == 40 % SLOTS ? 39 : 40);
        verdict = tg_ring_judge(seqs, SLOTS, 1, 40, true);
        assert_int_equal(verdict.checked, SLOTS - 1);
        assert_int_equal(verdict.corrupt, torn == 41 % SLOTS ? 0 : 1);
        assert_int_equal(tg_ring_judge(seqs, SLOTS, 1, 40, false).corrupt, 1);
    }
}

static void records_before_the_ring_are_not_asked_for(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    fill(seqs, 38, 40);
    assert_clean(tg_ring_judge(seqs, SLOTS, 38, 40, false), 3);
}

static void a_record_from_the_future_shows(void **state)
{
    uint64_t seqs[SLOTS];

    (void)state;
    fill(seqs, 1, 41);
    assert_int_equal(tg_ring_judge(seqs, SLOTS, 1, 40, false).ahead, 1);
}

// ---- on a disk ----

static int make_disk(uint64_t first, uint64_t last)
{
    int fd = memfd_create("disk", 0);
    struct tg_header header;
    struct tg_record record;

    assert_return_code(fd, 0);
    assert_return_code(ftruncate(fd, (off_t)tg_ring_end(SLOTS)), 0);
    tg_header_fill(&header, SLOTS, first);
    assert_int_equal(pwrite(fd, &header, sizeof(header), (off_t)TG_RING_BASE), sizeof(header));
    for (uint64_t seq = first; seq <= last; seq++) {
        tg_record_fill(&record, seq, seq);
        assert_int_equal(pwrite(fd, &record, sizeof(record), tg_ring_offset(seq, SLOTS)),
                         sizeof(record));
    }
    return fd;
}

static void what_was_written_is_read(void **state)
{
    int fd = make_disk(1, 40);
    uint64_t slots, first, seqs[SLOTS], wanted[SLOTS];

    (void)state;
    assert_int_equal(tg_ring_load(fd, &slots, &first), 1);
    assert_int_equal(slots, SLOTS);
    assert_int_equal(first, 1);
    assert_int_equal(tg_ring_scan(fd, SLOTS, seqs), 0);
    fill(wanted, 1, 40);
    assert_memory_equal(seqs, wanted, sizeof(seqs));
    close(fd);
}

static void any_changed_byte_makes_a_record_corrupt(void **state)
{
    int fd = make_disk(1, 3);
    uint64_t seqs[SLOTS];

    (void)state;
    for (off_t byte = 0; byte < (off_t)TG_BLOCK; byte += 61) {
        unsigned char was, now;

        assert_int_equal(pread(fd, &was, 1, tg_ring_offset(2, SLOTS) + byte), 1);
        now = was ^ 1;
        assert_int_equal(pwrite(fd, &now, 1, tg_ring_offset(2, SLOTS) + byte), 1);
        assert_int_equal(tg_ring_scan(fd, SLOTS, seqs), 0);
        assert_true(seqs[2] == TG_CORRUPT && seqs[1] == 1 && seqs[3] == 3 && seqs[4] == 0);
        assert_int_equal(pwrite(fd, &was, 1, tg_ring_offset(2, SLOTS) + byte), 1);
    }
    close(fd);
}

static void a_whole_record_in_another_slot_is_corrupt(void **state)
{
    int fd = make_disk(1, 3);
    struct tg_record record;
    uint64_t seqs[SLOTS];

    (void)state;
    tg_record_fill(&record, 7, 0);
    assert_int_equal(pwrite(fd, &record, sizeof(record), tg_ring_offset(2, SLOTS)), sizeof(record));
    assert_int_equal(tg_ring_scan(fd, SLOTS, seqs), 0);
    assert_true(seqs[2] == TG_CORRUPT);
    close(fd);
}

static void a_disk_without_a_ring_has_none_and_a_short_one_is_an_error(void **state)
{
    int fd = memfd_create("disk", 0);
    uint64_t slots, first;

    (void)state;
    assert_int_equal(tg_ring_load(fd, &slots, &first), -1);
    assert_return_code(ftruncate(fd, (off_t)tg_ring_end(SLOTS)), 0);
    assert_int_equal(tg_ring_load(fd, &slots, &first), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_ring_is_clean),
        cmocka_unit_test(every_missing_record_is_lost),
        cmocka_unit_test(a_newest_record_that_only_the_log_knows_is_lost),
        cmocka_unit_test(only_the_slot_in_flight_may_be_corrupt),
        cmocka_unit_test(records_before_the_ring_are_not_asked_for),
        cmocka_unit_test(a_record_from_the_future_shows),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(any_changed_byte_makes_a_record_corrupt),
        cmocka_unit_test(a_whole_record_in_another_slot_is_corrupt),
        cmocka_unit_test(a_disk_without_a_ring_has_none_and_a_short_one_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
