// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls about stores: store.list, store.add, store.set, store.check, store.remove
// (docs/WIRE.md).
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "audit.h"
#include "calls_vm_args.h"
#include "store_check.h"
#include "tables.h"

static json_t *one_store(struct ha *ha, const struct db_store *row)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_space space = {0};
    json_t *j = json_pack("{s:s, s:s}", "name", row->name, "url", row->url);
    json_t *settings = ha_store_settings_json(ha, row->name, &err);
    if (settings)
        json_object_set_new(j, "settings", settings);
    drv_err_clear(&err);
    struct ss_store *st = ha_store_open(ha, row->name, NULL, &err);
    if (st && ss_space(st, &space, &err) == 0) {
        json_object_set_new(j, "free_bytes", json_integer((json_int_t)space.free_bytes));
        json_object_set_new(j, "total_bytes", json_integer((json_int_t)space.total_bytes));
    } else {
        json_object_set_new(j, "error", json_string(err.msg));
    }
    ss_store_close(st);
    return j;
}

static json_t *store_list(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct db_stores all = {0};
    if (ha_args(args, err, "{}") < 0 || db_store_list(ctx->ha->db, &all, err) < 0)
        return NULL;
    json_t *list = json_array();
    for (unsigned i = 0; i < all.n; i++)
        json_array_append_new(list, one_store(ctx->ha, &all.list[i]));
    db_stores_done(&all);
    return list;
}

// Two names of one place: a move from one to the other would find the VM's own disks in its way.
// *ret_there: it has this name already.
static int check_new_place(struct ha *ha, const char *name, const struct ss_url *u, bool *ret_there,
                           struct drv_err *err)
{
    struct db_stores all = {0};
    if (db_store_list(ha->db, &all, err) < 0)
        return -1;
    int rc = 0;
    for (unsigned i = 0; i < all.n && rc == 0; i++) {
        struct drv_err ignored = DRV_ERR_INIT;
        struct ss_url other;
        if (ss_url_parse(all.list[i].url, &other, &ignored) < 0 || !ss_url_same(u, &other))
            continue;
        *ret_there = !strcmp(all.list[i].name, name);
        if (*ret_there)
            break;
        drv_err(err, DRV_EEXIST, "store %s is that place already", all.list[i].name);
        rc = drv_err_hint(err, "use it, or `drover store remove %s` first", all.list[i].name);
    }
    db_stores_done(&all);
    return rc;
}

static int add(struct ha *ha, const char *name, const char *url, bool *ret_there,
               struct drv_err *err)
{
    *ret_there = false;
    struct ss_url u;
    if (ha_name_check("store", name, err) < 0)
        return -1;
    if (strlen(url) >= HA_URL_MAX - SS_PATH_MAX)
        return drv_err(err, DRV_EINVAL, "the URL is too long");
    if (ss_url_parse(url, &u, err) < 0 || check_new_place(ha, name, &u, ret_there, err) < 0)
        return -1;
    if (*ret_there)
        return 0;
    if (db_store_add(ha->db, name, url, err) < 0)
        return -1;
    if (u.kind == SS_SMB) // a server may be away just now
        return 0;
    struct ss_store *st = ha_store_open(ha, name, NULL, err);
    if (!st) {
        struct drv_err ignored = DRV_ERR_INIT;
        db_store_remove(ha->db, name, &ignored);
        return -1;
    }
    ss_store_close(st);
    return 0;
}

static json_t *store_add(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *name, *url;
    bool there;
    if (ha_args(args, err, "{s:s, s:s}", "name", &name, "url", &url) < 0)
        return NULL;
    int rc = add(ctx->ha, name, url, &there, err);
    ha_audit_end(ctx, name, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : json_pack("{s:s, s:s, s:b}", "name", name, "url", url, "added", !there);
}

static json_t *store_set(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *name;
    json_t *set;
    if (ha_args(args, err, "{s:s, s:o}", "name", &name, "set", &set) < 0)
        return NULL;
    int rc = json_is_object(set) ? ha_store_settings_change(ctx->ha, name, set, err)
                                 : drv_err(err, DRV_EINVAL, "arguments: set must be an object");
    json_t *settings = rc == 0 ? ha_store_settings_json(ctx->ha, name, err) : NULL;
    ha_audit_end(ctx, name, settings ? NULL : err);
    return settings ? json_pack("{s:s, s:o}", "name", name, "settings", settings) : NULL;
}

static json_t *store_check(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *name;
    struct drv_findings found = {0};
    if (ha_args(args, err, "{s:s}", "name", &name) < 0 ||
        ha_store_check(ctx->ha, name, &found, err) < 0)
        return NULL;
    json_t *ret = json_pack("{s:o}", "findings", drv_findings_to_json(&found));
    drv_findings_done(&found);
    return ret;
}

struct use {
    struct ha *ha;
    const char *store;
    char vm[SS_NAME_MAX];
};

static void find_use(void *arg)
{
    struct use *u = arg;
    for (const struct ha_vm *vm = u->ha->vms; vm; vm = vm->next)
        for (unsigned i = 0; i < vm->def.n_disks; i++)
            if (!strcmp(vm->def.disks[i].store, u->store))
                DRV_COPY(u->vm, vm->def.name);
}

static int remove_store(struct ha *ha, const char *name, struct drv_err *err)
{
    struct ha_settings s;
    struct use u = {.ha = ha, .store = name};
    ha_settings_get(ha, &s);
    if (!strcmp(s.arbiter, name)) {
        drv_err(err, DRV_EBUSY, "store %s is this host's arbiter", name);
        return drv_err_hint(err, "set another first: drover host set arbiter=STORE");
    }
    drv_loop_call(ha->loop, find_use, &u);
    if (u.vm[0])
        return drv_err(err, DRV_EBUSY, "VM %s has a disk on store %s", u.vm, name);
    return db_store_remove(ha->db, name, err);
}

static json_t *store_remove(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *name;
    if (ha_args(args, err, "{s:s}", "name", &name) < 0)
        return NULL;
    int rc = remove_store(ctx->ha, name, err);
    ha_audit_end(ctx, name, rc < 0 ? err : NULL);
    return rc < 0 ? NULL : json_object();
}

const struct ha_call ha_calls_store[] = {
    {"store.list", HA_VIEWER, false, false, store_list},
    {"store.add", HA_ADMIN, false, false, store_add},
    {"store.set", HA_ADMIN, false, false, store_set},
    {"store.check", HA_VIEWER, false, false, store_check},
    {"store.remove", HA_ADMIN, false, false, store_remove},
    {0},
};
