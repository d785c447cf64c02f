// SPDX-License-Identifier: GPL-3.0-or-later
// What drover-store promises about its two handles: who may write when, and what a lost session
// does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_smb.h"
#include "store.h"

#define VM "11111111-2222-4333-8444-555555555555"

static struct ds_conf conf;
static struct ds_store st;

static int setup(void **state)
{
    (void)state;
    fake_reset();
    conf = (struct ds_conf){.image_url = (char *)FAKE_IMAGE,
                            .record_url = (char *)FAKE_RECORD,
                            .qmp_path = (char *)"/nowhere",
                            .stall_s = 60,
                            .verify_s = 5};
    struct drv_err err = DRV_ERR_INIT;
    struct ds_thread *thread = ds_thread_new(&err);
    ds_store_init(&st, &conf, &fake_backend, thread);
    return ds_open(&st, &err);
}

static int teardown(void **state)
{
    (void)state;
    // A request that was given up may still be inside the fake server: first the thread, then what
    // it uses.
    ds_thread_free(st.thread);
    ds_store_done(&st);
    return 0;
}

static struct ss_record record(enum ss_record_state s, uint64_t epoch)
{
    struct ss_record r = {.state = s, .epoch = epoch, .stall_deadline_s = 60};
    drv_uuid_new(r.nonce);
    drv_uuid_new(r.boot_id);
    strcpy(r.vm, VM);
    strcpy(r.host, "hv1.drover.test");
    strcpy(r.home_store, "fs");
    strcpy(r.home_path, "web");
    memset(r.vm_json_sha256, '0', 64);
    if (s == SS_REC_RUNNING)
        drv_uuid_new(r.instance);
    if (s == SS_REC_RELEASED) {
        drv_uuid_new(r.move);
        strcpy(r.to, "hv2.drover.test");
    }
    return r;
}

static enum drv_code put(enum ss_record_state s, uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = record(s, epoch);
    ds_write_record(&st, &r, &err);
    return err.code;
}

static void hold_all(void)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ds_hold_record(&st, true, &err) < 0 || ds_hold_image(&st, &err) < 0)
        fail_msg("%s", err.msg);
}

static void run_at(uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, epoch), DRV_OK);
    if (ds_promote(&st, epoch, &err) < 0)
        fail_msg("%s", err.msg);
}

static enum ss_proc_state state_now(void)
{
    struct ss_proc_status s;
    ds_status(&st, &s);
    return s.state;
}

// Another host committed epoch directly on the server.
static void other_host_writes(uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = record(SS_REC_RUNNING, epoch);
    r.write_counter = 100;
    assert_int_equal(ss_record_encode(&r, fake.record.data, &err), 0);
    fake.record.size = SS_RECORD_BYTES;
}

static char byte = 'x';

static void writes_are_refused_until_promoted(void **state)
{
    (void)state;
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
    hold_all();
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), 0);
    struct ss_proc_status s;
    ds_status(&st, &s);
    assert_int_equal(s.refused_writes, 3);
    assert_int_equal(s.writes, 1);
}

static void reads_past_the_end_give_zeros_and_writes_extend(void **state)
{
    (void)state;
    run_at(1);
    uint8_t buf[16];
    memset(buf, 1, sizeof buf);
    assert_int_equal(ds_data_read(&st, buf, sizeof buf, 4090), 0);
    for (unsigned i = 0; i < sizeof buf; i++)
        assert_int_equal(buf[i], 0);
    assert_int_equal(ds_data_write(&st, &byte, 1, 9000), 0);
    assert_int_equal(fake.image.size, 9001);
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
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), 0);
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
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
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
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), 0);
    assert_int_equal(ds_data_flush(&st), 0);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
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

static void lost_session_fails_everything_and_wants_a_pause(void **state)
{
    (void)state;
    run_at(1);
    fake.io_errno = ECONNRESET;
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), EIO);
    assert_int_equal(state_now(), SS_PS_LOST);
    fake.io_errno = 0;
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), EIO);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EIO);
    assert_int_equal(ds_data_flush(&st), EIO);
    assert_true(st.pause_wanted);
    assert_int_equal(fake.severed, 1);
}

static void full_share_is_the_guests_error_not_a_loss(void **state)
{
    (void)state;
    run_at(1);
    fake.io_errno = ENOSPC;
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), ENOSPC);
    assert_int_equal(state_now(), SS_PS_PROMOTED);
}

static void reopen_gives_held_and_the_same_epoch_only(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    run_at(1);
    fake_sever();
    ds_verify(&st);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_int_equal(ds_drop(&st, &err), -1); // its guest still exists
    drv_err_clear(&err);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_int_equal(state_now(), SS_PS_HELD);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EPERM);
    assert_int_equal(ds_read_record(&st, &r, &err), 0);
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_OK);
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_true(st.pause_wanted);
}

