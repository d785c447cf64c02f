// SPDX-License-Identifier: GPL-3.0-or-later
// A GSSAPI security context (Kerberos 5, mutual, confidential): RFC 2743, RFC 4121, MS-KILE.
// Steps may ask the KDC: worker threads or command-line programs only, one thread at a time. Once
// established, wrap, unwrap, prf and lifetime do not block and may be called from any thread.
#ifndef DROVER_GSS_H
#define DROVER_GSS_H

#include "drover/err.h"
#include <gssapi/gssapi.h>
#include <stddef.h>
#include <stdint.h>

enum { DRV_GSS_TOKEN_MAX = 64 * 1024 };

struct drv_gss;

// Initiate to "service@host" (host-based name), with cred (borrowed for the life of the context;
// GSS_C_NO_CREDENTIAL = default ccache). Flags: mutual, replay, sequence, conf, integ; never
// GSS_C_DELEG_FLAG (DESIGN.md section 5.4).
struct drv_gss *drv_gss_initiate(const char *service, const char *host, gss_cred_id_t cred,
                                 struct drv_err *err);
// Accept with cred (borrowed; must be GSS_C_BOTH for S4U2Proxy).
struct drv_gss *drv_gss_accept(gss_cred_id_t cred);
void drv_gss_free(struct drv_gss *g);

// One step. in/in_len: the peer's token (NULL, 0 for the initiator's first). *ret_out is malloc'd
// (NULL when there is nothing to send; an error token may be set even on failure and should be
// sent). 1 = established, 0 = needs the peer's next token, -1 = failed (err has the mechanism's own
// text, origin "gss", native = minor status, id K.. where the cause is known).
int drv_gss_step(struct drv_gss *g, const void *in, size_t in_len, void **ret_out, size_t *ret_len,
                 struct drv_err *err);

// Confidential wrap/unwrap of one message. Results malloc'd. unwrap refuses anything not
// confidential.
int drv_gss_wrap(struct drv_gss *g, const void *in, size_t len, void **ret, size_t *ret_len,
                 struct drv_err *err);
int drv_gss_unwrap(struct drv_gss *g, const void *in, size_t len, void **ret, size_t *ret_len,
                   struct drv_err *err);

const char *drv_gss_peer(const struct drv_gss *g);     // "alice@DROVER.TEST", established only
gss_name_t drv_gss_peer_name(const struct drv_gss *g); // for PAC attributes; borrowed
// The delegated credential that the acceptor got (S4U2Proxy), GSS_C_NO_CREDENTIAL if none.
// Borrowed.
gss_cred_id_t drv_gss_delegated(const struct drv_gss *g);
// -1 with D13 when what was delegated is the user's own ticket-granting ticket, which would let
// this host be the user everywhere (a credential without an impersonator); 0 otherwise. Acceptor.
int drv_gss_refuse_tgt(const struct drv_gss *g, struct drv_err *err);
int64_t drv_gss_lifetime_s(const struct drv_gss *g);

// RFC 4401 PRF over the context: the same 32 bytes on both sides for the same label.
int drv_gss_prf(struct drv_gss *g, const char *label, uint8_t out[32], struct drv_err *err);

// Fill err from a major/minor pair: rendered once, here.
int drv_gss_error(struct drv_err *err, OM_uint32 major, OM_uint32 minor, const char *what);
// When that gave K05, the directory has no such service: name the one to register in the hint.
// spn: "drover/hv2.example.lan".
void drv_gss_hint_service(struct drv_err *err, const char *spn);

#endif
