// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments of vm.create: bounded, typed, and named when they are wrong.
#include "rig.h"

#include "calls_vm_args.h"

static int parse(const char *text, struct ha_create_spec *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *j = rig_json(text);
    return ha_create_args(j, ret, err);
}

static void the_least_is_a_name_a_store_memory_and_a_disk(void **state)
{
    (void)state;
    static struct ha_create_spec s;
    struct drv_err err = DRV_ERR_INIT;
    if (parse("{'name':'web','store':'fs','memory_mib':256,'disks':[{'size_bytes':1}]}", &s, &err) <
        0)
        fail_msg("%s", err.msg);
    assert_string_equal(s.name, "web");
    assert_int_equal(s.memory_kib, 262144);
    assert_int_equal(s.vcpus, 1);
    assert_int_equal(s.n_disks, 1);
    assert_int_equal(s.disks[0].size_bytes, 1);
    assert_false(s.disks[0].format_set);
    assert_string_equal(s.disks[0].store, "");
    assert_int_equal(s.n_nics, 0);
    assert_false(s.import_any); // never the caller's word
}

static void all_of_it_is_taken(void **state)
{
    (void)state;
    static struct ha_create_spec s;
    struct drv_err err = DRV_ERR_INIT;
    if (parse("{'name':'web','store':'fs','memory_mib':1024,'vcpus':4,'cpu':'qemu64','accel':'tcg',"
              "'machine':'pc-q35-7.2','graphics':'vnc','notes':'n','disks':[{'size_bytes':"
              "70368744177664,'store':'data','format':'raw'},{'import':'/srv/a.img'}],'nics':"
              "[{'network':'br0','mac':'52:54:00:00:00:01','model':'e1000e'}],"
              "'cdroms':[{},{'store':'isos','path':'a.iso'}],'uefi':true}",
              &s, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(s.vcpus, 4);
    assert_int_equal(s.disks[0].size_bytes, INT64_C(1) << 46);
    assert_int_equal(s.disks[0].format, SS_RAW);
    assert_true(s.disks[0].format_set);
    assert_string_equal(s.disks[0].store, "data");
    assert_string_equal(s.disks[1].import, "/srv/a.img");
    assert_string_equal(s.nics[0].model, "e1000e");
    assert_string_equal(s.graphics, "vnc");
    assert_int_equal(s.n_cdroms, 2);
    assert_true(s.uefi);
    assert_string_equal(s.cdroms[0].store, "");
    assert_string_equal(s.cdroms[1].path, "a.iso");
}

#define BASE "'name':'web','store':'fs','memory_mib':256,"
#define DISK "'disks':[{'size_bytes':1}]"

static void wrong_arguments_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *args, *says;
    } cases[] = {
        {"{'store':'fs','memory_mib':256," DISK "}", "name"},
        {"{'name':'../web','store':'fs','memory_mib':256," DISK "}", "no name"},
        {"{'name':'web','store':'','memory_mib':256," DISK "}", "no name of a store"},
        {"{'name':'web','store':'fs','memory_mib':15," DISK "}", "memory_mib"},
        {"{'name':'web','store':'fs','memory_mib':16777217," DISK "}", "memory_mib"},
        {"{'name':'web','store':'fs','memory_mib':256.0," DISK "}", "Expected integer"},
        {"{" BASE "'vcpus':0," DISK "}", "vcpus"},
        {"{" BASE "'vcpus':256," DISK "}", "vcpus"},
        {"{" BASE "'surprise':1," DISK "}", "surprise"},
        {"{" BASE "'disks':[]}", "disks: a VM needs"},
        {"{" BASE "'disks':{}}", "disks"},
        {"{" BASE "'disks':[1]}", "disk 0"},
        {"{" BASE "'disks':[{}]}", "disk 0: size_bytes"},
        {"{" BASE "'disks':[{'size_bytes':1},{'size_bytes':-1}]}", "disk 1: size_bytes"},
        {"{" BASE "'disks':[{'size_bytes':70368744177665}]}", "size_bytes"},
        {"{" BASE "'disks':[{'size_bytes':1,'format':'vmdk'}]}", "raw or qcow2"},
        {"{" BASE "'disks':[{'size_bytes':1,'store':'a/b'}]}", "a/b"},
        {"{" BASE "'disks':[{'size_bytes':1,'sice':1}]}", "sice"},
        {"{" BASE DISK ",'nics':{}}", "nics"},
        {"{" BASE DISK ",'cdroms':[{},{},{}]}", "cdroms: at most 2"},
        {"{" BASE DISK ",'cdroms':[{'file':'a'}]}", "CD-ROM 0"},
        {"{" BASE DISK ",'nics':[{}]}", "network card 0"},
        {"{" BASE DISK ",'nics':[{'network':'br0','mac':'52:54:00:00:00:01:02'}]}", "mac"},
        {"{" BASE DISK ",'accel':'hyperthing'}", "accel"},
        {"{" BASE "'disks':[{'size_bytes':1},{'size_bytes':1},{'size_bytes':1},{'size_bytes':1},"
         "{'size_bytes':1},{'size_bytes':1},{'size_bytes':1},{'size_bytes':1},{'size_bytes':1}]}",
         "at most 8"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        static struct ha_create_spec s;
        struct drv_err err = DRV_ERR_INIT;
        if (parse(cases[i].args, &s, &err) == 0)
            fail_msg("%s was taken", cases[i].args);
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].args, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_is_a_name_a_store_memory_and_a_disk),
        cmocka_unit_test(all_of_it_is_taken),
        cmocka_unit_test(wrong_arguments_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
