// SPDX-License-Identifier: GPL-3.0-or-later
// What is started after a boot, once, and what is not and why.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "autostart_rules.h"
#include "drover/vmdef.h"

#define BOOT1 "11111111-1111-4111-8111-111111111111"
#define BOOT2 "22222222-2222-4222-8222-222222222222"
#define VM1 "aaaaaaaa-1111-4111-8111-111111111111"
#define VM2 "bbbbbbbb-1111-4111-8111-111111111111"

static const char vms[][DRV_UUID_LEN] = {VM1, VM2};

static void assert_left(const char *kept, const char *boot, const char *text)
{
    struct ha_boot_list l;
    ha_boot_list_make(kept, boot, vms, 2, &l);
    DRV_AUTO_FREE char *now = ha_boot_list_text(&l);
    assert_string_equal(now, text);
    ha_boot_list_done(&l);
}

static void a_boot_gives_each_vm_one_turn(void **state)
{
    (void)state;
    assert_left(BOOT1, BOOT2, BOOT2 " " VM1 " " VM2);
    assert_left(BOOT1 " " VM1, BOOT2, BOOT2 " " VM1 " " VM2);
}

static void an_agent_that_restarts_goes_on_with_what_was_left(void **state)
{
    (void)state;
    assert_left(BOOT2, BOOT2, BOOT2);
    assert_left(BOOT2 " " VM2, BOOT2, BOOT2 " " VM2);
}

static void without_a_known_boot_nothing_is_started(void **state)
{
    (void)state;
    assert_left(NULL, BOOT2, BOOT2);
    assert_left("", BOOT2, BOOT2);
    assert_left("nonsense " VM1, BOOT2, BOOT2);
    assert_left(BOOT2 " nonsense " VM1, BOOT2, BOOT2 " " VM1);
}

static void who_had_its_turn_is_off_the_list(void **state)
{
    (void)state;
    struct ha_boot_list l;
    ha_boot_list_make(BOOT1, BOOT2, vms, 2, &l);
    ha_boot_list_remove(&l, VM1);
    ha_boot_list_remove(&l, VM1);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.uuids[0], VM2);
    ha_boot_list_remove(&l, VM2);
    DRV_AUTO_FREE char *now = ha_boot_list_text(&l);
    assert_string_equal(now, BOOT2);
    ha_boot_list_done(&l);
}

static struct ss_vmdef def;
static struct ss_record rec;
static struct drv_err err;
static char why[384];

static enum ha_autostart_word judge(bool has_def, bool has_rec, bool ran)
{
    struct ha_autostart_case c = {.host = "hv1.lan",
                                  .name = "web",
                                  .def = has_def ? &def : NULL,
                                  .rec = has_rec ? &rec : NULL,
                                  .was_running = ran,
                                  .err = &err};
    return ha_autostart_judge(&c, why, sizeof why);
}

static int setup(void **state)
{
    (void)state;
    def = (struct ss_vmdef){.autostart = true};
    rec = (struct ss_record){.epoch = 4, .state = SS_REC_RUNNING};
    DRV_COPY(rec.host, "hv1.lan");
    drv_err_clear(&err);
    return 0;
}

static void its_own_vm_is_started_however_the_host_went_down(void **state)
{
    (void)state;
    assert_int_equal(judge(true, true, true), HA_AUTO_START);
    rec.state = SS_REC_STOPPED;
    assert_int_equal(judge(true, true, false), HA_AUTO_START);
    assert_string_equal(why, "");
}

static void another_hosts_vm_is_not_and_it_is_said_where_it_is(void **state)
{
    (void)state;
    DRV_COPY(rec.host, "hv2.lan");
    assert_int_equal(judge(true, true, true), HA_AUTO_NOT);
    assert_non_null(strstr(why, "hv2.lan has it (epoch 4)"));
    rec.state = SS_REC_STOPPED; // anybody may start it, and so nobody does by himself
    assert_int_equal(judge(true, true, true), HA_AUTO_NOT);
    assert_non_null(strstr(why, "hv2.lan had it last"));
    DRV_COPY(rec.host, "hv1.lan");
    DRV_COPY(rec.to, "hv3.lan");
    rec.state = SS_REC_RELEASED;
    assert_int_equal(judge(true, true, true), HA_AUTO_NOT);
    assert_non_null(strstr(why, "from hv1.lan to hv3.lan"));
}

static void what_cannot_be_read_is_not_started_but_tried_again(void **state)
{
    (void)state;
    drv_err(&err, DRV_EUNREACHABLE, "fs does not answer");
    assert_int_equal(judge(false, false, true), HA_AUTO_LATER);
    assert_non_null(strstr(why, "definition cannot be read: fs does not answer"));
    assert_int_equal(judge(true, false, true), HA_AUTO_LATER);
    assert_non_null(strstr(why, "whose it is cannot be found out: fs does not answer"));
    assert_true(ha_autostart_again(&err));
    drv_err_clear(&err);
    drv_err(&err, DRV_ENOTFOUND, "no record");
    assert_int_equal(judge(true, false, true), HA_AUTO_NOT);
    assert_false(ha_autostart_again(&err));
}

static void without_autostart_it_is_only_said_that_it_ran(void **state)
{
    (void)state;
    def.autostart = false;
    assert_int_equal(judge(true, false, false), HA_AUTO_NOT);
    assert_string_equal(why, "");
    assert_int_equal(judge(true, true, true), HA_AUTO_NOT);
    assert_non_null(strstr(why, "autostart is off; `drover vm start web`"));
    DRV_COPY(rec.host, "hv2.lan"); // where it is has been said
    assert_int_equal(judge(true, true, true), HA_AUTO_NOT);
    assert_string_equal(why, "");
    assert_int_equal(judge(true, false, true), HA_AUTO_NOT);
    assert_string_equal(why, "");
}

#define FRESH(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(a_boot_gives_each_vm_one_turn),
        FRESH(an_agent_that_restarts_goes_on_with_what_was_left),
        FRESH(without_a_known_boot_nothing_is_started),
        FRESH(who_had_its_turn_is_off_the_list),
        FRESH(its_own_vm_is_started_however_the_host_went_down),
        FRESH(another_hosts_vm_is_not_and_it_is_said_where_it_is),
        FRESH(what_cannot_be_read_is_not_started_but_tried_again),
        FRESH(without_autostart_it_is_only_said_that_it_ran),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
