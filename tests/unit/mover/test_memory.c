// SPDX-License-Identifier: GPL-3.0-or-later
// When copy and memory go on, change their limits, and give up. The clock is the fake's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "fake_ports.h"

enum { MIB = 1 << 20, DECIDE_POLLS = 300 /* 30 s, the time to decide */ };

// What the scripted migration does at each poll; one pass per poll.
static struct {
    uint64_t remaining[64]; // by pass; the last one stays
    unsigned n;
    int64_t expected_ms;
    unsigned pause_at_ms; // pauses for the switch once QEMU may take so long; 0 = never
    unsigned pause_at_poll;
    unsigned frozen_from; // from this poll on nothing is transferred; 0 = never
} script;

static void scripted(struct fake *f, struct mv_migration *io)
{
    unsigned i = f->polls - 1;
    if (f->side[SRC].qemu == Q_PAUSED) {
        f->mig = MV_MIG_COMPLETED;
        return;
    }
    bool frozen = script.frozen_from && f->polls >= script.frozen_from;
    io->passes = frozen ? io->passes : f->polls;
    io->remaining_bytes = script.remaining[i < script.n ? i : script.n - 1] * MIB;
    io->rate_bps = 100 * MIB;
    io->dirty_rate_bps = 130 * MIB;
    io->expected_downtime_ms = script.expected_ms;
    if (!frozen)
        io->transferred_bytes += MIB;
    if ((script.pause_at_ms && f->last.downtime_limit_ms >= script.pause_at_ms) ||
        (script.pause_at_poll && f->polls >= script.pause_at_poll))
        f->mig = MV_MIG_PRE_SWITCHOVER;
    if (f->polls > 2000)
        fail_msg("memory never ends");
}

static struct fake *scene(const char *remaining, int64_t expected_ms)
{
    struct fake *f = fake_new(false);
    memset(&script, 0, sizeof script);
    for (char *end; *remaining; remaining = end) {
        script.remaining[script.n++] = strtoul(remaining, &end, 10);
        while (*end == ' ')
            end++;
    }
    script.expected_ms = expected_ms;
    f->migration = scripted;
    return f;
}

static void run(struct fake *f, enum mv_result result)
{
    fake_run(f);
    fake_assert_end(f);
    if (f->result != result)
        fail_msg("%s: %s", mv_result_name(f->result), f->err.msg);
}

static void three_stuck_passes_raise_the_limit_once_to_half_the_blackout(void **state)
{
    (void)state;
    struct fake *f = scene("256 50 50 50 50", 400);
    script.pause_at_ms = 500;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 1);
    assert_int_equal(f->last.downtime_limit_ms, 500);
    fake_free(f);
}

static void two_stuck_passes_change_nothing(void **state)
{
    (void)state;
    struct fake *f = scene("256 50 50 50 40 40 40 30", 400);
    script.pause_at_poll = 8;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 0);
    assert_int_equal(f->last.downtime_limit_ms, 300);
    fake_free(f);
}

static void the_first_pass_is_no_stuck_one(void **state)
{
    (void)state;
    struct fake *f = scene("256 256 256 256", 400);
    script.pause_at_poll = 4;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 0);
    fake_free(f);
}

static void only_a_new_low_counts_as_progress(void **state)
{
    (void)state;
    // It goes up and down, but never below 50.
    struct fake *f = scene("256 50 90 60 55 50 90", 400);
    script.pause_at_poll = 7;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 1);
    fake_free(f);
}

static void still_stuck_at_the_raised_limit_gives_up_and_says_the_rates(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 400);
    run(f, MV_FAILED);
    assert_int_equal(f->limits_set, 1);
    assert_int_equal(f->polls, 2 + 3 + 3 + DECIDE_POLLS);
    assert_non_null(strstr(f->err.msg, "writes 130.0 MiB/s"));
    assert_non_null(strstr(f->err.msg, "carries 100.0 MiB/s"));
    assert_non_null(strstr(f->err.msg, "400 ms, allowed 1000 ms"));
    assert_non_null(strstr(f->err.hint, "--max-blackout"));
    fake_free(f);
}

