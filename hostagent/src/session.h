// SPDX-License-Identifier: GPL-3.0-or-later
// Inside of the server: one session, and which file does what with it.
//
//   server.c    listening, accepting, limits
//   door.c      limits per address
//   session.c   bytes and frames of one connection, its end
//   logon.c     Kerberos: TCP log-on, contexts inside a session, shared identities
//   dispatch.c  requests: the table, who may, running handlers, answers and events
//   stream.c    sessions that have become byte streams
//
// A session belongs to the loop thread. Workers know only a struct ha_link, through which they
// find, back on the loop, the session or that it has gone.
#ifndef HOSTAGENT_SESSION_H
#define HOSTAGENT_SESSION_H

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdatomic.h>

#include "door.h"
#include "drover/frame.h"
#include "request.h"
#include "server.h"
#include "stream.h"

struct ha_link {
    atomic_int refs;
    atomic_bool gone;
    struct ha_session *session; // loop thread; NULL once gone
    struct drv_loop *loop;
};
struct ha_link *ha_link_ref(struct ha_link *l);
void ha_link_unref(struct ha_link *l);

enum ha_session_state {
    HA_SES_TOKEN,   // TCP: waiting for a Kerberos token
    HA_SES_LOGON,   // TCP: a worker is looking at it; nothing is read meanwhile
    HA_SES_OPEN,    // requests
    HA_SES_STREAM,  // bytes of `stream`
    HA_SES_CLOSING, // an error was sent; what still comes is thrown away
};

struct ha_session {
    struct ha_session *prev, *next; // server's list
    struct ha_server *server;
    struct ha_link *link;
    struct bufferevent *bev;
    struct event *timer; // log-on, lingering
    enum ha_session_state state;
    enum ha_via via;
    uid_t uid;                   // unix
    struct ha_door_address from; // TCP
    char name[96];               // "10.83.0.20:53122" or "unix:uid 0": for logs
    struct drv_frames in;
    struct ha_peer *logon;       // TCP, before OPEN; a worker's while in HA_SES_LOGON
    struct ha_peer *peer;        // TCP, from OPEN
    struct ha_peer *inner_logon; // started by auth.login or peer.user, not complete
    struct ha_peer *inner;       // the last one completed
    unsigned calls;              // unanswered
    bool logging_on;             // counted in n_logons
    bool paused;                 // not reading because the peer does not
    bool held;                   // not reading because the stream cannot take more
    struct ha_stream *stream;    // in HA_SES_STREAM
    unsigned dropped_events;
};

struct ha_server {
    struct ha *ha;
    struct drv_loop *loop;
    const struct ha_server_ops *ops;
    const struct ha_call *calls;
    char fqdn[256];
    struct evconnlistener *listeners[16];
    char *unix_paths[16]; // to unlink, NULL for TCP
    unsigned n_listeners;
    struct event *accept_again; // after an accept that failed
    struct ha_session *sessions;
    unsigned n_unix, n_tcp, n_logons;
    struct ha_door door;
};

// --- session.c ---
// Take over a connected descriptor. from: of a TCP connection, else NULL. name: for logs. NULL: the
// descriptor is closed.
struct ha_session *ha_session_new(struct ha_server *server, int fd, enum ha_via via, uid_t uid,
                                  const struct ha_door_address *from, const char *name);
void ha_session_free(struct ha_session *s); // closes at once
// Send a message; in clear on unix sockets and before OPEN. An answer that does not fit is an
// error.
int ha_session_send(struct ha_session *s, const json_t *message, struct drv_err *err);
// Send bytes that are to be wrapped where messages are.
int ha_session_send_plain(struct ha_session *s, const void *plain, size_t len, struct drv_err *err);
int ha_session_send_bytes(struct ha_session *s, const void *payload, size_t len,
                          struct drv_err *err); // as a frame, as they are
// Log why, tell the peer, and close once it had time to read that. s stays valid until the loop is
// back in libevent.
void ha_session_refuse(struct ha_session *s, const struct drv_err *err, bool tell);
// Close once the peer had time to read what was sent.
void ha_session_close(struct ha_session *s);
void ha_session_opened(struct ha_session *s);          // the log-on is complete
void ha_session_resume(struct ha_session *s);          // read again
size_t ha_session_pending(const struct ha_session *s); // bytes not sent yet

// --- logon.c ---
void ha_logon_token(struct ha_session *s, const uint8_t *token, size_t len);
bool ha_logon_is_inner(const struct ha_call *row); // auth.login, peer.user
extern const struct ha_call ha_logon_calls[];      // auth.login, auth.whoami, peer.user

// --- stream.c ---
void ha_session_stream(struct ha_session *s, struct ha_stream *st); // after the answer; st taken
int ha_stream_take(struct ha_stream *st, const uint8_t *frame, size_t len, struct drv_err *err);

// --- dispatch.c ---
// Serve one request. -1: the connection is of no more use.
int ha_dispatch(struct ha_session *s, const void *text, size_t len, struct drv_err *err);

// A call under way. ctx first: handlers get its address.
struct ha_job {
    struct ha_ctx ctx;
    struct ha_link *link;
    const struct ha_server_ops *ops;
    const struct ha_call *row;
    struct ha_request request;
    struct ha_peer *inner_logon; // the session's, lent to auth.login and peer.user
    struct ha_peer *inner_done;  // set by them when complete
    struct ha_stream *stream;    // set by ha_ctx_stream()
    json_t *result;
    struct drv_err err;
};

#endif
