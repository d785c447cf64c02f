// SPDX-License-Identifier: GPL-3.0-or-later
// Settings, stores, VMs and their epochs, kept images, audit.
#include "tmpdb.h"

#define VM "10000000-0000-4000-8000-000000000001"
#define VM2 "10000000-0000-4000-8000-000000000002"

static void settings_are_set_all_or_none(void **state)
{
    struct tmpdb *t = *state;
    char on[] = "on", many[] = "4", cut[] = "\xff";
    struct db_setting good[] = {{"receive", on}, {"max_moves", many}};
    assert_int_equal(db_setting_set_all(t->db, good, 2, NULL), 0);
    // The second fails: the first must not stay.
    assert_true(db_run(t->db, NULL,
                       "CREATE TEMP TRIGGER no BEFORE INSERT ON settings WHEN new.key = 'bad'"
                       " BEGIN SELECT raise(ABORT, 'no'); END",
                       "") >= 0);
    struct db_setting bad[] = {{"send", on}, {"bad", cut}};
    assert_int_equal(db_setting_set_all(t->db, bad, 2, NULL), -1);
    struct db_settings all;
    assert_int_equal(db_setting_all(t->db, &all, NULL), 0);
    assert_int_equal(all.n, 2);
    assert_string_equal(all.list[0].key, "max_moves");
    assert_string_equal(all.list[0].value, "4");
    db_settings_done(&all);
}

static void a_setting_without_value_is_removed(void **state)
{
    struct tmpdb *t = *state;
    char *value = NULL;
    assert_int_equal(db_setting_set(t->db, "send", "on", NULL), 0);
    assert_int_equal(db_setting_set(t->db, "send", NULL, NULL), 0);
    assert_int_equal(db_setting_get(t->db, "send", &value, NULL), 0);
    assert_null(value);
}

static void add_vm(struct tmpdb *t, const char *uuid, const char *name)
{
    char path[] = "web";
    struct db_vm vm = {.home_path = path, .wanted_running = true};
    struct drv_err err = DRV_ERR_INIT;
    DRV_COPY(vm.uuid, uuid);
    DRV_COPY(vm.name, name);
    DRV_COPY(vm.home_store, "vms");
    if (db_vm_put(t->db, &vm, &err))
        fail_msg("%s", err.msg);
}

static void a_store_in_use_stays(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
    add_vm(t, VM, "web");
    drv_err_clear(&err);
    assert_int_equal(db_store_remove(t->db, "vms", &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_int_equal(db_vm_remove(t->db, VM, NULL), 0);
    assert_int_equal(db_store_remove(t->db, "vms", NULL), 0);
    drv_err_clear(&err);
    assert_int_equal(db_store_remove(t->db, "vms", &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    char *url = NULL;
    assert_int_equal(db_store_get(t->db, "vms", &url, NULL), -1);
}

static void a_vm_gets_another_name(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct db_vm vm;
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    add_vm(t, VM, "web");
    add_vm(t, VM2, "db");
    assert_int_equal(db_vm_rename(t->db, VM, "db", &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
    assert_int_equal(db_vm_rename(t->db, VM, "www", NULL), 0);
    assert_int_equal(db_vm_get(t->db, "web", &vm, NULL), -1);
    assert_int_equal(db_vm_get(t->db, "www", &vm, NULL), 0);
    assert_string_equal(vm.uuid, VM);
    assert_string_equal(vm.home_path, "web");
    db_vm_done(&vm);
    assert_int_equal(db_vm_remove(t->db, VM, NULL), 0);
    drv_err_clear(&err);
    assert_int_equal(db_vm_rename(t->db, VM, "gone", &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
}

static void vms_are_found_by_uuid_and_name(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct db_vm vm;
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    add_vm(t, VM, "web");
    assert_int_equal(db_vm_get(t->db, "web", &vm, NULL), 0);
    assert_string_equal(vm.uuid, VM);
    assert_string_equal(vm.home_path, "web");
    assert_true(vm.wanted_running);
    db_vm_done(&vm);
    assert_int_equal(db_vm_set_wanted(t->db, VM, false, NULL), 0);
    assert_int_equal(db_vm_get(t->db, VM, &vm, NULL), 0);
    assert_false(vm.wanted_running);
    db_vm_done(&vm);
    // The name is taken; the same uuid may be put again.
    char path[] = "p";
    struct db_vm twin = {.home_path = path};
    DRV_COPY(twin.uuid, VM2);
    DRV_COPY(twin.name, "web");
    DRV_COPY(twin.home_store, "vms");
    assert_int_equal(db_vm_put(t->db, &twin, &err), -1);
    assert_int_equal(err.code, DRV_EEXIST);
    DRV_COPY(twin.name, "db");
    DRV_COPY(twin.home_store, "gone");
    drv_err_clear(&err);
    assert_int_equal(db_vm_put(t->db, &twin, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    add_vm(t, VM, "web");
    struct db_vms all;
    assert_int_equal(db_vm_list(t->db, &all, NULL), 0);
    assert_int_equal(all.n, 1);
    db_vms_done(&all);
}

static void an_epoch_only_grows(void **state)
{
    struct tmpdb *t = *state;
    uint64_t epoch = 99;
    assert_int_equal(db_vm_epoch_get(t->db, VM, &epoch, NULL), 0);
    assert_int_equal(epoch, 0);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 7, NULL), 0);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 5, NULL), 0);
    assert_int_equal(db_vm_epoch_get(t->db, VM, &epoch, NULL), 0);
    assert_int_equal(epoch, 7);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 8, NULL), 0);
    assert_int_equal(db_vm_epoch_get(t->db, VM, &epoch, NULL), 0);
    assert_int_equal(epoch, 8);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 0, NULL), -1);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, UINT64_MAX, NULL), -1);
    // Not even by hand.
    assert_int_equal(db_run(t->db, NULL, "UPDATE vm_epochs SET last_epoch = 1", ""), -1);
}