static void reopen_refuses_another_file_in_place_of_the_image(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run_at(1);
    fake_sever();
    ds_verify(&st);
    fake.image.id = 101;
    assert_int_equal(ds_reopen(&st, 1000, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_false(fake.image.held);
}

static void higher_epoch_fences_for_good(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    run_at(1);
    fake_sever();
    ds_verify(&st);
    other_host_writes(2);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_int_equal(ds_read_record(&st, &r, &err), 0);
    assert_int_equal(r.epoch, 2);
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    drv_err_clear(&err);
    assert_int_equal(ds_reopen(&st, 1000, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), EIO);
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

static void record_that_went_back_is_never_built_upon(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    run_at(3);
    fake_sever();
    ds_verify(&st);
    other_host_writes(2);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_int_equal(put(SS_REC_RUNNING, 3), DRV_EATTENTION);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_int_equal(ds_read_record(&st, &r, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    drv_err_clear(&err);
    fake.record.size = 0; // the same for one that is gone
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_int_equal(put(SS_REC_RUNNING, 3), DRV_EATTENTION);
}

// The monitor did not answer in time, the session is back: only the record may let the guest run
// on.
static void guest_not_paused_yet_still_is_after_a_reopen_until_promoted(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r;
    run_at(1);
    fake_sever();
    ds_verify(&st);
    assert_true(st.pause_wanted);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    assert_true(st.pause_wanted);
    assert_int_equal(ds_read_record(&st, &r, &err), 0);
    assert_int_equal(ds_promote(&st, 1, &err), 0);
    assert_false(st.pause_wanted);
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
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), 0);
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

static void unanswered_record_write_is_unknown_until_read_again(void **state)
{
    (void)state;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, 1), DRV_OK);
    fake.io_errno = ETIMEDOUT;
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_EUNREACHABLE);
    fake.io_errno = 0;
    assert_int_equal(state_now(), SS_PS_LOST);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_promote(&st, 2, &err), -1);
    drv_err_clear(&err);
    assert_int_equal(ds_reopen(&st, 1000, &err), 0);
    struct ss_record r;
    assert_int_equal(ds_read_record(&st, &r, &err), 0);
    assert_int_equal(r.epoch, 1);
    assert_int_equal(put(SS_REC_RUNNING, 2), DRV_OK);
}

static void fill_allows_writes_without_a_record_and_never_after_one(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_fill(&st, &err), -1); // not held
    drv_err_clear(&err);
    assert_int_equal(ds_hold_image(&st, &err), 0);
    assert_int_equal(ds_fill(&st, &err), 0);
    assert_int_equal(ds_data_write(&st, &byte, 1, 0), 0);
    fake_sever(); // no guest to pause: the move fails
    ds_verify(&st);
    assert_false(st.pause_wanted);
    assert_int_equal(ds_drop(&st, &err), 0);
    run_at(1);
    assert_int_equal(ds_fill(&st, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
}

static void observer_survives_a_lost_session(void **state)
{
    (void)state;
    fake_sever();
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), EIO);
    assert_int_equal(state_now(), SS_PS_OBSERVING);
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), 0);
}

static void impatient_request_gives_the_session_up(void **state)
{
    (void)state;
    run_at(1);
    st.patience_ms = 100;
    fake.block = true;
    int64_t t0 = drv_now_ms();
    assert_int_equal(ds_data_read(&st, &byte, 1, 0), EIO);
    assert_true(drv_now_ms() - t0 < 2000);
    assert_int_equal(state_now(), SS_PS_LOST);
    assert_int_equal(fake.severed, 1);
    st.patience_ms = 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writes_are_refused_until_promoted),
        T(reads_past_the_end_give_zeros_and_writes_extend),
        T(promotion_needs_record_image_and_its_epoch),
        T(file_held_by_another_host_is_busy_and_changes_nothing),
        T(epoch_grows_by_one_and_alternates_slots),
        T(released_record_ends_writing_at_once),
        T(after_release_reads_and_flush_go_on),
        T(source_may_take_back_at_the_next_epoch),
        T(lost_session_fails_everything_and_wants_a_pause),
        T(full_share_is_the_guests_error_not_a_loss),
        T(reopen_gives_held_and_the_same_epoch_only),
        T(reopen_refuses_another_file_in_place_of_the_image),
        T(higher_epoch_fences_for_good),
        T(verification_sees_an_epoch_that_moved_either_way),
        T(verification_fences_a_holder_that_was_overtaken),
        T(verification_remembers_the_epoch_when_the_record_is_unknown),
        T(record_that_went_back_is_never_built_upon),
        T(guest_not_paused_yet_still_is_after_a_reopen_until_promoted),
        T(only_the_servers_answer_postpones_the_stall),
        T(running_vm_keeps_its_epoch),
        T(verification_sees_a_damaged_record),
        T(unanswered_record_write_is_unknown_until_read_again),
        T(fill_allows_writes_without_a_record_and_never_after_one),
        T(observer_survives_a_lost_session),
        T(impatient_request_gives_the_session_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
