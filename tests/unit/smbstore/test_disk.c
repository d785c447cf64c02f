// SPDX-License-Identifier: GPL-3.0-or-later
// The data path of a disk, promise by promise. At random: test_disk_chance.c, test_disk_model.c.
#include "disk_rig.h"

#include <errno.h>

static void a_write_is_answered_when_the_server_has_it(void **state)
{
    (void)state;
    struct ask a;
    ask(&a, NBD_OP_WRITE, 4096, 4096, 7);
    assert_false(a.done);
    answer(0);
    assert_true(a.done && a.errnum == 0);
    assert_int_equal(fs.now[4096], 7);
    assert_true(replay_dirty(rlog));
}

static void changes_of_the_same_bytes_are_never_under_way_together(void **state)
{
    (void)state;
    struct ask a, b, c, d;
    ask(&a, NBD_OP_WRITE, 0, 8192, 1);
    ask(&b, NBD_OP_WRITE, 4096, 8192, 2);
    ask(&c, NBD_OP_ZERO, 8192, 512, 0);
    ask(&d, NBD_OP_WRITE, 65536, 512, 4);
    assert_int_equal(fs.n, 2); // a and d
    answer(0);
    assert_int_equal(fs.n, 2); // d and b; c waits for b
    answer(1);
    answer_all();
    assert_true(a.done && b.done && c.done && d.done);
    assert_int_equal(fs.now[4095], 1);
    assert_int_equal(fs.now[4096], 2);
    assert_int_equal(fs.now[8192], 0);
}

static void a_flush_covers_only_what_was_answered_before_it_was_sent(void **state)
{
    (void)state;
    struct ask a, b, f;
    ask(&a, NBD_OP_WRITE, 0, 512, 1);
    answer(0);
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    ask(&b, NBD_OP_WRITE, 512, 512, 2);
    answer(1); // b, while the flush is under way
    assert_true(b.done && !f.done);
    answer(0);
    assert_true(f.done);
    assert_true(replay_dirty(rlog)); // b is still in the log
    crash();
    disk_detach(disk);
    recover();
    assert_int_equal(fs.durable[0], 1);
    assert_int_equal(fs.durable[512], 2);
}

static void a_crashed_server_gets_back_the_newest_content_only(void **state)
{
    (void)state;
    struct ask a, b, z;
    ask(&a, NBD_OP_WRITE, 0, 16384, 1);
    answer_all();
    ask(&b, NBD_OP_WRITE, 4096, 4096, 2);
    answer_all();
    ask(&z, NBD_OP_TRIM, 8192, 4096, 0);
    answer_all();
    crash();
    disk_detach(disk);
    disk_replay(disk, conn, &fid, replayed, NULL);
    uint64_t written = 0;
    for (unsigned i = 0; i < fs.n; i++)
        written += fs.ops[i].op == OP_WRITE || fs.ops[i].op == OP_ZERO ? fs.ops[i].len : 0;
    assert_int_equal(written, 16384); // each byte once
    while (fs.n)
        answer(fs.n - 1); // in any order
    assert_int_equal(replay_status, SMB2_OK);
    assert_int_equal(fs.durable[0], 1);
    assert_int_equal(fs.durable[4096], 2);
    assert_int_equal(fs.durable[8192], 0);
    assert_int_equal(fs.durable[12288], 1);
    assert_false(replay_dirty(rlog));
}

static void requests_wait_without_a_handle_and_go_out_with_the_next(void **state)
{
    (void)state;
    struct ask w, r, after;
    ask(&w, NBD_OP_WRITE, 0, 4096, 9);
    lose_connection(0);
    ask(&r, NBD_OP_READ, 0, 4096, 0);
    ask(&after, NBD_OP_WRITE, 8192, 512, 3);
    assert_false(w.done || r.done || after.done);
    assert_int_equal(fs.n, 0);
    recover();
    assert_true(fs.n > 0);
    answer_all();
    assert_true(w.done && !w.errnum && r.done && !r.errnum && after.done && !after.errnum);
    assert_int_equal(fs.now[0], 9);
}

