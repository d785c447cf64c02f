// SPDX-License-Identifier: GPL-3.0-or-later
// The facts' codec: every field survives; a peer's nonsense is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "scene.h"

// Every field set to something of its own, lists full.
static void full(struct mv_facts *f)
{
    struct mv_plan p;
    scene_plan(&p, true);
    scene_facts(&p, true, f);
    f->wall_ms = 1795383723123;
    f->slots_used = 1;
    DRV_COPY(f->cpu_missing, "avx2, bmi1");
    DRV_COPY(f->arbiter_error, "no answer");
    DRV_COPY(f->record_error, "another instance");
    DRV_COPY(f->other_move, p.move);
    DRV_COPY(f->host_device, "0000:01:00.0");
    for (f->n_nets = 0; f->n_nets < SS_MAX_NICS; f->n_nets++)
        snprintf(f->nets[f->n_nets].network, SS_NAME_MAX, "br%u", f->n_nets);
    for (f->n_stores = 0; f->n_stores < MV_MAX_STORES; f->n_stores++) {
        struct mv_store_fact *s = &f->stores[f->n_stores];
        snprintf(s->name, sizeof s->name, "store%u", f->n_stores);
        DRV_COPY(s->error, "read-only file system");
        s->free_bytes = 1ULL << 42;
    }
    for (f->n_disks = 0; f->n_disks < SS_MAX_DISKS; f->n_disks++) {
        struct mv_disk_fact *d = &f->disks[f->n_disks];
        snprintf(d->id, sizeof d->id, "disk%u", f->n_disks);
        d->has_backing = d->has_snapshots = d->target_exists = true;
        d->virtual_bytes = 1ULL << 43;
        d->allocated_bytes = 1ULL << 39;
        DRV_COPY(d->error, "odd");
    }
    for (f->n_addrs = 0; f->n_addrs < MV_MAX_ADDRS; f->n_addrs++) {
        snprintf(f->addrs[f->n_addrs], sizeof f->addrs[0], "fd00::%u", f->n_addrs);
        snprintf(f->subnets[f->n_addrs], sizeof f->subnets[0], "fd00:%u::/64", f->n_addrs);
    }
}

static void facts_survive_the_wire(void **state)
{
    (void)state;
    struct mv_facts a, b;
    struct drv_err err = DRV_ERR_INIT;
    full(&a);
    DRV_AUTO_JSON json_t *j = mv_facts_to_json(&a);
    DRV_AUTO_FREE char *text = json_dumps(j, 0);
    DRV_AUTO_JSON json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(mv_facts_from_json(again, &b, &err), 0);
    assert_memory_equal(&a, &b, sizeof a);
}

static void a_newer_or_older_peer_is_understood(void **state)
{
    (void)state;
    struct mv_facts f;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *newer = json_pack("{s:s, s:i, s:[{s:s, s:i}]}", "host", "hv2", "surprise",
                                            1, "stores", "name", "vms", "surprise", 2);
    assert_int_equal(mv_facts_from_json(newer, &f, &err), 0);
    assert_string_equal(f.host, "hv2");
    assert_string_equal(f.stores[0].name, "vms");
    assert_false(f.receive); // what is not said is not so
    assert_int_equal(f.mem_free_kib, 0);
}

static void a_text_that_is_no_utf8_does_not_cost_the_answer(void **state)
{
    (void)state;
    struct mv_facts a, b;
    struct drv_err err = DRV_ERR_INIT;
    full(&a);
    DRV_COPY(a.disks[0].error, "file \xff");
    DRV_AUTO_JSON json_t *j = mv_facts_to_json(&a);
    assert_int_equal(mv_facts_from_json(j, &b, &err), 0);
    assert_string_equal(b.disks[0].error, "");
    assert_string_equal(b.disks[1].error, "odd");
}

static void nonsense_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "object"},
        {"7", "object"},
        {"{\"host\":7}", "host"},
        {"{\"receive\":1}", "receive"},
        {"{\"slots_max\":-1}", "slots_max"},
        {"{\"slots_max\":1000001}", "slots_max"},
        {"{\"cpus\":2.0}", "cpus"},
        {"{\"mem_free_kib\":-1}", "mem_free_kib"},
        {"{\"mem_free_kib\":\"8\"}", "mem_free_kib"},
        {"{\"other_move\":\"0d9a2d52-0b7c-4b6e-8f37-6f1f5a6f2b01x\"}", "other_move"},
        {"{\"stores\":{}}", "stores"},
        {"{\"stores\":[7]}", "object"},
        {"{\"stores\":[{\"free_bytes\":-3}]}", "free_bytes"},
        {"{\"disks\":[{},{},{},{},{},{},{},{},{}]}", "disks"},
        {"{\"networks\":[{},{},{},{},{},{},{},{},{}]}", "networks"},
        {"{\"addresses\":\"10.0.0.1\"}", "addresses"},
        {"{\"addresses\":[[\"10.0.0.1\"]]}", "address"},
        {"{\"addresses\":[[1,2]]}", "address"},
        {"{\"addresses\":[[],[],[],[],[],[],[],[],[]]}", "addresses"},
        {"{\"addresses\":[[\"10000000000000000000000000000000000000000000000000000000000000000\","
         "\"x\"]]}",
         "address"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct mv_facts f;
        struct drv_err err = DRV_ERR_INIT;
        DRV_AUTO_JSON json_t *j = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        assert_non_null(j);
        if (mv_facts_from_json(j, &f, &err) == 0)
            fail_msg("%s was taken", cases[i].text);
        assert_int_equal(err.code, DRV_EPEER);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.msg, cases[i].says);
    }
    struct mv_facts f;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(mv_facts_from_json(NULL, &f, &err), -1);
}

static void bytes_that_were_changed_on_the_way_do_no_harm(void **state)
{
    (void)state;
    struct mv_facts f;
    unsigned seed = 7;
    full(&f);
    DRV_AUTO_JSON json_t *good = mv_facts_to_json(&f);
    DRV_AUTO_FREE char *text = json_dumps(good, JSON_COMPACT);
    size_t len = strlen(text);
    for (unsigned round = 0; round < 3000; round++) {
        DRV_AUTO_FREE char *bad = drv_xstrdup(text);
        struct drv_err err = DRV_ERR_INIT;
        seed = seed * 1103515245 + 12345;
        size_t at = (seed >> 8) % len;
        seed = seed * 1103515245 + 12345;
        bad[at] = "\"{}[]:,0-9ea"[(seed >> 16) % 12];
        DRV_AUTO_JSON json_t *j = json_loads(bad, 0, NULL);
        if (j && mv_facts_from_json(j, &f, &err) < 0)
            assert_int_equal(err.code, DRV_EPEER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_survive_the_wire),
        cmocka_unit_test(a_newer_or_older_peer_is_understood),
        cmocka_unit_test(a_text_that_is_no_utf8_does_not_cost_the_answer),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(bytes_that_were_changed_on_the_way_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
