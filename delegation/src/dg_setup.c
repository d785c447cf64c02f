// SPDX-License-Identifier: GPL-3.0-or-later
// Setting constrained delegation up: see delegation_setup.h. Reading, comparing, carrying out.
#include <ctype.h>
#include <ldap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

enum { ENC_OLD = 0x07 }; // MS-KILE 2.2.7: DES and RC4

static const char spn_attr[] = "servicePrincipalName", to_attr[] = "msDS-AllowedToDelegateTo",
                  enc_attr[] = "msDS-SupportedEncryptionTypes";

// ---- a plan ----

static struct dg_change *add(struct dg_plan *p, enum dg_change_kind kind, const char *dn,
                             const char *account, const char *attr, const char *value)
{
    p->changes = reallocarray(p->changes, p->n + 1, sizeof(*p->changes));
    if (!p->changes)
        abort();
    struct dg_change *c = &p->changes[p->n++];
    *c = (struct dg_change){.kind = kind,
                            .dn = drv_xstrdup(dn),
                            .account = drv_xstrdup(account),
                            .attr = attr,
                            .value = drv_xstrdup(value)};
    return c;
}

static void __attribute__((format(printf, 2, 3))) note(struct dg_plan *p, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    p->notes = reallocarray(p->notes, p->n_notes + 1, sizeof(*p->notes));
    if (!p->notes)
        abort();
    p->notes[p->n_notes++] = text;
}

void dg_plan_done(struct dg_plan *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        free(p->changes[i].dn);
        free(p->changes[i].account);
        free(p->changes[i].value);
        free(p->changes[i].value_account);
    }
    for (unsigned i = 0; i < p->n_notes; i++)
        free(p->notes[i]);
    free(p->changes);
    free(p->notes);
    memset(p, 0, sizeof(*p));
}

// ---- comparing ----

// "HV1" of "HV1$", "fs" of "fs.example.lan".
static char *short_name(const char *name)
{
    return drv_xasprintf("%.*s", (int)strcspn(name, ".$"), name);
}

// The two forms of a service name.
struct two_names {
    char *list[2];
};
static struct two_names names_of(const char *service, const char *fqdn, const char *name)
{
    char *brief DRV_AUTO_FREE = short_name(name);
    return (struct two_names){
        {drv_xasprintf("%s/%s", service, fqdn), drv_xasprintf("%s/%s", service, brief)}};
}
static void two_names_done(struct two_names *t)
{
    free(t->list[0]);
    free(t->list[1]);
}
#define AUTO_NAMES DRV_CLEANUP(two_names_done)

static void need_values(struct dg_plan *p, const struct dg_account *a, const char *attr,
                        const struct dg_strings *have, const struct two_names *want)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(want->list); i++)
        if (!dg_strings_has(have, want->list[i]))
            add(p, DG_ADD_VALUE, a->dn, a->name, attr, want->list[i]);
}

static void drop_values(struct dg_plan *p, const struct dg_account *a, const char *attr,
                        const struct dg_strings *have, const struct two_names *what)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(what->list); i++)
        if (dg_strings_has(have, what->list[i]))
            add(p, DG_REMOVE_VALUE, a->dn, a->name, attr, what->list[i]);
}

static int check_names(const struct dg_found_host *h, struct drv_err *err)
{
    if (!h->a.fqdn[0]) {
        drv_err(err, DRV_EINVAL, "the account %s has no dNSHostName", h->a.name);
        return drv_err_hint(err, "join the host to the domain (net ads join), or set it");
    }
    if (!h->spn_owner[0])
        return 0;
    drv_err(err, DRV_EEXIST, "the service name %s belongs to %s, not to %s", h->spn, h->spn_owner,
            h->a.name);
    return drv_err_hint(err,
                        "as domain admin: samba-tool spn delete %s '%s' (setspn -D on Windows)",
                        h->spn, h->spn_owner);
}

static void own_account(struct dg_plan *p, const struct dg_found *f, const struct dg_found_host *h)
{
    const struct dg_account *a = &h->a;
    struct two_names spns AUTO_NAMES = names_of("drover", a->fqdn, a->name);
    if (!h->member) {
        struct dg_change *c = add(p, DG_ADD_VALUE, f->group.dn, f->group.name, "member", a->dn);
        c->value_account = drv_xstrdup(a->name);
    }
    need_values(p, a, spn_attr, &a->spns, &spns);
    if ((a->enc_types & DG_ENC_AES) != DG_ENC_AES || (a->enc_types & ENC_OLD)) {
        char *value DRV_AUTO_FREE =
            drv_xasprintf("%d", (int)((a->enc_types & ~(uint32_t)ENC_OLD) | DG_ENC_AES));
        add(p, DG_REPLACE_VALUE, a->dn, a->name, enc_attr, value);
    }
    if (a->uac & DG_UAC_ANY_SERVICE)
        note(p,
             "%s may act for anybody at any service (unconstrained delegation), which drover does "
             "not need; as domain admin: samba-tool delegation for-any-service '%s' off",
             a->name, a->name);
    if (a->uac & DG_UAC_ANY_PROTOCOL)
        note(p,
             "%s may act for users who never logged on to it (protocol transition), which drover "
             "does not need; as domain admin: samba-tool delegation for-any-protocol '%s' off",
             a->name, a->name);
}

