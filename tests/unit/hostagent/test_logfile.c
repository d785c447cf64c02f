// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of bounded logs: what hostile text becomes, how much is kept, what another process
// wrote.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>

#include <fcntl.h>

#include "drover/proc.h"
#include "logfile.h"
#include "vm_event.h"

static char dir[64], path[96], from[96], next[64];

static int setup(void **state)
{
    (void)state;
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(from, sizeof from, "%s/qemu.log", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    return drv_proc_run(argv, NULL, 5000, 100, NULL, NULL);
}

static const char *field(const json_t *list, size_t i, const char *key)
{
    const char *s = json_string_value(json_object_get(json_array_get(list, i), key));
    return s ? s : "";
}

static void append(const char *text)
{
    DRV_AUTO_FILE FILE *f = fopen(from, "ae");
    assert_non_null(f);
    fputs(text, f);
}

static void lines_come_back_with_time_and_source(void **state)
{
    (void)state;
    ha_logfile_add(path, 1764187550123, "drover", "one\ntwo words");
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 10, NULL, next);
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "at")),
                     1764187550123);
    assert_string_equal(field(list, 0, "source"), "drover");
    assert_string_equal(field(list, 0, "text"), "one");
    assert_string_equal(field(list, 1, "text"), "two words");
    DRV_AUTO_JSON json_t *newest = ha_logfile_read(path, 1, NULL, next);
    assert_string_equal(field(newest, 0, "text"), "two words");
}

static void hostile_text_cannot_move_a_terminal_or_forge_a_line(void **state)
{
    (void)state;
    ha_logfile_add(path, 1, "qemu",
                   "a\x1b[2J\rb\xc2\x9b"
                   "c\xff\x7f");
    ha_logfile_add(path, 1, "qemu", "x\n1970-01-01T00:00:00.001Z drover forged");
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 10, NULL, next);
    assert_string_equal(field(list, 0, "text"), "a\\x1b[2J\\x0db\\x9bc?\\x7f");
    assert_string_equal(field(list, 2, "source"), "qemu");
}

static void old_lines_go_new_ones_stay(void **state)
{
    (void)state;
    char text[1024], old[128];
    struct stat st;
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "%u %0900d", i, 0);
        ha_logfile_add(path, 1, "qemu", text);
    }
    snprintf(old, sizeof old, "%s.1", path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= HA_LOGFILE_BYTES);
    assert_int_equal(stat(old, &st), 0);
    assert_true(st.st_size <= HA_LOGFILE_BYTES);
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 1000, NULL, next);
    assert_true(json_array_size(list) > 100); // what fits an answer
    assert_memory_equal(field(list, json_array_size(list) - 1, "text"), "1999 ", 5);
    ha_logfile_remove(path);
    assert_int_equal(access(old, F_OK), -1);
}

static void who_follows_sees_each_line_once_also_over_a_rotation(void **state)
{
    (void)state;
    char text[1024], position[64];
    unsigned seen = 0;
    DRV_AUTO_JSON json_t *none = ha_logfile_read(path, 10, NULL, position);
    assert_int_equal(json_array_size(none), 0);
    for (unsigned i = 0; i < 700; i++) {
        snprintf(text, sizeof text, "%u %0900d", i, 0);
        ha_logfile_add(path, 1, "qemu", text);
        if (i % 50 != 49)
            continue;
        DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 1000, position, next);
        for (size_t k = 0; k < json_array_size(list); k++)
            assert_int_equal(atoi(field(list, k, "text")), (int)seen++);
        DRV_COPY(position, next);
    }
    assert_int_equal(seen, 700);
    DRV_AUTO_JSON json_t *again = ha_logfile_read(path, 1000, position, next);
    assert_int_equal(json_array_size(again), 0);
    DRV_AUTO_JSON json_t *all = ha_logfile_read(path, 1000, "1:999999999", next);
    assert_true(json_array_size(all) > 0); // a position of nowhere: from the beginning
}

static void what_a_process_appends_is_taken_once_and_takes_no_space(void **state)
{
    (void)state;
    struct stat st;
    append("2026-11-26T20:05:50.123456Z qemu-system-x86_64: first\nsecond\nhalf a");
    ha_logfile_take(path, "qemu", from, false, 7);
    ha_logfile_take(path, "qemu", from, false, 7);
    append(" line\n");
    ha_logfile_take(path, "qemu", from, false, 8);
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 10, NULL, next);
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "at")),
                     1795723550123);
    assert_string_equal(field(list, 0, "text"), "qemu-system-x86_64: first");
    assert_string_equal(field(list, 2, "text"), "half a line");
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned k = 0; k < 100; k++)
            append("some message of this process\n");
        ha_logfile_take(path, "qemu", from, false, 9);
    }
    assert_int_equal(stat(from, &st), 0);
    assert_true(st.st_blocks * 512 < 16384);
}

