// SPDX-License-Identifier: GPL-3.0-or-later
// A client of the NBD server. The input: a byte of flags, a byte that says in what steps the rest
// is sent. The disk completes at once, or late, or has no room for a while.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "nbd_int.h"

enum { DISK = 128 << 10, HEADER = 2, INPUT_MAX = 64 << 10 };
enum { AGREED = 1, STRUCTURED = 2, LATE = 4, FULL = 8, LEAVE_FIRST = 16 };

static struct {
    unsigned buffers, submitted, done;
    bool late, full;
    struct nbd_request *held[NBD_REQUESTS_MAX];
    unsigned n_held;
} disk;

static struct drv_loop *loop;
static struct nbd_server *server;

static int size_of(void *arg, uint64_t *ret)
{
    (void)arg;
    *ret = DISK;
    return 0;
}

static uint8_t *buffer(void *arg, struct nbd_request *r)
{
    (void)arg;
    FUZZ_CHECK(r->op == NBD_OP_WRITE && r->len > 0 && r->len <= NBD_PAYLOAD_MAX);
    if (disk.full)
        return NULL;
    disk.buffers++;
    r->user = malloc(r->len); // exactly: a byte too much is seen
    return r->user;
}

static void give_back(void *arg, struct nbd_request *r)
{
    (void)arg;
    disk.buffers--;
    free(r->user);
}

static void complete(struct nbd_request *r)
{
    volatile uint8_t sink __attribute__((unused)) = 0;
    int errnum = r->offset % 7 == 6 ? 5 : 0;
    if (r->op == NBD_OP_READ)
        memset(r->data, 1, r->len);
    for (uint32_t i = 0; r->op == NBD_OP_WRITE && i < r->len; i++)
        sink ^= r->data[i];
    for (; r->op == NBD_OP_STATUS && r->n_extents < r->offset % NBD_EXTENTS_MAX + 1; r->n_extents++)
        r->extents[r->n_extents] = (struct nbd_extent){512, r->n_extents % 2};
    if (r->op == NBD_OP_WRITE)
        give_back(NULL, r);
    disk.done++;
    nbd_done(r, errnum);
}

static void submit(void *arg, struct nbd_request *r)
{
    (void)arg;
    FUZZ_CHECK(r->op == NBD_OP_FLUSH ||
               (r->len > 0 && r->offset < DISK && r->len <= DISK - r->offset));
    FUZZ_CHECK(disk.submitted - disk.done < NBD_REQUESTS_MAX);
    disk.submitted++;
    if (disk.late)
        disk.held[disk.n_held++] = r;
    else
        complete(r);
}

static const struct nbd_ops ops = {size_of, buffer, give_back, submit};

static void finish(unsigned i)
{
    struct nbd_request *r = disk.held[i];
    disk.held[i] = disk.held[--disk.n_held];
    complete(r);
}

static void begin(void)
{
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/drover-fuzz-nbd-%d", (int)getpid());
    loop = drv_loop_new(NULL);
    server = nbd_server_new(loop, path, getuid(), getgid(), &ops, NULL, NULL);
    FUZZ_CHECK(loop && server);
    unlink(path); // its clients are adopted
}

// One turn of the loop, answers thrown away. False: the server hung up.
static bool turn(int fd)
{
    static uint8_t answers[256 << 10];
    event_base_loop(drv_loop_base(loop), EVLOOP_NONBLOCK);
    return recv(fd, answers, sizeof answers, 0) != 0;
}

static void send_steps(int fd, const uint8_t *data, size_t size, size_t step)
{
    for (unsigned turns = 0; size > 0 && turns < 4096; turns++) {
        ssize_t n = send(fd, data, size < step ? size : step, MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
        if (!turn(fd))
            return;
        if (disk.n_held > 3 || (n < 0 && disk.n_held > 0))
            finish(turns % disk.n_held);
        if (n < 0 && disk.full) {
            disk.full = false;
            nbd_server_resume(server);
        }
    }
}

static void agree(int fd, bool structured)
{
    static const uint8_t flags[] = {0, 0, 0, 3};
    static const uint8_t both[] = "IHAVEOPT\0\0\0\x8\0\0\0\0"
                                  "IHAVEOPT\0\0\0\xa\0\0\0\x1b\0\0\0\0\0\0\0\1\0\0\0\xf"
                                  "base:allocation";
    static const uint8_t go[] = "IHAVEOPT\0\0\0\7\0\0\0\6\0\0\0\0\0\0";
    send_steps(fd, flags, sizeof flags, 64);
    if (structured)
        send_steps(fd, both, sizeof both - 1, 256);
    send_steps(fd, go, sizeof go - 1, 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    if (!server)
        begin();
    if (size < HEADER || size > INPUT_MAX)
        return 0;
    memset(&disk, 0, sizeof disk);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    nbd_adopt(server, fds[1]);
    uint8_t flags = data[0];
    if (flags & AGREED)
        agree(fds[0], flags & STRUCTURED);
    disk.late = flags & LATE;
    disk.full = flags & FULL;
    send_steps(fds[0], data + HEADER, size - HEADER, data[1] + (data[1] > 200 ? 8192U : 1U));
    if (flags & LEAVE_FIRST)
        close(fds[0]);
    disk.full = false;
    nbd_server_resume(server);
    disk.late = false;
    for (unsigned i = 0; i < 4; i++)
        event_base_loop(drv_loop_base(loop), EVLOOP_NONBLOCK);
    while (disk.n_held > 0)
        finish(0);
    if (!(flags & LEAVE_FIRST)) {
        turn(fds[0]);
        close(fds[0]);
    }
    for (unsigned i = 0; i < 64 && nbd_server_connections(server) > 0; i++)
        event_base_loop(drv_loop_base(loop), EVLOOP_NONBLOCK);
    FUZZ_CHECK(nbd_server_connections(server) == 0);
    FUZZ_CHECK(disk.submitted == disk.done && disk.buffers == 0 && disk.n_held == 0);
    return 0;
}
