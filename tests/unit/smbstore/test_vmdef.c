// SPDX-License-Identifier: GPL-3.0-or-later
// vm.json: what is read back, and what is refused by name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drover/vmdef.h"

static const char good[] =
    "{\"schema\":1,\"uuid\":\"5b1c4f0e-7a55-4a8e-9f0d-0c2f8f1f7a10\",\"name\":\"web01\","
    "\"machine\":\"pc-q35-7.2\",\"accel\":\"tcg\",\"cpu\":{\"model\":\"qemu64\",\"vcpus\":2},"
    "\"memory_kib\":262152,\"firmware\":\"uefi\",\"rtc\":\"localtime\",\"disks\":["
    "{\"id\":\"disk0\",\"store\":\"smb1\",\"path\":\"web01/disk0.qcow2\",\"format\":\"qcow2\","
    "\"bus\":\"virtio\",\"pci_addr\":4,\"serial\":\"W1\",\"cache\":\"writeback\"},"
    "{\"id\":\"nvram\",\"store\":\"smb1\",\"path\":\"web01/nvram.raw\",\"format\":\"raw\","
    "\"bus\":\"virtio\"}],"
    "\"cdroms\":[{\"id\":\"cd0\"}],"
    "\"nics\":[{\"id\":\"nic0\",\"mac\":\"52:54:00:12:34:56\",\"network\":\"br0\","
    "\"model\":\"virtio-net-pci\",\"pci_addr\":3}],"
    "\"graphics\":\"vnc\",\"autostart\":true,\"panic\":\"pvpanic\",\"start_order\":7,\"start_delay_"
    "s\":30,\"shutdown_"
    "timeout_s\":5,\"on_host_shutdown\":\"leave\",\"next\":\"cpus = "
    "4\\n\",\"notes\":"
    "\"caf\u00e9\"}";

static json_t *good_json(void)
{
    json_t *j = json_loads(good, 0, NULL);
    assert_non_null(j);
    return j;
}

static void text_and_definition_are_one(void **state)
{
    (void)state;
    struct ss_vmdef a, b;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_vmdef_parse(good, strlen(good), &a, &err), 0);
    DRV_AUTO_FREE char *text = ss_vmdef_format(&a);
    assert_int_equal(ss_vmdef_parse(text, strlen(text), &b, &err), 0);
    assert_memory_equal(&a, &b, sizeof a);
    DRV_AUTO_FREE char *again = ss_vmdef_format(&b);
    assert_string_equal(text, again);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(a.memory_kib, 262152);
    assert_true(a.rtc_localtime);
    assert_int_equal(a.disks[0].cache, SS_CACHE_WRITEBACK);
    assert_string_equal(a.notes, "caf\u00e9");
    assert_ptr_equal(ss_vmdef_disk(&a, "nvram"), &a.disks[1]);
    assert_null(ss_vmdef_disk(&a, "disk9"));
}

static void what_is_left_out_has_its_default(void **state)
{
    (void)state;
    struct ss_vmdef def;
    DRV_AUTO_JSON json_t *j = good_json();
    const char *optional[] = {
        "rtc",   "cdroms", "nics",        "graphics",      "autostart",          "on_host_shutdown",
        "notes", "next",   "start_order", "start_delay_s", "shutdown_timeout_s", "panic"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(optional); i++)
        assert_int_equal(json_object_del(j, optional[i]), 0);
    assert_int_equal(ss_vmdef_from_json(j, &def, NULL), 0);
    assert_false(def.rtc_localtime);
    assert_int_equal(def.n_nics, 0);
    assert_string_equal(def.graphics, "none");
    assert_string_equal(def.on_host_shutdown, "stop");
    assert_false(def.autostart);
    assert_false(def.pvpanic); // machines of before stay the same
    assert_int_equal(def.start_order, 1000);
    assert_int_equal(def.start_delay_s, 0);
    assert_int_equal(def.shutdown_timeout_s, 120);
}

