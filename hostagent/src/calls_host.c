// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls about this host: host.show, host.set, host.list, host.cpus (docs/WIRE.md).
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "audit.h"
#include "cpu_hosts.h"
#include "doctor.h"
#include "move.h"
#include "tables.h"

enum { MAX_CHANGES = 32 };

// --- host.show ---

static json_t *slots(struct ha *ha)
{
    struct ha_settings s;
    ha_settings_get(ha, &s);
    unsigned moves = ha_moves_active(ha, false), with_disks = ha_moves_active(ha, true);
    return json_pack(
        "{s:I, s:I}", "moves", (json_int_t)(s.max_moves > moves ? s.max_moves - moves : 0),
        "storage_moves",
        (json_int_t)(s.max_storage_moves > with_disks ? s.max_storage_moves - with_disks : 0));
}

static json_t *settings_help(void)
{
    json_t *help = json_object();
    for (const struct drv_option *o = ha_setting_options; o->name; o++)
        json_object_set_new(help, o->name,
                            json_pack("{s:s, s:s, s:s, s:s}", "text", o->text, "default", o->def,
                                      "unit", o->unit ? o->unit : "", "choices",
                                      o->choices ? o->choices : ""));
    return help;
}

static json_t *host_show(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha *ha = ctx->ha;
    uint64_t total = 0, available = 0;
    char qemu[32];
    unsigned v = ha->probe->qemu_version;
    int help = 0;
    if (ha_args(args, err, "{s?b}", "help", &help) < 0 ||
        ha_host_memory_kib(&total, &available, err) < 0)
        return NULL;
    json_t *settings = ha_settings_to_json(ha, err);
    if (!settings)
        return NULL;
    snprintf(qemu, sizeof qemu, "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
    return json_pack("{s:s, s:s, s:o, s:s, s:b, s:s, s:I, s:o, s:{s:I, s:I}, s:s, s:o*}", "host",
                     ha->fqdn, "version", DROVER_VERSION, "settings", settings, "qemu_version",
                     qemu, "kvm", ha->probe->kvm, "kvm_note", ha->probe->kvm_note, "cpus",
                     (json_int_t)ha_host_cpus(), "slots", slots(ha), "memory", "total_kib",
                     (json_int_t)total, "free_kib", (json_int_t)available, "role",
                     az_role_name(ha_ctx_role(ctx)), "help", help ? settings_help() : NULL);
}

// --- host.set ---

// Group names become SIDs now, so that a group of the same name made later does not count.
static char *resolve_roles(struct ha *ha, const char *text, struct drv_err *err)
{
    struct az_roles *roles = drv_xcalloc(1, sizeof *roles);
    DRV_AUTO_FREE void *owned = roles;
    if (az_roles_parse(text, roles, err) < 0)
        return NULL;
    if (!az_roles_unresolved(roles))
        return az_roles_text(roles);
    HA_AUTO_DIRECTORY struct dg_ldap *l = ha_directory(ha, err);
    for (struct az_role_entry *e; l && (e = az_roles_unresolved(roles));)
        if (dg_ldap_group_sid(l, e->label, e->sid, err) < 0) {
            drv_err_prefix(err, "roles: group \"%s\"", e->label);
            return NULL;
        }
    return l ? az_roles_text(roles) : NULL;
}

// Records do not follow a changed arbiter: that is for a host without VMs.
static int check_arbiter(struct ha *ha, const char *name, struct drv_err *err)
{
    struct ha_settings s;
    struct ss_url u;
    struct db_vms vms = {0};
    char url[HA_URL_MAX];
    ha_settings_get(ha, &s);
    if (name[0] &&
        (ha_store_url(ha, name, url, sizeof url, err) < 0 || ss_url_parse(url, &u, err) < 0))
        return -1;
    if (name[0] && u.kind != SS_SMB)
        return drv_err(err, DRV_EINVAL,
                       "arbiter: store %s is a folder of this host; an SMB store "
                       "is needed that all hosts share",
                       name);
    if (!s.arbiter[0] || !strcmp(s.arbiter, name))
        return 0;
    if (db_vm_list(ha->db, &vms, err) < 0)
        return -1;
    unsigned n = vms.n;
    db_vms_done(&vms);
    return n == 0 ? 0
                  : drv_err(err, DRV_ESTATE,
                            "the owner records of %u VMs of this host are on %s: "
                            "its arbiter cannot change while it has VMs",
                            n, s.arbiter);
}

// Fill one change; value: malloc'd.
static int take_change(struct ha *ha, const char *key, const json_t *value, struct db_setting *ret,
                       struct drv_err *err)
{
    const char *text = json_string_value(value);
    if (!drv_option_need(ha_setting_options, "host", key, err) || DRV_COPY(ret->key, key) < 0)
        return -1;
    if (!text || strlen(text) > 4000)
        return drv_err(err, DRV_EINVAL, "%s: the value must be a text", key);
    if (!strcmp(key, "arbiter") && check_arbiter(ha, text, err) < 0)
        return -1;
    ret->value = !strcmp(key, "roles") ? resolve_roles(ha, text, err) : drv_xstrdup(text);
    return ret->value ? 0 : -1;
}

static json_t *change(struct ha *ha, json_t *set, struct drv_err *err)
{
    struct db_setting list[MAX_CHANGES] = {0};
    unsigned n = 0;
    int rc = 0;
    const char *key;
    json_t *value;
    if (json_object_size(set) == 0 || json_object_size(set) > MAX_CHANGES) {
        drv_err(err, DRV_EINVAL, "set: 1 to %d settings", MAX_CHANGES);
        return NULL;
    }
    json_object_foreach(set, key, value)
    {
        if (rc == 0)
            rc = take_change(ha, key, value, &list[n++], err);
    }
    if (rc == 0)
        rc = ha_settings_change(ha, list, n, err);
    for (unsigned i = 0; i < n; i++)
        free(list[i].value);
    json_t *now = rc == 0 ? ha_settings_to_json(ha, err) : NULL;
    return now ? json_pack("{s:o}", "settings", now) : NULL;
}

static json_t *host_set(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    json_t *set;
    if (ha_args(args, err, "{s:o}", "set", &set) < 0)
        return NULL;
    if (!json_is_object(set)) {
        drv_err(err, DRV_EINVAL, "arguments: set must be an object");
        return NULL;
    }
    DRV_AUTO_FREE char *what = json_dumps(set, JSON_COMPACT);
    json_t *ret = change(ctx->ha, set, err);
    ha_audit_end(ctx, what, ret ? NULL : err);
    return ret;
}

// --- host.list ---

static json_t *host_list(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct dg_host *hosts = NULL;
    unsigned n = 0;
    if (ha_args(args, err, "{}") < 0 || ha_hosts(ctx->ha, &hosts, &n, err) < 0)
        return NULL;
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", hosts[i].name, "fqdn", hosts[i].fqdn));
    free(hosts);
    return list;
}

// --- host.cpus ---

static json_t *cpu_row(const char *fqdn, const json_t *models, const char *error)
{
    bool kvm = json_array_size(json_object_get(models, "kvm")) > 0;
    const char *accel = kvm ? "kvm" : "tcg";
    const char *best = ha_cpu_best_of(models, accel);
    return json_pack("{s:s, s:s, s:s, s:O?, s:s}", "host", fqdn, "accel", models ? accel : "",
                     "best", best ? best : "", "models", models, "error", error);
}

static json_t *host_cpus(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    struct ha *ha = ctx->ha;
    if (ha_args(args, err, "{}") < 0)
        return NULL;
    struct ha_cpu_hosts *others = drv_xcalloc(1, sizeof *others);
    DRV_AUTO_FREE void *owned = others;
    DRV_AUTO_JSON json_t *lists = ha_doctor_lists(ha);
    ha_cpu_hosts_ask(ha, others);
    json_t *rows = json_array();
    json_array_append_new(rows, cpu_row(ha->fqdn, json_object_get(lists, "cpus"), ""));
    for (unsigned i = 0; i < others->n; i++) {
        const struct ha_cpu_host *h = &others->list[i];
        json_array_append_new(rows, cpu_row(h->fqdn, h->models, h->error));
    }
    const char *kvm = ha_cpu_best(ha->probe, others, "kvm");
    const char *tcg = ha_cpu_best(ha->probe, others, "tcg");
    json_t *ret = json_pack("{s:o, s:{s:s, s:s}, s:s}", "hosts", rows, "common", "kvm",
                            kvm ? kvm : "", "tcg", tcg ? tcg : "", "error", others->error);
    ha_cpu_hosts_done(others);
    return ret;
}

const struct ha_call ha_calls_host[] = {
    {"host.show", HA_VIEWER, false, false, host_show},
    {"host.set", HA_ADMIN, false, false, host_set},
    {"host.list", HA_VIEWER, false, false, host_list},
    {"host.cpus", HA_VIEWER, false, false, host_cpus},
    {0},
};
