// SPDX-License-Identifier: GPL-3.0-or-later
// What a wire call's handler sees: the table's rows, who calls, and how to stream events.
// The calls themselves are specified in docs/WIRE.md; anything that is not in a table is refused.
#ifndef HOSTAGENT_CALLS_H
#define HOSTAGENT_CALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "drover/authz.h"
#include "drover/err.h"
#include "drover/gss.h"

struct ha;

// Who may call; one matching flag is enough. A higher role includes the lower ones.
enum ha_who {
    HA_ANY = 1, // whoever has a session
    HA_VIEWER = 2,
    HA_OPERATOR = 4,
    HA_ADMIN = 8,
    HA_HOST = 16,     // another agent, on a host channel
    HA_ON_SOCKET = 32 // whoever is on the unix socket
};

// A Kerberos identity with its role here.
struct ha_identity {
    struct az_identity az; // from the PAC
    enum az_role role;     // AZ_NONE for hosts and for users without a role
    bool is_host;          // a member of the hosts' group: the session is a host channel
    char host[256];        // then: FQDN of that host
};
void ha_identity_done(struct ha_identity *id);

// One proven Kerberos party of a session. Immutable once proven, shared by count: a session that
// closes does not take it away from a running call.
struct ha_peer {
    struct ha_identity id;
    struct drv_gss *gss; // for drv_gss_prf() and drv_gss_delegated(); never wrap with it
    gss_cred_id_t cred;  // the host's own credential that it was accepted with
    _Atomic int refs;
};
struct ha_peer *ha_peer_ref(struct ha_peer *p); // NULL stays NULL; any thread
void ha_peer_unref(struct ha_peer *p);          // NULL allowed; any thread

enum ha_via { HA_VIA_UNIX, HA_VIA_TCP };

// Context of one call, valid until its handler returns.
struct ha_ctx {
    struct ha *ha;
    const char *call;
    enum ha_via via;
    uid_t uid;             // peer of the unix socket
    struct ha_peer *peer;  // TCP: the user or host that opened the session. NULL on the unix socket
    struct ha_peer *inner; // proven inside the session: auth.login's user (unix socket),
                           // peer.user's user (host channel); NULL if none
};

// The user or host in whose name the call runs: auth.login's user on a unix socket, else the peer.
// NULL: a local user without a ticket.
struct ha_peer *ha_ctx_actor(const struct ha_ctx *ctx);
enum az_role ha_ctx_role(const struct ha_ctx *ctx);
// "alice@DROVER.TEST", "root", "uid 1000", "HV1$@DROVER.TEST for alice@DROVER.TEST": for logs and
// audit.
void ha_ctx_who(const struct ha_ctx *ctx, char *ret, size_t size);

// Send an event to the caller, in order and before the call's own answer. event: an object,
// reference taken; "id" is added. Events are dropped when the caller is gone or reads too slowly,
// so each must make sense without the one before. Any thread; never blocks.
void ha_emit(struct ha_ctx *ctx, json_t *event);
// The caller has gone: a handler that only streams may return. Any thread.
bool ha_ctx_gone(const struct ha_ctx *ctx);

// Unpack a call's args strictly: json_unpack's format for one object; missing, wrong and unknown
// members are DRV_EINVAL, named. Use "I" for sizes.
int ha_args(const json_t *args, struct drv_err *err, const char *fmt, ...);

struct ha_call {
    const char *name;    // NULL ends a table
    unsigned who;        // enum ha_who flags
    bool needs_kerberos; // the actor must be a Kerberos identity
    bool on_loop;        // run on the loop thread: must not block. Otherwise on a worker thread
    // Returns the "return" value (new reference), or NULL with err set. args is an object,
    // borrowed; check it with ha_args().
    json_t *(*run)(struct ha_ctx *ctx, const json_t *args, struct drv_err *err);
};

#endif
