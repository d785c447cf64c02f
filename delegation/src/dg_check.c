// SPDX-License-Identifier: GPL-3.0-or-later
// What is missing in the directory, as findings: see delegation_check.h.
#include "drover/delegation_check.h"

#include <stdarg.h>
#include <string.h>

#include "delegation_int.h"

struct check {
    const struct dg_found *f;
    enum drv_severity missing; // D10 and D11
    char command[512];         // repairs all that is missing
    struct drv_findings *out;
};

// ---- the command that repairs it ----

// Append to a command; one that does not fit becomes empty for good.
static void __attribute__((format(printf, 2, 3))) more(struct check *c, const char *fmt, ...)
{
    size_t used = strlen(c->command);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(c->command + used, sizeof c->command - used, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof c->command - used)
        c->command[0] = '\0';
}

// Members of the group and servers that one of them may delegate to are known to `setup` already.
static void build_command(struct check *c)
{
    DRV_COPY(c->command, "drover delegation setup");
    if (strcmp(c->f->group.name, DG_DEFAULT_GROUP) != 0)
        more(c, " --group '%s'", c->f->group.name);
    for (unsigned i = 0; i < c->f->n_hosts && c->command[0]; i++)
        if (!c->f->hosts[i].member)
            more(c, " %.*s", (int)strcspn(c->f->hosts[i].a.name, "$"), c->f->hosts[i].a.name);
    for (unsigned i = 0; i < c->f->servers.n && c->command[0]; i++)
        more(c, " --store %s", c->f->servers.list[i]);
}

// ---- what is not for `setup` to change ----

static bool tell_account(struct check *c, const struct dg_found_host *h)
{
    const struct dg_account *a = &h->a;
    if (!a->fqdn[0]) {
        drv_finding_add(c->out, "D21", a->name, "the account %s has no dNSHostName", a->name);
        drv_finding_fix(c->out, "Join the host to the domain (net ads join), or set it.");
        return false;
    }
    if (a->uac & DG_UAC_ANY_SERVICE) {
        drv_finding_add(c->out, "D17", a->fqdn,
                        "%s may act for anybody at any service (unconstrained delegation)",
                        a->name);
        drv_finding_command(c->out, DRV_AT_DOMAIN, "samba-tool delegation for-any-service '%s' off",
                            a->name);
    }
    if (a->uac & DG_UAC_ANY_PROTOCOL) {
        drv_finding_add(c->out, "D18", a->fqdn,
                        "%s may act for users who never logged on to it (protocol transition)",
                        a->name);
        drv_finding_command(c->out, DRV_AT_DOMAIN,
                            "samba-tool delegation for-any-protocol '%s' off", a->name);
    }
    if (!h->spn_owner[0])
        return true;
    drv_finding_add(c->out, "D20", a->fqdn,
                    "the service name %s of %s stands on %s as well or instead, so no KDC gives "
                    "tickets for it that the host can read",
                    h->spn, a->name, h->spn_owner);
    drv_finding_command(c->out, DRV_AT_DOMAIN, "samba-tool spn delete %s '%s'", h->spn,
                        h->spn_owner);
    return false;
}

// ---- what `setup` would change ----

// Windows's tools show both forms of a service name; Kerberos asks by the full one.
static bool is_full_name(const char *spn)
{
    return strchr(spn, '.') != NULL;
}

static enum drv_severity of_listing(const struct check *c, const char *spn)
{
    return is_full_name(spn) || c->missing == DRV_SEV_INFO ? c->missing : c->missing - 1;
}

static void tell_listing(const struct check *c, const struct dg_change *ch)
{
    bool agent = strncasecmp(ch->value, "drover/", strlen("drover/")) == 0;
    drv_finding_add_as(c->out, of_listing(c, ch->value), agent ? "D10" : "D11", ch->account,
                       "%s may not act for users at %s: that name is not in its "
                       "msDS-AllowedToDelegateTo",
                       ch->account, ch->value);
}

static void tell_types(const struct check *c, const struct dg_change *ch)
{
    const struct dg_found *f = c->f;
    for (unsigned i = 0; i < f->n_hosts; i++) {
        const struct dg_account *a = &f->hosts[i].a;
        if (strcmp(a->name, ch->account) != 0)
            continue;
        bool aes = a->enc_types & DG_ENC_AES;
        drv_finding_add_as(c->out, aes ? DRV_SEV_WARNING : DRV_SEV_ERROR, "D19", ch->account,
                           "%s of %s is %u: it should be %s", ch->attr, ch->account, a->enc_types,
                           ch->value);
    }
}

