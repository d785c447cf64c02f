// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of an SMB2 server: good ones are understood; whatever points outside itself, contradicts
// the request or cannot be is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drover/util.h"
#include "msg.h"
#include "smb2_answers.h"

static const struct smb2_negotiate asked = {
    .ciphers = {2, 4}, .n_ciphers = 2, .signings = {2, 1}, .n_signings = 2};

// --- messages from hex, with changes ---

// A message in memory of exactly its size, so that ASan sees what lies past it.
static uint8_t *from_hex(const char *hex, size_t *ret_len)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    size_t n = 0;
    assert_non_null(bytes);
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        unsigned v;
        assert_int_equal(sscanf(hex++, "%2x", &v), 1);
        bytes[n++] = (uint8_t)v;
    }
    uint8_t *exact = realloc(bytes, n);
    assert_non_null(exact);
    *ret_len = n;
    return exact;
}

static uint8_t *changed(const char *good, size_t at, const char *hex, size_t *ret_len)
{
    uint8_t *msg = from_hex(good, ret_len);
    size_t n;
    DRV_AUTO_FREE uint8_t *patch = from_hex(hex, &n);
    assert_true(at + n <= *ret_len);
    assert_memory_not_equal(msg + at, patch, n);
    memcpy(msg + at, patch, n);
    return msg;
}

typedef int decoder(const uint8_t *msg, size_t len, struct drv_err *err);

