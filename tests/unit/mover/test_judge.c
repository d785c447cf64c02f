// SPDX-License-Identifier: GPL-3.0-or-later
// Preflight: two hosts with which nothing is wrong give no error; each thing that can be wrong
// gives its own finding, at the right host, and no other.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "scene.h"

struct scene {
    struct mv_plan plan;
    struct mv_facts src, dst;
    int64_t skew_ms;
};

static void not_running(struct scene *s)
{
    s->src.vm_state[0] = '\0';
    s->src.record_ours = false; // nobody holds it then
}
static void paused(struct scene *s)
{
    DRV_COPY(s->src.vm_state, "paused");
}
static void moving(struct scene *s)
{
    DRV_COPY(s->src.other_move, "0d9a2d52-0b7c-4b6e-8f37-6f1f5a6f2b02");
}
static void passed_through(struct scene *s)
{
    DRV_COPY(s->src.host_device, "0000:01:00.0");
}
static void with_display(struct scene *s)
{
    s->src.displays = 1;
}
static void record_elsewhere(struct scene *s)
{
    s->src.record_ours = false;
    DRV_COPY(s->src.record_error, "it names hv3");
}
static void bad_ram(struct scene *s)
{
    s->plan.def.memory_kib = 262144;
}
static void bad_ram_old_process(struct scene *s) // its QEMU was upgraded under it
{
    s->plan.def.memory_kib = 262144;
    DRV_COPY(s->src.qemu_version, "9.1.0");
    DRV_COPY(s->dst.qemu_version, "10.0.0");
    DRV_COPY(s->src.vm_qemu_version, "8.2.0");
}
static void no_disk(struct scene *s)
{
    s->src.disks[1].accessible = false;
    DRV_COPY(s->src.disks[1].error, "no such file");
}
static void disk_unknown(struct scene *s)
{
    s->src.n_disks = 1;
}
static void snapshots(struct scene *s)
{
    s->src.disks[0].has_snapshots = true;
}
static void backing(struct scene *s)
{
    s->src.disks[0].has_backing = true;
}
static void no_send(struct scene *s)
{
    s->src.send = false;
}
static void no_receive(struct scene *s)
{
    s->dst.receive = false;
}
static void src_full(struct scene *s)
{
    s->src.slots_used = s->src.slots_max;
}
static void dst_full(struct scene *s)
{
    s->dst.slots_used = s->dst.slots_max;
}
static void old_drover(struct scene *s)
{
    DRV_COPY(s->dst.version, "0.0.9");
}
static void old_qemu(struct scene *s)
{
    DRV_COPY(s->dst.qemu_version, "7.2.9"); // less than 7.2.22 as a version, not as a text
}
static void no_machine(struct scene *s)
{
    s->dst.machine_ok = false;
}
static void no_cpu(struct scene *s)
{
    s->dst.cpu_ok = false;
    DRV_COPY(s->dst.cpu_missing, "avx2");
}
static void no_accel(struct scene *s)
{
    s->dst.accel_ok = false;
}
static void no_firmware(struct scene *s)
{
    DRV_COPY(s->dst.firmware_missing, "/usr/share/OVMF/OVMF_CODE_4M.fd");
}
static void no_memory(struct scene *s)
{
    s->dst.mem_free_kib = s->plan.def.memory_kib + 128 * 1024 - 1;
}
static void iso_on_unknown_store(struct scene *s)
{
    DRV_COPY(s->plan.def.cdroms[0].store, "isos");
    DRV_COPY(s->plan.def.cdroms[0].path, "debian.iso");
}
static void iso_on_local_store(struct scene *s)
{
    DRV_COPY(s->plan.def.cdroms[0].store, "fast");
    DRV_COPY(s->plan.def.cdroms[0].path, "debian.iso");
}
static void iso_store_away(struct scene *s)
{
    iso_on_unknown_store(s);
    DRV_COPY(s->dst.stores[s->dst.n_stores].name, "isos");
    DRV_COPY(s->dst.stores[s->dst.n_stores].url, "smb://fs.example.lan/ISO");
    s->dst.stores[s->dst.n_stores].is_smb = true;
    DRV_COPY(s->dst.stores[s->dst.n_stores].error, "no such share");
    s->dst.n_stores++;
}
static void no_store(struct scene *s)
{
    s->dst.stores[s->plan.disks[0].moves ? 1 : 0].url[0] = '\0';
    s->dst.stores[0].is_smb = false;
}
static void no_home_store(struct scene *s)
{
    DRV_COPY(s->plan.to_home_store, "elsewhere");
}
static void other_store(struct scene *s)
{
    DRV_COPY(s->dst.stores[0].url, "smb://fs2.example.lan/VM");
}
static void store_read_only(struct scene *s)
{
    s->dst.stores[s->plan.disks[0].moves ? 1 : 0].writable = false;
}
static void store_away(struct scene *s)
{
    DRV_COPY(s->dst.stores[s->plan.disks[0].moves ? 1 : 0].error, "no route to host");
}
static void no_space(struct scene *s)
{
    s->dst.stores[1].free_bytes = (2 << 20) - 1; // each disk has 1 MiB
}
static void target_exists(struct scene *s)
{
    s->dst.disks[0].target_exists = true;
}
static void local_disk_stays(struct scene *s)
{
    DRV_COPY(s->dst.stores[0].url, "local:/srv/vm");
    s->dst.stores[0].is_smb = false;
}
static void disk_not_readable_there(struct scene *s)
{
    s->dst.disks[1].accessible = false;
    DRV_COPY(s->dst.disks[1].error, "permission denied");
}
static void other_size(struct scene *s)
{
    s->dst.disks[0].virtual_bytes += 512;
}
static void user_may_not(struct scene *s)
{
    s->src.stores[0].user_may = false;
}
static void by_permit(struct scene *s)
{
    s->src.by_permit = true;
}
static void user_unheard(struct scene *s)
{
    struct mv_store_fact *f = &s->src.stores[0];
    f->user_may = false;
    DRV_COPY(f->error, "HV1$ may not act for users towards cifs/fs");
    DRV_COPY(f->user_id, "D11");
    DRV_COPY(f->user_fix, "samba-tool delegation add-service 'HV1$' cifs/fs");
}
static void user_unheard_strangely(struct scene *s)
{
    user_unheard(s);
    DRV_COPY(s->src.stores[0].user_id, "?!"); // as only another host could send it
}
static void src_no_arbiter(struct scene *s)
{
    s->src.arbiter_url[0] = '\0';
}
static void dst_no_arbiter(struct scene *s)
{
    s->dst.arbiter_url[0] = '\0';
}
static void other_arbiter(struct scene *s)
{
    DRV_COPY(s->dst.arbiter_url, "smb://fs2.example.lan/VM");
}
static void src_arbiter_away(struct scene *s)
{
    s->src.arbiter_ok = false;
}
static void dst_arbiter_away(struct scene *s)
{
    s->dst.arbiter_ok = false;
}
static void no_bridge(struct scene *s)
{
    s->dst.nets[0].present = false;
}
static void no_common_network(struct scene *s)
{
    DRV_COPY(s->src.subnets[0], "10.0.2.0/24");
}
static void dead_network(struct scene *s)
{
    DRV_COPY(s->src.unreachable, "10.0.1.2 does not answer within 2000 ms");
}
static void clear_to_careful_host(struct scene *s)
{
    s->plan.encrypt = false;
    s->dst.encrypt = true;
}
static void clock_error(struct scene *s)
{
    s->skew_ms = -300000;
}
static void clock_warning(struct scene *s)
{
    s->skew_ms = 60000;
}
static void few_cpus(struct scene *s)
{
    s->dst.cpus = 1;
}

