// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls about permits (docs/WIRE.md, section 8): a user gets one here, a host shows it here.
#include <string.h>

#include "agent.h"
#include "audit.h"
#include "permit.h"
#include "tables.h"

// --- a user gets one ---

struct issue_call {
    struct ha *ha;
    struct az_permit says;
    struct ha_peer *user;
    unsigned lifetime_s;
    char token[DRV_PERMIT_LEN];
    struct drv_err *err;
    int rc;
};

static int parse_issue(const json_t *args, struct issue_call *ret, struct drv_err *err)
{
    const char *uuid, *vm, *from, *purpose;
    json_int_t lifetime_s = HA_PERMIT_LIFETIME_S;
    if (ha_args(args, err, "{s:s, s:s, s:s, s:s, s?I}", "uuid", &uuid, "vm", &vm, "from", &from,
                "purpose", &purpose, "lifetime_s", &lifetime_s) < 0)
        return -1;
    if (!drv_uuid_valid(uuid) || !drv_name_valid(vm, SS_NAME_MAX - 1))
        return drv_err(err, DRV_EINVAL, "\"uuid\" and \"vm\" must be those of a VM");
    if (!drv_name_valid(from, 253) || !strchr(from, '.'))
        return drv_err(err, DRV_EINVAL, "\"from\" must be the full name of the VM's host");
    ret->says.for_move = !strcmp(purpose, "move");
    if (!ret->says.for_move && strcmp(purpose, "check") != 0)
        return drv_err(err, DRV_EINVAL, "\"purpose\" must be \"check\" or \"move\"");
    if (lifetime_s < 1 || lifetime_s > HA_PERMIT_LIFETIME_MAX_S)
        return drv_err(err, DRV_EINVAL, "\"lifetime_s\" must be 1 to %d", HA_PERMIT_LIFETIME_MAX_S);
    DRV_COPY(ret->says.vm_uuid, uuid);
    DRV_COPY(ret->says.vm_name, vm);
    DRV_COPY(ret->says.from, from);
    ret->lifetime_s = (unsigned)lifetime_s;
    return 0;
}

// Decided here, on the user's own context: what the permit is shown for later goes by it.
static int may_have(const struct ha_ctx *ctx, const struct az_permit *says, char *decision,
                    size_t size, struct drv_err *err)
{
    struct ha_settings s;
    struct az_decision d;
    const struct ha_peer *who = ha_ctx_actor(ctx);
    ha_settings_get(ctx->ha, &s);
    struct az_policy policy = ha_policy(ctx->ha, &s);
    struct az_actor actor = {.local = ctx->via == HA_VIA_UNIX,
                             .uid = ctx->uid,
                             .user = &who->id.az,
                             .host = who->id.is_host ? &who->id.az : NULL};
    bool allowed =
        az_decide(&policy, says->for_move ? AZ_PERMIT_MOVE : AZ_PERMIT_CHECK, &actor, &d);
    snprintf(decision, size, "%s: %s; shown by %s", d.who, d.reason, says->from);
    return allowed ? 0 : az_decision_err(&d, err);
}

static void issue_on_loop(void *arg)
{
    struct issue_call *c = arg;
    c->rc = ha_permits_issue(c->ha->permits, &c->says, c->user, c->lifetime_s, c->token, c->err);
}

static json_t *permit_issue(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    char decision[1024];
    struct issue_call c = {.ha = ctx->ha, .user = ha_ctx_actor(ctx), .err = err};
    if (parse_issue(args, &c, err) < 0)
        return NULL;
    int rc = may_have(ctx, &c.says, decision, sizeof decision, err);
    if (rc == 0) {
        drv_loop_call(ctx->ha->loop, issue_on_loop, &c);
        if ((rc = c.rc) < 0)
            DRV_COPY(decision, err->msg);
    }
    ha_audit(ctx, ctx->call, c.says.vm_name, rc == 0, decision, NULL);
    json_t *ret = rc < 0 ? NULL
                         : json_pack("{s:s, s:i, s:s}", "permit", c.token, "expires_s",
                                     (int)c.lifetime_s, "host", ctx->ha->fqdn);
    explicit_bzero(c.token, sizeof c.token);
    return ret;
}

