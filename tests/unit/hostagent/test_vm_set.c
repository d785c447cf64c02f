// SPDX-License-Identifier: GPL-3.0-or-later
// What `vm set` makes of a definition, at once and later.
#include "rig.h"

#include "vm_set.h"

static struct ha_probe probe;
static struct ss_vmdef def;
static json_t *notices;

static int setup(void **state)
{
    (void)state;
    memset(&probe, 0, sizeof probe);
    memset(&def, 0, sizeof def);
    probe.qemu_version = 70222;
    probe.n_cpus_tcg = probe.n_machines = 1;
    DRV_COPY(probe.cpus_tcg[0], "qemu64-v1");
    DRV_COPY(probe.machines[0], "pc-q35-7.2");
    DRV_COPY(def.name, "web");
    DRV_COPY(def.accel, "tcg");
    def.memory_kib = 1 << 20;
    def.vcpus = 1;
    notices = json_array();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(notices);
    return 0;
}

static int apply(const char *set, bool running, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = rig_json(set);
    return ha_set_apply(&def, &probe, j, running, notices, err);
}

static void a_stopped_vm_changes_at_once(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(
        apply("{'memory':'512M','vcpus':'4','rtc':'localtime','autostart':'yes'}", false, &err), 0);
    assert_int_equal(def.memory_kib, 512 * 1024 + 8); // QEMU below 9 without KVM
    assert_int_equal(def.vcpus, 4);
    assert_true(def.rtc_localtime);
    assert_true(def.autostart);
    assert_string_equal(def.next, "");
}

static void a_running_vm_keeps_what_qemu_was_given_until_its_next_start(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(apply("{'cpus':'4','notes':'n'}", true, &err), 0);
    assert_int_equal(apply("{'cpus':'2','graphics':'vnc'}", true, &err), 0);
    assert_int_equal(def.vcpus, 1);
    assert_string_equal(def.notes, "n");
    assert_string_equal(def.next, "cpus = 2\ngraphics = vnc\n");
    assert_int_equal(json_array_size(notices), 3); // notes hold at once
    assert_int_equal(ha_set_pending(&def, &probe, &err), 0);
    assert_int_equal(def.vcpus, 2);
    assert_string_equal(def.graphics, "vnc");
    assert_string_equal(def.next, "");
}

static void what_waits_is_replaced_once_the_vm_has_stopped(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_COPY(def.next, "cpus = 4\ngraphics = vnc\n");
    assert_int_equal(apply("{'cpus':'3'}", false, &err), 0);
    assert_int_equal(def.vcpus, 3);
    assert_string_equal(def.graphics, "vnc");
    assert_string_equal(def.next, "");
}

static void nothing_changes_when_one_value_is_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{'notes':'x','colour':'red'}",  "{'notes':'x','cpus':'256'}",
        "{'notes':'x','memory':'1M'}",   "{'notes':'x','cpu':'max'}",
        "{'notes':'x','cpu':'EPYC-v1'}", "{'notes':'x','machine':'q35'}",
        "{'notes':'x','cpus':2}"};
    for (unsigned i = 0; i < 2 * DRV_ARRAY_LEN(wrong); i++) {
        struct drv_err err = DRV_ERR_INIT;
        const struct ss_vmdef before = def;
        assert_int_equal(apply(wrong[i / 2], i % 2, &err), -1);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_memory_equal(&before, &def, sizeof def);
    }
}

static void disks_change_their_bus_and_find_places(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    def.n_disks = 2;
    DRV_COPY(def.disks[0].id, "disk0");
    DRV_COPY(def.disks[1].id, "nvram");
    def.disks[0].bus = def.disks[1].bus = SS_BUS_SATA;
    def.n_nics = 1;
    def.nics[0].pci_slot = 2;
    assert_int_equal(apply("{'disk_bus':'virtio','nic_model':'virtio-net-pci'}", false, &err), 0);
    assert_int_equal(def.disks[0].pci_slot, 3);
    assert_int_equal(def.disks[1].bus, SS_BUS_SATA);
    assert_string_equal(def.nics[0].model, "virtio-net-pci");
    assert_int_equal(apply("{'disk_bus':'sata'}", false, &err), 0);
    assert_int_equal(def.disks[0].pci_slot, 0);
    def.n_disks = 6;
    assert_int_equal(apply("{'disk_bus':'sata'}", false, &err), -1);
}

static void what_no_longer_fits_stops_the_start_and_names_the_setting(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_COPY(def.next, "cpu = EPYC-v1\n");
    assert_int_equal(ha_set_pending(&def, &probe, &err), -1);
    assert_non_null(strstr(err.hint, "drover vm set web cpu="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stopped_vm_changes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_running_vm_keeps_what_qemu_was_given_until_its_next_start,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_replaced_once_the_vm_has_stopped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_changes_when_one_value_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(disks_change_their_bus_and_find_places, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_longer_fits_stops_the_start_and_names_the_setting,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
