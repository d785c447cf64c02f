// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server until it has agreed with its client, or sent it away.
#include "nbd_rig.h"

#include <errno.h>
#include <unistd.h>

static void go_announces_size_flags_and_block_sizes(void **state)
{
    (void)state;
    start_simple();
    assert_silent();
}

static void info_answers_like_go_and_negotiation_goes_on(void **state)
{
    (void)state;
    greet(3);
    option(NBD_OPT_INFO, "\0\0\0\1x\0\1\0\3", 9);
    expect_reply(NBD_OPT_INFO, NBD_REP_INFO, NULL);
    expect_reply(NBD_OPT_INFO, NBD_REP_INFO, NULL);
    expect_reply(NBD_OPT_INFO, NBD_REP_ACK, NULL);
    go();
}

static void check_export_name(uint32_t flags, size_t len)
{
    uint8_t msg[10 + 124];
    greet(flags);
    option(NBD_OPT_EXPORT_NAME, "any", 3);
    get(msg, len);
    assert_int_equal(nbd_get64(msg), DISK);
    assert_int_equal(nbd_get16(msg + 8), FLAGS);
    assert_silent();
}

static void export_name_is_answered_with_124_zeroes(void **state)
{
    (void)state;
    check_export_name(1, 134);
}

static void export_name_is_answered_without_zeroes_when_agreed(void **state)
{
    (void)state;
    check_export_name(3, 10);
}

static void image_that_is_not_open_is_an_unknown_export(void **state)
{
    (void)state;
    disk.size_errno = ENOTCONN;
    greet(3);
    option(NBD_OPT_GO, no_name, sizeof no_name);
    expect_reply(NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NULL);
    option(NBD_OPT_EXPORT_NAME, "", 0);
    assert_ended();
}

static void list_names_one_export(void **state)
{
    (void)state;
    uint8_t name[256];
    greet(3);
    option(NBD_OPT_LIST, NULL, 0);
    assert_int_equal(expect_reply(NBD_OPT_LIST, NBD_REP_SERVER, name), 4);
    assert_int_equal(nbd_get32(name), 0);
    expect_reply(NBD_OPT_LIST, NBD_REP_ACK, NULL);
    option(NBD_OPT_LIST, "x", 1);
    expect_reply(NBD_OPT_LIST, NBD_REP_ERR_INVALID, NULL);
}

static void abort_is_acknowledged_and_ends_the_connection(void **state)
{
    (void)state;
    greet(3);
    option(NBD_OPT_ABORT, NULL, 0);
    expect_reply(NBD_OPT_ABORT, NBD_REP_ACK, NULL);
    assert_ended();
}

static void unknown_option_is_unsupported_with_its_data_skipped(void **state)
{
    (void)state;
    greet(3);
    option(5, "\x16\3\1", 3); // STARTTLS
    expect_reply(5, NBD_REP_ERR_UNSUP, NULL);
    option(77, NULL, 0);
    expect_reply(77, NBD_REP_ERR_UNSUP, NULL);
    go();
}

static void set_meta_without_structured_replies_is_invalid(void **state)
{
    (void)state;
    greet(3);
    option(NBD_OPT_SET_META, meta, sizeof meta - 1);
    expect_reply(NBD_OPT_SET_META, NBD_REP_ERR_INVALID, NULL);
    go();
}

static void list_meta_names_the_context_for_namespace_and_for_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        uint32_t len;
        bool found;
    } queries[] = {{"\0\0\0\0\0\0\0\0", 8, true},
                   {"\0\0\0\0\0\0\0\1\0\0\0\5base:", 17, true},
                   {"\0\0\0\0\0\0\0\1\0\0\0\5qemu:", 17, false}};
    greet(3);
    structured();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(queries); i++) {
        option(NBD_OPT_LIST_META, queries[i].data, queries[i].len);
        if (queries[i].found)
            expect_reply(NBD_OPT_LIST_META, NBD_REP_META, NULL);
        expect_reply(NBD_OPT_LIST_META, NBD_REP_ACK, NULL);
    }
    option(NBD_OPT_SET_META, queries[1].data, queries[1].len); // a namespace is no context
    expect_reply(NBD_OPT_SET_META, NBD_REP_ACK, NULL);
}

