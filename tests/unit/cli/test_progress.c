// SPDX-License-Identifier: GPL-3.0-or-later
// What people see of a move while it runs.
#include "fake_agent.h"
#include "progress.h"

struct screen {
    struct progress p;
    char *text;
    size_t size;
    FILE *f;
};

static void open_screen(struct screen *s, enum progress_mode mode, unsigned columns)
{
    s->f = open_memstream(&s->text, &s->size);
    assert_non_null(s->f);
    fflush(s->f); // sets text and size
    progress_init(&s->p, mode, s->f, columns);
}

static void close_screen(struct screen *s)
{
    fclose(s->f);
    free(s->text);
}

static void show(struct screen *s, const char *event)
{
    DRV_AUTO_JSON json_t *j = json_loads(event, 0, NULL);
    assert_non_null(j);
    progress_event(&s->p, j);
    fflush(s->f);
}

static char *copy_event(int64_t ms, int64_t done, int64_t total)
{
    return drv_xasprintf(
        "{\"event\":\"move\",\"vm\":\"web\",\"from\":\"hv1.example.lan\",\"to\":\"hv2.example."
        "lan\","
        "\"phase\":\"copy\",\"phase_no\":4,\"phases\":9,\"state\":\"running\",\"elapsed_ms\":%lld,"
        "\"disks\":[{\"id\":\"disk0\",\"bytes_done\":%lld,\"bytes_total\":%lld}]}",
        (long long)ms, (long long)done, (long long)total);
}

#define MEMORY                                                                                     \
    "{\"event\":\"move\",\"vm\":\"web\",\"from\":\"hv1.example.lan\",\"to\":\"hv2.example.lan\","  \
    "\"phase\":\"memory\",\"phase_no\":5,\"phases\":9,\"state\":\"running\",\"elapsed_ms\":9000,"  \
    "\"max_blackout_ms\":300,\"memory\":{\"pass\":3,\"remaining_bytes\":125829120,"                \
    "\"total_bytes\":1073741824,\"rate_bps\":117440512,\"dirty_rate_bps\":12582912,"               \
    "\"expected_blackout_ms\":84}}"

static void a_bar_never_runs_backwards(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_SCREEN, 100);
    // The guest writes: the total grows faster than what is done.
    static const int64_t totals[] = {100, 100, 200, 200};
    static const char *const want[] = {"[##########..........]  50%", "[############........]  60%",
                                       "[############........]  60%",
                                       "[################....]  80%"};
    static const int64_t done[] = {50, 60, 70, 160};
    for (size_t i = 0; i < DRV_ARRAY_LEN(want); i++) {
        DRV_AUTO_FREE char *e = copy_event((int64_t)(i + 1) * 1000, done[i], totals[i]);
        size_t before = s.size;
        show(&s, e);
        assert_has(s.text + before, want[i]);
    }
    close_screen(&s);
}

static void the_rate_is_worked_out_when_the_agent_tells_none(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_SCREEN, 100);
    DRV_AUTO_FREE char *a = copy_event(1000, 0, INT64_C(10) << 30);
    DRV_AUTO_FREE char *b = copy_event(3000, 64 << 20, INT64_C(10) << 30);
    show(&s, a);
    show(&s, b);
    assert_has(s.text, "64 MiB of 10 GiB, 32 MiB/s");
    close_screen(&s);
}

static void a_log_gets_a_line_per_phase_and_every_ten_seconds(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_LINES, 80);
    for (int64_t ms = 1000; ms <= 21000; ms += 1000) {
        DRV_AUTO_FREE char *e = copy_event(ms, ms, 100000);
        show(&s, e);
    }
    unsigned heads = 0;
    for (const char *p = s.text; (p = strstr(p, "4/9 copy")); p++)
        heads++;
    assert_int_equal(heads, 3); // at 1, 11 and 21 s
    show(&s, MEMORY);
    assert_has(s.text, "5/9 memory");
    close_screen(&s);
}

static void a_log_has_no_escape_sequences(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_LINES, 80);
    DRV_AUTO_FREE char *e = copy_event(1000, 1, 100);
    show(&s, e);
    show(&s, MEMORY);
    progress_end(&s.p);
    fflush(s.f);
    assert_null(strchr(s.text, '\033'));
    assert_null(strchr(s.text, '\r'));
    close_screen(&s);
}

static void memory_tells_both_rates_and_the_pause(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_LINES, 80);
    show(&s, MEMORY);
    assert_has(s.text, "memory pass 3: 120 MiB left of 1.0 GiB, 112 MiB/s, guest writes 12 MiB/s\n"
                       "expected pause 84 ms, limit 300 ms\n");
    close_screen(&s);
}

