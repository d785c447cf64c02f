// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls vm.console and vm.vnc: the session becomes the VM's serial line or screen
// (docs/WIRE.md, section 9).
#include "agent.h"
#include "audit.h"
#include "relay.h"
#include "tables.h"

struct open_call {
    struct ha *ha;
    const char *key;
    enum ha_relay_kind kind;
    struct drv_err *err;
    struct ha_stream *stream;
    json_t *answer;
};

static void open_on_loop(void *arg)
{
    struct open_call *c = arg;
    struct ha_vm *vm = ha_vm_find(c->ha, c->key);
    if (!vm) {
        drv_err(c->err, DRV_ENOTFOUND, "there is no VM \"%.64s\" on %s", c->key, c->ha->fqdn);
        drv_err_hint(c->err, "`drover vm list` shows this host's VMs");
        return;
    }
    c->stream = ha_relay_open(vm, c->kind, c->err);
    if (c->stream)
        c->answer = json_pack("{s:s, s:s, s:s}", "vm", vm->def.name, "uuid", vm->def.uuid, "host",
                              c->ha->fqdn);
}

static json_t *open_console(struct ha_ctx *ctx, const json_t *args, enum ha_relay_kind kind,
                            struct drv_err *err)
{
    struct open_call c = {.ha = ctx->ha, .kind = kind, .err = err};
    if (ha_args(args, err, "{s:s}", "vm", &c.key) < 0)
        return NULL;
    drv_loop_call(ctx->ha->loop, open_on_loop, &c);
    ha_audit_end(ctx, c.key, c.stream ? NULL : err);
    if (c.stream)
        ha_ctx_stream(ctx, c.stream);
    return c.answer;
}

static json_t *vm_console(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    return open_console(ctx, args, HA_RELAY_SERIAL, err);
}

static json_t *vm_vnc(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    return open_console(ctx, args, HA_RELAY_SCREEN, err);
}

const struct ha_call ha_calls_console[] = {
    {"vm.console", HA_OPERATOR, false, false, vm_console},
    {"vm.vnc", HA_OPERATOR, false, false, vm_vnc},
    {0},
};
