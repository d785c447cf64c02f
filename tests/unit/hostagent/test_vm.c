// SPDX-License-Identifier: GPL-3.0-or-later
// The table of VMs: one operation at a time on each, named to whoever comes second.
#include "rig.h"

#include <pthread.h>

static struct ha_vm *add(struct rig *r, const char *name, struct drv_err *err)
{
    struct ss_vmdef def = rig_vm(name);
    return ha_vm_add(&r->ha, &def, "fs", name, "creating", err);
}

static void a_vm_is_locked_by_name_or_uuid_and_by_one_operation(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_vm *vm = add(r, "web", &err);
    assert_null(ha_vm_lock(&r->ha, "web", "starting", &err));
    assert_int_equal(err.code, DRV_EBUSY);
    assert_non_null(strstr(err.msg, "creating"));
    assert_string_equal(err.id, ""); // no move is in progress
    ha_vm_unlock(vm);
    drv_err_clear(&err);
    assert_ptr_equal(ha_vm_lock(&r->ha, "web", "starting", &err), vm);
    assert_string_equal(vm->busy, "starting");
    ha_vm_unlock(vm);
    assert_ptr_equal(ha_vm_lock(&r->ha, vm->def.uuid, "stopping", &err), vm);
    ha_vm_unlock(vm);
    assert_string_equal(vm->busy, "");
}

static void an_unknown_vm_is_said_to_be_unknown(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    int64_t before = drv_now_ms();
    assert_null(ha_vm_lock(&r->ha, "wiki", "starting", &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_true(drv_now_ms() - before < 1000); // without waiting for one to appear
}

static void a_moving_vm_names_its_move(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_vm *vm = add(r, "web", &err);
    DRV_COPY(vm->move, "33333333-3333-4333-8333-333333333333");
    assert_null(ha_vm_lock(&r->ha, "web", "stopping", &err));
    assert_string_equal(err.id, "G04");
    assert_non_null(strstr(err.hint, "drover attach 33333333-3333-4333-8333-333333333333"));
    ha_vm_unlock(vm);
    assert_string_equal(vm->move, "");
}

static void *unlock_soon(void *vm)
{
    drv_sleep_ms(100);
    ha_vm_unlock(vm);
    return NULL;
}

static void whoever_comes_while_a_vm_is_looked_after_waits_a_moment(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    pthread_t watcher;
    struct ha_vm *vm = add(r, "web", &err);
    ha_vm_unlock(vm);
    assert_ptr_equal(ha_vm_lock(&r->ha, "web", HA_BUSY_WATCH, &err), vm);
    assert_int_equal(pthread_create(&watcher, NULL, unlock_soon, vm), 0);
    assert_ptr_equal(ha_vm_lock(&r->ha, "web", "starting", &err), vm);
    pthread_join(watcher, NULL);
    assert_string_equal(vm->busy, "starting");
}

static void but_not_for_ever(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_vm *vm = add(r, "web", &err);
    ha_vm_unlock(vm);
    assert_non_null(ha_vm_lock(&r->ha, "web", HA_BUSY_WATCH, &err));
    int64_t before = drv_now_ms();
    assert_null(ha_vm_lock(&r->ha, "web", "starting", &err));
    assert_int_equal(err.code, DRV_EBUSY);
    assert_in_range(drv_now_ms() - before, 1000, 10000);
}

static void two_vms_cannot_share_a_name_or_an_id(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_vm *vm = add(r, "web", &err);
    assert_null(add(r, "web", &err));
    assert_int_equal(err.code, DRV_EEXIST);
    drv_err_clear(&err);
    struct ss_vmdef twin = rig_vm("other");
    DRV_COPY(twin.uuid, vm->def.uuid);
    assert_null(ha_vm_add(&r->ha, &twin, "fs", "other", "creating", &err));
    assert_int_equal(err.code, DRV_EEXIST);
}

static void a_removed_vm_is_gone_and_the_others_stay(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    ha_vm_unlock(add(r, "a", &err));
    struct ha_vm *b = add(r, "b", &err);
    ha_vm_unlock(add(r, "c", &err));
    ha_vm_remove(b);
    assert_null(ha_vm_lock(&r->ha, "b", "x", &err));
    drv_err_clear(&err);
    assert_non_null(ha_vm_lock(&r->ha, "a", "x", &err));
    assert_non_null(ha_vm_lock(&r->ha, "c", "x", &err));
}

static void what_is_published_is_what_others_see(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_vm *vm = add(r, "web", &err);
    ha_vm_publish(vm, "paused", 5, "disk0 failed");
    ha_vm_publish(vm, NULL, 0, NULL); // changes nothing
    DRV_AUTO_JSON json_t *j = ha_vm_to_json(vm);
    assert_string_equal(json_string_value(json_object_get(j, "state")), "paused");
    assert_string_equal(json_string_value(json_object_get(j, "why")), "disk0 failed");
    assert_int_equal(json_integer_value(json_object_get(j, "epoch")), 5);
    assert_string_equal(json_string_value(json_object_get(j, "busy")), "creating");
    assert_string_equal(json_string_value(json_object_get(j, "host")), "hv1.drover.test");
    struct ss_vmdef next = rig_vm("web2");
    ha_vm_set_def(vm, &next, "data", "web2");
    assert_string_equal(vm->def.name, "web2");
    assert_string_equal(vm->home_store, "data");
    ha_vm_set_def(vm, &vm->def, vm->home_store, vm->home); // its own
    assert_string_equal(vm->home, "web2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_vm_is_locked_by_name_or_uuid_and_by_one_operation),
        RIG_TEST(an_unknown_vm_is_said_to_be_unknown),
        RIG_TEST(a_moving_vm_names_its_move),
        RIG_TEST(whoever_comes_while_a_vm_is_looked_after_waits_a_moment),
        RIG_TEST(but_not_for_ever),
        RIG_TEST(two_vms_cannot_share_a_name_or_an_id),
        RIG_TEST(a_removed_vm_is_gone_and_the_others_stay),
        RIG_TEST(what_is_published_is_what_others_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
