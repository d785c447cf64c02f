// SPDX-License-Identifier: GPL-3.0-or-later
// Messages from hex, with changes, and decoders that must refuse them.
#ifndef TESTS_SMB2_HEX_H
#define TESTS_SMB2_HEX_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "drover/err.h"
#include "drover/util.h"

// Blanks are skipped. Returns how many bytes.
size_t hex_bytes(const char *hex, uint8_t *to);
// A message in memory of exactly its size, so that ASan sees what lies past it.
uint8_t *from_hex(const char *hex, size_t *ret_len);
// The good one with other bytes at `at`.
uint8_t *changed(const char *good, size_t at, const char *hex, size_t *ret_len);

typedef int decoder(const uint8_t *msg, size_t len, struct drv_err *err);
void expect_refused(decoder *decode, const uint8_t *msg, size_t len, const char *why);

struct change {
    size_t at; // in the message
    const char *hex;
    const char *why; // part of the error's text
};

void each_is_refused(decoder *decode, const char *good, const struct change *c, size_t n);
#define EACH_IS_REFUSED(decode, good, changes)                                                     \
    each_is_refused(decode, good, changes, DRV_ARRAY_LEN(changes))
// Nothing that is cut anywhere is an answer.
void all_cuts_are_refused(decoder *decode, const char *good);

#endif
