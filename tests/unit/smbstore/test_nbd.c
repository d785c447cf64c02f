// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server's answers to requests.
#include "nbd_rig.h"

#include <errno.h>
#include <string.h>

static void expect_chunk(uint64_t cookie, uint16_t type, uint32_t len)
{
    uint8_t r[NBD_CHUNK_BYTES];
    get(r, sizeof r);
    assert_int_equal(nbd_get32(r), NBD_CHUNK_MAGIC);
    assert_int_equal(nbd_get16(r + 4), NBD_CHUNK_DONE);
    assert_int_equal(nbd_get16(r + 6), type);
    assert_int_equal(nbd_get64(r + 8), cookie);
    assert_int_equal(nbd_get32(r + 16), len);
}

static void expect_error(uint64_t cookie, uint32_t error)
{
    uint8_t e[6];
    expect_chunk(cookie, NBD_CHUNK_ERROR, sizeof e);
    get(e, sizeof e);
    assert_int_equal(nbd_get32(e), error);
    assert_int_equal(nbd_get16(e + 4), 0);
}

static void expect_data(uint64_t cookie, uint64_t offset, uint32_t len)
{
    uint8_t at[8];
    expect_chunk(cookie, NBD_CHUNK_DATA, len + 8);
    get(at, sizeof at);
    assert_int_equal(nbd_get64(at), offset);
    expect_disk(offset, len);
}

static void reads_are_answered_simply_when_nothing_else_is_agreed(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_READ, 0xfedcba9876543210, 4097, 513);
    expect_simple(0xfedcba9876543210, 0);
    expect_disk(4097, 513);
}

static void reads_of_all_sizes_are_answered_in_chunks(void **state)
{
    (void)state;
    static const uint32_t lens[] = {1, 4096, 4097, 65536, 65537, NBD_PAYLOAD_MAX};
    start_structured();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(lens); i++) {
        request(0, NBD_CMD_READ, i, i, lens[i]);
        expect_data(i, i, lens[i]);
    }
}

static void writes_arrive_where_they_shall(void **state)
{
    (void)state;
    start_structured();
    write_of(1, 12345, 70000, 0xab);
    expect_simple(1, 0);
    assert_int_equal(disk.bytes[12344], (uint8_t)(12344 * 7 + (12344 >> 9)));
    assert_int_equal(disk.bytes[12345], 0xab);
    assert_int_equal(disk.bytes[82344], 0xab);
    assert_int_equal(disk.bytes[82345], (uint8_t)(82345 * 7 + (82345 >> 9)));
    write_of(2, 0, NBD_PAYLOAD_MAX, 0xcd);
    expect_simple(2, 0);
    assert_int_equal(disk.bytes[NBD_PAYLOAD_MAX - 1], 0xcd);
}

static void write_byte_by_byte_with_the_next_request_behind_it_is_understood(void **state)
{
    (void)state;
    uint8_t msg[2 * NBD_REQUEST_BYTES + 3] = {0};
    uint8_t *p = nbd_put32(msg, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, 0), NBD_CMD_WRITE);
    p = nbd_put32(nbd_put64(nbd_put64(p, 7), 100), 3);
    memcpy(p, "abc", 3);
    p = nbd_put32(p + 3, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, 0), NBD_CMD_READ);
    nbd_put32(nbd_put64(nbd_put64(p, 8), 99), 5);
    start_simple();
    for (size_t i = 0; i < sizeof msg; i++)
        put(msg + i, 1);
    expect_simple(7, 0);
    expect_simple(8, 0);
    expect_disk(99, 5);
    assert_memory_equal(disk.bytes + 100, "abc", 3);
    put(msg, sizeof msg); // and all at once
    expect_simple(7, 0);
    expect_simple(8, 0);
    expect_disk(99, 5);
}

static void pipelined_requests_are_answered_in_the_order_of_completion(void **state)
{
    (void)state;
    start_structured();
    disk.later = true;
    request(0, NBD_CMD_READ, 10, 0, 100);
    write_of(11, 8192, 4096, 1);
    request(0, NBD_CMD_FLUSH, 12, 0, 0);
    request(0, NBD_CMD_READ, 13, 70000, 70000);
    assert_int_equal(disk.n_held, 4);
    assert_silent();
    finish(3, 0);
    expect_data(13, 70000, 70000);
    finish(1, 0);
    expect_simple(11, 0);
    finish(1, 0);
    finish(0, 0);
    expect_simple(12, 0);
    expect_data(10, 0, 100);
}

static void no_more_than_128_requests_are_taken_then_the_rest(void **state)
{
    (void)state;
    start_simple();
    disk.later = true;
    for (unsigned i = 0; i < NBD_REQUESTS_MAX + 5; i++)
        request(0, NBD_CMD_FLUSH, i, 0, 0);
    assert_int_equal(disk.n_held, NBD_REQUESTS_MAX);
    finish(0, 0);
    expect_simple(0, 0);
    assert_int_equal(disk.n_held, NBD_REQUESTS_MAX);
    disk.later = false;
    for (unsigned i = 1; disk.n_held > 0; i++)
        finish(0, 0);
    for (unsigned i = 1; i < NBD_REQUESTS_MAX + 5; i++) {
        uint8_t r[NBD_SIMPLE_BYTES];
        get(r, sizeof r);
    }
    assert_int_equal(disk.submits, NBD_REQUESTS_MAX + 5);
    assert_silent();
}

