// SPDX-License-Identifier: GPL-3.0-or-later
// Which open moves an agent that starts finds over already. What it does with the others needs QEMU
// and a file server: tests/integration/move/agent_killed.sh.
#include "rig.h"

#include "move.h"

static const char move[] = "33333333-3333-4333-8333-333333333333";

// A journal row of this host's as source, killed in this phase.
static void killed_in(struct rig *r, const struct ss_vmdef *def, const char *phase)
{
    char plan[] = "{}";
    struct db_move row = {.role = DB_SOURCE, .epoch_before = 1, .state = DB_MOVE_ACTIVE};
    row.plan = plan;
    DRV_COPY(row.id, move);
    DRV_COPY(row.vm_uuid, def->uuid);
    DRV_COPY(row.vm_name, def->name);
    DRV_COPY(row.from_host, "hv1.drover.test");
    DRV_COPY(row.to_host, "hv2.drover.test");
    DRV_COPY(row.user, "alice@DROVER.TEST");
    assert_int_equal(db_move_add(r->ha.db, &row, NULL), 0);
    assert_int_equal(db_move_phase_begin(r->ha.db, move, phase, DB_START, NULL, NULL), 0);
}

static enum db_move_state state_after_start(struct rig *r)
{
    struct drv_err err = DRV_ERR_INIT;
    struct db_move row;
    assert_int_equal(ha_moves_load(&r->ha, &err), 0);
    assert_int_equal(db_move_get(r->ha.db, move, &row, &err), 0);
    enum db_move_state state = row.state;
    db_move_done(&row);
    return state;
}

static void a_move_whose_vm_has_left_is_done(void **state)
{
    struct rig *r = *state;
    struct ss_vmdef def = rig_vm("web");
    killed_in(r, &def, "finish");
    assert_int_equal(state_after_start(r), DB_MOVE_DONE);
}

static void one_whose_vm_is_here_is_not(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_vmdef def = rig_vm("web");
    killed_in(r, &def, "finish");
    assert_non_null(ha_vm_add(&r->ha, &def, "local", "web", HA_BUSY_ATTACH, &err));
    assert_int_equal(state_after_start(r), DB_MOVE_ACTIVE);
}

static void nor_one_that_was_not_that_far(void **state)
{
    struct rig *r = *state;
    struct ss_vmdef def = rig_vm("web");
    killed_in(r, &def, "take");
    assert_int_equal(state_after_start(r), DB_MOVE_ACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_move_whose_vm_has_left_is_done),
        RIG_TEST(one_whose_vm_is_here_is_not),
        RIG_TEST(nor_one_that_was_not_that_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
