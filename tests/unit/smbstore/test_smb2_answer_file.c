// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of an SMB2 server about files; see test_smb2_answer.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drover/util.h"
#include "msg.h"
#include "smb2_answers.h"
#include "smb2_hex.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
