// SPDX-License-Identifier: GPL-3.0-or-later
// One refusal code of the KDC, several causes: which finding the evidence supports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delegation_int.h"

enum { U = DG_UNKNOWN, N = DG_NO, Y = DG_YES };

static const struct {
    int forwardable, not_delegated, protected_user, listed;
    const char *spn, *id;
    const char *says; // in message or hint
} cases[] = {
    {N, Y, N, U, "drover/hv2.x", "D12", "sensitive carol off"},
    {N, N, Y, U, "drover/hv2.x", "D12", "\"Protected Users\" carol"},
    {N, Y, Y, U, "drover/hv2.x", "D12", "Protected Users"},
    {N, N, N, U, "drover/hv2.x", "K03", "kinit -f carol,"},
    {N, N, N, N, "drover/hv2.x", "K03", "not forwardable"}, // both: the user's ticket comes first
    {Y, N, N, N, "drover/hv2.x", "D10", "add-service 'HV1$' drover/hv2.x "},
    {Y, N, N, N, "cifs/fs.x", "D11",
     "Set-ADComputer HV1 -Add @{'msDS-AllowedToDelegateTo'='cifs/fs.x'}"},
    {Y, U, U, N, "drover/hv2.x", "D10", "msDS-AllowedToDelegateTo"},
    {U, U, U, N, "drover/hv2.x", "D10", "msDS-AllowedToDelegateTo"},
    {Y, Y, N, N, "drover/hv2.x", "D10", "msDS-AllowedToDelegateTo"},
    {Y, Y, N, Y, "drover/hv2.x", "D12", "sensitive"}, // marked since the ticket was issued
    {Y, N, N, Y, "drover/hv2.x", "D14", "replicated"},
    {Y, U, U, U, "drover/hv2.x", "D14", "delegation show 'HV1$'"},
    {N, U, U, U, "drover/hv2.x", "D14", "kinit -f"},
    {U, U, U, U, "drover/hv2.x", "D14", "no answer from dc1"},
};

static void each_set_of_evidence_has_one_finding(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct dg_evidence e = {
            .user = "carol@X",
            .host_account = "HV1$",
            .forwardable = (enum dg_known)cases[i].forwardable,
            .not_delegated = (enum dg_known)cases[i].not_delegated,
            .protected_user = (enum dg_known)cases[i].protected_user,
            .listed = (enum dg_known)cases[i].listed,
        };
        struct drv_err err = DRV_ERR_INIT;
        DRV_COPY(e.spn, cases[i].spn);
        if (cases[i].listed == U)
            DRV_COPY(e.ldap_problem, "no answer from dc1");
        assert_int_equal(dg_verdict(&e, &err), -1);
        assert_int_equal(err.code, DRV_EDENIED);
        if (strcmp(err.id, cases[i].id) != 0 ||
            (!strstr(err.msg, cases[i].says) && !strstr(err.hint, cases[i].says)))
            fail_msg("case %u: %s \"%s\" \"%s\"", i, err.id, err.msg, err.hint);
    }
}

static void the_longest_names_leave_the_commands_whole(void **state)
{
    (void)state;
    struct dg_evidence e = {
        .host_account = "FIFTEENCHARHST$", .forwardable = DG_YES, .listed = DG_NO};
    struct drv_err err = DRV_ERR_INIT;
    memset(e.spn, 'h', 70); // drover/ and a host name of 63 characters
    memcpy(e.spn, "drover/", strlen("drover/"));
    dg_verdict(&e, &err);
    assert_int_equal(err.hint[strlen(err.hint) - 1], ')');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_set_of_evidence_has_one_finding),
        cmocka_unit_test(the_longest_names_leave_the_commands_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
