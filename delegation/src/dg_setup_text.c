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
    return a->kind == b->kind && a->attr && a->attr == b->attr && strcmp(a->dn, b->dn) == 0;
}

static void ldif_group(FILE *f, const struct dg_change *c)
{
    put_ldif(f, "dn", c->dn);
    fputs("changetype: add\nobjectClass: group\ngroupType: -2147483646\n", f);
    put_ldif(f, "sAMAccountName", c->account);
    fputc('\n', f);
}

// A password does not belong into a text.
static void ldif_password(FILE *f, const struct dg_change *c)
{
    char *host DRV_AUTO_FREE = dg_short_name(c->account);
    fprintf(f,
            "# %s needs a new password and a keytab of it, which no LDIF can give:\n"
            "# drover delegation setup --new-keytab=%s --keytab-dir=DIR, or as below\n\n",
            c->account, host);
}

static void ldif_computer(FILE *f, const struct dg_change *c)
{
    static const char *const services[] = {"host", "drover"};
    put_ldif(f, "dn", c->dn);
    fputs("changetype: add\nobjectClass: computer\n", f);
    put_ldif(f, "sAMAccountName", c->account);
    fputs("userAccountControl: 4096\n", f);
    put_ldif(f, "dNSHostName", c->value);
    fputs("msDS-SupportedEncryptionTypes: " DG_ENC_AES_TEXT "\n", f);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(services); i++) {
        struct dg_two_names n DG_AUTO_NAMES = dg_names_of(services[i], c->value, c->account);
        for (unsigned k = 0; k < DRV_ARRAY_LEN(n.list); k++)
            put_ldif(f, "servicePrincipalName", n.list[k]);
    }
    fputc('\n', f);
    ldif_password(f, c);
}

static void ldif_values(FILE *f, const struct dg_plan *p, unsigned i)
{
    static const char *const ops[] = {
        [DG_ADD_VALUE] = "add", [DG_REMOVE_VALUE] = "delete", [DG_REPLACE_VALUE] = "replace"};
    const struct dg_change *c = &p->changes[i];
    bool begins = i == 0 || !same_record(p, i - 1, i);
    bool ends = i + 1 == p->n || !same_record(p, i, i + 1);
    if (begins)
        put_ldif(f, "dn", c->dn);
    if (begins)
        fprintf(f, "changetype: modify\n%s: %s\n", ops[c->kind], c->attr);
    put_ldif(f, c->attr, c->value);
    if (ends)
        fputs("-\n\n", f);
}

static void ldif_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    const struct dg_change *c = &p->changes[i];
    if (c->kind == DG_NEW_GROUP)
        ldif_group(f, c);
    else if (c->kind == DG_NEW_COMPUTER)
        ldif_computer(f, c);
    else if (c->kind == DG_NEW_PASSWORD)
        ldif_password(f, c);
    else
        ldif_values(f, p, i);
}

// ---- commands ----

enum about { A_GROUP, A_COMPUTER, A_PASSWORD, A_MEMBER, A_SPN, A_DELEGATION, A_ENCRYPTION };

static enum about about(const struct dg_change *c)
{
    return c->kind == DG_NEW_GROUP                            ? A_GROUP
           : c->kind == DG_NEW_COMPUTER                       ? A_COMPUTER
           : c->kind == DG_NEW_PASSWORD                       ? A_PASSWORD
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
    return (struct words){.account = drv_quoted(c->account, escape),
                          .value = value ? drv_quoted(value, escape) : NULL,
                          .adds = c->kind != DG_REMOVE_VALUE};
}

static void words_done(struct words *w)
{
    free(w->account);
    free(w->value);
}

// A random password that nobody needs to know: the keys can be had here.
static void samba_keytab(FILE *f, const struct dg_change *c, const struct words *w)
{
    char *host DRV_AUTO_FREE = dg_short_name(c->account);
    fprintf(f,
            "samba-tool user setpassword %s --random-password\n"
            "samba-tool domain exportkeytab %s.keytab --principal=%s  # for the host alone\n",
            w->account, host, w->account);
}

