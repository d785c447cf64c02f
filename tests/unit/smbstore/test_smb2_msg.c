// SPDX-License-Identifier: GPL-3.0-or-later
// SMB2 requests byte for byte as MS-SMB2 2.2 lays them out, names in UTF-16, and what a status
// means.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "drover/util.h"
#include "msg.h"
#include "smb2_hex.h"

static const struct smb2_fid fid = {0x1112131415161718, 0x2122232425262728};
#define FID "18171615 14131211 28272625 24232221"

static uint8_t out[SMB2_REQUEST_MAX];

// The message of len bytes in out has this body, and the encoder kept off the header.
static void expect(size_t len, const char *hex)
{
    static uint8_t want[4096];
    size_t n = hex_bytes(hex, want);
    assert_int_equal(len, SMB2_HDR_BYTES + n);
    assert_memory_equal(out + SMB2_HDR_BYTES, want, n);
    for (size_t i = 0; i < SMB2_HDR_BYTES; i++)
        assert_int_equal(out[i], 0xEE);
}

static int dirty(void **state)
{
    (void)state;
    memset(out, 0xEE, sizeof out); // what an encoder does not write is seen
    return 0;
}

static bool same_hdr(const struct smb2_hdr *a, const struct smb2_hdr *b)
{
    return a->credit_charge == b->credit_charge && a->command == b->command &&
           a->credits == b->credits && a->status == b->status && a->flags == b->flags &&
           a->next == b->next && a->message_id == b->message_id && a->async_id == b->async_id &&
           a->session_id == b->session_id && a->tree_id == b->tree_id;
}

static void header_is_written_and_read_back(void **state)
{
    (void)state;
    struct smb2_hdr back, h = {.credit_charge = 0x0102,
                               .status = 0xC0000043,
                               .command = SMB2_QUERY_INFO,
                               .credits = 0x0304,
                               .flags = SMB2_F_RESPONSE | SMB2_F_SIGNED,
                               .message_id = 0x3132333435363738,
                               .tree_id = 0x41424344,
                               .session_id = 0x5152535455565758};
    uint8_t want[SMB2_HDR_BYTES];
    assert_int_equal(hex_bytes("FE534D42 4000 0201 430000C0 1000 0403 09000000 00000000"
                               "38373635 34333231 00000000 44434241 58575655 54535251"
                               "00000000 00000000 00000000 00000000",
                               want),
                     SMB2_HDR_BYTES);
    smb2_put_hdr(out, &h);
    assert_memory_equal(out, want, SMB2_HDR_BYTES);
    assert_int_equal(smb2_get_hdr(out, SMB2_HDR_BYTES, &back, NULL), 0);
    assert_true(same_hdr(&back, &h));

    h.flags |= SMB2_F_ASYNC;
    h.async_id = 0x6162636465666768;
    h.tree_id = 0;
    smb2_put_hdr(out, &h);
    hex_bytes("68676665 64636261", want + 32);
    want[16] |= SMB2_F_ASYNC;
    assert_memory_equal(out, want, SMB2_HDR_BYTES);
    assert_int_equal(smb2_get_hdr(out, SMB2_HDR_BYTES, &back, NULL), 0);
    assert_true(same_hdr(&back, &h));
}

static void header_of_a_compound_names_the_next(void **state)
{
    (void)state;
    const struct smb2_hdr h = {.next = 0x48};
    uint8_t want[SMB2_HDR_BYTES] = {0xFE, 'S', 'M', 'B', 0x40, [20] = 0x48};
    smb2_put_hdr(out, &h);
    assert_memory_equal(out, want, SMB2_HDR_BYTES);
}

static struct smb2_negotiate offer(void)
{
    struct smb2_negotiate n = {
        .ciphers = {2, 4}, .n_ciphers = 2, .signings = {2, 1}, .n_signings = 2, .server = "fs"};
    for (uint8_t i = 0; i < 32; i++)
        n.salt[i] = i;
    for (uint8_t i = 0; i < 16; i++)
        n.client_guid[i] = (uint8_t)(0xA0 + i);
    return n;
}

static void negotiate_offers_one_dialect_and_four_contexts(void **state)
{
    (void)state;
    struct smb2_negotiate n = offer();
    expect(smb2_put_negotiate(out, sizeof out, &n),
           "2400 0100 0200 0000 44000000 A0A1A2A3 A4A5A6A7 A8A9AAAB ACADAEAF 68000000 0400 0000"
           "1103 0000"
           "0100 2600 00000000 0100 2000 0100 00010203 04050607 08090A0B 0C0D0E0F"
           "10111213 14151617 18191A1B 1C1D1E1F 0000"
           "0200 0600 00000000 0200 0200 0400 0000"
           "0800 0600 00000000 0200 0200 0100 0000"
           "0500 0400 00000000 6600 7300");
}

