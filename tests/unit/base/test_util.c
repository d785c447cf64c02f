// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of UTF-8 handling, and that every error text can go into JSON.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "drover/err.h"
#include "drover/util.h"

static void utf8_is_read_by_the_character(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        uint32_t c;
    } good[] = {{"a", 1, 'a'},
                {"\x7f", 1, 0x7f},
                {"\xc2\x80", 2, 0x80},
                {"ü", 2, 0xfc},
                {"\xe0\xa0\x80", 3, 0x800},
                {"京", 3, 0x4eac},
                {"\xed\x9f\xbf", 3, 0xd7ff},
                {"\xee\x80\x80", 3, 0xe000},
                {"\xf0\x90\x80\x80", 4, 0x10000},
                {"🐑", 4, 0x1f411},
                {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(good); i++) {
        uint32_t c = 0;
        assert_int_equal(drv_utf8(good[i].text, &c), good[i].len);
        assert_int_equal(c, good[i].c);
    }
}

static void what_is_not_utf8_is_no_character(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\x80",
        "\xc0\x80",         // NUL in two bytes
        "\xc1\xbf",         // overlong
        "\xe0\x9f\xbf",     // overlong
        "\xed\xa0\x80",     // a surrogate
        "\xf0\x8f\xbf\xbf", // overlong
        "\xf4\x90\x80\x80", // beyond U+10FFFF
        "\xf8\x88\x80\x80\x80",
        "\xff",
        "\xc3",     // cut
        "\xe4\xba", // cut
        "\xe4q\xba",
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        uint32_t c;
        assert_int_equal(drv_utf8(bad[i], &c), 0);
    }
}

static void assert_json(const char *text)
{
    DRV_AUTO_JSON json_t *j = json_string(text);
    assert_non_null(j);
}

static void error_texts_can_always_go_into_json(void **state)
{
    (void)state;
    char longest[2 * sizeof((struct drv_err *)0)->msg] = "x";
    while (strlen(longest) < sizeof longest - 3)
        strcat(longest, "ü");
    for (int shift = 0; shift < 2; shift++) { // one of the two is cut within a character
        struct drv_err err = DRV_ERR_INIT;
        drv_err(&err, DRV_EINVAL, "%s", longest + shift);
        drv_err_hint(&err, "%s", longest + shift);
        assert_json(err.msg);
        assert_json(err.hint);
        drv_err_prefix(&err, "%s", longest + shift);
        assert_json(err.msg);
        struct drv_err os = DRV_ERR_INIT;
        drv_err_os(&os, 2, "%s", longest + shift);
        assert_json(os.msg);
    }
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_EPEER, "a server said \xff\xfe, ü");
    assert_string_equal(err.msg, "a server said ??, ü");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_read_by_the_character),
        cmocka_unit_test(what_is_not_utf8_is_no_character),
        cmocka_unit_test(error_texts_can_always_go_into_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