// What `computer create` leaves is disabled, and has neither keys nor a dNSHostName.
static void samba_computer(FILE *f, const struct dg_change *c, const struct words *w)
{
    char *host DRV_AUTO_FREE = dg_short_name(c->account);
    struct dg_two_names h DG_AUTO_NAMES = dg_names_of("host", c->value, c->account);
    struct dg_two_names d DG_AUTO_NAMES = dg_names_of("drover", c->value, c->account);
    fprintf(f, "samba-tool computer create '%s'", host);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(h.list); i++)
        fprintf(f, " --service-principal-name='%s' --service-principal-name='%s'", h.list[i],
                d.list[i]);
    fputs("\nldbmodify -H \"$(testparm -s --parameter-name='private dir' 2>/dev/null)/sam.ldb\" "
          "<<'LDIF'\n",
          f);
    put_ldif(f, "dn", c->dn);
    fputs("changetype: modify\nreplace: dNSHostName\n", f);
    put_ldif(f, "dNSHostName", c->value);
    fputs("-\nreplace: msDS-SupportedEncryptionTypes\n"
          "msDS-SupportedEncryptionTypes: " DG_ENC_AES_TEXT "\n\nLDIF\n",
          f);
    samba_keytab(f, c, w);
    fprintf(f, "samba-tool user enable %s\n", w->account);
}

static void samba_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    const struct dg_change *c = &p->changes[i];
    struct words w DRV_CLEANUP(words_done) = words_of(c, "'\\''");
    switch (about(c)) {
    case A_GROUP:
        fprintf(f, "samba-tool group add %s\n", w.account);
        break;
    case A_COMPUTER:
        samba_computer(f, c, &w);
        break;
    case A_PASSWORD:
        samba_keytab(f, c, &w);
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

// The password is asked for twice: Windows has no command that gives a computer's keys out.
static void powershell_keytab(FILE *f, const struct dg_change *c)
{
    fprintf(
        f,
        "# %s: its keytab, on the host, with the same password: ktutil; addent -password -p "
        "'%s' -k N -e aes256-cts-hmac-sha1-96 -f; wkt /etc/krb5.keytab\n"
        "# N: (Get-ADComputer '%s' -Properties msDS-KeyVersionNumber).'msDS-KeyVersionNumber'\n",
        c->account, c->account, c->account);
}

static void powershell_computer(FILE *f, const struct dg_change *c, const struct words *w)
{
    char *host DRV_AUTO_FREE = dg_short_name(c->account);
    struct dg_two_names h DG_AUTO_NAMES = dg_names_of("host", c->value, c->account);
    struct dg_two_names d DG_AUTO_NAMES = dg_names_of("drover", c->value, c->account);
    fprintf(f,
            "New-ADComputer '%s' -SAMAccountName %s -DNSHostName %s -Enabled $true "
            "-KerberosEncryptionType AES128,AES256 -ServicePrincipalNames '%s','%s','%s','%s' "
            "-AccountPassword (Read-Host -AsSecureString 'A long password for %s')\n",
            host, w->account, w->value, h.list[0], h.list[1], d.list[0], d.list[1], c->account);
    powershell_keytab(f, c);
}

static void powershell_change(FILE *f, const struct dg_plan *p, unsigned i)
{
    const struct dg_change *c = &p->changes[i];
    struct words w DRV_CLEANUP(words_done) = words_of(c, "''");
    switch (about(c)) {
    case A_GROUP:
        fprintf(f, "New-ADGroup %s -GroupScope Global\n", w.account);
        break;
    case A_COMPUTER:
        powershell_computer(f, c, &w);
        break;
    case A_PASSWORD:
        fprintf(f,
                "Set-ADAccountPassword %s -Reset -NewPassword (Read-Host -AsSecureString 'A long "
                "password for %s')\n",
                w.account, c->account);
        powershell_keytab(f, c);
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
