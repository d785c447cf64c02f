// SPDX-License-Identifier: GPL-3.0-or-later
// The engine and the phases over fake ports: whatever fails, one copy runs, nothing is left, and
// nothing is undone after the commit. fake_check.c says what is looked at after every call.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "fake_ports.h"

// --- courses that a move can take without any injected failure ---

static void cancel_in_switch(struct fake *f, const char *name)
{
    struct drv_err err = DRV_ERR_INIT;
    if (!strcmp(name, "src.migrate_continue"))
        mv_job_cancel(f->side[SRC].job, &err);
}

static void other_host_takes(struct fake *f, const char *name)
{
    if (strcmp(name, "src.end switch") != 0 && strcmp(name, "src.end switch failed") != 0)
        return;
    f->rec.host = DST;
    f->rec.state = R_RUNNING;
    f->rec.held_by = DST;
    f->rec.epoch++;
}

static void slow_release(struct fake *f)
{
    f->slow_ms = 1500;
}
static void cancelled(struct fake *f)
{
    f->on_call = cancel_in_switch;
}
static void not_loaded(struct fake *f)
{
    f->never_loads = true;
}
static void not_sent(struct fake *f)
{
    f->never_sends = true;
}
static void refused(struct fake *f)
{
    f->commit_refused = true;
}
static void unknown_then_taken(struct fake *f)
{
    f->commits_unknown = 4;
}
static void unknown_then_refused(struct fake *f)
{
    f->commits_unknown = 4;
    f->commit_refused = true;
}
static void lost_release(struct fake *f)
{
    f->release_only_says = true;
}
static void server_away(struct fake *f)
{
    f->commit_refused = true;
    f->take_backs_unknown = 5;
}
static void plain(struct fake *f)
{
    (void)f;
}

static const struct course {
    const char *name;
    void (*set)(struct fake *f);
    enum mv_result result;
    const char *phase; // where it fails
} courses[] = {
    {"plain", plain, MV_DONE, ""},
    {"cancelled in switch", cancelled, MV_CANCELLED, "switch"},
    {"memory is not loaded in time", not_loaded, MV_FAILED, "switch"},
    {"memory is not sent in time", not_sent, MV_FAILED, "switch"},
    {"release eats up the blackout", slow_release, MV_FAILED, "take"},
    {"release reported as failed, not written", lost_release, MV_FAILED, "switch"},
    {"commit proven not to be", refused, MV_FAILED, "take"},
    {"commit unknown, then done", unknown_then_taken, MV_DONE, ""},
    {"commit unknown, then not", unknown_then_refused, MV_FAILED, "take"},
    {"commit refused, server away", server_away, MV_FAILED, "take"},
};

static const char *failed_phase(struct fake *f)
{
    static char phase[16];
    DRV_AUTO_JSON json_t *j = mv_job_result(f->side[SRC].job, f->result, &f->err);
    json_t *error = json_object_get(j, "error");
    drv_copy(phase, sizeof phase,
             error && json_is_object(error) ? json_string_value(json_object_get(error, "phase"))
                                            : "");
    return phase;
}

static void every_course_ends_as_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < DRV_ARRAY_LEN(courses); i++)
        for (int disks = 0; disks < 2; disks++) {
            struct fake *f = fake_new(disks);
            courses[i].set(f);
            fake_run(f);
            fake_assert_end(f);
            if (f->result != courses[i].result || strcmp(failed_phase(f), courses[i].phase) != 0)
                fail_msg("%s: %s in %s: %s", courses[i].name, mv_result_name(f->result),
                         failed_phase(f), f->err.msg);
            fake_free(f);
        }
}

// --- failures ---

static bool is_peer_call(const char *name)
{
    return !strncmp(name, "src.enter ", 10) || !strncmp(name, "src.undo ", 9) ||
           !strcmp(name, "src.status");
}

// Make call k fail in each course, for every k.
static void fail_each(enum fake_mode mode, bool journal_dies)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(courses); i++)
        for (int disks = 0; disks < 2; disks++) {
            // Until call k all goes as in a run without a fault: that names the calls.
            struct fake *dry = fake_new(disks);
            courses[i].set(dry);
            fake_run(dry);
            for (unsigned k = 1; k <= dry->calls; k++) {
                if (mode >= CUT_BEFORE && !is_peer_call(dry->trace[k - 1]))
                    continue;
                struct fake *f = fake_new(disks);
                courses[i].set(f);
                f->fail_at = k;
                f->mode = mode;
                f->journal_dies = journal_dies;
                fake_run(f);
                fake_assert_end(f);
                assert_string_equal(f->failed, dry->trace[k - 1]);
                fake_free(f);
            }
            fake_free(dry);
        }
}

