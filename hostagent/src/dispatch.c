// SPDX-License-Identifier: GPL-3.0-or-later
// Requests: finding the row, deciding who may, running the handler, answers and events. What the
// tables do not name is refused; what they name is refused unless the caller has what the row
// demands.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/log.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "drover/worker.h"
#include "session.h"

// --- who calls ---

struct ha_peer *ha_ctx_actor(const struct ha_ctx *ctx)
{
    return ctx->via == HA_VIA_UNIX ? ctx->inner : ctx->peer;
}

// root, and the user that the agent runs as (a test's), are this machine's administrators anyway.
static bool is_local_admin(const struct ha_ctx *ctx)
{
    return ctx->via == HA_VIA_UNIX && (ctx->uid == 0 || ctx->uid == geteuid());
}

enum az_role ha_ctx_role(const struct ha_ctx *ctx)
{
    const struct ha_peer *actor = ha_ctx_actor(ctx);
    if (actor)
        return actor->id.is_host ? AZ_NONE : actor->id.role;
    return is_local_admin(ctx) ? AZ_ADMIN : AZ_NONE;
}

void ha_ctx_who(const struct ha_ctx *ctx, char *ret, size_t size)
{
    const struct ha_peer *actor = ha_ctx_actor(ctx);
    if (!actor && ctx->uid == 0)
        snprintf(ret, size, "root");
    else if (!actor)
        snprintf(ret, size, "uid %u", (unsigned)ctx->uid);
    else if (ctx->inner && ctx->inner != actor)
        snprintf(ret, size, "%s for %s", actor->id.az.name, ctx->inner->id.az.name);
    else
        snprintf(ret, size, "%s", actor->id.az.name);
}

static bool may(const struct ha_call *row, const struct ha_ctx *ctx)
{
    enum az_role role = ha_ctx_role(ctx);
    return (row->who & HA_ANY) || (row->who & HA_VIEWER && role >= AZ_VIEWER) ||
           (row->who & HA_OPERATOR && role >= AZ_OPERATOR) ||
           (row->who & HA_ADMIN && role >= AZ_ADMIN) ||
           (row->who & HA_HOST && ctx->peer && ctx->peer->id.is_host) ||
           (row->who & HA_ON_SOCKET && ctx->via == HA_VIA_UNIX);
}

static enum az_role needed_role(unsigned who)
{
    return who & HA_VIEWER ? AZ_VIEWER : who & HA_OPERATOR ? AZ_OPERATOR : AZ_ADMIN;
}

static int refusal(const struct ha_server_ops *ops, const struct ha_call *row,
                   const struct ha_ctx *ctx, struct drv_err *err)
{
    char who[512];
    ha_ctx_who(ctx, who, sizeof who);
    if (row->who & HA_ON_SOCKET)
        return drv_err(err, DRV_EDENIED, "%s is for the local socket", row->name);
    if (!(row->who & (HA_VIEWER | HA_OPERATOR | HA_ADMIN))) {
        drv_err(err, DRV_EDENIED, "%s is for other hosts, and %s is not in the hosts' group",
                row->name, who);
        drv_err_id(err, "A04");
        return drv_err_hint(err,
                            "add the host's account to the group that \"roles\" names as hosts, "
                            "then restart droverd there");
    }
    if (!ha_ctx_actor(ctx)) {
        drv_err(err, DRV_EDENIED, "%s needs the role %s; the local user %s has none", row->name,
                az_role_name(needed_role(row->who)), who);
        drv_err_id(err, "K01");
        return drv_err_hint(err, "log on: kinit USER; or be root");
    }
    enum az_role need = needed_role(row->who);
    bool none = ha_ctx_role(ctx) == AZ_NONE;
    drv_err(err, DRV_EDENIED, "%s needs the role %s; %s has %s", row->name, az_role_name(need), who,
            none ? "none" : az_role_name(ha_ctx_role(ctx)));
    drv_err_id(err, none ? "A01" : "A02");
    if (ops->role_advice)
        ops->role_advice(ctx->ha, need, ha_ctx_actor(ctx)->id.az.account, err);
    return -1;
}

static int authorise(const struct ha_server_ops *ops, const struct ha_call *row,
                     const struct ha_ctx *ctx, struct drv_err *err)
{
    if (!may(row, ctx))
        return refusal(ops, row, ctx, err);
    if (row->needs_kerberos && !ha_ctx_actor(ctx)) {
        drv_err(err, DRV_EDENIED, "%s needs a Kerberos user, also from root", row->name);
        drv_err_id(err, "K01");
        return drv_err_hint(err, "get a ticket: kinit USER");
    }
    return 0;
}

// --- answers and events ---

static void job_free(struct ha_job *job)
{
    ha_request_done(&job->request);
    ha_link_unref(job->link);
    ha_peer_unref(job->ctx.peer);
    ha_peer_unref(job->ctx.inner);
    ha_peer_unref(job->inner_logon);
    ha_peer_unref(job->inner_done);
    json_decref(job->result);
    free(job);
}

static void send_error(struct ha_session *s, json_int_t id, const struct drv_err *error)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *m = json_pack("{s:I, s:o}", "id", id, "error", drv_wire_error(error));
    if (ha_session_send(s, m, &err) < 0)
        ha_session_refuse(s, &err, true);
}