static void reads_wait_until_the_log_is_replayed(void **state)
{
    (void)state;
    struct ask w, r;
    ask(&w, NBD_OP_WRITE, 0, 4096, 9);
    answer_all();
    crash();
    disk_detach(disk);
    ask(&r, NBD_OP_READ, 0, 4096, 0);
    disk_replay(disk, conn, &fid, replayed, NULL);
    for (unsigned i = 0; i < fs.n; i++)
        assert_int_not_equal(fs.ops[i].op, OP_READ);
    answer_all();
    disk_attach(disk, conn, &fid);
    answer_all();
    assert_int_equal(r.data[0], 9);
}

static void a_failed_flush_writes_all_again_and_flushes_once_more(void **state)
{
    (void)state;
    struct ask w, f;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 1;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer_all();
    assert_true(f.done && f.errnum == 0);
    assert_int_equal(fs.flushes, 2);
    assert_int_equal(fs.durable[0], 5);
    assert_int_equal(broken_status, 0);
}

static void a_flush_that_failed_just_before_an_outage_is_answered_after_it(void **state)
{
    (void)state;
    struct ask w, f;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 1;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer(0);
    lose_connection(0); // while all is written again
    assert_false(f.done);
    recover();
    answer_all();
    assert_true(f.done && f.errnum == 0);
    assert_int_equal(fs.durable[0], 5);
}

static void a_second_failed_flush_is_an_error_for_good(void **state)
{
    (void)state;
    struct ask w, f, later;
    ask(&w, NBD_OP_WRITE, 0, 4096, 5);
    answer_all();
    fs.fail_flushes = 2;
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    answer_all();
    assert_true(f.done && f.errnum == EIO);
    assert_int_equal(broken_status, BROKEN);
    ask(&later, NBD_OP_READ, 0, 512, 0);
    assert_true(later.done && later.errnum == EIO);
    assert_true(replay_dirty(rlog)); // for a person
}

static void zeroes_that_must_be_durable_wait_for_a_flush(void **state)
{
    (void)state;
    struct ask z;
    memset(fs.now, 1, DISK);
    prepare_ask(&z, NBD_OP_ZERO, 0, 4096, 0);
    z.r.fua = true;
    disk_nbd_ops.submit(disk, &z.r);
    answer(0);
    assert_false(z.done);
    answer_all();
    assert_true(z.done && !z.errnum);
    assert_int_equal(fs.durable[0], 0);
}

static void a_full_log_makes_writes_wait_and_empties_itself(void **state)
{
    (void)state;
    enum { CHUNK = 32 * 1024, N = LOG / CHUNK };
    struct ask *asks = drv_xcalloc(N, sizeof *asks), extra;
    unsigned sent = 0;
    while (sent < N && ask(&asks[sent], NBD_OP_WRITE, (sent * CHUNK) % DISK, CHUNK, 1))
        sent++;
    assert_true(sent > 0 && sent < N);
    answer_all();
    assert_true(fs.flushes > 0); // unasked
    assert_true(resumed > 0);
    assert_true(ask(&extra, NBD_OP_WRITE, 0, CHUNK, 2));
    answer_all();
    assert_true(extra.done && !extra.errnum);
    free(asks);
}

static void what_the_server_refuses_the_guest_hears(void **state)
{
    (void)state;
    struct ask w;
    fs.write_status = SMB2_S_DISK_FULL;
    ask(&w, NBD_OP_WRITE, 0, 512, 1);
    answer_all();
    assert_int_equal(w.errnum, ENOSPC);
    assert_false(replay_dirty(rlog)); // it is not acknowledged, and never replayed
}

static void nothing_is_written_that_may_not_be(void **state)
{
    (void)state;
    struct ask w, f;
    disk_set_writable(disk, false);
    ask(&w, NBD_OP_WRITE, 0, 512, 1);
    ask(&f, NBD_OP_FLUSH, 0, 0, 0);
    assert_true(w.done && w.errnum == EPERM);
    assert_true(f.done && f.errnum == 0); // nothing of ours is dirty
    assert_int_equal(fs.sent, 0);
}

