// SPDX-License-Identifier: GPL-3.0-or-later
// Storage moves through the engine: one host, one job, fake ports. Whatever fails, and wherever the
// agent dies, the guest runs only on the images that the record names, none of those is deleted,
// and the record names new images only while they equal the old ones.
#include <setjmp.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "fake_host.h"

static void a_storage_move_leaves_out_what_takes_two_hosts(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    assert_int_equal(fake_host_run(h), MV_DONE);
    fake_host_check_end(h);
    static const char *const rows[] = {"check", "reserve", "prepare", "copy",
                                       "take",  "verify",  "finish"};
    unsigned n = 0;
    for (unsigned i = 0; i < h->n_trace; i++)
        if (!strncmp(h->trace[i], "begin ", 6)) {
            assert_string_equal(h->trace[i] + 6, rows[n]);
            n++;
        }
    assert_int_equal(n, DRV_ARRAY_LEN(rows));
    DRV_AUTO_JSON json_t *j = mv_job_result(h->job, h->result, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "storage");
    assert_true(json_is_number(json_object_get(j, "blackout_ms")));
    fake_host_free(h);
}

static void any_call_may_fail(void **state)
{
    (void)state;
    struct host *dry = fake_host_new();
    fake_host_run(dry);
    for (unsigned k = 1; k <= dry->calls; k++)
        for (int mode = FAIL_BEFORE; mode <= FAIL_AFTER; mode++) {
            struct host *h = fake_host_new();
            h->fail_at = k;
            h->mode = (enum mode)mode;
            fake_host_run(h);
            fake_host_check_end(h);
            fake_host_free(h);
        }
    fake_host_free(dry);
}

static void two_calls_may_fail_when_the_first_is_a_pivot(void **state)
{
    (void)state;
    for (unsigned stuck = 1; stuck <= ALL; stuck++)
        for (unsigned k = 1; k < 80; k++) {
            struct host *h = fake_host_new();
            h->pivot_fails = stuck;
            h->fail_at = k;
            fake_host_run(h);
            fake_host_check_end(h);
            fake_host_free(h);
        }
}

static void a_pivot_that_fails_leaves_the_disks_where_they_were(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    h->pivot_fails = 1; // the first: nothing is at its target
    assert_int_equal(fake_host_run(h), MV_FAILED);
    fake_host_check_end(h);
    fake_host_free(h);
}

static void one_disk_that_stays_behind_is_for_a_person(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    h->pivot_fails = 2;
    assert_int_equal(fake_host_run(h), MV_ATTENTION);
    fake_host_look(h);
    assert_string_equal(h->bad, "");
    assert_true(h->running);
    assert_int_equal(h->named, 1);
    assert_int_equal(h->old_images, ALL); // nothing is deleted
    assert_int_equal(h->new_images, ALL);
    assert_non_null(strstr(h->err.msg, "still lies on"));
    fake_host_free(h);
}

static void a_record_write_without_an_answer_is_tried_until_it_is_known(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    h->unknown_writes = 5;
    assert_int_equal(fake_host_run(h), MV_DONE);
    fake_host_check_end(h);
    fake_host_free(h);
}

static void a_freeze_that_takes_too_long_is_undone(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    h->slow_freeze = true;
    assert_int_equal(fake_host_run(h), MV_FAILED);
    fake_host_check_end(h);
    assert_false(fake_host_traced(h, "take_commit"));
    fake_host_free(h);
}

static void a_cancel_counts_until_take(void **state)
{
    (void)state;
    struct host *dry = fake_host_new();
    fake_host_run(dry);
    for (unsigned k = 1; k <= dry->calls; k++) {
        struct host *h = fake_host_new();
        h->cancel_at = k;
        fake_host_run(h);
        fake_host_check_end(h);
        assert_true(h->result == (fake_host_traced(h, "freeze") ? MV_DONE : MV_CANCELLED));
        fake_host_free(h);
    }
    fake_host_free(dry);
}

// What an agent that dies has allocated is not freed, and no leak.
static void memory_dies_with_it(bool begins)
{
#ifdef __SANITIZE_ADDRESS__
    begins ? __lsan_disable() : __lsan_enable();
#else
    (void)begins;
#endif
}

// The agent dies at call k; another one finds the journal, QEMU and the record, and ends the move.
static void wherever_the_agent_dies_the_move_ends(void **state)
{
    (void)state;
    struct host *dry = fake_host_new();
    fake_host_run(dry);
    for (unsigned k = 1; k <= dry->calls; k++) {
        struct host *h = fake_host_new();
        h->dies_at = k;
        memory_dies_with_it(true);
        if (setjmp(h->death) == 0)
            fake_host_run(h);
        memory_dies_with_it(false);
        assert_string_equal(h->bad, "");
        mv_job_free(h->job);
        h->job = mv_job_new(&h->plan, &fake_host_ports, h, true);
        h->dies_at = 0;
        drv_err_clear(&h->err);
        if (!h->journalled) {
            fake_host_free(h);
            continue;
        }
        mv_job_restore(h->job, h->last_begun, false);
        h->result = mv_job_recover(h->job, false, &h->err);
        if (h->open && h->result == MV_DONE) // a finish that is done twice
            h->view = true;
        fake_host_check_end(h);
        if (h->result == MV_ATTENTION)
            fail_msg("died at call %u (%s): %s", k, dry->trace[k - 1], h->err.msg);
        fake_host_free(h);
    }
    fake_host_free(dry);
}

static void nothing_to_move_is_refused(void **state)
{
    (void)state;
    struct host *h = fake_host_new();
    mv_job_free(h->job);
    for (unsigned i = 0; i < h->plan.n_disks; i++)
        h->plan.disks[i].moves = false;
    h->job = mv_job_new(&h->plan, &fake_host_ports, h, true);
    assert_int_equal(fake_host_run(h), MV_FAILED);
    assert_string_equal(h->err.id, "S16");
    assert_false(fake_host_traced(h, "reserve"));
    fake_host_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storage_move_leaves_out_what_takes_two_hosts),
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(two_calls_may_fail_when_the_first_is_a_pivot),
        cmocka_unit_test(a_pivot_that_fails_leaves_the_disks_where_they_were),
        cmocka_unit_test(one_disk_that_stays_behind_is_for_a_person),
        cmocka_unit_test(a_record_write_without_an_answer_is_tried_until_it_is_known),
        cmocka_unit_test(a_freeze_that_takes_too_long_is_undone),
        cmocka_unit_test(a_cancel_counts_until_take),
        cmocka_unit_test(wherever_the_agent_dies_the_move_ends),
        cmocka_unit_test(nothing_to_move_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
