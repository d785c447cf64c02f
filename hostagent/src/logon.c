// SPDX-License-Identifier: GPL-3.0-or-later
// Kerberos in sessions: the log-on of a TCP connection, contexts proven inside a session
// (auth.login, peer.user), and the identities that come of both. Tokens are looked at on worker
// threads.
#include <gssapi/gssapi.h>
#include <stdlib.h>
#include <string.h>

#include "drover/log.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "drover/worker.h"
#include "session.h"

// --- identities ---

void ha_identity_done(struct ha_identity *id)
{
    az_identity_done(&id->az);
    memset(id, 0, sizeof *id);
}

struct ha_peer *ha_peer_ref(struct ha_peer *p)
{
    if (p)
        atomic_fetch_add(&p->refs, 1);
    return p;
}

void ha_peer_unref(struct ha_peer *p)
{
    OM_uint32 minor;
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    drv_gss_free(p->gss); // before the credential that it borrows
    gss_release_cred(&minor, &p->cred);
    ha_identity_done(&p->id);
    free(p);
}

static void peer_cleanup(struct ha_peer **p)
{
    ha_peer_unref(*p);
}

// One token of a context. *peer: NULL for the first token; made here. ret_out: token for the other
// side, malloc'd, also after some failures. 1 = proven, 0 = needs another token, -1 = refused.
static int peer_step(struct ha *ha, const struct ha_server_ops *ops, struct ha_peer **peer,
                     const void *token, size_t len, void **ret_out, size_t *ret_len,
                     struct drv_err *err)
{
    *ret_out = NULL;
    if (!*peer) {
        *peer = drv_xcalloc(1, sizeof **peer);
        atomic_store(&(*peer)->refs, 1);
        if (ops->credential(ha, &(*peer)->cred, err) < 0)
            return drv_err_prefix(err, "this host's own credential");
        (*peer)->gss = drv_gss_accept((*peer)->cred);
    }
    int rc = drv_gss_step((*peer)->gss, token, len, ret_out, ret_len, err);
    if (rc == 1 && (drv_gss_refuse_tgt((*peer)->gss, err) < 0 ||
                    ops->classify(ha, (*peer)->gss, &(*peer)->id, err) < 0))
        rc = -1;
    return rc;
}

// A ticket that a host got on somebody's behalf proves that person inside the host's own channel
// and nowhere else: a host may pass a user on for a move, not act as that user (A06).
static int refuse_delegated(const struct ha_peer *p, struct drv_err *err)
{
    const struct az_identity *who = &p->id.az;
    if (!who->delegated)
        return 0;
    drv_err(err, DRV_EDENIED, "%s got this ticket of %s: it counts inside a host channel only",
            who->n_transited ? who->transited[who->n_transited - 1] : "a service", who->name);
    drv_err_id(err, "A06");
    return drv_err_hint(err, "connect as the user itself: kinit, then drover");
}

// --- TCP log-on ---

struct logon {
    struct ha_link *link;
    struct ha *ha;
    const struct ha_server_ops *ops;
    struct ha_peer *peer;
    void *token, *out;
    size_t token_len, out_len;
    int rc;
    struct drv_err err;
};

static void logon_work(void *arg)
{
    struct logon *l = arg;
    l->rc =
        peer_step(l->ha, l->ops, &l->peer, l->token, l->token_len, &l->out, &l->out_len, &l->err);
    if (l->rc == 1 && refuse_delegated(l->peer, &l->err) < 0)
        l->rc = -1;
}

static void logon_free(struct logon *l)
{
    ha_link_unref(l->link);
    ha_peer_unref(l->peer);
    free(l->token);
    free(l->out);
    free(l);
}

static void logon_finish(struct ha_session *s, struct logon *l)
{
    s->state = HA_SES_TOKEN;
    // A failed step may come with a token that tells the peer's Kerberos why (KRB-ERROR): then that
    // is our last word, as the peer does not expect two.
    if (l->out && ha_session_send_bytes(s, l->out, l->out_len, &l->err) < 0)
        l->rc = -1;
    if (l->rc == 1) {
        s->peer = DRV_TAKE(l->peer);
        ha_session_opened(s);
    } else if (l->rc == 0) {
        s->logon = DRV_TAKE(l->peer);
    } else {
        // The context is established for the peer when only we refuse: then it expects wrapped
        // messages.
        if (l->peer && l->peer->gss && drv_gss_peer(l->peer->gss))
            s->peer = DRV_TAKE(l->peer);
        ha_session_refuse(s, &l->err, !l->out || s->peer);
        return;
    }
    ha_session_resume(s);
}