static void a_lower_epoch_needs_attention(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(db_vm_epoch_check(t->db, VM, 1, NULL), 0);
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 7, NULL), 0);
    assert_int_equal(db_vm_epoch_check(t->db, VM, 7, NULL), 0);
    assert_int_equal(db_vm_epoch_check(t->db, VM, 8, NULL), 0);
    assert_int_equal(db_vm_epoch_check(t->db, VM, 6, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
}

static void the_epoch_outlives_the_vm(void **state)
{
    struct tmpdb *t = *state;
    struct db_vm vm;
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    add_vm(t, VM, "web");
    assert_int_equal(db_vm_epoch_raise(t->db, VM, 7, NULL), 0);
    assert_int_equal(db_vm_get(t->db, VM, &vm, NULL), 0);
    assert_int_equal(vm.last_epoch, 7);
    db_vm_done(&vm);
    assert_int_equal(db_vm_remove(t->db, VM, NULL), 0);
    assert_int_equal(db_vm_epoch_check(t->db, VM, 6, NULL), -1);
}

static void keep(struct tmpdb *t, const char *store, const char *path, int64_t until_ms)
{
    char copy[64];
    struct db_kept k = {.path = copy, .until_ms = until_ms};
    struct drv_err err = DRV_ERR_INIT;
    DRV_COPY(copy, path);
    DRV_COPY(k.move, VM2);
    DRV_COPY(k.store, store);
    if (db_kept_add(t->db, &k, &err))
        fail_msg("%s", err.msg);
}

static void kept_images_are_due_from_their_time_on_and_by_store(void **state)
{
    struct tmpdb *t = *state;
    struct db_kepts due;
    keep(t, "slow", "web/disk0.kept", 1000);
    keep(t, "fast", "web/disk2.kept", 1002);
    keep(t, "fast", "web/disk1.kept", 1001);
    keep(t, "slow", "web/disk3.kept", 900);
    assert_int_equal(db_kept_due(t->db, 899, &due, NULL), 0);
    assert_int_equal(due.n, 0);
    db_kepts_done(&due);
    assert_int_equal(db_kept_due(t->db, 1001, &due, NULL), 0);
    assert_int_equal(due.n, 3);
    assert_string_equal(due.list[0].store, "fast");
    assert_string_equal(due.list[0].path, "web/disk1.kept");
    assert_string_equal(due.list[0].move, VM2);
    assert_int_equal(due.list[0].until_ms, 1001);
    assert_string_equal(due.list[1].path, "web/disk3.kept");
    assert_string_equal(due.list[2].path, "web/disk0.kept");
    db_kepts_done(&due);
}

static void a_kept_image_noted_again_has_the_newer_time_and_goes_once(void **state)
{
    struct tmpdb *t = *state;
    struct db_kepts due;
    keep(t, "slow", "web/disk0.kept", 1000);
    keep(t, "slow", "web/disk0.kept", 2000);
    keep(t, "fast", "web/disk0.kept", 2000);
    assert_int_equal(db_kept_due(t->db, 1999, &due, NULL), 0);
    assert_int_equal(due.n, 0);
    db_kepts_done(&due);
    assert_int_equal(db_kept_remove(t->db, "slow", "web/disk0.kept", NULL), 0);
    assert_int_equal(db_kept_remove(t->db, "slow", "web/disk0.kept", NULL), 0);
    assert_int_equal(db_kept_due(t->db, 2000, &due, NULL), 0);
    assert_int_equal(due.n, 1);
    assert_string_equal(due.list[0].store, "fast");
    db_kepts_done(&due);
}

static void the_audit_log_is_newest_first(void **state)
{
    struct tmpdb *t = *state;
    char bob[] = "bob@EXAMPLE.LAN", tcp[] = "tcp", start[] = "vm.start", web[] = "web";
    char why[] = "bob has no role", host[] = "hv1$", alice[] = "alice";
    struct db_audit refused = {
        .who = bob, .via = tcp, .action = start, .object = web, .reason = why};
    struct db_audit allowed = {.who = host,
                               .via = tcp,
                               .on_behalf = alice,
                               .action = start,
                               .object = web,
                               .allowed = true,
                               .reason = why};
    assert_int_equal(db_audit_add(t->db, &refused, NULL), 0);
    assert_int_equal(db_audit_add(t->db, &allowed, NULL), 0);
    struct db_audits l;
    assert_int_equal(db_audit_list(t->db, 10, false, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    assert_true(l.list[0].allowed);
    assert_string_equal(l.list[0].on_behalf, "alice");
    assert_false(l.list[1].allowed);
    assert_null(l.list[1].on_behalf);
    assert_string_equal(l.list[1].who, bob);
    assert_true(l.list[1].at_ms > 1700000000000);
    db_audits_done(&l);
    assert_int_equal(db_audit_list(t->db, 1, false, &l, NULL), 0);
    assert_int_equal(l.n, 1);
    db_audits_done(&l);
    assert_int_equal(db_audit_list(t->db, 10, true, &l, NULL), 0);
    assert_int_equal(l.n, 1);
    assert_false(l.list[0].allowed);
    db_audits_done(&l);
}

static void a_stores_settings_go_with_it(void **state)
{
    struct tmpdb *t = *state;
    struct drv_err err = DRV_ERR_INIT;
    char *value = NULL;
    assert_int_equal(db_store_setting_set(t->db, "vms", "encrypt", "off", &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    assert_int_equal(db_store_setting_get(t->db, "vms", "encrypt", &value, NULL), 0);
    assert_null(value);
    assert_int_equal(db_store_setting_set(t->db, "vms", "encrypt", "off", NULL), 0);
    assert_int_equal(db_store_setting_set(t->db, "vms", "encrypt", "on", NULL), 0);
    assert_int_equal(db_store_setting_get(t->db, "vms", "encrypt", &value, NULL), 0);
    assert_string_equal(value, "on");
    free(value);
    assert_int_equal(db_store_remove(t->db, "vms", NULL), 0);
    assert_int_equal(db_store_add(t->db, "vms", "smb://fs/VM", NULL), 0);
    assert_int_equal(db_store_setting_get(t->db, "vms", "encrypt", &value, NULL), 0);
    assert_null(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(a_stores_settings_go_with_it),
        DB_TEST(settings_are_set_all_or_none),
        DB_TEST(a_setting_without_value_is_removed),
        DB_TEST(a_store_in_use_stays),
        DB_TEST(a_vm_gets_another_name),
        DB_TEST(vms_are_found_by_uuid_and_name),
        DB_TEST(an_epoch_only_grows),
        DB_TEST(a_lower_epoch_needs_attention),
        DB_TEST(the_epoch_outlives_the_vm),
        DB_TEST(the_audit_log_is_newest_first),
        DB_TEST(kept_images_are_due_from_their_time_on_and_by_store),
        DB_TEST(a_kept_image_noted_again_has_the_newer_time_and_goes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
