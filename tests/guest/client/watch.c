// SPDX-License-Identifier: GPL-3.0-or-later
// Watches a guest as its users see it: a probe by UDP and by TCP every 5 ms, and the acks of its
// disks.
//
// UDP tells how long the guest was away; TCP, whose sender waits ever longer between attempts,
// tells what an application sees, and whether connections survive.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

enum {
    BUFFER = 16384,
    PROBE_BYTES = 8,
};

#define PERIOD_NS (5 * NS_PER_MS)
#define PING_NS (500 * NS_PER_MS)
#define LISTED_NS (50 * NS_PER_MS) // shorter pauses are scheduling noise on a busy machine
#define START_NS (10 * NS_PER_S)   // for the first connections

struct watch {
    uint64_t start_ns;
    uint64_t next_probe_ns;
    uint64_t next_ping_ns; // on the ack connection
    int udp;
    uint64_t udp_sent;
    struct meter udp_meter;
    struct link echo;
    uint64_t echo_sent;     // bytes on the present connection
    uint64_t echo_received; // of these
    uint64_t echo_garbled;  // bytes that came back wrong, on all connections
    struct meter echo_meter;
    struct link follow;
    struct acks acks;
    struct meter ack_meter;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static int open_udp(struct in_addr ip)
{
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_addr = ip, .sin_port = htons(TG_PORT_ECHO)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// What the echo stream carries at this place, so that a byte lost, doubled or out of order shows.
static unsigned char stream_byte(uint64_t place)
{
    return (unsigned char)(place * 29 ^ place >> 8);
}

static void send_probes(struct watch *watch, uint64_t now_ns)
{
    unsigned char bytes[PROBE_BYTES];

    for (int i = 0; i < PROBE_BYTES; i++)
        bytes[i] = stream_byte(watch->echo_sent + (uint64_t)i);
    watch->echo_sent += link_write(&watch->echo, bytes, sizeof(bytes), now_ns);
    // The guest ignores what followers say, but one that was restarted refuses it: without a word
    // from us we would wait for acks of a dead connection for ever.
    if (now_ns >= watch->next_ping_ns) {
        link_write(&watch->follow, "\n", 1, now_ns);
        watch->next_ping_ns = now_ns + PING_NS;
    }
    // An unreachable guest is what we are here to measure, so errors mean nothing.
    if (send(watch->udp, &watch->udp_sent, sizeof(watch->udp_sent), MSG_NOSIGNAL) > 0)
        watch->udp_sent++;
}

static void read_udp(struct watch *watch, uint64_t now_ns)
{
    char buffer[64];

    while (recv(watch->udp, buffer, sizeof(buffer), 0) > 0)
        meter_event(&watch->udp_meter, now_ns);
}

static void read_echo(struct watch *watch, uint64_t now_ns)
{
    unsigned char buffer[BUFFER];
    size_t n;

    while ((n = link_read(&watch->echo, buffer, sizeof(buffer), now_ns)) > 0) {
        meter_event(&watch->echo_meter, now_ns);
        for (size_t i = 0; i < n; i++)
            watch->echo_garbled += buffer[i] != stream_byte(watch->echo_received++);
    }
}

static void read_acks(struct watch *watch, uint64_t now_ns)
{
    char buffer[BUFFER];
    size_t n;

    while ((n = link_read(&watch->follow, buffer, sizeof(buffer), now_ns)) > 0) {
        uint64_t before = watch->acks.count;

        acks_take(&watch->acks, buffer, n);
        if (watch->acks.count > before)
            meter_event(&watch->ack_meter, now_ns);
    }
}

// One round: waits until something comes or the next probe is due, and deals with it.
static void step(struct watch *watch)
{
    uint64_t now = client_now_ns();
    struct pollfd polls[3];
    struct timespec wait = {0};

    link_try(&watch->echo, now);
    link_try(&watch->follow, now);
    if (now >= watch->next_probe_ns) {
        send_probes(watch, now);
        watch->next_probe_ns += PERIOD_NS;
        if (watch->next_probe_ns < now) // we were held up: no burst of probes after it
            watch->next_probe_ns = now + PERIOD_NS;
    }
    wait.tv_nsec = (long)(watch->next_probe_ns > now ? watch->next_probe_ns - now : 0);
    polls[0] = (struct pollfd){.fd = watch->udp, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = watch->echo.fd, .events = link_events(&watch->echo)};
    polls[2] = (struct pollfd){.fd = watch->follow.fd, .events = link_events(&watch->follow)};
    if (ppoll(polls, 3, &wait, NULL) <= 0)
        return;

    now = client_now_ns();
    if (link_ready(&watch->echo, polls[1].revents, now))
        watch->echo_sent = watch->echo_received = 0;
    if (link_ready(&watch->follow, polls[2].revents, now))
        acks_connected(&watch->acks);
    if (polls[0].revents)
        read_udp(watch, now);
    if (polls[1].revents)
        read_echo(watch, now);
    if (polls[2].revents)
        read_acks(watch, now);
}

static bool begun(const struct watch *watch)
{
    return watch->udp_meter.events > 0 && watch->echo_meter.events > 0 && link_up(&watch->follow);
}

static void begin_meters(struct watch *watch)
{
    watch->start_ns = client_now_ns();
    meter_begin(&watch->udp_meter, LISTED_NS, watch->start_ns);
    meter_begin(&watch->echo_meter, LISTED_NS, watch->start_ns);
    meter_begin(&watch->ack_meter, LISTED_NS, watch->start_ns);
}

// Makes all connections.  The measurement begins only then.
static int begin(struct watch *watch, const struct watch_options *options)
{
    uint64_t deadline;

    watch->udp = open_udp(options->ip);
    if (watch->udp < 0) {
        fprintf(stderr, "guest-client: udp: %s\n", strerror(errno));
        return -1;
    }
    link_init(&watch->echo, options->ip, TG_PORT_ECHO);
    link_init(&watch->follow, options->ip, TG_PORT_ACKS);
    begin_meters(watch);
    watch->next_probe_ns = watch->start_ns;
    deadline = watch->start_ns + START_NS;
    while (!begun(watch)) {
        if (stopped || client_now_ns() > deadline) {
            fprintf(stderr, "guest-client: the guest does not answer on every port\n");
            return -1;
        }
        step(watch);
    }
    begin_meters(watch);
    fprintf(stderr, "watching\n"); // scripts wait for this line
    return 0;
}

static int report(struct watch *watch)
{
    uint64_t end = client_now_ns();
    uint64_t broken = watch->echo.broken + watch->follow.broken;
    struct timespec real;
    uint64_t offset;
    json_t *root = json_pack("{si}", "schema", 1);

    clock_gettime(CLOCK_REALTIME, &real);
    offset = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec - end;
    meter_end(&watch->udp_meter, end);
    meter_end(&watch->echo_meter, end);
    meter_end(&watch->ack_meter, end);

    json_object_set_new(root, "seconds",
                        json_real((double)((end - watch->start_ns) / NS_PER_MS) / 1000));
    meter_report(&watch->udp_meter, "udp", offset, root);
    meter_report(&watch->echo_meter, "tcp", offset, root);
    meter_report(&watch->ack_meter, "ack", offset, root);
    json_object_set_new(root, "udp_sent", json_integer((json_int_t)watch->udp_sent));
    json_object_set_new(root, "udp_received", json_integer((json_int_t)watch->udp_meter.events));
    json_object_set_new(root, "tcp_broken", json_integer((json_int_t)broken));
    json_object_set_new(root, "tcp_garbled", json_integer((json_int_t)watch->echo_garbled));
    acks_report(&watch->acks, root);
    json_dumpf(root, stdout, JSON_PRESERVE_ORDER | JSON_COMPACT | JSON_REAL_PRECISION(13));
    putchar('\n');
    json_decref(root);
    return broken || watch->echo_garbled || watch->acks.lost || watch->acks.reordered ||
           watch->acks.malformed;
}

int watch_run(const struct watch_options *options)
{
    static struct watch watch; // large, and there is one
    struct sigaction action = {.sa_handler = on_signal};
    uint64_t end_ns;
    int status = 2;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (options->ack_log) {
        watch.acks.log = fopen(options->ack_log, "we");
        if (!watch.acks.log) {
            fprintf(stderr, "guest-client: %s: %s\n", options->ack_log, strerror(errno));
            return status;
        }
    }
    if (begin(&watch, options) == 0) {
        end_ns = options->seconds > 0
                     ? watch.start_ns + (uint64_t)(options->seconds * (double)NS_PER_S)
                     : UINT64_MAX;
        while (!stopped && client_now_ns() < end_ns)
            step(&watch);
        status = report(&watch);
        link_close(&watch.echo);
        link_close(&watch.follow);
        close(watch.udp);
    }
    if (watch.acks.log && fclose(watch.acks.log) != 0) {
        fprintf(stderr, "guest-client: %s: %s\n", options->ack_log, strerror(errno));
        status = 2;
    }
    return status;
}