static void expect_refused(decoder *decode, const uint8_t *msg, size_t len, const char *why)
{
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(decode(msg, len, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    if (!strstr(err.msg, why))
        fail_msg("refused by \"%s\", not \"%s\"", err.msg, why);
}

struct change {
    size_t at; // in the message
    const char *hex;
    const char *why; // part of the error's text
};

static void each_is_refused(decoder *decode, const char *good, const struct change *c, size_t n)
{
    size_t len;
    DRV_AUTO_FREE uint8_t *whole = from_hex(good, &len);
    assert_int_equal(decode(whole, len, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        DRV_AUTO_FREE uint8_t *msg = changed(good, c[i].at, c[i].hex, &len);
        expect_refused(decode, msg, len, c[i].why);
    }
}

// Nothing that is cut anywhere is an answer.
static void all_cuts_are_refused(decoder *decode, const char *good)
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

#define EACH_IS_REFUSED(decode, good, changes)                                                     \
    each_is_refused(decode, good, changes, DRV_ARRAY_LEN(changes))

// --- header ---

#define HEADER                                                                                     \
    "FE534D42 4000 0100 00000000 0800 0100 01000000 00000000 0500000000000000 00000000 44434241"   \
    "5857565554535251 00000000000000000000000000000000"

static int get_hdr(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_hdr h;
    return smb2_get_hdr(msg, len, &h, err);
}

static void headers_of_something_else_are_refused(void **state)
{
    (void)state;
    const struct change changes[] = {
        {0, "FD", "not SMB2"},
        {0, "FF534D42", "not SMB2"}, // SMB 1
        {4, "4100", "not SMB2"},
        {4, "0040", "not SMB2"},
        {12, "1300", "unknown command 19"},
        {12, "0801", "unknown command 264"},
        {16, "00", "sent a request"},
        {20, "48000000", "compounded"},
        {23, "80", "compounded"},
    };
    EACH_IS_REFUSED(get_hdr, HEADER, changes);
    all_cuts_are_refused(get_hdr, HEADER);
}

// --- NEGOTIATE ---

static int get_negotiate(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_negotiated n;
    return smb2_get_negotiate(msg, len, &asked, &n, err);
}

static void negotiated_values_are_read(void **state)
{
    (void)state;
    struct smb2_negotiated n;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_NEGOTIATE, &len);
    assert_int_equal(smb2_get_negotiate(msg, len, &asked, &n, NULL), 0);
    assert_int_equal(n.security_mode, 3);
    assert_int_equal(n.dialect, 0x0311);
    assert_int_equal(n.cipher, 2);
    assert_int_equal(n.signing, 2);
    assert_int_equal(n.capabilities, 0x2F);
    assert_int_equal(n.max_transact, 0x800000);
    assert_int_equal(n.max_read, 0x900000);
    assert_int_equal(n.max_write, 0xA00000);
    assert_int_equal(n.token_len, 4);
    assert_ptr_equal(n.token, msg + 128);
    for (size_t at = 92; at < 104; at += 4)
        memcpy(msg + at, "\0\0\1\0", 4); // the least that is allowed
    assert_int_equal(smb2_get_negotiate(msg, len, &asked, &n, NULL), 0);
    assert_int_equal(n.max_transact, 65536);
}

static void negotiate_contexts_may_be_missing_or_unknown(void **state)
{
    (void)state;
    struct smb2_negotiated n;
    size_t len;
    DRV_AUTO_FREE uint8_t *alone = changed(ANSWER_NEGOTIATE, 70, "0100", &len);
    assert_int_equal(smb2_get_negotiate(alone, len, &asked, &n, NULL), 0);
    assert_int_equal(n.cipher, 0);
    assert_int_equal(n.signing, 1); // AES-CMAC
    DRV_AUTO_FREE uint8_t *none = changed(ANSWER_NEGOTIATE, 194, "0000", &len);
    assert_int_equal(smb2_get_negotiate(none, len, &asked, &n, NULL), 0);
    assert_int_equal(n.cipher, 0);
    assert_int_equal(n.signing, 2);
    DRV_AUTO_FREE uint8_t *unknown = changed(ANSWER_NEGOTIATE, 184, "0301", &len);
    assert_int_equal(smb2_get_negotiate(unknown, len, &asked, &n, NULL), 0);
    assert_int_equal(n.cipher, 0);
    DRV_AUTO_FREE uint8_t *no_token = changed(ANSWER_NEGOTIATE, 120, "00000000", &len);
    assert_int_equal(smb2_get_negotiate(no_token, len, &asked, &n, NULL), 0);
    assert_int_equal(n.token_len, 0);
    assert_true(n.token >= no_token && n.token <= no_token + len);
}

static void other_dialects_are_refused_by_name(void **state)
{
    (void)state;
    const struct change changes[] = {
        {68, "0202", "SMB 2.0.2 at most; drover needs 3.1.1"},
        {68, "1002", "SMB 2.1 at most"},
        {68, "0003", "SMB 3.0 at most"},
        {68, "0203", "SMB 3.0.2 at most"},
        {68, "FF02", "dialect 0x02FF"},
        {68, "1203", "unknown dialect 0x0312"},
    };
    EACH_IS_REFUSED(get_negotiate, ANSWER_NEGOTIATE, changes);
}

static void bad_negotiate_answers_are_refused(void **state)
{
    (void)state;
    const struct change changes[] = {
        {64, "4000", "structure size 64"},
        {92, "FFFF0000", "less than 64 KiB"},
        {96, "FFFF0000", "less than 64 KiB"},
        {100, "FFFF0000", "less than 64 KiB"},
        {120, "7F00", "do not lie in its body"}, // token
        {120, "D100", "do not lie in its body"},
        {120, "FFFF", "do not lie in its body"},
        {122, "5500", "do not lie in its body"},
        {122, "FFFF", "do not lie in its body"},
        {124, "78000000", "where none can be"}, // contexts
        {124, "8C000000", "where none can be"},
        {124, "D8000000", "a context lies outside"},
        {124, "F8FFFFFF", "a context lies outside"},
        {70, "0000", "no hash algorithm"},
        {70, "0400", "a context lies outside"},
        {70, "FFFF", "a context lies outside"},
        {136, "0700", "no hash algorithm"},
        {138, "0500", "not one hash algorithm"},
        {138, "FFFF", "data lies outside"},
        {144, "0000", "not one hash algorithm"},
        {144, "0200", "not one hash algorithm"},
        {146, "2100", "salt is cut off"},
        {148, "0200", "hash algorithm that was not offered"},
        {184, "0100", "twice"},
        {186, "0300", "not one encryption algorithm"},
        {192, "0000", "not one encryption algorithm"},
        {192, "0200", "not one encryption algorithm"},
        {194, "0100", "cipher that was not offered"},
        {200, "0200", "twice"},
        {202, "0500", "data lies outside"},
        {208, "0200", "not one signing algorithm"},
        {210, "0000", "signing algorithm that was not offered"},
        {210, "0300", "signing algorithm that was not offered"},
    };
    EACH_IS_REFUSED(get_negotiate, ANSWER_NEGOTIATE, changes);
    all_cuts_are_refused(get_negotiate, ANSWER_NEGOTIATE);
}

static void what_was_not_offered_cannot_be_chosen(void **state)
{
    (void)state;
    const struct smb2_negotiate little = {.ciphers = {4, 2}, .n_ciphers = 1, .n_signings = 0};
    struct smb2_negotiated n = {.cipher = 77};
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_NEGOTIATE, &len);
    assert_int_equal(smb2_get_negotiate(msg, len, &little, &n, NULL), -1);
    assert_int_equal(n.cipher, 77); // untouched by a failure
}

// --- SESSION_SETUP, TREE_CONNECT ---

static int get_session_setup(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_session_reply r;
    return smb2_get_session_setup(msg, len, &r, err);
}

static void session_setup_gives_flags_and_token(void **state)
{
    (void)state;
    struct smb2_session_reply r;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_SESSION_SETUP, &len);
    assert_int_equal(smb2_get_session_setup(msg, len, &r, NULL), 0);
    assert_int_equal(r.flags, 4);
    assert_int_equal(r.token_len, 3);
    assert_ptr_equal(r.token, msg + 72);
    DRV_AUTO_FREE uint8_t *none = changed(ANSWER_SESSION_SETUP, 68, "00000000", &len);
    assert_int_equal(smb2_get_session_setup(none, len, &r, NULL), 0);
    assert_int_equal(r.token_len, 0);
    assert_int_equal(smb2_get_session_setup(none, 72, &r, NULL), 0); // and no room for one
    assert_int_equal(r.token_len, 0);
}

