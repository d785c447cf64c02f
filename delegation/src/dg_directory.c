// SPDX-License-Identifier: GPL-3.0-or-later
// What drover asks Active Directory: accounts, groups, hosts. Reading only. Attribute names:
// MS-ADA1-3.
#include <errno.h>
#include <ldap.h>
#include <stdlib.h>
#include <string.h>

#include "delegation_int.h"

enum {
    VALUES_MAX = 4096,              // of one attribute
    UAC_NOT_DELEGATED = 0x00100000, // MS-ADTS 2.2.16, UF_NOT_DELEGATED
};
// LDAP_MATCHING_RULE_IN_CHAIN (MS-ADTS 3.1.1.3.4.4.3): membership through nested groups.
#define IN_CHAIN "1.2.840.113556.1.4.1941"

#define DG_AUTO_MSG DRV_CLEANUP(cleanup_msg)
static void cleanup_msg(LDAPMessage **msg)
{
    ldap_msgfree(*msg);
}

// ---- values ----

static int text_value(struct dg_ldap *l, LDAPMessage *entry, const char *attr, char *ret,
                      size_t size)
{
    struct berval **v = ldap_get_values_len(dg_ldap_handle(l), entry, attr);
    int rc =
        v && v[0] && strlen(v[0]->bv_val) == v[0]->bv_len ? drv_copy(ret, size, v[0]->bv_val) : -1;
    ldap_value_free_len(v);
    return rc;
}

static int sid_value(struct dg_ldap *l, LDAPMessage *entry, char ret[DG_SID_LEN])
{
    struct berval **v = ldap_get_values_len(dg_ldap_handle(l), entry, "objectSid");
    int rc = v && v[0] ? dg_sid_text(v[0]->bv_val, v[0]->bv_len, ret) : -1;
    ldap_value_free_len(v);
    return rc;
}

static void text_values(struct dg_ldap *l, LDAPMessage *entry, const char *attr,
                        struct dg_strings *ret)
{
    struct berval **v = ldap_get_values_len(dg_ldap_handle(l), entry, attr);
    int n = v ? ldap_count_values_len(v) : 0;
    if (n > VALUES_MAX)
        n = VALUES_MAX;
    ret->list = drv_xcalloc((size_t)n + 1, sizeof(*ret->list));
    for (int i = 0; i < n; i++)
        if (strlen(v[i]->bv_val) == v[i]->bv_len)
            ret->list[ret->n++] = drv_xstrdup(v[i]->bv_val);
    ldap_value_free_len(v);
}

static int dn_value(struct dg_ldap *l, LDAPMessage *entry, char *ret, size_t size)
{
    char *dn = ldap_get_dn(dg_ldap_handle(l), entry);
    int rc = dn ? drv_copy(ret, size, dn) : -1;
    ldap_memfree(dn);
    return rc;
}

// The only row that filter matches. *ret_msg keeps *ret_entry alive.
static int find_one(struct dg_ldap *l, const char *filter, const char *const attrs[],
                    const char *what, const char *name, LDAPMessage **ret_msg,
                    LDAPMessage **ret_entry, struct drv_err *err)
{
    int n = 0;
    if (dg_ldap_search(l, dg_ldap_base(l), LDAP_SCOPE_SUBTREE, filter, attrs, 2, ret_msg, &n, err) <
        0)
        return -1;
    if (n == 0)
        return drv_err(err, DRV_ENOTFOUND, "the domain has no %s \"%s\"", what, name);
    if (n > 1)
        return drv_err(err, DRV_EINVAL, "the domain has more than one %s \"%s\"", what, name);
    *ret_entry = ldap_first_entry(dg_ldap_handle(l), *ret_msg);
    return 0;
}

// ---- accounts ----

