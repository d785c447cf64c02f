// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the migration and disk helpers: which commands they send, and what they make of
// answers.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "disc.h"
#include "drover/util.h"
#include "fake_qmp.h"
#include "qmp_block.h"
#include "qmp_migrate.h"

#define OK "\"return\": {}"
#define FAILED(text) "\"error\": {\"class\": \"GenericError\", \"desc\": \"" text "\"}"
#define JOB(status, more)                                                                          \
    "\"return\": [{\"id\": \"m\", \"type\": \"mirror\", \"status\": \"" status                     \
    "\", \"current-progress\": 5, \"total-progress\": 7" more "}]"

// A script: command name and the answers to give in turn; the last one stays. Unlisted commands are
// OK.
struct line {
    const char *cmd;
    const char *answers[4];
    unsigned used;
};

struct fixture {
    struct fake_qmp *fake;
    struct qmp *q;
    struct line script[8];
    char log[1024]; // names of commands sent, each with a space
    json_t *args;   // of the command named in want_args
    const char *want_args;
};

static char *answer(struct fake_qmp *f, const char *cmd, const json_t *args, void *arg)
{
    struct fixture *x = arg;
    size_t used = strlen(x->log);
    snprintf(x->log + used, sizeof x->log - used, "%s%s ", fake_qmp_is_oob(f) ? "!" : "", cmd);
    if (x->want_args && !strcmp(cmd, x->want_args)) {
        json_decref(x->args);
        x->args = json_deep_copy(args);
    }
    for (unsigned i = 0; i < DRV_ARRAY_LEN(x->script) && x->script[i].cmd; i++) {
        struct line *l = &x->script[i];
        if (strcmp(cmd, l->cmd) != 0)
            continue;
        const char *text = l->answers[l->used];
        if (l->used + 1 < DRV_ARRAY_LEN(l->answers) && l->answers[l->used + 1])
            l->used++;
        return strdup(text);
    }
    return strdup(OK);
}

static int setup(void **state)
{
    struct fixture *x = drv_xcalloc(1, sizeof *x);
    x->fake = fake_qmp_start(NULL, answer, x);
    x->q = qmp_connect(fake_qmp_path(x->fake), 5000, NULL, NULL);
    *state = x;
    return x->q ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    qmp_close(x->q);
    fake_qmp_stop(x->fake);
    json_decref(x->args);
    free(x);
    return 0;
}

// --- migration ---

#define CAP(name, state) "{\"capability\": \"" name "\", \"state\": " state "}"
#define NEEDED                                                                                     \
    CAP("events", "false")                                                                         \
    ", " CAP("return-path", "false") ", " CAP("pause-before-switchover", "false") ", " CAP(        \
        "late-block-activate", "false") ", " CAP("auto-converge", "false")

static bool cap_set_to(const json_t *args, const char *name, bool on)
{
    size_t i;
    json_t *cap;
    json_array_foreach(json_object_get(args, "capabilities"), i, cap)
    {
        if (!strcmp(json_string_value(json_object_get(cap, "capability")), name))
            return json_is_true(json_object_get(cap, "state")) == on;
    }
    return false;
}

static void every_capability_is_set_explicitly(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_opts opts = {.downtime_limit_ms = 300};
    x->script[0] = (struct line){.cmd = "query-migrate-capabilities",
                                 .answers = {"\"return\": [" NEEDED ", " CAP(
                                     "multifd", "true") ", " CAP("new-in-9", "true") "]"}};
    x->want_args = "migrate-set-capabilities";
    assert_int_equal(qmp_mig_prepare(x->q, &opts, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(x->args, "capabilities")), 7);
    assert_true(cap_set_to(x->args, "return-path", true));
    assert_true(cap_set_to(x->args, "events", true));
    assert_true(cap_set_to(x->args, "pause-before-switchover", true));
    assert_true(cap_set_to(x->args, "late-block-activate", true));
    assert_true(cap_set_to(x->args, "auto-converge", true));
    assert_true(cap_set_to(x->args, "multifd", false));
    assert_true(cap_set_to(x->args, "new-in-9", false));
}

