// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of QEMU's command line.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "qemu_args.h"

static struct ss_vmdef definition(void)
{
    struct ss_vmdef d = {
        .vcpus = 2, .memory_kib = 262152, .n_disks = 2, .n_nics = 1, .n_cdroms = 1};
    DRV_COPY(d.uuid, "0b5e0a4e-6f10-4a39-8f0c-8d6b1c1d0001");
    DRV_COPY(d.name, "web01");
    DRV_COPY(d.machine, "pc-q35-7.2");
    DRV_COPY(d.accel, "tcg");
    DRV_COPY(d.cpu_model, "qemu64");
    DRV_COPY(d.graphics, "none");
    for (unsigned i = 0; i < 2; i++) {
        snprintf(d.disks[i].id, sizeof d.disks[i].id, "disk%u", i);
        d.disks[i].format = SS_QCOW2;
        d.disks[i].pci_slot = 3 + i;
    }
    DRV_COPY(d.disks[0].serial, "S0");
    DRV_COPY(d.cdroms[0].id, "cd0");
    DRV_COPY(d.nics[0].id, "nic0");
    DRV_COPY(d.nics[0].mac, "52:54:00:00:00:01");
    DRV_COPY(d.nics[0].model, "virtio-net-pci");
    d.nics[0].pci_slot = 9;
    return d;
}

static struct ha_qemu_rt local_rt(void)
{
    struct ha_qemu_rt rt = {.sock_dir = "/run/a", .tap_fds = {7}};
    rt.disks[0].filename = "/srv/vm/d0";
    rt.disks[1].filename = "/srv/vm/d1";
    return rt;
}

// Text of a command line, or of the error behind '!'. Freed by the caller.
static char *text_of(const struct ss_vmdef *def, const struct ha_qemu_rt *rt)
{
    struct ha_argv a;
    struct drv_err err = DRV_ERR_INIT;
    if (ha_qemu_args(def, rt, &a, &err) < 0)
        return drv_xasprintf("!%s", err.msg);
    char *text = ha_argv_text(&a);
    ha_argv_done(&a);
    return text;
}