static void tell_change(const struct check *c, const struct dg_change *ch)
{
    if (ch->kind == DG_NEW_GROUP) {
        drv_finding_add(c->out, "A04", "", "the domain has no group \"%s\"", ch->account);
    } else if (strcmp(ch->attr, "member") == 0) {
        drv_finding_add(c->out, "A04", ch->value_account, "%s is not a member of %s",
                        ch->value_account, ch->account);
    } else if (strcmp(ch->attr, "servicePrincipalName") == 0) {
        drv_finding_add_as(c->out, is_full_name(ch->value) ? DRV_SEV_ERROR : DRV_SEV_WARNING, "K05",
                           ch->account, "%s has not the service name %s", ch->account, ch->value);
    } else if (strcmp(ch->attr, "msDS-AllowedToDelegateTo") == 0) {
        tell_listing(c, ch);
    } else {
        tell_types(c, ch);
    }
    drv_finding_fix(c->out, "As domain admin: drover delegation setup adds it, and shows all "
                            "changes before it makes them.");
    if (c->command[0])
        drv_finding_command(c->out, DRV_AT_DOMAIN, "%s", c->command);
}

// Findings name hosts by their full names where these are known.
static void name_hosts(const struct check *c, unsigned from)
{
    for (unsigned i = from; i < c->out->n; i++)
        for (unsigned k = 0; k < c->f->n_hosts; k++)
            if (strcasecmp(c->out->list[i].host, c->f->hosts[k].a.name) == 0 &&
                c->f->hosts[k].a.fqdn[0])
                DRV_COPY(c->out->list[i].host, c->f->hosts[k].a.fqdn);
}

int dg_check_found(const struct dg_found *f, enum drv_severity missing, struct drv_findings *ret,
                   struct drv_err *err)
{
    struct check c = {.f = f, .missing = missing, .out = ret};
    struct dg_plan plan DRV_CLEANUP(dg_plan_done) = {0};
    unsigned before = ret->n;
    build_command(&c);
    // Accounts that are broken in themselves are no part of the comparison.
    struct dg_found sound = *f;
    struct dg_found_host *hosts DRV_AUTO_FREE =
        drv_xcalloc(f->n_hosts ? f->n_hosts : 1, sizeof *hosts);
    sound.hosts = hosts;
    sound.n_hosts = 0;
    for (unsigned i = 0; i < f->n_hosts; i++)
        if (tell_account(&c, &f->hosts[i]))
            hosts[sound.n_hosts++] = f->hosts[i];
    if (dg_setup_compare(&sound, &plan, err) < 0)
        return -1;
    for (unsigned i = 0; i < plan.n; i++)
        tell_change(&c, &plan.changes[i]);
    name_hosts(&c, before);
    return 0;
}

// ---- reading ----

// The hosts that have an account, by their accounts' names; the others are findings.
static int find_accounts(struct dg_ldap *l, const struct dg_wanted *w, const char **ret,
                         unsigned *ret_n, struct drv_findings *out, struct drv_err *err)
{
    for (unsigned i = 0; i < w->n_hosts; i++) {
        char account[DG_NAME_LEN];
        struct dg_account a;
        struct drv_err why = DRV_ERR_INIT;
        if (dg_account_name(w->hosts[i], account, err) < 0)
            return -1;
        if (dg_ldap_account(l, account, &a, &why) == 0) {
            dg_account_done(&a);
            ret[(*ret_n)++] = w->hosts[i];
        } else if (why.code == DRV_ENOTFOUND) {
            drv_finding_add(out, "D21", w->hosts[i], "the domain has no account %s", account);
        } else {
            *err = why;
            return -1;
        }
    }
    return 0;
}

int dg_check(struct dg_ldap *l, const struct dg_wanted *w, enum drv_severity missing,
             struct drv_findings *ret, struct drv_err *err)
{
    struct dg_found f DRV_CLEANUP(dg_found_done) = {0};
    const char **hosts DRV_AUTO_FREE = drv_xcalloc(w->n_hosts + 1, sizeof *hosts);
    struct dg_wanted known = {
        .group = w->group, .hosts = hosts, .servers = w->servers, .n_servers = w->n_servers};
    if (find_accounts(l, w, hosts, &known.n_hosts, ret, err) < 0 ||
        dg_setup_read(l, &known, &f, err) < 0)
        return -1;
    return dg_check_found(&f, missing, ret, err);
}
