// SPDX-License-Identifier: GPL-3.0-or-later
// The permits that this host has given (docs/WIRE.md, section 8): in memory only, so an agent that
// is restarted has given none.
//
// Of a token only its hash is kept. A permit is open until a host channel shows it; from then on it
// counts on that channel alone, and is spent by the first reservation that uses it, by any refusal,
// and by the channel's end. Spent and expired ones are remembered for a while, to say which it was.
#ifndef HOSTAGENT_PERMIT_H
#define HOSTAGENT_PERMIT_H

#include "calls.h"
#include "drover/permit.h"

enum {
    HA_PERMITS_MAX = 256,     // at a time, spent ones that are remembered included
    HA_PERMITS_PER_USER = 16, // open ones; the user's oldest gives way to the next
    HA_PERMIT_LIFETIME_S = 300,
    HA_PERMIT_LIFETIME_MAX_S = 900,
};

struct ha_permits;

// --- permit.c: the table. Loop thread ---
// host: this host's FQDN, borrowed. now_ms: a monotonic clock.
struct ha_permits *ha_permits_new(const char *host, int64_t (*now_ms)(void));
void ha_permits_free(struct ha_permits *t); // NULL allowed
// Give one to user (reference taken). DRV_EBUSY when the table is full.
int ha_permits_issue(struct ha_permits *t, const struct az_permit *says, struct ha_peer *user,
                     unsigned lifetime_s, char ret_token[DRV_PERMIT_LEN], struct drv_err *err);
// A host channel shows a token: from now on it is that channel's permit, and its earlier one is
// spent. *ret_user: new reference. DRV_EDENIED A07.
int ha_permits_show(struct ha_permits *t, const char *token, const struct ha_peer *channel,
                    struct az_permit *ret, struct ha_peer **ret_user, struct drv_err *err);
// The permit that the channel has shown: 1 with *ret and *ret_user (new reference), 0 = none, -1
// DRV_EDENIED A07: it is spent, or has expired. spend: it is spent from now on.
int ha_permits_use(struct ha_permits *t, const struct ha_peer *channel, bool spend,
                   struct az_permit *ret, struct ha_peer **ret_user, struct drv_err *err);
// The channel's permit is spent; no effect without one.
void ha_permits_burn(struct ha_permits *t, const struct ha_peer *channel);
// The channel has ended: no permit refers to it any more.
void ha_permits_closed(struct ha_permits *t, const struct ha_peer *channel);

// --- calls_permit.c: the same from a call on a host channel. Worker threads ---
// As ha_permits_use(); on 1 the call runs for the permit's user from here on (ctx->inner).
int ha_permit_use(struct ha_ctx *ctx, bool spend, struct az_permit *ret, struct drv_err *err);
void ha_permit_burn(const struct ha_ctx *ctx);

#endif