static void assert_has(const struct ss_vmdef *def, const struct ha_qemu_rt *rt, const char *part)
{
    DRV_AUTO_FREE char *text = text_of(def, rt);
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

// All -device, -machine, -cpu, -smp, -m, -uuid and -rtc arguments, joined.
static char *guest_side(const struct ss_vmdef *def, const struct ha_qemu_rt *rt)
{
    static const char *const seen[] = {"-device", "-machine", "-cpu", "-smp",
                                       "-m",      "-uuid",    "-rtc"};
    struct ha_argv a, out = {.v = NULL};
    assert_int_equal(ha_qemu_args(def, rt, &a, NULL), 0);
    ha_argv_add(&out, "guest");
    for (unsigned i = 0; i + 1 < a.n; i++)
        for (size_t k = 0; k < DRV_ARRAY_LEN(seen); k++)
            if (!strcmp(a.v[i], seen[k]))
                ha_argv_append(&out, " %s", a.v[i + 1]);
    char *text = ha_argv_text(&out);
    ha_argv_done(&a);
    ha_argv_done(&out);
    return text;
}

static void guest_sees_the_same_machine_on_every_host(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt here = local_rt();
    struct ha_qemu_rt there = {.sock_dir = "/run/b",
                               .tap_fds = {12},
                               .incoming = true,
                               .nbd_reconnect_s = 5,
                               .emulator = "/opt/qemu"};
    there.disks[0].nbd_path = "/run/b/disk0.nbd";
    there.disks[1].nbd_path = "/run/b/disk1.nbd";
    DRV_AUTO_FREE char *a = guest_side(&d, &here);
    DRV_AUTO_FREE char *b = guest_side(&d, &there);
    assert_string_equal(a, b);
}

static void guest_always_starts_stopped_and_unprivileged(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    assert_has(&d, &rt, " '-S' ");
    assert_has(&d, &rt, "elevateprivileges=deny,spawn=deny");
    DRV_AUTO_FREE char *plain = text_of(&d, &rt);
    assert_null(strstr(plain, "-incoming"));
    rt.incoming = true;
    assert_has(&d, &rt, "'-incoming' 'defer'");
    assert_has(&d, &rt, " '-S' ");
}

static void disk_is_built_as_defined(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    d.disks[1].format = SS_RAW;
    d.disks[1].cache = SS_CACHE_WRITEBACK;
    assert_has(&d, &rt, "{\"driver\":\"qcow2\",\"node-name\":\"disk0\",\"file\":\"disk0-file\"");
    assert_has(&d, &rt, "{\"driver\":\"raw\",\"node-name\":\"disk1\",\"file\":\"disk1-file\"");
    assert_has(&d, &rt,
               "\"filename\":\"/srv/vm/d0\",\"locking\":\"on\",\"discard\":\"unmap\","
               "\"read-only\":false,\"cache\":{\"direct\":true");
    assert_has(&d, &rt,
               "\"filename\":\"/srv/vm/d1\",\"locking\":\"on\",\"discard\":\"unmap\","
               "\"read-only\":false,\"cache\":{\"direct\":false");
    assert_has(&d, &rt,
               "'virtio-blk-pci,id=dev-disk0,bus=pcie.0,addr=0x3,drive=disk0,serial=S0,"
               "bootindex=1,");
    assert_has(&d, &rt, "werror=stop,rerror=stop");
    rt.disks[0] = (struct ha_disk_rt){.nbd_path = "/run/a/disk0.nbd"};
    assert_has(&d, &rt,
               "\"server\":{\"type\":\"unix\",\"path\":\"/run/a/disk0.nbd\"},"
               "\"export\":\"\",\"reconnect-delay\":60");
}

static void drive_without_disc_is_empty_and_with_one_read_only(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    assert_has(&d, &rt, "'ide-cd,id=dev-cd0,bus=ide.4,bootindex=9'");
    rt.cdroms[0].filename = "/srv/iso/a, b.iso";
    assert_has(&d, &rt, "'ide-cd,id=dev-cd0,bus=ide.4,bootindex=9,drive=cd0'");
    assert_has(&d, &rt,
               "\"filename\":\"/srv/iso/a, b.iso\",\"locking\":\"on\",\"discard\":\"unmap\","
               "\"read-only\":true");
}

static void other_buses_take_their_places_in_order(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    d.disks[0].bus = SS_BUS_SATA;
    d.disks[1].bus = SS_BUS_SCSI;
    assert_has(&d, &rt, "'ide-hd,id=dev-disk0,bus=ide.0,drive=disk0");
    assert_has(&d, &rt, "'virtio-scsi-pci,id=scsi0,bus=pcie.0,addr=0x1d'");
    assert_has(&d, &rt, "'scsi-hd,id=dev-disk1,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=disk1");
}

static void network_card_has_no_option_rom(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    assert_has(&d, &rt, "'tap,id=net-nic0,fd=7,vhost=off'");
    assert_has(&d, &rt,
               "'virtio-net-pci,id=dev-nic0,netdev=net-nic0,mac=52:54:00:00:00:01,"
               "bus=pcie.0,addr=0x9,romfile='");
}

static void uefi_uses_its_nvram_disk(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    d.firmware = SS_FW_UEFI;
    assert_has(&d, &rt, "!a UEFI machine needs a disk with the id nvram");
    DRV_COPY(d.disks[1].id, "nvram");
    assert_has(&d, &rt, ",pflash0=uefi-code,pflash1=nvram'");
    assert_has(&d, &rt, "OVMF_CODE_4M.fd");
    DRV_AUTO_FREE char *text = text_of(&d, &rt);
    assert_null(strstr(text, "dev-nvram"));
}

static void hyperv_is_for_kvm_alone(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    struct ha_qemu_rt rt = local_rt();
    d.hyperv = true;
    DRV_COPY(d.accel, "kvm");
    assert_has(&d, &rt, ",enforce,hv-relaxed=on,");
    DRV_COPY(d.accel, "tcg");
    DRV_AUTO_FREE char *text = text_of(&d, &rt);
    assert_null(strstr(text, "hv-"));
}

static void impossible_machines_are_refused_by_name(void **state)
{
    (void)state;
    struct ha_qemu_rt rt = local_rt();
    struct ss_vmdef d = definition();
    d.nics[0].pci_slot = 3;
    assert_has(&d, &rt, "!nic0: PCI slot 3 is taken");
    d = definition();
    d.disks[0].pci_slot = 31;
    assert_has(&d, &rt, "!disk0: PCI slot 31 is taken");
    d = definition();
    DRV_COPY(d.graphics, "vnc");
    d.disks[0].pci_slot = HA_SLOT_VIDEO;
    assert_has(&d, &rt, "!disk0: PCI slot 1 is taken");
    d = definition();
    DRV_COPY(d.machine, "pc-i440fx-7.2");
    assert_has(&d, &rt, "!machine type pc-i440fx-7.2");
    d = definition();
    rt.sock_dir = "/run/a,b";
    assert_has(&d, &rt, "!/run/a,b/");
    rt.sock_dir = "/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_has(&d, &rt, "longer than 107 bytes");
}

static void place_fills_gaps_and_keeps_what_is_there(void **state)
{
    (void)state;
    struct ss_vmdef d = definition();
    d.disks[0].pci_slot = 0;
    d.nics[0].pci_slot = 0;
    assert_int_equal(ha_vmdef_place(&d, NULL), 0);
    assert_int_equal(d.disks[0].pci_slot, 2);
    assert_int_equal(d.disks[1].pci_slot, 4);
    assert_int_equal(d.nics[0].pci_slot, 3);
    d.disks[0].bus = SS_BUS_SATA;
    d.disks[0].pci_slot = 0;
    assert_int_equal(ha_vmdef_place(&d, NULL), 0);
    assert_int_equal(d.disks[0].pci_slot, 0);
}

static void memory_size_avoids_the_tcg_migration_bug(void **state)
{
    (void)state;
    char note[256];
    assert_int_equal(ha_memory_fit_kib(262144, true, 70222, note, sizeof note), 262152);
    assert_non_null(strstr(note, "262152"));
    assert_int_equal(ha_memory_fit_kib(262152, true, 70222, note, sizeof note), 262152);
    assert_string_equal(note, "");
    assert_int_equal(ha_memory_fit_kib(262144, true, 90000, NULL, 0), 262144);
    assert_int_equal(ha_memory_fit_kib(262144, false, 70222, NULL, 0), 262144);
    assert_int_equal(ha_memory_fit_kib(262147, true, 70222, NULL, 0), 262152);
    assert_int_equal(ha_memory_fit_kib(1, false, 70222, NULL, 0), 16 * 1024);
}

static void only_a_definition_with_pvpanic_gets_it(void **state)
{
    (void)state;
    struct ss_vmdef def = definition();
    struct ha_qemu_rt rt = local_rt();
    DRV_AUTO_FREE char *without = text_of(&def, &rt);
    assert_null(strstr(without, "pvpanic"));
    assert_has(&def, &rt, "'-action' 'panic=none'");
    def.pvpanic = true;
    assert_has(&def, &rt, "'-device' 'pvpanic,id=dev-panic0,ioport=0x505,events=3'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_sees_the_same_machine_on_every_host),
        cmocka_unit_test(guest_always_starts_stopped_and_unprivileged),
        cmocka_unit_test(disk_is_built_as_defined),
        cmocka_unit_test(drive_without_disc_is_empty_and_with_one_read_only),
        cmocka_unit_test(other_buses_take_their_places_in_order),
        cmocka_unit_test(network_card_has_no_option_rom),
        cmocka_unit_test(uefi_uses_its_nvram_disk),
        cmocka_unit_test(hyperv_is_for_kvm_alone),
        cmocka_unit_test(impossible_machines_are_refused_by_name),
        cmocka_unit_test(place_fills_gaps_and_keeps_what_is_there),
        cmocka_unit_test(memory_size_avoids_the_tcg_migration_bug),
        cmocka_unit_test(only_a_definition_with_pvpanic_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
