// SPDX-License-Identifier: GPL-3.0-or-later
// The owner record: nothing torn, rolled back or foreign is ever taken for the newest record.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crc32c.h"
#include "drover/record.h"

static struct ss_record sample(uint64_t counter, uint64_t epoch)
{
    struct ss_record r = {
        .write_counter = counter,
        .epoch = epoch,
        .state = SS_REC_RELEASED,
        .vm = "5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .host = "hv1.example.lan",
        .boot_id = "11111111-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .instance = "22222222-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .move = "33333333-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .to = "hv2.example.lan",
        .nonce = "44444444-7a55-4a8e-9f0d-0c2f8f1f7a10",
        .images = {{.disk = "disk0",
                    .store = "smb1",
                    .path = "web01/disk0.qcow2",
                    .volume_id = UINT64_MAX, // must survive: above what a JSON integer holds
                    .file_id = 0x8000000000000001,
                    .size_bytes = UINT64_C(1) << 40,
                    .image_id = "55555555-7a55-4a8e-9f0d-0c2f8f1f7a10"}},
        .n_images = 1,
        .home_store = "smb1",
        .home_path = "web01",
        .stall_deadline_s = 60,
    };
    memset(r.vm_json_sha256, 'a', 64);
    return r;
}

static void put(uint8_t *file, unsigned slot, const struct ss_record *r)
{
    assert_int_equal(ss_record_encode(r, file + slot * SS_RECORD_SLOT_BYTES, NULL), 0);
}

// The checksum of a slot that the test has changed.
static void reseal(uint8_t *slot)
{
    memset(slot + 32, 0, 4);
    uint32_t crc = ss_crc32c(slot, SS_RECORD_SLOT_BYTES);
    for (int i = 0; i < 4; i++)
        slot[32 + i] = (uint8_t)(crc >> (8 * i));
}

static enum drv_code decode(const uint8_t *file, size_t len, struct ss_record *ret, unsigned *slot)
{
    struct drv_err err = DRV_ERR_INIT;
    int rc = ss_record_decode(file, len, ret, slot, &err);
    assert_int_equal(rc, err.code == DRV_OK ? 0 : -1);
    return err.code;
}

static void crc32c_is_castagnoli(void **state)
{
    (void)state;
    assert_int_equal(ss_crc32c("123456789", 9), 0xe3069283);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(7, UINT64_C(1) << 50), back;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_record_encode(&r, slot, &err), 0);
    assert_int_equal(ss_record_decode_slot(slot, &back, &err), 0);
    assert_memory_equal(&r, &back, sizeof r);
    DRV_AUTO_JSON json_t *j = ss_record_to_json(&r);
    struct ss_record wire;
    assert_int_equal(ss_record_from_json(j, &wire, &err), 0);
    assert_memory_equal(&r, &wire, sizeof r);
}

static void header_stands_where_the_format_says(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(0x0102030405060708, 0x1112131415161718);
    assert_int_equal(ss_record_encode(&r, slot, NULL), 0);
    const uint8_t head[] = {'D', 'R', 'O', 'V', 'O', 'W', 'N', '1', 1, 0, 0, 0};
    const uint8_t numbers[] = {8,    7,    6,    5,    4,    3,    2,    1,
                               0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11};
    assert_memory_equal(slot, head, sizeof head);
    assert_memory_equal(slot + 16, numbers, sizeof numbers);
    assert_int_equal(slot[40], '{');
}

static void newest_slot_counts_either_way_round(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES];
    struct ss_record older = sample(8, 3), newer = sample(9, 4), got;
    unsigned slot;
    put(file, 0, &older);
    put(file, 1, &newer);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_OK);
    assert_int_equal(got.epoch, 4);
    assert_int_equal(slot, 1);
    put(file, 0, &newer);
    put(file, 1, &older);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_OK);
    assert_int_equal(got.epoch, 4);
    assert_int_equal(slot, 0);
}

static void torn_write_leaves_the_older_record(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES], whole[SS_RECORD_BYTES];
    struct ss_record older = sample(8, 3), newer = sample(9, 4), got;
    unsigned slot;
    put(whole, 0, &older);
    put(whole, 1, &newer);
    // The write of slot 1 stopped after n bytes; before it the slot held an earlier record.
    struct ss_record before = sample(7, 2);
    DRV_COPY(before.to, "another.host.example.lan");
    uint8_t earlier[SS_RECORD_SLOT_BYTES];
    assert_int_equal(ss_record_encode(&before, earlier, NULL), 0);
    size_t last_difference = 0;
    for (size_t i = 0; i < sizeof earlier; i++)
        if (earlier[i] != whole[SS_RECORD_SLOT_BYTES + i])
            last_difference = i;
    for (size_t n = 0; n <= SS_RECORD_SLOT_BYTES; n += n < 64 ? 1 : 37) {
        memcpy(file, whole, sizeof file);
        memcpy(file + SS_RECORD_SLOT_BYTES + n, earlier + n, SS_RECORD_SLOT_BYTES - n);
        assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_OK);
        assert_int_equal(got.epoch, n > last_difference ? 4 : 3);
    }
}

