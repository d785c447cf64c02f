// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server on a real socket, before a disk that is an array here and completes when told to,
// and a client that sends bytes made by hand.
#include "nbd.h"
#include "nbd_int.h"
#include "nbd_proto.h"

#include "drover/util.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISK = 4 << 20, MAX_OPS = 256, FLAGS = 0x96d };

// --- the disk ---

static struct {
    uint8_t bytes[DISK];
    uint64_t size;
    int size_errno;
    bool later; // requests wait for complete()
    bool full;  // no buffer for a write
    unsigned buffers, discards, submits;
    struct nbd_request *held[MAX_OPS];
    unsigned n_held;
    struct nbd_request last; // as submitted
    unsigned n_extents;
    struct nbd_extent extents[4];
} disk;

static struct drv_loop *loop;
static struct nbd_server *server;
static char dir[64], path[96];
static int client;

static int disk_size(void *arg, uint64_t *ret)
{
    (void)arg;
    *ret = disk.size;
    return disk.size_errno;
}

static uint8_t *disk_buffer(void *arg, struct nbd_request *r)
{
    (void)arg;
    if (disk.full)
        return NULL;
    r->user = drv_xcalloc(1, r->len);
    disk.buffers++;
    return r->user;
}

static void disk_discard(void *arg, struct nbd_request *r)
{
    (void)arg;
    disk.discards++;
    disk.buffers--;
    free(r->user);
}

static void complete(struct nbd_request *r, int errnum)
{
    bool inside = r->op == NBD_OP_FLUSH || r->offset + r->len <= DISK;
    assert_true(inside);
    if (r->op == NBD_OP_READ && !errnum)
        memcpy(r->data, disk.bytes + r->offset, r->len);
    if (r->op == NBD_OP_WRITE && !errnum)
        memcpy(disk.bytes + r->offset, r->data, r->len);
    if (r->op == NBD_OP_STATUS) {
        memcpy(r->extents, disk.extents, sizeof disk.extents);
        r->n_extents = disk.n_extents;
    }
    if (r->op == NBD_OP_WRITE) {
        disk.buffers--;
        free(r->user);
    }
    nbd_done(r, errnum);
}

static void disk_submit(void *arg, struct nbd_request *r)
{
    (void)arg;
    disk.last = *r;
    disk.submits++;
    if (!disk.later) {
        complete(r, 0);
        return;
    }
    assert_true(disk.n_held < MAX_OPS);
    disk.held[disk.n_held++] = r;
}

// The i-th of those that wait.
static void finish(unsigned i, int errnum)
{
    assert_true(i < disk.n_held);
    struct nbd_request *r = disk.held[i];
    memmove(disk.held + i, disk.held + i + 1, (--disk.n_held - i) * sizeof r);
    complete(r, errnum);
}

static const struct nbd_ops ops = {disk_size, disk_buffer, disk_discard, disk_submit};

// --- the client ---

static void turn(void)
{
    event_base_loop(drv_loop_base(loop), EVLOOP_NONBLOCK);
}

static int connect_one(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    assert_int_equal(DRV_COPY(sa.sun_path, path), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    turn();
    return fd;
}

static void put(const void *data, size_t len)
{
    const uint8_t *p = data;
    for (unsigned idle = 0; len > 0 && idle < 1000; idle++) {
        ssize_t n = send(client, p, len, MSG_NOSIGNAL);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            idle = 0;
        }
        turn();
    }
    assert_int_equal(len, 0);
    turn();
}

static size_t get_some(void *to, size_t len)
{
    size_t have = 0;
    for (unsigned idle = 0; have < len && idle < 20; idle++) {
        turn();
        ssize_t n = recv(client, (uint8_t *)to + have, len - have, 0);
        if (n == 0)
            break;
        if (n > 0) {
            have += (size_t)n;
            idle = 0;
        }
    }
    return have;
}

static void get(void *to, size_t len)
{
    assert_int_equal(get_some(to, len), len);
}