static const struct {
    const char *id;
    enum drv_severity severity;
    bool at_dst, disks;
    void (*set)(struct scene *s);
    const char *says;
} cases[] = {
    {"G03", DRV_SEV_ERROR, 0, 0, not_running, "not running"},
    {"G02", DRV_SEV_ERROR, 0, 0, paused, "paused"},
    {"G04", DRV_SEV_ERROR, 0, 0, moving, "6f1f5a6f2b02"},
    {"G01", DRV_SEV_ERROR, 0, 0, passed_through, "0000:01:00.0"},
    {"G05", DRV_SEV_WARNING, 0, 0, with_display, "hv2"},
    {"S07", DRV_SEV_ERROR, 0, 0, record_elsewhere, "hv3"},
    {"M02", DRV_SEV_ERROR, 0, 0, bad_ram, "262144"},
    {"M02", DRV_SEV_ERROR, 0, 0, bad_ram_old_process, "262144"},
    {"S04", DRV_SEV_ERROR, 0, 0, no_disk, "no such file"},
    {"S04", DRV_SEV_ERROR, 0, 0, disk_unknown, "disk1"},
    {"S08", DRV_SEV_ERROR, 0, 1, snapshots, "disk0"},
    {"S09", DRV_SEV_ERROR, 0, 1, backing, "disk0"},
    {"R02", DRV_SEV_ERROR, 0, 0, no_send, "hv1"},
    {"R01", DRV_SEV_ERROR, 1, 0, no_receive, "hv2"},
    {"R03", DRV_SEV_ERROR, 0, 0, src_full, "2 move slots"},
    {"R03", DRV_SEV_ERROR, 1, 0, dst_full, "2 move slots"},
    {"V01", DRV_SEV_ERROR, 1, 0, old_drover, "0.0.9"},
    {"V02", DRV_SEV_ERROR, 1, 0, old_qemu, "7.2.9"},
    {"V03", DRV_SEV_ERROR, 1, 0, no_machine, "pc-q35-7.2"},
    {"V04", DRV_SEV_ERROR, 1, 0, no_cpu, "avx2"},
    {"V05", DRV_SEV_ERROR, 1, 0, no_accel, "tcg"},
    {"V06", DRV_SEV_WARNING, 1, 0, few_cpus, "2 CPUs"},
    {"V07", DRV_SEV_ERROR, 1, 0, no_firmware, "OVMF_CODE_4M.fd"},
    {"M01", DRV_SEV_ERROR, 1, 0, no_memory, "256 MiB"},
    {"S13", DRV_SEV_ERROR, 1, 0, iso_on_unknown_store, "debian.iso"},
    {"S13", DRV_SEV_ERROR, 1, 0, iso_on_local_store, "debian.iso"},
    {"S13", DRV_SEV_ERROR, 1, 0, iso_store_away, "debian.iso"},
    {"S01", DRV_SEV_ERROR, 1, 0, no_store, "\"vms\""},
    {"S01", DRV_SEV_ERROR, 1, 1, no_store, "\"fast\""},
    {"S01", DRV_SEV_ERROR, 1, 0, no_home_store, "\"elsewhere\""},
    {"S02", DRV_SEV_ERROR, 1, 0, other_store, "smb://fs2"},
    {"S12", DRV_SEV_ERROR, 1, 0, store_read_only, "\"vms\""},
    {"S12", DRV_SEV_ERROR, 1, 1, store_away, "no route"},
    {"S03", DRV_SEV_ERROR, 1, 1, no_space, "2.0 MiB"},
    {"S11", DRV_SEV_ERROR, 1, 1, target_exists, "web01/disk0.qcow2"},
    {"S04", DRV_SEV_ERROR, 1, 0, local_disk_stays, "local store"},
    {"S04", DRV_SEV_ERROR, 1, 0, disk_not_readable_there, "permission denied"},
    {"S10", DRV_SEV_ERROR, 1, 0, other_size, "1073742336"},
    {"A05", DRV_SEV_ERROR, 0, 0, user_may_not, "alice"},
    {"D11", DRV_SEV_ERROR, 0, 0, user_unheard, "\"vms\": HV1$ may not act"},
    {"A05", DRV_SEV_ERROR, 0, 0, user_unheard_strangely, "alice"},
    {"S24", DRV_SEV_INFO, 0, 0, by_permit, "role alone"},
    {"S05", DRV_SEV_ERROR, 0, 0, src_no_arbiter, "no arbiter"},
    {"S05", DRV_SEV_ERROR, 1, 0, dst_no_arbiter, "no arbiter"},
    {"S05", DRV_SEV_ERROR, 1, 0, other_arbiter, "fs2"},
    {"S06", DRV_SEV_ERROR, 0, 0, src_arbiter_away, "cannot reach"},
    {"S06", DRV_SEV_ERROR, 1, 0, dst_arbiter_away, "cannot reach"},
    {"N01", DRV_SEV_ERROR, 1, 0, no_bridge, "br0"},
    {"N02", DRV_SEV_ERROR, 1, 0, no_common_network, "in common"},
    {"N03", DRV_SEV_ERROR, 0, 0, dead_network, "does not answer"},
    {"N05", DRV_SEV_ERROR, 1, 0, clear_to_careful_host, "in clear"},
    {"T01", DRV_SEV_ERROR, 1, 0, clock_error, "300 s"},
    {"T02", DRV_SEV_WARNING, 1, 0, clock_warning, "60 s"},
};

