// SPDX-License-Identifier: GPL-3.0-or-later
// Decoding of real PAC buffers, and of broken ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// clang-format off
#include <talloc.h>
#include <core/ntstatus.h>
#include <core/werror.h>
#include <util/data_blob.h>
#include <util/time.h>
#include <gen_ndr/ndr_krb5pac.h>
// clang-format on

#include "drover/authz.h"
#include "drover/util.h"
#include "pac_fixtures.h"

#define DOMAIN "S-1-5-21-3873511772-2823000502-3206472538"

static size_t unhex(const char *hex, uint8_t **ret)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = drv_xcalloc(1, len);
    for (size_t i = 0; i < len; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    *ret = bytes;
    return len;
}

static void decode(const char *hex, struct az_identity *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    uint8_t *bytes DRV_AUTO_FREE = NULL;
    size_t len = unhex(hex, &bytes);
    memset(ret, 0, sizeof(*ret));
    if (az_pac_logon_info(bytes, len, ret, &err) < 0)
        fail_msg("%s", err.msg);
}

static void a_user_has_its_sid_and_groups(void **state)
{
    (void)state;
    struct az_identity id AZ_AUTO_IDENTITY;
    decode(pac_alice, &id);
    assert_string_equal(id.account, "alice");
    assert_string_equal(id.domain_sid, DOMAIN);
    assert_string_equal(id.sid, DOMAIN "-1104");
    assert_true(az_identity_has_sid(&id, DOMAIN "-1104"));
    assert_true(az_identity_has_sid(&id, DOMAIN "-513"));  // Domain Users, the primary group
    assert_true(az_identity_has_sid(&id, DOMAIN "-1114")); // VM Operators
    assert_true(az_identity_has_sid(&id, "S-1-18-1"));     // an extra SID
    assert_false(az_identity_has_sid(&id, DOMAIN "-1113"));
    assert_false(az_identity_has_sid(&id, DOMAIN "-111"));
    assert_false(az_identity_has_sid(&id, ""));
    assert_false(id.not_delegated || id.protected_user || id.delegated);
}

static void a_computer_is_in_the_hosts_group(void **state)
{
    (void)state;
    struct az_identity id AZ_AUTO_IDENTITY;
    decode(pac_hv1, &id);
    assert_string_equal(id.account, "HV1$");
    assert_true(az_identity_has_sid(&id, DOMAIN "-1112"));
}

static void users_that_cannot_be_delegated_are_known_by_their_pac(void **state)
{
    (void)state;
    struct az_identity carol AZ_AUTO_IDENTITY, dave AZ_AUTO_IDENTITY;
    decode(pac_carol, &carol);
    assert_true(carol.not_delegated);
    assert_false(carol.protected_user);
    decode(pac_dave, &dave);
    assert_false(dave.not_delegated);
    assert_true(dave.protected_user);
}

static void delegation_names_the_target_and_who_obtained_it(void **state)
{
    (void)state;
    struct az_identity id AZ_AUTO_IDENTITY = {0};
    uint8_t *bytes DRV_AUTO_FREE = NULL;
    size_t len = unhex(delegation_hv1_hv2, &bytes);
    assert_int_equal(az_pac_delegation_info(bytes, len, &id, NULL), 0);
    assert_true(id.delegated);
    assert_string_equal(id.target, "drover/hv2.drover.test");
    assert_int_equal(id.n_transited, 1);
    assert_string_equal(id.transited[0], "HV1$@DROVER.TEST");
}

typedef int decode_fn(const void *data, size_t len, struct az_identity *ret, struct drv_err *err);
static const struct {
    const char *const hex;
    decode_fn *fn;
} buffers[] = {
    {pac_alice, az_pac_logon_info},
    {pac_hv1, az_pac_logon_info},
    {delegation_hv1_hv2, az_pac_delegation_info},
};

// An exact copy, so that a read past its end is seen by the address sanitizer.
static int try(decode_fn *fn, const uint8_t *bytes, size_t len, struct drv_err *err)
{
    struct az_identity id AZ_AUTO_IDENTITY = {0};
    uint8_t *copy DRV_AUTO_FREE = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    int rc = fn(copy, len, &id, err);
    assert_true(id.n_groups <= AZ_GROUPS_MAX && id.n_transited <= AZ_TRANSITED_MAX);
    if (rc < 0)
        assert_null(id.groups);
    return rc;
}

static void a_buffer_cut_off_anywhere_is_refused(void **state)
{
    (void)state;
    for (unsigned b = 0; b < DRV_ARRAY_LEN(buffers); b++) {
        uint8_t *bytes DRV_AUTO_FREE = NULL;
        size_t len = unhex(buffers[b].hex, &bytes);
        for (size_t cut = 0; cut < len; cut++) {
            struct drv_err err = DRV_ERR_INIT;
            assert_int_equal(try(buffers[b].fn, bytes, cut, &err), -1);
            assert_int_equal(err.code, DRV_EPEER);
            assert_true(err.msg[0] != '\0');
        }
    }
}

