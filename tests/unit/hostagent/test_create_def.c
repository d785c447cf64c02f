// SPDX-License-Identifier: GPL-3.0-or-later
// What a new VM's definition gets where the user said nothing, and what the user cannot have.
#include "rig.h"

#include "cpu_hosts.h"
#include "vm_create.h"

static struct ha_probe *probe(const char *const tcg[], const char *const kvm[])
{
    static struct ha_probe p; // by name, as the probe sorts them
    memset(&p, 0, sizeof p);
    p.qemu_version = 70222;
    p.kvm = kvm != NULL;
    DRV_COPY(p.machines[p.n_machines++], "pc-q35-7.2");
    for (unsigned i = 0; tcg && tcg[i]; i++)
        DRV_COPY(p.cpus_tcg[p.n_cpus_tcg++], tcg[i]);
    for (unsigned i = 0; kvm && kvm[i]; i++)
        DRV_COPY(p.cpus_kvm[p.n_cpus_kvm++], kvm[i]);
    return &p;
}

static const char *const emulated[] = {"Nehalem-v1", "max", "qemu64", "qemu64-v1", NULL};
static const char *const haswell[] = {"Haswell-v4", "Nehalem-v1", "SandyBridge-v1", "qemu64-v1",
                                      NULL};

static struct ha_cpu_hosts *others(const char *first, const char *second)
{
    static struct ha_cpu_hosts h;
    ha_cpu_hosts_done(&h);
    memset(&h, 0, sizeof h);
    const char *texts[] = {first, second};
    for (unsigned i = 0; i < 2 && texts[i]; i++) {
        struct ha_cpu_host *host = &h.list[h.n++];
        snprintf(host->fqdn, sizeof host->fqdn, "hv%u.example.lan", i + 2);
        host->models = texts[i][0] ? rig_json(texts[i]) : NULL;
        DRV_COPY(host->error, texts[i][0] ? "" : "no route to host");
    }
    return &h;
}

struct made {
    int rc;
    struct ss_vmdef def;
    struct drv_err err;
    char notices[2000];
};

static struct made *make(const struct ha_probe *p, const struct ha_cpu_hosts *h, const char *cpu)
{
    static struct made m;
    static struct ha_create_spec spec;
    memset(&m, 0, sizeof m);
    spec = (struct ha_create_spec){.name = "web", .store = "vms", .memory_kib = 1 << 20};
    spec.vcpus = 1;
    spec.n_disks = 1;
    DRV_COPY(spec.cpu, cpu);
    DRV_AUTO_JSON json_t *notices = json_array();
    m.rc = ha_create_def(p, h, &spec, &m.def, notices, &m.err);
    DRV_AUTO_FREE char *text = json_dumps(notices, 0);
    DRV_COPY(m.notices, text);
    return &m;
}

static void the_best_cpu_that_all_hosts_have_is_taken(void **state)
{
    (void)state;
    struct made *m = make(probe(emulated, haswell), others(NULL, NULL), "");
    assert_string_equal(m->def.cpu_model, "Haswell-v4");
    m = make(probe(emulated, haswell),
             others("{'kvm':['Haswell-v4','SandyBridge-v1']}", "{'kvm':['SandyBridge-v1']}"), "");
    assert_string_equal(m->def.cpu_model, "SandyBridge-v1");
    assert_non_null(strstr(m->notices, "this host and 2 others can run"));
    m = make(probe(emulated, NULL), others("{'tcg':['qemu64-v1']}", NULL), "");
    assert_string_equal(m->def.accel, "tcg");
    assert_string_equal(m->def.cpu_model, "qemu64-v1");
    others(NULL, NULL);
}

static void hosts_that_cannot_take_it_at_all_do_not_count_and_are_named(void **state)
{
    (void)state;
    struct made *m =
        make(probe(emulated, haswell), others("{'kvm':[],'tcg':['qemu64-v1']}", ""), "");
    assert_string_equal(m->def.cpu_model, "Haswell-v4");
    assert_non_null(strstr(m->notices, "hv2.example.lan has no kvm"));
    assert_non_null(strstr(m->notices, "hv3.example.lan did not answer"));
    assert_non_null(strstr(m->notices, "no route to host"));
    others(NULL, NULL);
}