static void malformed_options_are_invalid_and_leave_the_connection(void **state)
{
    (void)state;
    static const struct {
        uint32_t option;
        const char *data;
        uint32_t len;
    } bad[] = {
        {NBD_OPT_GO, "", 0},
        {NBD_OPT_GO, "\0\0\0\0\0", 5},
        {NBD_OPT_GO, "\0\0\0\1\0\0", 6},
        {NBD_OPT_GO, "\xff\xff\xff\xff\0\0", 6},
        {NBD_OPT_GO, "\xff\xff\xff\xfc\0\0", 6},
        {NBD_OPT_GO, "\0\0\0\0\0\1", 6},
        {NBD_OPT_GO, "\0\0\0\0\x80\0", 6},
        {NBD_OPT_GO, "\0\0\0\0\0\0x", 7},
        {NBD_OPT_STRUCTURED_REPLY, "x", 1},
        {NBD_OPT_SET_META, "", 0},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0", 7},
        {NBD_OPT_SET_META, "\0\0\0\1\0\0\0\0", 8},
        {NBD_OPT_SET_META, "\xff\xff\xff\xfc\0\0\0\1", 8},
        {NBD_OPT_SET_META, "\x7f\xff\xff\xf0\0\0\0\0", 8},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\2\x7f\xff\xff\xff", 12},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\1", 8},
        {NBD_OPT_SET_META, "\0\0\0\0\xff\xff\xff\xff\0\0\0\0", 12},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\1\xff\xff\xff\xff", 12},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\1\xff\xff\xff\xfc", 12},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\1\0\0\0\2x", 13},
        {NBD_OPT_SET_META, "\0\0\0\0\0\0\0\0x", 9},
    };
    greet(3);
    structured();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        option(bad[i].option, bad[i].data, bad[i].len);
        expect_reply(bad[i].option, NBD_REP_ERR_INVALID, NULL);
    }
    set_meta();
    go();
}

static void client_without_fixed_newstyle_is_sent_away(void **state)
{
    (void)state;
    greet(2);
    assert_ended();
}

static void client_with_unknown_flags_is_sent_away(void **state)
{
    (void)state;
    greet(7);
    assert_ended();
}

static void wrong_option_magic_ends_the_connection(void **state)
{
    (void)state;
    greet(3);
    put_option_head(NBD_OPTION_MAGIC + 1, NBD_OPT_GO, 0);
    assert_ended();
}

static void option_of_4_gib_ends_the_connection_before_its_data(void **state)
{
    (void)state;
    greet(3);
    put_option_head(NBD_OPTION_MAGIC, NBD_OPT_GO, UINT32_MAX);
    assert_ended();
}

static void longest_option_is_taken_one_byte_more_is_not(void **state)
{
    (void)state;
    static const uint8_t data[NBD_OPTION_MAX];
    greet(3);
    option(77, data, sizeof data);
    expect_reply(77, NBD_REP_ERR_UNSUP, NULL);
    put_option_head(NBD_OPTION_MAGIC, 77, NBD_OPTION_MAX + 1);
    assert_ended();
}

static void flood_of_options_ends_the_connection(void **state)
{
    (void)state;
    greet(3);
    for (unsigned i = 0; i < NBD_OPTIONS_MAX; i++) {
        option(77, NULL, 0);
        expect_reply(77, NBD_REP_ERR_UNSUP, NULL);
    }
    put_option_head(NBD_OPTION_MAGIC, 77, 0);
    assert_ended();
}

static void options_byte_by_byte_are_understood(void **state)
{
    (void)state;
    uint8_t msg[16 + 6] = {0};
    nbd_put32(nbd_put32(nbd_put64(msg, NBD_OPTION_MAGIC), NBD_OPT_GO), 6);
    greet(3);
    for (size_t i = 0; i < sizeof msg; i++) {
        assert_silent();
        put(msg + i, 1);
    }
    expect_reply(NBD_OPT_GO, NBD_REP_INFO, NULL);
}

static void client_that_leaves_amid_negotiation_is_forgotten(void **state)
{
    (void)state;
    greet(3);
    put("IHAVE", 5);
    close(client);
    client = -1;
    turn();
    assert_int_equal(nbd_server_connections(server), 0);
}

static void connections_are_limited(void **state)
{
    (void)state;
    int fds[NBD_CONNECTIONS_MAX];
    for (unsigned i = 0; i < NBD_CONNECTIONS_MAX; i++)
        fds[i] = connect_one();
    for (unsigned i = 0; i < 20; i++)
        turn();
    assert_int_equal(nbd_server_connections(server), NBD_CONNECTIONS_MAX);
    for (unsigned i = 0; i < NBD_CONNECTIONS_MAX; i++)
        close(fds[i]);
    start_simple();
    assert_int_equal(nbd_server_connections(server), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, nbd_rig_set_up, nbd_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(go_announces_size_flags_and_block_sizes),
        T(info_answers_like_go_and_negotiation_goes_on),
        T(export_name_is_answered_with_124_zeroes),
        T(export_name_is_answered_without_zeroes_when_agreed),
        T(image_that_is_not_open_is_an_unknown_export),
        T(list_names_one_export),
        T(abort_is_acknowledged_and_ends_the_connection),
        T(unknown_option_is_unsupported_with_its_data_skipped),
        T(set_meta_without_structured_replies_is_invalid),
        T(list_meta_names_the_context_for_namespace_and_for_nothing),
        T(malformed_options_are_invalid_and_leave_the_connection),
        T(client_without_fixed_newstyle_is_sent_away),
        T(client_with_unknown_flags_is_sent_away),
        T(wrong_option_magic_ends_the_connection),
        T(option_of_4_gib_ends_the_connection_before_its_data),
        T(longest_option_is_taken_one_byte_more_is_not),
        T(flood_of_options_ends_the_connection),
        T(options_byte_by_byte_are_understood),
        T(client_that_leaves_amid_negotiation_is_forgotten),
        T(connections_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
