// SPDX-License-Identifier: GPL-3.0-or-later
// Wire call vm.log (docs/WIRE.md): what has been written down about a VM on this host.
#include <string.h>

#include "agent.h"
#include "tables.h"
#include "vm_log.h"

enum { DEFAULT_LINES = 50, MAX_LINES = 1000, MOVES_SEARCHED = 1000 };

struct find_call {
    struct ha *ha;
    const char *key;
    char uuid[DRV_UUID_LEN], name[SS_NAME_MAX];
};

static void find_on_loop(void *arg)
{
    struct find_call *c = arg;
    const struct ha_vm *vm = ha_vm_find(c->ha, c->key);
    if (!vm)
        return;
    DRV_COPY(c->uuid, vm->def.uuid);
    DRV_COPY(c->name, vm->def.name);
}

// A VM that has moved away has left its log: the journal knows which it was.
static void find_moved(struct find_call *c)
{
    struct db_moves moves = {0};
    struct drv_err ignored = DRV_ERR_INIT;
    if (db_move_list(c->ha->db, false, MOVES_SEARCHED, &moves, &ignored) < 0)
        return;
    for (unsigned i = 0; i < moves.n && !c->uuid[0]; i++) // the newest first
        if (!strcmp(moves.list[i].vm_name, c->key) || !strcmp(moves.list[i].vm_uuid, c->key)) {
            DRV_COPY(c->uuid, moves.list[i].vm_uuid);
            DRV_COPY(c->name, moves.list[i].vm_name);
        }
    db_moves_done(&moves);
}

static json_t *vm_log(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct find_call c = {.ha = ctx->ha};
    const char *after = "";
    int lines = DEFAULT_LINES;
    char next[64];
    if (ha_args(args, err, "{s:s, s?i, s?s}", "vm", &c.key, "lines", &lines, "after", &after) < 0)
        return NULL;
    if (lines < 1 || lines > MAX_LINES) {
        drv_err(err, DRV_EINVAL, "lines is 1 to %d", MAX_LINES);
        return NULL;
    }
    drv_loop_call(ctx->ha->loop, find_on_loop, &c);
    if (!c.uuid[0])
        find_moved(&c);
    if (!c.uuid[0]) {
        drv_err(err, DRV_ENOTFOUND, "there is no VM \"%.64s\" on %s, and none has moved from here",
                c.key, ctx->ha->fqdn);
        drv_err_hint(err, "`drover vm list` shows this host's VMs");
        return NULL;
    }
    json_t *entries = ha_vmlog_read(ctx->ha, c.uuid, (unsigned)lines, after, next);
    return json_pack("{s:s, s:s, s:o, s:s}", "vm", c.name, "uuid", c.uuid, "entries", entries,
                     "next", next);
}

const struct ha_call ha_calls_log[] = {
    {"vm.log", HA_VIEWER, false, false, vm_log},
    {0},
};
