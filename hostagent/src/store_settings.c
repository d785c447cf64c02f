// SPDX-License-Identifier: GPL-3.0-or-later
// Settings of a store: `drover store set NAME KEY=VALUE…`. They count from the next start of a VM's
// drover-store on.
#include <stdlib.h>
#include <string.h>

#include "agent.h"

const struct drv_option ha_store_options[] = {
    {"stall_deadline", DRV_OPT_DURATION, 10000, 600000, "60s", NULL, NULL, false,
     "How long an outage of the file server is hidden from guests before they are paused. Not set: "
     "as in drover.conf.",
     NULL},
    {"encrypt", DRV_OPT_BOOL, 0, 0, "on", NULL, NULL, false,
     "Disks' connections to the share: off leaves them signed, and readable on the wire.", NULL},
    {0},
};

// What is set, over the defaults. NULL: err.
static struct drv_conf *load(struct ha *ha, const char *store, struct drv_err *err)
{
    struct drv_conf *c = drv_conf_new(ha_store_options);
    int rc = drv_conf_set(c, "stall_deadline", drv_conf_str(ha->conf, "stall_deadline"), err);
    for (const struct drv_option *o = ha_store_options; rc == 0 && o->name; o++) {
        DRV_AUTO_FREE char *value = NULL;
        rc = db_store_setting_get(ha->db, store, o->name, &value, err);
        if (rc == 0 && value)
            rc = drv_conf_set(c, o->name, value, err);
    }
    if (rc == 0)
        return c;
    drv_conf_free(c);
    return NULL;
}

int ha_store_settings(struct ha *ha, const char *store, struct ha_store_settings *ret,
                      struct drv_err *err)
{
    struct drv_conf *c = load(ha, store, err);
    if (!c)
        return -1;
    ret->stall_deadline_s = (unsigned)(drv_conf_int(c, "stall_deadline") / 1000);
    ret->encrypt = drv_conf_bool(c, "encrypt");
    drv_conf_free(c);
    return 0;
}

json_t *ha_store_settings_json(struct ha *ha, const char *store, struct drv_err *err)
{
    struct drv_conf *c = load(ha, store, err);
    if (!c)
        return NULL;
    json_t *j = json_object();
    for (const struct drv_option *o = ha_store_options; o->name; o++)
        json_object_set_new(j, o->name, json_string(drv_conf_str(c, o->name)));
    drv_conf_free(c);
    return j;
}

// All are checked before one is kept.
int ha_store_settings_change(struct ha *ha, const char *store, const json_t *set,
                             struct drv_err *err)
{
    const char *key;
    json_t *value;
    for (int keep = 0; keep < 2; keep++)
        json_object_foreach((json_t *)(uintptr_t)set, key, value)
        {
            const struct drv_option *o = drv_option_need(ha_store_options, "store", key, err);
            if (!o)
                return -1;
            if (!json_is_string(value))
                return drv_err(err, DRV_EINVAL, "%s: the value must be a text", key);
            DRV_AUTO_FREE char *text = drv_option_canonical(o, json_string_value(value), err);
            if (!text || (keep && db_store_setting_set(ha->db, store, key, text, err) < 0))
                return drv_err_prefix(err, "%s", key);
        }
    return 0;
}

unsigned ha_stall_deadline_s(struct ha *ha, const struct ss_vmdef *def)
{
    struct ha_settings host;
    struct ha_store_settings s;
    struct drv_err ignored = DRV_ERR_INIT;
    unsigned longest = (unsigned)(drv_conf_int(ha->conf, "stall_deadline") / 1000);
    ha_settings_get(ha, &host);
    if (ha_store_settings(ha, host.arbiter, &s, &ignored) == 0 && s.stall_deadline_s > longest)
        longest = s.stall_deadline_s;
    for (unsigned i = 0; i < def->n_disks; i++) {
        drv_err_clear(&ignored);
        if (ha_store_settings(ha, def->disks[i].store, &s, &ignored) == 0 &&
            s.stall_deadline_s > longest)
            longest = s.stall_deadline_s;
    }
    return longest;
}
