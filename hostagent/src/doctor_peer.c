// SPDX-License-Identifier: GPL-3.0-or-later
// Another host, as the doctor sees it from here: its name, a channel to it as this host, acting
// there for the user, what both are and have, and the way that memory and disks will go.
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "drover/client.h"
#include "move.h"
#include "pmtu.h"

enum { CALL_MS = 30000 };

struct visit {
    struct ha_doctor *d;
    const char *peer;
    struct mv_facts ours, theirs;
};

static bool resolves(struct visit *v)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(v->peer, NULL, &hints, &list);
    if (rc == 0) {
        freeaddrinfo(list);
        return true;
    }
    drv_finding_add(v->d->out, "N06", v->d->ha->fqdn, "%s does not find %s: %s", v->d->ha->fqdn,
                    v->peer, gai_strerror(rc));
    return false;
}

// --- what a channel tells ---

static const char *purpose_of(const struct ha_doctor *d)
{
    return d->role >= AZ_OPERATOR ? "move" : "check";
}

static json_t *ask(struct visit *v, struct ha_peer *user, struct drv_err *err)
{
    struct drv_client *c = ha_channel_open(v->d->ha, v->peer, user, NULL, err);
    json_t *reply =
        c ? drv_client_call(c, "peer.host", json_pack("{s:s}", "purpose", purpose_of(v->d)),
                            CALL_MS, err)
          : NULL;
    drv_client_free(c);
    return reply;
}

// Turned away as no host: is it only this host's ticket that is too old? A new one, in a file of
// its own, tells.
static bool new_ticket_would_do(struct visit *v)
{
    struct ha *ha = v->d->ha;
    const char *keytab = drv_conf_str(ha->conf, "keytab");
    DG_AUTO_CRED gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    struct drv_err none = DRV_ERR_INIT;
    struct drv_client *c = NULL;
    char ccache[600];
    ha_ccache_once(ha, ccache, sizeof ccache);
    if (dg_host_ccache(keytab, NULL, ccache, &none) == 0 &&
        dg_host_cred(keytab, ccache, 0, &cred, &none) == 0)
        c = drv_client_tcp(v->peer, (unsigned)drv_conf_int(ha->conf, "port"), cred, CALL_MS, &none);
    json_t *reply =
        c ? drv_client_call(c, "peer.host", json_pack("{s:s}", "purpose", "check"), CALL_MS, &none)
          : NULL;
    bool ok = reply != NULL;
    json_decref(reply);
    drv_client_free(c);
    unlink(ccache);
    return ok;
}

static void say_turned_away(struct visit *v, const struct drv_err *err)
{
    struct drv_findings *out = v->d->out;
    const char *us = v->d->ha->fqdn;
    if (strcmp(err->id, "A04") != 0 || !new_ticket_would_do(v)) {
        drv_finding_err(out, "R05", us, err);
        return;
    }
    drv_finding_add(out, "A09", us,
                    "%s turns %s away: its ticket is older than its membership in the hosts' group",
                    v->peer, us);
    drv_finding_command(out, DRV_AT_USER, "drover doctor --fix %s %s", us, v->peer);
}

// What stands in the user's way over there, as it says itself.
static void take_refusals(struct visit *v, const json_t *reply)
{
    struct drv_findings theirs = {0};
    struct drv_err err = DRV_ERR_INIT;
    struct drv_findings *out = v->d->out;
    if (drv_findings_from_json(json_object_get(reply, "refusals"), &theirs, &err) < 0) {
        drv_finding_err(out, "V01", v->peer, &err);
        return;
    }
    for (unsigned i = 0; i < theirs.n; i++) {
        drv_finding_add(out, theirs.list[i].id, v->peer, "%s", theirs.list[i].text);
        if (theirs.list[i].fix[0])
            drv_finding_fix(out, "%s", theirs.list[i].fix);
    }
}

static void visit_as_user(struct visit *v)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *reply = ask(v, v->d->user, &err);
    if (reply)
        take_refusals(v, reply);
    else
        ha_doctor_say_delegation(v->d, "R05", &err);
}

