// SPDX-License-Identifier: GPL-3.0-or-later
// The table of permits: see permit.h. It finds and counts; what a permit is good for is
// az_decide's.
#include "permit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "drover/util.h"
#include "drover/vmdef.h"

enum {
    HASH_LEN = 65,            // SHA-256 in hexadecimal
    KEEP_MS = 15 * 60 * 1000, // how long spent and expired ones are remembered
};

enum state { FREE, OPEN, SHOWN, SPENT };

struct entry {
    enum state state;
    char hash[HASH_LEN]; // of the token
    int64_t until_ms;    // it expires
    struct az_permit says;
    struct ha_peer *user;          // reference; NULL once spent
    const struct ha_peer *channel; // that showed it, NULL = none or ended; only compared
};

struct ha_permits {
    const char *host;
    int64_t (*now_ms)(void);
    struct entry list[HA_PERMITS_MAX];
};

struct ha_permits *ha_permits_new(const char *host, int64_t (*now_ms)(void))
{
    struct ha_permits *t = drv_xcalloc(1, sizeof *t);
    t->host = host;
    t->now_ms = now_ms;
    return t;
}

static void entry_done(struct entry *e)
{
    ha_peer_unref(e->user);
    explicit_bzero(e, sizeof *e);
}

void ha_permits_free(struct ha_permits *t)
{
    for (unsigned i = 0; t && i < HA_PERMITS_MAX; i++)
        entry_done(&t->list[i]);
    free(t);
}

static void spend(struct entry *e)
{
    e->state = SPENT;
    ha_peer_unref(DRV_TAKE(e->user));
}

static bool expired(const struct ha_permits *t, const struct entry *e)
{
    return t->now_ms() >= e->until_ms;
}

// Users of expired permits are let go of, and what is long over is forgotten.
static void sweep(struct ha_permits *t)
{
    for (struct entry *e = t->list; e < t->list + HA_PERMITS_MAX; e++) {
        if (e->state == FREE || !expired(t, e))
            continue;
        ha_peer_unref(DRV_TAKE(e->user));
        if (t->now_ms() >= e->until_ms + KEEP_MS)
            entry_done(e);
    }
}

// --- giving ---

static struct entry *earlier(struct entry *a, struct entry *b)
{
    return !a || b->until_ms < a->until_ms ? b : a;
}

// A user who asks again and again takes only from itself.
static void bound_user(struct ha_permits *t, const struct ha_peer *user)
{
    struct entry *oldest = NULL;
    unsigned n = 0;
    for (struct entry *e = t->list; e < t->list + HA_PERMITS_MAX; e++)
        if (e->state == OPEN && e->user && !strcmp(e->user->id.az.sid, user->id.az.sid)) {
            oldest = earlier(oldest, e);
            n++;
        }
    if (n >= HA_PERMITS_PER_USER)
        entry_done(oldest);
}

// A free place, or that of one that is over.
static struct entry *place(struct ha_permits *t)
{
    struct entry *over = NULL;
    for (struct entry *e = t->list; e < t->list + HA_PERMITS_MAX; e++) {
        if (e->state == FREE)
            return e;
        if (e->state == SPENT || expired(t, e))
            over = earlier(over, e);
    }
    if (over)
        entry_done(over);
    return over;
}

