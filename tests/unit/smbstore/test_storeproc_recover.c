// SPDX-License-Identifier: GPL-3.0-or-later
// What drover-store promises when its session ends: in which order handles come back, who is fenced
// and who waits for a person, and what becomes of writes that were not durable yet.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_rig.h"

static int recover(void)
{
    struct drv_err err = DRV_ERR_INIT;
    return ds_recover(&st, &err);
}

static enum drv_code reopen(void)
{
    struct drv_err err = DRV_ERR_INIT;
    ds_reopen(&st, 300, &err);
    return err.code;
}

// A process whose record another one holds.
static void only_peek(void)
{
    conf.record_url = NULL;
    conf.peek_url = (char *)FAKE_RECORD;
    struct drv_err err = DRV_ERR_INIT;
    other_host_writes(1); // by that process
    if (ds_hold_image(&st, &err) < 0 || ds_promote(&st, 1, &err) < 0)
        fail_msg("%s", err.msg);
}

static void assert_runs(void)
{
    assert_int_equal(state_now(), SS_PS_PROMOTED);
    assert_false(st.stalled || st.lost || st.recover_wanted || st.pause_wanted);
    assert_true(fake.data.attached && fake.data.writable && !fake.data.failed);
    assert_true(fake_alive(fake.data.session));
    assert_true(fake.image.held);
}

static void assert_lost(bool attention)
{
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_int_equal(st.attention || st.fenced, attention);
    assert_int_equal(st.recover_wanted, !attention);
    assert_true(fake.data.failed && !fake.data.writable);
    assert_true(st.pause_wanted);
}

// --- stalled ---

static void ended_session_stalls_and_nothing_fails(void **state)
{
    (void)state;
    run_at(1);
    fake.server_cut = true;
    ds_verify(&st);
    struct ss_proc_status s;
    ds_status(&st, &s);
    assert_int_equal(s.state, SS_PS_PROMOTED);
    assert_true(s.stalled_ms > 0);
    assert_false(fake.data.attached || fake.data.failed || st.pause_wanted);
    assert_true(fake.data.writable); // what the guest writes now waits, and is not refused
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void image_its_id_and_the_record_come_before_the_guests_requests(void **state)
{
    (void)state;
    run_at(1);
    cut();
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log,
                        "connect+ hold-image ident hold-record ident read-record attach");
    assert_runs();
}

static void log_is_replayed_after_the_checks_and_before_the_guests_requests(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.dirty = true;
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log,
                        "connect+ hold-image ident hold-record ident read-record replay attach");
    assert_runs();
}

static void nothing_is_sent_while_the_record_is_still_busy(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.record.ghost = true; // our own handle from before, which the server still knows
    assert_int_equal(recover(), -1);
    assert_false(fake.data.attached);
    assert_true(st.stalled && st.recover_wanted);
    fake.record.ghost = fake.record.held = false;
    assert_int_equal(recover(), 0); // the image that it has by now is not in its own way
    assert_runs();
}

