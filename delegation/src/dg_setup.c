// SPDX-License-Identifier: GPL-3.0-or-later
// Setting constrained delegation up: see delegation_setup.h. What is missing; no I/O.
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

void dg_plan_note(struct dg_plan *p, const char *fmt, ...)
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

char *dg_short_name(const char *name)
{
    return drv_xasprintf("%.*s", (int)strcspn(name, ".$"), name);
}

struct dg_two_names dg_names_of(const char *service, const char *fqdn, const char *name)
{
    char *brief DRV_AUTO_FREE = dg_short_name(name);
    return (struct dg_two_names){
        {drv_xasprintf("%s/%s", service, fqdn), drv_xasprintf("%s/%s", service, brief)}};
}
void dg_two_names_done(struct dg_two_names *t)
{
    free(t->list[0]);
    free(t->list[1]);
}

static void need_values(struct dg_plan *p, const struct dg_account *a, const char *attr,
                        const struct dg_strings *have, const struct dg_two_names *want)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(want->list); i++)
        if (!dg_strings_has(have, want->list[i]))
            add(p, DG_ADD_VALUE, a->dn, a->name, attr, want->list[i]);
}

static void drop_values(struct dg_plan *p, const struct dg_account *a, const char *attr,
                        const struct dg_strings *have, const struct dg_two_names *what)
{
    // A host that has no full name any more has but one form.
    bool one = strcasecmp(what->list[0], what->list[1]) == 0;
    for (unsigned i = one; i < DRV_ARRAY_LEN(what->list); i++)
        if (dg_strings_has(have, what->list[i]))
            add(p, DG_REMOVE_VALUE, a->dn, a->name, attr, what->list[i]);
}

// A host that goes may be as broken as it likes.
static int check_names(const struct dg_found_host *h, struct drv_err *err)
{
    if (h->leaving)
        return 0;
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

static void add_member(struct dg_plan *p, const struct dg_group *g, const char *dn,
                       const char *account)
{
    struct dg_change *c = add(p, DG_ADD_VALUE, g->dn, g->name, "member", dn);
    c->value_account = drv_xstrdup(account);
}

static void own_account(struct dg_plan *p, const struct dg_found *f, const struct dg_found_host *h)
{
    const struct dg_account *a = &h->a;
    struct dg_two_names spns DG_AUTO_NAMES = dg_names_of("drover", a->fqdn, a->name);
    if (h->is_new)
        add(p, DG_NEW_COMPUTER, a->dn, a->name, NULL, a->fqdn);
    if (h->new_password)
        add(p, DG_NEW_PASSWORD, a->dn, a->name, "unicodePwd", NULL);
    if (!h->member)
        add_member(p, &f->group, a->dn, a->name);
    if (h->is_new)
        return; // it is made with all the rest
    need_values(p, a, spn_attr, &a->spns, &spns);
    if ((a->enc_types & DG_ENC_AES) != DG_ENC_AES || (a->enc_types & ENC_OLD)) {
        char *value DRV_AUTO_FREE =
            drv_xasprintf("%d", (int)((a->enc_types & ~(uint32_t)ENC_OLD) | DG_ENC_AES));
        add(p, DG_REPLACE_VALUE, a->dn, a->name, enc_attr, value);
    }
    if (a->uac & DG_UAC_ANY_SERVICE)
        dg_plan_note(
            p,
            "%s may act for anybody at any service (unconstrained delegation), which drover does "
            "not need; as domain admin: samba-tool delegation for-any-service '%s' off",
            a->name, a->name);
    if (a->uac & DG_UAC_ANY_PROTOCOL)
        dg_plan_note(
            p,
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
        struct dg_two_names n DG_AUTO_NAMES = dg_names_of("drover", peer->a.fqdn, peer->a.name);
        if (peer == h)
            continue;
        if (peer->leaving || h->leaving)
            drop_values(p, a, to_attr, &a->allowed_to_delegate, &n);
        else
            need_values(p, a, to_attr, &a->allowed_to_delegate, &n);
    }
    for (unsigned i = 0; i < f->servers.n; i++) {
        struct dg_two_names n DG_AUTO_NAMES =
            dg_names_of("cifs", f->servers.list[i], f->servers.list[i]);
        if (h->leaving)
            drop_values(p, a, to_attr, &a->allowed_to_delegate, &n);
        else
            need_values(p, a, to_attr, &a->allowed_to_delegate, &n);
    }
}

static void leave(struct dg_plan *p, const struct dg_found *f, const struct dg_found_host *h)
{
    struct dg_two_names spns DG_AUTO_NAMES = dg_names_of("drover", h->a.fqdn, h->a.name);
    drop_values(p, &h->a, spn_attr, &h->a.spns, &spns);
    if (!h->member)
        return;
    struct dg_change *c = add(p, DG_REMOVE_VALUE, f->group.dn, f->group.name, "member", h->a.dn);
    c->value_account = drv_xstrdup(h->a.name);
}

static void role(struct dg_plan *p, const struct dg_found_role *r)
{
    if (r->group.name[0] && !r->is_there)
        add(p, DG_NEW_GROUP, r->group.dn, r->group.name, NULL, NULL);
    for (unsigned i = 0; i < r->n_users; i++)
        add_member(p, &r->group, r->users[i].dn, r->users[i].name);
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
    for (unsigned i = 0; i < DG_ROLE_MAX_; i++)
        role(&p, &f->roles[i]);
    *ret = p;
    return 0;
}