static void negotiate_leaves_out_what_is_not_offered(void **state)
{
    (void)state;
    struct smb2_negotiate n = offer();
    n.n_ciphers = n.n_signings = 0;
    size_t len = smb2_put_negotiate(out, sizeof out, &n);
    assert_int_equal(len, 104 + 46 + 2 + 12);
    assert_int_equal(out[64 + 32], 2); // NegotiateContextCount
    n.n_ciphers = 3;
    assert_int_equal(smb2_put_negotiate(out, sizeof out, &n), 0);
}

static void session_setup_names_the_session_before(void **state)
{
    (void)state;
    expect(smb2_put_session_setup(out, sizeof out, 0x0102030405060708, "\x60\x48\x06", 3),
           "1900 00 02 00000000 00000000 5800 0300 08070605 04030201 604806");
    assert_int_equal(smb2_put_session_setup(out, sizeof out, 0, "", 0), 0);
    static uint8_t token[SMB2_TOKEN_MAX + 1];
    assert_int_equal(smb2_put_session_setup(out, sizeof out, 0, token, SMB2_TOKEN_MAX),
                     88 + SMB2_TOKEN_MAX);
    assert_int_equal(smb2_put_session_setup(out, sizeof out, 0, token, SMB2_TOKEN_MAX + 1), 0);
}

static void tree_connect_names_server_and_share(void **state)
{
    (void)state;
    expect(smb2_put_tree_connect(out, sizeof out, "fs", "VM$"),
           "0900 0000 4800 1000 5C00 5C00 6600 7300 5C00 5600 4D00 2400");
    assert_int_equal(smb2_put_tree_connect(out, sizeof out, "", "VM"), 0);
    assert_int_equal(smb2_put_tree_connect(out, sizeof out, "fs", ""), 0);
    assert_int_equal(smb2_put_tree_connect(out, sizeof out, "fs", "VM/x"), 0);
    assert_int_equal(smb2_put_tree_connect(out, sizeof out, "fs\\VM", "x"), 0);
}

static void create_asks_for_ids_and_no_oplock(void **state)
{
    (void)state;
    const struct smb2_create c = {.path = "d/x",
                                  .access = SMB2_READ_DATA | SMB2_WRITE_DATA | SMB2_SYNCHRONIZE,
                                  .share = SMB2_SHARE_READ,
                                  .disposition = SMB2_DISP_OPEN_IF,
                                  .options = SMB2_OPT_NON_DIRECTORY};
    expect(smb2_put_create(out, sizeof out, &c),
           "3900 00 00 02000000 00000000 00000000 00000000 00000000 03001000 80000000 01000000"
           "03000000 40000000 7800 0600 80000000 18000000"
           "6400 5C00 7800 0000"
           "00000000 1000 0400 0000 0000 00000000 51466964 00000000");
}

static void create_opens_the_root_by_an_empty_path(void **state)
{
    (void)state;
    const struct smb2_create c = {.path = "", .access = SMB2_READ_ATTRIBUTES, .disposition = 1};
    expect(smb2_put_create(out, sizeof out, &c),
           "3900 00 00 02000000 00000000 00000000 00000000 00000000 80000000 80000000 00000000"
           "01000000 00000000 7800 0000 78000000 18000000"
           "00000000 1000 0400 0000 0000 00000000 51466964 00000000");
}

static size_t create_path(const char *path)
{
    const struct smb2_create c = {.path = path};
    return smb2_put_create(out, sizeof out, &c);
}

static void paths_are_strict_utf8_of_bounded_length(void **state)
{
    (void)state;
    const char *bad[] = {"/x",               // from the root
                         "a\\b",             // would be two components
                         "\x80",             // begins in the middle
                         "\xC3",             // ends in the middle
                         "\xC3(",            //
                         "\xE2\x82",         //
                         "\xF0\x9F\x92",     //
                         "\xC0\xAF",         // overlong '/'
                         "\xC1\xBF",         //
                         "\xE0\x9F\xBF",     //
                         "\xF0\x8F\xBF\xBF", //
                         "\xED\xA0\x80",     // surrogates
                         "\xED\xBF\xBF",     //
                         "\xF4\x90\x80\x80", // above U+10FFFF
                         "\xF8\x88\x80\x80\x80",
                         "\xFF"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++)
        assert_int_equal(create_path(bad[i]), 0);
    char name[SMB2_NAME_MAX + 1] = "";
    memset(name, 'x', SMB2_NAME_MAX - 1);
    assert_int_equal(create_path(name), 120 + 2 * (SMB2_NAME_MAX - 1) + 2 + 24);
    name[SMB2_NAME_MAX - 1] = 'x';
    assert_int_equal(create_path(name), 0);
}