static void one_copy_is_left_when_any_call_fails(void **state)
{
    (void)state;
    fail_each(FAIL_BEFORE, false);
}

static void one_copy_is_left_when_any_call_acts_and_says_that_it_failed(void **state)
{
    (void)state;
    fail_each(FAIL_AFTER, false);
}

static void one_copy_is_left_when_the_journal_dies(void **state)
{
    (void)state;
    fail_each(FAIL_BEFORE, true);
    fail_each(FAIL_AFTER, true);
}

static void one_copy_is_left_when_the_channel_breaks(void **state)
{
    (void)state;
    fail_each(CUT_BEFORE, false);
    fail_each(CUT_AFTER, false);
}

static void one_copy_is_left_when_the_hosts_never_meet_again(void **state)
{
    (void)state;
    fail_each(PART_BEFORE, false);
    fail_each(PART_AFTER, false);
}

// --- what a failure leads to ---

// Run with one failing call, found by its name.
static struct fake *run_failing(bool disks, const char *name, enum fake_mode mode)
{
    for (unsigned k = 1;; k++) {
        struct fake *f = fake_new(disks);
        f->fail_at = k;
        f->mode = mode;
        fake_run(f);
        if (!strcmp(f->failed, name)) {
            fake_assert_end(f);
            return f;
        }
        if (!f->failed[0])
            fail_msg("%s is never called", name);
        fake_free(f);
    }
}

static void the_end_follows_from_what_failed(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        enum fake_mode mode;
        enum mv_result result;
    } cases[] = {
        // Before the commit: the source runs on.
        {"src.begin reserve", FAIL_BEFORE, MV_FAILED},
        {"src.end copy", FAIL_BEFORE, MV_FAILED},
        {"src.enter prepare ", FAIL_AFTER, MV_FAILED},
        {"src.enter switch loaded", FAIL_AFTER, MV_FAILED},
        {"src.release", FAIL_AFTER, MV_FAILED},
        {"src.end switch", FAIL_BEFORE, MV_FAILED},
        {"src.begin take", FAIL_BEFORE, MV_FAILED},
        {"src.enter take ", FAIL_BEFORE, MV_FAILED}, // the request was lost: taken back
        {"src.enter take ", PART_BEFORE, MV_FAILED},
        {"dst.take_hold", FAIL_BEFORE, MV_FAILED},
        {"dst.taking", FAIL_AFTER, MV_FAILED},
        // The commit stands: the destination runs, whatever the source hears.
        {"src.enter take ", FAIL_AFTER, MV_DONE},
        {"src.enter take ", CUT_AFTER, MV_DONE},
        {"dst.take_commit", FAIL_BEFORE, MV_DONE},
        {"dst.take_commit", FAIL_AFTER, MV_DONE},
        {"dst.cont", FAIL_BEFORE, MV_DONE}, // verify opens the gate once more
        {"dst.cont", FAIL_AFTER, MV_DONE},
        {"src.enter verify ", FAIL_BEFORE, MV_DONE},
        {"src.enter verify ", CUT_AFTER, MV_DONE},
        {"src.enter finish ", FAIL_AFTER, MV_DONE},
        {"src.enter finish ", CUT_BEFORE, MV_DONE},
        // Nobody can know whether the guest runs, or something stays behind.
        {"src.enter take ", PART_AFTER, MV_ATTENTION},
        {"src.enter verify ", PART_BEFORE, MV_ATTENTION},
        {"src.quit", FAIL_BEFORE, MV_ATTENTION},
        {"src.retire_images", FAIL_BEFORE, MV_ATTENTION},
        {"src.begin verify", FAIL_BEFORE, MV_ATTENTION},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct fake *f = run_failing(true, cases[i].call, cases[i].mode);
        if (f->result != cases[i].result)
            fail_msg("%s failed in mode %d: %s (%s)", cases[i].call, (int)cases[i].mode,
                     mv_result_name(f->result), f->err.msg);
        fake_free(f);
    }
}

static void the_source_ends_its_qemu_even_when_verify_fails(void **state)
{
    (void)state;
    struct fake *f = run_failing(true, "dst.run_state", FAIL_BEFORE);
    assert_int_equal(f->result, MV_ATTENTION);
    assert_int_equal(f->side[SRC].qemu, Q_NONE);
    assert_true(f->side[SRC].left);
    assert_false(f->side[SRC].stores_open);
    // Nobody knows that the guest runs: the source's images are the last resort.
    assert_int_equal(f->side[SRC].images, 3);
    assert_non_null(strstr(f->err.msg, "handed over"));
    fake_free(f);
}

static void a_peer_that_says_taking_for_ever_does_not_stop_the_record(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    f->commit_refused = true; // its word is lost, and its agent comes back without a memory
    f->says_taking = 1000;
    fake_run(f);
    fake_assert_end(f);
    assert_int_equal(f->result, MV_FAILED);
    assert_int_equal(f->rec.epoch, f->plan.epoch + 1);
    fake_free(f);
}