static void a_blackout_that_would_not_fit_gives_up_without_raising(void **state)
{
    (void)state;
    static const int64_t expected[] = {501, 90000, -1};
    for (size_t i = 0; i < DRV_ARRAY_LEN(expected); i++) {
        struct fake *f = scene("256 50", expected[i]);
        run(f, MV_FAILED);
        assert_int_equal(f->limits_set, 0);
        assert_int_equal(f->polls, 2 + 3 + DECIDE_POLLS);
        fake_free(f);
    }
}

static void a_short_blackout_limit_is_halved_from_the_start(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 20);
    mv_job_set_limits(f->side[SRC].job, 100, 0);
    f->plan.max_blackout_ms = 100; // what the fake expects as patience
    script.pause_at_poll = 3;
    run(f, MV_DONE);
    assert_int_equal(f->last.downtime_limit_ms, 50);
    fake_free(f);
}

static void no_byte_for_15_s_is_a_stall(void **state)
{
    (void)state;
    struct fake *f = scene("256 90 80 70 60 50 40 30 20 10", 400);
    script.frozen_from = 10;
    int64_t begun_us = f->now_us;
    run(f, MV_FAILED);
    assert_int_equal(f->err.code, DRV_ETIMEDOUT);
    assert_non_null(strstr(f->err.msg, "no progress for 15 s"));
    assert_true(f->now_us - begun_us > 15 * 1000000LL && f->now_us - begun_us < 18 * 1000000LL);
    fake_free(f);
}

// --- limits that change under way ---

static void change_limits(struct fake *f, const char *name)
{
    if (strcmp(name, "src.migrate_poll") == 0 && f->polls == 3)
        mv_job_set_limits(f->side[SRC].job, 200, 77);
}

static void limits_changed_under_way_reach_qemu_and_the_stores(void **state)
{
    (void)state;
    struct fake *f = scene("256 50 49 48 47 46 45 44", 20);
    f->on_call = change_limits;
    script.pause_at_poll = 7;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 1);
    assert_int_equal(f->last.downtime_limit_ms, 100); // half of the new limit, less than before
    assert_int_equal(f->last.bandwidth_bps, 77);
    assert_int_equal(f->patience_ms, 2000); // a slow answer of the file server is no outage
    fake_free(f);
}

static void raise_when_stuck(struct fake *f, const char *name)
{
    if (strcmp(name, "src.migrate_poll") == 0 && f->polls == 6)
        mv_job_set_limits(f->side[SRC].job, 4000, 0);
}

static void a_longer_blackout_allowed_under_way_is_used_when_stuck_again(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 400);
    f->on_call = raise_when_stuck;
    script.pause_at_ms = 2000;
    run(f, MV_DONE);
    assert_int_equal(f->limits_set, 2); // 500, then 2000
    assert_int_equal(f->patience_ms, 4000);
    fake_free(f);
}

// --- stuck: what a person can do ---

// What the latest event says; the scene's plan is not looked at otherwise.
static json_t *event(struct fake *f)
{
    struct mv_progress p = {.phase = "memory", .stuck = true, .gives_up_ms = 5};
    return mv_progress_to_json(f->side[SRC].job, &p);
}

static json_t *choice(const json_t *e, const char *name)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(json_object_get(e, "stuck"), "choices"), i, c)
    {
        if (!strcmp(json_string_value(json_object_get(c, "name")), name))
            return json_incref(c);
    }
    return NULL;
}

static void allow_what_is_offered(struct fake *f, const char *name)
{
    if (strcmp(name, "src.migrate_poll") != 0 || f->polls != 20)
        return;
    DRV_AUTO_JSON json_t *e = event(f), *c = choice(e, "move.longer_pause");
    assert_non_null(c);
    json_t *ms = json_object_get(json_object_get(c, "args"), "max_blackout_ms");
    assert_int_equal(json_integer_value(ms), 2500); // fits twice what QEMU expects
    mv_job_set_limits(f->side[SRC].job, (uint32_t)json_integer_value(ms), 0);
}

static void the_longer_pause_that_is_offered_when_stuck_lets_it_end(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 1100);
    f->on_call = allow_what_is_offered;
    script.pause_at_ms = 1250;
    run(f, MV_DONE);
    fake_free(f);
}

static void a_guest_that_writes_less_ends_the_state(void **state)
{
    (void)state;
    struct fake *f = scene("256 50 50 50 50 50 50 50 50 50 50 50 50 40", 900);
    script.pause_at_poll = 20;
    run(f, MV_DONE);
    assert_true(f->stuck_seen);
    assert_false(f->stuck);
    fake_free(f);
}