// Set the value at a path such as "disks/0/bus" (value NULL: delete) and parse. Returns the
// message.
static const char *message_with(const char *path, const char *value)
{
    static struct drv_err err;
    struct ss_vmdef def;
    DRV_AUTO_JSON json_t *j = good_json();
    json_t *at = j;
    char copy[128], *save = NULL;
    DRV_COPY(copy, path);
    char *key = strtok_r(copy, "/", &save);
    for (char *next; (next = strtok_r(NULL, "/", &save)); key = next)
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
    if (value)
        json_object_set_new(at, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(at, key);
    drv_err_clear(&err);
    if (ss_vmdef_from_json(j, &def, &err) == 0)
        return "";
    assert_int_equal(err.code, DRV_EINVAL);
    return err.msg;
}

static void assert_says(const char *path, const char *value, const char *part)
{
    const char *msg = message_with(path, value);
    if (!strstr(msg, part))
        fail_msg("%s = %s: \"%s\" lacks \"%s\"", path, value ? value : "(none)", msg, part);
}

static void wrong_values_are_refused_by_name(void **state)
{
    (void)state;
    assert_string_equal(message_with("memory_kib", "262152"), "");
    assert_says("memory_kib", "\"1G\"", "vm.json.memory_kib: must be an integer from 1024");
    assert_says("memory_kib", "262152.0", "memory_kib");
    assert_says("memory_kib", "-5", "memory_kib");
    assert_says("memory_kib", "1099511627776", "memory_kib"); // must not be cut to 32 bits
    assert_says("cpu/vcpus", "4294967297", "vm.json.cpu.vcpus");
    assert_says("cpu/model", "\"host,-vmx\"", "CPU model without flags");
    assert_says("uuid", "\"5B1C4F0E-7a55-4a8e-9f0d-0c2f8f1f7a10\"", "UUID");
    assert_says("name", "\"../x\"", "vm.json.name");
    assert_says("machine", "\"q35\"", "versioned");
    assert_says("accel", "\"xen\"", "\"kvm\" or \"tcg\"");
    assert_says("schema", "2", "only 1");
    assert_says("rtc", "true", "\"utc\" \"localtime\"");
    assert_says("disks/0/bus", "\"ide\"", "vm.json.disks[0].bus: must be one of \"virtio\"");
    assert_says("disks/1/path", "\"../../etc/shadow\"", "vm.json.disks[1].path");
    assert_says("disks/0/id", "\"0disk\"", "starting with a letter");
    assert_says("disks/0/serial", "\"a,b\"", "serial");
    assert_says("nics/0/mac", "\"53:54:00:12:34:56\"", "unicast");
    assert_says("nics/0/network", "\"bridge-name-that-is-too-long\"", "nics[0].network");
    assert_says("name", NULL, "vm.json.name: is missing");
    assert_says("disks", "{}", "an array of at most 8");
    assert_says("cpu", "3", "vm.json.cpu: must be an object");
    assert_says("autostart", "1", "true or false");
    assert_says("panic", "\"isa\"", "\"none\" \"pvpanic\"");
    assert_says("start_order", "10000", "from 0 to 9999");
    assert_says("start_delay_s", "3601", "from 0 to 3600");
    assert_says("shutdown_timeout_s", "0", "from 1 to 3600");
    assert_says("on_host_shutdown", "\"halt\"", "\"force\"");
}

static void unknown_keys_are_refused_by_name(void **state)
{
    (void)state;
    assert_says("memory", "1", "unknown key \"memory\"");
    assert_says("disks/0/shared", "true", "vm.json.disks[0]: unknown key \"shared\"");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    assert_says("nics/0/id", "\"disk0\"", "id \"disk0\" is used twice");
    assert_says("nics/0/pci_addr", "4", "PCI slot 4 is used twice");
    assert_says("disks/0/pci_addr", "0", "1 to 30");
    assert_says("disks/0/pci_addr", "31", "to 30");
    assert_says("disks/1/pci_addr", "9", "only virtio disks");
    assert_says("disks/1/path", "\"web01/disk0.qcow2\"", "one file");
    assert_says("firmware", "\"bios\"", "uefi");
    assert_says("cdroms/0/store", "\"smb1\"", "go together");
    assert_string_equal(message_with("next_devices", "[{\"id\":\"nic0\",\"change\":\"remove\"}]"),
                        "");
    assert_says("next_devices", "[{\"id\":\"nic1\",\"change\":\"remove\"}]", "no such device");
    assert_says("next_devices", "[{\"id\":\"disk1\",\"change\":\"add-disk\"}]", "has a size");
    assert_says("next_devices", "[{\"id\":\"nic1\",\"change\":\"add-nic\",\"mac\":\"x\"}]",
                "of a network card");
    assert_says("next_devices", "[{\"id\":\"cd1\",\"change\":\"add-cdrom\",\"path\":\"a.iso\"}]",
                "go together");
}

static void more_devices_than_fit_are_refused(void **state)
{
    (void)state;
    struct ss_vmdef def;
    DRV_AUTO_JSON json_t *j = good_json();
    json_t *disks = json_object_get(j, "disks");
    while (json_array_size(disks) <= SS_MAX_DISKS)
        json_array_append(disks, json_array_get(disks, 0));
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_vmdef_from_json(j, &def, &err), -1);
    assert_string_equal(err.msg, "vm.json.disks: must be an array of at most 8 objects");
}

static void text_that_is_no_json_is_refused(void **state)
{
    (void)state;
    struct ss_vmdef def;
    const char *bad[] = {"", "[]", "{\"schema\":1,\"schema\":1}", "{\"name\":\"a\\u0000b\"}",
                         "{} x"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(ss_vmdef_parse(bad[i], strlen(bad[i]), &def, &err), -1);
        assert_int_equal(err.code, DRV_EINVAL);
    }
    DRV_AUTO_FREE char *twice = drv_xasprintf("{\"name\":\"x\",%s", good + 1);
    assert_int_equal(ss_vmdef_parse(twice, strlen(twice), &def, NULL), -1);
    DRV_AUTO_FREE char *huge = calloc(1, SS_VMDEF_MAX_BYTES + 2);
    memset(huge, ' ', SS_VMDEF_MAX_BYTES + 1);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ss_vmdef_parse(huge, SS_VMDEF_MAX_BYTES + 1, &def, &err), -1);
    assert_non_null(strstr(err.msg, "larger than 64 KiB"));
}

static void every_cut_of_the_text_is_refused(void **state)
{
    (void)state;
    struct ss_vmdef def;
    for (size_t len = 0; len < sizeof good - 1; len++)
        assert_int_equal(ss_vmdef_parse(good, len, &def, NULL), -1);
}

static void sha256_is_sha256(void **state)
{
    (void)state;
    char hex[65];
    ss_text_sha256("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_definition_are_one),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(wrong_values_are_refused_by_name),
        cmocka_unit_test(unknown_keys_are_refused_by_name),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(more_devices_than_fit_are_refused),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(every_cut_of_the_text_is_refused),
        cmocka_unit_test(sha256_is_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