static void bad_session_setup_answers_are_refused(void **state)
{
    (void)state;
    const struct change changes[] = {
        {64, "0800", "structure size 8"},         {68, "4700", "do not lie in its body"},
        {68, "4900", "do not lie in its body"},   {68, "FFFF", "do not lie in its body"},
        {70, "0400", "4 bytes at 72 do not lie"}, {70, "FFFF", "do not lie in its body"},
    };
    EACH_IS_REFUSED(get_session_setup, ANSWER_SESSION_SETUP, changes);
    all_cuts_are_refused(get_session_setup, ANSWER_SESSION_SETUP);
}

static int get_tree_connect(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_tree t;
    return smb2_get_tree_connect(msg, len, &t, err);
}

static void tree_connect_gives_type_and_flags(void **state)
{
    (void)state;
    struct smb2_tree t;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_TREE_CONNECT, &len);
    assert_int_equal(smb2_get_tree_connect(msg, len, &t, NULL), 0);
    assert_int_equal(t.type, 1);
    assert_int_equal(t.flags, 0x8000);
    assert_int_equal(t.capabilities, 0x10);
    const struct change changes[] = {{64, "0900", "structure size 9"}};
    EACH_IS_REFUSED(get_tree_connect, ANSWER_TREE_CONNECT, changes);
    all_cuts_are_refused(get_tree_connect, ANSWER_TREE_CONNECT);
}

// --- CREATE ---

static int get_create(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_opened o;
    return smb2_get_create(msg, len, &o, err);
}

static void opened_file_has_its_ids(void **state)
{
    (void)state;
    struct smb2_opened o;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_CREATE, &len);
    assert_int_equal(smb2_get_create(msg, len, &o, NULL), 0);
    assert_true(o.fid.persistent == 0x1112131415161718);
    assert_true(o.fid.volatile_ == 0x2122232425262728);
    assert_int_equal(o.action, 2);
    assert_int_equal(o.attributes, 0x20);
    assert_true(o.allocated_bytes == 0x100000);
    assert_true(o.size_bytes == 0x10000000200);
    assert_true(o.has_ids);
    assert_true(o.file_id == 0x0102030405060708);
    assert_true(o.volume_id == 0xF1F2F3F4F5F6F7F8);
    DRV_AUTO_FREE uint8_t *bare = changed(ANSWER_CREATE, 144, "00000000 00000000", &len);
    assert_int_equal(smb2_get_create(bare, len, &o, NULL), 0);
    assert_false(o.has_ids);
}

