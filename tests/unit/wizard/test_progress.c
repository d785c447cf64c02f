// SPDX-License-Identifier: GPL-3.0-or-later
// A move as it is watched: bars, the pause, cancelling, leaving and coming back.
#include "desk.h"

#define MOVE "180e07d4-74aa-4e56-8a9a-fda863cf09bd"

struct moment {
    const char *phase, *state;
    int phase_no;
    bool can_cancel;
    int64_t disk_done, pass, remaining, rate, dirty, elapsed;
};

static void hear(struct desk *d, struct moment m)
{
    json_t *e = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:s,s:b,s:[{s:s,s:I,s:I}],s:{s:I,s:I,s:I,s:I,s:I,s:I},s:"
        "I,s:I}",
        "event", "move", "kind", "move", "vm", "web1", "from", "hv1.x", "to", "hv2.x", "phase",
        m.phase, "phase_no", m.phase_no, "phases", 9, "state", m.state ? m.state : "running",
        "can_cancel", m.can_cancel, "disks", "id", "disk0", "bytes_done", (json_int_t)m.disk_done,
        "bytes_total", (json_int_t)1000, "memory", "pass", (json_int_t)m.pass, "remaining_bytes",
        (json_int_t)m.remaining, "total_bytes", (json_int_t)1000, "rate_bps", (json_int_t)m.rate,
        "dirty_rate_bps", (json_int_t)m.dirty, "expected_blackout_ms", (json_int_t)300,
        "max_blackout_ms", (json_int_t)2000, "elapsed_ms", (json_int_t)m.elapsed);
    assert_non_null(e);
    tui_followed(&d->t, e, NULL);
    json_decref(e);
}

static void end(struct desk *d, const char *state)
{
    json_t *r = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i}", "event", "result", "vm", "web1",
                          "from", "hv1.x", "to", "hv2.x", "state", state, "blackout_ms", 57,
                          "predicted_blackout_ms", 55, "total_ms", 1600);
    tui_followed(&d->t, r, NULL);
    json_decref(r);
}

static void greet(struct desk *d, const char *capabilities)
{
    json_t *g = json_pack("{s:s, s:o}", "event", "greeting", "capabilities",
                          json_loads(capabilities, 0, NULL));
    tui_followed(&d->t, g, NULL);
    json_decref(g);
}

static void stuck(struct desk *d)
{
    static const char event[] =
        "{\"event\":\"move\",\"kind\":\"move\",\"vm\":\"web1\",\"from\":\"hv1.x\",\"to\":\"hv2.x\","
        "\"phase\":\"memory\",\"phase_no\":5,\"phases\":9,\"state\":\"running\","
        "\"can_cancel\":true,\"memory\":{\"pass\":9,\"remaining_bytes\":500,\"total_bytes\":1000,"
        "\"rate_bps\":100,\"dirty_rate_bps\":200},\"max_blackout_ms\":2000,\"stuck\":{"
        "\"gives_up_ms\":27300,\"choices\":["
        "{\"name\":\"move.longer_pause\",\"label\":\"Longer pause\",\"help\":\"Up to 4 s.\","
        "\"call\":\"move.set\",\"args\":{\"max_blackout_ms\":4000}},"
        "{\"name\":\"move.evil\",\"label\":\"Evil\",\"help\":\"\",\"call\":\"vm.delete\"},"
        "{\"name\":\"move.postcopy\",\"label\":\"Post-copy\",\"help\":\"Finish over there.\","
        "\"call\":\"move.postcopy\"},"
        "{\"name\":\"move.cancel\",\"label\":\"Cancel the move\",\"help\":\"It stays.\","
        "\"call\":\"move.cancel\",\"args\":{}}]}}";
    json_t *e = json_loads(event, 0, NULL);
    assert_non_null(e);
    tui_followed(&d->t, e, NULL);
    json_decref(e);
}

