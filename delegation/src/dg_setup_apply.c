// SPDX-License-Identifier: GPL-3.0-or-later
// Carrying out a plan: see delegation_setup.h.
#include <ctype.h>
#include <ldap.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

struct work {
    struct dg_ldap *l;
    char realm[DG_NAME_LEN];         // when there are keytabs
    struct dg_keytab_draft *keytabs; // of each change, most of them unused
    unsigned n;
};

static void work_done(struct work *w)
{
    for (unsigned i = 0; i < w->n; i++)
        dg_keytab_draft_done(&w->keytabs[i]);
    free(w->keytabs);
}

static int add_group(struct dg_ldap *l, const struct dg_change *c, struct drv_err *err)
{
    // MS-ADTS 2.2.12: a global security group.
    const struct dg_attr attrs[] = {
        {.name = "objectClass", .values = {dg_text("group")}, .n = 1},
        {.name = "sAMAccountName", .values = {dg_text(c->account)}, .n = 1},
        {.name = "groupType", .values = {dg_text("-2147483646")}, .n = 1},
    };
    struct drv_err why = DRV_ERR_INIT;
    if (dg_ldap_add(l, c->dn, attrs, DRV_ARRAY_LEN(attrs), &why) == 0 || why.code == DRV_EEXIST)
        return 0;
    *err = why;
    return -1;
}

static int add_computer(struct dg_ldap *l, const struct dg_change *c, struct berval password,
                        struct drv_err *err)
{
    struct dg_two_names host DG_AUTO_NAMES = dg_names_of("host", c->value, c->account);
    struct dg_two_names drover DG_AUTO_NAMES = dg_names_of("drover", c->value, c->account);
    const struct dg_attr attrs[] = {
        {.name = "objectClass", .values = {dg_text("computer")}, .n = 1},
        {.name = "sAMAccountName", .values = {dg_text(c->account)}, .n = 1},
        // MS-ADTS 2.2.16: WORKSTATION_TRUST_ACCOUNT, neither disabled nor without a password
        {.name = "userAccountControl", .values = {dg_text("4096")}, .n = 1},
        {.name = "unicodePwd", .values = {password}, .n = 1},
        {.name = "dNSHostName", .values = {dg_text(c->value)}, .n = 1},
        {.name = "msDS-SupportedEncryptionTypes", .values = {dg_text(DG_ENC_AES_TEXT)}, .n = 1},
        {.name = "servicePrincipalName",
         .values = {dg_text(host.list[0]), dg_text(host.list[1]), dg_text(drover.list[0]),
                    dg_text(drover.list[1])},
         .n = 4},
    };
    return dg_ldap_add(l, c->dn, attrs, DRV_ARRAY_LEN(attrs), err);
}

static int write_keytab(struct work *w, const struct dg_change *c,
                        const struct dg_password *password, struct dg_keytab_draft *keytab,
                        struct drv_err *err)
{
    char *principal DRV_AUTO_FREE = drv_xasprintf("%s@%s", c->account, w->realm);
    char *host DRV_AUTO_FREE = dg_short_name(c->account);
    unsigned kvno = 0;
    if (dg_ldap_kvno(w->l, c->dn, &kvno, err) == 0 &&
        dg_keytab_finish(keytab, principal, password, kvno, err) == 0)
        return 0;
    drv_err_prefix(err, "%s has its password but no keytab", c->account);
    return drv_err_hint(
        err, "when that is repaired: drover delegation setup --new-keytab=%s --keytab-dir=DIR",
        host);
}

// The account is made with its password in one step: there is never one that works without.
static int set_password(struct work *w, const struct dg_change *c, struct dg_keytab_draft *keytab,
                        struct drv_err *err)
{
    struct dg_password password DRV_CLEANUP(dg_password_done);
    struct dg_password_ad ad DRV_CLEANUP(dg_password_ad_done);
    if (dg_password_new(&password, err) < 0)
        return -1;
    struct berval value = dg_password_ad(&password, &ad);
    int rc = c->kind == DG_NEW_COMPUTER ? add_computer(w->l, c, value, err)
                                        : dg_ldap_set(w->l, c->dn, "unicodePwd", value, err);
    return rc < 0 ? -1 : write_keytab(w, c, &password, keytab, err);
}

static int apply_one(struct work *w, const struct dg_change *c, struct dg_keytab_draft *keytab,
                     struct drv_err *err)
{
    switch (c->kind) {
    case DG_NEW_GROUP:
        return add_group(w->l, c, err);
    case DG_NEW_COMPUTER:
    case DG_NEW_PASSWORD:
        return set_password(w, c, keytab, err);
    case DG_ADD_VALUE:
        return dg_ldap_modify(w->l, c->dn, LDAP_MOD_ADD, c->attr, c->value, err);
    case DG_REMOVE_VALUE:
        return dg_ldap_modify(w->l, c->dn, LDAP_MOD_DELETE, c->attr, c->value, err);
    case DG_REPLACE_VALUE:
        return dg_ldap_modify(w->l, c->dn, LDAP_MOD_REPLACE, c->attr, c->value, err);
    }
    return drv_err(err, DRV_EINTERNAL, "a change of an unknown kind");
}

static bool writes_keytab(const struct dg_change *c)
{
    return c->kind == DG_NEW_COMPUTER || c->kind == DG_NEW_PASSWORD;
}

unsigned dg_plan_keytabs(const struct dg_plan *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->n; i++)
        n += writes_keytab(&p->changes[i]);
    return n;
}

static int begin_keytabs(struct work *w, const struct dg_plan *p, const char *dir,
                         struct drv_err *err)
{
    struct dg_domain d;
    if (!dg_plan_keytabs(p))
        return 0;
    if (!dir)
        return drv_err(err, DRV_EINVAL, "a folder for the keytabs must be named");
    if (dg_ldap_domain(w->l, &d, err) < 0)
        return -1;
    for (char *c = DRV_COPY(w->realm, d.dns) == 0 ? w->realm : NULL; c && *c; c++)
        *c = (char)toupper((unsigned char)*c);
    for (unsigned i = 0; i < p->n; i++)
        if (writes_keytab(&p->changes[i]) &&
            dg_keytab_begin(dir, p->changes[i].account, &w->keytabs[i], err) < 0)
            return -1;
    return 0;
}

int dg_setup_apply(struct dg_ldap *l, const struct dg_plan *p, const char *keytab_dir,
                   unsigned *ret_done, struct drv_err *err)
{
    struct work w DRV_CLEANUP(work_done) = {.l = l, .n = p->n};
    w.keytabs = drv_xcalloc(p->n + 1, sizeof(*w.keytabs));
    *ret_done = 0;
    if (begin_keytabs(&w, p, keytab_dir, err) < 0)
        return -1;
    for (; *ret_done < p->n; ++*ret_done)
        if (apply_one(&w, &p->changes[*ret_done], &w.keytabs[*ret_done], err) < 0)
            return err->code == DRV_EDENIED && !err->hint[0]
                       ? drv_err_hint(err, "this takes a domain admin's ticket (kinit); --dry-run "
                                           "prints the commands for one who has it")
                       : -1;
    return 0;
}