static void judge(const struct scene *s, struct drv_findings *f)
{
    mv_judge(&s->plan, &s->src, &s->dst, s->skew_ms, f);
}

static void scene_init(struct scene *s, bool disks)
{
    scene_plan(&s->plan, disks);
    scene_facts(&s->plan, true, &s->src);
    scene_facts(&s->plan, false, &s->dst);
    s->skew_ms = 59999;
}

static void two_sound_hosts_give_no_finding_but_passed_checks(void **state)
{
    (void)state;
    for (int disks = 0; disks < 2; disks++) {
        struct scene s;
        struct drv_findings f = {0};
        scene_init(&s, disks);
        judge(&s, &f);
        assert_true(f.n >= 5);
        for (unsigned i = 0; i < f.n; i++)
            if (f.list[i].severity != DRV_SEV_OK)
                fail_msg("%s: %s", f.list[i].id, f.list[i].text);
        drv_findings_done(&f);
    }
}

static void each_fault_gives_its_finding_and_no_other(void **state)
{
    (void)state;
    for (size_t c = 0; c < DRV_ARRAY_LEN(cases); c++) {
        struct scene s;
        struct drv_findings f = {0};
        unsigned found = 0;
        scene_init(&s, cases[c].disks);
        cases[c].set(&s);
        judge(&s, &f);
        for (unsigned i = 0; i < f.n; i++) {
            const struct drv_finding *one = &f.list[i];
            if (one->severity == DRV_SEV_OK)
                continue;
            found++;
            if (strcmp(one->id, cases[c].id) != 0)
                fail_msg("case %zu: %s instead of %s: %s", c, one->id, cases[c].id, one->text);
            assert_int_equal(one->severity, cases[c].severity);
            assert_string_equal(one->host, cases[c].at_dst ? s.plan.to : s.plan.from);
            assert_true(one->fix[0]);
            if (!strstr(one->text, cases[c].says))
                fail_msg("%s: \"%s\" does not say \"%s\"", one->id, one->text, cases[c].says);
        }
        if (found == 0)
            fail_msg("case %zu: %s was not found", c, cases[c].id);
        drv_findings_done(&f);
    }
}

