// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of an SMB2 server: good ones are understood; whatever points outside itself, contradicts
// the request or cannot be is refused. Here: headers, the session's, and those without a body.
// test_smb2_answer_file.c: those about files.
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

static const struct smb2_negotiate asked = {
    .ciphers = {2, 4}, .n_ciphers = 2, .signings = {2, 1}, .n_signings = 2};

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
        cmocka_unit_test(empty_answers_have_their_structure),
        cmocka_unit_test(only_empty_answers_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
