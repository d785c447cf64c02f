// SPDX-License-Identifier: GPL-3.0-or-later
// The host settings (what a host may do), which `drover host set` changes and the database keeps.
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "subnet.h"

static int check_subnet(const char *item, struct drv_err *err)
{
    struct ha_subnet s;
    return ha_subnet_parse(item, &s, err);
}

static int check_roles(const char *value, struct drv_err *err)
{
    struct az_roles roles;
    return az_roles_parse(value, &roles, err);
}

const struct drv_option ha_setting_options[] = {
    {"receive", DRV_OPT_BOOL, 0, 0, "off", NULL, NULL, true, "Accept VMs from other hosts.", NULL},
    {"send", DRV_OPT_BOOL, 0, 0, "off", NULL, NULL, true, "Let VMs leave for other hosts.", NULL},
    {"max_moves", DRV_OPT_INT, 0, 64, "2", NULL, NULL, true,
     "Moves to or from this host at the same time.", NULL},
    {"max_storage_moves", DRV_OPT_INT, 0, 64, "2", NULL, NULL, true,
     "Of these, moves that carry disks.", NULL},
    {"move_networks", DRV_OPT_LIST, 0, 8, "", NULL, NULL, true,
     "Networks that memory and disks go over, best first. QEMU binds there and nowhere else.",
     check_subnet},
    {"bandwidth", DRV_OPT_BYTES, 0, 1LL << 40, "0", "bytes/s", NULL, true,
     "Cap for one move, such as 100M; 0 = none.", NULL},
    {"data_ports", DRV_OPT_STRING, 0, 16, "4500-4599", NULL, NULL, true,
     "TCP ports for memory and disk streams, FIRST-LAST.", NULL},
    {"max_blackout_ms", DRV_OPT_INT, 50, 600000, "2000", "ms", NULL, true,
     "Longest pause of a guest that a move may cause.", NULL},
    {"arbiter", DRV_OPT_STRING, 0, 63, "", NULL, NULL, true,
     "SMB store that keeps the owner records of this host's VMs.", NULL},
    {"keep_source", DRV_OPT_DURATION, 0, 365LL * 86400000, "0", NULL, NULL, true,
     "Keep the images at the source for so long after a move; 0 = delete them.", NULL},
    {"autostart_wait", DRV_OPT_DURATION, 1000, 86400000, "15m", NULL, NULL, true,
     "After a boot, try for so long to start VMs with autostart whose store does not answer.",
     NULL},
    {"shutdown_wait", DRV_OPT_DURATION, 1000, 3600000, "5m", NULL, NULL, true,
     "When the host shuts down, wait for all guests together for at most so long.", NULL},
    {"encrypt", DRV_OPT_BOOL, 0, 0, "on", NULL, NULL, true,
     "Encrypt memory and disk streams. Both hosts must agree.", NULL},
    {"roles", DRV_OPT_STRING, 0, 1000, "", NULL, NULL, true,
     "Groups that may do something: admin=GROUP,operator=GROUP,viewer=GROUP,hosts=GROUP.",
     check_roles},
    {"auth", DRV_OPT_ENUM, 0, 0, "either", NULL, "permit|delegation|either", true,
     "What moves are authorised by: delegation (the source acts for the user), or a permit that "
     "the "
     "user gets from the destination. At the destination: what it accepts; at the source: what it "
     "offers.",
     NULL},
    {0},
};

static int parse_ports(const char *text, struct ha_settings *s, struct drv_err *err)
{
    char end;
    if (sscanf(text, "%u-%u%c", &s->data_port_first, &s->data_port_last, &end) != 2 ||
        s->data_port_first < 1 || s->data_port_last > 65535 ||
        s->data_port_first >= s->data_port_last) {
        drv_err(err, DRV_EINVAL, "data_ports: \"%s\" is not FIRST-LAST", text);
        return drv_err_hint(err, "for example 4500-4599");
    }
    return 0;
}

enum { BANDWIDTH_MIN_BPS = 64 << 10 }; // less is a mistake in the unit