static void assert_silent(void)
{
    uint8_t byte;
    turn();
    turn();
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void assert_ended(void)
{
    uint8_t rest[4096];
    ssize_t n;
    for (unsigned i = 0; i < 20; i++)
        turn();
    do
        n = recv(client, rest, sizeof rest, 0);
    while (n > 0);
    assert_true(n == 0 || errno == ECONNRESET);
    assert_int_equal(nbd_server_connections(server), 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof disk);
    disk.size = DISK;
    for (size_t i = 0; i < DISK; i++)
        disk.bytes[i] = (uint8_t)(i * 7 + (i >> 9));
    snprintf(dir, sizeof dir, "/tmp/drover-test-nbd-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    loop = drv_loop_new(NULL);
    server = nbd_server_new(loop, path, getuid(), getgid(), &ops, NULL, NULL);
    assert_non_null(server);
    client = connect_one();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (client >= 0)
        close(client);
    turn();
    nbd_server_free(server);
    while (disk.n_held > 0)
        finish(0, 0);
    drv_loop_free(loop);
    unlink(path);
    rmdir(dir);
    return disk.buffers == 0 ? 0 : -1;
}

// --- negotiation ---

static void greet(uint32_t flags)
{
    uint8_t msg[18], answer[4];
    get(msg, sizeof msg);
    assert_true(nbd_get64(msg) == NBD_MAGIC && nbd_get64(msg + 8) == NBD_OPTION_MAGIC);
    assert_int_equal(nbd_get16(msg + 16), NBD_HS_FIXED_NEWSTYLE | NBD_HS_NO_ZEROES);
    nbd_put32(answer, flags);
    put(answer, sizeof answer);
}

static void put_option_head(uint64_t magic, uint32_t option, uint32_t len)
{
    uint8_t head[16];
    nbd_put32(nbd_put32(nbd_put64(head, magic), option), len);
    put(head, sizeof head);
}

static void option(uint32_t what, const void *data, uint32_t len)
{
    put_option_head(NBD_OPTION_MAGIC, what, len);
    put(data, len);
}

// Its payload, up to 256 bytes.
static uint32_t expect_reply(uint32_t what, uint32_t type, uint8_t *payload)
{
    uint8_t head[20], rest[256];
    get(head, sizeof head);
    assert_true(nbd_get64(head) == NBD_REPLY_MAGIC);
    assert_int_equal(nbd_get32(head + 8), what);
    assert_int_equal(nbd_get32(head + 12), type);
    uint32_t len = nbd_get32(head + 16);
    assert_true(len <= sizeof rest);
    get(payload ? payload : rest, len);
    return len;
}

static const uint8_t no_name[6]; // and no information requests

static void structured(void)
{
    option(NBD_OPT_STRUCTURED_REPLY, NULL, 0);
    expect_reply(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, NULL);
}

static const char meta[] = "\0\0\0\0\0\0\0\1\0\0\0\xf"
                           "base:allocation";

static void set_meta(void)
{
    uint8_t got[256];
    option(NBD_OPT_SET_META, meta, sizeof meta - 1);
    assert_int_equal(expect_reply(NBD_OPT_SET_META, NBD_REP_META, got), 19);
    assert_int_equal(nbd_get32(got), 1);
    assert_memory_equal(got + 4, "base:allocation", 15);
    expect_reply(NBD_OPT_SET_META, NBD_REP_ACK, NULL);
}

static void go(void)
{
    uint8_t info[256];
    option(NBD_OPT_GO, no_name, sizeof no_name);
    assert_int_equal(expect_reply(NBD_OPT_GO, NBD_REP_INFO, info), 12);
    assert_int_equal(nbd_get16(info), NBD_INFO_EXPORT);
    assert_int_equal(nbd_get64(info + 2), disk.size);
    assert_int_equal(nbd_get16(info + 10), FLAGS);
    assert_int_equal(expect_reply(NBD_OPT_GO, NBD_REP_INFO, info), 14);
    assert_int_equal(nbd_get16(info), NBD_INFO_BLOCK_SIZE);
    assert_int_equal(nbd_get32(info + 2), 1);
    assert_int_equal(nbd_get32(info + 10), NBD_PAYLOAD_MAX);
    expect_reply(NBD_OPT_GO, NBD_REP_ACK, NULL);
}

static void start_simple(void)
{
    greet(3);
    go();
}

static void start_structured(void)
{
    greet(3);
    structured();
    set_meta();
    go();
}

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

// --- requests ---

static void request(uint16_t flags, uint16_t command, uint64_t cookie, uint64_t offset,
                    uint32_t len)
{
    uint8_t r[NBD_REQUEST_BYTES];
    uint8_t *p = nbd_put32(r, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, flags), command);
    nbd_put32(nbd_put64(nbd_put64(p, cookie), offset), len);
    put(r, sizeof r);
}

static void put_bytes(uint8_t value, size_t len)
{
    DRV_AUTO_FREE uint8_t *data = drv_xcalloc(1, len);
    memset(data, value, len);
    put(data, len);
}

static void write_of(uint64_t cookie, uint64_t offset, uint32_t len, uint8_t value)
{
    request(0, NBD_CMD_WRITE, cookie, offset, len);
    put_bytes(value, len);
}

static void expect_simple(uint64_t cookie, uint32_t error)
{
    uint8_t r[NBD_SIMPLE_BYTES];
    get(r, sizeof r);
    assert_int_equal(nbd_get32(r), NBD_SIMPLE_MAGIC);
    assert_int_equal(nbd_get32(r + 4), error);
    assert_int_equal(nbd_get64(r + 8), cookie);
}

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

static void expect_disk(uint64_t offset, uint32_t len)
{
    DRV_AUTO_FREE uint8_t *data = drv_xcalloc(1, len);
    get(data, len);
    assert_memory_equal(data, disk.bytes + offset, len);
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

// --- room, and ends ---

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

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
