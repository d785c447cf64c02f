// SPDX-License-Identifier: GPL-3.0-or-later
// This host in the domain, as the doctor sees it: its name, its keytab, the clock, its account and
// groups, and the groups that the setting `roles` names.
#include <ctype.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "subnet.h"

// --- DNS ---

static bool is_own(const struct sockaddr *sa)
{
    struct ifaddrs *all = NULL;
    bool own = false;
    if (getifaddrs(&all) < 0)
        return true; // nothing can be said
    for (struct ifaddrs *i = all; i && !own; i = i->ifa_next)
        own = ha_sockaddr_is(i->ifa_addr, sa->sa_family, ha_sockaddr_ip(sa));
    freeifaddrs(all);
    return own;
}

// No reverse entry at all is fine; a wrong one misleads whoever canonicalises names by it.
static void check_reverse(struct ha_doctor *d, const struct addrinfo *a)
{
    char name[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, name, sizeof name, NULL, 0, NI_NAMEREQD) != 0 ||
        !strcasecmp(name, d->ha->fqdn))
        return;
    drv_finding_add(d->out, "N07", d->ha->fqdn, "the address of %s leads back to the name %s",
                    d->ha->fqdn, name);
}

void ha_doctor_name(struct ha_doctor *d)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    const char *fqdn = d->ha->fqdn;
    bool own = false;
    int rc = getaddrinfo(fqdn, NULL, &hints, &list);
    if (rc != 0) {
        drv_finding_add(d->out, "N06", fqdn, "%s does not find its own name %s: %s", fqdn, fqdn,
                        gai_strerror(rc));
        return;
    }
    for (const struct addrinfo *a = list; a && !own; a = a->ai_next)
        own = is_own(a->ai_addr);
    if (own)
        check_reverse(d, list);
    else
        drv_finding_add(d->out, "N06", fqdn,
                        "the name %s leads to an address that this host does not have", fqdn);
    freeaddrinfo(list);
}

// --- the keytab: log on with it, and to ourselves ---

static void gss_done(struct drv_gss **g)
{
    drv_gss_free(*g);
}

// Both ends of a log-on to this host's own service. *ret: who the acceptor saw.
static int log_on(struct ha *ha, gss_cred_id_t cred, struct az_identity *ret, struct drv_err *err)
{
    DRV_CLEANUP(gss_done) struct drv_gss *from = drv_gss_initiate("drover", ha->fqdn, cred, err);
    DRV_CLEANUP(gss_done) struct drv_gss *to = drv_gss_accept(cred);
    DRV_AUTO_FREE void *token = NULL;
    size_t len = 0;
    int rc = from ? drv_gss_step(from, NULL, 0, &token, &len, err) : -1;
    for (int turn = 0; rc >= 0 && token && turn < 8; turn++) {
        DRV_AUTO_FREE void *in = DRV_TAKE(token);
        rc = drv_gss_step(turn % 2 ? from : to, in, len, &token, &len, err);
    }
    if (rc < 0)
        return -1;
    return az_identity_from_gss(drv_gss_peer_name(to), drv_gss_peer(to), ret, err);
}

// As this host, with the ticket in that file.
static int own_identity(struct ha_doctor *d, const char *ccache, struct az_identity *ret,
                        struct drv_err *err)
{
    DG_AUTO_CRED gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    if (dg_host_cred(drv_conf_str(d->ha->conf, "keytab"), ccache, 0, &cred, err) < 0)
        return -1;
    return log_on(d->ha, cred, ret, err);
}

// The account as the keytab spells it, else as hosts are usually called.
static void account_of(struct ha_doctor *d, char ret[DG_NAME_LEN])
{
    struct drv_err none = DRV_ERR_INIT;
    if (dg_keytab_principal(drv_conf_str(d->ha->conf, "keytab"), ret, &none) == 0) {
        ret[strcspn(ret, "@")] = '\0';
        return;
    }
    snprintf(ret, DG_NAME_LEN, "%.*s$", (int)strcspn(d->ha->fqdn, "."), d->ha->fqdn);
    for (char *p = ret; *p; p++)
        *p = (char)toupper((unsigned char)*p);
}

static void say(struct ha_doctor *d, const char *id, const struct drv_err *err)
{
    char account[DG_NAME_LEN];
    drv_finding_err(d->out, id, d->ha->fqdn, err);
    if (strcmp(d->out->list[d->out->n - 1].id, "K06") != 0)
        return;
    account_of(d, account);
    drv_finding_command(d->out, DRV_AT_DOMAIN, "samba-tool domain exportkeytab %s --principal='%s'",
                        drv_conf_str(d->ha->conf, "keytab"), account);
}

void ha_doctor_keytab(struct ha_doctor *d)
{
    char ccache[600];
    struct drv_err err = DRV_ERR_INIT;
    AZ_AUTO_IDENTITY struct az_identity who = {0};
    ha_ccache_once(d->ha, ccache, sizeof ccache);
    if (dg_host_ccache(drv_conf_str(d->ha->conf, "keytab"), NULL, ccache, &err) < 0 ||
        own_identity(d, ccache, &who, &err) < 0)
        say(d, "K06", &err);
    else
        drv_finding_add_as(d->out, DRV_SEV_OK, "K06", d->ha->fqdn,
                           "%s logs on with its keytab, and reads tickets for itself", who.name);
    unlink(ccache);
}

