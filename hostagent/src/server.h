// SPDX-License-Identifier: GPL-3.0-or-later
// The agent's listening sockets and sessions (docs/WIRE.md). All functions: loop thread.
#ifndef HOSTAGENT_SERVER_H
#define HOSTAGENT_SERVER_H

#include "calls.h"
#include "drover/loop.h"

struct ha_server;

// What the server asks the rest of the agent.
struct ha_server_ops {
    // The host's own credential, GSS_C_BOTH (dg_host_cred). The server releases it. Worker thread.
    int (*credential)(struct ha *ha, gss_cred_id_t *ret, struct drv_err *err);
    // Who is at the other end of an established context, and with which role. An error refuses the
    // session; a user without a role is no error. Worker thread.
    int (*classify)(struct ha *ha, const struct drv_gss *gss, struct ha_identity *ret,
                    struct drv_err *err);
    // A call was refused before its handler ran, for the audit log. NULL allowed. Loop thread.
    void (*refused)(struct ha *ha, const char *who, const char *call, const struct drv_err *err);
    // Hint in *err how an account gets a role here. NULL allowed. Loop thread.
    void (*role_advice)(struct ha *ha, enum az_role need, const char *account, struct drv_err *err);
    // A host channel has closed; peer is only for comparing. NULL allowed. Loop thread.
    void (*closed)(struct ha *ha, const struct ha_peer *peer);
};

// Limits; those per address are in door.h. Sessions of uid 0 on the unix socket are never turned
// away.
enum {
    HA_MAX_LOGONS = 32,           // TCP connections that have not logged on yet
    HA_MAX_TCP_SESSIONS = 160,    // all TCP connections
    HA_MAX_UNIX_SESSIONS = 64,    // unix connections of other users
    HA_MAX_CALLS = 1,             // unanswered calls of a session
    HA_MAX_HOST_CALLS = 8,        // the same of a host channel
    HA_LOGON_TIMEOUT_S = 10,      // from connecting to the end of the Kerberos log-on
    HA_LINGER_S = 2,              // for a peer to read why it is turned away
    HA_WRITE_TIMEOUT_S = 60,      // without the peer taking a single byte
    HA_OUTPUT_EVENTS = 256 << 10, // bytes waiting to be sent: above, events are dropped
    HA_OUTPUT_PAUSE = 1 << 20,    // above, no more requests are read
    HA_OUTPUT_MAX = 8 << 20,      // above, the session is closed
};

// calls: the call table, NULL-named row last; must outlive the server. "auth.login", "auth.whoami"
// and "peer.user" are the server's own. fqdn: this host, for the greeting.
struct ha_server *ha_server_new(struct ha *ha, struct drv_loop *loop,
                                const struct ha_server_ops *ops, const struct ha_call *calls,
                                const char *fqdn);
// Closes everything. Calls still running on workers end on their own and find their caller gone.
void ha_server_free(struct ha_server *s);

// Listen on a unix socket (mode 0666: who may do what is decided by uid and log-on). A stale socket
// of a dead agent is replaced. DRV_EBUSY when another agent answers on it.
int ha_server_listen_unix(struct ha_server *s, const char *path, struct drv_err *err);
// Listen on a unix socket that somebody else has made and will remove. fd is taken in any case.
int ha_server_adopt_unix(struct ha_server *s, int fd, struct drv_err *err);
// Listen on an IP address ("0.0.0.0", "::", "10.1.2.3"). port 0: any free one. *ret_port (NULL
// allowed) is the one taken. May be called several times.
int ha_server_listen_tcp(struct ha_server *s, const char *address, unsigned port,
                         unsigned *ret_port, struct drv_err *err);
unsigned ha_server_sessions(const struct ha_server *s);

#endif
