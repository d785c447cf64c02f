// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls about moves: check, start, attach, list, cancel, set (docs/WIRE.md).
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "drover/log.h"
#include "drover/worker.h"
#include "move.h"
#include "request.h"
#include "tables.h"

enum { ATTACH_POLL_MS = 100, WAIT_MAX_S = 86400 };

// May the caller move this VM from here? Fills the decision's text.
static bool decide(struct ha_ctx *ctx, const struct ha_move_request *rq, enum az_action action,
                   struct az_decision *ret)
{
    static const struct az_permit unread; // what it says, the destination alone knows
    struct ha_settings s;
    struct ha_peer *actor = ha_ctx_actor(ctx);
    ha_settings_get(ctx->ha, &s);
    struct az_actor who = {.local = ctx->via == HA_VIA_UNIX,
                           .uid = ctx->uid,
                           .user = actor ? &actor->id.az : NULL,
                           .permit = rq->permit[0] ? &unread : NULL};
    struct az_policy policy = ha_policy(ctx->ha, &s);
    return az_decide(&policy, action, &who, ret);
}

static int authorise(struct ha_ctx *ctx, const struct ha_move_request *rq, enum az_action action,
                     char *decision, size_t size, struct drv_err *err)
{
    struct az_decision d;
    bool allowed = decide(ctx, rq, action, &d);
    snprintf(decision, size, "%s: %s", d.who, d.reason);
    return allowed ? 0 : az_decision_err(&d, err);
}

static json_t *run_check(struct ha_ctx *ctx, struct ha_vm *vm, const struct ha_move_request *rq,
                         struct drv_err *err);

static json_t *check(struct ha_ctx *ctx, const struct ha_move_request *rq, enum az_action action,
                     struct drv_err *err)
{
    char decision[1024];
    if (authorise(ctx, rq, action, decision, sizeof decision, err) < 0)
        return NULL;
    struct ha_vm *vm = ha_vm_lock(ctx->ha, rq->vm, "checking a move", err);
    if (!vm)
        return NULL;
    json_t *ret = run_check(ctx, vm, rq, err);
    ha_vm_unlock(vm);
    return ret;
}

static json_t *move_check(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_move_request rq;
    json_t *ret = NULL;
    if (ha_move_request_parse(args, &rq, err) == 0)
        ret = check(ctx, &rq, AZ_MOVE_CHECK, err);
    explicit_bzero(rq.permit, sizeof rq.permit);
    return ret;
}

static json_t *storage_check(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_move_request rq;
    return ha_storage_request_parse(args, &rq, err) < 0 ? NULL : check(ctx, &rq, AZ_VIEW, err);
}

static json_t *prediction(const struct mv_plan *plan, const struct mv_facts *src)
{
    uint64_t disk_bytes = 0;
    for (unsigned i = 0; i < plan->n_disks; i++)
        if (plan->disks[i].moves)
            disk_bytes += src->disks[i].allocated_bytes;
    uint64_t memory = mv_plan_is_storage(plan) ? 0 : plan->def.memory_kib * 1024;
    return json_pack("{s:I, s:I, s:I}", "memory_bytes", (json_int_t)memory, "disk_bytes",
                     (json_int_t)disk_bytes, "max_blackout_ms", (json_int_t)plan->max_blackout_ms);
}

// The destination's facts through a channel that proves the user; a failure on the way is a
// finding.
static bool ask_destination(struct ha_ctx *ctx, const struct mv_plan *plan, const char *permit,
                            struct mv_facts *ret, int64_t *ret_skew_ms, struct drv_findings *f,
                            struct drv_err *err)
{
    struct drv_client *c = ha_channel_open(ctx->ha, plan->to, ha_ctx_actor(ctx), permit, err);
    DRV_AUTO_JSON json_t *reply = NULL;
    int64_t before = drv_now_ms();
    if (c)
        reply = drv_client_call(c, "peer.facts", json_pack("{s:o}", "plan", mv_plan_to_json(plan)),
                                60000, err);
    int64_t took = drv_now_ms() - before;
    drv_client_free(c);
    if (reply && mv_facts_from_json(reply, ret, err) == 0) {
        *ret_skew_ms = ha_skew_ms(ret, took);
        return true;
    }
    if (drv_finding_err(f, NULL, plan->to, err))
        drv_err_clear(err);
    return false;
}

