// SPDX-License-Identifier: GPL-3.0-or-later
// From a request to a plan: what is refused, where each disk goes, what the definition becomes.
#include "rig.h"

#include "move.h"

static int parse(const char *text, struct ha_move_request *ret, json_t **args, struct drv_err *err)
{
    *args = rig_json(text);
    return ha_move_request_parse(*args, ret, err);
}

static void bad_requests_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *args, *says;
    } cases[] = {
        {"{'to':'hv2'}", "vm"},
        {"{'vm':'web'}", "to"},
        {"{'vm':'web','to':''}", "missing"},
        {"{'vm':'web','to':7}", "Expected string"},
        {"{'vm':'web','to':'hv2','fast':true}", "fast"},
        {"{'vm':'web','to':'hv2','disks':[]}", "objects"},
        {"{'vm':'web','to':'hv2','network':'br0'}", "objects"},
        {"{'vm':'web','to':'hv2','max_blackout_ms':-1}", "out of range"},
        {"{'vm':'web','to':'hv2','max_blackout_ms':600001}", "out of range"},
        {"{'vm':'web','to':'hv2','bandwidth_bps':-1}", "out of range"},
        {"{'vm':'web','to':'hv2','keep_source_s':-2}", "out of range"},
        {"{'vm':'web','to':'hv2','keep_source_s':'1h'}", "keep_source_s"},
        {"{'vm':'aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff0123','to':'h'}",
         "too long"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct ha_move_request rq;
        struct drv_err err = DRV_ERR_INIT;
        DRV_AUTO_JSON json_t *args = NULL;
        if (parse(cases[i].args, &rq, &args, &err) == 0)
            fail_msg("%s was taken", cases[i].args);
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].args, err.msg);
    }
}

static void a_request_keeps_what_it_says_and_knows_what_it_does_not_say(void **state)
{
    (void)state;
    struct ha_move_request rq;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *bare = NULL, *full = NULL;
    assert_int_equal(parse("{'vm':'web','to':'hv2'}", &rq, &bare, &err), 0);
    assert_false(rq.keep_source_set);
    assert_int_equal(rq.max_blackout_ms, 0);
    assert_null(rq.disks);
    assert_int_equal(parse("{'vm':'web','to':'hv2','storage':'fast','disks':{'disk1':'fs'},"
                           "'max_blackout_ms':300,'bandwidth_bps':5000000000,'keep_source_s':0}",
                           &rq, &full, &err),
                     0);
    assert_true(rq.keep_source_set);
    assert_int_equal(rq.keep_source_s, 0);
    assert_int_equal(rq.bandwidth_bps, UINT64_C(5000000000));
    assert_string_equal(rq.storage, "fast");
}

static void a_permit_is_taken_out_of_the_request(void **state)
{
    (void)state;
    static const char permit[] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    static const char *const bad[] = {"''", "'MDEyMzQ1'", "44", "null",
                                      "'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=='"};
    struct ha_move_request rq;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *args =
        json_pack("{s:s, s:s, s:s}", "vm", "web", "to", "hv2", "permit", permit);
    assert_int_equal(ha_move_request_parse(args, &rq, &err), 0);
    assert_string_equal(rq.permit, permit);
    for (size_t i = 0; i < sizeof permit - 1; i++) // nothing of it stays there
        assert_int_equal(json_string_value(json_object_get(args, "permit"))[i], 0);
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        DRV_AUTO_FREE char *text = drv_xasprintf("{'vm':'web','to':'hv2','permit':%s}", bad[i]);
        DRV_AUTO_JSON json_t *wrong = rig_json(text);
        drv_err_clear(&err);
        assert_int_equal(ha_move_request_parse(wrong, &rq, &err), -1);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_non_null(strstr(err.msg, "permit"));
    }
}

