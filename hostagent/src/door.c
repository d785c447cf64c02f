// SPDX-License-Identifier: GPL-3.0-or-later
// Limits per source address before the log-on: see door.h.
//
// The bucket is one moment, as in GCRA: each failure moves forgiven_ms on by HA_DOOR_FORGIVE_MS,
// and an address is full when that lies HA_DOOR_FAILURES such steps ahead.
#include "door.h"

#include <netinet/in.h>
#include <string.h>

#include "drover/util.h"

enum { FULL_MS = HA_DOOR_FAILURES * HA_DOOR_FORGIVE_MS };

void ha_door_address(const struct sockaddr *sa, struct ha_door_address *ret)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; // RFC 4291 2.5.5.2
    *ret = (struct ha_door_address){0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        memcpy(ret->bytes, mapped, sizeof mapped);
        memcpy(ret->bytes + sizeof mapped, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            memcpy(ret->bytes, &in6.sin6_addr, 16);
        } else {
            memcpy(ret->bytes, &in6.sin6_addr, 8);
            ret->bytes[15] = 64;
        }
    }
}

static bool is_of(const struct ha_door_entry *e, const struct ha_door_address *a)
{
    return !memcmp(e->address.bytes, a->bytes, sizeof a->bytes);
}

static const struct ha_door_entry *find(const struct ha_door *d, const struct ha_door_address *a)
{
    for (unsigned i = 0; i < HA_DOOR_ADDRESSES; i++)
        if (is_of(&d->entries[i], a))
            return &d->entries[i];
    return NULL;
}

// Until when the entry matters. A log-on under way: for as long as it lasts.
static int64_t matters_until(const struct ha_door_entry *e)
{
    if (e->logons)
        return INT64_MAX;
    return e->forgiven_ms > e->quiet_ms ? e->forgiven_ms : e->quiet_ms;
}

// The entry of an address; a new one takes the place of the one that matters least.
static struct ha_door_entry *entry_of(struct ha_door *d, const struct ha_door_address *a)
{
    struct ha_door_entry *e = (struct ha_door_entry *)find(d, a); // d is not const
    if (e)
        return e;
    e = &d->entries[0];
    for (unsigned i = 1; i < HA_DOOR_ADDRESSES; i++)
        if (matters_until(&d->entries[i]) < matters_until(e))
            e = &d->entries[i];
    *e = (struct ha_door_entry){.address = *a};
    return e;
}

const char *ha_door_refusal(const struct ha_door *d, const struct ha_door_address *a,
                            int64_t now_ms)
{
    const struct ha_door_entry *e = find(d, a);
    if (e && e->logons >= HA_DOOR_LOGONS)
        return "too many log-ons at a time from this address; try again";
    if (e && e->forgiven_ms - now_ms > FULL_MS - HA_DOOR_FORGIVE_MS)
        return "too many failed log-ons from this address; try again in a few seconds";
    return NULL;
}

void ha_door_enter(struct ha_door *d, const struct ha_door_address *a, int64_t now_ms)
{
    struct ha_door_entry *e = entry_of(d, a);
    if (e->forgiven_ms < now_ms)
        e->forgiven_ms = now_ms; // the newest visitor matters more than those from long ago
    e->logons++;
}

void ha_door_leave(struct ha_door *d, const struct ha_door_address *a, bool failed, int64_t now_ms)
{
    struct ha_door_entry *e = entry_of(d, a);
    if (e->logons)
        e->logons--;
    if (!failed)
        return;
    if (e->forgiven_ms < now_ms)
        e->forgiven_ms = now_ms;
    e->forgiven_ms += HA_DOOR_FORGIVE_MS;
}

bool ha_door_may_log(struct ha_door *d, const struct ha_door_address *a, int64_t now_ms)
{
    struct ha_door_entry *e = entry_of(d, a);
    if (now_ms < e->quiet_ms)
        return false;
    e->quiet_ms = now_ms + HA_DOOR_SILENCE_MS;
    return true;
}
