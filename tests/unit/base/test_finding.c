// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the table of findings: complete, documented, and mapped to exit statuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "drover/finding.h"
#include "drover/util.h"

static char *read_docs(void)
{
    DRV_AUTO_FILE FILE *f = fopen(DROVER_SOURCE_DIR "/docs/FINDINGS.md", "re");
    assert_non_null(f);
    char *text = drv_xcalloc(1, 1 << 20);
    fread(text, 1, (1 << 20) - 1, f);
    return text;
}

static void every_id_has_its_heading_in_the_docs(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *docs = read_docs();
    for (unsigned i = 0; i < drv_finding_defs_count; i++) {
        char heading[128];
        snprintf(heading, sizeof heading, "\n### %s: %s\n", drv_finding_defs[i].id,
                 drv_finding_defs[i].title);
        if (!strstr(docs, heading))
            fail_msg("docs/FINDINGS.md lacks \"%s\"", heading + 1);
    }
}

static void every_heading_in_the_docs_is_an_id_of_the_table(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *docs = read_docs();
    for (char *p = docs; (p = strstr(p, "\n### ")); p++) {
        char id[DRV_ID_LEN] = "";
        memcpy(id, p + 5, DRV_ID_LEN - 1);
        if (!drv_finding_def(id))
            fail_msg("docs/FINDINGS.md explains %s, which the table lacks", id);
    }
}

static void ids_are_unique_and_their_class_follows_the_letter(void **state)
{
    (void)state;
    for (unsigned i = 0; i < drv_finding_defs_count; i++) {
        const struct drv_finding_def *d = &drv_finding_defs[i];
        assert_ptr_equal(drv_finding_def(d->id), d);
        assert_int_equal(strlen(d->id), 3);
        assert_true(d->fix[0] && strlen(d->fix) < sizeof((struct drv_finding *)0)->fix);
        if (strchr("KDA", d->id[0]))
            assert_int_equal(d->exit_class, DRV_EXIT_AUTH);
        else if (d->id[0] == 'R')
            assert_int_equal(d->exit_class, DRV_EXIT_UNREACHABLE);
        else
            assert_true(d->exit_class == DRV_EXIT_REFUSED || d->exit_class == DRV_EXIT_BUSY);
    }
}

static void missing_rights_decide_the_exit_status_before_all_else(void **state)
{
    (void)state;
    struct drv_findings f = {0};
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_OK);
    drv_finding_add(&f, "T02", "hv2", "clocks differ by 3 s");
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_OK); // a warning stops nothing
    drv_finding_add(&f, "G04", "hv1", "moving");
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_BUSY);
    drv_finding_add(&f, "S03", "hv2", "store data lacks 3 GiB");
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_REFUSED);
    drv_finding_add(&f, "R01", "hv2", "receive is off");
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_UNREACHABLE);
    drv_finding_add(&f, "D10", "hv1", "drover/hv2 is missing");
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_AUTH);
    assert_int_equal(drv_findings_errors(&f), 4);
    drv_findings_done(&f);
}

static void findings_survive_the_wire(void **state)
{
    (void)state;
    struct drv_findings a = {0};
    struct drv_findings b = {0};
    drv_finding_add(&a, "R01", "hv2", "receive is off");
    drv_finding_fix(&a, "on %s: drover host set receive=on", "hv2");
    drv_finding_command(&a, "hv2.example.lan", "drover host set receive=%s", "on");
    drv_finding_add_as(&a, DRV_SEV_OK, "T02", "hv2", "clocks agree");
    drv_finding_add(&a, "Z99", "hv2", "from the future");
    DRV_AUTO_JSON json_t *j = drv_findings_to_json(&a);
    assert_int_equal(drv_findings_from_json(j, &b, NULL), 0);
    assert_int_equal(b.n, 3);
    assert_string_equal(b.list[0].fix, "on hv2: drover host set receive=on");
    assert_string_equal(b.list[0].command, "drover host set receive=on");
    assert_string_equal(b.list[0].at, "hv2.example.lan");
    assert_int_equal(b.list[1].severity, DRV_SEV_OK);
    assert_string_equal(b.list[1].command, "");
    assert_string_equal(b.list[1].fix, ""); // nothing is to be done
    assert_string_equal(b.list[2].id, "Z99");
    drv_findings_done(&a);
    drv_findings_done(&b);
}

static void half_a_command_is_none(void **state)
{
    (void)state;
    struct drv_findings f = {0};
    drv_finding_add(&f, "R01", "hv2", "receive is off");
    drv_finding_command(&f, DRV_AT_USER, "rm -rf %0600d", 1);
    assert_string_equal(f.list[0].command, "");
    drv_findings_done(&f);
}

static void an_error_is_a_finding_if_it_has_an_id_or_gets_one(void **state)
{
    (void)state;
    struct drv_findings f = {0};
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EUNREACHABLE, "hv2 is away");
    assert_false(drv_finding_err(&f, NULL, "hv1", &err));
    assert_int_equal(f.n, 0);
    assert_true(drv_finding_err(&f, "R04", "hv1", &err));
    assert_string_equal(f.list[0].fix, drv_finding_def("R04")->fix);
    drv_err_id(&err, "K04");
    drv_err_hint(&err, "plug it in");
    assert_true(drv_finding_err(&f, "R04", "hv1", &err));
    assert_string_equal(f.list[1].id, "K04");
    assert_string_equal(f.list[1].text, "hv2 is away");
    assert_string_equal(f.list[1].fix, "plug it in");
    drv_findings_done(&f);
}

static void malformed_findings_of_a_peer_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}",
                                      "[1]",
                                      "[{\"id\":\"K01\"}]",
                                      "[{\"id\":\"K0\",\"severity\":\"error\",\"text\":\"\"}]",
                                      "[{\"id\":\"K01\",\"severity\":\"dire\",\"text\":\"\"}]",
                                      "[{\"id\":\"K01\",\"severity\":\"error\",\"text\":\"\","
                                      "\"command\":1}]"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        DRV_AUTO_JSON json_t *j = json_loads(bad[i], 0, NULL);
        struct drv_findings f = {0};
        assert_int_equal(drv_findings_from_json(j, &f, NULL), -1);
        drv_findings_done(&f);
    }
}

static void an_error_exits_by_its_id_and_else_by_its_code(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EUNREACHABLE, "no KDC");
    assert_int_equal(drv_err_exit(&err), DRV_EXIT_UNREACHABLE);
    drv_err_id(&err, "K04");
    assert_int_equal(drv_err_exit(&err), DRV_EXIT_AUTH);
    drv_err_id(&err, "D99");
    assert_int_equal(drv_err_exit(&err), DRV_EXIT_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_has_its_heading_in_the_docs),
        cmocka_unit_test(every_heading_in_the_docs_is_an_id_of_the_table),
        cmocka_unit_test(ids_are_unique_and_their_class_follows_the_letter),
        cmocka_unit_test(missing_rights_decide_the_exit_status_before_all_else),
        cmocka_unit_test(findings_survive_the_wire),
        cmocka_unit_test(half_a_command_is_none),
        cmocka_unit_test(an_error_is_a_finding_if_it_has_an_id_or_gets_one),
        cmocka_unit_test(malformed_findings_of_a_peer_are_refused),
        cmocka_unit_test(an_error_exits_by_its_id_and_else_by_its_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
