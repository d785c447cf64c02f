// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls between agents, on a host channel: the destination's side of a move (docs/WIRE.md).
//
// `peer.facts` and the phase `reserve` need the user proven inside the channel, by delegation or by
// a permit; everything after reserve is for moves that both journals know and needs the host alone.
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "drover/log.h"
#include "move.h"
#include "permit.h"
#include "request.h"
#include "tables.h"

// Is this the host that the plan says, and may its user do this here?
static int authorise(struct ha_ctx *ctx, const struct mv_plan *plan, enum az_action action,
                     char *decision, size_t size, struct drv_err *err)
{
    struct ha_settings s;
    struct az_decision d;
    struct az_permit permit;
    // The reservation spends it, however it ends.
    int by_permit = ha_permit_use(ctx, action == AZ_MOVE_IN, &permit, err);
    if (by_permit < 0)
        return drv_copy(decision, size, err->msg), -1;
    if (strcmp(plan->from, ctx->peer->id.host) != 0 || strcmp(plan->to, ctx->ha->fqdn) != 0) {
        snprintf(decision, size, "a plan from %.100s to %.100s came over %.100s's channel",
                 plan->from, plan->to, ctx->peer->id.host);
        drv_err(err, DRV_EDENIED, "%s", decision);
        return drv_err_id(err, "R05");
    }
    ha_settings_get(ctx->ha, &s);
    struct az_actor who = {.user = ctx->inner ? &ctx->inner->id.az : NULL,
                           .host = &ctx->peer->id.az,
                           .host_fqdn = ctx->peer->id.host,
                           .permit = by_permit ? &permit : NULL,
                           .vm_uuid = plan->def.uuid,
                           .vm_name = plan->def.name};
    struct az_policy policy = ha_policy(ctx->ha, &s);
    bool allowed = az_decide(&policy, action, &who, &d);
    snprintf(decision, size, "%s: %s", d.who, d.reason);
    if (!allowed && by_permit)
        ha_permit_burn(ctx);
    return allowed ? 0 : az_decision_err(&d, err);
}

static json_t *peer_facts(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    json_t *plan_json;
    char decision[1024];
    struct mv_plan *plan = drv_xcalloc(1, sizeof *plan);
    struct mv_facts *facts = drv_xcalloc(1, sizeof *facts);
    DRV_AUTO_FREE void *owned_plan = plan;
    DRV_AUTO_FREE void *owned_facts = facts;
    if (ha_args(args, err, "{s:o}", "plan", &plan_json) < 0 ||
        mv_plan_from_json(plan_json, plan, err) < 0 ||
        authorise(ctx, plan, AZ_PEER_CHECK, decision, sizeof decision, err) < 0 ||
        ha_facts(ctx->ha, plan, NULL, NULL, facts, err) < 0)
        return NULL;
    return mv_facts_to_json(facts);
}

// Preflight says so too, but whether this host takes clear streams is for this host to decide.
static int check_encryption(struct ha_ctx *ctx, const struct mv_plan *plan, char *decision,
                            size_t size, struct drv_err *err)
{
    struct ha_settings s;
    ha_settings_get(ctx->ha, &s);
    if (plan->encrypt || !s.encrypt)
        return 0;
    snprintf(decision, size, "%s takes encrypted streams only", ctx->ha->fqdn);
    drv_err(err, DRV_EDENIED, "%s", decision);
    drv_err_id(err, "N05");
    return drv_err_hint(err, "set encrypt=on on %.100s", plan->from);
}

// The destination's move begins: authorised once, here.
static struct ha_move *begin(struct ha_ctx *ctx, const json_t *args, const char *id,
                             struct drv_err *err)
{
    char decision[1024] = "";
    struct mv_plan *plan = drv_xcalloc(1, sizeof *plan);
    DRV_AUTO_FREE void *owned = plan;
    if (mv_plan_from_json(json_object_get(args, "plan"), plan, err) < 0)
        return NULL;
    if (strcmp(plan->move, id) != 0) {
        drv_err(err, DRV_EINVAL, "the plan is of another move");
        return NULL;
    }
    int rc = authorise(ctx, plan, AZ_MOVE_IN, decision, sizeof decision, err);
    if (rc == 0)
        rc = check_encryption(ctx, plan, decision, sizeof decision, err);
    ha_audit(ctx, "peer.reserve", plan->def.name, rc == 0, decision, id);
    if (rc < 0)
        return NULL;
    struct ha_move *m = ha_move_new(ctx->ha, plan, false);
    DRV_COPY(m->decision, decision);
    m->channel_peer = ha_peer_ref(ctx->peer);
    if (ha_move_keys(m, ctx->peer->gss, err) < 0) {
        ha_move_free(m);
        return NULL;
    }
    return ha_move_add(m, ctx, err) < 0 ? NULL : ha_move_get(ctx->ha, id);
}

