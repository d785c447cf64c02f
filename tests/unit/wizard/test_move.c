// SPDX-License-Identifier: GPL-3.0-or-later
// The wizard's pages: choices, defaults, what is missing, the check, the start.
#include "desk.h"

#define DEF(store)                                                                                 \
    "{\"name\":\"web1\",\"definition\":{\"memory_kib\":262152,\"disks\":[{\"id\":\"disk0\","       \
    "\"store\":\"" store "\"}],\"nics\":[{\"id\":\"n\",\"network\":\"br0\"}]}}"
#define CHECKED(severity, id)                                                                      \
    "{\"findings\":[{\"id\":\"" id "\",\"severity\":\"" severity                                   \
    "\",\"host\":\"hv2.x\",\"title\":\"t\",\"text\":\"what is wrong\",\"fix\":\"do this\","        \
    "\"command\":\"drover fix\",\"at\":\"hv2.x\"}],\"prediction\":{\"memory_bytes\":1048576,"      \
    "\"disk_bytes\":0,\"max_blackout_ms\":2000}}"
#define MOVE "180e07d4-74aa-4e56-8a9a-fda863cf09bd"

static void open_wizard(struct desk *d, const char *definition)
{
    desk_focus(d, "web1");
    desk_key(d, '\r');
    desk_answer(d, "hv1.x", "vm.show", definition);
}

static void to_options(struct desk *d)
{
    open_wizard(d, DEF("VM"));
    desk_key(d, 'n');
    desk_focus(d, "hv2");
    desk_key(d, '\r');
}

static void disks_on_the_share_stay(void **state)
{
    struct desk *d = *state;
    open_wizard(d, DEF("VM"));
    desk_line(d, "(*) Move the virtual machine");
    desk_key(d, 'n');
    assert_false(desk_has(d, "To which store"));
}

static void local_disks_come_along(void **state)
{
    struct desk *d = *state;
    open_wizard(d, DEF("local"));
    desk_line(d, "(*) Move the virtual machine and its disks");
}

static void a_host_that_cannot_take_it_says_why(void **state)
{
    struct desk *d = *state;
    open_wizard(d, DEF("VM"));
    desk_key(d, 'n');
    const struct tui_line *l = desk_line(d, "hv3");
    assert_true(l->off);
    assert_non_null(strstr(l->text, "receiving is off"));
    desk_focus(d, "hv3");
    desk_key(d, ' ');
    assert_string_equal(d->t.plan.to, "");
    assert_false(desk_has(d, "hv1"));
}

static void a_host_whose_cpu_does_not_do_says_so(void **state)
{
    struct desk *d = *state;
    open_wizard(d, "{\"name\":\"web1\",\"definition\":{\"accel\":\"kvm\",\"cpu\":{\"model\":"
                   "\"Skylake\"},\"disks\":[{\"id\":\"disk0\",\"store\":\"VM\"}]}}");
    desk_key(d, 'n');
    assert_false(desk_line(d, "hv2")->off); // not known yet
    desk_answer(d, "hv1.x", "host.cpus",
                "{\"hosts\":[{\"host\":\"hv2.x\",\"models\":{\"kvm\":[\"Haswell\"]}}]}");
    const struct tui_line *l = desk_line(d, "hv2");
    assert_true(l->off);
    assert_non_null(strstr(l->text, "its CPU cannot be the VM's Skylake"));
}

static void an_incomplete_page_says_what_is_missing(void **state)
{
    struct desk *d = *state;
    open_wizard(d, DEF("local"));
    desk_key(d, 'n');
    desk_key(d, 'n');
    assert_string_equal(d->t.message, "Choose the host that the VM shall move to.");
    desk_focus(d, "hv2");
    desk_key(d, ' ');
    desk_key(d, 'n');
    assert_string_equal(d->t.message, "Choose the store for the disks.");
    assert_int_equal(d->t.plan.page, TUI_PAGE_WHERE);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, "smb://fs.x")->id);
}

