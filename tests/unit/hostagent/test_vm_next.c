// SPDX-License-Identifier: GPL-3.0-or-later
// Devices of a running VM: what waits for the next start, and what that makes of it.
#include "rig.h"

#include "vm_next.h"
#include "vm_set.h"

static struct ss_vmdef def, then;
static struct ha_create_spec add;
static json_t *notices;

static int setup(void **state)
{
    (void)state;
    memset(&def, 0, sizeof def);
    memset(&add, 0, sizeof add);
    struct drv_err err = DRV_ERR_INIT;
    drv_uuid_new(def.uuid);
    DRV_COPY(def.name, "web");
    DRV_COPY(def.machine, "pc-q35-7.2");
    DRV_COPY(def.accel, "tcg");
    DRV_COPY(def.cpu_model, "qemu64-v1");
    DRV_COPY(def.graphics, "none");
    DRV_COPY(def.on_host_shutdown, "stop");
    def.memory_kib = 1 << 20;
    def.vcpus = def.shutdown_timeout_s = 1;
    DRV_COPY(add.store, "home");
    add.n_disks = 2;
    add.n_nics = 1;
    DRV_COPY(add.nics[0].network, "br0");
    notices = json_array();
    assert_int_equal(ha_add_devices(&add, &def, notices, &err), 0); // disk0, disk1, nic0
    memset(&add, 0, sizeof add);
    DRV_COPY(add.store, "home");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(notices);
    return 0;
}

static int keep(const char *remove, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ids = rig_json(remove);
    int rc = ha_next_keep(&def, ids, &add, &then, notices, err);
    add.n_disks = add.n_nics = add.n_cdroms = 0;
    return rc;
}

// What the next start does.
static int start(const char *remove, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *ids = rig_json(remove), *all = NULL;
    struct ha_create_spec *now = drv_xcalloc(1, sizeof *now);
    DRV_AUTO_FREE void *owned = now;
    return ha_next_take(&def, ids, &add, &all, now, err) < 0 ||
                   ha_set_remove(&def, all, NULL, err) < 0 ||
                   ha_add_devices(now, &def, notices, err) < 0
               ? -1
               : 0;
}

static void wait_for_disk(const char *store)
{
    struct drv_err err = DRV_ERR_INIT;
    add.n_disks = 1;
    add.disks[0] = (struct ha_new_disk){.size_bytes = 1 << 20};
    DRV_COPY(add.disks[0].store, store);
    assert_int_equal(keep("[]", &err), 0);
}

static const char *disks(void)
{
    static char text[256];
    text[0] = '\0';
    for (unsigned i = 0; i < def.n_disks; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s:%s ", def.disks[i].id,
                 def.disks[i].store);
    return text;
}

static void devices_wait_and_come(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    wait_for_disk("");
    wait_for_disk("other");
    add.n_nics = add.n_cdroms = 1;
    DRV_COPY(add.nics[0].network, "br1");
    assert_int_equal(keep("['disk0','nic0']", &err), 0);
    assert_string_equal(disks(), "disk0:home disk1:home ");
    assert_int_equal(def.n_next_devices, 6);
    char mac[18];
    DRV_COPY(mac, def.next_devices[4].mac);
    assert_int_equal(strlen(mac), 17); // known before it comes
    DRV_AUTO_FREE char *text = ss_vmdef_format(&def);
    assert_int_equal(ss_vmdef_parse(text, strlen(text), &then, &err), 0);
    assert_memory_equal(&then, &def, sizeof def);
    DRV_COPY(add.store, "moved");
    assert_int_equal(start("[]", &err), 0);
    assert_string_equal(disks(), "disk1:home disk2:moved disk3:other ");
    assert_string_equal(def.nics[0].mac, mac);
    assert_int_equal(def.n_nics, 1);
    assert_int_equal(def.n_cdroms, 1);
    assert_int_equal(def.n_next_devices, 0);
}

static void what_waits_is_taken_back_and_ids_stay(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    wait_for_disk("");
    wait_for_disk("other");
    assert_int_equal(keep("['disk2','disk1']", &err), 0);
    assert_int_equal(keep("['disk1']", &err), 0); // said twice
    assert_int_equal(def.n_next_devices, 2);
    assert_int_equal(start("['disk0','disk1']", &err), 0); // and once more, when stopped
    assert_string_equal(disks(), "disk3:other ");
}

static void a_new_disk_may_have_the_id_of_one_that_goes(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(keep("['disk1']", &err), 0);
    wait_for_disk("other");
    assert_string_equal(then.disks[1].id, "disk1");
    assert_int_equal(start("[]", &err), 0);
    assert_string_equal(disks(), "disk0:home disk1:other ");
}

static void what_cannot_be_then_is_refused_now(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const struct ss_vmdef before = def;
    assert_int_equal(keep("['disk7']", &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_int_equal(keep("[7]", &err), -1);
    add.n_disks = SS_MAX_DISKS - 1;
    assert_int_equal(keep("[]", &err), -1);
    add.n_nics = 1;
    DRV_COPY(add.nics[0].network, "a,b");
    DRV_COPY(add.nics[0].model, "rtl8139");
    assert_int_equal(keep("[]", &err), -1);
    assert_memory_equal(&before, &def, sizeof def);
    for (unsigned i = def.n_disks; i < SS_MAX_DISKS; i++)
        wait_for_disk("");
    add.n_disks = 1;
    assert_int_equal(keep("[]", &err), -1);
    assert_int_equal(def.n_next_devices, SS_MAX_DISKS - 2);
}

// vm.json may come from anywhere.
static void more_than_a_vm_can_have_is_no_overrun(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    def.n_next_devices = SS_MAX_NEXT;
    for (unsigned kind = SS_NEXT_ADD_DISK; kind < SS_NEXT_CHANGE_MAX_; kind++) {
        for (unsigned i = 0; i < SS_MAX_NEXT; i++)
            def.next_devices[i].change = kind;
        assert_int_equal(start("[]", &err), -1);
        assert_int_equal(err.code, DRV_EINVAL);
    }
}

#define WITH_VM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_VM(devices_wait_and_come),
        WITH_VM(what_waits_is_taken_back_and_ids_stay),
        WITH_VM(a_new_disk_may_have_the_id_of_one_that_goes),
        WITH_VM(what_cannot_be_then_is_refused_now),
        WITH_VM(more_than_a_vm_can_have_is_no_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
