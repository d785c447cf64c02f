// SPDX-License-Identifier: GPL-3.0-or-later
// The host channel of a move (DESIGN.md section 5.3): opened as this host's account; the user is
// proven inside it by constrained delegation, or by a permit that she got there herself.
#include "move.h"

enum { CONNECT_TIMEOUT_MS = 10000, PERMIT_TIMEOUT_MS = 30000 };

// Find out first whether the KDC lets this host act for the user, as it refuses for many reasons
// with one answer; the diagnosis names the one.
static int probe_delegation(struct ha *ha, const char *to, struct ha_peer *user,
                            struct drv_err *err)
{
    char ccache[512], by[DG_NAME_LEN];
    gss_cred_id_t cred = drv_gss_delegated(user->gss);
    if (dg_impersonator(cred, by, err) < 0 || ha_host_ccache(ha, ccache, sizeof ccache, err) < 0)
        return -1;
    struct dg_env env;
    ha_delegation_env(ha, user, ccache, &env);
    return dg_probe(&env, cred, "drover", to, err);
}

static int show_permit(struct drv_client *c, const char *permit, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *answer = drv_client_call(
        c, "peer.permit", json_pack("{s:s}", "permit", permit), PERMIT_TIMEOUT_MS, err);
    return answer ? 0 : -1;
}

struct drv_client *ha_channel_open(struct ha *ha, const char *to, struct ha_peer *user,
                                   const char *permit, struct drv_err *err)
{
    DG_AUTO_CRED gss_cred_id_t host_cred = GSS_C_NO_CREDENTIAL;
    char ccache[512];
    bool by_permit = permit && permit[0], delegated = user && !by_permit;
    if (delegated && probe_delegation(ha, to, user, err) < 0)
        return NULL;
    if (ha_host_ccache(ha, ccache, sizeof ccache, err) < 0 ||
        dg_host_cred(drv_conf_str(ha->conf, "keytab"), ccache, -1, &host_cred, err) < 0)
        return NULL;
    struct drv_client *c = drv_client_tcp(to, (unsigned)drv_conf_int(ha->conf, "port"), host_cred,
                                          CONNECT_TIMEOUT_MS, err);
    if (!c) {
        if (err->code == DRV_EUNREACHABLE || err->code == DRV_ETIMEDOUT)
            drv_err_id(err, "R04");
        drv_err_prefix(err, "host %s", to);
        return NULL;
    }
    if ((by_permit && show_permit(c, permit, err) < 0) ||
        (delegated &&
         drv_client_inner(c, "peer.user", "drover", to, drv_gss_delegated(user->gss), err) < 0)) {
        drv_client_free(c);
        return NULL;
    }
    return c;
}
