// SPDX-License-Identifier: GPL-3.0-or-later
// The plan's codec: what was sent is what is read; what does not fit is refused, and nothing
// crashes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#include "scene.h"

static void a_plan_survives_the_wire(void **state)
{
    (void)state;
    for (int disks = 0; disks < 2; disks++) {
        struct mv_plan a, b;
        struct drv_err err = DRV_ERR_INIT;
        scene_plan(&a, disks);
        a.epoch = 1ULL << 40; // more than an int
        a.disks[0].virtual_bytes = 1ULL << 41;
        a.bandwidth_bps = 1ULL << 35;
        a.keep_source_s = 86400;
        DRV_AUTO_JSON json_t *j = mv_plan_to_json(&a);
        assert_int_equal(mv_plan_from_json(j, &b, &err), 0);
        assert_memory_equal(&a, &b, sizeof a);
        assert_int_equal(mv_plan_moves_disks(&b), disks);
        assert_int_equal(mv_plan_moves_home(&b), disks);
    }
}

static void a_home_moves_with_its_store_or_its_folder(void **state)
{
    (void)state;
    struct mv_plan p;
    scene_plan(&p, false);
    DRV_COPY(p.to_home, "web02");
    assert_true(mv_plan_moves_home(&p));
    DRV_COPY(p.to_home, p.from_home);
    DRV_COPY(p.to_home_store, "fast");
    assert_true(mv_plan_moves_home(&p));
}

// One change to a good plan: the value at a path ("disks.0.to.path") becomes `value` (JSON text,
// NULL = removed).
static void change(json_t *j, const char *path, const char *value)
{
    char copy[128], *save = NULL, *part, *next;
    DRV_COPY(copy, path);
    part = strtok_r(copy, ".", &save);
    while ((next = strtok_r(NULL, ".", &save)) != NULL) {
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(part)) : json_object_get(j, part);
        assert_non_null(j);
        part = next;
    }
    if (!value)
        assert_int_equal(json_object_del(j, part), 0);
    else if (json_is_array(j))
        json_array_append_new(j, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_set_new(j, part, json_loads(value, JSON_DECODE_ANY, NULL));
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    static char long_path[400];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = long_path[sizeof long_path - 2] = '"';
    const struct {
        const char *path, *value, *says;
    } cases[] = {
        {"schema", "2", "schema 2"},
        {"schema", NULL, "schema"},
        {"surprise", "1", "surprise"},
        {"move", "\"../../etc\"", "move id"},
        {"move", "7", "Expected string"},
        {"user", long_path, "\"user\""},
        {"to", long_path, "\"to\""},
        {"from", NULL, "from"},
        {"encrypt", "\"yes\"", "Expected true or false"},
        {"epoch", "0", "range"},
        {"epoch", "-1", "range"},
        {"epoch", "9223372036854775807", "range"},
        {"epoch", "1.0", "Expected integer"},
        {"max_blackout_ms", "0", "range"},
        {"max_blackout_ms", "600001", "range"},
        {"bandwidth_bps", "-1", "range"},
        {"keep_source_s", "-2", "range"},
        {"keep_source_s", "1000000000000", "range"},
        {"to_home", "\"../web01\"", "home"},
        {"to_home", "\"/etc\"", "home"},
        {"from_home", "\"a\\\\b\"", "home"},
        {"to_home_store", "\"../x\"", "home"},
        {"from_home_store", "\"\"", "home"},
        {"definition", "{}", ""},
        {"definition", "[]", ""},
        {"definition.surprise", "1", "surprise"},
        {"disks", "{}", "disks"},
        {"disks", "[]", "2 disks"},
        {"disks.9", "{}", "2 disks"},
        {"disks.0.surprise", "1", "surprise"},
        {"disks.0.id", "\"disk1\"", "disk1"},
        {"disks.0.id", "\"disk9\"", "disk9"},
        {"disks.0.virtual_bytes", "-5", "less than no"},
        {"disks.0.moves", "1", "Expected true or false"},
        {"disks.0.moves", "false", "do not fit"},
        {"disks.0.image_id", "\"\"", "do not fit"},
        {"disks.0.image_id", "\"7e0f1d6a\"", "do not fit"},
        {"disks.0.to.path", "\"../../boot\"", "illegal"},
        {"disks.0.to.path", "\"web01/other.qcow2\"", "definition"},
        {"disks.0.to.store", "\"vms\"", "definition"},
        {"disks.0.to.format", "\"raw\"", "definition"},
        {"disks.0.to.format", "\"vmdk\"", "illegal"},
        {"disks.0.from.store", "\"a/b\"", "illegal"},
        {"disks.0.from.surprise", "1", "surprise"},
        {"disks.0.from", "[]", "disk disk0"},
        {"disks.0.to_url", "[]", "Expected string"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct mv_plan p;
        struct drv_err err = DRV_ERR_INIT;
        scene_plan(&p, true);
        DRV_AUTO_JSON json_t *j = mv_plan_to_json(&p);
        change(j, cases[i].path, cases[i].value);
        if (mv_plan_from_json(j, &p, &err) == 0)
            fail_msg("%s = %.40s was taken", cases[i].path, cases[i].value);
        assert_int_equal(err.code, DRV_EINVAL);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].path, err.msg, cases[i].says);
    }
}