static void image_that_the_server_still_gives_to_our_old_session_is_waited_for(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.image.ghost = true;
    assert_int_equal(recover(), -1);
    assert_int_equal(recover(), -1);
    assert_true(st.stalled && !st.lost);
    fake.image.ghost = fake.image.held = false;
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void session_that_ends_during_recovery_is_recovered_again(void **state)
{
    (void)state;
    run_at(1);
    int after = 0, rc;
    do { // ever later
        cut();
        fake.data.dirty = true;
        fake.cut_after = ++after;
        rc = recover();
        if (rc < 0) {
            assert_true(st.stalled && st.recover_wanted && !st.lost);
            assert_true(fake.data.writable && !fake.data.failed);
            assert_int_equal(recover(), 0);
        }
        assert_runs();
        assert_false(fake.data.dirty);
    } while (rc < 0);
    assert_int_equal(after, 6); // after as many calls: two opens, two ids, one read
}

static void session_that_ends_during_the_replay_is_recovered_again(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.dirty = fake.data.cut_replay = true;
    assert_int_equal(recover(), -1);
    assert_true(st.stalled && !st.lost && fake.data.dirty && !fake.data.attached);
    assert_int_equal(recover(), 0);
    assert_false(fake.data.dirty);
    assert_runs();
}

static void server_that_is_away_is_asked_again(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.unreachable = true;
    assert_int_equal(recover(), -1);
    assert_int_equal(recover(), -1);
    assert_true(st.stalled && !st.lost);
    fake.unreachable = false;
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void observer_goes_on_reading_after_an_outage(void **state)
{
    (void)state;
    cut();
    assert_int_equal(state_now(), SS_PS_OBSERVING);
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log, "connect+ see-image ident attach");
    assert_true(fake.data.attached && !fake.data.failed);
}

// --- whose is it? ---

static void higher_epoch_fences_for_good(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.dirty = true;
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_true(st.fenced);
    assert_null(strstr(fake.data.log, "replay"));
    assert_null(strstr(fake.data.log, "attach"));
    assert_int_equal(reopen(), DRV_EATTENTION);
    other_host_writes(1); // whatever the record says later
    fake.data.log[0] = '\0';
    assert_int_equal(recover(), 0);
    assert_int_equal(reopen(), DRV_EATTENTION);
    assert_string_equal(fake.data.log, "");
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_promote(&st, 1, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
}

static void lower_epoch_waits_for_a_person(void **state)
{
    (void)state;
    run_at(3);
    cut();
    fake.data.dirty = true;
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_false(st.fenced);
    assert_non_null(strstr(st.lost_reason, "lost a durable write"));
    fake.data.log[0] = '\0';
    assert_int_equal(recover(), 0); // not by itself
    assert_string_equal(fake.data.log, "");
    assert_int_equal(reopen(), DRV_EATTENTION);
    fake.record.size = 0; // the same for one that is gone
    assert_int_equal(reopen(), DRV_EATTENTION);
    assert_null(strstr(fake.data.log, "replay"));
    other_host_writes(3); // a person mended it
    assert_int_equal(reopen(), DRV_OK);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_false(fake.data.dirty || st.attention || fake.data.failed);
}

static void another_file_in_the_images_place_waits_for_a_person(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.dirty = true;
    fake.image.id = 101;
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_false(fake.image.held);
    assert_int_equal(reopen(), DRV_EATTENTION);
    assert_null(strstr(fake.data.log, "replay"));
    fake.image.id = 100;
    assert_int_equal(reopen(), DRV_OK);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_false(fake.data.dirty || fake.data.failed);
}

static void damaged_record_waits_for_a_person(void **state)
{
    (void)state;
    run_at(1);
    cut();
    memset(fake.record.data, 0xff, SS_RECORD_BYTES);
    fake.record.size = SS_RECORD_BYTES;
    assert_int_equal(recover(), -1);
    assert_lost(true);
}

static void release_that_was_not_answered_is_one(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    fake.record_write_errno = ECONNRESET;
    assert_int_equal(put(SS_REC_RELEASED, 1), DRV_EUNREACHABLE);
    assert_true(st.stalled);
    assert_int_equal(recover(), 0);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_false(fake.data.writable || st.pause_wanted);
    assert_int_equal(st.epoch, 0);
    assert_int_equal(ds_release_image(&st, &err), 0);
    assert_int_equal(ds_release_record(&st, &err), 0);
    assert_int_equal(state_now(), SS_PS_RELEASED);
}

static void release_that_never_arrived_is_none(void **state)
{
    (void)state;
    run_at(1);
    uint8_t before[SS_RECORD_BYTES];
    memcpy(before, fake.record.data, sizeof before);
    fake.record_write_errno = ECONNRESET;
    assert_int_equal(put(SS_REC_RELEASED, 1), DRV_EUNREACHABLE);
    memcpy(fake.record.data, before, sizeof before);
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void unanswered_commit_is_unknown_until_read_again(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    fake.record_write_errno = ECONNRESET;
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_EUNREACHABLE);
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    drv_err_clear(&err);
    assert_int_equal(recover(), 0);
    assert_int_equal(ds_read_record(&st, &r, &err), 0);
    assert_int_equal(r.epoch, 2); // it had arrived
    assert_int_equal(ds_promote(&st, 2, &err), 0);
}

// Let go with the log still holding writes: they are obsolete once another host has run.
static void overtaken_log_is_not_replayed_even_after_letting_go(void **state)
{
    (void)state;
    run_at(1);
    assert_int_equal(put(SS_REC_RELEASED, 1), DRV_OK);
    fake.data.dirty = true;
    cut();
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_true(st.fenced && fake.data.dirty);
    assert_null(strstr(fake.data.log, "replay"));
}

// --- a disk whose record another process holds ---

static void process_without_the_record_reads_it_before_the_guests_requests(void **state)
{
    (void)state;
    only_peek();
    cut();
    fake.data.dirty = true;
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log, "connect+ hold-image ident peek replay attach");
    assert_runs();
}

static void process_without_the_record_is_fenced_by_it(void **state)
{
    (void)state;
    only_peek();
    cut();
    fake.data.dirty = true;
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_true(st.fenced);
    assert_null(strstr(fake.data.log, "replay"));
}

static void process_whose_image_another_host_holds_sees_that_it_is_fenced(void **state)
{
    (void)state;
    only_peek();
    cut();
    fake.image.other_host = true;
    assert_int_equal(recover(), -1);
    assert_false(st.lost); // a probe, perhaps
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_true(st.fenced);
}

static void process_without_the_record_lets_go_when_it_says_so(void **state)
{
    (void)state;
    only_peek();
    cut();
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = record(SS_REC_RELEASED, 1);
    r.write_counter = 101;
    assert_int_equal(ss_record_encode(&r, fake.record.data, &err), 0);
    assert_int_equal(recover(), 0);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_false(fake.data.writable);
}

// --- lost ---

static void lost_fails_everything_and_wants_a_pause(void **state)
{
    (void)state;
    run_at(1);
    cut();
    ds_lost(&st, DS_LOST_WAIT, "the stall deadline passed");
    assert_lost(false);
    assert_int_equal(fake.severed, 1); // nothing of ours may still arrive
    assert_string_equal(fake.data.log, "fail unwritable");
}

static void lost_comes_back_as_held_by_itself(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    lose();
    fake.data.dirty = true;
    assert_int_equal(ds_drop(&st, &err), -1); // its guest still exists
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log,
                        "connect+ hold-image ident hold-record ident read-record replay attach "
                        "heal");
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_int_equal(st.epoch, 0);
    assert_false(fake.data.writable || fake.data.failed);
    assert_true(
        st.pause_wanted); // the monitor did not answer in time: only the record may let it run
    drv_err_clear(&err);
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_runs();
}

