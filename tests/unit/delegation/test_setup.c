// SPDX-License-Identifier: GPL-3.0-or-later
// What `drover delegation setup` finds missing, and how it tells.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delegation_int.h"

struct domain {
    struct dg_found f;
    struct dg_found_host hosts[3];
};

static void set_values(struct dg_strings *s, const char *const values[])
{
    for (; *values; values++)
        dg_strings_add(s, *values);
}

// Two hosts that have all they need, and a third that has just joined and shall come along.
static struct domain *domain_new(void)
{
    static const char *const spns[][4] = {
        {"host/hv1.x.lan", "drover/hv1.x.lan", "drover/HV1"},
        {"host/hv2.x.lan", "DROVER/HV2.X.LAN", "drover/hv2"}, // names know no case
    };
    static const char *const peers[][5] = {
        {"drover/hv2.x.lan", "drover/HV2", "cifs/fs.x.lan", "cifs/fs"},
        {"drover/hv1.x.lan", "drover/HV1", "cifs/fs.x.lan", "cifs/fs"},
    };
    struct domain *d = drv_xcalloc(1, sizeof(*d));
    d->f.group_is_there = true;
    DRV_COPY(d->f.group.name, "VM Hosts");
    DRV_COPY(d->f.group.dn, "CN=VM Hosts,DC=x,DC=lan");
    d->f.hosts = d->hosts;
    d->f.n_hosts = DRV_ARRAY_LEN(d->hosts);
    dg_strings_add(&d->f.servers, "fs.x.lan");
    for (unsigned i = 0; i < d->f.n_hosts; i++) {
        struct dg_account *a = &d->hosts[i].a;
        snprintf(a->name, sizeof(a->name), "HV%u$", i + 1);
        snprintf(a->dn, sizeof(a->dn), "CN=HV%u,DC=x,DC=lan", i + 1);
        snprintf(a->fqdn, sizeof(a->fqdn), "hv%u.x.lan", i + 1);
        a->uac = 0x1000;
        a->enc_types = 0x18;
        if (i == 2)
            break;
        d->hosts[i].member = true;
        set_values(&a->spns, spns[i]);
        set_values(&a->allowed_to_delegate, peers[i]);
    }
    return d;
}

static void domain_free(struct domain *d)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(d->hosts); i++)
        dg_account_done(&d->hosts[i].a);
    dg_strings_done(&d->f.servers);
    free(d);
}

static struct dg_plan compare(struct domain *d)
{
    struct dg_plan p = {0};
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(dg_setup_compare(&d->f, &p, &err), 0);
    return p;
}

static unsigned count(const struct dg_plan *p, const char *account, enum dg_change_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->n; i++)
        n += !strcmp(p->changes[i].account, account) && p->changes[i].kind == kind;
    return n;
}

static bool has(const struct dg_plan *p, enum dg_change_kind kind, const char *account,
                const char *attr, const char *value)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct dg_change *c = &p->changes[i];
        if (c->kind == kind && !strcmp(c->account, account) && !strcmp(c->attr, attr) &&
            !strcmp(c->value, value))
            return true;
    }
    return false;
}

static const char to[] = "msDS-AllowedToDelegateTo", spn[] = "servicePrincipalName";

static void what_is_there_stays(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.n_hosts = 2;
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.n_notes, 0);
    char *text DRV_AUTO_FREE = dg_plan_samba_tool(&p);
    assert_string_equal(text, "");
    dg_plan_done(&p);
    domain_free(d);
}

static void a_new_host_is_made_known_in_both_directions(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->hosts[2].a.enc_types = 0x1c;
    struct dg_plan p = compare(d);
    assert_true(has(&p, DG_ADD_VALUE, "HV1$", to, "drover/hv3.x.lan"));
    assert_true(has(&p, DG_ADD_VALUE, "HV2$", to, "drover/HV3"));
    assert_int_equal(count(&p, "HV1$", DG_ADD_VALUE), 2);
    assert_int_equal(count(&p, "HV2$", DG_ADD_VALUE), 2);
    assert_true(has(&p, DG_ADD_VALUE, "VM Hosts", "member", "CN=HV3,DC=x,DC=lan"));
    assert_true(has(&p, DG_ADD_VALUE, "HV3$", spn, "drover/hv3.x.lan"));
    assert_true(has(&p, DG_ADD_VALUE, "HV3$", to, "drover/hv1.x.lan"));
    assert_true(has(&p, DG_ADD_VALUE, "HV3$", to, "cifs/fs"));
    assert_true(has(&p, DG_REPLACE_VALUE, "HV3$", "msDS-SupportedEncryptionTypes", "24"));
    assert_int_equal(count(&p, "HV3$", DG_ADD_VALUE), 2 + 4 + 2);
    assert_int_equal(p.n, 2 + 2 + 1 + 8 + 1);
    dg_plan_done(&p);
    domain_free(d);
}

