// SPDX-License-Identifier: GPL-3.0-or-later
// Hosts, keys, text: what holds on every panel.
#include "desk.h"

static void a_host_that_is_silent_does_not_hide_the_others(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_refuse(d, "hv2.x", "host.show", "hv2.x port 4484: no route");
    desk_line(d, "XX hv2");
    desk_line(d, "no route");
    desk_line(d, "OK hv1");
}

static void receiving_off_is_a_word(void **state)
{
    struct desk *d = *state;
    assert_non_null(strstr(desk_line(d, "hv3")->text, "receives: OFF"));
}

static void answers_of_the_wrong_shape_do_no_harm(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_answer(d, "hv1.x", "host.show", "[1,2]");
    desk_answer(d, "hv1.x", "vm.list", "{\"name\":7}");
    desk_answer(d, "hv1.x", "move.list", "[null,{\"state\":[]}]");
    desk_answer(d, "hv1.x", "store.list", "\"x\"");
    desk_show(d);
}

static void every_key_is_in_the_help(void **state)
{
    struct desk *d = *state;
    desk_key(d, '?');
    for (unsigned i = 0; i < tui_keys_count; i++)
        if (tui_keys[i].panels & (1u << TUI_HOSTS))
            desk_line(d, tui_keys[i].help);
    desk_key(d, 27);
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
}

static void no_key_means_two_things(void **state)
{
    (void)state;
    for (unsigned i = 0; i < tui_keys_count; i++)
        for (unsigned k = 0; k < i; k++)
            for (unsigned a = 0; a < 4 && tui_keys[i].cmd != tui_keys[k].cmd &&
                                 tui_keys[i].panels & tui_keys[k].panels;
                 a++)
                for (unsigned b = 0; b < 4; b++)
                    if (tui_keys[i].codes[a] && tui_keys[i].codes[a] == tui_keys[k].codes[b])
                        fail_msg("%s: %s and %s", tui_keys[i].key, tui_keys[i].help,
                                 tui_keys[k].help);
}

static void nothing_is_on_function_keys_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < tui_keys_count; i++)
        if (tui_keys[i].codes[0] == TUI_K_F1 || tui_keys[i].codes[0] == TUI_K_F5)
            assert_true(tui_keys[i].codes[1] > 0 && tui_keys[i].codes[1] < 127);
}

static void the_bar_keeps_help_and_quit_at_80(void **state)
{
    struct desk *d = *state;
    for (int kind = 0; kind < TUI_PANEL_MAX_; kind++) {
        char bar[200];
        d->t.panels[0].kind = (enum tui_panel_kind)kind;
        tui_key_bar(&d->t, bar, sizeof bar, 80);
        assert_true(kind == TUI_HELP || strstr(bar, "? Help"));
        assert_true(strstr(bar, "q Quit") || strstr(bar, "q Detach"));
        tui_key_bar(&d->t, bar, sizeof bar, 50);
        assert_true(tui_width(bar) <= 50);
    }
    d->t.panels[0].kind = TUI_HOSTS;
}

static void lines_are_told_what_letters_and_numbers_do(void **state)
{
    struct desk *d = *state;
    char bar[400];
    tui_plain_bar(&d->t, bar, sizeof bar);
    assert_string_equal(bar, "Enter Again  ? Help  NUMBER Open  m Move  j Jobs  s Settings  "
                             "d Doctor  o Console  q Quit  / Filter  (d 2 is d of line 2)");
    desk_focus(d, "web1");
    desk_key(d, '\r');
    tui_plain_bar(&d->t, bar, sizeof bar);
    assert_string_equal(bar,
                        "Enter Again  ? Help  n Next  NUMBER Choose  b Back  q Quit  / Filter");
}

static void a_filter_keeps_what_matches(void **state)
{
    struct desk *d = *state;
    desk_type(d, "/hv2\r");
    assert_true(desk_has(d, "hv2"));
    assert_false(desk_has(d, "web1"));
    desk_type(d, "/");
    desk_key(d, 21);
    desk_type(d, "nothing\r");
    desk_line(d, "No line has \"nothing\".");
    desk_type(d, "/");
    desk_key(d, 21);
    desk_type(d, "\r");
    assert_true(desk_has(d, "web1"));
}

#define JOB(id, from, state, at)                                                                   \
    "{\"move\":\"" id "\",\"vm\":\"web1\",\"from\":\"" from                                        \
    "\",\"to\":\"hv3.x\",\"state\":\"" state "\",\"phase\":\"copy\",\"started\":" at "}"

static void moves_are_listed_by_time_whoever_tells_of_them(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_answer(
        d, "hv1.x", "move.list",
        "[" JOB("id1", "hv1.x", "done", "5000") "," JOB("id2", "hv1.x", "active", "1000") "]");
    desk_answer(
        d, "hv2.x", "move.list",
        "[" JOB("id3", "hv2.x", "done", "9000") "," JOB("id4", "hv2.x", "failed", "4000") "]");
    desk_key(d, 'j');
    desk_show(d);
    static const char *const order[] = {"id2", "id3", "id1", "id4"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(order); i++)
        assert_non_null(strstr(d->doc.lines[i].text, order[i]));
}