static enum az_action action_of(const struct ha_move_request *rq)
{
    return rq->storage_move ? AZ_OPERATE : AZ_MOVE_OUT;
}

// Whoever may only look may check, and reads first that somebody else has to move. Whether the host
// sends is a fact of its own.
static bool may_move(struct ha_ctx *ctx, const struct ha_move_request *rq, struct drv_findings *f)
{
    struct az_decision d;
    if (decide(ctx, rq, action_of(rq), &d))
        return true;
    for (unsigned i = 0; i < d.n_refusals; i++)
        if (d.refusals[i].id[0] == 'A') {
            drv_finding_add(f, d.refusals[i].id, ctx->ha->fqdn, "%s", d.refusals[i].reason);
            drv_finding_fix(f, "%s", d.refusals[i].fix);
        }
    return f->n == 0;
}

static json_t *run_check(struct ha_ctx *ctx, struct ha_vm *vm, const struct ha_move_request *rq,
                         struct drv_err *err)
{
    struct mv_plan *plan = drv_xcalloc(1, sizeof *plan);
    struct mv_facts *facts = drv_xcalloc(2, sizeof *facts);
    DRV_AUTO_FREE void *owned_plan = plan;
    DRV_AUTO_FREE void *owned_facts = facts;
    struct drv_findings f = {0};
    struct ha_peer *actor = ha_ctx_actor(ctx);
    int64_t skew_ms = 0;
    json_t *ret = NULL;
    // Of a permit's user, and of one who may not move, rights on the store do not matter.
    bool at_store = may_move(ctx, rq, &f) && !rq->permit[0];
    if (ha_move_plan(vm, rq, actor ? drv_gss_peer(actor->gss) : "", plan, err) < 0 ||
        ha_facts(ctx->ha, plan, vm, at_store ? actor : NULL, &facts[0], err) < 0) {
        drv_findings_done(&f);
        return NULL;
    }
    facts[0].by_permit = rq->permit[0];
    bool storage = rq->storage_move;
    bool both = storage ? ha_facts(ctx->ha, plan, NULL, NULL, &facts[1], err) == 0
                        : ask_destination(ctx, plan, rq->permit, &facts[1], &skew_ms, &f, err);
    if (both || err->code == DRV_OK) {
        char addr[64];
        struct drv_err why = DRV_ERR_INIT;
        if (both && !storage && mv_common_network(&facts[0], &facts[1], addr) == 0 &&
            ha_move_reach(ctx->ha, addr, &why) < 0)
            DRV_COPY(facts[0].unreachable, why.msg);
        mv_judge(plan, &facts[0], both ? &facts[1] : NULL, skew_ms, &f);
        ret = json_pack("{s:o, s:o}", "findings", drv_findings_to_json(&f), "prediction",
                        prediction(plan, &facts[0]));
    }
    drv_findings_done(&f);
    return ret;
}

static json_t *start_locked(struct ha_ctx *ctx, struct ha_vm *vm, const struct ha_move_request *rq,
                            const char *decision, struct drv_err *err)
{
    struct mv_plan *plan = drv_xcalloc(1, sizeof *plan);
    DRV_AUTO_FREE void *owned = plan;
    struct ha_peer *actor = ha_ctx_actor(ctx);
    char local[32];
    snprintf(local, sizeof local, "uid %u", (unsigned)ctx->uid);
    if (!actor && !rq->storage_move) {
        drv_err(err, DRV_EDENIED, "a move to another host needs a Kerberos ticket");
        drv_err_id(err, "K01");
        drv_err_hint(err, "kinit USER");
        return NULL;
    }
    if (ha_move_plan(vm, rq, actor ? drv_gss_peer(actor->gss) : local, plan, err) < 0)
        return NULL;
    struct ha_move *m = ha_move_new(ctx->ha, plan, true);
    DRV_COPY(m->decision, decision);
    m->user = actor ? ha_peer_ref(actor) : NULL;
    DRV_COPY(m->permit, rq->permit);
    m->vm = vm;
    if (ha_move_add(m, NULL, err) < 0)
        return NULL;
    json_t *ret = json_pack("{s:s}", "move", m->plan.move);
    if (drv_work(ctx->ha->loop, ha_move_main, NULL, m) == 0)
        return ret;
    json_decref(ret);
    m->vm = NULL;
    ha_move_over(m, NULL);
    drv_err(err, DRV_EBUSY, "the agent has too much to do just now");
    return NULL;
}

