// SPDX-License-Identifier: GPL-3.0-or-later
// The destination's job against any order of requests.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "fake_ports.h"

static json_t *enter(struct fake *f, const char *phase, const char *step, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *args = json_pack("{s:s, s:i}", "addr", "10.0.1.2", "timeout_ms", 100);
    drv_err_clear(err);
    return mv_job_enter(f->side[DST].job, phase, step, args, err);
}

static void a_destination_takes_phases_in_order_only(void **state)
{
    (void)state;
    static const struct {
        const char *phase, *step;
    } order[] = {{"reserve", ""},      {"prepare", ""}, {"memory", ""},
                 {"switch", "loaded"}, {"take", ""},    {"verify", ""}};
    for (size_t begun = 0; begun < DRV_ARRAY_LEN(order); begun++)
        for (size_t skip = begun + 1; skip < DRV_ARRAY_LEN(order); skip++) {
            struct fake *f = fake_new(false);
            struct drv_err err = DRV_ERR_INIT;
            f->dst_loaded = true;
            f->mig = MV_MIG_COMPLETED;
            f->side[SRC].qemu = Q_POSTMIGRATE;
            f->rec.state = R_RELEASED;
            f->rec.to = DST;
            f->rec.held_by = NOBODY;
            for (size_t i = 0; i < begun; i++)
                json_decref(enter(f, order[i].phase, order[i].step, &err));
            unsigned calls = f->calls;
            assert_null(enter(f, order[skip].phase, order[skip].step, &err));
            assert_int_equal(err.code, DRV_ESTATE);
            assert_int_equal(f->calls, calls); // nothing was touched
            fake_free(f);
        }
}

static void half_a_switch_is_no_switch(void **state)
{
    (void)state;
    struct fake *f = fake_new(true);
    struct drv_err err = DRV_ERR_INIT;
    f->side[SRC].reserved = true;
    static const char *const steps[][2] = {
        {"reserve", ""}, {"prepare", ""}, {"memory", ""}, {"switch", "disks"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(steps); i++) {
        json_t *r = enter(f, steps[i][0], steps[i][1], &err);
        assert_non_null(r);
        json_decref(r);
    }
    assert_null(enter(f, "take", "", &err));
    assert_int_equal(err.code, DRV_ESTATE);
    assert_non_null(strstr(err.msg, "not loaded"));
    fake_free(f);
}

static void nothing_but_the_end_comes_after_the_commit(void **state)
{
    (void)state;
    static const char *const phases[] = {"reserve", "prepare", "memory", "switch"};
    struct fake *f = fake_new(false);
    struct drv_err err = DRV_ERR_INIT;
    fake_run(f);
    unsigned calls = f->calls;
    for (size_t i = 0; i < DRV_ARRAY_LEN(phases); i++) {
        assert_null(enter(f, phases[i], "loaded", &err));
        assert_int_equal(err.code, DRV_ESTATE);
    }
    assert_int_equal(f->calls, calls);
    fake_free(f);
}

static void nothing_begins_at_a_destination_after_an_undo(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    struct drv_err err = DRV_ERR_INIT;
    json_decref(enter(f, "reserve", "", &err));
    assert_int_equal(mv_job_undo(f->side[DST].job, "prepare", &err), 0);
    assert_true(f->side[DST].refused);
    assert_null(enter(f, "prepare", "", &err)); // it was under way when the undo overtook it
    assert_int_equal(err.code, DRV_ESTATE);
    fake_free(f);
}

static void unknown_phases_and_steps_are_refused_by_name(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    struct drv_err err = DRV_ERR_INIT;
    assert_null(enter(f, "copy", "", &err)); // has no destination part
    assert_int_equal(err.code, DRV_EINVAL);
    assert_null(enter(f, "nonsense", "", &err));
    assert_non_null(strstr(err.msg, "nonsense"));
    json_decref(enter(f, "reserve", "", &err));
    json_decref(enter(f, "prepare", "", &err));
    json_decref(enter(f, "memory", "", &err));
    assert_null(enter(f, "switch", "nonsense", &err));
    assert_int_equal(err.code, DRV_EINVAL);
    drv_err_clear(&err);
    assert_int_equal(mv_job_undo(f->side[DST].job, "copy", &err), -1);
    drv_err_clear(&err);
    assert_int_equal(mv_job_abandon(f->side[DST].job, &err), 0);
    fake_free(f);
}

static void a_destination_that_has_taken_cannot_be_undone(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    fake_run(f);
    struct drv_err err = DRV_ERR_INIT;
    unsigned calls = f->calls;
    assert_int_equal(mv_job_undo(f->side[DST].job, "prepare", &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    drv_err_clear(&err);
    assert_int_equal(mv_job_abandon(f->side[DST].job, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    assert_int_equal(f->calls, calls);
    fake_free(f);
}

static void a_second_take_commits_nothing_twice(void **state)
{
    (void)state;
    struct fake *f = fake_new(false);
    fake_run(f);
    struct drv_err err = DRV_ERR_INIT;
    json_t *again = enter(f, "take", "", &err);
    assert_non_null(again);
    json_decref(again);
    assert_int_equal(f->rec.epoch, f->plan.epoch + 1);
    assert_string_equal(f->bad, "");
    fake_free(f);
}

static void hostile_arguments_of_a_peer_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}",
                                      "[]",
                                      "null",
                                      "{\"addr\":7,\"timeout_ms\":\"x\"}",
                                      "{\"addr\":\"\",\"timeout_ms\":-1}",
                                      "{\"timeout_ms\":600001}",
                                      "{\"timeout_ms\":1e9}"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct fake *f = fake_new(false);
        struct drv_err err = DRV_ERR_INIT;
        DRV_AUTO_JSON json_t *args = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        json_t *r = mv_job_enter(f->side[DST].job, "reserve", "", args, &err);
        if (i != 4) // an empty address is a string
            assert_null(r);
        json_decref(r);
        json_decref(enter(f, "reserve", "", &err));
        json_decref(enter(f, "prepare", "", &err));
        json_decref(enter(f, "memory", "", &err));
        drv_err_clear(&err);
        assert_null(mv_job_enter(f->side[DST].job, "switch", "loaded", args, &err));
        assert_int_equal(err.code, DRV_EINVAL);
        fake_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destination_takes_phases_in_order_only),
        cmocka_unit_test(half_a_switch_is_no_switch),
        cmocka_unit_test(nothing_but_the_end_comes_after_the_commit),
        cmocka_unit_test(nothing_begins_at_a_destination_after_an_undo),
        cmocka_unit_test(unknown_phases_and_steps_are_refused_by_name),
        cmocka_unit_test(a_destination_that_has_taken_cannot_be_undone),
        cmocka_unit_test(a_second_take_commits_nothing_twice),
        cmocka_unit_test(hostile_arguments_of_a_peer_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