// What h may ask for in users' names: at each other host and at each file server.
static void delegation_of(struct dg_plan *p, const struct dg_found *f,
                          const struct dg_found_host *h)
{
    const struct dg_account *a = &h->a;
    for (unsigned i = 0; i < f->n_hosts; i++) {
        const struct dg_found_host *peer = &f->hosts[i];
        struct two_names n AUTO_NAMES = names_of("drover", peer->a.fqdn, peer->a.name);
        if (peer == h)
            continue;
        if (peer->leaving || h->leaving)
            drop_values(p, a, to_attr, &a->allowed_to_delegate, &n);
        else
            need_values(p, a, to_attr, &a->allowed_to_delegate, &n);
    }
    for (unsigned i = 0; i < f->servers.n; i++) {
        struct two_names n AUTO_NAMES = names_of("cifs", f->servers.list[i], f->servers.list[i]);
        if (h->leaving)
            drop_values(p, a, to_attr, &a->allowed_to_delegate, &n);
        else
            need_values(p, a, to_attr, &a->allowed_to_delegate, &n);
    }
}

static void leave(struct dg_plan *p, const struct dg_found *f, const struct dg_found_host *h)
{
    struct two_names spns AUTO_NAMES = names_of("drover", h->a.fqdn, h->a.name);
    drop_values(p, &h->a, spn_attr, &h->a.spns, &spns);
    if (!h->member)
        return;
    struct dg_change *c = add(p, DG_REMOVE_VALUE, f->group.dn, f->group.name, "member", h->a.dn);
    c->value_account = drv_xstrdup(h->a.name);
}

int dg_setup_compare(const struct dg_found *f, struct dg_plan *ret, struct drv_err *err)
{
    struct dg_plan p = {0};
    for (unsigned i = 0; i < f->n_hosts; i++)
        if (check_names(&f->hosts[i], err) < 0)
            return -1;
    if (!f->group_is_there)
        add(&p, DG_NEW_GROUP, f->group.dn, f->group.name, NULL, NULL);
    for (unsigned i = 0; i < f->n_hosts; i++) {
        const struct dg_found_host *h = &f->hosts[i];
        if (!h->leaving)
            own_account(&p, f, h);
        delegation_of(&p, f, h);
        if (h->leaving)
            leave(&p, f, h);
    }
    *ret = p;
    return 0;
}

// ---- reading ----

void dg_found_done(struct dg_found *f)
{
    for (unsigned i = 0; i < f->n_hosts; i++)
        dg_account_done(&f->hosts[i].a);
    free(f->hosts);
    dg_strings_done(&f->servers);
}

