// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls about VMs: vm.list, show, create, register, delete, start, stop; and peer.vm_state,
// which another host asks before it takes a VM over (docs/WIRE.md).
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "audit.h"
#include "autostart.h"
#include "calls_vm_args.h"
#include "drover/file.h"
#include "drover/finding.h"
#include "drover/storeproc.h"
#include "tables.h"
#include "vm_log.h"

enum { STOP_DEFAULT_S = 60, STOP_MAX_S = 24 * 3600 };

// --- vm.list ---

struct list_call {
    struct ha *ha;
    json_t *list;
};

static void list_on_loop(void *arg)
{
    struct list_call *c = arg;
    for (const struct ha_vm *vm = c->ha->vms; vm; vm = vm->next)
        json_array_append_new(c->list, ha_vm_to_json(vm));
}

static json_t *vm_list(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    if (ha_args(args, err, "{}") < 0)
        return NULL;
    struct list_call c = {.ha = ctx->ha, .list = json_array()};
    list_on_loop(&c); // on the loop thread already
    return c.list;
}

// --- vm.show ---

struct show_call {
    struct ha *ha;
    const char *key;
    struct ss_vmdef def;
    json_t *state;
    bool running;
};

static void show_on_loop(void *arg)
{
    struct show_call *c = arg;
    const struct ha_vm *vm = ha_vm_find(c->ha, c->key);
    if (!vm)
        return;
    c->def = vm->def;
    c->state = ha_vm_to_json(vm);
    c->running = strcmp(vm->state, "stopped") != 0;
}

static void add_record(struct ha *ha, const char *uuid, json_t *ret, struct drv_findings *found)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record *rec = drv_xcalloc(1, sizeof *rec);
    DRV_AUTO_FREE void *owned = rec;
    bool held = false;
    struct ss_store *arbiter = ha_arbiter_open(ha, &err);
    if (arbiter && ss_record_peek(arbiter, uuid, rec, &held, &err) == 0) {
        json_object_set_new(ret, "record", ss_record_to_json(rec));
        json_object_set_new(ret, "held", json_boolean(held));
    } else {
        json_object_set_new(ret, "record", json_null());
        drv_finding_add(found, err.id[0] ? err.id : "S06", ha->fqdn, "the owner record: %s",
                        err.msg);
    }
    ss_store_close(arbiter);
}

static void check_memory(struct ha *ha, const struct show_call *c, struct drv_findings *found)
{
    bool tcg = !strcmp(c->def.accel, "tcg");
    if (c->running && tcg && c->def.memory_kib % 256 == 0 && ha->probe->qemu_version < 90000)
        drv_finding_add(found, "M02", ha->fqdn, "%s has %llu KiB, a multiple of 256 KiB",
                        c->def.name, (unsigned long long)c->def.memory_kib);
}

static json_t *vm_show(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct drv_findings found = {0};
    struct show_call *c = drv_xcalloc(1, sizeof *c);
    DRV_AUTO_FREE void *owned = c;
    c->ha = ctx->ha;
    if (ha_args(args, err, "{s:s}", "vm", &c->key) < 0)
        return NULL;
    drv_loop_call(ctx->ha->loop, show_on_loop, c);
    if (!c->state) {
        drv_err(err, DRV_ENOTFOUND, "there is no VM \"%.64s\" on %s", c->key, ctx->ha->fqdn);
        drv_err_hint(err, "`drover vm list` shows this host's VMs");
        return NULL;
    }
    json_object_set_new(c->state, "definition", ss_vmdef_to_json(&c->def));
    add_record(ctx->ha, c->def.uuid, c->state, &found);
    check_memory(ctx->ha, c, &found);
    json_object_set_new(c->state, "findings", drv_findings_to_json(&found));
    drv_findings_done(&found);
    return c->state;
}

// What is told about a VM after a call changed it.
static json_t *brief(struct ha *ha, const char *key)
{
    struct show_call *c = drv_xcalloc(1, sizeof *c);
    DRV_AUTO_FREE void *owned = c;
    c->ha = ha;
    c->key = key;
    drv_loop_call(ha->loop, show_on_loop, c);
    return c->state ? c->state : json_null();
}

// --- vm.create, vm.register, vm.delete ---

static void on_import(const char *disk, const char *step, unsigned percent, void *arg)
{
    ha_emit(arg, json_pack("{s:s, s:s, s:s, s:i}", "event", "import", "disk", disk, "step", step,
                           "percent", (int)percent));
}

static json_t *vm_create(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    char uuid[DRV_UUID_LEN];
    struct ha_create_spec *spec = drv_xcalloc(1, sizeof *spec);
    DRV_AUTO_FREE void *owned = spec;
    DRV_AUTO_JSON json_t *notices = json_array();
    if (ha_create_args(args, spec, err) < 0)
        return NULL;
    spec->progress = on_import;
    spec->progress_arg = ctx;
    spec->import_any = ctx->via == HA_VIA_UNIX && ctx->uid == 0;
    int rc = ha_vm_create(ctx->ha, spec, uuid, notices, err);
    ha_audit_end(ctx, spec->name, rc < 0 ? err : NULL);
    if (rc < 0)
        return NULL;
    return json_pack("{s:o, s:O}", "vm", brief(ctx->ha, uuid), "notices", notices);
}

