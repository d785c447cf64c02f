// SPDX-License-Identifier: GPL-3.0-or-later
// Children that are watched while they run.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "drover/proc.h"
#include <string.h>

struct seen {
    char text[64];
    unsigned pieces;
};

static void watch(const char *text, size_t len, void *arg)
{
    struct seen *s = arg;
    s->pieces++;
    strncat(s->text, text, len < 16 ? len : 16);
}

static void output_is_seen_as_it_comes_also_beyond_what_is_kept(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct seen s = {.pieces = 0};
    const char *argv[] = {"sh", "-c", "echo one; sleep 0.2; echo two", NULL};
    assert_int_equal(drv_proc_watch(argv, NULL, 5000, 2, watch, &s, &err), 0);
    assert_string_equal(s.text, "one\ntwo\n");
    assert_true(s.pieces > 1);
}

static void an_error_is_told_without_the_progress_before_it(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const char *argv[] = {"sh", "-c", "printf '(7/100%%)\\r'; echo no space; exit 1", NULL};
    assert_int_equal(drv_proc_watch(argv, NULL, 5000, 1024, NULL, NULL, &err), -1);
    assert_string_equal(err.msg, "sh: no space (exit 1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_seen_as_it_comes_also_beyond_what_is_kept),
        cmocka_unit_test(an_error_is_told_without_the_progress_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
