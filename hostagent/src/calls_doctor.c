// SPDX-License-Identifier: GPL-3.0-or-later
// Wire calls of the doctor: doctor.host for people, peer.host between agents (docs/WIRE.md).
#include <string.h>

#include "doctor.h"
#include "move.h"
#include "tables.h"

// --- doctor.host ---

static int take_peers(struct ha_ctx *ctx, const json_t *list, const char *ret[], unsigned *ret_n,
                      struct drv_err *err)
{
    size_t i;
    json_t *item;
    if (list && (!json_is_array(list) || json_array_size(list) > HA_DOCTOR_PEERS_MAX))
        return drv_err(err, DRV_EINVAL, "peers: a list of at most %d hosts", HA_DOCTOR_PEERS_MAX);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !drv_name_valid(name, 253))
            return drv_err(err, DRV_EINVAL, "peers: the full names of hosts");
        if (strcasecmp(name, ctx->ha->fqdn) != 0)
            ret[(*ret_n)++] = name;
    }
    return 0;
}

static json_t *doctor_host(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    json_t *list = NULL;
    const char *peers[HA_DOCTOR_PEERS_MAX];
    unsigned n = 0;
    int identity = 0, renew = 0;
    struct drv_findings found = {0};
    struct ha_peer *user = ha_ctx_actor(ctx);
    enum az_role role = ha_ctx_role(ctx);
    if (ha_args(args, err, "{s?o, s?b, s?b}", "peers", &list, "identity", &identity, "renew",
                &renew) < 0 ||
        take_peers(ctx, list, peers, &n, err) < 0)
        return NULL;
    if (!user && role == AZ_NONE) {
        drv_err(err, DRV_EDENIED, "the doctor is for root and for users with a ticket");
        drv_err_id(err, "K01");
        drv_err_hint(err, "kinit USER");
        return NULL;
    }
    if (renew && role >= AZ_VIEWER && ha_host_ccache_renew(ctx->ha, err) < 0) {
        drv_finding_err(&found, "K06", ctx->ha->fqdn, err);
        drv_err_clear(err);
    }
    ha_doctor_run(ctx->ha, user, role, peers, n, identity, &found);
    json_t *ret =
        json_pack("{s:s, s:o}", "host", ctx->ha->fqdn, "findings", drv_findings_to_json(&found));
    struct ha_settings s;
    ha_settings_get(ctx->ha, &s);
    if (!user || role >= AZ_VIEWER) {
        json_object_set_new(ret, "stores", ha_doctor_stores_list(ctx->ha));
        json_object_set_new(ret, "auth", json_string(az_auth_name(s.auth)));
    }
    drv_findings_done(&found);
    return ret;
}

// --- peer.host ---

// What would this host say to the user inside the channel?
static json_t *refusals(struct ha_ctx *ctx, enum az_action action)
{
    struct ha_settings s;
    struct az_decision d;
    struct drv_findings f = {0};
    if (!ctx->inner)
        return json_array();
    ha_settings_get(ctx->ha, &s);
    struct az_actor who = {.user = &ctx->inner->id.az, .host = &ctx->peer->id.az};
    struct az_policy policy = ha_policy(ctx->ha, &s);
    policy.auth = AZ_AUTH_EITHER; // it is about the role: a permit is for a VM, and there is none
    az_decide(&policy, action, &who, &d);
    for (unsigned i = 0; i < d.n_refusals; i++) {
        if (!strcmp(d.refusals[i].id, "R01"))
            continue; // both hosts' facts tell that
        drv_finding_add(&f, d.refusals[i].id, ctx->ha->fqdn, "%s", d.refusals[i].reason);
        if (d.refusals[i].fix[0])
            drv_finding_fix(&f, "%s", d.refusals[i].fix);
    }
    json_t *ret = drv_findings_to_json(&f);
    drv_findings_done(&f);
    return ret;
}

static json_t *peer_host(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    const char *purpose;
    if (ha_args(args, err, "{s:s}", "purpose", &purpose) < 0)
        return NULL;
    struct mv_facts *facts = drv_xcalloc(1, sizeof *facts);
    DRV_AUTO_FREE void *owned = facts;
    ha_host_facts(ctx->ha, facts);
    enum az_action action = !strcmp(purpose, "move") ? AZ_MOVE_IN : AZ_PEER_CHECK;
    struct ha_settings s;
    ha_settings_get(ctx->ha, &s);
    return json_pack("{s:o, s:o, s:o, s:s}", "facts", mv_facts_to_json(facts), "lists",
                     ha_doctor_lists(ctx->ha), "refusals", refusals(ctx, action), "auth",
                     az_auth_name(s.auth));
}

const struct ha_call ha_calls_doctor[] = {
    {.name = "doctor.host", .who = HA_ANY, .run = doctor_host},
    {.name = "peer.host", .who = HA_HOST, .needs_kerberos = true, .run = peer_host},
    {0},
};