static void a_disk_that_stays_stays_where_it_is(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"disks.0.from.path", "\"web01/other.qcow2\""},
        {"disks.0.from.store", "\"fast\""},
        {"disks.0.image_id", "\"7e0f1d6a-4c3b-4a5e-9d7f-000000000009\""},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(changes); i++) {
        struct mv_plan p;
        struct drv_err err = DRV_ERR_INIT;
        scene_plan(&p, false);
        DRV_AUTO_JSON json_t *j = mv_plan_to_json(&p);
        change(j, changes[i][0], changes[i][1]);
        assert_int_equal(mv_plan_from_json(j, &p, &err), -1);
        assert_non_null(strstr(err.msg, "do not fit"));
    }
}

static void bytes_that_were_changed_on_the_way_do_no_harm(void **state)
{
    (void)state;
    static const char odd[] = "\"{}[]:,0-9e\\\xff\0 a";
    struct mv_plan p;
    unsigned taken = 0, seed = 1;
    scene_plan(&p, true);
    DRV_AUTO_JSON json_t *good = mv_plan_to_json(&p);
    DRV_AUTO_FREE char *text = json_dumps(good, JSON_COMPACT);
    size_t len = strlen(text);
    for (unsigned round = 0; round < 20000; round++) {
        DRV_AUTO_FREE char *bad = drv_xstrdup(text);
        size_t bad_len = len;
        struct drv_err err = DRV_ERR_INIT;
        for (int n = 0; n < 2; n++) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 8) % bad_len;
            seed = seed * 1103515245 + 12345;
            if ((seed >> 16) % 4 == 0) // leave out a few bytes
                memmove(bad + at, bad + at + 1, --bad_len - at);
            else
                bad[at] = (seed >> 16) % 2 ? odd[(seed >> 20) % sizeof odd]
                                           : (char)(bad[at] ^ (1 << ((seed >> 20) % 7)));
        }
        DRV_AUTO_JSON json_t *j = json_loadb(bad, bad_len, JSON_REJECT_DUPLICATES, NULL);
        if (!j)
            continue;
        if (mv_plan_from_json(j, &p, &err) < 0) {
            assert_int_not_equal(err.code, DRV_OK);
            continue;
        }
        taken++; // a changed letter in a name: still a plan, and of one piece
        assert_int_equal(p.n_disks, p.def.n_disks);
        DRV_AUTO_JSON json_t *again = mv_plan_to_json(&p);
        assert_non_null(again);
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_survives_the_wire),
        cmocka_unit_test(a_home_moves_with_its_store_or_its_folder),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_disk_that_stays_stays_where_it_is),
        cmocka_unit_test(bytes_that_were_changed_on_the_way_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