static void bars_never_run_backwards(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(
        d,
        (struct moment){
            .phase = "copy", .phase_no = 4, .can_cancel = true, .disk_done = 800, .elapsed = 1000});
    hear(
        d,
        (struct moment){
            .phase = "copy", .phase_no = 4, .can_cancel = true, .disk_done = 300, .elapsed = 2000});
    assert_non_null(strstr(desk_line(d, "disk0")->text, " 80%"));
    assert_non_null(strstr(desk_line(d, "disk0")->text, "300 B of"));
    hear(d, (struct moment){
                .phase = "memory", .phase_no = 5, .can_cancel = true, .pass = 1, .remaining = 100});
    hear(d, (struct moment){
                .phase = "memory", .phase_no = 5, .can_cancel = true, .pass = 2, .remaining = 700});
    assert_non_null(strstr(desk_line(d, "memory   [")->text, " 90%"));
}

static void the_point_of_no_return_is_seen(void **state)
{
    struct desk *d = *state;
    char bar[200];
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(d, (struct moment){.phase = "memory", .phase_no = 5, .can_cancel = true});
    desk_line(d, ">> memory");
    desk_line(d, "c cancels until");
    tui_key_bar(&d->t, bar, sizeof bar, 80);
    assert_non_null(strstr(bar, "c Cancel"));
    hear(d, (struct moment){.phase = "take", .phase_no = 7});
    desk_line(d, "Past the point of no return");
    tui_key_bar(&d->t, bar, sizeof bar, 80);
    assert_null(strstr(bar, "c Cancel"));
    desk_key(d, 'c');
    assert_int_equal(d->t.prompt.kind, TUI_PROMPT_NONE);
}

static void cancel_asks_and_shows_each_state(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(d, (struct moment){.phase = "copy", .phase_no = 4, .can_cancel = true});
    desk_type(d, "cno\r");
    assert_null(desk_take(d, "hv1.x", "move.cancel"));
    desk_type(d, "cy\r");
    desk_line(d, "Cancel requested");
    desk_answer(d, "hv1.x", "move.cancel", "{\"state\":\"cancelling\"}");
    desk_line(d, "Cancelling: web1 keeps running on hv1");
    end(d, "cancelled");
    desk_line(d, "Cancelled. web1 runs on hv1");
}

static void a_cancel_that_fails_says_why(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(d, (struct moment){.phase = "copy", .phase_no = 4, .can_cancel = true});
    desk_type(d, "cy\r");
    desk_refuse(d, "hv1.x", "move.cancel", "too late");
    desk_line(d, "Not cancelled: too late");
}

static void a_move_that_does_not_converge_offers_what_the_agent_can(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    greet(d, "[\"move.longer_pause\",\"move.cancel\",\"move.postcopy\",\"move.evil\"]");
    stuck(d);
    desk_line(d, "Not converging: the guest writes 200 B/s, the link carries 100 B/s");
    desk_line(d, "in 27.0 s the move is given up");
    desk_line(d, "Time left: cannot be said");
    desk_focus(d, "[ Longer pause");
    desk_key(d, '\r');
    struct tui_ask *a = desk_asked(d, "hv1.x", "move.set");
    assert_int_equal(tui_number(a->args, "max_blackout_ms"), 4000);
    assert_string_equal(drv_json_text(a->args, "move"), MOVE);
    desk_reply(d, a, "{}");
    // What this program has never heard of is drawn and taken likewise.
    desk_line(d, "Finish over there");
    desk_focus(d, "[ Post-copy");
    desk_key(d, '\r');
    desk_answer(d, "hv1.x", "move.postcopy", "{}");
    desk_focus(d, "[ Cancel the move");
    desk_key(d, '\r');
    assert_int_equal(d->t.prompt.kind, TUI_PROMPT_CANCEL);
}

static void no_choice_is_drawn_that_the_agent_lacks(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    stuck(d);
    assert_false(desk_has(d, "[ "));
    greet(d, "[\"move.cancel\",\"move.evil\"]");
    desk_line(d, "[ Cancel the move");
    assert_false(desk_has(d, "Longer pause"));
    assert_false(desk_has(d, "Evil")); // no call about a move
    hear(d, (struct moment){.phase = "memory", .phase_no = 5, .can_cancel = true});
    assert_false(desk_has(d, "Not converging"));
}