static void help_scrolls_from_the_first_key(void **state)
{
    struct desk *d = *state;
    desk_key(d, '?');
    desk_key(d, TUI_K_DOWN);
    desk_show(d);
    assert_int_equal(tui_top(&d->t)->top, 1);
}

static void a_setting_is_asked_for_and_set(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "hv3");
    desk_key(d, 's');
    desk_focus(d, "receive");
    desk_key(d, '\r');
    assert_string_equal(d->t.prompt.buf, "off"); // as it is: two Enters change nothing
    desk_key(d, 21);
    desk_type(d, "on\r");
    struct tui_ask *a = desk_asked(d, "hv3.x", "host.set");
    assert_string_equal(drv_json_text(json_object_get(a->args, "set"), "receive"), "on");
    desk_reply(d, a, "{\"settings\":{}}");
}

static void the_focus_stays_with_its_line(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "hv2");
    tui_tick(&d->t, 60000);
    desk_answer(
        d, "hv1.x", "vm.list",
        "[{\"name\":\"abc\",\"state\":\"running\"},{\"name\":\"web1\",\"state\":\"running\"}]");
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, "hv2")->id);
}

static void foreign_text_reaches_no_terminal(void **state)
{
    (void)state;
    char text[] = "a\033[2Jb\xc2\x9b"
                  "c\xff\xc3\xa9";
    tui_clean(text, false);
    assert_string_equal(text, "a?[2Jb?c?\xc3\xa9");
    tui_clean(text, true);
    assert_string_equal(text, "a?[2Jb?c??");
}

static void sparks_share_a_scale(void **state)
{
    (void)state;
    static const int64_t samples[] = {0, 50, 100};
    char text[64];
    tui_spark(text, sizeof text, samples, 3, 100, true);
    assert_string_equal(text, "_:#");
    tui_spark(text, sizeof text, samples, 3, 200, true);
    assert_string_equal(text, "_.:");
}

static void long_text_is_broken_between_words(void **state)
{
    (void)state;
    struct tui_doc d = {.columns = 32};
    tui_add_wrapped(&d, TUI_PLAIN, 2, "one two three four five six seven");
    assert_int_equal(d.n, 2);
    assert_string_equal(d.lines[0].text, "  one two three four five six");
    assert_string_equal(d.lines[1].text, "  seven");
    tui_doc_done(&d);
}

static void a_filter_acts_while_it_is_typed(void **state)
{
    struct desk *d = *state;
    desk_type(d, "/hv3");
    assert_true(desk_has(d, "hv3"));
    assert_false(desk_has(d, "hv2"));
    assert_non_null(strstr(d->doc.title, "[only: hv3]"));
    desk_key(d, 27);
    assert_true(desk_has(d, "hv2"));
}

static void the_console_is_the_vms_under_the_focus(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "OK hv1");
    desk_key(d, 'o');
    assert_string_equal(d->t.console.vm, "");
    desk_focus(d, "web1");
    desk_key(d, 'o');
    assert_string_equal(d->t.console.vm, "web1");
    assert_string_equal(d->t.console.host, "hv1.x");
}

static void help_explains_the_line_with_the_focus(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "OK hv2");
    desk_key(d, 's');
    struct tui_ask *a = desk_asked(d, "hv2.x", "host.show");
    assert_true(json_is_true(json_object_get(a->args, "help")));
    desk_reply(d, a, "{\"help\":{\"send\":{\"text\":\"Let VMs leave.\",\"default\":\"off\"}}}");
    desk_focus(d, "send");
    desk_show(d);
    assert_string_equal(d->doc.note, "send: Let VMs leave. Default: off.");
    assert_string_equal(d->doc.cli, "drover -H hv2 host set send=VALUE");
    desk_key(d, '?');
    desk_line(d, "send: Let VMs leave. Default: off.");
    desk_key(d, 27);
    desk_focus(d, "receive"); // nothing is known about it
    desk_key(d, '?');
    assert_false(desk_has(d, "Let VMs"));
}

static void roles_are_shown_by_name(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_answer(d, "hv2.x", "host.show",
                "{\"host\":\"hv2.x\",\"settings\":{\"roles\":"
                "\"admin=S-1-5-21-1-2:VM Admins,hosts=S-1-5-32,viewer=S-1-5-21-1-3:All\"}}");
    desk_focus(d, "OK hv2");
    desk_key(d, 's');
    desk_line(d, "admin=VM Admins,hosts=S-1-5-32,viewer=All");
}

static void steps_stand_at_the_side_where_there_is_room(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "web1");
    desk_key(d, '\r');
    tui_build(&d->t, &d->doc, 99, 18, true);
    assert_int_equal(d->doc.n_side, 0);
    tui_build(&d->t, &d->doc, 100, 18, true);
    assert_string_equal(d->doc.side[0].text, "OK VM web1");
    assert_string_equal(d->doc.side[1].text, ">> What memory");
    assert_string_equal(d->doc.side[5].text, ".. Summary");
}

