// SPDX-License-Identifier: GPL-3.0-or-later
// Identities of users and hosts: see peers.h.
#include "peers.h"

#include <string.h>

#include "agent.h"

int ha_credential(struct ha *ha, gss_cred_id_t *ret, struct drv_err *err)
{
    char ccache[512];
    if (ha_host_ccache(ha, ccache, sizeof ccache, err) < 0)
        return -1;
    return dg_host_cred(drv_conf_str(ha->conf, "keytab"), ccache, -1, ret, err);
}

// --- the FQDN of a host's account, from the directory, kept for a while ---

enum { NAMES = 64, KEEP_MS = 10 * 60 * 1000 };

struct host_name {
    char account[AZ_NAME_LEN], fqdn[256];
    int64_t until_ms;
};
static struct host_name names[NAMES]; // loop thread

struct name_call {
    const char *account;
    char fqdn[256]; // in for put, out for get: "" = not known
};

static void get_name(void *arg)
{
    struct name_call *c = arg;
    c->fqdn[0] = '\0';
    for (unsigned i = 0; i < NAMES; i++)
        if (names[i].until_ms > drv_now_ms() && !strcmp(names[i].account, c->account))
            DRV_COPY(c->fqdn, names[i].fqdn);
}

static void put_name(void *arg)
{
    const struct name_call *c = arg;
    struct host_name *oldest = &names[0];
    for (unsigned i = 0; i < NAMES; i++) {
        if (!strcmp(names[i].account, c->account)) {
            oldest = &names[i];
            break;
        }
        if (names[i].until_ms < oldest->until_ms)
            oldest = &names[i];
    }
    DRV_COPY(oldest->account, c->account);
    DRV_COPY(oldest->fqdn, c->fqdn);
    oldest->until_ms = drv_now_ms() + KEEP_MS;
}

static int ask_directory(struct ha *ha, const char *account, char *ret, size_t size,
                         struct drv_err *err)
{
    struct dg_account found;
    HA_AUTO_DIRECTORY struct dg_ldap *l = ha_directory(ha, err);
    int rc = l ? dg_ldap_account(l, account, &found, err) : -1;
    if (rc < 0)
        return drv_err_prefix(err, "the name of host %s", account);
    rc = drv_copy(ret, size, found.fqdn);
    dg_account_done(&found);
    if (rc < 0 || !ret[0])
        return drv_err(err, DRV_EPEER, "account %s has no dNSHostName in the directory", account);
    return 0;
}

static int host_fqdn(struct ha *ha, const char *account, char *ret, size_t size,
                     struct drv_err *err)
{
    struct name_call c = {.account = account};
    drv_loop_call(ha->loop, get_name, &c);
    if (!c.fqdn[0]) {
        if (ask_directory(ha, account, c.fqdn, sizeof c.fqdn, err) < 0)
            return -1;
        drv_loop_call(ha->loop, put_name, &c);
    }
    drv_copy(ret, size, c.fqdn);
    return 0;
}

int ha_classify(struct ha *ha, const struct drv_gss *gss, struct ha_identity *ret,
                struct drv_err *err)
{
    struct ha_settings s;
    memset(ret, 0, sizeof *ret);
    if (az_identity_from_gss(drv_gss_peer_name(gss), drv_gss_peer(gss), &ret->az, err) < 0)
        return -1;
    ha_settings_get(ha, &s);
    ret->is_host = az_is_host(&s.roles, &ret->az);
    if (!ret->is_host) {
        ret->role = az_role_of(&s.roles, &ret->az, NULL);
        return 0;
    }
    if (host_fqdn(ha, ret->az.account, ret->host, sizeof ret->host, err) == 0)
        return 0;
    ha_identity_done(ret);
    return -1;
}