static void the_time_left_is_a_range(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(d, (struct moment){.phase = "memory",
                            .phase_no = 5,
                            .pass = 1,
                            .remaining = 1000,
                            .rate = 100,
                            .dirty = 50});
    desk_line(d, "measuring");
    tui_tick(&d->t, 5000);
    desk_line(d, "this phase: 10.0 s to 20.0 s");
}

static void a_lost_agent_is_followed_again(void **state)
{
    struct desk *d = *state;
    struct drv_err err = DRV_ERR_INIT;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    hear(d, (struct moment){.phase = "copy", .phase_no = 4, .can_cancel = true});
    drv_err(&err, DRV_EUNREACHABLE, "hv1.x closed the connection");
    d->followed[0] = '\0';
    tui_followed(&d->t, NULL, &err);
    desk_line(d, "No connection to hv1");
    tui_tick(&d->t, 60000);
    assert_string_equal(d->followed, "hv1.x " MOVE);
    hear(d, (struct moment){.phase = "memory", .phase_no = 5, .can_cancel = true});
    assert_false(desk_has(d, "No connection"));
}

static void leaving_says_how_to_come_back(void **state)
{
    struct desk *d = *state;
    char text[512];
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    desk_key(d, 3); // Ctrl-C
    assert_true(d->t.quit);
    assert_null(desk_take(d, "hv1.x", "move.cancel"));
    tui_farewell(&d->t, text, sizeof text);
    assert_non_null(strstr(text, "drover -H hv1 attach " MOVE));
    assert_non_null(strstr(text, "drover -H hv1 cancel " MOVE));
    end(d, "done");
    tui_farewell(&d->t, text, sizeof text);
    assert_string_equal(text, "");
}

static void a_move_under_way_is_found_at_its_vm(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_answer(d, "hv1.x", "move.list",
                "[{\"move\":\"" MOVE "\",\"vm\":\"web1\",\"from\":\"hv1.x\",\"to\":\"hv2.x\","
                "\"state\":\"active\",\"phase\":\"copy\"}]");
    desk_line(d, "moving to hv2: copy");
    desk_focus(d, "web1");
    desk_key(d, '\r');
    assert_string_equal(d->followed, "hv1.x " MOVE);
}

static void a_move_that_has_ended_is_under_way_nowhere(void **state)
{
    struct desk *d = *state;
    tui_tick(&d->t, 60000);
    desk_answer(d, "hv1.x", "move.list",
                "[{\"move\":\"" MOVE "\",\"vm\":\"web1\",\"from\":\"hv1.x\",\"to\":\"hv2.x\","
                "\"state\":\"active\",\"phase\":\"copy\"}]");
    desk_focus(d, "moving to hv2");
    desk_key(d, '\r');
    assert_int_equal(tui_top(&d->t)->kind, TUI_PROGRESS);
    end(d, "failed");
    desk_key(d, '\r');
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
    assert_false(desk_has(d, "moving to"));
    desk_focus(d, "web1");
    desk_key(d, '\r'); // the hosts have not been asked again
    assert_int_equal(tui_top(&d->t)->kind, TUI_MOVE);
}

static void the_result_leads_back_to_the_hosts(void **state)
{
    struct desk *d = *state;
    tui_progress_begin(&d->t, "hv1.x", MOVE);
    end(d, "done");
    desk_line(d, "OK web1 runs on hv2.");
    desk_line(d, "57 ms (predicted 55 ms)");
    desk_key(d, '\r');
    assert_int_equal(tui_top(&d->t)->kind, TUI_HOSTS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)
    const struct CMUnitTest tests[] = {
        T(bars_never_run_backwards),
        T(the_point_of_no_return_is_seen),
        T(cancel_asks_and_shows_each_state),
        T(a_cancel_that_fails_says_why),
        T(a_move_that_does_not_converge_offers_what_the_agent_can),
        T(no_choice_is_drawn_that_the_agent_lacks),
        T(the_time_left_is_a_range),
        T(a_lost_agent_is_followed_again),
        T(leaving_says_how_to_come_back),
        T(a_move_under_way_is_found_at_its_vm),
        T(a_move_that_has_ended_is_under_way_nowhere),
        T(the_result_leads_back_to_the_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
