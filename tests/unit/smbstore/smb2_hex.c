// SPDX-License-Identifier: GPL-3.0-or-later
// See smb2_hex.h.
#include "smb2_hex.h"

#include <stdlib.h>
#include <string.h>

size_t hex_bytes(const char *hex, uint8_t *to)
{
    size_t n = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        unsigned v;
        assert_int_equal(sscanf(hex++, "%2x", &v), 1);
        to[n++] = (uint8_t)v;
    }
    return n;
}

uint8_t *from_hex(const char *hex, size_t *ret_len)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    assert_non_null(bytes);
    *ret_len = hex_bytes(hex, bytes);
    uint8_t *exact = realloc(bytes, *ret_len);
    assert_non_null(exact);
    return exact;
}

uint8_t *changed(const char *good, size_t at, const char *hex, size_t *ret_len)
{
    uint8_t *msg = from_hex(good, ret_len);
    size_t n;
    DRV_AUTO_FREE uint8_t *patch = from_hex(hex, &n);
    assert_true(at + n <= *ret_len);
    assert_memory_not_equal(msg + at, patch, n);
    memcpy(msg + at, patch, n);
    return msg;
}

void expect_refused(decoder *decode, const uint8_t *msg, size_t len, const char *why)
{
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(decode(msg, len, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    if (!strstr(err.msg, why))
        fail_msg("refused by \"%s\", not \"%s\"", err.msg, why);
}

void each_is_refused(decoder *decode, const char *good, const struct change *c, size_t n)
{
    size_t len;
    DRV_AUTO_FREE uint8_t *whole = from_hex(good, &len);
    assert_int_equal(decode(whole, len, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        DRV_AUTO_FREE uint8_t *msg = changed(good, c[i].at, c[i].hex, &len);
        expect_refused(decode, msg, len, c[i].why);
    }
}

void all_cuts_are_refused(decoder *decode, const char *good)
{
    size_t whole;
    DRV_AUTO_FREE uint8_t *msg = from_hex(good, &whole);
    for (size_t len = 0; len < whole; len++) {
        DRV_AUTO_FREE uint8_t *cut = malloc(len ? len : 1);
        assert_non_null(cut);
        memcpy(cut, msg, len);
        expect_refused(decode, cut, len, "");
    }
}
