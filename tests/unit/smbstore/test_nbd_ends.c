// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server when a write has to wait for room, and when one of the two goes.
#include "nbd_rig.h"

#include <string.h>
#include <unistd.h>

static void write_waits_for_room_and_nothing_overtakes_it(void **state)
{
    (void)state;
    start_simple();
    disk.full = true;
    write_of(1, 0, 100, 0x31);
    request(0, NBD_CMD_FLUSH, 2, 0, 0);
    nbd_server_resume(server); // still full
    assert_silent();
    assert_int_equal(disk.submits, 0);
    disk.full = false;
    nbd_server_resume(server);
    expect_simple(1, 0);
    expect_simple(2, 0);
    assert_int_equal(disk.bytes[99], 0x31);
    write_of(3, 0, 100000, 0x32); // and reads on as before
    expect_simple(3, 0);
    assert_int_equal(disk.bytes[99999], 0x32);
}

static void large_write_that_waited_is_received_whole(void **state)
{
    (void)state;
    uint8_t part[1000];
    memset(part, 0x41, sizeof part);
    start_simple();
    disk.full = true;
    request(0, NBD_CMD_WRITE, 1, 4096, 500000);
    put(part, sizeof part);
    disk.full = false;
    nbd_server_resume(server);
    for (unsigned i = 1; i < 500; i++)
        put(part, sizeof part);
    expect_simple(1, 0);
    for (unsigned i = 0; i < 500000; i++)
        assert_int_equal(disk.bytes[4096 + i], 0x41);
}

static void rest_of_a_write_and_the_next_request_come_in_one_piece(void **state)
{
    (void)state;
    uint8_t msg[4000 + NBD_REQUEST_BYTES];
    memset(msg, 0x42, 4000);
    uint8_t *p = nbd_put32(msg + 4000, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, 0), NBD_CMD_READ);
    nbd_put32(nbd_put64(nbd_put64(p, 2), 4096), 5001);
    start_simple();
    request(0, NBD_CMD_WRITE, 1, 4096, 5000);
    put_bytes(0x42, 1000);
    put(msg, sizeof msg);
    expect_simple(1, 0);
    expect_simple(2, 0);
    expect_disk(4096, 5001);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(disk.bytes[4096 + i], 0x42);
}

static void others_are_served_while_one_connection_waits_for_room(void **state)
{
    (void)state;
    start_simple();
    disk.full = true;
    write_of(1, 0, 100, 0x31);
    int first = client;
    client = connect_one();
    start_simple();
    request(0, NBD_CMD_READ, 2, 0, 100);
    expect_simple(2, 0);
    expect_disk(0, 100);
    close(client);
    client = first;
    disk.full = false;
    nbd_server_resume(server);
    expect_simple(1, 0);
}

static void hang_up(void)
{
    close(client);
    client = -1;
    for (unsigned i = 0; i < 5; i++)
        turn();
}

static void requests_under_way_when_the_client_leaves_are_completed_into_nothing(void **state)
{
    (void)state;
    start_structured();
    disk.later = true;
    disk.extents[0] = (struct nbd_extent){4096, true};
    disk.n_extents = 1;
    request(0, NBD_CMD_READ, 1, 0, 70000);
    write_of(2, 0, 100, 0x51);
    request(0, NBD_CMD_STATUS, 3, 0, 4096);
    hang_up();
    assert_int_equal(nbd_server_connections(server), 0);
    assert_int_equal(disk.n_held, 3);
    finish(1, 0);
    finish(1, 0);
    turn();
    finish(0, EIO);
    assert_int_equal(disk.bytes[99], 0x51);
}

static void requests_under_way_when_the_server_goes_are_completed_into_nothing(void **state)
{
    (void)state;
    start_structured();
    disk.later = true;
    request(0, NBD_CMD_READ, 1, 0, 70000);
    write_of(2, 0, 100, 0x52);
    nbd_server_free(server);
    server = NULL;
    turn();
    finish(1, 0);
    finish(0, 0);
    turn();
}

static void half_a_write_is_discarded_when_the_client_leaves(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_WRITE, 1, 0, 100000);
    put_bytes(1, 500);
    assert_int_equal(disk.buffers, 1);
    hang_up();
    assert_int_equal(disk.discards, 1);
    assert_int_equal(disk.buffers, 0);
    assert_int_equal(disk.submits, 0);
}

static void client_may_leave_while_it_waits_for_room_or_is_drained(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_WRITE, 1, DISK, 100000);
    put_bytes(1, 500);
    hang_up();
    client = connect_one();
    start_simple();
    disk.full = true;
    request(0, NBD_CMD_WRITE, 1, 0, 100);
    // It is not read from while it waits: only the server's end or room show that it has gone.
    hang_up();
    disk.full = false;
    nbd_server_resume(server);
    for (unsigned i = 0; i < 5; i++)
        turn();
    assert_int_equal(nbd_server_connections(server), 0);
    assert_int_equal(disk.buffers, 0);
    assert_int_equal(disk.submits, 0);
}

static void write_that_waits_for_room_goes_with_the_server(void **state)
{
    (void)state;
    start_simple();
    disk.full = true;
    request(0, NBD_CMD_WRITE, 1, 0, 100);
    nbd_server_free(server); // the leak checker watches
    server = NULL;
    assert_int_equal(disk.discards, 0);
    assert_int_equal(disk.submits, 0);
}

static void answers_not_sent_yet_go_with_the_client(void **state)
{
    (void)state;
    start_simple();
    disk.later = true;
    for (unsigned i = 0; i < 6; i++)
        request(0, NBD_CMD_READ, i, 0, NBD_PAYLOAD_MAX);
    while (disk.n_held > 1)
        finish(0, 0);
    turn();
    hang_up();
    assert_int_equal(nbd_server_connections(server), 0);
    finish(0, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, nbd_rig_set_up, nbd_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(write_waits_for_room_and_nothing_overtakes_it),
        T(large_write_that_waited_is_received_whole),
        T(rest_of_a_write_and_the_next_request_come_in_one_piece),
        T(others_are_served_while_one_connection_waits_for_room),
        T(requests_under_way_when_the_client_leaves_are_completed_into_nothing),
        T(requests_under_way_when_the_server_goes_are_completed_into_nothing),
        T(half_a_write_is_discarded_when_the_client_leaves),
        T(client_may_leave_while_it_waits_for_room_or_is_drained),
        T(write_that_waits_for_room_goes_with_the_server),
        T(answers_not_sent_yet_go_with_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
