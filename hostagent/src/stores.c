// SPDX-License-Identifier: GPL-3.0-or-later
// Stores by the names that this host's administrator gave them, and the ticket to use them with.
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

enum { STORE_TIMEOUT_MS = 20000 };

static int ccache_path(struct ha *ha, char *ret, size_t size, struct drv_err *err)
{
    if (snprintf(ret, size, "%s/host.ccache", drv_conf_str(ha->conf, "run_dir")) >= (int)size)
        return drv_err(err, DRV_EINVAL, "run_dir is too long");
    return 0;
}

int ha_host_ccache_renew(struct ha *ha, struct drv_err *err)
{
    char path[512];
    if (ccache_path(ha, path, sizeof path, err) < 0)
        return -1;
    return dg_host_ccache(drv_conf_str(ha->conf, "keytab"), NULL, path, err);
}

int ha_host_ccache(struct ha *ha, char *ret, size_t size, struct drv_err *err)
{
    // Half of a usual ticket's life: a drover-store that starts now shall live on it for hours.
    const int64_t min_life_s = 5 * 3600;
    if (ccache_path(ha, ret, size, err) < 0)
        return -1;
    return dg_host_ccache_fresh(drv_conf_str(ha->conf, "keytab"), ret, min_life_s, err);
}

void ha_ccache_once(struct ha *ha, char *ret, size_t size)
{
    char id[DRV_UUID_LEN];
    drv_uuid_new(id);
    snprintf(ret, size, "%s/once.%s", drv_conf_str(ha->conf, "run_dir"), id);
}

void ha_ccache_forget(struct ha *ha)
{
    DRV_AUTO_FREE char *pattern = drv_xasprintf("%s/once.*", drv_conf_str(ha->conf, "run_dir"));
    glob_t found = {0};
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
}

int ha_store_url(struct ha *ha, const char *name, char *ret, size_t size, struct drv_err *err)
{
    DRV_AUTO_FREE char *url = NULL;
    if (db_store_get(ha->db, name, &url, err) < 0) {
        drv_err_id(err, "S01");
        return drv_err_hint(err, "`drover store list` shows this host's stores, `drover store add` "
                                 "makes one known");
    }
    if (drv_copy(ret, size, url) < 0)
        return drv_err(err, DRV_EINVAL, "the URL of store \"%s\" is too long", name);
    return 0;
}

static struct ss_store *open_url(struct ha *ha, const char *url, const char *user_ccache,
                                 int timeout_ms, struct drv_err *err)
{
    char host_ccache[512], named[600];
    struct ss_url u;
    if (ss_url_parse(url, &u, err) < 0)
        return NULL;
    struct ss_identity who = {
        .helper = ha->smb_helper, .timeout_ms = timeout_ms, .image_gid = ha->qemu_gid};
    if (u.kind == SS_SMB) {
        if (!user_ccache && ha_host_ccache(ha, host_ccache, sizeof host_ccache, err) < 0)
            return NULL;
        snprintf(named, sizeof named, "FILE:%s", user_ccache ? user_ccache : host_ccache);
        who.ccache = named;
    }
    struct drv_err why = DRV_ERR_INIT;
    struct ss_store *st = ss_store_open(url, &who, &why);
    if (!st && u.kind == SS_SMB && why.code == DRV_EDENIED && !why.id[0])
        dg_explain_logon(user_ccache ? user_ccache : host_ccache, "cifs", u.server, &why);
    if (!st && err)
        *err = why;
    return st;
}

static struct ss_store *open_name(struct ha *ha, const char *name, const char *user_ccache,
                                  int timeout_ms, struct drv_err *err)
{
    char url[HA_URL_MAX];
    if (ha_store_url(ha, name, url, sizeof url, err) < 0)
        return NULL;
    struct ss_store *st = open_url(ha, url, user_ccache, timeout_ms, err);
    if (!st)
        drv_err_prefix(err, "store \"%s\"", name);
    return st;
}

struct ss_store *ha_store_open(struct ha *ha, const char *name, const char *user_ccache,
                               struct drv_err *err)
{
    return open_name(ha, name, user_ccache, STORE_TIMEOUT_MS, err);
}

struct ss_store *ha_store_open_within(struct ha *ha, const char *name, int timeout_ms,
                                      struct drv_err *err)
{
    return open_name(ha, name, NULL, timeout_ms, err);
}

int ha_store_user_may(struct ha *ha, const char *name, const struct ha_peer *user, const char *path,
                      struct drv_err *err)
{
    char url[HA_URL_MAX], host_ccache[512], ccache[600];
    struct ss_url u;
    struct dg_env env;
    if (ha_store_url(ha, name, url, sizeof url, err) < 0 || ss_url_parse(url, &u, err) < 0 ||
        ha_host_ccache(ha, host_ccache, sizeof host_ccache, err) < 0)
        return -1;
    ha_ccache_once(ha, ccache, sizeof ccache);
    ha_delegation_env(ha, user, host_ccache, &env);
    if (dg_cifs_ccache(&env, drv_gss_delegated(user->gss), u.server, ccache, err) < 0)
        return -1;
    struct ss_store *st = ha_store_open(ha, name, ccache, err);
    int rc = !st ? -1 : path ? ss_probe_open_rw(st, path, err) : ss_probe_write(st, "", err);
    ss_store_close(st);
    unlink(ccache);
    return rc;
}

bool ha_store_user_unheard(const struct drv_err *err)
{
    return err->id[0] && err->id[0] != 'S';
}

int ha_arbiter_url(struct ha *ha, char *ret, size_t size, struct drv_err *err)
{
    struct ha_settings s;
    ha_settings_get(ha, &s);
    if (!s.arbiter[0]) {
        drv_err(err, DRV_ENOTFOUND, "%s has no arbiter: no store keeps its owner records",
                ha->fqdn);
        drv_err_id(err, "S05");
        return drv_err_hint(err, "an administrator: drover -H %s host set arbiter=STORE", ha->fqdn);
    }
    return ha_store_url(ha, s.arbiter, ret, size, err);
}

struct ss_store *ha_arbiter_open(struct ha *ha, struct drv_err *err)
{
    char url[HA_URL_MAX];
    if (ha_arbiter_url(ha, url, sizeof url, err) < 0)
        return NULL;
    struct ss_store *st = open_url(ha, url, NULL, STORE_TIMEOUT_MS, err);
    if (!st)
        drv_err_prefix(err, "arbiter %s", url);
    return st;
}

int ha_store_file_url(const char *url, const char *path, char *ret, size_t size,
                      struct drv_err *err)
{
    if (snprintf(ret, size, "%s/%s", url, path) >= (int)size)
        return drv_err(err, DRV_EINVAL, "%s/%.64s… is too long", url, path);
    return 0;
}
