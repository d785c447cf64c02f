// SPDX-License-Identifier: GPL-3.0-or-later
// The qcow2 header parser: bounded, and refusing what drover cannot carry.
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "qcow2.h"

enum { FILE_BYTES = 196 * 1024 };

static struct ss_qcow2_header good(void)
{
    return (struct ss_qcow2_header){
        .magic = htobe32(SS_QCOW2_MAGIC),
        .version = htobe32(3),
        .cluster_bits = htobe32(16),
        .size = htobe64(UINT64_C(20) << 30),
        .l1_table_offset = htobe64(196608),
    };
}

static enum drv_code parse(const struct ss_qcow2_header *h, struct ss_image_info *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    int rc = ss_qcow2_parse((const uint8_t *)h, sizeof *h, FILE_BYTES, ret, &err);
    assert_int_equal(rc, err.code == DRV_OK ? 0 : -1);
    return err.code;
}

static void header_tells_size_backing_and_snapshots(void **state)
{
    (void)state;
    struct ss_image_info info;
    struct ss_qcow2_header h = good();
    assert_int_equal(parse(&h, &info), DRV_OK);
    assert_int_equal(info.virtual_bytes, UINT64_C(20) << 30);
    assert_false(info.has_backing);
    assert_false(info.has_snapshots);
    h.backing_file_offset = htobe64(512);
    h.nb_snapshots = htobe32(1);
    assert_int_equal(parse(&h, &info), DRV_OK);
    assert_true(info.has_backing);
    assert_true(info.has_snapshots);
}

static void version_2_has_no_feature_bits(void **state)
{
    (void)state;
    struct ss_image_info info;
    struct ss_qcow2_header h = good();
    h.version = htobe32(2);
    h.incompatible_features = UINT64_MAX; // other bytes of the file
    assert_int_equal(parse(&h, &info), DRV_OK);
}

static void damaged_or_foreign_headers_are_refused(void **state)
{
    (void)state;
    struct ss_image_info info;
    struct ss_qcow2_header h = good();
    h.magic = htobe32(0x514649fc);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.version = htobe32(4);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.cluster_bits = htobe32(63);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.size = UINT64_MAX;
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.l1_table_offset = htobe64(UINT64_MAX);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.incompatible_features = htobe64(SS_QCOW2_CORRUPT);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.incompatible_features = htobe64(SS_QCOW2_EXTERNAL_DATA);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
    h = good();
    h.crypt_method = htobe32(2);
    assert_int_equal(parse(&h, &info), DRV_EINVAL);
}

static void short_file_is_refused_at_every_length(void **state)
{
    (void)state;
    struct ss_image_info info;
    struct ss_qcow2_header h = good();
    h.l1_table_offset = 0;
    for (size_t len = 0; len < sizeof h; len++)
        assert_int_equal(ss_qcow2_parse((const uint8_t *)&h, len, len, &info, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_tells_size_backing_and_snapshots),
        cmocka_unit_test(version_2_has_no_feature_bits),
        cmocka_unit_test(damaged_or_foreign_headers_are_refused),
        cmocka_unit_test(short_file_is_refused_at_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
