// SPDX-License-Identifier: GPL-3.0-or-later
// See nbd_rig.h.
#include "nbd_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// --- the disk ---

struct nbd_rig_disk disk;

static struct drv_loop *loop;
struct nbd_server *server;
static char dir[64], path[96];
int client;

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

void finish(unsigned i, int errnum)
{
    assert_true(i < disk.n_held);
    struct nbd_request *r = disk.held[i];
    memmove(disk.held + i, disk.held + i + 1, (--disk.n_held - i) * sizeof r);
    complete(r, errnum);
}

static const struct nbd_ops ops = {disk_size, disk_buffer, disk_discard, disk_submit};

// --- the client ---

void turn(void)
{
    event_base_loop(drv_loop_base(loop), EVLOOP_NONBLOCK);
}

int connect_one(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    assert_int_equal(DRV_COPY(sa.sun_path, path), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    turn();
    return fd;
}

void put(const void *data, size_t len)
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

void get(void *to, size_t len)
{
    assert_int_equal(get_some(to, len), len);
}

void assert_silent(void)
{
    uint8_t byte;
    turn();
    turn();
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

void assert_ended(void)
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

int nbd_rig_set_up(void **state)
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

int nbd_rig_tear_down(void **state)
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

void greet(uint32_t flags)
{
    uint8_t msg[18], answer[4];
    get(msg, sizeof msg);
    assert_true(nbd_get64(msg) == NBD_MAGIC && nbd_get64(msg + 8) == NBD_OPTION_MAGIC);
    assert_int_equal(nbd_get16(msg + 16), NBD_HS_FIXED_NEWSTYLE | NBD_HS_NO_ZEROES);
    nbd_put32(answer, flags);
    put(answer, sizeof answer);
}

void put_option_head(uint64_t magic, uint32_t option, uint32_t len)
{
    uint8_t head[16];
    nbd_put32(nbd_put32(nbd_put64(head, magic), option), len);
    put(head, sizeof head);
}

void option(uint32_t what, const void *data, uint32_t len)
{
    put_option_head(NBD_OPTION_MAGIC, what, len);
    put(data, len);
}

uint32_t expect_reply(uint32_t what, uint32_t type, uint8_t *payload)
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

const uint8_t no_name[NO_NAME_BYTES];

void structured(void)
{
    option(NBD_OPT_STRUCTURED_REPLY, NULL, 0);
    expect_reply(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, NULL);
}

const char meta[META_BYTES + 1] = "\0\0\0\0\0\0\0\1\0\0\0\xf"
                                  "base:allocation";

void set_meta(void)
{
    uint8_t got[256];
    option(NBD_OPT_SET_META, meta, sizeof meta - 1);
    assert_int_equal(expect_reply(NBD_OPT_SET_META, NBD_REP_META, got), 19);
    assert_int_equal(nbd_get32(got), 1);
    assert_memory_equal(got + 4, "base:allocation", 15);
    expect_reply(NBD_OPT_SET_META, NBD_REP_ACK, NULL);
}

void go(void)
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

void start_simple(void)
{
    greet(3);
    go();
}

void start_structured(void)
{
    greet(3);
    structured();
    set_meta();
    go();
}

// --- requests ---

void request(uint16_t flags, uint16_t command, uint64_t cookie, uint64_t offset, uint32_t len)
{
    uint8_t r[NBD_REQUEST_BYTES];
    uint8_t *p = nbd_put32(r, NBD_REQUEST_MAGIC);
    p = nbd_put16(nbd_put16(p, flags), command);
    nbd_put32(nbd_put64(nbd_put64(p, cookie), offset), len);
    put(r, sizeof r);
}

void put_bytes(uint8_t value, size_t len)
{
    DRV_AUTO_FREE uint8_t *data = drv_xcalloc(1, len);
    memset(data, value, len);
    put(data, len);
}

void write_of(uint64_t cookie, uint64_t offset, uint32_t len, uint8_t value)
{
    request(0, NBD_CMD_WRITE, cookie, offset, len);
    put_bytes(value, len);
}

void expect_simple(uint64_t cookie, uint32_t error)
{
    uint8_t r[NBD_SIMPLE_BYTES];
    get(r, sizeof r);
    assert_int_equal(nbd_get32(r), NBD_SIMPLE_MAGIC);
    assert_int_equal(nbd_get32(r + 4), error);
    assert_int_equal(nbd_get64(r + 8), cookie);
}

void expect_disk(uint64_t offset, uint32_t len)
{
    DRV_AUTO_FREE uint8_t *data = drv_xcalloc(1, len);
    get(data, len);
    assert_memory_equal(data, disk.bytes + offset, len);
}
