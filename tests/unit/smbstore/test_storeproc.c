// SPDX-License-Identifier: GPL-3.0-or-later
// What drover-store promises about its two handles: who may write when, and what the end of a
// session does: test_storeproc_recover.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_rig.h"

static void writes_are_refused_until_promoted(void **state)
{
    (void)state;
    assert_true(fake.data.attached);
    hold_all();
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    assert_false(fake.data.writable);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_true(fake.data.writable && fake.data.attached);
    assert_int_equal(state_now(), SS_PS_PROMOTED);
}

static void promotion_needs_record_image_and_its_epoch(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_hold_image(&st, &err), 0);
    assert_int_equal(ds_promote(&st, 1, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    drv_err_clear(&err);
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    assert_int_equal(state_now(), SS_PS_HELD);
}

static void file_held_by_another_host_is_busy_and_changes_nothing(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    fake.image.other_host = true;
    assert_int_equal(ds_hold_record(&st, true, &err), 0);
    assert_int_equal(ds_hold_image(&st, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    drv_err_clear(&err);
    assert_int_equal(ds_drop(&st, &err), 0);
    assert_false(fake.record.held);
    assert_int_equal(state_now(), SS_PS_OBSERVING);
    assert_true(fake.data.attached);
}

static void epoch_grows_by_one_and_alternates_slots(void **state)
{
    (void)state;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 5), DRV_OK); // a new record may start anywhere
    assert_int_equal(put(SS_REC_RUNNING, 7), DRV_ESTATE);
    assert_int_equal(put(SS_REC_RUNNING, 4), DRV_ESTATE);
    assert_int_equal(put(SS_REC_RUNNING, 6), DRV_OK);
    struct ss_record a, b;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_record_decode_slot(fake.record.data, &a, &err), 0);
    assert_int_equal(ss_record_decode_slot(fake.record.data + SS_RECORD_SLOT_BYTES, &b, &err), 0);
    assert_int_equal(a.epoch, 5);
    assert_int_equal(b.epoch, 6);
    assert_int_equal(b.write_counter, a.write_counter + 1);
}

static void released_record_ends_writing_at_once(void **state)
{
    (void)state;
    run_at(1);
    assert_int_equal(put(SS_REC_RELEASED, 1), DRV_OK);
    assert_false(fake.data.writable);
}

static void after_release_reads_and_flush_go_on(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    assert_int_equal(ds_release_record(&st, &err), -1); // image first
    drv_err_clear(&err);
    assert_int_equal(put(SS_REC_RELEASED, 1), DRV_OK);
    assert_int_equal(ds_release_image(&st, &err), 0);
    assert_int_equal(ds_release_record(&st, &err), 0);
    assert_false(fake.image.held || fake.record.held);
    assert_int_equal(state_now(), SS_PS_RELEASED);
    fake.image.other_host = true; // the destination has it
    ds_observe_again(&st);
    assert_true(fake.data.attached);
    assert_false(fake.data.writable || fake.data.failed);
}

static void source_may_take_back_at_the_next_epoch(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(3);
    assert_int_equal(put(SS_REC_RELEASED, 3), DRV_OK);
    assert_int_equal(ds_release_image(&st, &err), 0);
    assert_int_equal(ds_release_record(&st, &err), 0);
    run_at(4);
    assert_int_equal(state_now(), SS_PS_PROMOTED);
}

static void verification_sees_an_epoch_that_moved_either_way(void **state)
{
    (void)state;
    run_at(2);
    other_host_writes(1); // the server went back to an older state
    ds_verify(&st);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_false(st.fenced);
    assert_true(st.pause_wanted);
    assert_non_null(strstr(st.lost_reason, "lost a durable write"));
}

static void verification_fences_a_holder_that_was_overtaken(void **state)
{
    (void)state;
    run_at(2);
    other_host_writes(3);
    ds_verify(&st);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_true(st.fenced);
    assert_true(st.pause_wanted);
}

// As after a write of the record that failed half-way: what it says is not known any more.
static void verification_remembers_the_epoch_when_the_record_is_unknown(void **state)
{
    (void)state;
    run_at(2);
    st.have_record = false;
    other_host_writes(1);
    ds_verify(&st);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_false(st.fenced);
}

static void only_the_servers_answer_postpones_the_stall(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    assert_true(st.verified_ms > 0);
    st.verified_ms -= 10000; // ten seconds pass in silence
    int64_t before = st.verified_ms;
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_int_equal(st.verified_ms, before);
    ds_verify(&st);
    assert_true(st.verified_ms > before);
}

static void running_vm_keeps_its_epoch(void **state)
{
    (void)state;
    run_at(1);
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_ESTATE);
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    assert_true(fake.data.writable);
}

static void verification_sees_a_damaged_record(void **state)
{
    (void)state;
    run_at(1);
    memset(fake.record.data, 0xff, SS_RECORD_BYTES);
    fake.record.size = SS_RECORD_BYTES;
    ds_verify(&st);
    assert_int_equal(state_now(), SS_PS_LOST);
}

static void fill_allows_writes_without_a_record_and_never_after_one(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_fill(&st, &err), -1); // not held
    drv_err_clear(&err);
    assert_int_equal(ds_hold_image(&st, &err), 0);
    assert_int_equal(ds_fill(&st, &err), 0);
    assert_true(fake.data.writable);
    lose(); // no guest to pause: the move fails
    assert_false(st.pause_wanted || fake.data.writable);
    assert_int_equal(ds_drop(&st, &err), 0);
    run_at(1);
    assert_int_equal(ds_fill(&st, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
}

static void a_file_of_others_is_flushed_in_a_session_that_stands(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    assert_int_equal(ds_flush_file(&st, FAKE_RECORD, &err), 0);
    assert_int_equal(ds_flush_file(&st, "smb://fs/VM/web/vm.2.json", &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    fake.io_errno = EIO; // the server's disk
    drv_err_clear(&err);
    assert_int_equal(ds_flush_file(&st, FAKE_RECORD, &err), -1);
    assert_int_equal(err.code, DRV_EIO);
    fake.io_errno = 0;
    assert_int_equal(state_now(), SS_PS_PROMOTED);
    // A new session is recovery's to make, with the handles.
    fake.server_cut = true;
    drv_err_clear(&err);
    assert_int_equal(ds_flush_file(&st, FAKE_RECORD, &err), -1);
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    fake.data.log[0] = '\0';
    drv_err_clear(&err);
    assert_int_equal(ds_flush_file(&st, FAKE_RECORD, &err), -1);
    assert_string_equal(fake.data.log, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writes_are_refused_until_promoted),
        T(promotion_needs_record_image_and_its_epoch),
        T(file_held_by_another_host_is_busy_and_changes_nothing),
        T(epoch_grows_by_one_and_alternates_slots),
        T(released_record_ends_writing_at_once),
        T(after_release_reads_and_flush_go_on),
        T(source_may_take_back_at_the_next_epoch),
        T(verification_sees_an_epoch_that_moved_either_way),
        T(verification_fences_a_holder_that_was_overtaken),
        T(verification_remembers_the_epoch_when_the_record_is_unknown),
        T(only_the_servers_answer_postpones_the_stall),
        T(running_vm_keeps_its_epoch),
        T(verification_sees_a_damaged_record),
        T(fill_allows_writes_without_a_record_and_never_after_one),
        T(a_file_of_others_is_flushed_in_a_session_that_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