static void wait_when_stuck(struct fake *f, const char *name)
{
    if (strcmp(name, "src.migrate_poll") == 0 && f->polls == 100)
        mv_job_wait(f->side[SRC].job, 60);
}

static void waiting_counts_from_the_decision(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 900);
    f->on_call = wait_when_stuck;
    run(f, MV_FAILED);
    assert_in_range(f->polls, 100 + 600, 100 + 602);
    fake_free(f);
}

static void slow_down_what_is_offered(struct fake *f, const char *name)
{
    if (strcmp(name, "src.migrate_poll") != 0 || f->polls % 20 != 0)
        return;
    DRV_AUTO_JSON json_t *e = event(f), *c = choice(e, "move.throttle");
    if (c)
        mv_job_throttle(f->side[SRC].job, (unsigned)json_integer_value(json_object_get(
                                              json_object_get(c, "args"), "throttle_percent")));
    assert_int_equal(c == NULL, f->last.throttle_percent == MV_THROTTLE_MAX);
}

static void a_guest_is_slowed_down_more_each_time_that_is_chosen(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 900);
    f->on_call = slow_down_what_is_offered;
    script.pause_at_poll = 100;
    run(f, MV_DONE);
    assert_int_equal(f->last.throttle_percent, MV_THROTTLE_MAX);
    fake_free(f);
}

static void what_cannot_be_done_is_not_offered(void **state)
{
    (void)state;
    struct fake *f = scene("256 50", 900);
    script.pause_at_poll = 3;
    run(f, MV_DONE);
    DRV_AUTO_JSON json_t *e = event(f), *wait = choice(e, "move.wait"),
                         *faster = choice(e, "move.more_bandwidth");
    assert_non_null(wait);
    assert_null(faster); // there is no cap
    mv_job_set_limits(f->side[SRC].job, 600000, 1 << 20);
    DRV_AUTO_JSON json_t *e2 = event(f), *longer = choice(e2, "move.longer_pause"),
                         *faster2 = choice(e2, "move.more_bandwidth"), *names = mv_capabilities();
    assert_null(longer); // it is the longest there is
    assert_non_null(faster2);
    assert_int_equal(json_array_size(names), 5);
    fake_free(f);
}

// --- cancel ---

static void cancel_soon(struct fake *f, const char *name)
{
    struct drv_err err = DRV_ERR_INIT;
    if (!strcmp(name, "src.migrate_poll") || !strcmp(name, "src.mirror_poll"))
        if (f->polls == 5 || f->mirror_polls == 5)
            mv_job_cancel(f->side[SRC].job, &err);
}

static void never_ready(struct fake *f, struct mv_mirror *io)
{
    io->ready = false;
    if (f->mirror_polls > 100)
        fail_msg("the copy goes on after the cancel");
}

static void a_cancel_ends_copy_and_memory_at_the_next_poll(void **state)
{
    (void)state;
    struct fake *f = scene("256 90 80 70 60 50 40 30 20 10", 400);
    f->on_call = cancel_soon;
    run(f, MV_CANCELLED);
    assert_true(f->polls <= 6);
    fake_free(f);

    f = fake_new(true);
    f->on_call = cancel_soon;
    f->mirror = never_ready;
    run(f, MV_CANCELLED);
    assert_true(f->mirror_polls <= 8);
    fake_free(f);
}

// --- ends that QEMU reports ---

static enum mv_mig_state odd_state;

static void odd_end(struct fake *f, struct mv_migration *io)
{
    io->transferred_bytes += MIB;
    if (f->polls < 3)
        return;
    f->mig = odd_state;
    DRV_COPY(io->error, odd_state == MV_MIG_FAILED ? "Connection reset" : "");
}