static void no_single_wrong_byte_breaks_the_decoder(void **state)
{
    (void)state;
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (unsigned b = 0; b < DRV_ARRAY_LEN(buffers); b++) {
        uint8_t *bytes DRV_AUTO_FREE = NULL;
        size_t len = unhex(buffers[b].hex, &bytes);
        for (size_t at = 0; at < len; at++) {
            uint8_t right = bytes[at];
            for (unsigned v = 0; v < DRV_ARRAY_LEN(values); v++) {
                bytes[at] = values[v];
                (void)try(buffers[b].fn, bytes, len, NULL);
            }
            bytes[at] = right;
        }
    }
}

static void counts_beyond_the_buffer_are_refused(void **state)
{
    (void)state;
    // Offsets in pac_alice: count of groups, the same before the array; of extra SIDs, likewise.
    static const size_t counts[] = {0x80, 0x140, 0xd8, 0x19c};
    uint8_t *bytes DRV_AUTO_FREE = NULL;
    size_t len = unhex(pac_alice, &bytes);
    assert_int_equal(bytes[counts[0]], 2);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(counts); i++) {
        uint8_t copy[4];
        memcpy(copy, bytes + counts[i], 4);
        memset(bytes + counts[i], 0xff, 4);
        assert_int_equal(try(az_pac_logon_info, bytes, len, NULL), -1);
        memcpy(bytes + counts[i], copy, 4);
    }
    assert_int_equal(try(az_pac_logon_info, bytes, len, NULL), 0);
}

static void an_oversized_or_empty_buffer_is_refused(void **state)
{
    (void)state;
    // Trailing bytes are allowed, so the size alone decides here.
    uint8_t *alice DRV_AUTO_FREE = NULL, *big DRV_AUTO_FREE = drv_xcalloc(1, AZ_PAC_BUFFER_MAX + 1);
    size_t len = unhex(pac_alice, &alice);
    memcpy(big, alice, len);
    assert_int_equal(try(az_pac_logon_info, big, AZ_PAC_BUFFER_MAX, NULL), 0);
    assert_int_equal(try(az_pac_logon_info, big, AZ_PAC_BUFFER_MAX + 1, NULL), -1);
    assert_int_equal(try(az_pac_logon_info, big, 0, NULL), -1);
    assert_int_equal(try(az_pac_delegation_info, big, 0, NULL), -1);
}

// A ticket for drover/hv2 that went through n hosts, decoded.
static int decode_chain(unsigned n, struct az_identity *ret)
{
    struct lsa_String hosts[AZ_TRANSITED_MAX + 1];
    struct PAC_CONSTRAINED_DELEGATION chain = {
        .proxy_target.string = "drover/hv2.drover.test",
        .num_transited_services = n,
        .transited_services = hosts,
    };
    union PAC_INFO pac = {.constrained_delegation.info = &chain};
    TALLOC_CTX *mem = talloc_new(NULL);
    DATA_BLOB blob;
    for (unsigned i = 0; i < n; i++)
        hosts[i].string = talloc_asprintf(mem, "HV%u$@DROVER.TEST", i + 1);
    assert_int_equal(ndr_push_union_blob(&blob, mem, &pac, PAC_TYPE_CONSTRAINED_DELEGATION,
                                         (ndr_push_flags_fn_t)ndr_push_PAC_INFO),
                     NDR_ERR_SUCCESS);
    int rc = az_pac_delegation_info(blob.data, blob.length, ret, NULL);
    talloc_free(mem);
    return rc;
}

static void a_chain_of_hosts_is_kept_in_order_up_to_the_limit(void **state)
{
    (void)state;
    struct az_identity id = {0};
    assert_int_equal(decode_chain(AZ_TRANSITED_MAX, &id), 0);
    assert_int_equal(id.n_transited, AZ_TRANSITED_MAX);
    assert_string_equal(id.transited[0], "HV1$@DROVER.TEST");
    assert_string_equal(id.transited[AZ_TRANSITED_MAX - 1], "HV8$@DROVER.TEST");
    struct az_identity longer = {0};
    assert_int_equal(decode_chain(AZ_TRANSITED_MAX + 1, &longer), -1);
    assert_false(longer.delegated);
    assert_int_equal(decode_chain(0, &longer), -1);
}

static void one_kind_of_buffer_is_not_taken_for_the_other(void **state)
{
    (void)state;
    uint8_t *logon DRV_AUTO_FREE = NULL, *delegation DRV_AUTO_FREE = NULL;
    size_t logon_len = unhex(pac_alice, &logon);
    size_t delegation_len = unhex(delegation_hv1_hv2, &delegation);
    assert_int_equal(try(az_pac_delegation_info, logon, logon_len, NULL), -1);
    assert_int_equal(try(az_pac_logon_info, delegation, delegation_len, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_has_its_sid_and_groups),
        cmocka_unit_test(a_computer_is_in_the_hosts_group),
        cmocka_unit_test(users_that_cannot_be_delegated_are_known_by_their_pac),
        cmocka_unit_test(delegation_names_the_target_and_who_obtained_it),
        cmocka_unit_test(a_buffer_cut_off_anywhere_is_refused),
        cmocka_unit_test(no_single_wrong_byte_breaks_the_decoder),
        cmocka_unit_test(counts_beyond_the_buffer_are_refused),
        cmocka_unit_test(an_oversized_or_empty_buffer_is_refused),
        cmocka_unit_test(a_chain_of_hosts_is_kept_in_order_up_to_the_limit),
        cmocka_unit_test(one_kind_of_buffer_is_not_taken_for_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