static void the_way_out_is_on_every_bar(void **state)
{
    struct desk *d = *state;
    static const unsigned widths[] = {50, 80, 100};
    for (int kind = 0; kind < TUI_PANEL_MAX_; kind++)
        for (size_t i = 0; i < DRV_ARRAY_LEN(widths); i++) {
            char bar[400];
            tui_top(&d->t)->kind = (enum tui_panel_kind)kind;
            tui_key_bar(&d->t, bar, sizeof bar, widths[i]);
            assert_true(tui_width(bar) <= widths[i]);
            assert_non_null(strstr(bar, "  q "));
            assert_true(kind == TUI_HOSTS || strstr(bar, "Esc "));
        }
}

static int line_with(struct desk *d, const char *text)
{
    return (int)(desk_line(d, text) - d->doc.lines);
}

static void a_click_is_for_the_item_under_it(void **state)
{
    struct desk *d = *state;
    uint32_t before = desk_line(d, "web1")->id;
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 5000);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, "OK hv2")->id);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "no VMs"), 6000);
    tui_point(&d->t, &d->doc, TUI_CLICK, -1, 6001);
    tui_point(&d->t, &d->doc, TUI_CLICK, 1000, 6002);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, "OK hv2")->id);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "web1"), 7000);
    assert_int_equal(tui_top(&d->t)->focus, before);
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
}

static void two_clicks_are_enter_if_they_belong_together(void **state)
{
    struct desk *d = *state;
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv1"), 5000);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 5100); // of another item
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 6000); // too late
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 6200);
    assert_int_equal(tui_top(&d->t)->kind, TUI_SETTINGS);
    desk_line(d, "receive");
}

static void text_belongs_to_what_it_explains(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "web1");
    desk_key(d, '\r');
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "its disks go to another store"), 5000);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, ") Move its storage")->id);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "What shall move?"), 6000);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, ") Move its storage")->id);
}

static void the_mouse_does_nothing_while_something_is_typed(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "web1");
    desk_key(d, '/');
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 5000);
    tui_point(&d->t, &d->doc, TUI_CLICK, line_with(d, "OK hv2"), 5001);
    assert_int_equal(d->t.prompt.kind, TUI_PROMPT_FILTER);
    assert_int_equal(tui_top(&d->t)->focus, desk_line(d, "web1")->id);
}

static void the_wheel_scrolls_lists_and_texts(void **state)
{
    struct desk *d = *state;
    desk_focus(d, "OK hv1");
    tui_build(&d->t, &d->doc, 80, 3, true);
    tui_point(&d->t, &d->doc, TUI_WHEEL_DOWN, 0, 5000);
    tui_build(&d->t, &d->doc, 80, 3, true);
    assert_int_equal(tui_top(&d->t)->top, d->doc.n - 3);
    assert_int_not_equal(tui_top(&d->t)->focus, tui_id("host", "hv1.x")); // it comes along
    desk_key(d, '?');
    tui_build(&d->t, &d->doc, 80, 4, true);
    tui_point(&d->t, &d->doc, TUI_WHEEL_DOWN, -1, 5000);
    tui_build(&d->t, &d->doc, 80, 4, true);
    assert_int_equal(tui_top(&d->t)->top, 3);
    tui_point(&d->t, &d->doc, TUI_WHEEL_UP, -1, 5000);
    assert_int_equal(tui_top(&d->t)->top, 0);
}

static void help_tells_of_a_mouse_that_there_is(void **state)
{
    struct desk *d = *state;
    desk_key(d, '?');
    assert_false(desk_has(d, "hold Shift"));
    d->t.mouse = true;
    desk_line(d, "hold Shift");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)
    const struct CMUnitTest tests[] = {
        T(a_host_that_is_silent_does_not_hide_the_others),
        T(receiving_off_is_a_word),
        T(answers_of_the_wrong_shape_do_no_harm),
        T(every_key_is_in_the_help),
        T(no_key_means_two_things),
        T(nothing_is_on_function_keys_alone),
        T(the_bar_keeps_help_and_quit_at_80),
        T(the_way_out_is_on_every_bar),
        T(lines_are_told_what_letters_and_numbers_do),
        T(a_filter_keeps_what_matches),
        T(moves_are_listed_by_time_whoever_tells_of_them),
        T(help_scrolls_from_the_first_key),
        T(a_filter_acts_while_it_is_typed),
        T(the_console_is_the_vms_under_the_focus),
        T(help_explains_the_line_with_the_focus),
        T(roles_are_shown_by_name),
        T(steps_stand_at_the_side_where_there_is_room),
        T(a_setting_is_asked_for_and_set),
        T(the_focus_stays_with_its_line),
        T(foreign_text_reaches_no_terminal),
        T(sparks_share_a_scale),
        T(long_text_is_broken_between_words),
        T(a_click_is_for_the_item_under_it),
        T(two_clicks_are_enter_if_they_belong_together),
        T(text_belongs_to_what_it_explains),
        T(the_mouse_does_nothing_while_something_is_typed),
        T(the_wheel_scrolls_lists_and_texts),
        T(help_tells_of_a_mouse_that_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