static void back_keeps_what_was_chosen(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_focus(d, "as the host says");
    desk_key(d, ' ');
    desk_type(d, "750\r");
    for (int i = 0; i < 4; i++)
        desk_key(d, 27);
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
    desk_focus(d, "web1");
    desk_key(d, '\r');
    assert_string_equal(d->t.plan.to, "hv2.x");
    assert_int_equal(d->t.plan.max_blackout_ms, 750);
}

static void what_is_asked_is_what_the_command_says(void **state)
{
    struct desk *d = *state;
    char command[256];
    open_wizard(d, DEF("local"));
    desk_key(d, 'n');
    desk_focus(d, "hv2");
    desk_key(d, ' ');
    desk_focus(d, ") VM");
    desk_key(d, '\r');
    desk_focus(d, "Keep the source");
    desk_key(d, ' ');
    desk_key(d, 'n');
    tui_plan_command(&d->t.plan, command, sizeof command);
    assert_string_equal(command,
                        "drover -H hv1 move web1 --to hv2 --storage VM --keep-source=604800s");
    struct tui_ask *a = desk_asked(d, "hv1.x", "move.check");
    char *args = json_dumps(a->args, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        args, "{\"keep_source_s\":604800,\"storage\":\"VM\",\"to\":\"hv2.x\",\"vm\":\"web1\"}");
    free(args);
    desk_reply(d, a, CHECKED("ok", "R01"));
}

static void storage_moves_ask_their_own_calls(void **state)
{
    struct desk *d = *state;
    char command[256];
    open_wizard(d, DEF("VM"));
    desk_focus(d, "Move its storage");
    desk_key(d, '\r');
    assert_false(desk_has(d, "To which host"));
    assert_true(desk_line(d, "-- the disks are")->off); // where they are
    desk_focus(d, "local");
    desk_key(d, '\r');
    desk_key(d, 'n');
    tui_plan_command(&d->t.plan, command, sizeof command);
    assert_string_equal(command, "drover -H hv1 move-storage web1 --storage local");
    desk_answer(d, "hv1.x", "move.storage_check", CHECKED("ok", "R01"));
}

static void errors_block_with_their_fix(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("error", "R01"));
    desk_line(d, "XX R01");
    desk_line(d, "Fix: do this");
    desk_line(d, "as root on hv2");
    desk_line(d, "drover fix");
    desk_key(d, 'n');
    assert_int_equal(d->t.plan.page, TUI_PAGE_CHECK);
    desk_key(d, 'r');
    desk_answer(d, "hv1.x", "move.check", CHECKED("warning", "T02"));
    desk_line(d, "1 warning");
    desk_key(d, 'n');
    assert_int_equal(d->t.plan.page, TUI_PAGE_SUMMARY);
}

static void a_missing_network_asks_for_another(void **state)
{
    struct desk *d = *state;
    to_options(d);
    assert_false(desk_has(d, "br0"));
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("error", "N01"));
    desk_key(d, 27);
    desk_focus(d, "br0");
    desk_key(d, ' ');
    desk_type(d, "br7\r");
    desk_key(d, 'n');
    struct tui_ask *a = desk_asked(d, "hv1.x", "move.check");
    assert_string_equal(drv_json_text(json_object_get(a->args, "network"), "br0"), "br7");
    desk_reply(d, a, CHECKED("ok", "N01"));
}

static void a_late_check_does_not_count(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_key(d, 27); // back while it runs, and another choice
    desk_focus(d, "as the host says");
    desk_key(d, ' ');
    desk_type(d, "900\r");
    desk_answer(d, "hv1.x", "move.check", CHECKED("ok", "R01"));
    assert_false(d->t.plan.checked);
}

static void without_delegation_a_permit_is_asked_for(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    struct tui_ask *a = desk_asked(d, "hv1.x", "move.check");
    assert_false(a->permit);
    desk_reply(d, a, CHECKED("error", "D12"));
    a = desk_asked(d, "hv1.x", "move.check");
    assert_true(a->permit);
    desk_reply(d, a, CHECKED("ok", "R01"));
    desk_line(d, "with a permit of hv2");
    desk_key(d, 'n');
    desk_key(d, '\r');
    a = desk_asked(d, "hv1.x", "move.start");
    assert_true(a->permit);
    desk_reply(d, a, "{}");
}