static void lose_take(struct fake *f, const char *name)
{
    if (strcmp(name, "src.enter take ") != 0)
        return;
    f->fail_at = f->calls;
    f->mode = FAIL_AFTER;
}

static void a_destination_that_is_busy_taking_is_left_alone_first(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    f->on_call = lose_take;
    f->says_taking = 4;
    fake_run(f);
    fake_assert_end(f);
    assert_int_equal(f->result, MV_DONE);
    assert_true(f->pauses >= 4);
    assert_false(fake_traced(f, "src.take_back"));
    fake_free(f);
}

static void a_release_that_another_host_used_ends_the_undo_and_goes_forward(void **state)
{
    (void)state;
    for (int disks = 0; disks < 2; disks++) {
        struct fake *f = fake_new(disks);
        f->on_call = other_host_takes;
        f->slow_ms = 1500; // take is not even asked for
        fake_run(f);
        assert_string_equal(f->bad, "");
        assert_int_equal(f->result, MV_ATTENTION); // our destination does not know of it
        assert_int_equal(f->side[SRC].qemu, Q_NONE);
        assert_false(fake_traced(f, "src.migrate_cancel"));
        assert_false(fake_traced(f, "src.retire_images"));
        assert_false(fake_traced(f, "src.undo prepare"));
        fake_free(f);
    }
}

static void a_waiting_move_says_why(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    server_away(f);
    fake_run(f);
    assert_string_equal(f->waiting, "the file server does not answer");
    fake_free(f);
}

static void a_cancel_is_honoured_at_every_call_before_take(void **state)
{
    (void)state;
    for (int disks = 0; disks < 2; disks++) {
        bool committed = false;
        for (unsigned k = 1;; k++) {
            struct fake *f = fake_new(disks);
            f->cancel_at = k;
            f->cancel_rc = 99;
            fake_run(f);
            fake_assert_end(f);
            if (f->cancel_rc == 99) {
                fake_free(f);
                break;
            }
            // A cancel that was accepted is kept, one that is refused changes nothing.
            assert_int_equal(f->result, f->cancel_rc == 0 ? MV_CANCELLED : MV_DONE);
            committed = committed || f->cancel_rc != 0;
            if (committed)
                assert_int_equal(f->cancel_rc, -1);
            else if (k > 1)
                assert_false(fake_traced(f, "src.enter take "));
            fake_free(f);
        }
        assert_true(committed);
    }
}

static void undo_goes_in_reverse_and_leaves_out_what_never_began(void **state)
{
    (void)state;
    static const char *const want[] = {"switch", "memory", "copy", "prepare", "reserve"};
    struct fake *f = fake_new(true);
    f->never_loads = true;
    fake_run(f);
    fake_assert_end(f);
    assert_int_equal(f->side[SRC].n_undone, DRV_ARRAY_LEN(want));
    for (size_t i = 0; i < DRV_ARRAY_LEN(want); i++)
        assert_string_equal(f->side[SRC].undone[i].phase, want[i]);
    assert_int_equal(f->side[DST].n_undone, 2); // each row once
    fake_free(f);

    f = run_failing(true, "src.enter prepare ", FAIL_BEFORE);
    assert_int_equal(f->side[SRC].n_undone, 2);
    assert_int_equal(f->side[DST].n_undone, 1);
    assert_false(fake_traced(f, "src.mirror_abort"));
    fake_free(f);
}

static void a_lost_undo_is_made_up_for_by_the_next(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned k = 1;; k++) {
        struct fake *f = fake_new(true);
        f->never_loads = true;
        f->fail_at = k;
        f->mode = FAIL_BEFORE;
        fake_run(f);
        bool last = !f->failed[0];
        if (!strcmp(f->failed, "src.undo prepare")) {
            fake_assert_end(f);
            assert_int_equal(f->result, MV_FAILED);
            seen++;
        }
        fake_free(f);
        if (last)
            break;
    }
    assert_int_equal(seen, 1);
}

static void the_blackout_is_measured_from_stop_and_kept(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    fake_run(f);
    DRV_AUTO_JSON json_t *j = mv_job_result(f->side[SRC].job, f->result, &f->err);
    double total = json_real_value(json_object_get(j, "blackout_ms"));
    assert_true(total > 0 && total < 1000);
    assert_true(json_integer_value(json_object_get(j, "disk_bytes")) >= 800);
    double sum = 0;
    const char *key;
    json_t *part;
    json_object_foreach(json_object_get(j, "blackout_parts_ms"), key, part) sum +=
        json_real_value(part);
    assert_true(sum > 0.9 * total && sum <= 1.001 * total);
    fake_free(f);

    // When it would be passed, the guest resumes within the limit (I7) plus what resuming takes.
    f = fake_new(true);
    f->never_loads = true;
    fake_run(f);
    assert_int_equal(f->result, MV_FAILED);
    assert_int_equal(f->err.code, DRV_ETIMEDOUT);
    assert_true(f->now_us - f->stopped_us < 1100 * 1000);
    fake_free(f);
}

