// SPDX-License-Identifier: GPL-3.0-or-later
// A VM's home folder: the definition that a record names by hash, and the copy for people.
#include "rig.h"

#include <stdlib.h>

static struct ss_store *home_store(struct rig *r)
{
    struct drv_err err = DRV_ERR_INIT;
    rig_local_store(r, "data");
    rig_file(r, "data", "web/disk0.raw", 1);
    struct ss_store *st = ha_store_open(&r->ha, "data", NULL, &err);
    if (!st)
        fail_msg("%s", err.msg);
    return st;
}

static void the_definition_that_was_written_is_read_back_by_its_hash(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web"), back;
    char hash[65];
    rig_disk(&def, "data", "web/disk0.raw");
    assert_int_equal(ha_home_write_epoch(st, "web", &def, 5, hash, &err), 0);
    if (ha_home_read(st, "web", 5, hash, &back, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(back.uuid, def.uuid);
    assert_int_equal(back.n_disks, 1);
    assert_int_equal(ha_home_read(st, "web", 6, hash, &back, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    ss_store_close(st);
}

static void an_edited_definition_is_not_used(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web"), back;
    char hash[65], other[65];
    assert_int_equal(ha_home_write_epoch(st, "web", &def, 5, hash, &err), 0);
    def.memory_kib *= 2;
    assert_int_equal(ha_home_write_epoch(st, "web", &def, 5, other, &err), 0);
    assert_int_equal(ha_home_read(st, "web", 5, hash, &back, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_non_null(strstr(err.msg, "web/vm.5.json"));
    ss_store_close(st);
}

static void two_definitions_of_an_epoch_are_told_apart_by_their_hash(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web"), back;
    char first[65], second[65];
    assert_int_equal(ha_home_write_epoch(st, "web", &def, 5, first, &err), 0);
    def.memory_kib *= 2;
    assert_int_equal(ha_home_write_change(st, "web", &def, 5, second, &err), 0);
    assert_int_equal(ha_home_read(st, "web", 5, second, &back, &err), 0);
    assert_int_equal(err.code, DRV_OK);
    assert_int_equal(back.memory_kib, def.memory_kib);
    assert_int_equal(ha_home_read(st, "web", 5, first, &back, &err), 0);
    assert_int_equal(back.memory_kib, def.memory_kib / 2);
    assert_int_equal(ha_home_prune(st, "web", 5, second, &err), 0);
    assert_int_equal(ha_home_read(st, "web", 5, second, &back, &err), 0);
    assert_int_equal(ha_home_read(st, "web", 5, first, &back, &err), -1);
    ss_store_close(st);
}

static void the_names_of_definitions_are_known(void **state)
{
    (void)state;
    assert_int_equal(ha_home_epoch_of("vm.12.json"), 12);
    assert_int_equal(ha_home_epoch_of("vm.12.0123456789abcdef.json"), 12);
    assert_int_equal(ha_home_epoch_of("vm.json"), 0);
    assert_int_equal(ha_home_epoch_of("vm.12.0123.json"), 0);
    assert_int_equal(ha_home_epoch_of("vm.12.json.bak"), 0);
    assert_int_equal(ha_home_epoch_of("vm.-1.json"), 0);
}

static void a_definition_with_the_right_hash_must_still_be_one(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef back;
    static const char text[] = "{\"schema\": 1, \"surprise\": true}";
    char hash[65];
    ss_text_sha256(text, strlen(text), hash);
    assert_int_equal(ss_write(st, "web/vm.2.json", text, strlen(text), &err), 0);
    assert_int_equal(ha_home_read(st, "web", 2, hash, &back, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    assert_non_null(strstr(err.msg, "web/vm.2.json"));
    ss_store_close(st);
}

static void the_view_is_replaced_and_definitions_two_epochs_back_go(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web");
    struct ss_stat info;
    char hash[65];
    size_t len;
    for (uint64_t epoch = 1; epoch <= 4; epoch++) {
        def.vcpus = (unsigned)epoch;
        assert_int_equal(ha_home_write_epoch(st, "web", &def, epoch, hash, &err), 0);
        assert_int_equal(ha_home_write_view(st, "web", &def, epoch, &err), 0);
    }
    assert_int_equal(ss_stat(st, "web/vm.4.json", &info, &err), 0);
    assert_int_equal(ss_stat(st, "web/vm.3.json", &info, &err), 0);
    assert_int_equal(ss_stat(st, "web/vm.2.json", &info, &err), -1);
    assert_int_equal(ss_stat(st, "web/vm.1.json", &info, &(struct drv_err)DRV_ERR_INIT), -1);
    DRV_AUTO_FREE char *view = ss_read(st, "web/vm.json", 65536, &len, NULL);
    DRV_AUTO_FREE char *wanted = ss_vmdef_format(&def);
    assert_string_equal(view, wanted);
    ss_store_close(st);
}

static void a_folder_name_that_leaves_no_room_is_refused(void **state)
{
    struct ss_store *st = home_store(*state);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web");
    char home[SS_PATH_MAX], hash[65];
    memset(home, 'h', sizeof home - 1);
    home[sizeof home - 1] = '\0';
    assert_int_equal(ha_home_write_epoch(st, home, &def, 1, hash, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    drv_err_clear(&err);
    assert_int_equal(ha_home_write_view(st, home, &def, 1, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    ss_store_close(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_definition_that_was_written_is_read_back_by_its_hash),
        RIG_TEST(two_definitions_of_an_epoch_are_told_apart_by_their_hash),
        cmocka_unit_test(the_names_of_definitions_are_known),
        RIG_TEST(an_edited_definition_is_not_used),
        RIG_TEST(a_definition_with_the_right_hash_must_still_be_one),
        RIG_TEST(the_view_is_replaced_and_definitions_two_epochs_back_go),
        RIG_TEST(a_folder_name_that_leaves_no_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