static void names_become_utf16_with_pairs(void **state)
{
    (void)state;
    // U+007F U+0080 U+07FF U+0800 U+D7FF U+E000 U+FFFF U+10000 U+1F4A9 U+10FFFF
    assert_int_equal(create_path("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80"
                                 "\xEF\xBF\xBF\xF0\x90\x80\x80\xF0\x9F\x92\xA9\xF4\x8F\xBF\xBF"),
                     120 + 26 + 6 + 24);
    uint8_t want[26];
    hex_bytes("7F00 8000 FF07 0008 FFD7 00E0 FFFF 00D8 00DC 3DD8 A9DC FFDB FFDF", want);
    assert_int_equal(out[64 + 46], sizeof want);
    assert_memory_equal(out + 120, want, sizeof want);
}

static void handle_requests_carry_the_file_id(void **state)
{
    (void)state;
    expect(smb2_put_close(out, sizeof out, &fid), "1800 0000 00000000" FID);
    expect(smb2_put_flush(out, sizeof out, &fid), "1800 0000 00000000" FID);
    expect(smb2_put_read(out, sizeof out, &fid, 0x00100000, 0x0000008000000200),
           "3100 50 00 00001000 00020000 80000000" FID "00000000 00000000 00000000 0000 0000 00");
    expect(smb2_put_write(out, sizeof out, &fid, 0x1000, 0x0000008000000200, false),
           "3100 7000 00100000 00020000 80000000" FID "00000000 00000000 0000 0000 00000000");
    expect(smb2_put_write(out, sizeof out, &fid, 0x1000, 0x0000008000000200, true),
           "3100 7000 00100000 00020000 80000000" FID "00000000 00000000 0000 0000 01000000");
    expect(smb2_put_set_eof(out, sizeof out, &fid, 0x0000010000000000),
           "2100 01 14 08000000 6000 0000 00000000" FID "00000000 00010000");
}

static void queries_ask_for_as_much_as_is_read(void **state)
{
    (void)state;
    const char *tail = "0000 0000 00000000 00000000 00000000" FID "00";
    const char *heads[] = {[SMB2_INFO_STANDARD] = "2900 01 05 18000000",
                           [SMB2_INFO_INTERNAL] = "2900 01 06 08000000",
                           [SMB2_INFO_VOLUME] = "2900 02 01 12020000",
                           [SMB2_INFO_FULL_SIZE] = "2900 02 07 20000000"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(heads); i++) {
        DRV_AUTO_FREE char *hex = drv_xasprintf("%s%s", heads[i], tail);
        expect(smb2_put_query_info(out, sizeof out, &fid, (enum smb2_info)i), hex);
    }
}

static void ioctls_are_file_system_controls(void **state)
{
    (void)state;
    uint8_t in[16];
    smb2_put_zero_range(in, 0x10000, 0x2000);
    expect(smb2_put_ioctl(out, sizeof out, &fid, SMB2_FSCTL_SET_ZERO_DATA, in, sizeof in, 0),
           "3900 0000 C8800900" FID "78000000 10000000 00000000 00000000 00000000 00000000"
           "01000000 00000000 00000100 00000000 00200100 00000000");
    smb2_put_range_query(in, 0x10000, 0x2000);
    expect(smb2_put_ioctl(out, sizeof out, &fid, SMB2_FSCTL_QUERY_ALLOCATED_RANGES, in, sizeof in,
                          0x4000),
           "3900 0000 CF400900" FID "78000000 10000000 00000000 00000000 00000000 00400000"
           "01000000 00000000 00000100 00000000 00200000 00000000");
    expect(smb2_put_ioctl(out, sizeof out, &fid, SMB2_FSCTL_SET_SPARSE, NULL, 0, 0),
           "3900 0000 C4000900" FID "00000000 00000000 00000000 00000000 00000000 00000000"
           "01000000 00000000 00");
    assert_int_equal(smb2_put_ioctl(out, sizeof out, &fid, 1, in, SIZE_MAX, 0), 0);
}

static void small_requests_have_four_bytes(void **state)
{
    (void)state;
    expect(smb2_put_logoff(out, sizeof out), "0400 0000");
    expect(smb2_put_tree_disconnect(out, sizeof out), "0400 0000");
    expect(smb2_put_echo(out, sizeof out), "0400 0000");
    expect(smb2_put_cancel(out, sizeof out), "0400 0000");
}