static json_t *start(struct ha_ctx *ctx, const struct ha_move_request *rq, const char *call,
                     struct drv_err *err)
{
    char decision[1024];
    if (authorise(ctx, rq, action_of(rq), decision, sizeof decision, err) < 0) {
        ha_audit(ctx, call, rq->vm, false, decision, NULL);
        return NULL;
    }
    struct ha_vm *vm = ha_vm_lock(ctx->ha, rq->vm, "moving", err);
    if (!vm)
        return NULL;
    json_t *ret = start_locked(ctx, vm, rq, decision, err);
    if (!ret)
        ha_vm_unlock(vm);
    ha_audit(ctx, call, rq->vm, ret != NULL, ret ? decision : err->msg,
             json_string_value(json_object_get(ret, "move")));
    return ret;
}

static json_t *move_start(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_move_request rq;
    json_t *ret = NULL;
    if (ha_move_request_parse(args, &rq, err) == 0)
        ret = start(ctx, &rq, "move.start", err);
    explicit_bzero(rq.permit, sizeof rq.permit);
    return ret;
}

static json_t *storage_start(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_move_request rq;
    return ha_storage_request_parse(args, &rq, err) < 0 ? NULL
                                                        : start(ctx, &rq, "move.storage", err);
}

// --- attach ---

struct look {
    struct ha_move *m;
    unsigned seq;
    json_t *progress, *result; // copies
    bool over;
};

static void look_on_loop(void *arg)
{
    struct look *l = arg;
    l->over = l->m->over;
    if (l->m->progress_seq != l->seq)
        l->progress = json_deep_copy(l->m->progress);
    l->seq = l->m->progress_seq;
    if (l->over)
        l->result = json_deep_copy(l->m->result);
}

// What the journal says of a move that is not in memory any more.
static json_t *from_journal(struct ha *ha, const char *id, struct drv_err *err)
{
    struct db_move row;
    if (db_move_get(ha->db, id, &row, err) < 0)
        return NULL;
    json_t *ret = row.result ? json_loads(row.result, 0, NULL) : NULL;
    if (!ret)
        ret = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "schema", 1, "event", "result",
                        "move", row.id, "vm", row.vm_name, "from", row.from_host, "to", row.to_host,
                        "state", db_move_state_name(row.state));
    db_move_done(&row);
    return ret;
}

static json_t *move_attach(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id;
    if (ha_args(args, err, "{s:s}", "move", &id) < 0)
        return NULL;
    struct ha_move *m = ha_move_get(ctx->ha, id);
    if (!m)
        return from_journal(ctx->ha, id, err);
    struct look l = {.m = m};
    while (!l.over && !ha_ctx_gone(ctx)) {
        drv_loop_call(ctx->ha->loop, look_on_loop, &l);
        if (l.progress)
            ha_emit(ctx, DRV_TAKE(l.progress));
        if (!l.over)
            drv_sleep_ms(ATTACH_POLL_MS);
    }
    ha_move_put(m);
    if (json_is_object(l.result))
        return l.result;
    json_decref(l.result);
    return l.over ? from_journal(ctx->ha, id, err) : json_object();
}

// --- list, cancel, set ---

struct list_call {
    struct ha *ha;
    json_t *list;
};

// Moves that have no row in the journal yet: they are still in `check`.
static void list_young(void *arg)
{
    struct list_call *c = arg;
    for (struct ha_move *m = c->ha->moves; m; m = m->next)
        if (!m->over && !m->journalled)
            json_array_append_new(
                c->list,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "move",
                          m->plan.move, "vm", m->plan.def.name, "from", m->plan.from, "to",
                          m->plan.to, "role", m->source ? "source" : "destination", "phase",
                          "check", "state", "active", "user", m->plan.user, "started",
                          (json_int_t)m->begun_ms, "updated", (json_int_t)m->begun_ms));
}