static void bad_create_answers_are_refused(void **state)
{
    (void)state;
    const struct change changes[] = {
        {64, "5800", "structure size 88"},
        {66, "FF", "an oplock or lease"},
        {66, "08", "an oplock or lease"},
        {111, "80", "negative size"},
        {119, "80", "negative size"},
        {144, "97000000", "do not lie in its body"},
        {144, "99000000", "do not lie in its body"},
        {144, "FFFFFFFF", "do not lie in its body"},
        {148, "59000000", "do not lie in its body"},
        {148, "FFFFFFFF", "do not lie in its body"},
        {148, "0F000000", "a context is cut short"},
        {148, "2F000000", "a context is cut short"},
        {148, "20000000", "successor"},
        {148, "50000000", "data lies outside"},
        {152, "08000000", "successor"},
        {152, "24000000", "successor"},
        {152, "58000000", "successor"},
        {152, "F8FFFFFF", "successor"},
        {152, "10000000", "name lies outside"}, // nothing left for its name
        {152, "18000000", "data lies outside"},
        {156, "0F00", "name lies outside"},
        {156, "1D00", "name lies outside"},
        {156, "FFFF", "name lies outside"},
        {158, "1100", "name lies outside"},
        {158, "FFFF", "name lies outside"},
        {162, "1300", "data lies outside"},
        {162, "1900", "data lies outside"},
        {162, "FFFF", "data lies outside"},
        {164, "09000000", "data lies outside"},
        {164, "FFFFFFFF", "data lies outside"},
        {168, "51466964", "a wrong length"}, // QFid of 8 bytes
        {196, "10000000", "a wrong length"},
        {196, "00000000", "a wrong length"},
        {196, "21000000", "data lies outside"},
        {200, "52714C73", "a lease or durable handle"},
        {200, "44486E51", "a lease or durable handle"},
        {168, "44483251", "a lease or durable handle"},
    };
    EACH_IS_REFUSED(get_create, ANSWER_CREATE, changes);
    all_cuts_are_refused(get_create, ANSWER_CREATE);
}

static void ids_may_not_come_twice(void **state)
{
    (void)state;
    size_t len;
    // One context after the other: the second becomes the first's successor.
    DRV_AUTO_FREE uint8_t *msg =
        from_hex(ANSWER_CREATE "00000000 1000 0400 0000 1800 20000000 51466964 00000000"
                               "0807060504030201 F8F7F6F5F4F3F2F1 00000000000000000000000000000000",
                 &len);
    assert_int_equal(get_create(msg, len, NULL), 0); // not yet in the chain
    msg[148] = 0x58 + 56;
    msg[184] = 56;
    expect_refused(get_create, msg, len, "twice");
}

// --- READ, WRITE ---

static int get_read(const uint8_t *msg, size_t len, struct drv_err *err)
{
    size_t at;
    uint32_t n;
    return smb2_get_read(msg, len < 80 ? len : 80, len, 4, &at, &n, err);
}

static void read_data_lies_in_the_message(void **state)
{
    (void)state;
    size_t len, at = 0;
    uint32_t n = 0;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_READ, &len);
    assert_int_equal(smb2_get_read(msg, 80, len, 4, &at, &n, NULL), 0);
    assert_int_equal(at, 80);
    assert_int_equal(n, 4);
    // The rest need not be there yet; later in the message is good too.
    msg[66] = 0xFF;
    assert_int_equal(smb2_get_read(msg, 80, 0xFF + 4, 4, &at, &n, NULL), 0);
    assert_int_equal(at, 0xFF);
    memset(msg + 66, 0, 6); // nothing read, at no offset
    assert_int_equal(smb2_get_read(msg, 80, 80, 4, &at, &n, NULL), 0);
    assert_int_equal(at, 80);
    assert_int_equal(n, 0);
}

static void bad_read_answers_are_refused(void **state)
{
    (void)state;
    const struct change changes[] = {
        {64, "1000", "structure size 16"},
        {66, "4F", "do not lie in its body"},
        {66, "00", "do not lie in its body"},
        {66, "51", "do not lie in its body"},
        {66, "FF", "do not lie in its body"},
        {68, "05000000", "5 bytes instead of 4"},
        {68, "FFFFFFFF", "4294967295 bytes instead of 4"},
    };
    EACH_IS_REFUSED(get_read, ANSWER_READ, changes);
    all_cuts_are_refused(get_read, ANSWER_READ);
    size_t len, at;
    uint32_t n;
    DRV_AUTO_FREE uint8_t *msg = changed(ANSWER_READ, 68, "FFFFFFFF", &len);
    assert_int_equal(smb2_get_read(msg, 80, len, UINT32_MAX, &at, &n, NULL), -1);
    assert_int_equal(smb2_get_read(msg, 79, len, UINT32_MAX, &at, &n, NULL), -1);
}

