// SPDX-License-Identifier: GPL-3.0-or-later
// The audit log: see audit.h. Rows are written by worker threads, as each waits for the disk.
#include "audit.h"

#include <stdlib.h>

#include "agent.h"
#include "drover/log.h"
#include "drover/worker.h"

static void add_row(struct ha *ha, const struct db_audit *row)
{
    struct drv_err err = DRV_ERR_INIT;
    if (db_audit_add(ha->db, row, &err) < 0)
        drv_log_err(LOG_ERR, "audit", &err);
}

void ha_audit(const struct ha_ctx *ctx, const char *action, const char *object, bool allowed,
              const char *reason, const char *move)
{
    const struct ha_peer *actor = ha_ctx_actor(ctx);
    bool for_user = ctx->inner && ctx->inner != actor;
    char who[512], via[300];
    ha_ctx_who(ctx, who, sizeof who);
    if (ctx->via == HA_VIA_UNIX)
        snprintf(via, sizeof via, "unix");
    else if (actor && actor->id.is_host)
        snprintf(via, sizeof via, "host %s", actor->id.host);
    else
        snprintf(via, sizeof via, "tcp");
    struct db_audit row = {
        .who = for_user && actor ? (char *)actor->id.az.name : who,
        .via = via,
        .on_behalf = for_user ? (char *)ctx->inner->id.az.name : NULL,
        .action = (char *)action,
        .object = (char *)(object ? object : ""),
        .allowed = allowed,
        .reason = (char *)reason,
        .move = (char *)move,
    };
    add_row(ctx->ha, &row);
}

void ha_audit_end(const struct ha_ctx *ctx, const char *object, const struct drv_err *err)
{
    char reason[sizeof err->msg + 64];
    if (!err)
        snprintf(reason, sizeof reason, "role %s: done", az_role_name(ha_ctx_role(ctx)));
    else
        snprintf(reason, sizeof reason, "role %s: %s: %s", az_role_name(ha_ctx_role(ctx)),
                 drv_code_name(err->code), err->msg);
    ha_audit(ctx, ctx->call, object, true, reason, NULL);
}

void ha_audit_self(struct ha *ha, const char *action, const char *object, bool allowed,
                   const char *reason)
{
    char who[] = "droverd", none[] = "";
    struct db_audit row = {.who = who,
                           .via = none,
                           .action = (char *)action,
                           .object = (char *)object,
                           .allowed = allowed,
                           .reason = (char *)reason};
    add_row(ha, &row);
}

// --- refused before a handler ran ---

struct refusal {
    struct ha *ha;
    char who[512], call[64], reason[600];
};

static void write_refusal(void *arg)
{
    struct refusal *r = arg;
    char none[1] = "";
    struct db_audit row = {.who = r->who,
                           .via = none,
                           .action = r->call,
                           .object = none,
                           .allowed = false,
                           .reason = r->reason};
    add_row(r->ha, &row);
}

void ha_audit_refused(struct ha *ha, const char *who, const char *call, const struct drv_err *err)
{
    // Only decisions about people and hosts: unknown calls and busy sessions are no such thing.
    if (err->code != DRV_EDENIED)
        return;
    struct refusal *r = drv_xcalloc(1, sizeof *r);
    r->ha = ha;
    DRV_COPY(r->who, who);
    DRV_COPY(r->call, call);
    snprintf(r->reason, sizeof r->reason, "%s%s%s", err->id, err->id[0] ? ": " : "", err->msg);
    if (drv_work(ha->loop, write_refusal, free, r) < 0)
        free(r); // refused calls are in the log as well
}