static void logon_done(void *arg)
{
    struct logon *l = arg;
    struct ha_session *s = l->link->session;
    if (s && s->state == HA_SES_LOGON) // else it took too long, or the peer has gone
        logon_finish(s, l);
    logon_free(l);
}

void ha_logon_token(struct ha_session *s, const uint8_t *token, size_t len)
{
    struct logon *l = drv_xcalloc(1, sizeof *l);
    l->link = ha_link_ref(s->link);
    l->ha = s->server->ha;
    l->ops = s->server->ops;
    l->peer = DRV_TAKE(s->logon);
    l->token = drv_xcalloc(1, len); // at most DRV_GSS_TOKEN_MAX: the decoder's limit
    memcpy(l->token, token, len);
    l->token_len = len;
    s->state = HA_SES_LOGON;
    bufferevent_disable(s->bev, EV_READ);
    if (drv_work(s->server->loop, logon_work, logon_done, l) < 0) {
        struct drv_err err = DRV_ERR_INIT;
        drv_err(&err, DRV_EBUSY, "this agent has too much to do; try again");
        logon_free(l);
        ha_session_refuse(s, &err, true);
    }
}

// --- contexts inside a session ---

static json_t *inner_answer(const struct ha_job *job, int rc, const void *out, size_t out_len)
{
    DRV_AUTO_JSON json_t *j = json_pack("{s:b}", "done", rc == 1);
    if (out) {
        DRV_AUTO_FREE char *text = drv_base64(out, out_len);
        json_object_set_new(j, "token", json_string(text));
    }
    if (rc == 1) {
        const struct ha_identity *id = &job->inner_done->id;
        json_object_set_new(j, "user", json_string(id->az.name));
        json_object_set_new(j, "role", json_string(az_role_name(id->role)));
    }
    return DRV_TAKE(j);
}

// auth.login and peer.user: {"token"} → {"token"?, "done", "user", "role"}
static json_t *run_inner(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_job *job = (struct ha_job *)ctx;
    const char *text;
    size_t len, out_len = 0;
    DRV_AUTO_FREE void *out = NULL;
    DRV_CLEANUP(peer_cleanup) struct ha_peer *peer = DRV_TAKE(job->inner_logon);
    if (ha_args(args, err, "{s:s}", "token", &text) < 0)
        return NULL;
    DRV_AUTO_FREE void *token = drv_base64_decode(text, DRV_GSS_TOKEN_MAX, &len, err);
    if (!token)
        return NULL;
    int rc = peer_step(ctx->ha, job->ops, &peer, token, len, &out, &out_len, err);
    if (rc < 0 || (rc == 1 && ctx->via == HA_VIA_UNIX && refuse_delegated(peer, err) < 0))
        return NULL;
    if (rc == 1)
        job->inner_done = DRV_TAKE(peer);
    else
        job->inner_logon = DRV_TAKE(peer);
    return inner_answer(job, rc, out, out_len);
}

static json_t *run_whoami(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    char who[512];
    const struct ha_peer *actor = ha_ctx_actor(ctx);
    if (ha_args(args, err, "{}") < 0)
        return NULL;
    ha_ctx_who(ctx, who, sizeof who);
    return json_pack("{s:s, s:s, s:s, s:b}", "user", actor ? actor->id.az.name : who, "role",
                     actor && actor->id.is_host ? "host" : az_role_name(ha_ctx_role(ctx)), "via",
                     ctx->via == HA_VIA_UNIX ? "unix" : "tcp", "kerberos", actor != NULL);
}

bool ha_logon_is_inner(const struct ha_call *row)
{
    return row->run == run_inner;
}

const struct ha_call ha_logon_calls[] = {
    {"auth.login", HA_ON_SOCKET, false, false, run_inner},
    {"auth.whoami", HA_ANY, false, true, run_whoami},
    {"peer.user", HA_HOST, false, false, run_inner},
    {0},
};
