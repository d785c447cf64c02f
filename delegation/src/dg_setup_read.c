// SPDX-License-Identifier: GPL-3.0-or-later
// What the directory has of all that delegation_setup.h sets up. Reading only.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

enum { UAC_WORKSTATION = 0x1000 }; // MS-ADTS 2.2.16: neither a domain controller nor a trust

void dg_found_done(struct dg_found *f)
{
    for (unsigned i = 0; i < f->n_hosts; i++)
        dg_account_done(&f->hosts[i].a);
    for (unsigned i = 0; i < DG_ROLE_MAX_; i++)
        free(f->roles[i].users);
    free(f->hosts);
    dg_strings_done(&f->servers);
}

// ---- hosts ----

int dg_account_name(const char *host, char ret[DG_NAME_LEN], struct drv_err *err)
{
    char *brief DRV_AUTO_FREE = dg_short_name(host);
    size_t len = strlen(brief);
    if (!len || len > 15 ||
        len != strspn(brief, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
                             "UVWXYZ0123456789-_"))
        return drv_err(err, DRV_EINVAL, "\"%.64s\" is not the name of a host", host);
    for (char *c = brief; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    snprintf(ret, DG_NAME_LEN, "%s$", brief);
    return 0;
}

static struct dg_found_host *find_host(struct dg_found *f, const char *account)
{
    for (unsigned i = 0; i < f->n_hosts; i++)
        if (strcasecmp(f->hosts[i].a.name, account) == 0)
            return &f->hosts[i];
    return NULL;
}

// Has another account one of its service names? Then no KDC gives tickets for it.
static int read_owners(struct dg_ldap *l, struct dg_found_host *h, struct drv_err *err)
{
    struct dg_two_names spns DG_AUTO_NAMES = dg_names_of("drover", h->a.fqdn, h->a.name);
    for (unsigned i = 0; h->a.fqdn[0] && i < DRV_ARRAY_LEN(spns.list); i++) {
        char owner[DG_NAME_LEN];
        if (dg_ldap_spn_owner(l, spns.list[i], owner, err) < 0)
            return -1;
        if (!owner[0] || strcasecmp(owner, h->a.name) == 0)
            continue;
        DRV_COPY(h->spn_owner, owner);
        DRV_COPY(h->spn, spns.list[i]);
    }
    return 0;
}

// An account that shall be made: where, and with which names.
static int new_host(struct dg_ldap *l, const char *host, const char *account,
                    struct dg_found_host *h, struct drv_err *err)
{
    struct dg_domain d;
    char *brief DRV_AUTO_FREE = dg_short_name(account);
    if (dg_ldap_domain(l, &d, err) < 0)
        return -1;
    char *fqdn DRV_AUTO_FREE =
        strchr(host, '.') ? drv_xstrdup(host) : drv_xasprintf("%s.%s", brief, d.dns);
    for (char *c = fqdn; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (!drv_name_valid(fqdn, sizeof(h->a.fqdn) - 1) || fqdn[strlen(fqdn) - 1] == '.')
        return drv_err(err, DRV_EINVAL, "\"%.64s\" is not the full name of a host", host);
    DRV_COPY(h->a.name, account);
    DRV_COPY(h->a.fqdn, fqdn);
    snprintf(h->a.dn, sizeof(h->a.dn), "CN=%s,CN=Computers,%s", brief, dg_ldap_base(l));
    h->is_new = true;
    return 0;
}

// The host of this name, read if it is new. create: it may be one without an account.
static int need_host(struct dg_ldap *l, struct dg_found *f, const char *host, bool create,
                     struct dg_found_host **ret, struct drv_err *err)
{
    char account[DG_NAME_LEN];
    if (dg_account_name(host, account, err) < 0)
        return -1;
    *ret = find_host(f, account);
    if (*ret)
        return 0;
    if (f->n_hosts == DG_SETUP_HOSTS_MAX)
        return drv_err(err, DRV_EINVAL, "more than %d hosts", DG_SETUP_HOSTS_MAX);
    struct dg_found_host *h = &f->hosts[f->n_hosts];
    struct drv_err why = DRV_ERR_INIT;
    int rc = dg_ldap_account(l, account, &h->a, &why);
    if (rc < 0 && why.code == DRV_ENOTFOUND && create) {
        rc = new_host(l, host, account, h, err);
    } else if (rc < 0) {
        if (why.code == DRV_ENOTFOUND)
            drv_err_hint(&why, "join the host to the domain first (net ads join), or have its "
                               "account and keytab made: --create --keytab-dir=DIR");
        *err = why;
    }
    if (rc < 0)
        return -1;
    f->n_hosts++;
    *ret = h;
    return read_owners(l, h, err);
}

static int read_members(struct dg_ldap *l, struct dg_found *f, struct drv_err *err)
{
    struct dg_host *members = NULL;
    unsigned n = 0;
    if (dg_ldap_hosts(l, f->group.sid, &members, &n, err) < 0)
        return -1;
    struct dg_host *owned DRV_AUTO_FREE = members;
    for (unsigned i = 0; i < n; i++) {
        struct dg_found_host *h;
        if (need_host(l, f, members[i].name, false, &h, err) < 0)
            return -1;
        h->member = true;
    }
    return 0;
}

static int read_asked(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *f,
                      struct drv_err *err)
{
    struct dg_found_host *h;
    for (unsigned i = 0; i < w->n_hosts; i++)
        if (need_host(l, f, w->hosts[i], w->create, &h, err) < 0)
            return -1;
    for (unsigned i = 0; i < w->n_new_password; i++) {
        if (need_host(l, f, w->new_password[i], false, &h, err) < 0)
            return -1;
        if (h->is_new)
            continue;
        if (!(h->a.uac & UAC_WORKSTATION))
            return drv_err(err, DRV_EINVAL,
                           "%s is not the account of a member of the domain: its password stays",
                           h->a.name);
        h->new_password = true;
    }
    return 0;
}

// ---- hosts that go ----

// What an account is called in the others' lists when it does not say so itself.
static void name_from_lists(const struct dg_found *f, struct dg_account *a)
{
    char *brief DRV_AUTO_FREE = dg_short_name(a->name);
    char *prefix DRV_AUTO_FREE = drv_xasprintf("drover/%s.", brief);
    DRV_COPY(a->fqdn, brief);
    for (unsigned i = 0; i <= f->n_hosts; i++) {
        const struct dg_strings *s = i < f->n_hosts ? &f->hosts[i].a.allowed_to_delegate : &a->spns;
        for (unsigned k = 0; k < s->n; k++)
            if (strncasecmp(s->list[k], prefix, strlen(prefix)) == 0)
                DRV_COPY(a->fqdn, s->list[k] + strlen("drover/"));
    }
}

// A host whose account is gone may still stand in the others' lists. need_host() saw that there is
// room for it.
static struct dg_found_host *gone_host(struct dg_found *f, const char *host)
{
    struct dg_found_host *h = &f->hosts[f->n_hosts++];
    (void)dg_account_name(host, h->a.name, NULL); // need_host() saw that it is one
    return h;
}

// dg_ldap_hosts() lists no members without a dNSHostName.
static int read_nameless(struct dg_ldap *l, struct dg_found *f, struct dg_found_host *h,
                         struct drv_err *err)
{
    name_from_lists(f, &h->a);
    return h->a.dn[0] && f->group_is_there
               ? dg_ldap_in_group(l, h->a.dn, f->group.dn, &h->member, err)
               : 0;
}

static int read_leaving(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *f,
                        struct drv_err *err)
{
    for (unsigned i = 0; i < w->n_remove; i++) {
        struct dg_found_host *h;
        if (need_host(l, f, w->remove[i], false, &h, err) < 0) {
            if (err->code != DRV_ENOTFOUND)
                return -1;
            drv_err_clear(err);
            h = gone_host(f, w->remove[i]);
        }
        h->leaving = true;
        if (!h->a.fqdn[0] && read_nameless(l, f, h, err) < 0)
            return -1;
    }
    return 0;
}

// ---- groups ----

// The group with this name, or the one that it will be.
static int read_group(struct dg_ldap *l, const char *name, struct dg_group *ret, bool *ret_there,
                      struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    *ret_there = dg_ldap_group(l, name, ret, &why) == 0;
    if (*ret_there)
        return 0;
    if (why.code != DRV_ENOTFOUND) {
        *err = why;
        return -1;
    }
    if (!name[0] || strpbrk(name, ",+\"\\<>;=#/[]:|*?") || strlen(name) > 64)
        return drv_err(err, DRV_EINVAL, "\"%.80s\" cannot be the name of a group", name);
    DRV_COPY(ret->name, name);
    snprintf(ret->dn, sizeof(ret->dn), "CN=%s,CN=Users,%s", name, dg_ldap_base(l));
    return 0;
}

static int read_user(struct dg_ldap *l, const char *name, struct dg_found_role *r,
                     struct drv_err *err)
{
    struct dg_account a DRV_CLEANUP(dg_account_done) = {.uac = 0};
    bool member = false;
    if (dg_ldap_account(l, name, &a, err) < 0)
        return -1;
    if (r->is_there && dg_ldap_in_group(l, a.dn, r->group.dn, &member, err) < 0)
        return -1;
    for (unsigned i = 0; i < r->n_users; i++) // named twice
        member |= strcmp(r->users[i].dn, a.dn) == 0;
    if (member)
        return 0;
    struct dg_found_user *u = &r->users[r->n_users++];
    DRV_COPY(u->dn, a.dn);
    DRV_COPY(u->name, a.name);
    return 0;
}

static int read_roles(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *f,
                      struct drv_err *err)
{
    for (unsigned i = 0; i < DG_ROLE_MAX_; i++) {
        const struct dg_wanted_role *asked = &w->roles[i];
        struct dg_found_role *r = &f->roles[i];
        if (!asked->group)
            continue;
        if (read_group(l, asked->group, &r->group, &r->is_there, err) < 0)
            return -1;
        r->users = drv_xcalloc(asked->n_users + 1, sizeof(*r->users));
        for (unsigned k = 0; k < asked->n_users; k++)
            if (read_user(l, asked->users[k], r, err) < 0)
                return -1;
    }
    return 0;
}

// ---- file servers ----

// By their full names: those asked for, and those that the hosts have already.
static int read_servers(const struct dg_wanted *w, struct dg_found *f, struct drv_err *err)
{
    for (unsigned i = 0; i < w->n_servers; i++) {
        if (!strchr(w->servers[i], '.') || strpbrk(w->servers[i], " /@:$"))
            return drv_err(err, DRV_EINVAL, "\"%.80s\" is not the full name of a file server",
                           w->servers[i]);
        dg_strings_add(&f->servers, w->servers[i]);
    }
    for (unsigned i = 0; i < f->n_hosts; i++) {
        const struct dg_strings *s = &f->hosts[i].a.allowed_to_delegate;
        for (unsigned k = 0; k < s->n; k++)
            if (strncasecmp(s->list[k], "cifs/", 5) == 0 && strchr(s->list[k], '.') &&
                f->servers.n < DG_SETUP_SERVERS_MAX)
                dg_strings_add(&f->servers, s->list[k] + 5);
    }
    return 0;
}

// ---- all of it ----

int dg_setup_read(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *ret,
                  struct drv_err *err)
{
    ret->hosts = drv_xcalloc(DG_SETUP_HOSTS_MAX, sizeof(*ret->hosts));
    if (read_group(l, w->group, &ret->group, &ret->group_is_there, err) < 0 ||
        (ret->group_is_there && read_members(l, ret, err) < 0))
        return -1;
    if (read_asked(l, w, ret, err) < 0 || read_leaving(l, w, ret, err) < 0)
        return -1;
    return read_servers(w, ret, err) < 0 ? -1 : read_roles(l, w, ret, err);
}

int dg_setup_plan(struct dg_ldap *l, const struct dg_wanted *w, struct dg_plan *ret,
                  struct drv_err *err)
{
    struct dg_found f DRV_CLEANUP(dg_found_done) = {0};
    return dg_setup_read(l, w, &f, err) < 0 ? -1 : dg_setup_compare(&f, ret, err);
}

int dg_setup_grantees(struct dg_ldap *l, const struct dg_wanted *w,
                      struct dg_who ret[DG_GRANTEE_MAX_], struct drv_err *err)
{
    const char *const groups[] = {[DG_OF_HOSTS] = w->group,
                                  [DG_OF_DOMAIN_ADMINS] = NULL,
                                  [DG_OF_ADMINS] = w->roles[DG_ADMINS].group,
                                  [DG_OF_OPERATORS] = w->roles[DG_OPERATORS].group};
    struct dg_domain d;
    memset(ret, 0, DG_GRANTEE_MAX_ * sizeof(*ret));
    if (dg_ldap_domain(l, &d, err) < 0)
        return -1;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(groups); i++) {
        struct dg_group g = {.sid = ""};
        bool there;
        if (i == DG_OF_DOMAIN_ADMINS) { // MS-DTYP 2.4.2.4; its name differs by language
            snprintf(ret[i].sid, sizeof(ret[i].sid), "%s-512", d.sid);
            if (dg_ldap_sid_name(l, ret[i].sid, g.name, err) < 0)
                return -1;
        } else if (!groups[i]) {
            continue;
        } else if (read_group(l, groups[i], &g, &there, err) < 0) {
            return -1;
        } else {
            DRV_COPY(ret[i].sid, g.sid);
        }
        snprintf(ret[i].name, sizeof(ret[i].name), "%s\\%s", d.netbios, g.name);
    }
    return 0;
}
