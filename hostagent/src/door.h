// SPDX-License-Identifier: GPL-3.0-or-later
// Who may try to log on over TCP: limits per source address, so that one address, by accident or on
// purpose, cannot keep the others out. Counts log-ons under way and, in a token bucket, those that
// failed; sessions that are open are none of its business. An IPv6 address counts with its /64
// network, which one computer can fill with addresses as it likes.
//
// No clock, no socket, no log of its own. Loop thread only.
#ifndef HOSTAGENT_DOOR_H
#define HOSTAGENT_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    HA_DOOR_LOGONS = 8,             // under way at a time, from one address
    HA_DOOR_FAILURES = 20,          // failed log-ons that an address may have at once …
    HA_DOOR_FORGIVE_MS = 3 * 1000,  // … and the time after which one of them is forgotten
    HA_DOOR_SILENCE_MS = 60 * 1000, // between two log lines about an address
    HA_DOOR_ADDRESSES = 256,        // remembered; the least interesting gives way to a new one
};

// IPv4 as ::ffff:a.b.c.d, IPv6 as its network and the length of that; neither is all zeros, as what
// is no IP address.
struct ha_door_address {
    uint8_t bytes[16];
};
void ha_door_address(const struct sockaddr *sa, struct ha_door_address *ret);

struct ha_door_entry {
    struct ha_door_address address;
    unsigned logons;     // under way
    int64_t forgiven_ms; // when all its failures are forgotten; before now = it has none
    int64_t quiet_ms;    // until then nothing is logged
};
// All zeros is a fresh one. Log-ons under way are never forgotten: HA_MAX_LOGONS is less than the
// rows.
struct ha_door {
    struct ha_door_entry entries[HA_DOOR_ADDRESSES];
};

// Why not to let somebody in, for the peer to read; NULL: enter. now_ms: drv_now_ms, here and
// below.
const char *ha_door_refusal(const struct ha_door *d, const struct ha_door_address *a,
                            int64_t now_ms);
// A log-on begins, and has ended. Each enter has its leave. failed: it was refused.
void ha_door_enter(struct ha_door *d, const struct ha_door_address *a, int64_t now_ms);
void ha_door_leave(struct ha_door *d, const struct ha_door_address *a, bool failed, int64_t now_ms);
// May a line about turning this address away be logged? True once in HA_DOOR_SILENCE_MS.
bool ha_door_may_log(struct ha_door *d, const struct ha_door_address *a, int64_t now_ms);

#endif