// --- the directory: clock, account, keys ---

static void check_clock(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    int64_t skew_ms = 0;
    if (dg_ldap_skew_ms(d->ldap, &skew_ms, &err) < 0) {
        say(d, "K04", &err);
        return;
    }
    long long off = llabs(skew_ms);
    if (off < MV_SKEW_WARN_MS)
        return;
    drv_finding_add(d->out, off < MV_SKEW_ERROR_MS ? "T02" : "T01", d->ha->fqdn,
                    "the clock of %s is %lld s %s that of %s", d->ha->fqdn, off / 1000,
                    skew_ms > 0 ? "behind" : "before", dg_ldap_dc(d->ldap));
    drv_finding_command(d->out, d->ha->fqdn, "chronyc makestep");
}

static void check_keys(struct ha_doctor *d, const struct dg_account *a, const char *principal)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_keys keys;
    if (dg_keytab_keys(drv_conf_str(d->ha->conf, "keytab"), principal, &keys, &err) < 0)
        ; // told below
    else if (a->kvno && keys.kvno < a->kvno)
        drv_err(&err, DRV_ESTATE, "the keytab of %s has key version %u, its account is at %u",
                a->name, keys.kvno, a->kvno);
    else if (!keys.aes)
        drv_err(&err, DRV_ESTATE, "the keytab of %s has no AES key", a->name);
    if (err.code != DRV_OK)
        say(d, "K06", &err);
}

static bool in_group(const struct dg_strings *groups, const struct az_role_entry *e)
{
    return e->hosts && e->sid[0] && dg_strings_has(groups, e->sid);
}

// In the hosts' group by the directory? Whether its tickets know it is for other hosts to say
// (ha_doctor_peer).
static void check_group(struct ha_doctor *d, const struct dg_account *a)
{
    struct dg_strings groups DRV_CLEANUP(dg_strings_done) = {0};
    struct drv_err err = DRV_ERR_INIT;
    const struct az_roles *roles = &d->settings->roles;
    const struct az_role_entry *entry = NULL;
    bool member = false;
    if (dg_ldap_groups_of(d->ldap, a->dn, &groups, &err) < 0) {
        say(d, "K04", &err);
        return;
    }
    for (unsigned i = 0; i < roles->n; i++) {
        entry = roles->list[i].hosts ? &roles->list[i] : entry;
        member = member || in_group(&groups, &roles->list[i]);
    }
    if (!entry)
        return; // ha_doctor_roles tells
    if (!member) {
        drv_finding_add(d->out, "A04", d->ha->fqdn, "%s is not a member of %s", a->name,
                        entry->label[0] ? entry->label : entry->sid);
        drv_finding_command(d->out, DRV_AT_DOMAIN, "drover delegation setup %.*s",
                            (int)strcspn(a->name, "$"), a->name);
    }
}

void ha_doctor_directory(struct ha_doctor *d)
{
    struct drv_err err = DRV_ERR_INIT;
    char principal[DG_NAME_LEN], account[DG_NAME_LEN];
    struct dg_account a = {0};
    d->ldap = ha_directory(d->ha, &err);
    if (!d->ldap) {
        say(d, "K04", &err);
        return;
    }
    check_clock(d);
    if (dg_keytab_principal(drv_conf_str(d->ha->conf, "keytab"), principal, &err) < 0) {
        say(d, "K06", &err);
        return;
    }
    snprintf(account, sizeof account, "%.*s", (int)strcspn(principal, "@"), principal);
    if (dg_ldap_account(d->ldap, account, &a, &err) < 0) {
        say(d, err.code == DRV_ENOTFOUND ? "D21" : "K04", &err);
        return;
    }
    check_keys(d, &a, principal);
    check_group(d, &a);
    dg_account_done(&a);
}

// --- the setting `roles` ---

void ha_doctor_roles(struct ha_doctor *d)
{
    const struct az_roles *roles = &d->settings->roles;
    bool hosts = false, people = false;
    for (unsigned i = 0; i < roles->n; i++) {
        const struct az_role_entry *e = &roles->list[i];
        char name[DG_NAME_LEN];
        struct drv_err err = DRV_ERR_INIT;
        hosts = hosts || e->hosts;
        people = people || e->role >= AZ_OPERATOR;
        if (dg_ldap_sid_name(d->ldap, e->sid, name, &err) == 0)
            continue;
        drv_finding_add(d->out, "A10", d->ha->fqdn,
                        "the group %s of the setting roles is not in the directory: %s",
                        e->label[0] ? e->label : e->sid, err.msg);
    }
    if (!hosts || !people)
        drv_finding_add(d->out, "A10", d->ha->fqdn, "the setting roles names no group of %s%s%s",
                        hosts ? "" : "hosts", hosts || people ? "" : ", and none of ",
                        people ? "" : "operators or admins");
}