static void a_host_that_goes_takes_its_own_and_what_leads_to_it(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.n_hosts = 2;
    d->hosts[1].leaving = true;
    dg_strings_add(&d->hosts[1].a.allowed_to_delegate, "cifs/other.x.lan"); // not drover's
    struct dg_plan p = compare(d);
    assert_true(has(&p, DG_REMOVE_VALUE, "HV1$", to, "drover/hv2.x.lan"));
    assert_int_equal(count(&p, "HV1$", DG_REMOVE_VALUE), 2);
    assert_int_equal(count(&p, "HV2$", DG_REMOVE_VALUE), 4 + 2);
    assert_false(has(&p, DG_REMOVE_VALUE, "HV2$", spn, "host/hv2.x.lan"));
    assert_false(has(&p, DG_REMOVE_VALUE, "HV2$", to, "cifs/other.x.lan"));
    assert_true(has(&p, DG_REMOVE_VALUE, "VM Hosts", "member", "CN=HV2,DC=x,DC=lan"));
    assert_int_equal(p.n, 2 + 6 + 1);
    dg_plan_done(&p);
    domain_free(d);
}

static void a_group_that_is_not_there_comes_first(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.group_is_there = d->hosts[0].member = d->hosts[1].member = false;
    d->f.n_hosts = 2;
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.changes[0].kind, DG_NEW_GROUP);
    dg_plan_done(&p);
    domain_free(d);
}

static void too_much_trust_is_said_and_left_alone(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.n_hosts = 2;
    d->hosts[0].a.uac |= 0x00080000;
    d->hosts[1].a.uac |= 0x01000000;
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.n_notes, 2);
    assert_non_null(strstr(p.notes[0], "for-any-service 'HV1$' off"));
    assert_non_null(strstr(p.notes[1], "for-any-protocol 'HV2$' off"));
    dg_plan_done(&p);
    domain_free(d);
}

static void nothing_is_planned_on_what_cannot_work(void **state)
{
    (void)state;
    struct dg_plan p = {0};
    struct drv_err err = DRV_ERR_INIT;
    struct domain *d = domain_new();
    DRV_COPY(d->hosts[2].spn, "drover/HV3");
    DRV_COPY(d->hosts[2].spn_owner, "val");
    assert_int_equal(dg_setup_compare(&d->f, &p, &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
    assert_non_null(strstr(err.hint, "spn delete drover/HV3 'val'"));
    d->hosts[2].spn_owner[0] = d->hosts[2].a.fqdn[0] = '\0';
    drv_err_clear(&err);
    assert_int_equal(dg_setup_compare(&d->f, &p, &err), -1);
    assert_non_null(strstr(err.msg, "HV3$ has no dNSHostName"));
    assert_int_equal(p.n, 0);
    domain_free(d);
}

static void the_plan_is_text_for_three_kinds_of_administrators(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    DRV_COPY(d->f.group.name, "Bob's; rm -rf /");
    struct dg_plan p = compare(d);
    char *ldif DRV_AUTO_FREE = dg_plan_ldif(&p);
    char *samba DRV_AUTO_FREE = dg_plan_samba_tool(&p);
    char *power DRV_AUTO_FREE = dg_plan_powershell(&p);
    assert_non_null(strstr(ldif, "dn: CN=HV1,DC=x,DC=lan\nchangetype: modify\n"
                                 "add: msDS-AllowedToDelegateTo\n"
                                 "msDS-AllowedToDelegateTo: drover/hv3.x.lan\n"
                                 "msDS-AllowedToDelegateTo: drover/HV3\n-\n\n"));
    assert_non_null(strstr(samba, "samba-tool delegation add-service 'HV1$' 'drover/HV3'\n"));
    assert_non_null(strstr(samba, "samba-tool spn add 'drover/HV3' 'HV3$'\n"));
    // A quote in a name ends no argument.
    assert_non_null(strstr(samba, "samba-tool group addmembers 'Bob'\\''s; rm -rf /' 'HV3$'\n"));
    assert_non_null(strstr(power, "Add-ADGroupMember 'Bob''s; rm -rf /' 'HV3$'\n"));
    assert_non_null(
        strstr(power, "Set-ADComputer 'HV1$' -Add @{'msDS-AllowedToDelegateTo'='drover/HV3'}\n"));
    assert_non_null(strstr(power, "setspn -S 'drover/hv3.x.lan' 'HV3$'\n"));
    dg_plan_done(&p);
    domain_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_stays),
        cmocka_unit_test(a_new_host_is_made_known_in_both_directions),
        cmocka_unit_test(a_host_that_goes_takes_its_own_and_what_leads_to_it),
        cmocka_unit_test(a_group_that_is_not_there_comes_first),
        cmocka_unit_test(too_much_trust_is_said_and_left_alone),
        cmocka_unit_test(nothing_is_planned_on_what_cannot_work),
        cmocka_unit_test(the_plan_is_text_for_three_kinds_of_administrators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
