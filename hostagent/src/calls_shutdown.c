// SPDX-License-Identifier: GPL-3.0-or-later
// Wire call host.shutdown_guests (docs/WIRE.md).
#include <stdlib.h>

#include "audit.h"
#include "shutdown.h"
#include "tables.h"

enum { WAIT_MAX_S = 3600 };

static json_t *guest_json(const struct ha_guest *g)
{
    return json_pack("{s:s, s:s, s:s, s:I}", "vm", g->name, "end", ha_guest_end_name(g->end), "msg",
                     g->msg, "took_ms", (json_int_t)g->took_ms);
}

static void on_guest(const struct ha_guest *g, void *arg)
{
    json_t *event = guest_json(g);
    json_object_set_new(event, "event", json_string("guest"));
    ha_emit(arg, event);
}

static json_t *shutdown_guests(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha_settings s;
    struct ha_guest *guests = NULL;
    unsigned n = 0;
    json_int_t wait_s = 0;
    if (ha_args(args, err, "{s?I}", "wait_s", &wait_s) < 0)
        return NULL;
    if (wait_s < 0 || wait_s > WAIT_MAX_S) {
        drv_err(err, DRV_EINVAL, "wait_s must be 1 to %d", WAIT_MAX_S);
        return NULL;
    }
    ha_settings_get(ctx->ha, &s);
    ha_audit(ctx, ctx->call, NULL, true, "all guests are asked to shut down", NULL);
    ha_shutdown_guests(ctx->ha, wait_s ? wait_s * 1000 : s.shutdown_wait_ms, on_guest, ctx, &guests,
                       &n);
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, guest_json(&guests[i]));
    free(guests);
    return json_pack("{s:o}", "guests", list);
}

const struct ha_call ha_calls_shutdown[] = {
    {"host.shutdown_guests", HA_ADMIN, false, false, shutdown_guests},
    {0},
};
