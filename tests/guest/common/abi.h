/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the test guest, its client and the image checker agree on: ports, and the ack port's lines.
 *
 * On the ack port (TCP) the guest sends one hello line per disk when a client connects and whenever
 * a disk begins a new ring, and one ack line per record once the record is durable (fdatasync
 * returned):
 *
 *     hello vda slots=4096 first=1 seq=17     ring size, first sequence number in it, last one
 * acked vda 18
 *
 * Within one connection the sequence numbers of a disk grow by exactly one. */
#ifndef TG_ABI_H
#define TG_ABI_H

#include <stdbool.h>
#include <stdint.h>

enum tg_port {
    TG_PORT_ECHO = 7000,    /* UDP and TCP: sends back what it gets */
    TG_PORT_CONTROL = 7001, /* TCP: one command a line, one answer a line ("ok ..." or "err ...") */
    TG_PORT_ACKS = 7002,    /* TCP: the lines above */
};

enum {
    TG_DISK_NAME = 8,  /* bytes, with the final NUL: "vda" */
    TG_ACK_LINE = 128, /* bytes of the longest line, with newline and NUL */
    TG_MAX_DISKS = 4,  /* vda to vdd */
};

/* One parsed line of the ack port. */
struct tg_ack {
    bool hello;
    char disk[TG_DISK_NAME];
    uint64_t slots; /* hello only */
    uint64_t first; /* hello only */
    uint64_t seq;
};

/* Writes the line for *ack, newline included, to line.  Returns its length. */
int tg_ack_print(char line[TG_ACK_LINE], const struct tg_ack *ack);

/* Reads one line, with or without its newline.  Returns false when it is not exactly such a line or
 * when its ring size is outside TG_MIN_SLOTS to TG_MAX_SLOTS. */
bool tg_ack_parse(const char *line, struct tg_ack *ret_ack);

#endif