static void everything_that_is_wrong_is_said_at_once(void **state)
{
    (void)state;
    struct scene s;
    struct drv_findings f = {0};
    scene_init(&s, true);
    no_receive(&s);
    no_memory(&s);
    no_bridge(&s);
    user_may_not(&s);
    snapshots(&s);
    judge(&s, &f);
    assert_int_equal(drv_findings_errors(&f), 5);
    assert_int_equal(drv_findings_exit(&f), DRV_EXIT_AUTH);
    drv_findings_done(&f);
}

static void what_only_a_copy_would_lose_stops_no_other_move(void **state)
{
    (void)state;
    struct scene s;
    struct drv_findings f = {0};
    scene_init(&s, false);
    snapshots(&s);
    backing(&s);
    judge(&s, &f);
    assert_int_equal(drv_findings_errors(&f), 0);
    drv_findings_done(&f);
}

static void without_a_destination_the_source_alone_is_judged(void **state)
{
    (void)state;
    struct scene s;
    struct drv_findings f = {0};
    scene_init(&s, true);
    paused(&s);
    no_send(&s); // judged together with the destination's setting
    mv_judge(&s.plan, &s.src, NULL, 0, &f);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.list[0].id, "G02");
    drv_findings_done(&f);
}

// What is wrong with two hosts is seen without a VM, and then nothing is said of VMs.
static void two_hosts_are_judged_without_a_vm(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct scene *s);
        const char *id;
    } spoilt[] = {
        {NULL, NULL},         {no_send, "R02"},           {no_receive, "R01"},
        {src_full, "R03"},    {no_common_network, "N02"}, {dead_network, "N03"},
        {clock_error, "T01"}, {old_drover, "V01"},        {other_arbiter, "S05"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(spoilt); i++) {
        struct scene s;
        struct drv_findings f = {0};
        unsigned named = 0;
        scene_init(&s, true);
        DRV_COPY(s.src.vm_state, "");
        if (spoilt[i].spoil)
            spoilt[i].spoil(&s);
        mv_judge_hosts(&s.src, &s.dst, s.skew_ms, &f);
        for (unsigned k = 0; spoilt[i].id && k < f.n; k++)
            named += !strcmp(f.list[k].id, spoilt[i].id) && f.list[k].severity == DRV_SEV_ERROR;
        assert_int_equal(drv_findings_errors(&f), spoilt[i].id ? 1 : 0);
        assert_int_equal(named, spoilt[i].id ? 1 : 0);
        drv_findings_done(&f);
    }
}

static void an_older_qemu_is_a_warning_between_hosts(void **state)
{
    (void)state;
    struct scene s;
    struct drv_findings f = {0};
    scene_init(&s, false);
    DRV_COPY(s.src.qemu_version, "7.2.10");
    DRV_COPY(s.dst.qemu_version, "7.2.9");
    mv_judge_hosts(&s.src, &s.dst, 0, &f);
    bool said = false;
    for (unsigned i = 0; i < f.n; i++)
        said |= !strcmp(f.list[i].id, "V02") && f.list[i].severity == DRV_SEV_WARNING;
    assert_true(said);
    assert_int_equal(drv_findings_errors(&f), 0);
    drv_findings_done(&f);
}

