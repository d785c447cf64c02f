// SPDX-License-Identifier: GPL-3.0-or-later
// Clock, threads and sockets for the other parts of the guest, and its end.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

uint64_t guest_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void guest_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void guest_sleep_ms(unsigned ms)
{
    guest_sleep_ns((uint64_t)ms * 1000000);
}

_Noreturn void guest_power_off(const char *reason)
{
    printf("GUEST-OFF %s\n", reason);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

void guest_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, body, arg) != 0)
        guest_power_off("no memory for a thread");
    pthread_detach(thread);
}

int guest_listen(int type, enum tg_port port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 ||
        (type == SOCK_STREAM && listen(fd, 16) != 0))
        guest_power_off(strerror(errno));
    return fd;
}

struct service {
    void (*serve)(int connection);
    int connection;
};

static void *serve_one(void *arg)
{
    struct service *service = arg;

    service->serve(service->connection);
    close(service->connection);
    free(service);
    return NULL;
}

_Noreturn void guest_serve(int listener, void (*serve)(int connection))
{
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int on = 1;
        struct service *service;

        if (connection < 0)
            continue;
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        service = malloc(sizeof(*service));
        if (!service)
            guest_power_off("no memory for a connection");
        *service = (struct service){serve, connection};
        guest_thread(serve_one, service);
    }
}