static void all_fails_after_fail_and_works_after_heal(void **state)
{
    (void)state;
    struct ask under_way, waiting, later, again;
    ask(&under_way, NBD_OP_WRITE, 0, 512, 1);
    ask(&waiting, NBD_OP_WRITE, 0, 512, 2);
    disk_fail(disk);
    assert_true(waiting.done && waiting.errnum == EIO);
    cut(0);
    assert_true(under_way.done && under_way.errnum == EIO);
    ask(&later, NBD_OP_WRITE, 0, 512, 3);
    assert_true(later.done && later.errnum == EIO);
    disk_heal(disk);
    recover();
    ask(&again, NBD_OP_WRITE, 0, 512, 4);
    answer_all();
    assert_true(again.done && !again.errnum);
}

static void settling_waits_for_changes_and_makes_them_durable(void **state)
{
    (void)state;
    struct ask w;
    ask(&w, NBD_OP_WRITE, 0, 512, 6);
    disk_set_writable(disk, false);
    replay_status = BROKEN;
    disk_settle(disk, replayed, NULL);
    answer(0);
    assert_int_equal(replay_status, BROKEN); // the flush is still to come
    answer_all();
    assert_int_equal(replay_status, SMB2_OK);
    assert_int_equal(fs.durable[0], 6);
}

static void settling_fails_with_the_connection(void **state)
{
    (void)state;
    struct ask w;
    ask(&w, NBD_OP_WRITE, 0, 512, 6);
    disk_settle(disk, replayed, NULL);
    replay_status = SMB2_OK;
    lose_connection(0);
    assert_int_equal(replay_status, SMB2_S_LOST);
}

static void behind_the_end_of_the_file_there_are_zeros(void **state)
{
    (void)state;
    struct ask r;
    memset(fs.now, 1, DISK);
    fs.file_bytes = 4096;
    memset(r.data, 0xff, sizeof r.data);
    ask(&r, NBD_OP_READ, 2048, 4096, 0);
    answer_all();
    assert_true(r.done && !r.errnum);
    assert_int_equal(r.data[2047], 1);
    assert_int_equal(r.data[2048], 0);
    memset(r.data, 0xff, sizeof r.data);
    ask(&r, NBD_OP_READ, 8192, 512, 0);
    answer_all();
    assert_int_equal(r.data[0], 0);
}

static void status_tells_holes_and_data(void **state)
{
    (void)state;
    struct ask s;
    fs.ranges[0] = (struct smb2_range){8192, 4096};
    fs.ranges[1] = (struct smb2_range){12288, 4096};
    fs.n_ranges = 2;
    ask(&s, NBD_OP_STATUS, 4096, 65536, 0);
    answer_all();
    assert_int_equal(s.r.n_extents, 3);
    assert_true(s.extents[0].hole && s.extents[0].len == 4096);
    assert_true(!s.extents[1].hole && s.extents[1].len == 8192);
    assert_true(s.extents[2].hole && s.extents[2].len == 65536 - 12288);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_is_answered_when_the_server_has_it),
        TEST(changes_of_the_same_bytes_are_never_under_way_together),
        TEST(a_flush_covers_only_what_was_answered_before_it_was_sent),
        TEST(a_crashed_server_gets_back_the_newest_content_only),
        TEST(requests_wait_without_a_handle_and_go_out_with_the_next),
        TEST(reads_wait_until_the_log_is_replayed),
        TEST(a_failed_flush_writes_all_again_and_flushes_once_more),
        TEST(a_flush_that_failed_just_before_an_outage_is_answered_after_it),
        TEST(a_second_failed_flush_is_an_error_for_good),
        TEST(zeroes_that_must_be_durable_wait_for_a_flush),
        TEST(a_full_log_makes_writes_wait_and_empties_itself),
        TEST(what_the_server_refuses_the_guest_hears),
        TEST(nothing_is_written_that_may_not_be),
        TEST(all_fails_after_fail_and_works_after_heal),
        TEST(settling_waits_for_changes_and_makes_them_durable),
        TEST(settling_fails_with_the_connection),
        TEST(behind_the_end_of_the_file_there_are_zeros),
        TEST(status_tells_holes_and_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