// --- things that stay broken ---

static void a_guest_that_does_not_start_there_is_left_to_a_person(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->gate_shut = true;
    fake_run(f);
    fake_assert_end(f);
    assert_int_equal(f->result, MV_ATTENTION);
    assert_non_null(strstr(f->err.msg, "paused"));
    assert_non_null(strstr(f->err.msg, "may not run"));
    assert_int_equal(f->side[SRC].images, 3);
    fake_free(f);
}

static void a_store_that_does_not_end_keeps_no_image(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->close_fails = f->never_loads = true;
    fake_run(f);
    assert_int_equal(f->result, MV_FAILED);
    assert_int_equal(f->side[SRC].qemu, Q_RUNNING);
    assert_int_equal(f->side[DST].images, 0);
    assert_int_equal(f->side[DST].qemu, Q_NONE);
    fake_free(f);
}

static enum mv_mig_state end_state;

static void end_in_switch(struct fake *f, struct mv_migration *io)
{
    io->transferred_bytes++;
    if (f->polls >= 2)
        f->mig = f->side[SRC].qemu == Q_RUNNING ? MV_MIG_PRE_SWITCHOVER : end_state;
}

static void a_migration_that_fails_in_switch_is_undone(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new(true);
        f->migration = end_in_switch;
        end_state = i ? MV_MIG_FAILED : MV_MIG_CANCELLED;
        fake_run(f);
        fake_assert_end(f);
        assert_int_equal(f->result, MV_FAILED);
        assert_non_null(strstr(f->err.msg, "device state"));
        fake_free(f);
    }
}

// --- preflight within the move ---

static void not_receiving_and_not_allowed(struct mv_facts *facts, bool source)
{
    if (source)
        facts->stores[0].user_may = false;
    else
        facts->receive = false;
}

static void preflight_stops_the_move_before_anything_is_touched(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->spoil = not_receiving_and_not_allowed;
    fake_run(f);
    fake_assert_end(f);
    assert_int_equal(f->result, MV_FAILED);
    // Of the two, the one that decides the exit status speaks (R01 comes first in the list).
    assert_string_equal(f->err.id, "A05");
    assert_non_null(strstr(f->err.msg, "2 errors"));
    assert_string_equal(failed_phase(f), "check");
    assert_false(fake_traced(f, "src.reserve"));
    fake_free(f);
}

static void an_error_that_is_no_utf8_does_not_cost_the_result(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EIO, "cut within \xc3");
    DRV_AUTO_JSON json_t *j = mv_job_result(f->side[SRC].job, MV_FAILED, &err);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "error"), "msg")),
                        "cut within ?");
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_course_ends_as_it_should),
        cmocka_unit_test(one_copy_is_left_when_any_call_fails),
        cmocka_unit_test(one_copy_is_left_when_any_call_acts_and_says_that_it_failed),
        cmocka_unit_test(one_copy_is_left_when_the_journal_dies),
        cmocka_unit_test(one_copy_is_left_when_the_channel_breaks),
        cmocka_unit_test(one_copy_is_left_when_the_hosts_never_meet_again),
        cmocka_unit_test(the_end_follows_from_what_failed),
        cmocka_unit_test(the_source_ends_its_qemu_even_when_verify_fails),
        cmocka_unit_test(a_peer_that_says_taking_for_ever_does_not_stop_the_record),
        cmocka_unit_test(a_destination_that_is_busy_taking_is_left_alone_first),
        cmocka_unit_test(a_release_that_another_host_used_ends_the_undo_and_goes_forward),
        cmocka_unit_test(a_waiting_move_says_why),
        cmocka_unit_test(a_cancel_is_honoured_at_every_call_before_take),
        cmocka_unit_test(undo_goes_in_reverse_and_leaves_out_what_never_began),
        cmocka_unit_test(a_lost_undo_is_made_up_for_by_the_next),
        cmocka_unit_test(the_blackout_is_measured_from_stop_and_kept),
        cmocka_unit_test(a_guest_that_does_not_start_there_is_left_to_a_person),
        cmocka_unit_test(a_store_that_does_not_end_keeps_no_image),
        cmocka_unit_test(a_migration_that_fails_in_switch_is_undone),
        cmocka_unit_test(preflight_stops_the_move_before_anything_is_touched),
        cmocka_unit_test(an_error_that_is_no_utf8_does_not_cost_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
