// SPDX-License-Identifier: GPL-3.0-or-later
// What `drover delegation check` says of a directory: one thing wrong, one id, and the command that
// repairs it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delegation_int.h"
#include "drover/delegation_check.h"

// Two hosts in order.
struct pair {
    struct dg_found f;
    struct dg_found_host hosts[2];
};

static void add_names(struct dg_strings *s, unsigned host)
{
    DRV_AUTO_FREE char *full = drv_xasprintf("drover/hv%u.x.lan", host);
    DRV_AUTO_FREE char *brief = drv_xasprintf("drover/HV%u", host);
    dg_strings_add(s, full);
    dg_strings_add(s, brief);
}

static void pair_init(struct pair *p)
{
    *p = (struct pair){.f = {.group_is_there = true, .hosts = p->hosts, .n_hosts = 2}};
    DRV_COPY(p->f.group.name, DG_DEFAULT_GROUP);
    dg_strings_add(&p->f.servers, "fs.x.lan");
    for (unsigned i = 0; i < 2; i++) {
        struct dg_account *a = &p->hosts[i].a;
        p->hosts[i].member = true;
        snprintf(a->name, sizeof a->name, "HV%u$", i + 1);
        snprintf(a->fqdn, sizeof a->fqdn, "hv%u.x.lan", i + 1);
        a->enc_types = DG_ENC_AES;
        add_names(&a->spns, i + 1);
        add_names(&a->allowed_to_delegate, 2 - i);
        dg_strings_add(&a->allowed_to_delegate, "cifs/fs.x.lan");
        dg_strings_add(&a->allowed_to_delegate, "cifs/fs");
    }
}

static void pair_done(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        dg_account_done(&p->hosts[i].a);
    dg_strings_done(&p->f.servers);
}

static void lose(struct dg_strings *s, const char *value)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!strcmp(s->list[i], value)) {
            free(s->list[i]);
            s->list[i] = s->list[--s->n];
            return;
        }
    fail();
}

// ---- what can be wrong with HV2 ----

static void no_group(struct pair *p)
{
    p->f.group_is_there = false;
}
static void no_member(struct pair *p)
{
    p->hosts[1].member = false;
}
static void no_name(struct pair *p)
{
    lose(&p->hosts[1].a.spns, "drover/hv2.x.lan");
}
static void no_short_name(struct pair *p)
{
    lose(&p->hosts[1].a.spns, "drover/HV2");
}
static void not_listed(struct pair *p)
{
    lose(&p->hosts[1].a.allowed_to_delegate, "drover/hv1.x.lan");
}
static void not_listed_short(struct pair *p)
{
    lose(&p->hosts[1].a.allowed_to_delegate, "drover/HV1");
}
static void no_file_server(struct pair *p)
{
    lose(&p->hosts[1].a.allowed_to_delegate, "cifs/fs.x.lan");
}
static void any_service(struct pair *p)
{
    p->hosts[1].a.uac |= DG_UAC_ANY_SERVICE;
}
static void any_protocol(struct pair *p)
{
    p->hosts[1].a.uac |= DG_UAC_ANY_PROTOCOL;
}
static void rc4_too(struct pair *p)
{
    p->hosts[1].a.enc_types = 28;
}
static void rc4_only(struct pair *p)
{
    p->hosts[1].a.enc_types = 4;
}
static void name_elsewhere(struct pair *p)
{
    DRV_COPY(p->hosts[1].spn_owner, "OLD$");
    DRV_COPY(p->hosts[1].spn, "drover/hv2.x.lan");
}
static void no_dns_name(struct pair *p)
{
    p->hosts[1].a.fqdn[0] = '\0';
}