static int get_write(const uint8_t *msg, size_t len, struct drv_err *err)
{
    uint32_t n;
    return smb2_get_write(msg, len, &n, err);
}

static void write_tells_how_much(void **state)
{
    (void)state;
    size_t len;
    uint32_t n = 0;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_WRITE, &len);
    assert_int_equal(smb2_get_write(msg, len, &n, NULL), 0);
    assert_int_equal(n, 0x100000);
    const struct change changes[] = {{64, "1000", "structure size 16"}};
    EACH_IS_REFUSED(get_write, ANSWER_WRITE, changes);
    all_cuts_are_refused(get_write, ANSWER_WRITE);
}

// --- IOCTL and ranges ---

static int get_ioctl(const uint8_t *msg, size_t len, struct drv_err *err)
{
    const uint8_t *data;
    size_t n;
    return smb2_get_ioctl(msg, len, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, &data, &n, err);
}

static void ioctl_output_lies_in_the_message(void **state)
{
    (void)state;
    size_t len, n = 0;
    const uint8_t *data = NULL;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_RANGES, &len);
    assert_int_equal(smb2_get_ioctl(msg, len, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, &data, &n, NULL),
                     0);
    assert_ptr_equal(data, msg + 112);
    assert_int_equal(n, 32);
    DRV_AUTO_FREE uint8_t *none = changed(ANSWER_RANGES, 96, "00000000 00000000", &len);
    assert_int_equal(smb2_get_ioctl(none, len, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, &data, &n, NULL),
                     0);
    assert_int_equal(n, 0);
    const struct change changes[] = {
        {64, "3000", "structure size 48"},
        {68, "C4000900", "code 0x900C4 instead of 0x940CF"},
        {96, "6F000000", "do not lie in its body"},
        {96, "71000000", "do not lie in its body"},
        {96, "FFFFFFFF", "do not lie in its body"},
        {100, "21000000", "do not lie in its body"},
        {100, "FFFFFFFF", "do not lie in its body"},
    };
    EACH_IS_REFUSED(get_ioctl, ANSWER_RANGES, changes);
    all_cuts_are_refused(get_ioctl, ANSWER_RANGES);
}

// The two ranges of ANSWER_RANGES as seen through a window.
static unsigned window(uint64_t offset, uint64_t span, struct smb2_range ret[2])
{
    size_t len;
    unsigned n = 99;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_RANGES, &len);
    assert_int_equal(smb2_get_ranges(msg + 112, len - 112, offset, span, ret, 2, &n, NULL), 0);
    return n;
}

static void ranges_are_clipped_to_the_question(void **state)
{
    (void)state;
    struct smb2_range r[2];
    assert_int_equal(window(0, UINT64_MAX, r), 2);
    assert_true(r[0].offset == 0x10000 && r[0].len == 0x10000);
    assert_true(r[1].offset == 0x40000 && r[1].len == 0x8000);
    assert_int_equal(window(0x18000, 0x2C000, r), 2);
    assert_true(r[0].offset == 0x18000 && r[0].len == 0x8000);
    assert_true(r[1].offset == 0x40000 && r[1].len == 0x4000);
    assert_int_equal(window(0x20000, 0x20000, r), 0);
    assert_int_equal(window(0x1FFFF, 0x20001, r), 1);
    assert_true(r[0].offset == 0x1FFFF && r[0].len == 1);
    assert_int_equal(window(0x3FFFF, 2, r), 1);
    assert_true(r[0].offset == 0x40000 && r[0].len == 1);
    assert_int_equal(window(0x41000, UINT64_MAX, r), 1); // its end is past what a number holds
    assert_true(r[0].offset == 0x41000 && r[0].len == 0x7000);
}

static int get_ranges(const uint8_t *data, size_t len, struct drv_err *err)
{
    struct smb2_range r[2];
    unsigned n;
    return smb2_get_ranges(data, len, 0, UINT64_MAX, r, 2, &n, err);
}

