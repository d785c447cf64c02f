// SPDX-License-Identifier: GPL-3.0-or-later
// A plan as text for three kinds of administrators: see delegation_setup.h.
#include <stdio.h> // for ldif.h

#include <ldap.h>
#include <ldif.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

// ---- LDIF (RFC 2849) ----

// ldif_put encodes what is no plain text and folds long lines.
static void put_ldif(FILE *f, const char *name, const char *value)
{
    char *line = ldif_put(LDIF_PUT_VALUE, name, value, strlen(value));
    if (!line)
        abort();
    fputs(line, f);
    ber_memfree(line);
}

// Values of one attribute that follow each other are one modification.
static bool same_record(const struct dg_plan *p, unsigned i, unsigned k)
{
    const struct dg_change *a = &p->changes[i], *b = &p->changes[k];
    return a->kind == b->kind && a->kind != DG_NEW_GROUP && a->attr == b->attr &&
           strcmp(a->dn, b->dn) == 0;
}

static void ldif_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    static const char *const ops[] = {
        [DG_ADD_VALUE] = "add", [DG_REMOVE_VALUE] = "delete", [DG_REPLACE_VALUE] = "replace"};
    const struct dg_change *c = &p->changes[i];
    bool begins = i == 0 || !same_record(p, i - 1, i);
    bool ends = i + 1 == p->n || !same_record(p, i, i + 1);
    if (begins)
        put_ldif(f, "dn", c->dn);
    if (c->kind == DG_NEW_GROUP) {
        fputs("changetype: add\nobjectClass: group\ngroupType: -2147483646\n", f);
        put_ldif(f, "sAMAccountName", c->account);
        fputc('\n', f);
        return;
    }
    if (begins)
        fprintf(f, "changetype: modify\n%s: %s\n", ops[c->kind], c->attr);
    put_ldif(f, c->attr, c->value);
    if (ends)
        fputs("-\n\n", f);
}

// ---- commands ----

// In single quotes; escape is what a quote becomes within.
static char *quoted(const char *text, const char *escape)
{
    char *ret = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&ret, &size);
    if (!f)
        abort();
    fputc('\'', f);
    for (const char *c = text; *c; c++)
        if (*c == '\'')
            fputs(escape, f);
        else
            fputc(*c, f);
    fputc('\'', f);
    fclose(f);
    return ret;
}

enum about { A_GROUP, A_MEMBER, A_SPN, A_DELEGATION, A_ENCRYPTION };

static enum about about(const struct dg_change *c)
{
    return c->kind == DG_NEW_GROUP                            ? A_GROUP
           : c->value_account                                 ? A_MEMBER
           : strcmp(c->attr, "servicePrincipalName") == 0     ? A_SPN
           : strcmp(c->attr, "msDS-AllowedToDelegateTo") == 0 ? A_DELEGATION
                                                              : A_ENCRYPTION;
}

// The arguments of a command, quoted.
struct words {
    char *account, *value; // value: NULL for a new group
    bool adds;
};

static struct words words_of(const struct dg_change *c, const char *escape)
{
    const char *value = c->value_account ? c->value_account : c->value;
    return (struct words){.account = quoted(c->account, escape),
                          .value = value ? quoted(value, escape) : NULL,
                          .adds = c->kind != DG_REMOVE_VALUE};
}

static void words_done(struct words *w)
{
    free(w->account);
    free(w->value);
}

static void samba_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    const struct dg_change *c = &p->changes[i];
    struct words w DRV_CLEANUP(words_done) = words_of(c, "'\\''");
    switch (about(c)) {
    case A_GROUP:
        fprintf(f, "samba-tool group add %s\n", w.account);
        break;
    case A_MEMBER:
        fprintf(f, "samba-tool group %smembers %s %s\n", w.adds ? "add" : "remove", w.account,
                w.value);
        break;
    case A_SPN:
        fprintf(f, "samba-tool spn %s %s %s\n", w.adds ? "add" : "delete", w.value, w.account);
        break;
    case A_DELEGATION:
        fprintf(f, "samba-tool delegation %s-service %s %s\n", w.adds ? "add" : "del", w.account,
                w.value);
        break;
    case A_ENCRYPTION:
        fprintf(f, "net ads enctypes set %s %s\n", w.account, w.value);
        break;
    }
}

static void powershell_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    const struct dg_change *c = &p->changes[i];
    struct words w DRV_CLEANUP(words_done) = words_of(c, "''");
    switch (about(c)) {
    case A_GROUP:
        fprintf(f, "New-ADGroup %s -GroupScope Global\n", w.account);
        break;
    case A_MEMBER:
        fprintf(f, "%s-ADGroupMember %s %s%s\n", w.adds ? "Add" : "Remove", w.account, w.value,
                w.adds ? "" : " -Confirm:$false");
        break;
    case A_SPN:
        fprintf(f, "setspn %s %s %s\n", w.adds ? "-S" : "-D", w.value, w.account);
        break;
    case A_DELEGATION:
        fprintf(f, "Set-ADComputer %s -%s @{'%s'=%s}\n", w.account, w.adds ? "Add" : "Remove",
                c->attr, w.value);
        break;
    case A_ENCRYPTION:
        fprintf(f, "Set-ADComputer %s -Replace @{'%s'=%s}\n", w.account, c->attr, c->value);
        break;
    }
}

static char *text_of(const struct dg_plan *p,
                     void (*put)(FILE *f, const struct dg_plan *p, unsigned i))
{
    char *ret = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&ret, &size);
    if (!f)
        abort();
    for (unsigned i = 0; i < p->n_notes; i++)
        fprintf(f, "# %s\n", p->notes[i]);
    for (unsigned i = 0; i < p->n; i++)
        put(f, p, i);
    fclose(f);
    return ret;
}

char *dg_plan_ldif(const struct dg_plan *p)
{
    return text_of(p, ldif_change);
}

char *dg_plan_samba_tool(const struct dg_plan *p)
{
    return text_of(p, samba_change);
}

char *dg_plan_powershell(const struct dg_plan *p)
{
    return text_of(p, powershell_change);
}
