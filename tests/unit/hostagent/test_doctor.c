// SPDX-License-Identifier: GPL-3.0-or-later
// What two hosts have, compared by the doctor: what a VM of one would miss at the other. Lists of
// the other host may hold anything.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor.h"
#include "pmtu.h"

static const char ours[] =
    "{\"vms\":[{\"name\":\"web\",\"accel\":\"tcg\",\"cpu\":\"qemu64\",\"uefi\":true,"
    "\"networks\":[\"br0\"]}],"
    "\"stores\":[{\"name\":\"VM\",\"url\":\"smb://fs/VM\"},{\"name\":\"fast\",\"url\":"
    "\"local:/a\"}]}";

static const struct {
    const char *theirs, *id;
    enum drv_severity severity;
    const char *text, *command;
} cases[] = {
    {"{\"uefi\":true,\"bridges\":[\"br0\"],\"cpus\":{\"tcg\":[\"qemu64\"]},\"stores\":[{\"name\":"
     "\"VM\",\"url\":"
     "\"smb://fs/VM\"},{\"name\":\"fast\",\"url\":\"local:/b\"}]}",
     NULL, DRV_SEV_OK, NULL, NULL},
    {"{\"uefi\":true,\"bridges\":[\"br1\"],\"cpus\":{\"tcg\":[\"qemu64\"]},\"stores\":[{\"name\":"
     "\"VM\",\"url\":"
     "\"smb://fs/VM\"}]}",
     "N01", DRV_SEV_WARNING, "br0", ""},
    {"{\"uefi\":true,\"bridges\":[\"br0\"],\"cpus\":{\"tcg\":[\"max\"],\"kvm\":[\"qemu64\"]},"
     "\"stores\":[{"
     "\"name\":\"VM\",\"url\":\"smb://fs/VM\"}]}",
     "V04", DRV_SEV_WARNING, "qemu64 of VM web", ""},
    {"{\"uefi\":true,\"bridges\":[\"br0\"],\"cpus\":{\"tcg\":[\"qemu64\"]},\"stores\":[]}", "S01",
     DRV_SEV_WARNING, "VM", "drover store add VM smb://fs/VM"},
    {"{\"uefi\":true,\"bridges\":[\"br0\"],\"cpus\":{\"tcg\":[\"qemu64\"]},\"stores\":[{\"name\":"
     "\"VM\",\"url\":"
     "\"smb://fs2/VM\"}]}",
     "S02", DRV_SEV_ERROR, "smb://fs2/VM", ""},
    {"{\"bridges\":[\"br0\"],\"cpus\":{\"tcg\":[\"qemu64\"]},\"stores\":[{\"name\":\"VM\",\"url\":"
     "\"smb://fs/VM\"}]}",
     "V07", DRV_SEV_WARNING, "VM web starts by UEFI", "apt install ovmf"},
};

static void what_a_vm_would_miss_is_named(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *a = json_loads(ours, 0, NULL);
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        DRV_AUTO_JSON json_t *b = json_loads(cases[i].theirs, 0, NULL);
        struct drv_findings f = {0};
        ha_doctor_compare("hv1.x.lan", a, "hv2.x.lan", b, &f);
        assert_int_equal(f.n, cases[i].id ? 1 : 0);
        if (cases[i].id) {
            assert_string_equal(f.list[0].id, cases[i].id);
            assert_int_equal(f.list[0].severity, cases[i].severity);
            assert_string_equal(f.list[0].host, "hv2.x.lan");
            assert_non_null(strstr(f.list[0].text, cases[i].text));
            assert_string_equal(f.list[0].command, cases[i].command);
        }
        drv_findings_done(&f);
    }
}

static void strange_lists_of_a_peer_do_no_harm(void **state)
{
    (void)state;
    static const char *const strange[] = {
        "null", "[]", "{\"bridges\":{},\"cpus\":[1],\"stores\":\"x\"}",
        "{\"bridges\":[1,null],\"cpus\":{\"tcg\":[{}]},\"stores\":[{\"name\":\"VM\"},1,{\"name\":7,"
        "\"url\":8}]}"};
    DRV_AUTO_JSON json_t *a = json_loads(ours, 0, NULL);
    for (size_t i = 0; i < DRV_ARRAY_LEN(strange); i++) {
        DRV_AUTO_JSON json_t *b = json_loads(strange[i], JSON_DECODE_ANY, NULL);
        struct drv_findings f = {0};
        ha_doctor_compare("hv1.x.lan", a, "hv2.x.lan", b, &f);
        assert_int_equal(f.n, 4); // bridge, model, firmware and store are missing
        drv_findings_done(&f);
    }
}

// A name goes into a command that people paste.
static void a_store_is_named_only_if_its_name_is_one(void **state)
{
    (void)state;
    DRV_AUTO_JSON json_t *list =
        json_loads("[{\"name\":\"$(reboot)\",\"url\":\"smb://fs/VM\"},{\"name\":\"VM\",\"url\":"
                   "\"smb://fs/VM\"}]",
                   0, NULL);
    assert_string_equal(ha_doctor_store_of(list, "smb://fs/VM"), "VM");
    assert_null(ha_doctor_store_of(list, "smb://fs/other"));
}

static void large_packets_pass_on_loopback(void **state)
{
    (void)state;
    unsigned mtu = 0;
    if (ha_pmtu_probe("127.0.0.1", "127.0.0.1", &mtu) == HA_PMTU_UNKNOWN)
        skip(); // no raw sockets for this user
    assert_true(mtu >= 1500);
    assert_int_equal(ha_pmtu_probe("127.0.0.1", "127.0.0.1", &mtu), HA_PMTU_PASSES);
}

static void no_address_of_ours_is_unknown(void **state)
{
    (void)state;
    unsigned mtu = 1;
    assert_int_equal(ha_pmtu_probe("192.0.2.1", "127.0.0.1", &mtu), HA_PMTU_UNKNOWN);
    assert_int_equal(mtu, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_vm_would_miss_is_named),
        cmocka_unit_test(strange_lists_of_a_peer_do_no_harm),
        cmocka_unit_test(a_store_is_named_only_if_its_name_is_one),
        cmocka_unit_test(large_packets_pass_on_loopback),
        cmocka_unit_test(no_address_of_ours_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