// A move that this channel's host began here. *err when there is none, or it is another host's.
static struct ha_move *known_move(struct ha_ctx *ctx, const char *id, struct drv_err *err)
{
    struct ha_move *m = ha_move_get(ctx->ha, id);
    if (m && !m->source && !strcmp(m->plan.from, ctx->peer->id.host))
        return m;
    ha_move_put(m);
    drv_err(err, DRV_ENOTFOUND, "no move %.40s from %s is under way on %s", id, ctx->peer->id.host,
            ctx->ha->fqdn);
    return NULL;
}

// When the last step has run, or the first one failed, the move ends here.
static void maybe_end(struct ha_move *m, const char *phase, bool failed)
{
    struct drv_err ignored = DRV_ERR_INIT;
    if (failed && !strcmp(phase, "take") && !mv_job_taken(m->job)) {
        mv_job_abandon(m->job, &ignored); // whatever of it still stands
        ha_move_end_destination(m, DB_MOVE_FAILED);
    } else if (failed && !m->journalled)
        ha_move_end_destination(m, DB_MOVE_REFUSED);
    else if (!failed && !strcmp(phase, "finish"))
        ha_move_end_destination(m, DB_MOVE_DONE);
}

static json_t *peer_enter(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id, *phase, *step;
    json_t *inner;
    if (ha_args(args, err, "{s:s, s:s, s:s, s:o}", "move", &id, "phase", &phase, "step", &step,
                "args", &inner) < 0)
        return NULL;
    if (!drv_uuid_valid(id)) {
        drv_err(err, DRV_EINVAL, "\"move\" is not an id");
        return NULL;
    }
    if (!strcmp(phase, "check"))
        return peer_facts(ctx, inner, err);
    struct ha_move *m =
        !strcmp(phase, "reserve") ? begin(ctx, inner, id, err) : known_move(ctx, id, err);
    if (!m)
        return NULL;
    json_t *ret = NULL;
    pthread_mutex_lock(&m->step);
    if (m->over)
        drv_err(err, DRV_ESTATE, "the move has ended on %s", ctx->ha->fqdn);
    else {
        ret = mv_job_enter(m->job, phase, step, inner, err);
        maybe_end(m, phase, ret == NULL);
    }
    pthread_mutex_unlock(&m->step);
    ha_move_put(m);
    return ret;
}

static json_t *peer_undo(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id, *phase;
    if (ha_args(args, err, "{s:s, s:s}", "move", &id, "phase", &phase) < 0)
        return NULL;
    struct ha_move *m = known_move(ctx, id, err);
    if (!m)
        return NULL;
    int rc = 0;
    pthread_mutex_lock(&m->step);
    if (!m->over) {
        struct drv_err ignored = DRV_ERR_INIT;
        // The refusal is durable before the first thing is undone (rule 6).
        rc = db_move_refuse(ctx->ha->db, id, NULL, m->journalled ? err : &ignored);
        if (rc == 0 || !m->journalled)
            rc = mv_job_undo(m->job, phase, err);
        if (!strcmp(phase, "reserve")) // the last one
            ha_move_end_destination(m, DB_MOVE_REFUSED);
    }
    pthread_mutex_unlock(&m->step);
    ha_move_put(m);
    return rc < 0 ? NULL : json_object();
}

// The destination's word on a move, from its journal: durable, so it is never taken back. A move
// that it has no row of is refused from now on.
static const char *word_of(struct ha *ha, const char *id, const char *from, struct drv_err *err)
{
    struct db_move row;
    struct drv_err why = DRV_ERR_INIT;
    struct ha_move *m = ha_move_get(ha, id);
    bool taken = m && mv_job_taken(m->job);
    ha_move_put(m);
    if (taken)
        return "taken";
    if (db_move_get(ha->db, id, &row, &why) < 0) {
        if (why.code != DRV_ENOTFOUND) {
            *err = why;
            return NULL;
        }
        return "unknown";
    }
    const char *word = row.state == DB_MOVE_DONE      ? "taken"
                       : row.state == DB_MOVE_REFUSED ? "refused"
                       : row.state == DB_MOVE_FAILED  ? "refused" // it ended without taking
                       : row.taking                   ? "taking"
                                                      : "open";
    if (strcmp(row.from_host, from) != 0)
        word = "unknown";
    db_move_done(&row);
    return word;
}

static json_t *peer_status(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id;
    if (ha_args(args, err, "{s:s}", "move", &id) < 0)
        return NULL;
    const char *word = word_of(ctx->ha, id, ctx->peer->id.host, err);
    return word ? json_pack("{s:s}", "state", word) : NULL;
}

const struct ha_call ha_calls_peer[] = {
    {.name = "peer.facts", .who = HA_HOST, .needs_kerberos = true, .run = peer_facts},
    {.name = "peer.enter", .who = HA_HOST, .needs_kerberos = true, .run = peer_enter},
    {.name = "peer.undo", .who = HA_HOST, .needs_kerberos = true, .run = peer_undo},
    {.name = "peer.status", .who = HA_HOST, .needs_kerberos = true, .run = peer_status},
    {0},
};
