// SPDX-License-Identifier: GPL-3.0-or-later
// Why did the KDC refuse to delegate? It says KDC_ERR_BADOPTION for every cause; the causes differ
// in what they leave behind:
//
//   evidence not forwardable + user sensitive or in Protected Users → D12: AD forbids it for this
//   user evidence not forwardable otherwise                              → K03: the user's own
//   ticket lacks it evidence forwardable, service not listed on our account         → D10/D11:
//   delegation is not set up anything else                                                   → D14,
//   with what is known
//
// collect() gathers the evidence (ticket flags, PAC facts from the caller, LDAP for what is still
// open); dg_verdict() judges it without I/O.
#include <stdio.h>
#include <string.h>

#include "delegation_int.h"
#include "drover/gss.h"

static int say_listing(const struct dg_evidence *e, struct drv_err *err)
{
    char computer[DG_NAME_LEN];
    DRV_COPY(computer, e->host_account);
    computer[strcspn(computer, "$")] = '\0'; // Set-ADComputer wants it without
    bool agent = strncmp(e->spn, "drover/", strlen("drover/")) == 0;
    drv_err(err, DRV_EDENIED,
            "%s may not act for users towards %s: that name is not in its msDS-AllowedToDelegateTo",
            e->host_account, e->spn);
    drv_err_id(err, agent ? "D10" : "D11");
    return drv_err_hint(err,
                        "as a domain administrator: samba-tool delegation add-service '%s' %s "
                        "(Windows: Set-ADComputer %s -Add @{'msDS-AllowedToDelegateTo'='%s'})",
                        e->host_account, e->spn, computer, e->spn);
}

static int say_user(const struct dg_evidence *e, struct drv_err *err)
{
    int name_len = (int)strcspn(e->user, "@");
    if (e->protected_user == DG_YES) {
        drv_err(err, DRV_EDENIED,
                "%s is a member of Protected Users, whose tickets cannot be delegated", e->user);
        drv_err_hint(err,
                     "move as another user, or take this one out of the group: samba-tool group "
                     "removemembers \"Protected Users\" %.*s, then kinit again",
                     name_len, e->user);
    } else {
        drv_err(err, DRV_EDENIED,
                "%s is marked \"Account is sensitive and cannot be delegated\" in the directory",
                e->user);
        drv_err_hint(err,
                     "move as another user, or clear the mark: samba-tool user sensitive %.*s off "
                     "(Windows: Set-ADUser %.*s -AccountNotDelegated $false), then kinit again",
                     name_len, e->user, name_len, e->user);
    }
    return drv_err_id(err, "D12");
}

static int say_forwardable(const struct dg_evidence *e, struct drv_err *err)
{
    drv_err(err, DRV_EDENIED, "the ticket of %s is not forwardable, so %s cannot act for the user",
            e->user, e->host_account);
    drv_err_hint(err,
                 "kinit -f %.*s, or set forwardable = true in [libdefaults] of krb5.conf where "
                 "kinit runs, then kinit again",
                 (int)strcspn(e->user, "@"), e->user);
    return drv_err_id(err, "K03");
}

int dg_verdict(const struct dg_evidence *e, struct drv_err *err)
{
    bool user_forbidden = e->not_delegated == DG_YES || e->protected_user == DG_YES;
    if (e->forwardable == DG_NO && user_forbidden)
        return say_user(e, err);
    if (e->forwardable == DG_NO && e->not_delegated == DG_NO && e->protected_user == DG_NO)
        return say_forwardable(e, err);
    if (e->forwardable != DG_NO && e->listed == DG_NO)
        return say_listing(e, err);
    if (user_forbidden) // marked after the ticket was issued
        return say_user(e, err);

    drv_err(err, DRV_EDENIED,
            "the KDC does not let %s act for %s towards %s, and the cause is not "
            "certain%s%s",
            e->host_account, e->user, e->spn,
            e->ldap_problem[0] ? ": the directory did not tell: " : "", e->ldap_problem);
    if (e->forwardable == DG_NO)
        drv_err_hint(err,
                     "the user's ticket is not forwardable: kinit -f USER; if that does not help, "
                     "the user is sensitive or in Protected Users");
    else if (e->listed == DG_YES)
        drv_err_hint(err,
                     "%s is listed for %s: wait until the domain controllers have replicated, then "
                     "kinit again and restart drover; the KDC's log has the reason",
                     e->spn, e->host_account);
    else
        drv_err_hint(err,
                     "look whether %s is in msDS-AllowedToDelegateTo of %s: samba-tool delegation "
                     "show '%s'",
                     e->spn, e->host_account, e->host_account);
    return drv_err_id(err, "D14");
}

// ---- collecting ----

struct evidence_ticket {
    const char *impersonator; // with realm
    krb5_flags flags;
    char user[DG_NAME_LEN];
};