static void a_permit_that_does_not_help_is_asked_for_once(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("error", "D12"));
    desk_answer(d, "hv1.x", "move.check", CHECKED("error", "D12"));
    assert_null(desk_take(d, "hv1.x", "move.check"));
    desk_line(d, "XX D12");
}

static void findings_stay_beside_a_permit_that_is_not_to_be_had(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("error", "D12"));
    desk_refuse(d, "hv1.x", "move.check", "hv2 does not answer");
    desk_line(d, "XX D12");
    desk_line(d, "Nor by permit: hv2 does not answer");
    assert_false(desk_has(d, "with a permit of"));
    desk_key(d, 'n');
    assert_int_equal(d->t.plan.page, TUI_PAGE_CHECK);
    desk_key(d, 'r'); // delegation first, again
    struct tui_ask *a = desk_asked(d, "hv1.x", "move.check");
    assert_false(a->permit);
    desk_reply(d, a, CHECKED("ok", "R01"));
    assert_false(desk_has(d, "Nor by permit"));
}

static void it_starts_once(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("ok", "R01"));
    desk_key(d, '\r');
    desk_line(d, "drover -H hv1 move web1 --to hv2");
    desk_key(d, '\r');
    desk_key(d, '\r');
    desk_answer(d, "hv1.x", "move.start", "{\"move\":\"" MOVE "\"}");
    assert_null(desk_take(d, "hv1.x", "move.start"));
    assert_string_equal(d->followed, "hv1.x " MOVE);
    assert_int_equal(tui_top(&d->t)->kind, TUI_PROGRESS);
}

static void the_summary_checks_again_and_gives_the_command(void **state)
{
    struct desk *d = *state;
    char farewell[1024];
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("ok", "R01"));
    desk_key(d, '\r');
    desk_focus(d, "[ Copy command ]");
    desk_key(d, '\r');
    assert_string_equal(d->t.copy, "drover -H hv1 move web1 --to hv2");
    tui_farewell(&d->t, farewell, sizeof farewell);
    assert_non_null(strstr(farewell, "  drover -H hv1 move web1 --to hv2\n"));
    desk_focus(d, "[ Check only ]");
    desk_key(d, '\r');
    assert_int_equal(d->t.plan.page, TUI_PAGE_CHECK);
    assert_string_equal(d->t.message, "");
    desk_answer(d, "hv1.x", "move.check", CHECKED("warning", "T02"));
    desk_line(d, "1 warning");
    assert_null(desk_take(d, "hv1.x", "move.start"));
}

static void a_refused_start_says_why(void **state)
{
    struct desk *d = *state;
    to_options(d);
    desk_key(d, 'n');
    desk_answer(d, "hv1.x", "move.check", CHECKED("ok", "R01"));
    desk_key(d, '\r');
    desk_key(d, '\r');
    desk_refuse(d, "hv1.x", "move.start", "no slot is free");
    desk_line(d, "XX no slot is free");
    desk_key(d, '\r'); // and can be tried again
    desk_answer(d, "hv1.x", "move.start", "{\"move\":\"" MOVE "\"}");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)
    const struct CMUnitTest tests[] = {
        T(disks_on_the_share_stay),
        T(local_disks_come_along),
        T(a_host_that_cannot_take_it_says_why),
        T(a_host_whose_cpu_does_not_do_says_so),
        T(an_incomplete_page_says_what_is_missing),
        T(back_keeps_what_was_chosen),
        T(what_is_asked_is_what_the_command_says),
        T(storage_moves_ask_their_own_calls),
        T(errors_block_with_their_fix),
        T(a_missing_network_asks_for_another),
        T(a_late_check_does_not_count),
        T(without_delegation_a_permit_is_asked_for),
        T(a_permit_that_does_not_help_is_asked_for_once),
        T(findings_stay_beside_a_permit_that_is_not_to_be_had),
        T(it_starts_once),
        T(the_summary_checks_again_and_gives_the_command),
        T(a_refused_start_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