static int random_token(char ret[DRV_PERMIT_LEN], struct drv_err *err)
{
    uint8_t bytes[DRV_PERMIT_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return drv_err_os(err, errno, "random bytes for a permit");
    drv_permit_text(bytes, ret);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

int ha_permits_issue(struct ha_permits *t, const struct az_permit *says, struct ha_peer *user,
                     unsigned lifetime_s, char ret_token[DRV_PERMIT_LEN], struct drv_err *err)
{
    sweep(t);
    bound_user(t, user);
    struct entry *e = place(t);
    if (!e)
        return drv_err(err, DRV_EBUSY, "%s has given %d permits already; try again in some minutes",
                       t->host, HA_PERMITS_MAX);
    if (random_token(ret_token, err) < 0)
        return -1;
    ss_text_sha256(ret_token, strlen(ret_token), e->hash);
    e->state = OPEN;
    e->says = *says;
    e->user = ha_peer_ref(user);
    e->until_ms = t->now_ms() + (int64_t)lifetime_s * 1000;
    return 0;
}

// --- showing and using ---

static int refuse(struct drv_err *err, const char *what)
{
    drv_err(err, DRV_EDENIED, "%s", what);
    drv_err_id(err, "A07");
    return drv_err_hint(err, "run the command again: it gets a new permit");
}

// Equal in a time that tells nothing of where they differ.
static bool same_hash(const char a[HASH_LEN], const char b[HASH_LEN])
{
    unsigned char different = 0;
    for (size_t i = 0; i < HASH_LEN; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return different == 0;
}

static struct entry *by_token(struct ha_permits *t, const char *token)
{
    char hash[HASH_LEN];
    struct entry *found = NULL;
    ss_text_sha256(token, strlen(token), hash);
    for (struct entry *e = t->list; e < t->list + HA_PERMITS_MAX; e++)
        if (e->state != FREE && same_hash(e->hash, hash))
            found = e;
    explicit_bzero(hash, sizeof hash);
    return found;
}

static struct entry *by_channel(struct ha_permits *t, const struct ha_peer *channel)
{
    for (struct entry *e = t->list; e < t->list + HA_PERMITS_MAX; e++)
        if (e->state != FREE && e->channel == channel)
            return e;
    return NULL;
}

// Whoever shows a token has held it: the cause is no secret. Of an unknown one nothing is known.
static int check(struct ha_permits *t, const struct entry *e, struct drv_err *err)
{
    char text[400];
    if (e->state == SPENT)
        return refuse(err, "the permit has been used already: it is good for one move or check");
    if (!expired(t, e))
        return 0;
    snprintf(text, sizeof text, "the permit of %s for VM %.100s has expired", t->host,
             e->says.vm_name);
    return refuse(err, text);
}

static void hand_out(const struct entry *e, struct az_permit *ret, struct ha_peer **ret_user)
{
    *ret = e->says;
    *ret_user = ha_peer_ref(e->user);
}

int ha_permits_show(struct ha_permits *t, const char *token, const struct ha_peer *channel,
                    struct az_permit *ret, struct ha_peer **ret_user, struct drv_err *err)
{
    char text[600];
    sweep(t);
    struct entry *e = by_token(t, token);
    if (!e) {
        snprintf(text, sizeof text,
                 "%s knows no such permit: it was altered, is of another host, or was given before "
                 "the agent was restarted there",
                 t->host);
        return refuse(err, text);
    }
    if (check(t, e, err) < 0)
        return -1;
    if (e->state == SHOWN && e->channel != channel)
        return refuse(err, "the permit is in use on another connection");
    if (e->state == OPEN)
        ha_permits_closed(t, channel); // what it showed before counts no more
    e->state = SHOWN;
    e->channel = channel;
    hand_out(e, ret, ret_user);
    return 0;
}

int ha_permits_use(struct ha_permits *t, const struct ha_peer *channel, bool spend_it,
                   struct az_permit *ret, struct ha_peer **ret_user, struct drv_err *err)
{
    sweep(t);
    struct entry *e = by_channel(t, channel);
    if (!e)
        return 0;
    if (check(t, e, err) < 0)
        return -1;
    hand_out(e, ret, ret_user);
    if (spend_it)
        spend(e);
    return 1;
}

void ha_permits_burn(struct ha_permits *t, const struct ha_peer *channel)
{
    struct entry *e = by_channel(t, channel);
    if (e)
        spend(e);
}

void ha_permits_closed(struct ha_permits *t, const struct ha_peer *channel)
{
    struct entry *e = by_channel(t, channel);
    if (!e)
        return;
    spend(e);
    e->channel = NULL;
}