static void send_answer(struct ha_session *s, struct ha_job *job)
{
    if (!job->result) {
        drv_err(&job->err, DRV_EINTERNAL, "%s failed and did not say why", job->row->name);
        send_error(s, job->request.id, &job->err);
        return;
    }
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *m = json_pack("{s:I, s:O}", "id", job->request.id, "return", job->result);
    if (ha_session_send(s, m, &err) < 0)
        send_error(s, job->request.id, &err);
}

// Back on the loop thread, after all events that the handler emitted.
static void job_done(void *arg)
{
    struct ha_job *job = arg;
    struct ha_session *s = job->link->session;
    if (s) {
        s->calls--;
        if (job->inner_logon || job->inner_done) {
            ha_peer_unref(s->inner_logon);
            s->inner_logon = DRV_TAKE(job->inner_logon);
        }
        if (job->inner_done) {
            ha_peer_unref(s->inner);
            s->inner = DRV_TAKE(job->inner_done);
            drv_log(LOG_INFO, "session.user", F_STR("peer", s->name),
                    F_STR("user", s->inner->id.az.name));
        }
        send_answer(s, job);
        if (job->stream && job->result)
            ha_session_stream(s, DRV_TAKE(job->stream));
    }
    if (job->stream) // nobody is there to have it
        job->stream->ops->closed(job->stream);
    job_free(job);
}

static void job_work(void *arg)
{
    struct ha_job *job = arg;
    job->result = job->row->run(&job->ctx, job->request.args, &job->err);
}

struct emission {
    struct ha_link *link;
    json_t *event;
};

static void emit_now(void *arg)
{
    struct emission *e = arg;
    struct ha_session *s = e->link->session;
    struct drv_err err = DRV_ERR_INIT;
    if (s && ha_session_pending(s) > HA_OUTPUT_EVENTS)
        s->dropped_events++;
    else if (s && ha_session_send(s, e->event, &err) < 0)
        drv_log_err(LOG_WARNING, "session.event", &err);
    ha_link_unref(e->link);
    json_decref(e->event);
    free(e);
}

void ha_emit(struct ha_ctx *ctx, json_t *event)
{
    struct ha_job *job = (struct ha_job *)ctx;
    if (!event || ha_ctx_gone(ctx)) {
        json_decref(event);
        return;
    }
    json_object_set_new(event, "id", json_integer(job->request.id));
    struct emission *e = drv_xcalloc(1, sizeof *e);
    e->link = ha_link_ref(job->link);
    e->event = event;
    drv_loop_post(job->link->loop, emit_now, e);
}

void ha_ctx_stream(struct ha_ctx *ctx, struct ha_stream *st)
{
    ((struct ha_job *)ctx)->stream = st;
}

bool ha_ctx_gone(const struct ha_ctx *ctx)
{
    const struct ha_job *job = (const struct ha_job *)ctx;
    return atomic_load(&job->link->gone);
}

// --- requests ---

static const struct ha_call *find_row(const struct ha_call *table, const char *name)
{
    for (const struct ha_call *row = table; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

// Refuse one call; the session goes on.
static int refuse_call(struct ha_session *s, struct ha_job *job, struct drv_err *error)
{
    char who[512];
    ha_ctx_who(&job->ctx, who, sizeof who);
    drv_log(LOG_NOTICE, "call.refused", F_STR("peer", s->name), F_STR("user", who),
            F_STR("call", job->request.call), F_STR("id", error->id), F_STR("msg", error->msg));
    if (s->server->ops->refused)
        s->server->ops->refused(s->server->ha, who, job->request.call, error);
    send_error(s, job->request.id, error);
    job_free(job);
    return 0;
}

static int start_job(struct ha_session *s, struct ha_job *job)
{
    struct drv_err error = DRV_ERR_INIT;
    unsigned limit = s->peer && s->peer->id.is_host ? HA_MAX_HOST_CALLS : HA_MAX_CALLS;
    if (s->calls >= limit) {
        drv_err(&error, DRV_EBUSY, "%u calls of this connection are not answered yet", s->calls);
        return refuse_call(s, job, &error);
    }
    s->calls++;
    if (job->row->on_loop) {
        job_work(job);
        job_done(job);
        return 0;
    }
    if (ha_logon_is_inner(job->row))
        job->inner_logon = DRV_TAKE(s->inner_logon);
    if (drv_work(s->server->loop, job_work, job_done, job) == 0)
        return 0;
    s->calls--;
    drv_err(&error, DRV_EBUSY, "this agent has too much to do; try again");
    return refuse_call(s, job, &error);
}

int ha_dispatch(struct ha_session *s, const void *text, size_t len, struct drv_err *err)
{
    struct ha_job *job = drv_xcalloc(1, sizeof *job);
    struct drv_err error = DRV_ERR_INIT;
    job->link = ha_link_ref(s->link);
    job->ops = s->server->ops;
    if (ha_request_parse(text, len, &job->request, err) < 0) {
        job_free(job);
        return -1;
    }
    job->ctx = (struct ha_ctx){.ha = s->server->ha,
                               .call = job->request.call,
                               .via = s->via,
                               .uid = s->uid,
                               .peer = ha_peer_ref(s->peer),
                               .inner = ha_peer_ref(s->inner)};
    job->row = find_row(ha_logon_calls, job->request.call);
    if (!job->row)
        job->row = find_row(s->server->calls, job->request.call);
    if (!job->row) {
        drv_err(&error, DRV_ENOTFOUND, "unknown call \"%s\"", job->request.call);
        return refuse_call(s, job, &error);
    }
    if (authorise(s->server->ops, job->row, &job->ctx, &error) < 0)
        return refuse_call(s, job, &error);
    return start_job(s, job);
}