static void a_migration_that_ends_by_itself_is_undone(void **state)
{
    (void)state;
    static const struct {
        enum mv_mig_state state;
        const char *says;
    } cases[] = {{MV_MIG_FAILED, "Connection reset"},
                 {MV_MIG_CANCELLED, "outside drover"},
                 {MV_MIG_COMPLETED, "without waiting"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct fake *f = fake_new(false);
        f->migration = odd_end;
        odd_state = cases[i].state;
        run(f, MV_FAILED);
        assert_non_null(strstr(f->err.msg, cases[i].says));
        fake_free(f);
    }
}

// --- disks ---

static void break_mirror(struct fake *f, struct mv_mirror *io)
{
    io->failed = f->mig == MV_MIG_ACTIVE;
    DRV_COPY(io->error, "No space left on device");
}

static void a_mirror_that_breaks_is_found_before_the_guest_is_paused(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->mirror = break_mirror;
    run(f, MV_FAILED);
    assert_int_equal(f->stopped_us, 0);
    assert_non_null(strstr(f->err.msg, "disk0"));
    assert_non_null(strstr(f->err.msg, "No space left"));
    fake_free(f);
}

static void freeze_mirror(struct fake *f, struct mv_mirror *io)
{
    (void)f;
    io->done_bytes = io->wire_bytes = 500;
    io->ready = false;
}

static void a_copy_without_progress_for_20_s_is_a_stall(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->mirror = freeze_mirror;
    int64_t begun_us = f->now_us;
    run(f, MV_FAILED);
    assert_int_equal(f->err.code, DRV_ETIMEDOUT);
    assert_true(f->now_us - begun_us > 20 * 1000000LL && f->now_us - begun_us < 22 * 1000000LL);
    fake_free(f);
}

static void one_mirror_is_late(struct fake *f, struct mv_mirror *io)
{
    io->ready = f->mirror_polls % 2 == 0 || f->mirror_polls > 40;
}

static void memory_waits_for_the_last_mirror(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    f->mirror = one_mirror_is_late;
    run(f, MV_DONE);
    assert_true(f->mirror_polls > 40);
    fake_free(f);
}

static void change_bandwidth(struct fake *f, const char *name)
{
    if (strcmp(name, "src.mirror_poll") == 0 && f->mirror_polls == 2)
        mv_job_set_limits(f->side[SRC].job, 0, 3000);
}

static void the_cap_is_shared_by_the_disks_and_can_change(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    mv_job_set_limits(f->side[SRC].job, 0, 1000);
    run(f, MV_DONE);
    assert_int_equal(f->mirror_bps, 500);
    assert_int_equal(f->last.bandwidth_bps, 1000);
    fake_free(f);

    f = fake_new(true);
    f->on_call = change_bandwidth;
    run(f, MV_DONE);
    assert_int_equal(f->mirror_bps, 1500);
    assert_int_equal(f->last.bandwidth_bps, 3000);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_stuck_passes_raise_the_limit_once_to_half_the_blackout),
        cmocka_unit_test(two_stuck_passes_change_nothing),
        cmocka_unit_test(the_first_pass_is_no_stuck_one),
        cmocka_unit_test(only_a_new_low_counts_as_progress),
        cmocka_unit_test(still_stuck_at_the_raised_limit_gives_up_and_says_the_rates),
        cmocka_unit_test(a_blackout_that_would_not_fit_gives_up_without_raising),
        cmocka_unit_test(a_short_blackout_limit_is_halved_from_the_start),
        cmocka_unit_test(no_byte_for_15_s_is_a_stall),
        cmocka_unit_test(limits_changed_under_way_reach_qemu_and_the_stores),
        cmocka_unit_test(a_longer_blackout_allowed_under_way_is_used_when_stuck_again),
        cmocka_unit_test(the_longer_pause_that_is_offered_when_stuck_lets_it_end),
        cmocka_unit_test(a_guest_that_writes_less_ends_the_state),
        cmocka_unit_test(waiting_counts_from_the_decision),
        cmocka_unit_test(a_guest_is_slowed_down_more_each_time_that_is_chosen),
        cmocka_unit_test(what_cannot_be_done_is_not_offered),
        cmocka_unit_test(a_cancel_ends_copy_and_memory_at_the_next_poll),
        cmocka_unit_test(a_migration_that_ends_by_itself_is_undone),
        cmocka_unit_test(a_mirror_that_breaks_is_found_before_the_guest_is_paused),
        cmocka_unit_test(a_copy_without_progress_for_20_s_is_a_stall),
        cmocka_unit_test(memory_waits_for_the_last_mirror),
        cmocka_unit_test(the_cap_is_shared_by_the_disks_and_can_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