static void what_was_lost_goes_on_at_its_own_epoch_only(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    lose();
    assert_int_equal(recover(), 0);
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_OK);
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_false(fake.data.writable);
    assert_true(st.pause_wanted);
}

static void reopen_is_for_what_was_lost(void **state)
{
    (void)state;
    run_at(1);
    assert_int_equal(reopen(), DRV_ESTATE);
    cut();
    assert_int_equal(reopen(), DRV_ESTATE);
    ds_lost(&st, DS_LOST_WAIT, "the stall deadline passed");
    fake.unreachable = true;
    assert_int_equal(reopen(), DRV_EUNREACHABLE);
    fake.unreachable = false;
    assert_int_equal(reopen(), DRV_OK);
    assert_int_equal(state_now(), SS_PS_HELD);
}

static void worse_reason_for_a_loss_replaces_the_first(void **state)
{
    (void)state;
    run_at(1);
    lose();
    other_host_writes(2);
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_true(st.fenced);
    assert_non_null(strstr(st.lost_reason, "fenced"));
}

// The watch thread gave up in the moment in which the handles were back.
static void requests_do_not_stay_failed_after_a_recovery(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.failed = true;
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void writes_that_cannot_be_replayed_wait_for_a_person(void **state)
{
    (void)state;
    run_at(1);
    cut();
    fake.data.dirty = true;
    fake.data.replay_errno = EIO;
    assert_int_equal(recover(), -1);
    assert_lost(true);
    assert_false(fake.data.attached);
    fake.data.replay_errno = 0;
    assert_int_equal(reopen(), DRV_OK);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_false(fake.data.dirty || fake.data.failed);
}

// --- settle ---

static void failed_settle_leaves_the_guest_writing(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    fake.data.settle_errno = ENOSPC;
    assert_int_equal(ds_settle(&st, &err), -1);
    assert_int_equal(err.code, DRV_ENOSPACE);
    assert_runs();
    drv_err_clear(&err);
    assert_int_equal(ds_release_image(&st, &err), -1);
    assert_runs();
}

static void session_that_ends_while_settling_stalls_only(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    fake.server_cut = true;
    assert_int_equal(ds_settle(&st, &err), -1);
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    assert_true(st.stalled && !st.lost && fake.data.writable);
    assert_int_equal(recover(), 0);
    assert_runs();
}

static void settled_image_is_written_no_more_and_promotion_undoes_it(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    fake.data.dirty = true;
    assert_int_equal(ds_settle(&st, &err), 0);
    assert_false(fake.data.writable || fake.data.dirty);
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_runs();
}

// --- the log of a process that died ---

// As at the start of a successor.
static void begin_with_a_log(void)
{
    struct drv_err err = DRV_ERR_INIT;
    fake.data.dirty = true;
    assert_int_equal(ds_drop(&st, &err), 0);
    fake.data.log[0] = '\0';
}

static void image_is_not_read_before_the_log_is_replayed(void **state)
{
    (void)state;
    begin_with_a_log();
    assert_false(fake.data.attached);
    hold_all();
    assert_false(fake.data.attached);
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    struct drv_err err = DRV_ERR_INIT;
    fake.data.log[0] = '\0';
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_string_equal(fake.data.log, "replay attach writable");
}

static void predecessors_log_waits_for_promotion_whatever_happens_before(void **state)
{
    (void)state;
    begin_with_a_log();
    hold_all();
    cut();
    assert_int_equal(recover(), 0);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_true(fake.data.dirty); // nobody has said yet that the VM is still this host's
    assert_false(fake.data.attached);
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_runs();
    assert_false(fake.data.dirty);
}

static void predecessors_log_of_another_file_is_refused(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    begin_with_a_log();
    fake.data.foreign = true;
    assert_int_equal(ds_hold_image(&st, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_false(fake.image.held || fake.data.attached);
    assert_true(fake.data.dirty);
}

static void promotion_fails_with_the_replay(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    begin_with_a_log();
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    fake.data.replay_errno = ENOSPC;
    assert_int_equal(ds_promote(&st, 1, &err), -1);
    assert_int_equal(err.code, DRV_ENOSPACE);
    assert_false(fake.data.writable || fake.data.attached);
    assert_int_equal(state_now(), SS_PS_HELD);
    drv_err_clear(&err);
    fake.data.replay_errno = 0;
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_runs();
}

static void image_being_filled_is_recovered_like_others(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_hold_image(&st, &err), 0);
    assert_int_equal(ds_fill(&st, &err), 0);
    cut();
    fake.data.dirty = true;
    assert_int_equal(recover(), 0);
    assert_string_equal(fake.data.log, "connect+ hold-image ident replay attach");
    assert_runs();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ended_session_stalls_and_nothing_fails),
        T(image_its_id_and_the_record_come_before_the_guests_requests),
        T(log_is_replayed_after_the_checks_and_before_the_guests_requests),
        T(nothing_is_sent_while_the_record_is_still_busy),
        T(image_that_the_server_still_gives_to_our_old_session_is_waited_for),
        T(session_that_ends_during_recovery_is_recovered_again),
        T(session_that_ends_during_the_replay_is_recovered_again),
        T(server_that_is_away_is_asked_again),
        T(observer_goes_on_reading_after_an_outage),
        T(higher_epoch_fences_for_good),
        T(lower_epoch_waits_for_a_person),
        T(another_file_in_the_images_place_waits_for_a_person),
        T(damaged_record_waits_for_a_person),
        T(release_that_was_not_answered_is_one),
        T(release_that_never_arrived_is_none),
        T(unanswered_commit_is_unknown_until_read_again),
        T(overtaken_log_is_not_replayed_even_after_letting_go),
        T(process_without_the_record_reads_it_before_the_guests_requests),
        T(process_without_the_record_is_fenced_by_it),
        T(process_whose_image_another_host_holds_sees_that_it_is_fenced),
        T(process_without_the_record_lets_go_when_it_says_so),
        T(lost_fails_everything_and_wants_a_pause),
        T(lost_comes_back_as_held_by_itself),
        T(what_was_lost_goes_on_at_its_own_epoch_only),
        T(reopen_is_for_what_was_lost),
        T(worse_reason_for_a_loss_replaces_the_first),
        T(requests_do_not_stay_failed_after_a_recovery),
        T(writes_that_cannot_be_replayed_wait_for_a_person),
        T(failed_settle_leaves_the_guest_writing),
        T(session_that_ends_while_settling_stalls_only),
        T(settled_image_is_written_no_more_and_promotion_undoes_it),
        T(image_is_not_read_before_the_log_is_replayed),
        T(predecessors_log_waits_for_promotion_whatever_happens_before),
        T(predecessors_log_of_another_file_is_refused),
        T(promotion_fails_with_the_replay),
        T(image_being_filled_is_recovered_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