static json_t *vm_register(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *store, *name;
    char uuid[DRV_UUID_LEN];
    if (ha_args(args, err, "{s:s, s:s}", "store", &store, "name", &name) < 0)
        return NULL;
    int rc = drv_name_valid(name, SS_NAME_MAX - 1) && drv_name_valid(store, SS_NAME_MAX - 1)
                 ? ha_vm_register(ctx->ha, store, name, uuid, err)
                 : drv_err(err, DRV_EINVAL, "\"%.64s/%.64s\" is not STORE/NAME", store, name);
    ha_audit_end(ctx, name, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : json_pack("{s:o}", "vm", brief(ctx->ha, uuid));
}

static json_t *vm_delete(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key;
    int keep = 0;
    if (ha_args(args, err, "{s:s, s?b}", "vm", &key, "keep_disks", &keep) < 0)
        return NULL;
    DRV_AUTO_JSON json_t *notices = json_array();
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "deleting", err);
    int rc = vm ? ha_vm_delete(vm, keep, notices, err) : -1;
    ha_audit_end(ctx, key, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : json_pack("{s:O}", "notices", notices);
}

// --- vm.start, vm.stop ---

// For the VM's log: who wants it.
static void note_asked(struct ha_ctx *ctx, const struct ha_vm *vm, const char *what)
{
    char who[512];
    ha_ctx_who(ctx, who, sizeof who);
    ha_vmlog(ctx->ha, vm->def.uuid, "%s, asked for by %s", what, who);
}

static json_t *vm_start(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key;
    int take_over = 0, dead = 0;
    if (ha_args(args, err, "{s:s, s?b, s?b}", "vm", &key, "take_over", &take_over, "host_is_dead",
                &dead) < 0)
        return NULL;
    if (dead && !take_over) {
        drv_err(err, DRV_EINVAL, "host_is_dead means nothing without take_over");
        return NULL;
    }
    struct ha_start_opts opts = {.take_over = take_over, .host_is_dead = dead};
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "starting", err);
    if (vm)
        note_asked(ctx, vm, take_over ? "start with take-over" : "start");
    if (vm)
        ha_autostart_forget(ctx->ha, vm->def.uuid);
    int rc = vm ? ha_vm_start(vm, &opts, err) : -1;
    if (vm && rc < 0)
        ha_vmlog(ctx->ha, vm->def.uuid, "%s", err->msg);
    ha_vm_unlock(vm);
    ha_audit_end(ctx, key, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : brief(ctx->ha, key);
}

static json_t *vm_stop(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *key;
    int force = 0;
    json_int_t timeout_s = STOP_DEFAULT_S;
    if (ha_args(args, err, "{s:s, s?b, s?I}", "vm", &key, "force", &force, "timeout_s",
                &timeout_s) < 0)
        return NULL;
    if (timeout_s < 1 || timeout_s > STOP_MAX_S) {
        drv_err(err, DRV_EINVAL, "timeout_s must be 1 to %d", STOP_MAX_S);
        return NULL;
    }
    struct ha_vm *vm = ha_vm_lock(ctx->ha, key, "stopping", err);
    if (vm)
        note_asked(ctx, vm, force ? "the plug is pulled" : "shutdown");
    bool off = vm && !vm->run.qemu && !strcmp(vm->state, "stopped"); // as was asked for
    if (off)
        ha_autostart_forget(ctx->ha, vm->def.uuid);
    int rc = off ? 0 : vm ? ha_vm_stop(vm, force, (int)timeout_s, err) : -1;
    if (vm && rc < 0)
        ha_vmlog(ctx->ha, vm->def.uuid, "%s", err->msg);
    ha_vm_unlock(vm);
    ha_audit_end(ctx, key, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : brief(ctx->ha, key);
}

// --- peer.vm_state ---

struct state_call {
    struct ha *ha;
    const char *uuid;
    bool known, running;
};

static void state_on_loop(void *arg)
{
    struct state_call *c = arg;
    const struct ha_vm *vm = ha_vm_find(c->ha, c->uuid);
    c->known = vm != NULL;
    c->running = vm && (strcmp(vm->state, "stopped") != 0 || vm->busy[0] || vm->pid);
}

static json_t *peer_vm_state(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct state_call c = {.ha = ctx->ha};
    struct db_moves moves = {0};
    char dir[256];
    bool moving = false;
    if (ha_args(args, err, "{s:s}", "uuid", &c.uuid) < 0)
        return NULL;
    if (!drv_uuid_valid(c.uuid)) {
        drv_err(err, DRV_EINVAL, "uuid: not the id of a VM");
        return NULL;
    }
    if (db_move_list(ctx->ha->db, true, 1000, &moves, err) < 0)
        return NULL;
    for (unsigned i = 0; i < moves.n; i++)
        moving |= !strcmp(moves.list[i].vm_uuid, c.uuid) && moves.list[i].state == DB_MOVE_ACTIVE;
    db_moves_done(&moves);
    drv_loop_call(ctx->ha->loop, state_on_loop, &c);
    // Processes that this agent has not attached to yet count as running.
    ha_vm_dir(ctx->ha, c.uuid, dir, sizeof dir);
    c.running |= drv_may(dir, F_OK);
    return json_pack("{s:b, s:b, s:b}", "known", c.known, "running", c.running, "moving", moving);
}

const struct ha_call ha_calls_vm[] = {
    {"vm.list", HA_VIEWER, false, true, vm_list},
    {"vm.show", HA_VIEWER, false, false, vm_show},
    {"vm.create", HA_ADMIN, false, false, vm_create},
    {"vm.register", HA_ADMIN, false, false, vm_register},
    {"vm.delete", HA_ADMIN, false, false, vm_delete},
    {"vm.start", HA_OPERATOR, false, false, vm_start},
    {"vm.stop", HA_OPERATOR, false, false, vm_stop},
    {"peer.vm_state", HA_HOST, false, false, peer_vm_state},
    {0},
};
