// SPDX-License-Identifier: GPL-3.0-or-later
// Wire call about the audit log: audit.list (docs/WIRE.md). Writing it: audit.c.
#include "agent.h"
#include "tables.h"

// A row has 2.5 KiB at most, and all have to fit one frame.
enum { DEFAULT_ROWS = 100, MAX_ROWS = 400 };

static json_t *row_json(const struct db_audit *a)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "at", (json_int_t)a->at_ms,
                     "who", a->who, "via", a->via, "on_behalf", a->on_behalf ? a->on_behalf : "",
                     "action", a->action, "object", a->object, "allowed", a->allowed, "reason",
                     a->reason, "move", a->move ? a->move : "");
}

static json_t *audit_list(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    int limit = DEFAULT_ROWS, refused = 0;
    struct db_audits rows = {0};
    if (ha_args(args, err, "{s?i, s?b}", "limit", &limit, "refused", &refused) < 0)
        return NULL;
    if (limit < 1 || limit > MAX_ROWS) {
        drv_err(err, DRV_EINVAL, "limit is 1 to %d", MAX_ROWS);
        return NULL;
    }
    if (db_audit_list(ctx->ha->db, (unsigned)limit, refused, &rows, err) < 0)
        return NULL;
    json_t *list = json_array();
    for (unsigned i = 0; i < rows.n; i++)
        json_array_append_new(list, row_json(&rows.list[i]));
    db_audits_done(&rows);
    return list;
}

const struct ha_call ha_calls_audit[] = {
    {.name = "audit.list", .who = HA_ADMIN, .run = audit_list},
    {0},
};