static void first_write_may_leave_one_slot(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES] = {0};
    struct ss_record r = sample(1, 1), got;
    unsigned slot;
    put(file, 0, &r);
    assert_int_equal(decode(file, SS_RECORD_SLOT_BYTES, &got, &slot), DRV_OK);
    assert_int_equal(decode(file, SS_RECORD_SLOT_BYTES + 100, &got, &slot), DRV_OK);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_OK);
    assert_int_equal(slot, 0);
}

static void two_bad_slots_need_attention_and_an_empty_file_does_not(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES] = {0};
    struct ss_record r = sample(1, 1), got;
    unsigned slot;
    assert_int_equal(decode(file, 0, &got, &slot), DRV_ENOTFOUND);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
    put(file, 0, &r);
    assert_int_equal(decode(file, SS_RECORD_SLOT_BYTES - 1, &got, &slot), DRV_EATTENTION);
    file[2000] ^= 1;
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
}

static void any_flipped_bit_is_seen(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(1, 1), got;
    assert_int_equal(ss_record_encode(&r, slot, NULL), 0);
    for (size_t bit = 0; bit < sizeof slot * 8; bit += 101) {
        slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ss_record_decode_slot(slot, &got, NULL), -1);
        slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

// A slot that is intact but not understood may be the newest: the other one must not be used
// instead.
static void intact_slot_of_a_newer_version_needs_attention(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES];
    struct ss_record older = sample(8, 3), newer = sample(9, 4), got;
    unsigned slot;
    put(file, 0, &older);
    put(file, 1, &newer);
    file[SS_RECORD_SLOT_BYTES + 8] = 2;
    reseal(file + SS_RECORD_SLOT_BYTES);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
}

static void slots_that_contradict_need_attention(void **state)
{
    (void)state;
    uint8_t file[SS_RECORD_BYTES];
    struct ss_record a = sample(8, 4), b = sample(8, 3), got;
    unsigned slot;
    put(file, 0, &a);
    put(file, 1, &b);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
    b = sample(9, 3); // the newer has the lower epoch
    put(file, 1, &b);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
    b = sample(9, 5);
    b.vm[0] = 'c';
    put(file, 1, &b);
    assert_int_equal(decode(file, sizeof file, &got, &slot), DRV_EATTENTION);
}

static void lengths_that_lie_are_refused(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(1, 1), got;
    const uint32_t lies[] = {0, 1, 4057, 4096, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < DRV_ARRAY_LEN(lies); i++) {
        assert_int_equal(ss_record_encode(&r, slot, NULL), 0);
        for (int k = 0; k < 4; k++)
            slot[12 + k] = (uint8_t)(lies[i] >> (8 * k));
        reseal(slot);
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(ss_record_decode_slot(slot, &got, &err), -1);
        assert_int_equal(err.code, DRV_EATTENTION);
    }
}

static void what_could_not_be_read_back_is_not_written(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(1, 0);
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
    r = sample(1, UINT64_MAX);
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
    r = sample(1, 1);
    r.to[0] = '\0'; // released to nobody
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
    r = sample(1, 1);
    r.state = SS_REC_RUNNING;
    r.instance[0] = '\0';
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
    r = sample(1, 1);
    DRV_COPY(r.images[0].path, "../escape");
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
    r = sample(1, 1);
    DRV_COPY(r.home_path, "\xff");
    assert_int_equal(ss_record_encode(&r, slot, NULL), -1);
}

static void record_that_is_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t slot[SS_RECORD_SLOT_BYTES];
    struct ss_record r = sample(1, 1);
    r.n_images = SS_MAX_DISKS;
    for (unsigned i = 0; i < SS_MAX_DISKS; i++) {
        r.images[i] = r.images[0];
        memset(r.images[i].path, 'x', 250);
        memset(r.images[i].store, 's', 63);
    }
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_record_encode(&r, slot, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    assert_non_null(strstr(err.msg, "shorten image paths"));
}

static void path_is_below_dot_drover(void **state)
{
    (void)state;
    char path[SS_PATH_MAX];
    ss_record_path("5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10", path);
    assert_string_equal(path, ".drover/owners/5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10");
    assert_true(ss_path_valid(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_is_castagnoli),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(header_stands_where_the_format_says),
        cmocka_unit_test(newest_slot_counts_either_way_round),
        cmocka_unit_test(torn_write_leaves_the_older_record),
        cmocka_unit_test(first_write_may_leave_one_slot),
        cmocka_unit_test(two_bad_slots_need_attention_and_an_empty_file_does_not),
        cmocka_unit_test(any_flipped_bit_is_seen),
        cmocka_unit_test(intact_slot_of_a_newer_version_needs_attention),
        cmocka_unit_test(slots_that_contradict_need_attention),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(what_could_not_be_read_back_is_not_written),
        cmocka_unit_test(record_that_is_too_long_is_refused),
        cmocka_unit_test(path_is_below_dot_drover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
