// SPDX-License-Identifier: GPL-3.0-or-later
// docs/PHASES.md has exactly the table's phases, in order.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "drover/mover.h"

static void the_headings_of_the_docs_are_the_phases_in_order(void **state)
{
    (void)state;
    DRV_AUTO_FILE FILE *f = fopen(DROVER_SOURCE_DIR "/docs/PHASES.md", "re");
    const char *const *names = mv_phase_names();
    char line[512];
    unsigned n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "## ", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        assert_non_null(names[n]);
        assert_string_equal(line + 3, names[n]);
        n++;
    }
    assert_null(names[n]);
}

static void the_names_never_change(void **state)
{
    (void)state;
    // They are in the journals of hosts that run older releases.
    static const char *const final[] = {"check",  "reserve", "prepare", "copy",  "memory",
                                        "switch", "take",    "verify",  "finish"};
    const char *const *names = mv_phase_names();
    for (size_t i = 0; i < DRV_ARRAY_LEN(final); i++)
        assert_string_equal(names[i], final[i]);
    assert_null(names[DRV_ARRAY_LEN(final)]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_headings_of_the_docs_are_the_phases_in_order),
        cmocka_unit_test(the_names_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
