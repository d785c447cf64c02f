// SPDX-License-Identifier: GPL-3.0-or-later
// Short conversations with the guest: one command, or asking whether it is there at all.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

enum {
    ATTEMPT_MS = 500, // of client_wait(): a booting guest does not answer at all
    PAUSE_MS = 50,
};

uint64_t client_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct sockaddr_in address_of(struct in_addr ip, enum tg_port port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr = ip, .sin_port = htons((uint16_t)port)};
}

static int close_with_errno(int fd, int error)
{
    close(fd);
    errno = error;
    return -1;
}

// A socket whose every operation, connect included, gives up after timeout_ms.
static int make_socket(int type, unsigned timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
        return close_with_errno(fd, errno);
    return fd;
}

int client_dial(struct in_addr ip, enum tg_port port, unsigned timeout_ms)
{
    struct sockaddr_in peer = address_of(ip, port);
    int fd = make_socket(SOCK_STREAM, timeout_ms);

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) != 0)
        return close_with_errno(fd, errno == EINPROGRESS ? ETIMEDOUT : errno);
    return fd;
}

int client_ask(struct in_addr ip, const char *command, unsigned timeout_ms,
               char answer[CLIENT_ANSWER])
{
    int fd = client_dial(ip, TG_PORT_CONTROL, timeout_ms);
    size_t used = 0;

    if (fd < 0)
        return -1;
    if (dprintf(fd, "%s\n", command) < 0)
        return close_with_errno(fd, errno);
    while (used < CLIENT_ANSWER - 1) {
        ssize_t n = read(fd, answer + used, CLIENT_ANSWER - 1 - used);

        if (n <= 0)
            return close_with_errno(fd, n == 0 ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno);
        used += (size_t)n;
        if (answer[used - 1] == '\n')
            break;
    }
    close(fd);
    if (answer[used - 1] == '\n')
        used--;
    answer[used] = '\0';
    return 0;
}

static bool echoes(struct in_addr ip)
{
    struct sockaddr_in peer = address_of(ip, TG_PORT_ECHO);
    int fd = make_socket(SOCK_DGRAM, ATTEMPT_MS);
    char byte = 'w';
    bool good = fd >= 0 && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0 &&
                send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1;

    if (fd >= 0)
        close(fd);
    return good;
}

int client_wait(struct in_addr ip, unsigned timeout_s)
{
    uint64_t deadline = client_now_ns() + timeout_s * NS_PER_S;
    char answer[CLIENT_ANSWER];

    do {
        // UDP first: a TCP attempt that the booting guest missed would be repeated after a second
        // only.
        if (echoes(ip) && client_ask(ip, "stat", ATTEMPT_MS, answer) == 0)
            return 0;
        poll(NULL, 0, PAUSE_MS);
    } while (client_now_ns() < deadline);
    errno = ETIMEDOUT;
    return -1;
}