static void parameters_of_an_earlier_move_are_reset(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_opts opts = {.downtime_limit_ms = 250};
    x->script[0] =
        (struct line){.cmd = "query-migrate-capabilities", .answers = {"\"return\": [" NEEDED "]"}};
    x->want_args = "migrate-set-parameters";
    assert_int_equal(qmp_mig_prepare(x->q, &opts, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(x->args, "downtime-limit")), 250);
    assert_string_equal(json_string_value(json_object_get(x->args, "tls-creds")), "");
    assert_string_equal(json_string_value(json_object_get(x->args, "multifd-compression")), "none");
    // As good as no throttle.
    assert_int_equal(json_integer_value(json_object_get(x->args, "cpu-throttle-initial")), 1);
    assert_int_equal(json_integer_value(json_object_get(x->args, "max-cpu-throttle")), 1);
    assert_non_null(json_object_get(x->args, "max-bandwidth"));
}

static void a_throttle_is_reached_in_three_steps(void **state)
{
    struct fixture *x = *state;
    x->want_args = "migrate-set-parameters";
    assert_int_equal(qmp_mig_set_throttle(x->q, 80, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(x->args, "cpu-throttle-increment")), 27);
    assert_int_equal(json_integer_value(json_object_get(x->args, "max-cpu-throttle")), 80);
}

