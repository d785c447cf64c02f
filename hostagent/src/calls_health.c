// SPDX-License-Identifier: GPL-3.0-or-later
// Wire call host.health: what a monitoring system wants to know of this host, in a bounded time
// (docs/WIRE.md).
#include <string.h>

#include "agent.h"
#include "tables.h"

enum { TIMEOUT_MS = 4000, TIMEOUT_MIN_MS = 500, TIMEOUT_MAX_MS = 60000, LEAST_MS = 250 };

// What a person should look at, "" = nothing. Pauses that belong to a move or to an operation that
// is under way are none.
static const char *trouble(const struct ha_vm *vm)
{
    static const char *const fine[] = {"stopped", "unknown", "incoming", "inmigrate"};
    if (vm->trouble == HA_TROUBLE_FENCED)
        return "fenced";
    for (size_t i = 0; i < DRV_ARRAY_LEN(fine); i++)
        if (!strcmp(vm->state, fine[i]))
            return "";
    if (vm->panic[0])
        return "panicked";
    if (vm->trouble == HA_TROUBLE_LOOK)
        return "attention";
    if (!strcmp(vm->state, "running"))
        return vm->why[0] ? "slow" : "";
    return vm->why[0] || (!vm->move[0] && !vm->busy[0]) ? "paused" : "";
}

struct list_call {
    struct ha *ha;
    json_t *list;
};

static void list_on_loop(void *arg)
{
    struct list_call *c = arg;
    for (const struct ha_vm *vm = c->ha->vms; vm; vm = vm->next)
        json_array_append_new(c->list,
                              json_pack("{s:s, s:s, s:s, s:s}", "vm", vm->def.name, "state",
                                        vm->state, "trouble", trouble(vm), "why", vm->why));
}

static json_t *vms(struct ha *ha)
{
    struct list_call c = {.ha = ha, .list = json_array()};
    drv_loop_call(ha->loop, list_on_loop, &c);
    return c.list;
}

// Renewed first if little is left, as whoever uses a store would do.
static json_t *ticket(struct ha *ha)
{
    char ccache[512];
    int64_t left_s = 0;
    struct drv_err err = DRV_ERR_INIT;
    bool have = ha_host_ccache(ha, ccache, sizeof ccache, &err) == 0 &&
                dg_ccache_lifetime_s(ccache, &left_s, &err) == 0;
    json_t *ret = json_pack("{s:I}", "lifetime_s", (json_int_t)left_s);
    if (!have)
        json_object_set_new(ret, "error", json_string(err.msg));
    return ret;
}

static json_t *counts(struct ha *ha, struct drv_err *err)
{
    uint64_t n[DB_ROLE_MAX_][DB_MOVE_STATE_MAX_];
    if (db_move_counts(ha->db, n, err) < 0)
        return NULL;
    json_t *ret = json_object();
    for (int role = 0; role < DB_ROLE_MAX_; role++) {
        json_t *of = json_object();
        for (int state = 0; state < DB_MOVE_STATE_MAX_; state++)
            json_object_set_new(of, db_move_state_name((enum db_move_state)state),
                                json_integer((json_int_t)n[role][state]));
        json_object_set_new(ret, db_role_name((enum db_role)role), of);
    }
    return ret;
}

static json_t *attention(struct ha *ha, struct drv_err *err)
{
    enum { MOST = 100 };
    struct db_moves open = {0};
    if (db_move_list(ha->db, true, MOST, &open, err) < 0)
        return NULL;
    json_t *ret = json_array();
    for (unsigned i = 0; i < open.n; i++)
        if (open.list[i].state == DB_MOVE_ATTENTION)
            json_array_append_new(
                ret, json_pack("{s:s, s:s}", "move", open.list[i].id, "vm", open.list[i].vm_name));
    db_moves_done(&open);
    return ret;
}

static json_t *last_move(struct ha *ha)
{
    struct db_move m = {0};
    if (db_move_last_done(ha->db, &m, NULL) < 0)
        return json_null();
    DRV_AUTO_JSON json_t *result = m.result ? json_loads(m.result, 0, NULL) : NULL;
    json_t *ret = json_pack("{s:s, s:s, s:I, s:f, s:f}", "move", m.id, "vm", m.vm_name, "ended",
                            (json_int_t)m.updated_at_ms, "blackout_ms",
                            json_number_value(json_object_get(result, "blackout_ms")), "total_ms",
                            json_number_value(json_object_get(result, "total_ms")));
    db_move_done(&m);
    return ret;
}

static json_t *one_store(struct ha *ha, const char *name, int timeout_ms)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_space space = {0};
    struct ss_store *st = ha_store_open_within(ha, name, timeout_ms, &err);
    bool up = st && ss_space(st, &space, &err) == 0;
    ss_store_close(st);
    if (!up)
        return json_pack("{s:s, s:b, s:s}", "store", name, "up", 0, "error", err.msg);
    return json_pack("{s:s, s:b, s:I, s:I}", "store", name, "up", 1, "free_bytes",
                     (json_int_t)space.free_bytes, "total_bytes", (json_int_t)space.total_bytes);
}

// Each has its share of what is left: one that hangs does not take it from the others.
static json_t *stores(struct ha *ha, int timeout_ms, struct drv_err *err)
{
    struct db_stores all = {0};
    if (db_store_list(ha->db, &all, err) < 0)
        return NULL;
    int64_t until = drv_now_ms() + timeout_ms;
    json_t *ret = json_array();
    for (unsigned i = 0; i < all.n; i++) {
        int64_t share = (until - drv_now_ms()) / (all.n - i);
        json_array_append_new(
            ret, one_store(ha, all.list[i].name, share > LEAST_MS ? (int)share : LEAST_MS));
    }
    db_stores_done(&all);
    return ret;
}

static json_t *host_health(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha *ha = ctx->ha;
    json_int_t timeout_ms = TIMEOUT_MS;
    if (ha_args(args, err, "{s?I}", "timeout_ms", &timeout_ms) < 0)
        return NULL;
    if (timeout_ms < TIMEOUT_MIN_MS || timeout_ms > TIMEOUT_MAX_MS) {
        drv_err(err, DRV_EINVAL, "timeout_ms is %d to %d", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
        return NULL;
    }
    DRV_AUTO_JSON json_t *n = counts(ha, err);
    DRV_AUTO_JSON json_t *unclear = n ? attention(ha, err) : NULL;
    DRV_AUTO_JSON json_t *up = unclear ? stores(ha, (int)timeout_ms, err) : NULL;
    if (!up)
        return NULL;
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:O, s:O, s:o, s:O}", "host", ha->fqdn, "version",
                     DROVER_VERSION, "uptime_s",
                     (json_int_t)((drv_now_ms() - ha->started_ms) / 1000), "ticket", ticket(ha),
                     "vms", vms(ha), "moves", n, "attention", unclear, "last_move", last_move(ha),
                     "stores", up);
}

const struct ha_call ha_calls_health[] = {
    {"host.health", HA_VIEWER, false, false, host_health},
    {0},
};