static void bad_ranges_are_refused(void **state)
{
    (void)state;
    const char *adjacent = "0000010000000000 0000010000000000 0000020000000000 0000010000000000";
    const struct change changes[] = {
        {7, "80", "negative"},               // offset
        {15, "80", "negative"},              // length
        {8, "FFFFFFFFFFFFFF7F", "negative"}, // end
        {8, "01000100", "overlapping"},
        {16, "FFFF01", "overlapping"},
        {16, "000000", "unordered"},
    };
    EACH_IS_REFUSED(get_ranges, adjacent, changes);
    size_t len;
    DRV_AUTO_FREE uint8_t *data = from_hex(adjacent, &len);
    assert_int_equal(get_ranges(data, 0, NULL), 0);
    assert_int_equal(get_ranges(data, 16, NULL), 0);
    for (size_t n = 1; n < len; n++)
        if (n != 16)
            expect_refused(get_ranges, data, n, "no list of ranges");
}

static void ranges_that_find_no_room_are_refused(void **state)
{
    (void)state;
    struct smb2_range r[2] = {{77, 77}, {77, 77}};
    unsigned n = 0;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_RANGES, &len);
    const uint8_t *data = msg + 112;
    assert_int_equal(smb2_get_ranges(data, 32, 0, UINT64_MAX, r, 1, &n, NULL), -1);
    assert_true(r[1].offset == 77 && r[1].len == 77);
    assert_int_equal(smb2_get_ranges(data, 32, 0, 0x40000, r, 1, &n, NULL), 0); // one is outside
    assert_int_equal(n, 1);
    assert_true(r[1].offset == 77 && r[1].len == 77);
}

// --- QUERY_INFO ---

static enum smb2_info what;

static int get_info(const uint8_t *msg, size_t len, struct drv_err *err)
{
    struct smb2_info_reply r;
    return smb2_get_query_info(msg, len, what, &r, err);
}

static struct smb2_info_reply info(enum smb2_info kind, const char *hex)
{
    struct smb2_info_reply r = {0};
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(hex, &len);
    assert_int_equal(smb2_get_query_info(msg, len, kind, &r, NULL), 0);
    return r;
}

static void infos_are_read(void **state)
{
    (void)state;
    struct smb2_info_reply r = info(SMB2_INFO_STANDARD, ANSWER_STANDARD);
    assert_true(r.allocated_bytes == 0x100000 && r.size_bytes == 0x10000000200);
    assert_true(r.delete_pending);
    assert_true(info(SMB2_INFO_INTERNAL, ANSWER_INTERNAL).file_id == 0x0102030405060708);
    assert_int_equal(info(SMB2_INFO_VOLUME, ANSWER_VOLUME).volume_serial, 0x11223344);
    r = info(SMB2_INFO_FULL_SIZE, ANSWER_FULL_SIZE);
    assert_true(r.total_bytes == 256 * 4096 && r.free_bytes == 16 * 4096);
}

static void space_that_no_number_holds_is_the_largest_number(void **state)
{
    (void)state;
    struct smb2_info_reply r;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = changed(ANSWER_FULL_SIZE, 72, "FFFFFFFFFFFFFF7F", &len);
    assert_int_equal(smb2_get_query_info(msg, len, SMB2_INFO_FULL_SIZE, &r, NULL), 0);
    assert_true(r.total_bytes == INT64_MAX);
    assert_true(r.free_bytes == 16 * 4096);
    memset(msg + 72, 0, 16);
    msg[72 + 6] = 0x08; // 2^51 units of 4 KiB are 2^63 bytes
    assert_int_equal(smb2_get_query_info(msg, len, SMB2_INFO_FULL_SIZE, &r, NULL), 0);
    assert_true(r.total_bytes == INT64_MAX);
}