int dg_account_name(const char *host, char ret[DG_NAME_LEN], struct drv_err *err)
{
    char *brief DRV_AUTO_FREE = short_name(host);
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
    struct two_names spns AUTO_NAMES = names_of("drover", h->a.fqdn, h->a.name);
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

// The host with this account, read if it is new.
static int need_host(struct dg_ldap *l, struct dg_found *f, const char *account,
                     struct dg_found_host **ret, struct drv_err *err)
{
    *ret = find_host(f, account);
    if (*ret)
        return 0;
    if (f->n_hosts == DG_SETUP_HOSTS_MAX)
        return drv_err(err, DRV_EINVAL, "more than %d hosts", DG_SETUP_HOSTS_MAX);
    struct dg_found_host *h = &f->hosts[f->n_hosts];
    if (dg_ldap_account(l, account, &h->a, err) < 0)
        return err->code == DRV_ENOTFOUND
                   ? drv_err_hint(err, "join the host to the domain first: net ads join")
                   : -1;
    f->n_hosts++;
    *ret = h;
    return read_owners(l, h, err);
}

static int read_group(struct dg_ldap *l, const char *group, struct dg_found *f, struct drv_err *err)
{
    struct drv_err why = DRV_ERR_INIT;
    struct dg_host *members = NULL;
    unsigned n = 0;
    if (dg_ldap_group(l, group, &f->group, &why) < 0 && why.code != DRV_ENOTFOUND) {
        *err = why;
        return -1;
    }
    f->group_is_there = why.code == DRV_OK;
    if (!f->group_is_there) {
        if (!group[0] || strpbrk(group, ",+\"\\<>;=#/[]:|*?") || strlen(group) > 64)
            return drv_err(err, DRV_EINVAL, "\"%.80s\" cannot be the name of a group", group);
        DRV_COPY(f->group.name, group);
        snprintf(f->group.dn, sizeof(f->group.dn), "CN=%s,CN=Users,%s", group, dg_ldap_base(l));
        return 0;
    }
    if (dg_ldap_hosts(l, f->group.sid, &members, &n, err) < 0)
        return -1;
    struct dg_host *owned DRV_AUTO_FREE = members;
    for (unsigned i = 0; i < n; i++) {
        char account[DG_NAME_LEN];
        struct dg_found_host *h;
        if (dg_account_name(members[i].name, account, err) < 0 ||
            need_host(l, f, account, &h, err) < 0)
            return -1;
        h->member = true;
    }
    return 0;
}

static int read_asked(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *f,
                      struct drv_err *err)
{
    for (unsigned i = 0; i < w->n_hosts; i++) {
        char account[DG_NAME_LEN];
        struct dg_found_host *h;
        if (dg_account_name(w->hosts[i], account, err) < 0 || need_host(l, f, account, &h, err) < 0)
            return -1;
    }
    return 0;
}

// A host whose account is gone may still stand in the others' lists, by the name that it had there.
// need_host() saw that there is room for it.
static struct dg_found_host *gone_host(struct dg_found *f, const char *account)
{
    struct dg_found_host *h = &f->hosts[f->n_hosts];
    char *brief DRV_AUTO_FREE = short_name(account);
    char *prefix DRV_AUTO_FREE = drv_xasprintf("drover/%s.", brief);
    DRV_COPY(h->a.name, account);
    DRV_COPY(h->a.fqdn, brief);
    for (unsigned i = 0; i < f->n_hosts; i++) {
        const struct dg_strings *s = &f->hosts[i].a.allowed_to_delegate;
        for (unsigned k = 0; k < s->n; k++)
            if (strncasecmp(s->list[k], prefix, strlen(prefix)) == 0)
                DRV_COPY(h->a.fqdn, s->list[k] + strlen("drover/"));
    }
    f->n_hosts++;
    return h;
}

static int read_leaving(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *f,
                        struct drv_err *err)
{
    for (unsigned i = 0; i < w->n_remove; i++) {
        char account[DG_NAME_LEN];
        struct dg_found_host *h;
        if (dg_account_name(w->remove[i], account, err) < 0)
            return -1;
        if (need_host(l, f, account, &h, err) < 0) {
            if (err->code != DRV_ENOTFOUND)
                return -1;
            drv_err_clear(err);
            h = gone_host(f, account);
        }
        h->leaving = true;
    }
    return 0;
}

// File servers by their full names: those asked for, and those that the hosts have already.
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

int dg_setup_read(struct dg_ldap *l, const struct dg_wanted *w, struct dg_found *ret,
                  struct drv_err *err)
{
    ret->hosts = drv_xcalloc(DG_SETUP_HOSTS_MAX, sizeof(*ret->hosts));
    if (read_group(l, w->group, ret, err) < 0 || read_asked(l, w, ret, err) < 0 ||
        read_leaving(l, w, ret, err) < 0 || read_servers(w, ret, err) < 0)
        return -1;
    return 0;
}

int dg_setup_plan(struct dg_ldap *l, const struct dg_wanted *w, struct dg_plan *ret,
                  struct drv_err *err)
{
    struct dg_found f DRV_CLEANUP(dg_found_done) = {0};
    return dg_setup_read(l, w, &f, err) < 0 ? -1 : dg_setup_compare(&f, ret, err);
}

// ---- carrying out ----

static int apply_one(struct dg_ldap *l, const struct dg_change *c, struct drv_err *err)
{
    static const int ops[] = {[DG_ADD_VALUE] = LDAP_MOD_ADD,
                              [DG_REMOVE_VALUE] = LDAP_MOD_DELETE,
                              [DG_REPLACE_VALUE] = LDAP_MOD_REPLACE};
    if (c->kind == DG_NEW_GROUP)
        return dg_ldap_add_group(l, c->dn, c->account, err);
    return dg_ldap_modify(l, c->dn, ops[c->kind], c->attr, c->value, err);
}

int dg_setup_apply(struct dg_ldap *l, const struct dg_plan *p, unsigned *ret_done,
                   struct drv_err *err)
{
    for (*ret_done = 0; *ret_done < p->n; ++*ret_done)
        if (apply_one(l, &p->changes[*ret_done], err) < 0)
            return err->code == DRV_EDENIED
                       ? drv_err_hint(err, "this takes a domain admin's ticket (kinit); --dry-run "
                                           "prints the commands for one who has it")
                       : -1;
    return 0;
}