// Do both hosts authorise moves in a way that the other one takes? True: by delegation.
static bool judge_auth(struct visit *v, const json_t *reply)
{
    enum az_auth ours = v->d->settings->auth, theirs = AZ_AUTH_EITHER;
    const char *us = v->d->ha->fqdn, *name = json_string_value(json_object_get(reply, "auth"));
    if (name && az_auth_from_name(name, &theirs) < 0)
        theirs = AZ_AUTH_EITHER; // from the future
    const char *id = ours == AZ_AUTH_DELEGATION && theirs == AZ_AUTH_PERMIT   ? "D15"
                     : ours == AZ_AUTH_PERMIT && theirs == AZ_AUTH_DELEGATION ? "D16"
                                                                              : NULL;
    if (id) {
        drv_finding_add(v->d->out, id, v->peer, "%s has auth=%s, %s has auth=%s", us,
                        az_auth_name(ours), v->peer, az_auth_name(theirs));
        drv_finding_command(v->d->out, v->peer, "drover host set auth=either");
    }
    return ours != AZ_AUTH_PERMIT && theirs != AZ_AUTH_PERMIT;
}

// --- the migration network ---

static void check_path(struct visit *v)
{
    char addr[64];
    const char *from = NULL;
    struct drv_err err = DRV_ERR_INIT;
    unsigned mtu = 0;
    if (mv_common_network(&v->ours, &v->theirs, addr) < 0)
        return; // N02
    if (ha_move_reach(v->d->ha, addr, &err) < 0) {
        DRV_COPY(v->ours.unreachable, err.msg);
        return;
    }
    char back[64];
    if (mv_common_network(&v->theirs, &v->ours, back) == 0)
        from = back;
    if (!from || ha_pmtu_probe(from, addr, &mtu) != HA_PMTU_STUCK)
        return;
    drv_finding_add(v->d->out, "N08", v->d->ha->fqdn,
                    "packets of %u bytes, as the interface of %s sends them, do not arrive at %s, "
                    "small ones do",
                    mtu, from, addr);
}

// The other host's arbiter, by the name that this one knows it by.
static void name_arbiter(struct drv_findings *f, unsigned from, const char *host, const char *url,
                         const json_t *lists)
{
    const char *name = ha_doctor_store_of(json_object_get(lists, "stores"), url);
    if (name)
        drv_finding_commands(f, from, "S05", host, host, "drover host set arbiter=%s", name);
}

static void compare(struct visit *v, const json_t *theirs, int64_t skew_ms)
{
    struct drv_findings *out = v->d->out;
    unsigned from = out->n;
    const char *us = v->d->ha->fqdn;
    DRV_AUTO_JSON json_t *ours = ha_doctor_lists(v->d->ha);
    mv_judge_hosts(&v->ours, &v->theirs, skew_ms, out);
    name_arbiter(out, from, us, v->theirs.arbiter_url, ours);
    name_arbiter(out, from, v->peer, v->ours.arbiter_url, theirs);
    ha_doctor_compare(us, ours, v->peer, theirs, out);
}

void ha_doctor_peer(struct ha_doctor *d, const char *peer)
{
    struct visit *v = drv_xcalloc(1, sizeof *v);
    DRV_AUTO_FREE void *owned = v;
    struct drv_err err = DRV_ERR_INIT;
    *v = (struct visit){.d = d, .peer = peer};
    if (!resolves(v))
        return;
    int64_t before = drv_now_ms();
    DRV_AUTO_JSON json_t *reply = ask(v, NULL, &err);
    int64_t took = drv_now_ms() - before;
    if (!reply || mv_facts_from_json(json_object_get(reply, "facts"), &v->theirs, &err) < 0) {
        say_turned_away(v, &err);
        return;
    }
    if (judge_auth(v, reply) && d->user)
        visit_as_user(v);
    if (d->identity_only)
        return;
    ha_host_facts(d->ha, &v->ours);
    check_path(v);
    compare(v, json_object_get(reply, "lists"), ha_skew_ms(&v->theirs, took));
}
