// SPDX-License-Identifier: GPL-3.0-or-later
// The NBD server on a real socket, before a disk that is an array here and completes when told to,
// and a client that sends bytes made by hand.
#ifndef TESTS_NBD_RIG_H
#define TESTS_NBD_RIG_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include "drover/util.h"
#include "nbd.h"
#include "nbd_int.h"
#include "nbd_proto.h"

enum { DISK = 4 << 20, MAX_OPS = 256, FLAGS = 0x96d, NO_NAME_BYTES = 6, META_BYTES = 27 };

extern struct nbd_rig_disk {
    uint8_t bytes[DISK];
    uint64_t size;
    int size_errno;
    bool later; // requests wait for finish()
    bool full;  // no buffer for a write
    unsigned buffers, discards, submits;
    struct nbd_request *held[MAX_OPS];
    unsigned n_held;
    struct nbd_request last; // as submitted
    unsigned n_extents;
    struct nbd_extent extents[4];
} disk;
extern struct nbd_server *server;
extern int client;                           // the socket; -1: it has hung up
extern const uint8_t no_name[NO_NAME_BYTES]; // and no information requests
extern const char meta[META_BYTES + 1];      // of SET_META: base:allocation alone

int nbd_rig_set_up(void **state);
int nbd_rig_tear_down(void **state);

void finish(unsigned i, int errnum); // the i-th of those that wait
void turn(void);                     // of the loop
int connect_one(void);

// The client's bytes.
void put(const void *data, size_t len);
void get(void *to, size_t len);
void assert_silent(void);
void assert_ended(void);

// Negotiation. expect_reply: its payload, up to 256 bytes.
void greet(uint32_t flags);
void put_option_head(uint64_t magic, uint32_t option, uint32_t len);
void option(uint32_t what, const void *data, uint32_t len);
uint32_t expect_reply(uint32_t what, uint32_t type, uint8_t *payload);
void structured(void);
void set_meta(void);
void go(void);
void start_simple(void);
void start_structured(void);

// Requests, and what comes back.
void request(uint16_t flags, uint16_t command, uint64_t cookie, uint64_t offset, uint32_t len);
void put_bytes(uint8_t value, size_t len);
void write_of(uint64_t cookie, uint64_t offset, uint32_t len, uint8_t value);
void expect_simple(uint64_t cookie, uint32_t error);
void expect_disk(uint64_t offset, uint32_t len);

#endif