static void too_old_a_qemu_is_refused(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_opts opts = {.downtime_limit_ms = 300};
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){.cmd = "query-migrate-capabilities",
                                 .answers = {"\"return\": [" CAP("events", "true") "]"}};
    assert_int_equal(qmp_mig_prepare(x->q, &opts, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_null(strstr(x->log, "migrate-set"));
}

static void numbers_that_qemu_does_not_give_yet_are_unknown(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_info info;
    x->script[0] = (struct line){.cmd = "query-migrate",
                                 .answers = {"\"return\": {\"status\": \"setup\"}", OK,
                                             "\"return\": {\"status\": \"postcopy-active\"}"}};
    assert_int_equal(qmp_mig_query(x->q, &info, NULL), 0);
    assert_int_equal(info.status, QMP_MIG_SETUP);
    assert_int_equal(info.ram_remaining, -1);
    assert_int_equal(info.expected_downtime_ms, -1);
    assert_int_equal(qmp_mig_query(x->q, &info, NULL), 0);
    assert_int_equal(info.status, QMP_MIG_NONE);
    assert_int_equal(qmp_mig_query(x->q, &info, NULL), 0);
    assert_int_equal(info.status, QMP_MIG_OTHER);
}

static void wait_ends_with_the_reason_when_the_migration_fails(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_info info;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){
        .cmd = "query-migrate",
        .answers = {"\"return\": {\"status\": \"active\"}",
                    "\"return\": {\"status\": \"failed\", \"error-desc\": \"link is gone\"}"}};
    assert_int_equal(qmp_mig_wait(x->q, QMP_MIG_BIT(QMP_MIG_COMPLETED), 5000, &info, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_string_equal(err.msg, "migration failed: link is gone");
    assert_int_equal(info.status, QMP_MIG_FAILED);
}

static void wait_has_an_end(void **state)
{
    struct fixture *x = *state;
    struct qmp_mig_info info;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] =
        (struct line){.cmd = "query-migrate", .answers = {"\"return\": {\"status\": \"active\"}"}};
    assert_int_equal(qmp_mig_wait(x->q, QMP_MIG_FINAL, 50, &info, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
}

static void ports_in_use_are_passed_over(void **state)
{
    struct fixture *x = *state;
    unsigned port = 0;
    x->script[0] = (struct line){.cmd = "migrate-incoming",
                                 .answers = {FAILED("Failed to bind: Address already in use"), OK}};
    assert_int_equal(qmp_mig_listen(x->q, "::1", 5000, 5003, &port, NULL), 0);
    assert_int_equal(port, 5001);
}

static void no_free_port_is_busy_and_other_errors_are_told(void **state)
{
    struct fixture *x = *state;
    unsigned port;
    struct drv_err busy = DRV_ERR_INIT, other = DRV_ERR_INIT;
    x->script[0] = (struct line){.cmd = "nbd-server-start",
                                 .answers = {FAILED("Address already in use"),
                                             FAILED("Address already in use"),
                                             FAILED("Cannot assign requested address")}};
    assert_int_equal(qmp_nbd_server_start(x->q, "10.0.0.1", 1, 2, NULL, &port, &busy), -1);
    assert_int_equal(busy.code, DRV_EBUSY);
    assert_int_equal(qmp_nbd_server_start(x->q, "10.0.0.1", 1, 2, NULL, &port, &other), -1);
    assert_non_null(strstr(other.msg, "Cannot assign"));
    assert_string_equal(x->log, "nbd-server-start nbd-server-start nbd-server-start ");
}

static void key_file_is_qemus_and_secret(void **state)
{
    (void)state;
    char dir[] = "/tmp/drover-test-XXXXXX", path[64], text[128] = "";
    uint8_t key[16] = {0xab, 0x01};
    struct stat st;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/keys.psk", dir);
    assert_int_equal(qmp_psk_write(dir, key, 15, getgid(), NULL), -1);
    assert_int_equal(qmp_psk_write(dir, key, sizeof key, getgid(), NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    FILE *f = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "qemu:ab010000000000000000000000000000\n");
    // The key of a move that was cut off does not stay.
    key[0] = 0xcd;
    assert_int_equal(qmp_psk_write(dir, key, sizeof key, getgid(), NULL), 0);
    f = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_memory_equal(text, "qemu:cd01", 9);
    qmp_psk_wipe(dir);
    assert_int_equal(rmdir(dir), 0);
}

// --- disks ---

static void mirror_that_is_not_in_sync_is_not_finished(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){.cmd = "query-jobs", .answers = {JOB("running", "")}};
    assert_int_equal(qmp_mirror_finish(x->q, "m", "t", 1000, &err), -1);
    assert_int_equal(err.code, DRV_ESTATE);
    assert_string_equal(x->log, "query-jobs ");
}

static void mirror_is_finished_by_cancel_and_never_by_complete(void **state)
{
    struct fixture *x = *state;
    x->script[0] =
        (struct line){.cmd = "query-jobs", .answers = {JOB("ready", ""), JOB("concluded", "")}};
    assert_int_equal(qmp_mirror_finish(x->q, "m", "t", 1000, NULL), 0);
    assert_string_equal(x->log, "query-jobs block-job-cancel query-jobs job-dismiss blockdev-del "
                                "blockdev-del ");
}

static void mirror_that_ended_with_an_error_is_not_taken_for_a_copy(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){
        .cmd = "query-jobs",
        .answers = {JOB("ready", ""), JOB("concluded", ", \"error\": \"Input/output error\"")}};
    assert_int_equal(qmp_mirror_finish(x->q, "m", "t", 1000, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_non_null(strstr(err.msg, "Input/output error"));
}

static void wait_for_ready_notices_a_job_that_ended(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){
        .cmd = "query-jobs",
        .answers = {JOB("running", ""), JOB("concluded", ", \"error\": \"No space left\"")}};
    assert_int_equal(qmp_mirror_wait_ready(x->q, "m", 5000, &err), -1);
    assert_non_null(strstr(err.msg, "No space left"));
}

static void abort_cuts_the_connection_first_and_out_of_band(void **state)
{
    struct fixture *x = *state;
    x->script[0] =
        (struct line){.cmd = "query-jobs", .answers = {JOB("running", ""), JOB("concluded", "")}};
    x->script[1] = (struct line){.cmd = "yank", .answers = {FAILED("Instance not found")}};
    assert_int_equal(qmp_mirror_abort(x->q, "m", "t", NULL), 0);
    assert_string_equal(x->log, "!yank !yank query-jobs block-job-cancel query-jobs job-dismiss "
                                "blockdev-del blockdev-del ");
}

static void abort_of_nothing_is_no_error(void **state)
{
    struct fixture *x = *state;
    x->script[0] = (struct line){.cmd = "query-jobs", .answers = {"\"return\": []"}};
    x->script[1] = (struct line){.cmd = "blockdev-del",
                                 .answers = {FAILED("Failed to find node with node-name='t'")}};
    assert_int_equal(qmp_mirror_abort(x->q, "m", "t", NULL), 0);
    assert_int_equal(qmp_node_del(x->q, "t", NULL), 0);
    x->script[1].answers[0] = FAILED("Node t is in use");
    assert_int_equal(qmp_node_del(x->q, "t", NULL), -1);
}

static void disk_is_found_by_its_device(void **state)
{
    struct fixture *x = *state;
    char node[32];
    x->script[0] = (struct line){
        .cmd = "query-block",
        .answers = {"\"return\": [{\"qdev\": \"dev-cd0\"}, "
                    "{\"qdev\": \"/machine/peripheral/dev-disk0/virtio-backend\", "
                    "\"inserted\": {\"node-name\": \"disk0-new\"}}, "
                    "{\"qdev\": \"dev-disk1\", \"inserted\": {\"node-name\": \"disk1\"}}]"}};
    assert_int_equal(qmp_disk_node(x->q, "disk0", node, sizeof node, NULL), 0);
    assert_string_equal(node, "disk0-new");
    assert_int_equal(qmp_disk_node(x->q, "disk1", node, sizeof node, NULL), 0);
    assert_string_equal(node, "disk1");
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(qmp_disk_node(x->q, "disk", node, sizeof node, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
}

// --- discs ---

#define SHUT FAILED("Tray of device 'dev-cd0' is not open")

static void a_tray_that_the_guest_closes_is_opened_again(void **state)
{
    struct fixture *x = *state;
    struct ha_image_at at = {.file = "/x.iso"};
    x->script[0] = (struct line){.cmd = "blockdev-remove-medium", .answers = {SHUT, OK}};
    x->script[1] = (struct line){.cmd = "blockdev-insert-medium", .answers = {SHUT, SHUT, OK}};
    assert_int_equal(ha_disc_put_in(x->q, "cd0", &at, NULL), 0);
    assert_string_equal(x->log, "blockdev-open-tray blockdev-remove-medium "
                                "blockdev-open-tray blockdev-remove-medium blockdev-close-tray "
                                "blockdev-del blockdev-del blockdev-add blockdev-add "
                                "blockdev-open-tray blockdev-insert-medium blockdev-open-tray "
                                "blockdev-insert-medium blockdev-open-tray blockdev-insert-medium "
                                "blockdev-close-tray ");
}

static void a_tray_that_stays_shut_is_an_error(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    x->script[0] = (struct line){.cmd = "blockdev-remove-medium", .answers = {SHUT}};
    assert_int_equal(ha_disc_take_out(x->q, "cd0", &err), -1);
    assert_non_null(strstr(err.msg, "is not open"));
}

#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTED(every_capability_is_set_explicitly),
        CONNECTED(parameters_of_an_earlier_move_are_reset),
        CONNECTED(a_throttle_is_reached_in_three_steps),
        CONNECTED(too_old_a_qemu_is_refused),
        CONNECTED(numbers_that_qemu_does_not_give_yet_are_unknown),
        CONNECTED(wait_ends_with_the_reason_when_the_migration_fails),
        CONNECTED(wait_has_an_end),
        CONNECTED(ports_in_use_are_passed_over),
        CONNECTED(no_free_port_is_busy_and_other_errors_are_told),
        cmocka_unit_test(key_file_is_qemus_and_secret),
        CONNECTED(mirror_that_is_not_in_sync_is_not_finished),
        CONNECTED(mirror_is_finished_by_cancel_and_never_by_complete),
        CONNECTED(mirror_that_ended_with_an_error_is_not_taken_for_a_copy),
        CONNECTED(wait_for_ready_notices_a_job_that_ended),
        CONNECTED(abort_cuts_the_connection_first_and_out_of_band),
        CONNECTED(abort_of_nothing_is_no_error),
        CONNECTED(disk_is_found_by_its_device),
        CONNECTED(a_tray_that_the_guest_closes_is_opened_again),
        CONNECTED(a_tray_that_stays_shut_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