#define STUCK                                                                                      \
    "{\"event\":\"move\",\"move\":\"3f2a81c0-1111-4222-8333-444455556666\",\"vm\":\"web\","        \
    "\"phase\":\"memory\",\"phase_no\":5,\"phases\":9,\"elapsed_ms\":9500,\"memory\":{\"pass\":9," \
    "\"total_bytes\":1073741824,\"rate_bps\":11534336,\"dirty_rate_bps\":32505856,"                \
    "\"throttle_percent\":40},\"stuck\":{\"gives_up_ms\":27300,\"choices\":["                      \
    "{\"label\":\"Longer pause\",\"call\":\"move.set\",\"args\":{\"max_blackout_ms\":4000}},"      \
    "{\"label\":\"Wait\",\"call\":\"move.set\",\"args\":{\"wait_s\":600}},"                        \
    "{\"label\":\"Later\",\"call\":\"move.set\",\"args\":{\"post_copy\":1}},"                      \
    "{\"label\":\"Cancel the move\",\"call\":\"move.cancel\",\"args\":{}}]}}"

static void what_does_not_converge_is_explained_with_commands(void **state)
{
    (void)state;
    static const enum progress_mode modes[] = {PROGRESS_LINES, PROGRESS_SCREEN};
    for (size_t i = 0; i < DRV_ARRAY_LEN(modes); i++) {
        struct screen s;
        open_screen(&s, modes[i], 120);
        s.p.host = "hv1";
        show(&s, MEMORY);
        show(&s, STUCK);
        assert_has(s.text, "not converging: the guest writes 31 MiB/s, the link carries 11 MiB/s; "
                           "given up in 27.0 s unless:");
        assert_has(s.text, "slowed down by 40 %");
        assert_has(s.text, "  drover -H hv1 adjust 3f2a81c0 --max-blackout=4000   Longer pause");
        assert_has(s.text, "  drover -H hv1 adjust 3f2a81c0 --wait=600s   Wait");
        assert_has(s.text, "  drover -H hv1 cancel 3f2a81c0   Cancel the move");
        assert_lacks(s.text, "Later"); // no command of this version
        close_screen(&s);
    }
}

static void a_log_says_once_that_a_move_does_not_converge(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_LINES, 80);
    show(&s, MEMORY);
    show(&s, STUCK);
    show(&s, STUCK);
    assert_null(strstr(strstr(s.text, "not converging") + 1, "not converging"));
    show(&s, MEMORY);
    show(&s, STUCK); // anew
    assert_non_null(strstr(strstr(s.text, "not converging") + 1, "not converging"));
    close_screen(&s);
}

static void the_block_is_erased_as_it_was_drawn(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_SCREEN, 100);
    DRV_AUTO_FREE char *e = copy_event(1000, 1, 100);
    show(&s, e); // two lines
    size_t before = s.size;
    show(&s, MEMORY);
    assert_int_equal(strncmp(s.text + before, "\033[2A\r\033[J", 8), 0);
    assert_has(s.text + before, "OK  copy"); // what is done stays
    before = s.size;
    progress_end(&s.p);
    fflush(s.f);
    assert_has(s.text + before, "\033[3A\r\033[J");
    close_screen(&s);
}

static void no_line_is_wider_than_the_screen(void **state)
{
    (void)state;
    struct screen s;
    open_screen(&s, PROGRESS_SCREEN, 40);
    show(&s, MEMORY);
    for (const char *p = s.text; *p;) {
        size_t len = strcspn(p, "\n");
        assert_true(len <= 39 + strlen("\033[K"));
        p += len + (p[len] == '\n');
    }
    close_screen(&s);
}

static void odd_events_are_shown_as_far_as_they_go(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "{}",
        "{\"phase\":7,\"disks\":3,\"memory\":[],\"elapsed_ms\":\"x\"}",
        "{\"disks\":[{},{\"id\":\"a\",\"bytes_total\":-5},{\"id\":\"b\",\"bytes_total\":1e30,"
        "\"bytes_done\":9e99}]}",
        "{\"phase\":\"\\u001b[2J\",\"vm\":\"\\u009b31m\",\"phase_no\":1,\"phases\":2}",
    };
    struct screen s;
    open_screen(&s, PROGRESS_SCREEN, 80);
    for (size_t i = 0; i < DRV_ARRAY_LEN(odd); i++)
        show(&s, odd[i]);
    assert_lacks(s.text, "\033[2J");
    assert_lacks(s.text, "\xc2\x9b");
    close_screen(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bar_never_runs_backwards),
        cmocka_unit_test(the_rate_is_worked_out_when_the_agent_tells_none),
        cmocka_unit_test(a_log_gets_a_line_per_phase_and_every_ten_seconds),
        cmocka_unit_test(a_log_has_no_escape_sequences),
        cmocka_unit_test(memory_tells_both_rates_and_the_pause),
        cmocka_unit_test(what_does_not_converge_is_explained_with_commands),
        cmocka_unit_test(a_log_says_once_that_a_move_does_not_converge),
        cmocka_unit_test(the_block_is_erased_as_it_was_drawn),
        cmocka_unit_test(no_line_is_wider_than_the_screen),
        cmocka_unit_test(odd_events_are_shown_as_far_as_they_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