static size_t put(unsigned which, uint8_t *to, size_t cap)
{
    const struct smb2_negotiate n = offer();
    const struct smb2_create c = {.path = "d/x"};
    const uint8_t in[16] = {0};
    switch (which) {
    case 0:
        return smb2_put_negotiate(to, cap, &n);
    case 1:
        return smb2_put_session_setup(to, cap, 0, "abc", 3);
    case 2:
        return smb2_put_tree_connect(to, cap, "fs", "VM");
    case 3:
        return smb2_put_create(to, cap, &c);
    case 4:
        return smb2_put_close(to, cap, &fid);
    case 5:
        return smb2_put_flush(to, cap, &fid);
    case 6:
        return smb2_put_read(to, cap, &fid, 1, 0);
    case 7:
        return smb2_put_write(to, cap, &fid, 1, 0, false);
    case 8:
        return smb2_put_ioctl(to, cap, &fid, 1, in, sizeof in, 0);
    case 9:
        return smb2_put_query_info(to, cap, &fid, SMB2_INFO_STANDARD);
    case 10:
        return smb2_put_set_eof(to, cap, &fid, 0);
    case 11:
        return smb2_put_logoff(to, cap);
    default:
        return smb2_put_ioctl(to, cap, &fid, 1, NULL, 0, 0);
    }
}

static void nothing_is_written_past_the_room(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 13; which++) {
        size_t need = put(which, out, sizeof out);
        assert_true(need > SMB2_HDR_BYTES);
        for (size_t cap = 0; cap < need; cap++) {
            memset(out, 0xEE, sizeof out);
            assert_int_equal(put(which, out, cap), 0);
            for (size_t i = cap; i < need + 16; i++)
                assert_int_equal(out[i], 0xEE);
        }
        assert_int_equal(put(which, out, need), need);
    }
}

static void statuses_have_names_and_errnos(void **state)
{
    (void)state;
    const struct {
        uint32_t status;
        int errnum;
        const char *name;
    } known[] = {{SMB2_OK, 0, "STATUS_SUCCESS"},
                 {SMB2_S_SHARING_VIOLATION, EBUSY, "STATUS_SHARING_VIOLATION"},
                 {SMB2_S_OBJECT_NAME_NOT_FOUND, ENOENT, "STATUS_OBJECT_NAME_NOT_FOUND"},
                 {SMB2_S_BAD_NETWORK_NAME, ENOENT, "STATUS_BAD_NETWORK_NAME"},
                 {0xC000006D, EACCES, "STATUS_LOGON_FAILURE"},
                 {SMB2_S_DISK_FULL, ENOSPC, "STATUS_DISK_FULL"},
                 {0xC0000044, EDQUOT, "STATUS_QUOTA_EXCEEDED"},
                 {SMB2_S_NETWORK_SESSION_EXPIRED, ECONNRESET, "STATUS_NETWORK_SESSION_EXPIRED"},
                 {SMB2_S_USER_SESSION_DELETED, ECONNRESET, "STATUS_USER_SESSION_DELETED"},
                 {SMB2_S_FILE_CLOSED, ESTALE, "STATUS_FILE_CLOSED"},
                 {SMB2_S_LOST, ECONNRESET, "connection lost"},
                 {0xC00000FF, EIO, "0xC00000FF"},
                 {1, EIO, "0x00000001"}};
    char buf[16];
    for (size_t i = 0; i < DRV_ARRAY_LEN(known); i++) {
        assert_int_equal(smb2_errno(known[i].status), known[i].errnum);
        assert_string_equal(smb2_status_name(known[i].status, buf), known[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(header_is_written_and_read_back, dirty),
        cmocka_unit_test_setup(header_of_a_compound_names_the_next, dirty),
        cmocka_unit_test_setup(negotiate_offers_one_dialect_and_four_contexts, dirty),
        cmocka_unit_test_setup(negotiate_leaves_out_what_is_not_offered, dirty),
        cmocka_unit_test_setup(session_setup_names_the_session_before, dirty),
        cmocka_unit_test_setup(tree_connect_names_server_and_share, dirty),
        cmocka_unit_test_setup(create_asks_for_ids_and_no_oplock, dirty),
        cmocka_unit_test_setup(create_opens_the_root_by_an_empty_path, dirty),
        cmocka_unit_test_setup(paths_are_strict_utf8_of_bounded_length, dirty),
        cmocka_unit_test_setup(names_become_utf16_with_pairs, dirty),
        cmocka_unit_test_setup(handle_requests_carry_the_file_id, dirty),
        cmocka_unit_test_setup(queries_ask_for_as_much_as_is_read, dirty),
        cmocka_unit_test_setup(ioctls_are_file_system_controls, dirty),
        cmocka_unit_test_setup(small_requests_have_four_bytes, dirty),
        cmocka_unit_test_setup(nothing_is_written_past_the_room, dirty),
        cmocka_unit_test_setup(statuses_have_names_and_errnos, dirty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