static const struct wrong {
    void (*spoil)(struct pair *p);
    const char *id;
    enum drv_severity severity;
    const char *host, *text, *command;
} wrong[] = {
    {no_group, "A04", DRV_SEV_ERROR, "", DG_DEFAULT_GROUP, "drover delegation setup"},
    {no_member, "A04", DRV_SEV_ERROR, "hv2.x.lan", "not a member",
     "drover delegation setup HV2 --store fs.x.lan"},
    {no_name, "K05", DRV_SEV_ERROR, "hv2.x.lan", "drover/hv2.x.lan",
     "drover delegation setup --store fs.x.lan"},
    {no_short_name, "K05", DRV_SEV_WARNING, "hv2.x.lan", "drover/HV2", "drover delegation setup"},
    {not_listed, "D10", DRV_SEV_ERROR, "hv2.x.lan", "drover/hv1.x.lan", "drover delegation setup"},
    {not_listed_short, "D10", DRV_SEV_WARNING, "hv2.x.lan", "drover/HV1",
     "drover delegation setup"},
    {no_file_server, "D11", DRV_SEV_ERROR, "hv2.x.lan", "cifs/fs.x.lan", "drover delegation setup"},
    {any_service, "D17", DRV_SEV_WARNING, "hv2.x.lan", "any service",
     "samba-tool delegation for-any-service 'HV2$' off"},
    {any_protocol, "D18", DRV_SEV_WARNING, "hv2.x.lan", "protocol transition",
     "samba-tool delegation for-any-protocol 'HV2$' off"},
    {rc4_too, "D19", DRV_SEV_WARNING, "hv2.x.lan", "28", "drover delegation setup"},
    {rc4_only, "D19", DRV_SEV_ERROR, "hv2.x.lan", "is 4", "drover delegation setup"},
    {name_elsewhere, "D20", DRV_SEV_ERROR, "hv2.x.lan", "OLD$",
     "samba-tool spn delete drover/hv2.x.lan 'OLD$'"},
    {no_dns_name, "D21", DRV_SEV_ERROR, "HV2$", "dNSHostName", ""},
};

static void what_is_wrong_is_named_with_its_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < DRV_ARRAY_LEN(wrong); i++) {
        const struct wrong *w = &wrong[i];
        struct pair p;
        struct drv_findings f = {0};
        pair_init(&p);
        w->spoil(&p);
        assert_int_equal(dg_check_found(&p.f, DRV_SEV_ERROR, &f, NULL), 0);
        assert_true(f.n >= 1);
        assert_string_equal(f.list[0].id, w->id);
        assert_int_equal(f.list[0].severity, w->severity);
        assert_string_equal(f.list[0].host, w->host);
        assert_non_null(strstr(f.list[0].text, w->text));
        assert_int_equal(strncmp(f.list[0].command, w->command, strlen(w->command)), 0);
        if (*w->command)
            assert_string_equal(f.list[0].at, DRV_AT_DOMAIN);
        drv_findings_done(&f);
        pair_done(&p);
    }
}

static void nothing_is_said_of_a_directory_in_order(void **state)
{
    (void)state;
    struct pair p;
    struct drv_findings f = {0};
    pair_init(&p);
    assert_int_equal(dg_check_found(&p.f, DRV_SEV_ERROR, &f, NULL), 0);
    assert_int_equal(f.n, 0);
    pair_done(&p);
}

// A host that is broken in itself does not hide what the others lack.
static void all_is_said_at_once(void **state)
{
    (void)state;
    struct pair p;
    struct drv_findings f = {0};
    pair_init(&p);
    name_elsewhere(&p);
    lose(&p.hosts[0].a.allowed_to_delegate, "cifs/fs.x.lan");
    assert_int_equal(dg_check_found(&p.f, DRV_SEV_ERROR, &f, NULL), 0);
    assert_int_equal(f.n, 2);
    assert_string_equal(f.list[0].id, "D20");
    assert_string_equal(f.list[1].id, "D11");
    drv_findings_done(&f);
    pair_done(&p);
}

static void without_delegation_its_lists_are_notes(void **state)
{
    (void)state;
    struct pair p;
    struct drv_findings f = {0};
    pair_init(&p);
    not_listed(&p);
    no_member(&p);
    assert_int_equal(dg_check_found(&p.f, DRV_SEV_INFO, &f, NULL), 0);
    assert_int_equal(drv_findings_errors(&f), 1);
    for (unsigned i = 0; i < f.n; i++)
        assert_int_equal(f.list[i].severity,
                         strcmp(f.list[i].id, "D10") ? DRV_SEV_ERROR : DRV_SEV_INFO);
    drv_findings_done(&f);
    pair_done(&p);
}

static void another_group_is_named_in_the_command(void **state)
{
    (void)state;
    struct pair p;
    struct drv_findings f = {0};
    pair_init(&p);
    no_member(&p);
    DRV_COPY(p.f.group.name, "Our hosts");
    assert_int_equal(dg_check_found(&p.f, DRV_SEV_ERROR, &f, NULL), 0);
    assert_string_equal(f.list[0].command,
                        "drover delegation setup --group 'Our hosts' HV2 --store fs.x.lan");
    drv_findings_done(&f);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named_with_its_remedy),
        cmocka_unit_test(nothing_is_said_of_a_directory_in_order),
        cmocka_unit_test(all_is_said_at_once),
        cmocka_unit_test(without_delegation_its_lists_are_notes),
        cmocka_unit_test(another_group_is_named_in_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