static void client_that_does_not_read_its_answers_is_not_served_without_end(void **state)
{
    (void)state;
    start_simple();
    uint8_t r[NBD_REQUEST_BYTES];
    uint8_t *p = nbd_put32(r, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, 0), NBD_CMD_READ);
    nbd_put32(nbd_put64(nbd_put64(p, 5), 0), NBD_PAYLOAD_MAX);
    enum { N = 40 };
    for (unsigned i = 0; i < N; i++)
        put(r, sizeof r);
    assert_true(disk.submits >= 8 && disk.submits < 16);
    for (unsigned i = 0; i < N; i++) {
        expect_simple(5, 0);
        expect_disk(0, NBD_PAYLOAD_MAX);
    }
    assert_int_equal(disk.submits, N);
}

static void errors_of_the_disk_are_told_simply(void **state)
{
    (void)state;
    static const int errors[][2] = {{EIO, EIO},       {ENOSPC, ENOSPC}, {EPERM, EPERM},
                                    {EACCES, EPERM},  {EROFS, EPERM},   {EFBIG, ENOSPC},
                                    {EDQUOT, ENOSPC}, {EOPNOTSUPP, 95}, {ETIMEDOUT, EIO}};
    start_simple();
    disk.later = true;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(errors); i++) {
        request(0, NBD_CMD_READ, i, 0, 512);
        finish(0, errors[i][0]);
        expect_simple(i, (uint32_t)errors[i][1]); // and no data
    }
    assert_silent();
}

static void errors_of_the_disk_are_told_in_chunks_for_reads_and_status(void **state)
{
    (void)state;
    start_structured();
    disk.later = true;
    request(0, NBD_CMD_READ, 1, 0, 512);
    request(0, NBD_CMD_STATUS, 2, 0, 512);
    write_of(3, 0, 512, 1);
    finish(0, EIO);
    expect_error(1, EIO);
    finish(0, ENOMEM);
    expect_error(2, ENOMEM);
    finish(0, ENOSPC);
    expect_simple(3, ENOSPC); // which a client must take for anything but a read
    assert_silent();
}

static void last_byte_of_the_export_can_be_used_the_next_cannot(void **state)
{
    (void)state;
    disk.size = DISK - 3;
    start_structured();
    request(0, NBD_CMD_READ, 1, DISK - 4, 1);
    expect_data(1, DISK - 4, 1);
    write_of(2, DISK - 4, 1, 0x77);
    expect_simple(2, 0);
    assert_int_equal(disk.bytes[DISK - 4], 0x77);
    request(0, NBD_CMD_READ, 3, DISK - 3, 1);
    expect_error(3, EINVAL);
    request(0, NBD_CMD_READ, 4, DISK - 4, 2);
    expect_error(4, EINVAL);
    request(0, NBD_CMD_READ, 5, UINT64_MAX, 2);
    expect_error(5, EINVAL);
    request(0, NBD_CMD_TRIM, 6, UINT64_MAX - 1, 4);
    expect_simple(6, ENOSPC);
    request(0, NBD_CMD_ZEROES, 7, 0, UINT32_MAX);
    expect_simple(7, ENOSPC);
    assert_int_equal(disk.submits, 2);
}

static void refused_write_is_drained_and_the_next_request_is_served(void **state)
{
    (void)state;
    start_structured();
    write_of(1, DISK - 10, 70000, 0x11); // past the end
    expect_simple(1, ENOSPC);
    write_of(2, 0, NBD_PAYLOAD_MAX + 1, 0x12); // too long
    expect_simple(2, EINVAL);
    request(0, NBD_CMD_READ, 3, 0, 100);
    expect_data(3, 0, 100);
    assert_int_equal(disk.buffers, 0);
    assert_int_equal(disk.submits, 1);
}

static void write_too_long_to_be_drained_ends_the_connection(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_WRITE, 1, 0, NBD_DRAIN_MAX + 1);
    assert_ended();
}

static void requests_without_length_or_too_long_are_invalid(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_READ, 1, 0, 0);
    expect_simple(1, EINVAL);
    request(0, NBD_CMD_WRITE, 2, 0, 0);
    expect_simple(2, EINVAL);
    request(0, NBD_CMD_READ, 3, 0, NBD_PAYLOAD_MAX + 1);
    expect_simple(3, EINVAL);
    assert_int_equal(disk.submits, 0);
}