static json_t *move_list(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    int active = 0;
    struct db_moves rows = {0};
    if (ha_args(args, err, "{s?b}", "active", &active) < 0 ||
        db_move_list(ctx->ha->db, active, 100, &rows, err) < 0)
        return NULL;
    struct list_call c = {.ha = ctx->ha, .list = json_array()};
    drv_loop_call(ctx->ha->loop, list_young, &c);
    for (unsigned i = 0; i < rows.n; i++) {
        const struct db_move *r = &rows.list[i];
        json_array_append_new(c.list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}",
                                        "move", r->id, "vm", r->vm_name, "from", r->from_host, "to",
                                        r->to_host, "role", db_role_name(r->role), "phase",
                                        r->phase, "state", db_move_state_name(r->state), "user",
                                        r->user, "started", (json_int_t)r->created_at_ms, "updated",
                                        (json_int_t)r->updated_at_ms));
    }
    db_moves_done(&rows);
    return c.list;
}

static struct ha_move *source_move(struct ha *ha, const char *id, struct drv_err *err)
{
    struct ha_move *m = ha_move_get(ha, id);
    if (m && m->source && !m->over)
        return m;
    if (m && !m->source) {
        drv_err(err, DRV_ESTATE, "move %s is steered by its source, %s", id, m->plan.from);
        drv_err_hint(err, "drover -H %s …", m->plan.from);
    } else {
        drv_err(err, DRV_ENOTFOUND, "there is no move %.40s under way on %s", id, ha->fqdn);
    }
    ha_move_put(m);
    return NULL;
}

static json_t *move_cancel(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id;
    if (ha_args(args, err, "{s:s}", "move", &id) < 0)
        return NULL;
    struct ha_move *m = source_move(ctx->ha, id, err);
    int rc = m ? mv_job_cancel(m->job, err) : -1;
    ha_move_put(m);
    ha_audit(ctx, "move.cancel", id, rc == 0, rc == 0 ? "" : err->msg, id);
    return rc == 0 ? json_pack("{s:s}", "state", "cancelling") : NULL;
}

static json_t *move_set(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *id;
    json_int_t blackout = 0, bandwidth = 0, throttle = 0, wait_s = 0;
    if (ha_args(args, err, "{s:s, s?I, s?I, s?I, s?I}", "move", &id, "max_blackout_ms", &blackout,
                "bandwidth_bps", &bandwidth, "throttle_percent", &throttle, "wait_s", &wait_s) < 0)
        return NULL;
    if (throttle < 0 || throttle > MV_THROTTLE_MAX) {
        drv_err(err, DRV_EINVAL, "throttle_percent is 1 to %d", MV_THROTTLE_MAX);
        return NULL;
    }
    if (wait_s < 0 || wait_s > WAIT_MAX_S) {
        drv_err(err, DRV_EINVAL, "wait_s is 1 to %d", WAIT_MAX_S);
        return NULL;
    }
    if ((blackout && (blackout < 50 || blackout > 600000)) || bandwidth < 0) {
        drv_err(err, DRV_EINVAL, "max_blackout_ms is 50 to 600000, bandwidth_bps at least 0");
        return NULL;
    }
    struct ha_move *m = source_move(ctx->ha, id, err);
    if (!m)
        return NULL;
    if (blackout || bandwidth)
        mv_job_set_limits(m->job, (uint32_t)blackout, (uint64_t)bandwidth);
    if (throttle)
        mv_job_throttle(m->job, (unsigned)throttle);
    if (wait_s)
        mv_job_wait(m->job, (uint32_t)wait_s);
    ha_move_put(m);
    ha_audit(ctx, "move.set", id, true, "", id);
    return json_object();
}

const struct ha_call ha_calls_move[] = {
    {.name = "move.check", .who = HA_VIEWER, .needs_kerberos = true, .run = move_check},
    {.name = "move.start", .who = HA_OPERATOR, .needs_kerberos = true, .run = move_start},
    {.name = "move.storage_check", .who = HA_VIEWER, .run = storage_check},
    {.name = "move.storage", .who = HA_OPERATOR, .run = storage_start},
    {.name = "move.attach", .who = HA_VIEWER, .run = move_attach},
    {.name = "move.list", .who = HA_VIEWER, .run = move_list},
    {.name = "move.cancel", .who = HA_OPERATOR, .run = move_cancel},
    {.name = "move.set", .who = HA_OPERATOR, .run = move_set},
    {0},
};