static void a_flood_leaves_its_end_and_says_so(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *block = drv_xcalloc(1, 1 << 20);
    for (unsigned i = 0; i + 1 < 1 << 20; i++)
        block[i] = i % 64 == 63 ? '\n' : 'x';
    append(block);
    append("\nthe end\n");
    ha_logfile_take(path, "qemu", from, false, 9);
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 1, NULL, next);
    assert_string_equal(field(list, 0, "text"), "the end");
    DRV_AUTO_FREE char *old = drv_xasprintf("%s.1", path);
    DRV_AUTO_FILE FILE *f = fopen(old, "re");
    char line[256] = "";
    assert_non_null(f ? fgets(line, sizeof line, f) : NULL);
    assert_non_null(strstr(line, "bytes are left out here"));
}

static void of_a_helpers_messages_the_lesser_ones_stay_out(void **state)
{
    (void)state;
    append("<6>store.chatter\n<3>store.lost reason=\"x\"\nplain\nlast");
    ha_logfile_take(path, "disk0", from, true, 9);
    DRV_AUTO_JSON json_t *list = ha_logfile_read(path, 10, NULL, next);
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(field(list, 0, "text"), "store.lost reason=\"x\"");
    assert_string_equal(field(list, 2, "text"), "last");
}

static void no_link_is_followed(void **state)
{
    (void)state;
    char target[96];
    snprintf(target, sizeof target, "%s/target", dir);
    DRV_AUTO_FILE FILE *f = fopen(target, "we");
    fputs("secret\n", f);
    fflush(f);
    assert_int_equal(symlink(target, from), 0);
    ha_logfile_take(path, "qemu", from, true, 9);
    assert_int_equal(symlink(target, path), 0);
    ha_logfile_add(path, 9, "qemu", "more");
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_size, 7);
}

static void assert_words(const char *event, const char *words)
{
    char text[400];
    DRV_AUTO_JSON json_t *ev = json_loads(event, 0, NULL);
    assert_int_equal(ha_event_text(ev, text, sizeof text), words != NULL);
    if (words)
        assert_string_equal(text, words);
}

static void events_are_told_in_words(void **state)
{
    (void)state;
    assert_words("{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}}",
                 "the guest has shut itself down");
    assert_words("{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"device\":\"\",\"node-name\":\"disk0\","
                 "\"operation\":\"write\",\"reason\":\"Input/output error\"}}",
                 "a write of disk disk0 failed: Input/output error");
    assert_words("{\"event\":\"NIC_RX_FILTER_CHANGED\"}", NULL);
    assert_words("{\"event\":17}", NULL);
}

static void a_crash_is_over_with_the_next_reset(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        int rc;
        const char *part;
    } cases[] = {{"{\"event\":\"GUEST_PANICKED\",\"data\":{\"action\":\"run\"}}", 1, "has crashed"},
                 {"{\"event\":\"GUEST_CRASHLOADED\",\"data\":{\"action\":\"run\"}}", 1, "dump"},
                 {"{\"event\":\"RESET\",\"data\":{\"guest\":true}}", 0, ""},
                 {"{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true}}", 0, ""},
                 {"{\"event\":\"RESUME\"}", -1, ""}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        char text[96];
        DRV_AUTO_JSON json_t *ev = json_loads(cases[i].event, 0, NULL);
        assert_int_equal(ha_event_panic(ev, text, sizeof text), cases[i].rc);
        assert_non_null(strstr(text, cases[i].part));
    }
}

static void a_vm_that_does_not_run_is_explained(void **state)
{
    (void)state;
    static const char *const fine[] = {"running", "inmigrate", "finish-migrate", "save-vm"};
    static const char *const amiss[] = {"paused", "io-error", "internal-error", "suspended"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(fine); i++)
        assert_null(ha_state_words(fine[i]));
    for (size_t i = 0; i < DRV_ARRAY_LEN(amiss); i++)
        assert_non_null(ha_state_words(amiss[i]));
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(lines_come_back_with_time_and_source),
        IN_DIR(hostile_text_cannot_move_a_terminal_or_forge_a_line),
        IN_DIR(old_lines_go_new_ones_stay),
        IN_DIR(who_follows_sees_each_line_once_also_over_a_rotation),
        IN_DIR(what_a_process_appends_is_taken_once_and_takes_no_space),
        IN_DIR(a_flood_leaves_its_end_and_says_so),
        IN_DIR(of_a_helpers_messages_the_lesser_ones_stay_out),
        IN_DIR(no_link_is_followed),
        IN_DIR(events_are_told_in_words),
        IN_DIR(a_crash_is_over_with_the_next_reset),
        IN_DIR(a_vm_that_does_not_run_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