static void unknown_commands_are_invalid(void **state)
{
    (void)state;
    static const uint16_t commands[] = {5, 8, 100, 0xffff};
    start_structured();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(commands); i++) {
        request(0, commands[i], i, 0, 4096);
        expect_simple(i, EINVAL);
    }
    assert_int_equal(disk.submits, 0);
}

static void wrong_request_magic_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t zeros[NBD_REQUEST_BYTES];
    start_simple();
    put(zeros, sizeof zeros);
    assert_ended();
}

static void disconnect_request_ends_the_connection(void **state)
{
    (void)state;
    start_simple();
    request(0, NBD_CMD_DISC, 0, 0, 0);
    assert_ended();
}

static void flags_and_ranges_are_passed_on(void **state)
{
    (void)state;
    start_structured();
    write_of(1, 0, 10, 1);
    expect_simple(1, 0);
    assert_false(disk.last.fua);
    request(NBD_F_FUA, NBD_CMD_WRITE, 2, 20, 10);
    put_bytes(1, 10);
    expect_simple(2, 0);
    assert_true(disk.last.fua && disk.last.op == NBD_OP_WRITE);
    request(NBD_F_FUA, NBD_CMD_ZEROES, 3, 4096, DISK - 4096);
    expect_simple(3, 0);
    assert_true(disk.last.fua && disk.last.op == NBD_OP_ZERO);
    assert_int_equal(disk.last.offset, 4096);
    assert_int_equal(disk.last.len, DISK - 4096);
    request(0, NBD_CMD_TRIM, 4, 512, 1024);
    expect_simple(4, 0);
    assert_true(!disk.last.fua && disk.last.op == NBD_OP_TRIM);
    assert_int_equal(disk.last.offset, 512);
    assert_int_equal(disk.last.len, 1024);
    request(0, NBD_CMD_FLUSH, 5, 0, 0);
    expect_simple(5, 0);
    assert_int_equal(disk.last.op, NBD_OP_FLUSH);
}

// --- block status ---

static void three_extents(void)
{
    disk.n_extents = 3;
    disk.extents[0] = (struct nbd_extent){4096, false};
    disk.extents[1] = (struct nbd_extent){8192, true};
    disk.extents[2] = (struct nbd_extent){100, false};
}

static void expect_status(uint64_t cookie, unsigned n)
{
    uint8_t s[4 + 8 * 4];
    expect_chunk(cookie, NBD_CHUNK_STATUS, 4 + 8 * n);
    get(s, 4 + 8 * (size_t)n);
    assert_int_equal(nbd_get32(s), 1);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(nbd_get32(s + 4 + 8 * i), disk.extents[i].len);
        assert_int_equal(nbd_get32(s + 8 + 8 * i), disk.extents[i].hole ? 3 : 0);
    }
}

static void block_status_tells_extents_and_holes(void **state)
{
    (void)state;
    start_structured();
    three_extents();
    request(0, NBD_CMD_STATUS, 1, 0, 12388);
    expect_status(1, 3);
    assert_false(disk.last.req_one);
}

static void block_status_of_one_extent_has_one(void **state)
{
    (void)state;
    start_structured();
    three_extents();
    request(NBD_F_REQ_ONE, NBD_CMD_STATUS, 1, 0, 12388);
    expect_status(1, 1);
    assert_true(disk.last.req_one);
}

static void block_status_without_its_context_is_invalid(void **state)
{
    (void)state;
    greet(3);
    structured();
    go();
    request(0, NBD_CMD_STATUS, 1, 0, 4096);
    expect_error(1, EINVAL);
    assert_int_equal(disk.submits, 0);
}

static void block_status_past_the_end_is_invalid(void **state)
{
    (void)state;
    start_structured();
    request(0, NBD_CMD_STATUS, 1, DISK, 1);
    expect_error(1, EINVAL);
    assert_int_equal(disk.submits, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, nbd_rig_set_up, nbd_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_are_answered_simply_when_nothing_else_is_agreed),
        T(reads_of_all_sizes_are_answered_in_chunks),
        T(writes_arrive_where_they_shall),
        T(write_byte_by_byte_with_the_next_request_behind_it_is_understood),
        T(pipelined_requests_are_answered_in_the_order_of_completion),
        T(no_more_than_128_requests_are_taken_then_the_rest),
        T(client_that_does_not_read_its_answers_is_not_served_without_end),
        T(errors_of_the_disk_are_told_simply),
        T(errors_of_the_disk_are_told_in_chunks_for_reads_and_status),
        T(last_byte_of_the_export_can_be_used_the_next_cannot),
        T(refused_write_is_drained_and_the_next_request_is_served),
        T(write_too_long_to_be_drained_ends_the_connection),
        T(requests_without_length_or_too_long_are_invalid),
        T(unknown_commands_are_invalid),
        T(wrong_request_magic_ends_the_connection),
        T(disconnect_request_ends_the_connection),
        T(flags_and_ranges_are_passed_on),
        T(block_status_tells_extents_and_holes),
        T(block_status_of_one_extent_has_one),
        T(block_status_without_its_context_is_invalid),
        T(block_status_past_the_end_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