// tokenGroups is computed by the server and exists in a base search only.
int dg_ldap_groups_of(struct dg_ldap *l, const char *dn, struct dg_strings *ret,
                      struct drv_err *err)
{
    static const char *const attrs[] = {"tokenGroups", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    int rows = 0;
    if (dg_ldap_search(l, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1, &msg, &rows, err) < 0)
        return -1;
    LDAPMessage *entry = rows ? ldap_first_entry(dg_ldap_handle(l), msg) : NULL;
    struct berval **v = entry ? ldap_get_values_len(dg_ldap_handle(l), entry, attrs[0]) : NULL;
    for (int i = 0; v && v[i] && i < VALUES_MAX; i++) {
        char sid[DG_SID_LEN];
        if (dg_sid_text(v[i]->bv_val, v[i]->bv_len, sid) == 0)
            dg_strings_add(ret, sid);
    }
    ldap_value_free_len(v);
    return 0;
}

// Is RID 525 of the account's own domain among its groups?
static int read_protected(struct dg_ldap *l, struct dg_account *a, struct drv_err *err)
{
    struct dg_strings groups DRV_CLEANUP(dg_strings_done) = {0};
    if (dg_ldap_groups_of(l, a->dn, &groups, err) < 0)
        return -1;
    const char *rid = strrchr(a->sid, '-');
    char *wanted DRV_AUTO_FREE = drv_xasprintf("%.*s-525", rid ? (int)(rid - a->sid) : 0, a->sid);
    a->protected_user = dg_strings_has(&groups, wanted);
    return 0;
}

int dg_ldap_account(struct dg_ldap *l, const char *name, struct dg_account *ret,
                    struct drv_err *err)
{
    static const char *const attrs[] = {"sAMAccountName",
                                        "objectSid",
                                        "userAccountControl",
                                        "dNSHostName",
                                        "msDS-AllowedToDelegateTo",
                                        "servicePrincipalName",
                                        "msDS-SupportedEncryptionTypes",
                                        "msDS-KeyVersionNumber",
                                        NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    LDAPMessage *entry = NULL;
    char *value DRV_AUTO_FREE = dg_filter_escape(name);
    char *filter DRV_AUTO_FREE =
        drv_xasprintf("(&(objectClass=user)(sAMAccountName=%s))", value); // computers are users too
    if (find_one(l, filter, attrs, "account", name, &msg, &entry, err) < 0)
        return -1;

    struct dg_account a = {0};
    char uac[16], enc_types[16] = "0", kvno[16] = "0";
    if (dn_value(l, entry, a.dn, sizeof(a.dn)) < 0 ||
        text_value(l, entry, "sAMAccountName", a.name, sizeof(a.name)) < 0 ||
        sid_value(l, entry, a.sid) < 0 ||
        text_value(l, entry, "userAccountControl", uac, sizeof(uac)) < 0)
        return drv_err(err, DRV_EPEER, "%s does not show the account \"%s\" to this host",
                       dg_ldap_dc(l), name);
    // AD writes it as a signed 32-bit number.
    a.uac = (uint32_t)strtoll(uac, NULL, 10);
    a.not_delegated = (a.uac & UAC_NOT_DELEGATED) != 0;
    (void)text_value(l, entry, "dNSHostName", a.fqdn, sizeof(a.fqdn)); // users have none
    (void)text_value(l, entry, "msDS-SupportedEncryptionTypes", enc_types, sizeof(enc_types));
    a.enc_types = (uint32_t)strtoll(enc_types, NULL, 10);
    (void)text_value(l, entry, "msDS-KeyVersionNumber", kvno, sizeof(kvno));
    a.kvno = (unsigned)strtoul(kvno, NULL, 10);
    if (read_protected(l, &a, err) < 0)
        return -1;
    text_values(l, entry, "msDS-AllowedToDelegateTo", &a.allowed_to_delegate);
    text_values(l, entry, "servicePrincipalName", &a.spns);
    *ret = a;
    return 0;
}

void dg_account_done(struct dg_account *a)
{
    if (!a)
        return;
    dg_strings_done(&a->allowed_to_delegate);
    dg_strings_done(&a->spns);
    memset(a, 0, sizeof(*a));
}

// ---- groups ----

int dg_ldap_group(struct dg_ldap *l, const char *group, struct dg_group *ret, struct drv_err *err)
{
    static const char *const attrs[] = {"objectSid", "sAMAccountName", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    LDAPMessage *entry = NULL;
    char *value DRV_AUTO_FREE = dg_filter_escape(group);
    char *filter DRV_AUTO_FREE =
        drv_xasprintf("(&(objectClass=group)(|(sAMAccountName=%s)(cn=%s)))", value, value);
    if (find_one(l, filter, attrs, "group", group, &msg, &entry, err) < 0)
        return -1;
    if (sid_value(l, entry, ret->sid) < 0 || dn_value(l, entry, ret->dn, sizeof(ret->dn)) < 0 ||
        text_value(l, entry, "sAMAccountName", ret->name, sizeof(ret->name)) < 0)
        return drv_err(err, DRV_EPEER, "%s shows no SID for the group \"%s\"", dg_ldap_dc(l),
                       group);
    return 0;
}

int dg_ldap_group_sid(struct dg_ldap *l, const char *group, char ret[DG_SID_LEN],
                      struct drv_err *err)
{
    struct dg_group g;
    return dg_ldap_group(l, group, &g, err) < 0 ? -1 : drv_copy(ret, DG_SID_LEN, g.sid);
}

int dg_ldap_in_group(struct dg_ldap *l, const char *dn, const char *group_dn, bool *ret,
                     struct drv_err *err)
{
    static const char *const attrs[] = {LDAP_NO_ATTRS, NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    char *value DRV_AUTO_FREE = dg_filter_escape(group_dn);
    char *filter DRV_AUTO_FREE = drv_xasprintf("(memberOf:" IN_CHAIN ":=%s)", value);
    int n = 0;
    if (dg_ldap_search(l, dn, LDAP_SCOPE_BASE, filter, attrs, 1, &msg, &n, err) < 0)
        return -1;
    *ret = n > 0;
    return 0;
}

// ---- the domain ----

// One text of one object that is known by its name.
static int read_text(struct dg_ldap *l, const char *dn, const char *attr, char *ret, size_t size,
                     struct drv_err *err)
{
    const char *const attrs[] = {attr, NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    int n = 0;
    if (dg_ldap_search(l, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1, &msg, &n, err) < 0)
        return -1;
    LDAPMessage *entry = n ? ldap_first_entry(dg_ldap_handle(l), msg) : NULL;
    return entry && text_value(l, entry, attr, ret, size) == 0
               ? 0
               : drv_err(err, DRV_EPEER, "%s shows no %s of %s", dg_ldap_dc(l), attr,
                         *dn ? dn : "its own");
}

int dg_ldap_kvno(struct dg_ldap *l, const char *dn, unsigned *ret, struct drv_err *err)
{
    char text[16];
    if (read_text(l, dn, "msDS-KeyVersionNumber", text, sizeof(text), err) < 0)
        return -1;
    *ret = (unsigned)strtoul(text, NULL, 10);
    return 0;
}

static int read_domain_sid(struct dg_ldap *l, char ret[DG_SID_LEN], struct drv_err *err)
{
    static const char *const attrs[] = {"objectSid", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    int n = 0;
    if (dg_ldap_search(l, dg_ldap_base(l), LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1, &msg, &n,
                       err) < 0)
        return -1;
    LDAPMessage *entry = n ? ldap_first_entry(dg_ldap_handle(l), msg) : NULL;
    return entry && sid_value(l, entry, ret) == 0
               ? 0
               : drv_err(err, DRV_EPEER, "%s shows no SID of its domain", dg_ldap_dc(l));
}

// MS-ADTS 6.1.1.2.1.1.4: the partition of a domain has its old name.
static int read_netbios(struct dg_ldap *l, char ret[DG_NAME_LEN], struct drv_err *err)
{
    static const char *const attrs[] = {"nETBIOSName", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    char config[1024];
    int n = 0;
    if (read_text(l, "", "configurationNamingContext", config, sizeof(config), err) < 0)
        return -1;
    char *base DRV_AUTO_FREE = drv_xasprintf("CN=Partitions,%s", config);
    char *value DRV_AUTO_FREE = dg_filter_escape(dg_ldap_base(l));
    char *filter DRV_AUTO_FREE = drv_xasprintf("(&(objectClass=crossRef)(nCName=%s))", value);
    if (dg_ldap_search(l, base, LDAP_SCOPE_ONELEVEL, filter, attrs, 1, &msg, &n, err) < 0)
        return -1;
    LDAPMessage *entry = n ? ldap_first_entry(dg_ldap_handle(l), msg) : NULL;
    return entry && text_value(l, entry, attrs[0], ret, DG_NAME_LEN) == 0
               ? 0
               : drv_err(err, DRV_EPEER, "%s shows no short name of its domain", dg_ldap_dc(l));
}

int dg_ldap_domain(struct dg_ldap *l, struct dg_domain *ret, struct drv_err *err)
{
    char *dns = NULL;
    int rc = ldap_dn2domain(dg_ldap_base(l), &dns);
    if (rc == LDAP_SUCCESS && dns)
        rc = DRV_COPY(ret->dns, dns);
    ldap_memfree(dns);
    if (rc != LDAP_SUCCESS || !ret->dns[0])
        return drv_err(err, DRV_EPEER, "%s: \"%s\" is not the name of a domain", dg_ldap_dc(l),
                       dg_ldap_base(l));
    return read_domain_sid(l, ret->sid, err) < 0 || read_netbios(l, ret->netbios, err) < 0 ? -1 : 0;
}

// ---- service names ----

int dg_ldap_spn_owner(struct dg_ldap *l, const char *spn, char ret[DG_NAME_LEN],
                      struct drv_err *err)
{
    static const char *const attrs[] = {"sAMAccountName", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    char *value DRV_AUTO_FREE = dg_filter_escape(spn);
    char *filter DRV_AUTO_FREE = drv_xasprintf("(servicePrincipalName=%s)", value);
    int n = 0;
    ret[0] = '\0';
    if (dg_ldap_search(l, dg_ldap_base(l), LDAP_SCOPE_SUBTREE, filter, attrs, 2, &msg, &n, err) < 0)
        return -1;
    LDAPMessage *entry = n ? ldap_first_entry(dg_ldap_handle(l), msg) : NULL;
    return entry ? text_value(l, entry, attrs[0], ret, DG_NAME_LEN) : 0;
}

// Row of the object with this SID. AD takes the text form in filters.
static int find_sid(struct dg_ldap *l, const char *sid, const char *const attrs[],
                    LDAPMessage **ret_msg, LDAPMessage **ret_entry, struct drv_err *err)
{
    if (!dg_sid_valid(sid))
        return drv_err(err, DRV_EINVAL, "\"%s\" is not a SID", sid ? sid : "");
    char *filter DRV_AUTO_FREE = drv_xasprintf("(objectSid=%s)", sid);
    return find_one(l, filter, attrs, "object with SID", sid, ret_msg, ret_entry, err);
}

int dg_ldap_sid_name(struct dg_ldap *l, const char *sid, char ret[DG_NAME_LEN], struct drv_err *err)
{
    static const char *const attrs[] = {"sAMAccountName", NULL};
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    LDAPMessage *entry = NULL;
    if (find_sid(l, sid, attrs, &msg, &entry, err) < 0)
        return -1;
    return text_value(l, entry, attrs[0], ret, DG_NAME_LEN) < 0
               ? drv_err(err, DRV_EPEER, "%s shows no name for %s", dg_ldap_dc(l), sid)
               : 0;
}

// ---- hosts ----

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct dg_host *)a)->name, ((const struct dg_host *)b)->name);
}

int dg_ldap_hosts(struct dg_ldap *l, const char *group_sid, struct dg_host **ret, unsigned *ret_n,
                  struct drv_err *err)
{
    static const char *const attrs[] = {"sAMAccountName", "dNSHostName", NULL};
    LDAPMessage *group_msg DG_AUTO_MSG = NULL;
    LDAPMessage *msg DG_AUTO_MSG = NULL;
    LDAPMessage *group = NULL;
    char dn[1024];
    if (find_sid(l, group_sid, attrs, &group_msg, &group, err) < 0)
        return -1;
    if (dn_value(l, group, dn, sizeof(dn)) < 0)
        return drv_err(err, DRV_EPEER, "the group %s has no usable name", group_sid);

    char *value DRV_AUTO_FREE = dg_filter_escape(dn);
    char *filter DRV_AUTO_FREE =
        drv_xasprintf("(&(objectClass=computer)(dNSHostName=*)(memberOf:" IN_CHAIN ":=%s))", value);
    int n = 0;
    if (dg_ldap_search(l, dg_ldap_base(l), LDAP_SCOPE_SUBTREE, filter, attrs, DG_HOSTS_MAX, &msg,
                       &n, err) < 0)
        return -1;

    struct dg_host *hosts = drv_xcalloc((size_t)n + 1, sizeof(*hosts));
    unsigned count = 0;
    for (LDAPMessage *e = ldap_first_entry(dg_ldap_handle(l), msg); e && count < DG_HOSTS_MAX;
         e = ldap_next_entry(dg_ldap_handle(l), e)) {
        struct dg_host *h = &hosts[count];
        if (text_value(l, e, "sAMAccountName", h->name, sizeof(h->name)) < 0 ||
            text_value(l, e, "dNSHostName", h->fqdn, sizeof(h->fqdn)) < 0)
            continue;
        h->name[strcspn(h->name, "$")] = '\0';
        count++;
    }
    qsort(hosts, count, sizeof(*hosts), by_name);
    *ret = hosts;
    *ret_n = count;
    return 0;
}