static void a_storage_request_names_stores_and_no_host(void **state)
{
    (void)state;
    static const struct {
        const char *args, *why; // NULL: good
    } storage_cases[] = {
        {"{'vm':'web','storage':'fast'}", NULL},
        {"{'vm':'web','disks':{'disk1':'fast'},'keep_source_s':60}", NULL},
        {"{'vm':'web'}", "which store"},
        {"{'vm':'web','to':'hv2','storage':'fast'}", "neither"},
        {"{'vm':'web','network':{'a':'b'},'storage':'fast'}", "neither"},
        {"{'vm':'web','permit':'x','storage':'fast'}", "neither"},
        {"{'storage':'fast'}", "vm"},
        {"{'vm':'web','storage':'fast','pace':1}", "pace"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(storage_cases); i++) {
        DRV_AUTO_JSON json_t *args = rig_json(storage_cases[i].args);
        struct ha_move_request rq;
        struct drv_err err = DRV_ERR_INIT;
        int rc = ha_storage_request_parse(args, &rq, &err);
        if (storage_cases[i].why ? rc == 0 || !strstr(err.msg, storage_cases[i].why)
                                 : rc < 0 || !rq.storage_move || rq.to[0])
            fail_msg("%s: %d %s", storage_cases[i].args, rc, err.msg);
    }
}

static void a_short_name_is_completed_by_the_hosts_own_domain(void **state)
{
    (void)state;
    char name[MV_HOST_MAX];
    ha_complete_name("hv1.example.lan", "hv2", name, sizeof name);
    assert_string_equal(name, "hv2.example.lan");
    ha_complete_name("hv1.example.lan", "hv2.other.lan", name, sizeof name);
    assert_string_equal(name, "hv2.other.lan");
    ha_complete_name("hv1", "hv2", name, sizeof name);
    assert_string_equal(name, "hv2");
}

static void a_disk_goes_where_it_is_told_and_stays_where_both_hosts_see_it(void **state)
{
    (void)state;
    static const char *const smb = "smb://fs.example.lan/VM", *const local = "local:/srv/vm";
    const struct {
        const char *store, *url, *target, *target_url;
        enum ss_format format;
        bool moves;
        const char *to_store, *to_path;
        enum ss_format to_format;
        bool to_smb;
    } cases[] = {
        // no word about it
        {"fs", smb, NULL, smb, SS_QCOW2, false, "fs", "old/d.qcow2", SS_QCOW2, true},
        {"data", local, NULL, local, SS_RAW, false, "data", "old/d.qcow2", SS_RAW, false},
        // the SMB store that it is on already
        {"fs", smb, "fs", smb, SS_QCOW2, false, "fs", "old/d.qcow2", SS_QCOW2, true},
        // the other host's local store of the same name
        {"data", local, "data", local, SS_RAW, true, "data", "web/disk0.raw", SS_RAW, false},
        // SMB to local, known here by name or not at all
        {"fs", smb, "data", local, SS_QCOW2, true, "data", "web/disk0.qcow2", SS_QCOW2, false},
        {"fs", smb, "theirs", "", SS_QCOW2, true, "theirs", "web/disk0.qcow2", SS_QCOW2, false},
        // to SMB: always qcow2
        {"data", local, "fs", smb, SS_RAW, true, "fs", "web/disk0.qcow2", SS_QCOW2, true},
        {"data", local, "fs", smb, SS_QCOW2, true, "fs", "web/disk0.qcow2", SS_QCOW2, true},
        // from one share to another
        {"fs", smb, "fs2", smb, SS_QCOW2, true, "fs2", "web/disk0.qcow2", SS_QCOW2, true},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct ss_disk from = {.id = "disk0", .path = "old/d.qcow2", .format = cases[i].format};
        struct mv_disk d;
        DRV_COPY(from.store, cases[i].store);
        assert_int_equal(ha_place_disk(&from, cases[i].url, "web", cases[i].target,
                                       cases[i].target_url, &d, NULL),
                         0);
        if (d.moves != cases[i].moves || strcmp(d.to.store, cases[i].to_store) != 0 ||
            strcmp(d.to.path, cases[i].to_path) != 0 || d.to.format != cases[i].to_format ||
            (d.to_url[0] != '\0') != cases[i].to_smb || drv_uuid_valid(d.image_id) != d.moves)
            fail_msg("case %zu: moves %d to %s:%s (%s) \"%s\"", i, d.moves, d.to.store, d.to.path,
                     ss_format_name(d.to.format), d.to_url);
        assert_memory_equal(&d.from, &from, sizeof from);
    }
}

static void a_path_that_would_be_too_long_is_refused(void **state)
{
    (void)state;
    struct ss_disk from = {.id = "disk0", .store = "data", .path = "d.raw"};
    struct drv_err err = DRV_ERR_INIT;
    struct mv_disk d;
    char vm[300];
    memset(vm, 'v', sizeof vm - 1);
    vm[sizeof vm - 1] = '\0';
    assert_int_equal(ha_place_disk(&from, "local:/a", vm, "data", "local:/a", &d, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
}

// --- whole plans, of a VM with two local disks ---

static struct ha_vm *local_vm(struct rig *r)
{
    struct drv_err err = DRV_ERR_INIT;
    rig_local_store(r, "data");
    rig_smb_store(r, "fs", "smb://fs.drover.test/VM");
    rig_arbiter(r, "fs");
    rig_file(r, "data", "web/a.raw", 4096);
    rig_file(r, "data", "web/b.raw", 8192);
    struct ss_vmdef def = rig_vm("web");
    rig_disk(&def, "data", "web/a.raw");
    rig_disk(&def, "data", "web/b.raw");
    def.n_nics = 2;
    DRV_COPY(def.nics[0].network, "br0");
    DRV_COPY(def.nics[1].network, "br1");
    struct ha_vm *vm = ha_vm_add(&r->ha, &def, "data", "web", "planning", &err);
    vm->epoch = 7;
    return vm;
}

static int plan(struct ha_vm *vm, const char *request, struct mv_plan *ret, struct drv_err *err)
{
    struct ha_move_request rq;
    DRV_AUTO_JSON json_t *args = NULL;
    assert_int_equal(parse(request, &rq, &args, NULL), 0);
    return ha_move_plan(vm, &rq, "alice@DROVER.TEST", ret, err);
}

static void a_plan_says_from_where_to_where_and_by_whom(void **state)
{
    struct drv_err err = DRV_ERR_INIT;
    static struct mv_plan p;
    struct ha_vm *vm = local_vm(*state);
    if (plan(vm, "{'vm':'web','to':'hv2','storage':'data','network':{'br1':'lan'}}", &p, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(p.from, "hv1.drover.test");
    assert_string_equal(p.to, "hv2.drover.test");
    assert_string_equal(p.user, "alice@DROVER.TEST");
    assert_int_equal(p.epoch, 7);
    assert_string_equal(p.arbiter_url, "smb://fs.drover.test/VM");
    assert_int_equal(p.n_disks, 2);
    assert_true(p.disks[0].moves && p.disks[1].moves);
    assert_int_equal(p.disks[0].virtual_bytes, 4096);
    assert_int_equal(p.disks[1].virtual_bytes, 8192);
    assert_string_equal(p.def.disks[1].path, "web/disk1.raw");
    assert_string_equal(p.def.nics[0].network, "br0");
    assert_string_equal(p.def.nics[1].network, "lan");
    assert_string_equal(vm->def.nics[1].network, "br1"); // the VM is as it was
    // The host's settings stand where the request is silent.
    assert_int_equal(p.max_blackout_ms, 2000);
    assert_int_equal(p.keep_source_s, -1);
    assert_true(p.encrypt);
}

static void the_home_goes_with_the_first_disk(void **state)
{
    struct drv_err err = DRV_ERR_INIT;
    static struct mv_plan p;
    struct ha_vm *vm = local_vm(*state);
    assert_int_equal(plan(vm, "{'vm':'web','to':'hv2','disks':{'disk0':'fs'}}", &p, &err), 0);
    assert_string_equal(p.to_home_store, "fs");
    assert_string_equal(p.to_home, "web");
    assert_false(p.disks[1].moves); // preflight refuses that: it is local
    assert_int_equal(
        plan(vm, "{'vm':'web','to':'hv2','storage':'keep','disks':{'disk1':'fs'}}", &p, &err), 0);
    assert_string_equal(p.to_home_store, "data");
    assert_false(p.disks[0].moves);
    assert_true(p.disks[1].moves);
}

static void impossible_plans_say_why(void **state)
{
    static const struct {
        const char *request, *says;
    } cases[] = {
        {"{'vm':'web','to':'hv1'}", "already"},
        {"{'vm':'web','to':'hv2','disks':{'disk9':'fs'}}", "disk9"},
        {"{'vm':'web','to':'hv2','disks':{'disk0':1}}", "disk0"},
        {"{'vm':'web','to':'hv2','disks':{'disk0':'../x'}}", "../x"},
        {"{'vm':'web','to':'hv2','storage':'a/b'}", "a/b"},
        {"{'vm':'web','to':'hv2','network':{'br7':'lan'}}", "br7"},
        {"{'vm':'web','to':'hv2','network':{'br0':'a/b'}}", "br0"},
        {"{'vm':'web','to':'hv2','network':{'br0':3}}", "br0"},
    };
    struct ha_vm *vm = local_vm(*state);
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_err err = DRV_ERR_INIT;
        static struct mv_plan p;
        if (plan(vm, cases[i].request, &p, &err) == 0)
            fail_msg("%s was planned", cases[i].request);
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].request, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_requests_are_refused_by_name),
        cmocka_unit_test(a_request_keeps_what_it_says_and_knows_what_it_does_not_say),
        cmocka_unit_test(a_permit_is_taken_out_of_the_request),
        cmocka_unit_test(a_storage_request_names_stores_and_no_host),
        cmocka_unit_test(a_short_name_is_completed_by_the_hosts_own_domain),
        cmocka_unit_test(a_disk_goes_where_it_is_told_and_stays_where_both_hosts_see_it),
        cmocka_unit_test(a_path_that_would_be_too_long_is_refused),
        RIG_TEST(a_plan_says_from_where_to_where_and_by_whom),
        RIG_TEST(the_home_goes_with_the_first_disk),
        RIG_TEST(impossible_plans_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