static void what_another_host_answers_may_be_anything(void **state)
{
    (void)state;
    struct made *m = make(probe(emulated, haswell),
                          others("{'kvm':[1,null,{},'Nehalem-v1']}", "{'kvm':'x'}"), "");
    assert_string_equal(m->def.cpu_model, "Nehalem-v1");
    others(NULL, NULL);
}

static void nothing_in_common_is_an_error(void **state)
{
    (void)state;
    struct made *m = make(probe(emulated, haswell), others("{'kvm':['EPYC-v1']}", NULL), "");
    assert_int_equal(m->rc, -1);
    assert_string_equal(m->err.id, "V04");
    others(NULL, NULL);
}

static void a_cpu_gets_its_version_and_must_mean_the_same_everywhere(void **state)
{
    (void)state;
    struct made *m = make(probe(emulated, NULL), others(NULL, NULL), "qemu64");
    assert_int_equal(m->rc, 0);
    assert_string_equal(m->def.cpu_model, "qemu64-v1");
    assert_non_null(strstr(m->notices, "qemu64-v1"));
    static const char *const refused[] = {"max", "host", "Haswell-v4"};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(refused); i++) {
        m = make(probe(emulated, NULL), others(NULL, NULL), refused[i]);
        assert_int_equal(m->rc, -1);
        assert_string_equal(m->err.id, "V04");
    }
}

static void uefi_has_its_variables_beside_the_first_disk(void **state)
{
    (void)state;
    struct ss_vmdef d;
    struct drv_err err = DRV_ERR_INIT;
    static struct ha_create_spec spec;
    spec = (struct ha_create_spec){.name = "web", .store = "vms", .memory_kib = 1 << 20};
    spec.vcpus = spec.n_disks = 1;
    spec.uefi = true;
    DRV_COPY(spec.disks[0].store, "fast");
    DRV_AUTO_JSON json_t *notices = json_array();
    assert_int_equal(
        ha_create_def(probe(emulated, NULL), others(NULL, NULL), &spec, &d, notices, &err), 0);
    assert_int_equal(d.firmware, SS_FW_UEFI);
    assert_string_equal(d.disks[1].id, "nvram");
    assert_string_equal(d.disks[1].store, "fast");
    assert_int_equal(d.disks[1].format, SS_RAW);
    assert_int_equal(d.disks[1].pci_slot, 0);
    spec.n_disks = SS_MAX_DISKS; // no place left
    assert_int_equal(
        ha_create_def(probe(emulated, NULL), others(NULL, NULL), &spec, &d, notices, &err), -1);
}

static void windows_gets_what_it_has_drivers_for(void **state)
{
    (void)state;
    struct ss_vmdef d;
    struct drv_err err = DRV_ERR_INIT;
    static struct ha_create_spec spec;
    spec = (struct ha_create_spec){.name = "win", .store = "vms", .memory_kib = 4 << 20};
    spec.vcpus = spec.n_disks = 1;
    spec.n_nics = 2;
    spec.windows = true;
    DRV_COPY(spec.nics[0].network, "br0");
    DRV_COPY(spec.nics[1].network, "br0");
    DRV_COPY(spec.nics[1].model, "virtio-net-pci");
    DRV_AUTO_JSON json_t *notices = json_array();
    assert_int_equal(
        ha_create_def(probe(emulated, NULL), others(NULL, NULL), &spec, &d, notices, &err), 0);
    assert_true(d.rtc_localtime);
    assert_true(d.hyperv);
    assert_int_equal(d.disks[0].bus, SS_BUS_SATA);
    assert_int_equal(d.disks[0].pci_slot, 0);
    assert_string_equal(d.nics[0].model, "e1000e");
    assert_string_equal(d.nics[1].model, "virtio-net-pci"); // as asked for
    spec.n_disks = 5;
    assert_int_equal(
        ha_create_def(probe(emulated, NULL), others(NULL, NULL), &spec, &d, notices, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_cpu_that_all_hosts_have_is_taken),
        cmocka_unit_test(hosts_that_cannot_take_it_at_all_do_not_count_and_are_named),
        cmocka_unit_test(what_another_host_answers_may_be_anything),
        cmocka_unit_test(nothing_in_common_is_an_error),
        cmocka_unit_test(a_cpu_gets_its_version_and_must_mean_the_same_everywhere),
        cmocka_unit_test(uefi_has_its_variables_beside_the_first_disk),
        cmocka_unit_test(windows_gets_what_it_has_drivers_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
