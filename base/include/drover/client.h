// SPDX-License-Identifier: GPL-3.0-or-later
// A client of droverd: used by the CLI, the wizard, and by one agent towards another (host
// channel). Blocking, one thread per client; every wait has a time-out. Protocol: docs/WIRE.md.
#ifndef DROVER_CLIENT_H
#define DROVER_CLIENT_H

#include "drover/gss.h"
#include <jansson.h>

struct drv_client;

// Over the local socket: the kernel tells droverd who we are.
struct drv_client *drv_client_unix(const char *path, struct drv_err *err);
// Over TCP with GSSAPI to drover/<host>. host must be the FQDN. cred: see drv_gss_initiate.
// timeout_ms: for connecting, greeting and log-on; the KDC's own time-outs come on top.
struct drv_client *drv_client_tcp(const char *host, unsigned port, gss_cred_id_t cred,
                                  int timeout_ms, struct drv_err *err);
void drv_client_free(struct drv_client *c);

// Inside a unix-socket connection: prove a Kerberos identity too, for service drover on host. Later
// calls run as that user. -1 with a K finding when there is no usable ticket.
int drv_client_login(struct drv_client *c, const char *host, gss_cred_id_t cred,
                     struct drv_err *err);

// The general form: a Kerberos context of service@host inside this connection, its tokens carried
// by CALL ("auth.login", or "peer.user" on a host channel).
int drv_client_inner(struct drv_client *c, const char *call, const char *service, const char *host,
                     gss_cred_id_t cred, struct drv_err *err);

// Events that arrive while a call waits, or in drv_client_wait(). event is borrowed. The function
// must not call the client.
typedef void drv_event_fn(const json_t *event, void *arg);
void drv_client_on_event(struct drv_client *c, drv_event_fn *fn, void *arg);

// Call NAME with args (reference stolen, NULL = {}). Returns the "return" value (new reference), or
// NULL with the peer's error {code,id,msg,hint} carried into err. timeout_ms <= 0: no limit. After
// a time-out the client is still usable; after a lost connection every call fails with what was the
// matter.
json_t *drv_client_call(struct drv_client *c, const char *name, json_t *args, int timeout_ms,
                        struct drv_err *err);
// Wait for events up to timeout_ms; 1 = something arrived, 0 = time-out, -1 = connection lost.
int drv_client_wait(struct drv_client *c, int timeout_ms, struct drv_err *err);
// Call NAME, after whose answer the connection is a byte stream (docs/WIRE.md, section 9): from
// then on drv_client_wait() hands what comes to on, and no other call can be made. Returns the
// answer.
struct drv_stream_handler {
    void (*bytes)(const void *bytes, size_t len, void *arg);
    void (*message)(const json_t *message, void *arg); // borrowed
    void *arg;
};
json_t *drv_client_stream(struct drv_client *c, const char *name, json_t *args, int timeout_ms,
                          const struct drv_stream_handler *on, struct drv_err *err);
// Queue up to DRV_STREAM_MAX bytes; drv_client_wait() sends them. Not while drv_client_sending().
int drv_client_stream_send(struct drv_client *c, const void *bytes, size_t len,
                           struct drv_err *err);
bool drv_client_sending(const struct drv_client *c); // poll() for POLLOUT, too

int drv_client_fd(const struct drv_client *c);              // for poll()
struct drv_gss *drv_client_gss(const struct drv_client *c); // NULL on a unix socket
const char *drv_client_server(const struct drv_client *c);  // FQDN told in the greeting
// The greeting's list of names, told in clear; NULL when there is none. Borrowed.
const json_t *drv_client_capabilities(const struct drv_client *c);

#endif