static int from_conf(const struct drv_conf *c, struct ha_settings *s, struct drv_err *err)
{
    memset(s, 0, sizeof *s);
    s->receive = drv_conf_bool(c, "receive");
    s->send = drv_conf_bool(c, "send");
    s->encrypt = drv_conf_bool(c, "encrypt");
    s->max_moves = (unsigned)drv_conf_int(c, "max_moves");
    s->max_storage_moves = (unsigned)drv_conf_int(c, "max_storage_moves");
    s->autostart_wait_ms = drv_conf_int(c, "autostart_wait");
    s->shutdown_wait_ms = drv_conf_int(c, "shutdown_wait");
    s->max_blackout_ms = (uint32_t)drv_conf_int(c, "max_blackout_ms");
    s->bandwidth_bps = (uint64_t)drv_conf_int(c, "bandwidth");
    int64_t keep_ms = drv_conf_int(c, "keep_source");
    s->keep_source_s = keep_ms ? keep_ms / 1000 : -1;
    DRV_COPY(s->move_networks, drv_conf_str(c, "move_networks"));
    DRV_COPY(s->arbiter, drv_conf_str(c, "arbiter"));
    if (parse_ports(drv_conf_str(c, "data_ports"), s, err) < 0)
        return -1;
    if (az_auth_from_name(drv_conf_str(c, "auth"), &s->auth) < 0)
        return drv_err(err, DRV_EINTERNAL, "auth=%s has no meaning", drv_conf_str(c, "auth"));
    return az_roles_parse(drv_conf_str(c, "roles"), &s->roles, err);
}

// All settings of the database over the defaults, plus one change that is only being tried.
static struct drv_conf *stored(struct ha *ha, struct drv_err *err)
{
    struct drv_conf *c = drv_conf_new(ha_setting_options);
    struct db_settings all = {0};
    int rc = db_setting_all(ha->db, &all, err);
    for (unsigned i = 0; rc == 0 && i < all.n; i++)
        if (drv_option_find(ha_setting_options, all.list[i].key))
            rc = drv_conf_set(c, all.list[i].key, all.list[i].value, err);
    db_settings_done(&all);
    if (rc == 0)
        return c;
    drv_conf_free(c);
    return NULL;
}

struct swap {
    struct ha *ha;
    struct ha_settings *other;
};

static void swap_in(void *arg)
{
    struct swap *w = arg;
    w->ha->settings = *w->other;
}

int ha_settings_load(struct ha *ha, struct drv_err *err)
{
    struct drv_conf *c = stored(ha, err);
    struct ha_settings next;
    int rc = c ? from_conf(c, &next, err) : -1;
    drv_conf_free(c);
    if (rc == 0)
        drv_loop_call(ha->loop, swap_in, &(struct swap){ha, &next});
    return rc;
}

int ha_settings_change(struct ha *ha, const struct db_setting *list, unsigned n,
                       struct drv_err *err)
{
    struct drv_conf *c = stored(ha, err);
    struct ha_settings tried;
    int rc = c ? 0 : -1;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        rc = drv_option_need(ha_setting_options, "host", list[i].key, err)
                 ? drv_conf_set(c, list[i].key, list[i].value, err)
                 : -1;
    }
    if (rc == 0)
        rc = from_conf(c, &tried, err);
    if (rc == 0 && tried.bandwidth_bps && tried.bandwidth_bps < BANDWIDTH_MIN_BPS)
        rc = drv_err(err, DRV_EINVAL,
                     "bandwidth = %s: must be 0, for no cap, or at least 64K bytes a second",
                     drv_conf_str(c, "bandwidth"));
    drv_conf_free(c);
    if (rc == 0)
        rc = db_setting_set_all(ha->db, list, n, err);
    return rc == 0 ? ha_settings_load(ha, err) : -1;
}

json_t *ha_settings_to_json(struct ha *ha, struct drv_err *err)
{
    struct drv_conf *c = stored(ha, err);
    if (!c)
        return NULL;
    json_t *j = json_object();
    for (const struct drv_option *o = ha_setting_options; o->name; o++)
        json_object_set_new(j, o->name, json_string(drv_conf_str(c, o->name)));
    drv_conf_free(c);
    return j;
}

static void copy_out(void *arg)
{
    struct swap *w = arg;
    *w->other = w->ha->settings;
}

void ha_settings_get(struct ha *ha, struct ha_settings *ret)
{
    drv_loop_call(ha->loop, copy_out, &(struct swap){ha, ret});
}

struct az_policy ha_policy(const struct ha *ha, const struct ha_settings *s)
{
    return (struct az_policy){.fqdn = ha->fqdn,
                              .receive = s->receive,
                              .send = s->send,
                              .auth = s->auth,
                              .roles = &s->roles};
}