// The user's own ticket to us: its client is not us. (Tickets got with it have the same client;
// they exist only when delegation worked, and have the evidence's flags.)
static int find_evidence(krb5_context k, const krb5_creds *cred, void *arg)
{
    struct evidence_ticket *t = arg;
    char client[DG_NAME_LEN];
    dg_krb5_name(k, cred->client, client);
    if (strcmp(client, t->impersonator) == 0)
        return 0;
    t->flags = cred->ticket_flags;
    DRV_COPY(t->user, client);
    return 1;
}

static void read_ticket(gss_cred_id_t cred, struct dg_evidence *e)
{
    struct dg_krb5 k5 DG_AUTO_KRB5 = {0};
    char by[DG_NAME_LEN];
    struct evidence_ticket ticket = {.impersonator = by};
    int found = 0;
    DRV_COPY(e->user, "the user");
    DRV_COPY(e->host_account, "this host");
    if (dg_impersonator(cred, by, NULL) < 0)
        return;
    DRV_COPY(e->host_account, by);
    e->host_account[strcspn(e->host_account, "@")] = '\0';
    if (dg_krb5_init(&k5, NULL) < 0 || dg_ccache_of_cred(&k5, cred, NULL) < 0 ||
        dg_ccache_each(k5.k, k5.cc, find_evidence, &ticket, &found, NULL) < 0 || !found)
        return;
    DRV_COPY(e->user, ticket.user);
    e->forwardable = ticket.flags & TKT_FLG_FORWARDABLE ? DG_YES : DG_NO;
}

static enum dg_known known(bool value)
{
    return value ? DG_YES : DG_NO;
}

static int ask_user(struct dg_ldap *l, struct dg_evidence *e, struct drv_err *err)
{
    struct dg_account a = {0};
    char name[DG_NAME_LEN];
    DRV_COPY(name, e->user);
    name[strcspn(name, "@")] = '\0';
    if (dg_ldap_account(l, name, &a, err) < 0)
        return -1;
    e->not_delegated = known(a.not_delegated);
    e->protected_user = known(a.protected_user);
    dg_account_done(&a);
    return 0;
}

static int ask_host(struct dg_ldap *l, struct dg_evidence *e, struct drv_err *err)
{
    struct dg_account a = {0};
    if (dg_ldap_account(l, e->host_account, &a, err) < 0)
        return -1;
    e->listed = known(dg_strings_has(&a.allowed_to_delegate, e->spn));
    dg_account_done(&a);
    return 0;
}

// Fill in what the tickets do not tell.
static void ask_directory(const struct dg_env *env, struct dg_evidence *e)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_ldap *l = dg_ldap_open(env->host_ccache, NULL, env->dc, &err);
    bool ok =
        l && (e->forwardable != DG_NO ? ask_host(l, e, &err) == 0 : true) &&
        (e->not_delegated == DG_UNKNOWN || e->listed == DG_YES ? ask_user(l, e, &err) == 0 : true);
    if (!ok)
        DRV_COPY(e->ldap_problem, err.msg);
    dg_ldap_free(l);
}

// What the KDC could not open is the ticket that the user showed us: it knows our key of today
// alone.
static void say_old_evidence(struct drv_err *err)
{
    drv_err_hint(err, "the user's ticket for this host is older than the password of the host's "
                      "account: kinit again");
}

int dg_diagnose(const struct dg_env *env, gss_cred_id_t cred, const char *spn, OM_uint32 major,
                OM_uint32 minor, struct drv_err *err)
{
    char what[DG_NAME_LEN + 64];
    struct dg_evidence e = {0};
    read_ticket(cred, &e);
    if (minor != (OM_uint32)KRB5KDC_ERR_BADOPTION) {
        // Every other code speaks for itself.
        snprintf(what, sizeof(what), "ticket for %s", spn);
        struct drv_err cause = DRV_ERR_INIT;
        drv_gss_error(&cause, major, minor, what);
        drv_gss_hint_service(&cause, spn);
        if (minor == (OM_uint32)KRB5KRB_AP_ERR_BAD_INTEGRITY)
            say_old_evidence(&cause);
        if (!cause.id[0])
            drv_err_id(&cause, "D14");
        drv_err_prefix(&cause, "acting for %s", e.user);
        if (err)
            *err = cause;
        return -1;
    }
    DRV_COPY(e.spn, spn);
    if (env && env->user_known) {
        e.not_delegated = known(env->user_not_delegated);
        e.protected_user = known(env->user_protected);
    }
    bool open = e.forwardable != DG_NO || e.not_delegated == DG_UNKNOWN;
    if (open && env && env->host_ccache)
        ask_directory(env, &e);
    else if (open)
        DRV_COPY(e.ldap_problem, "not asked");
    dg_verdict(&e, err);
    return drv_err_native(err, "gss", (long)(int32_t)minor);
}