static void ram_of_any_size_moves_where_the_bug_is_not(void **state)
{
    (void)state;
    struct scene s;
    struct drv_findings f = {0};
    scene_init(&s, false);
    bad_ram(&s);
    DRV_COPY(s.src.vm_qemu_version, "9.0.0");
    DRV_COPY(s.dst.qemu_version, "9.0.0");
    judge(&s, &f);
    bad_ram(&s);
    DRV_COPY(s.plan.def.accel, "kvm");
    DRV_COPY(s.src.vm_qemu_version, "7.2.22");
    judge(&s, &f);
    assert_int_equal(drv_findings_errors(&f), 0);
    drv_findings_done(&f);
}

static void the_destinations_order_chooses_the_network(void **state)
{
    (void)state;
    struct scene s;
    char addr[64] = "";
    scene_init(&s, false);
    s.src.n_addrs = s.dst.n_addrs = 2;
    DRV_COPY(s.src.subnets[1], "10.9.0.0/16");
    DRV_COPY(s.dst.subnets[0], "10.9.0.0/16");
    DRV_COPY(s.dst.addrs[0], "10.9.0.2");
    DRV_COPY(s.dst.subnets[1], "10.0.1.0/24");
    assert_int_equal(mv_common_network(&s.src, &s.dst, addr), 0);
    assert_string_equal(addr, "10.9.0.2");
    s.dst.n_addrs = 0;
    assert_int_equal(mv_common_network(&s.src, &s.dst, addr), -1);
}

// --- storage moves: one host ---

static void nowhere_to_go(struct scene *s)
{
    for (unsigned i = 0; i < s->plan.n_disks; i++)
        s->plan.disks[i].moves = false;
}

static void a_storage_move_is_judged_by_its_stores_and_its_vm_alone(void **state)
{
    (void)state;
    static const struct {
        const char *id; // NULL: no finding
        void (*set)(struct scene *s);
    } storage_cases[] = {
        {NULL, no_send},           {NULL, no_receive},      {NULL, no_memory},
        {NULL, bad_ram},           {NULL, with_display},    {NULL, no_common_network},
        {NULL, no_machine},        {NULL, clock_error},     {NULL, src_full},
        {"R03", dst_full},         {"S05", dst_no_arbiter}, {"S06", dst_arbiter_away},
        {"S01", no_store},         {"S03", no_space},       {"S11", target_exists},
        {"S12", store_away},       {"S08", snapshots},      {"G02", paused},
        {"S07", record_elsewhere}, {"A05", user_may_not},   {"S16", nowhere_to_go},
    };
    for (size_t c = 0; c < DRV_ARRAY_LEN(storage_cases); c++) {
        struct scene s;
        struct drv_findings f = {0};
        unsigned found = 0;
        scene_init(&s, true);
        DRV_COPY(s.plan.to, s.plan.from);
        for (unsigned i = 0; i < s.plan.n_disks; i++)
            s.dst.disks[i].accessible = true; // of those that stay
        storage_cases[c].set(&s);
        judge(&s, &f);
        for (unsigned i = 0; i < f.n; i++)
            if (f.list[i].severity != DRV_SEV_OK) {
                found++;
                if (!storage_cases[c].id || strcmp(storage_cases[c].id, f.list[i].id) != 0)
                    fail_msg("case %zu: %s: %s", c, f.list[i].id, f.list[i].text);
            }
        if (found != (storage_cases[c].id ? 1 : 0))
            fail_msg("case %zu: %u findings", c, found);
        drv_findings_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sound_hosts_give_no_finding_but_passed_checks),
        cmocka_unit_test(each_fault_gives_its_finding_and_no_other),
        cmocka_unit_test(everything_that_is_wrong_is_said_at_once),
        cmocka_unit_test(what_only_a_copy_would_lose_stops_no_other_move),
        cmocka_unit_test(without_a_destination_the_source_alone_is_judged),
        cmocka_unit_test(two_hosts_are_judged_without_a_vm),
        cmocka_unit_test(an_older_qemu_is_a_warning_between_hosts),
        cmocka_unit_test(ram_of_any_size_moves_where_the_bug_is_not),
        cmocka_unit_test(the_destinations_order_chooses_the_network),
        cmocka_unit_test(a_storage_move_is_judged_by_its_stores_and_its_vm_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
