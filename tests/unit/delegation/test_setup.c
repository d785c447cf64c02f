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

static void a_host_that_goes_may_be_broken(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.n_hosts = 2;
    d->hosts[1].leaving = true;
    DRV_COPY(d->hosts[1].spn_owner, "val");
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 2 + 6 + 1);
    dg_plan_done(&p);
    DRV_COPY(d->hosts[1].a.fqdn, "HV2"); // as it is read when no list has its full name
    p = compare(d);
    assert_true(has(&p, DG_REMOVE_VALUE, "HV1$", to, "drover/HV2"));
    assert_int_equal(count(&p, "HV1$", DG_REMOVE_VALUE), 1); // not in both forms
    dg_plan_done(&p);
    domain_free(d);
}

static void a_host_without_an_account_gets_one_with_all_in_it(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->hosts[2].is_new = true;
    d->hosts[2].a.enc_types = 0;
    struct dg_plan p = compare(d);
    assert_int_equal(count(&p, "HV3$", DG_NEW_COMPUTER), 1);
    assert_int_equal(count(&p, "HV3$", DG_REPLACE_VALUE), 0);
    assert_int_equal(count(&p, "HV3$", DG_ADD_VALUE), 4 + 2); // whom it may act for users with
    assert_true(has(&p, DG_ADD_VALUE, "VM Hosts", "member", "CN=HV3,DC=x,DC=lan"));
    assert_int_equal(dg_plan_keytabs(&p), 1);
    // Before anything that needs it.
    for (unsigned i = 0; i < p.n && p.changes[i].kind != DG_NEW_COMPUTER; i++)
        assert_string_not_equal(p.changes[i].account, "VM Hosts");
    dg_plan_done(&p);
    domain_free(d);
}

static void a_password_changes_for_whom_it_was_asked(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->f.n_hosts = 2;
    d->hosts[1].new_password = true;
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.changes[0].kind, DG_NEW_PASSWORD);
    assert_string_equal(p.changes[0].account, "HV2$");
    assert_int_equal(dg_plan_keytabs(&p), 1);
    dg_plan_done(&p);
    domain_free(d);
}

static void people_get_their_groups(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    struct dg_found_user users[] = {{"CN=alice,DC=x,DC=lan", "alice"}};
    d->f.n_hosts = 2;
    struct dg_found_role *r = &d->f.roles[DG_OPERATORS];
    DRV_COPY(r->group.name, "VM Operators");
    DRV_COPY(r->group.dn, "CN=VM Operators,DC=x,DC=lan");
    r->users = users;
    r->n_users = 1;
    struct dg_plan p = compare(d);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.changes[0].kind, DG_NEW_GROUP);
    assert_true(has(&p, DG_ADD_VALUE, "VM Operators", "member", "CN=alice,DC=x,DC=lan"));
    assert_string_equal(p.changes[1].value_account, "alice");
    dg_plan_done(&p);
    r->is_there = true;
    r->n_users = 0;
    p = compare(d);
    assert_int_equal(p.n, 0);
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

static void no_text_has_a_password(void **state)
{
    (void)state;
    struct domain *d = domain_new();
    d->hosts[0].new_password = true;
    d->hosts[2].is_new = true;
    struct dg_plan p = compare(d);
    char *ldif DRV_AUTO_FREE = dg_plan_ldif(&p);
    char *samba DRV_AUTO_FREE = dg_plan_samba_tool(&p);
    char *power DRV_AUTO_FREE = dg_plan_powershell(&p);
    assert_non_null(strstr(ldif, "objectClass: computer\nsAMAccountName: HV3$\n"
                                 "userAccountControl: 4096\ndNSHostName: hv3.x.lan\n"
                                 "msDS-SupportedEncryptionTypes: 24\n"
                                 "servicePrincipalName: host/hv3.x.lan\n"));
    assert_null(strstr(ldif, "unicodePwd"));
    assert_non_null(strstr(ldif, "--new-keytab=HV1 "));
    assert_non_null(strstr(samba, "samba-tool user setpassword 'HV1$' --random-password\n"));
    assert_non_null(strstr(samba, "samba-tool user setpassword 'HV3$' --random-password\n"));
    assert_non_null(strstr(samba, "samba-tool user enable 'HV3$'\n"));
    assert_null(strstr(samba, "user enable 'HV1$'"));
    assert_non_null(strstr(samba, "dNSHostName: hv3.x.lan\n"));
    assert_non_null(strstr(power, "New-ADComputer 'HV3' -SAMAccountName 'HV3$' "
                                  "-DNSHostName 'hv3.x.lan' -Enabled $true"));
    assert_non_null(strstr(power, "Set-ADAccountPassword 'HV1$' -Reset -NewPassword (Read-Host"));
    dg_plan_done(&p);
    domain_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_goes_may_be_broken),
        cmocka_unit_test(a_host_without_an_account_gets_one_with_all_in_it),
        cmocka_unit_test(a_password_changes_for_whom_it_was_asked),
        cmocka_unit_test(people_get_their_groups),
        cmocka_unit_test(no_text_has_a_password),
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
