// SPDX-License-Identifier: GPL-3.0-or-later
// The client's book-keeping: lines of the ack port, sequences of acks, pauses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../client/client.h"

static void take(struct acks *acks, const char *text)
{
    acks_take(acks, text, strlen(text));
}

static struct acks connected(void)
{
    struct acks acks = {0};

    acks_connected(&acks);
    take(&acks, "hello vda slots=64 first=1 seq=10\nhello vdb slots=64 first=1 seq=0\n");
    return acks;
}

static void what_is_printed_is_parsed(void **state)
{
    const struct tg_ack lines[] = {
        {.hello = true, .disk = "vda", .slots = 4096, .first = 1, .seq = 0},
        {.disk = "vdd", .seq = UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char line[TG_ACK_LINE];
        struct tg_ack ack;

        tg_ack_print(line, &lines[i]);
        assert_true(tg_ack_parse(line, &ack));
        assert_true(ack.hello == lines[i].hello && ack.seq == lines[i].seq &&
                    ack.slots == lines[i].slots && ack.first == lines[i].first);
        assert_string_equal(ack.disk, lines[i].disk);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "vda",
        "vda 0",
        "vda 1 2",
        "vda x",
        "hello vda",
        "hello vda slots=8 first=1 seq=0",
        "hello vda slots=99999 first=1 seq=0",
        "hello vda slots=64 first=0 seq=0",
        "hello vda slots=64 first=1 seq=0 more",
    };
    struct tg_ack ack;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(tg_ack_parse(bad[i], &ack));
}

static void acks_in_order_are_counted_a_disk_each(void **state)
{
    struct acks acks = connected();

    (void)state;
    take(&acks, "vda 11\nvdb 1\nvda 1");
    take(&acks, "2\nvdb 2\nvda 13\n");
    assert_int_equal(acks.count, 5);
    assert_int_equal(acks.lost + acks.reordered + acks.malformed, 0);
    assert_int_equal(acks.disks[0].first, 11);
    assert_int_equal(acks.disks[0].last, 13);
}

static void skipped_acks_are_lost(void **state)
{
    struct acks acks = connected();

    (void)state;
    take(&acks, "vda 12\nvda 15\n");
    assert_int_equal(acks.lost, 3);
    assert_int_equal(acks.reordered, 0);
}

static void acks_that_go_back_or_repeat_are_reordered(void **state)
{
    struct acks acks = connected();

    (void)state;
    take(&acks, "vda 11\nvda 11\nvda 10\n");
    assert_int_equal(acks.reordered, 2);
}

static void a_reconnection_may_skip_but_not_go_back(void **state)
{
    struct acks acks = connected();

    (void)state;
    take(&acks, "vda 11\nvda 1");
    acks_connected(&acks);
    take(&acks, "hello vda slots=64 first=1 seq=20\nvda 21\n");
    assert_int_equal(acks.lost + acks.reordered + acks.malformed, 0);
    acks_connected(&acks);
    take(&acks, "hello vda slots=64 first=1 seq=18\nvda 19\n");
    assert_int_equal(acks.lost, 3);
}

static void an_ack_without_a_hello_is_malformed(void **state)
{
    struct acks acks = connected();

    (void)state;
    take(&acks, "vdc 1\nnonsense\n");
    acks_connected(&acks);
    take(&acks, "vda 11\n");
    assert_int_equal(acks.malformed, 3);
    assert_int_equal(acks.count, 0);
}

static void the_log_holds_each_line_as_soon_as_it_counts(void **state)
{
    static const char hello[] = "hello vda slots=64 first=1 seq=0\n";
    struct acks acks = {.log = tmpfile()};
    char buffer[128] = "";

    (void)state;
    assert_non_null(acks.log);
    acks_connected(&acks);
    take(&acks, hello);
    take(&acks, "vda 1\nvd");
    assert_int_equal(pread(fileno(acks.log), buffer, sizeof(buffer) - 1, 0), strlen(hello) + 6);
    assert_string_equal(buffer + strlen(hello), "vda 1\n");
    fclose(acks.log);
}

static void the_largest_pause_counts_wherever_it_is(void **state)
{
    static const uint64_t events[3][2] = {{90, 95}, {5, 95}, {5, 10}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct meter meter;

        meter_begin(&meter, 50, 0);
        meter_event(&meter, events[i][0]);
        meter_event(&meter, events[i][1]);
        meter_end(&meter, 100);
        assert_int_equal(meter.max_ns, 90);
        assert_int_equal(meter.max_at_ns, i == 0 ? 0 : i == 1 ? 5 : 10);
        assert_int_equal(meter.count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_parsed),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(acks_in_order_are_counted_a_disk_each),
        cmocka_unit_test(skipped_acks_are_lost),
        cmocka_unit_test(acks_that_go_back_or_repeat_are_reordered),
        cmocka_unit_test(a_reconnection_may_skip_but_not_go_back),
        cmocka_unit_test(an_ack_without_a_hello_is_malformed),
        cmocka_unit_test(the_log_holds_each_line_as_soon_as_it_counts),
        cmocka_unit_test(the_largest_pause_counts_wherever_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
