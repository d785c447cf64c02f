// SPDX-License-Identifier: GPL-3.0-or-later
// The guest's network: one static address, and echo on UDP and TCP.
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

// Runs one SIOCS... request that takes an IPv4 address.
static int set_address(int fd, const char *device, unsigned long request, const char *text)
{
    struct ifreq req = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
    memcpy(&req.ifr_addr, &address, sizeof(address));
    return ioctl(fd, request, &req);
}

static int set_up(int fd, const char *device)
{
    struct ifreq req = {0};

    snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
    if (ioctl(fd, SIOCGIFFLAGS, &req) != 0)
        return -1;
    req.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &req);
}

_Noreturn static void *echo_udp(void *unused)
{
    int fd = guest_listen(SOCK_DGRAM, TG_PORT_ECHO);
    char buffer[2048];

    (void)unused;
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size);

        if (n > 0)
            sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, size);
    }
}

static void echo_stream(int connection)
{
    char buffer[2048];
    ssize_t n;

    while ((n = read(connection, buffer, sizeof(buffer))) > 0) {
        // A blocking socket takes all of it, or is broken.
        if (write(connection, buffer, (size_t)n) != n)
            return;
    }
}

_Noreturn static void *echo_tcp(void *unused)
{
    (void)unused;
    guest_serve(guest_listen(SOCK_STREAM, TG_PORT_ECHO), echo_stream);
}

void net_start(const char *ip, const char *mask)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (set_up(fd, "lo") != 0)
        printf("lo: %s\n", strerror(errno));
    if (set_address(fd, "eth0", SIOCSIFADDR, ip) != 0 ||
        set_address(fd, "eth0", SIOCSIFNETMASK, mask) != 0 || set_up(fd, "eth0") != 0)
        printf("eth0 %s/%s: %s\n", ip, mask, strerror(errno));
    close(fd);
    guest_thread(echo_udp, NULL);
    guest_thread(echo_tcp, NULL);
}