static void bad_infos_are_refused(void **state)
{
    (void)state;
    const struct change standard[] = {
        {64, "0800", "structure size 8"},
        {66, "4700", "do not lie in its body"},
        {66, "4900", "do not lie in its body"},
        {66, "0000", "do not lie in its body"},
        {68, "19000000", "do not lie in its body"},
        {68, "FFFFFFFF", "do not lie in its body"},
        {68, "17000000", "23 bytes instead of 24"},
        {68, "00000000", "0 bytes instead of 24"},
        {79, "80", "cannot be"},
        {87, "80", "cannot be"},
    };
    what = SMB2_INFO_STANDARD;
    EACH_IS_REFUSED(get_info, ANSWER_STANDARD, standard);
    all_cuts_are_refused(get_info, ANSWER_STANDARD);
    const struct change internal[] = {{68, "07000000", "7 bytes instead of 8"}};
    what = SMB2_INFO_INTERNAL;
    EACH_IS_REFUSED(get_info, ANSWER_INTERNAL, internal);
    all_cuts_are_refused(get_info, ANSWER_INTERNAL);
    const struct change volume[] = {{68, "11000000", "17 bytes instead of 18"}};
    what = SMB2_INFO_VOLUME;
    EACH_IS_REFUSED(get_info, ANSWER_VOLUME, volume);
    all_cuts_are_refused(get_info, ANSWER_VOLUME);
    const struct change full[] = {
        {79, "80", "cannot be"},
        {87, "80", "cannot be"},
        {96, "00000000", "cannot be"},
        {100, "00000000", "cannot be"},
        {68, "1F000000", "31 bytes instead of 32"},
    };
    what = SMB2_INFO_FULL_SIZE;
    EACH_IS_REFUSED(get_info, ANSWER_FULL_SIZE, full);
    all_cuts_are_refused(get_info, ANSWER_FULL_SIZE);
}

static void infos_longer_than_asked_for_are_refused(void **state)
{
    (void)state;
    size_t len;
    DRV_AUTO_FREE uint8_t *longer = from_hex(ANSWER_INTERNAL "00", &len);
    longer[68] = 9;
    what = SMB2_INFO_INTERNAL;
    expect_refused(get_info, longer, len, "9 bytes instead of 8");
}

// --- empty ones ---

static enum smb2_command command;

static int get_empty(const uint8_t *msg, size_t len, struct drv_err *err)
{
    return smb2_get_empty(msg, len, command, err);
}

static void empty_answers_have_their_structure(void **state)
{
    (void)state;
    const struct {
        enum smb2_command command;
        const char *good;
    } empty[] = {{SMB2_LOGOFF, ANSWER_FLUSH},      {SMB2_TREE_DISCONNECT, ANSWER_FLUSH},
                 {SMB2_FLUSH, ANSWER_FLUSH},       {SMB2_ECHO, ANSWER_FLUSH},
                 {SMB2_SET_INFO, ANSWER_SET_INFO}, {SMB2_CLOSE, ANSWER_CLOSE}};
    const struct change changes[] = {{64, "0900", "structure size 9"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(empty); i++) {
        command = empty[i].command;
        EACH_IS_REFUSED(get_empty, empty[i].good, changes);
        all_cuts_are_refused(get_empty, empty[i].good);
    }
}

static void only_empty_answers_are_empty(void **state)
{
    (void)state;
    size_t len;
    DRV_AUTO_FREE uint8_t *msg = from_hex(ANSWER_CREATE, &len);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(smb2_get_empty(msg, len, SMB2_CREATE, &err), -1);
    assert_int_equal(err.code, DRV_EINTERNAL);
    assert_int_equal(smb2_get_empty(msg, len, SMB2_COMMAND_MAX_, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_something_else_are_refused),
        cmocka_unit_test(negotiated_values_are_read),
        cmocka_unit_test(negotiate_contexts_may_be_missing_or_unknown),
        cmocka_unit_test(other_dialects_are_refused_by_name),
        cmocka_unit_test(bad_negotiate_answers_are_refused),
        cmocka_unit_test(what_was_not_offered_cannot_be_chosen),
        cmocka_unit_test(session_setup_gives_flags_and_token),
        cmocka_unit_test(bad_session_setup_answers_are_refused),
        cmocka_unit_test(tree_connect_gives_type_and_flags),
        cmocka_unit_test(opened_file_has_its_ids),
        cmocka_unit_test(bad_create_answers_are_refused),
        cmocka_unit_test(ids_may_not_come_twice),
        cmocka_unit_test(read_data_lies_in_the_message),
        cmocka_unit_test(bad_read_answers_are_refused),
        cmocka_unit_test(write_tells_how_much),
        cmocka_unit_test(ioctl_output_lies_in_the_message),
        cmocka_unit_test(ranges_are_clipped_to_the_question),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(ranges_that_find_no_room_are_refused),
        cmocka_unit_test(infos_are_read),
        cmocka_unit_test(space_that_no_number_holds_is_the_largest_number),
        cmocka_unit_test(bad_infos_are_refused),
        cmocka_unit_test(infos_longer_than_asked_for_are_refused),
        cmocka_unit_test(empty_answers_have_their_structure),
        cmocka_unit_test(only_empty_answers_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