// --- a host shows it ---

struct channel_call {
    const struct ha_ctx *ctx;
    const char *token;
    bool spend;
    struct az_permit *permit;
    struct ha_peer *user; // out: new reference
    struct drv_err *err;
    int rc;
};

static void show_on_loop(void *arg)
{
    struct channel_call *c = arg;
    if (ha_ctx_gone(c->ctx)) // its end has been seen: nobody would ever let go of it
        c->rc = drv_err(c->err, DRV_EUNREACHABLE, "the host channel has closed");
    else
        c->rc = ha_permits_show(c->ctx->ha->permits, c->token, c->ctx->peer, c->permit, &c->user,
                                c->err);
}

static void use_on_loop(void *arg)
{
    struct channel_call *c = arg;
    c->rc =
        ha_permits_use(c->ctx->ha->permits, c->ctx->peer, c->spend, c->permit, &c->user, c->err);
}

static void burn_on_loop(void *arg)
{
    const struct ha_ctx *ctx = arg;
    ha_permits_burn(ctx->ha->permits, ctx->peer);
}

// The call runs for the permit's user from here on. user: reference stolen.
static void run_for(struct ha_ctx *ctx, struct ha_peer *user)
{
    ha_peer_unref(ctx->inner);
    ctx->inner = user;
}

int ha_permit_use(struct ha_ctx *ctx, bool spend, struct az_permit *ret, struct drv_err *err)
{
    struct channel_call c = {.ctx = ctx, .spend = spend, .permit = ret, .err = err};
    drv_loop_call(ctx->ha->loop, use_on_loop, &c);
    if (c.rc == 1)
        run_for(ctx, c.user);
    return c.rc;
}

void ha_permit_burn(const struct ha_ctx *ctx)
{
    drv_loop_call(ctx->ha->loop, burn_on_loop, (void *)ctx);
}

// May this host show this permit? It is spent if not.
static int may_show(struct ha_ctx *ctx, const struct az_permit *permit, char *decision, size_t size,
                    struct drv_err *err)
{
    struct ha_settings s;
    struct az_decision d;
    ha_settings_get(ctx->ha, &s);
    struct az_policy policy = ha_policy(ctx->ha, &s);
    struct az_actor actor = {.user = &ctx->inner->id.az,
                             .host = &ctx->peer->id.az,
                             .host_fqdn = ctx->peer->id.host,
                             .permit = permit};
    bool allowed = az_decide(&policy, AZ_PERMIT_SHOW, &actor, &d);
    snprintf(decision, size, "%s: %s", d.who, d.reason);
    if (allowed)
        return 0;
    ha_permit_burn(ctx);
    return az_decision_err(&d, err);
}

static json_t *peer_permit(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    json_t *text;
    char token[DRV_PERMIT_LEN], decision[1024];
    struct az_permit permit;
    memset(&permit, 0, sizeof permit);
    if (ha_args(args, err, "{s:o}", "permit", &text) < 0 || drv_permit_take(text, token, err) < 0)
        return NULL;
    struct channel_call c = {.ctx = ctx, .token = token, .permit = &permit, .err = err};
    drv_loop_call(ctx->ha->loop, show_on_loop, &c);
    explicit_bzero(token, sizeof token);
    int rc = c.rc;
    if (rc < 0) {
        DRV_COPY(decision, err->msg);
    } else {
        run_for(ctx, c.user);
        rc = may_show(ctx, &permit, decision, sizeof decision, err);
    }
    ha_audit(ctx, ctx->call, permit.vm_name, rc == 0, decision, NULL);
    return rc < 0 ? NULL
                  : json_pack("{s:s, s:s}", "user", ctx->inner->id.az.name, "role",
                              az_role_name(ctx->inner->id.role));
}

const struct ha_call ha_calls_permit[] = {
    {.name = "permit.issue", .who = HA_ANY, .needs_kerberos = true, .run = permit_issue},
    {.name = "peer.permit", .who = HA_HOST, .needs_kerberos = true, .run = peer_permit},
    {0},
};
