/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client of the test guest, sectioned by the file that implements each part.
 *
 * Functions return 0, or -1 with errno set, unless they say otherwise.  Times are of the monotonic
 * clock, in nanoseconds. */
#ifndef CLIENT_H
#define CLIENT_H

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/abi.h"

enum {
    CLIENT_ANSWER = 512, /* bytes of an answer of the control port, with the NUL */
    CLIENT_DEFAULT_TIMEOUT_S = 10,
};

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* ---- dial.c: short conversations ---- */

uint64_t client_now_ns(void);

/* Connects within timeout_ms.  Returns a blocking socket whose reads and writes give up after the
 * same time (EAGAIN). */
int client_dial(struct in_addr ip, enum tg_port port, unsigned timeout_ms);

/* Sends one command to the control port and reads its answer, without the newline.  timeout_ms
 * bounds the connection and the answer, each. */
int client_ask(struct in_addr ip, const char *command, unsigned timeout_ms,
               char answer[CLIENT_ANSWER]);

/* Waits until the guest answers on its echo port (UDP) and its control port.  ETIMEDOUT when it
 * does not within timeout_s. */
int client_wait(struct in_addr ip, unsigned timeout_s);

/* ---- meter.c: the largest pauses in a series of events ---- */

enum { METER_GAPS = 32 };

struct meter {
    uint64_t floor_ns; /* shorter pauses are not listed */
    uint64_t last_ns;  /* when the last event was */
    uint64_t events;
    uint64_t max_ns;
    uint64_t max_at_ns; /* when the largest pause began */
    int count;
    struct {
        uint64_t at_ns, length_ns;
    } gaps[METER_GAPS]; /* the first pauses longer than the floor */
};

/* Begins to measure: the pause before the first event counts too. */
void meter_begin(struct meter *meter, uint64_t floor_ns, uint64_t now_ns);
void meter_event(struct meter *meter, uint64_t now_ns);

/* Ends it: the pause since the last event counts too. */
void meter_end(struct meter *meter, uint64_t now_ns);

/* Adds "<name>_gap_ms", "<name>_gap_at" (seconds of the real clock) and "<name>_gaps" to report.
 * real_offset_ns: what to add to the monotonic clock to get the real one. */
void meter_report(const struct meter *meter, const char *name, uint64_t real_offset_ns,
                  json_t *report);

/* ---- link.c: a TCP connection that is made again when it breaks ---- */

struct link {
    struct sockaddr_in peer;
    int fd; /* -1 while there is none */
    bool connecting;
    uint64_t retry_at_ns; /* when to try again */
    uint64_t made;        /* connections made */
    uint64_t broken;      /* of these: ended by anything but link_close() */
    int last_errno;       /* of the last that broke, 0: the guest closed it */
};

void link_init(struct link *link, struct in_addr ip, enum tg_port port);

/* Begins a connection when there is none and the time has come. */
void link_try(struct link *link, uint64_t now_ns);

/* What to poll for: nothing while there is no socket. */
short link_events(const struct link *link);

/* Takes the result of a poll.  Returns true when the connection was made by this. */
bool link_ready(struct link *link, short revents, uint64_t now_ns);

/* True when data can be sent and read. */
bool link_up(const struct link *link);

/* Reads what is there.  Returns the bytes read, or 0 when there is nothing or the connection broke.
 */
size_t link_read(struct link *link, void *buffer, size_t size, uint64_t now_ns);

/* Sends what the socket takes.  Returns the bytes taken, 0 also when the connection broke. */
size_t link_write(struct link *link, const void *data, size_t size, uint64_t now_ns);

void link_close(struct link *link);

/* ---- acks.c: follows the sequence of acknowledged records ---- */

struct ack_disk {
    struct tg_ack hello; /* the last; disk[0] == 0 while the entry is free */
    bool fresh;          /* hello came on the present connection */
    uint64_t first;      /* ack seen, 0: none */
    uint64_t last;       /* ack seen or claimed by a hello */
    uint64_t count;
};

struct acks {
    struct ack_disk disks[TG_MAX_DISKS];
    uint64_t count;
    uint64_t lost;      /* skipped within a connection, or taken back by a later hello */
    uint64_t reordered; /* not above the one before */
    uint64_t malformed; /* lines */
    FILE *log;          /* gets each line, or NULL */
    char line[TG_ACK_LINE];
    size_t used;
};

/* A new connection: what was received of a line is void, and each disk must say hello again. */
void acks_connected(struct acks *acks);

/* Takes bytes of the ack port. */
void acks_take(struct acks *acks, const char *data, size_t size);

/* Adds "acks", "acks_lost", "acks_reordered", "acks_malformed" and "disks" to report. */
void acks_report(const struct acks *acks, json_t *report);

/* ---- watch.c ---- */

struct watch_options {
    struct in_addr ip;
    double seconds;      /* 0: until SIGTERM or SIGINT */
    const char *ack_log; /* path of the file to write, or NULL */
};

/* Probes and follows a guest, then prints the report as JSON.  Returns the exit status: 0 when
 * nothing was broken or lost, 1 when something was, 2 when it could not begin. */
int watch_run(const struct watch_options *options);

#endif
