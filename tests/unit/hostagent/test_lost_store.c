// SPDX-License-Identifier: GPL-3.0-or-later
// A running VM whose store is lost: it stays paused, says why with S14, and resumes nothing by
// guessing. drover-smb is a script that says what it would say then.
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drover/proc.h"
#include "drover/worker.h"
#include "fake_qmp.h"
#include "fake_store.h"

#define INSTANCE "11111111-1111-4111-8111-111111111111"

static struct fake_file_server fs;
static struct fake_qmp *monitor;
static struct ha_qemu *qemu; // stands for a living process: this one
static struct ha_vm *vm;

// A drover-smb whose server does not answer.
static void no_server(struct rig *r)
{
    static const char script[] =
        "#!/bin/sh\nwhile read -r line; do echo '{\"error\":{\"code\":\"unreachable\","
        "\"msg\":\"fs does not answer\",\"hint\":\"\",\"errno\":0}}'; done\n";
    snprintf(r->ha.smb_helper, sizeof r->ha.smb_helper, "%s/drover-smb", r->dir);
    DRV_AUTO_FILE FILE *f = fopen(r->ha.smb_helper, "we");
    fputs(script, f);
    fchmod(fileno(f), 0700);
}

static char *no_answer(struct fake_qmp *f, const char *cmd, const json_t *args, void *arg)
{
    (void)f, (void)cmd, (void)args, (void)arg;
    return NULL;
}

static int setup(void **state)
{
    struct drv_err err = DRV_ERR_INIT;
    char dir[256];
    if (rig_setup(state) < 0)
        return -1;
    struct rig *r = *state;
    rig_ticket(r);
    no_server(r);
    rig_smb_store(r, "fs", "smb://fs.drover.test/VM");
    rig_arbiter(r, "fs");
    struct ss_vmdef def = rig_vm("web");
    rig_disk(&def, "fs", "web/disk0.qcow2");
    fake_server_init(&fs);
    fs.have_record = true;
    fs.record = (struct ss_record){
        .write_counter = 1, .epoch = 5, .state = SS_REC_RUNNING, .stall_deadline_s = 60};
    struct ss_record *rec = &fs.record;
    rec->n_images = 1;
    rec->images[0] = (struct ss_record_image){
        .disk = "disk0", .store = "fs", .path = "web/disk0.qcow2", .volume_id = 7, .file_id = 100};
    drv_uuid_new(rec->images[0].image_id);
    DRV_COPY(rec->vm, def.uuid);
    DRV_COPY(rec->host, r->ha.fqdn);
    DRV_COPY(rec->boot_id, r->ha.boot_id);
    DRV_COPY(rec->instance, INSTANCE);
    DRV_COPY(rec->home_store, "fs");
    DRV_COPY(rec->home_path, "web");
    memset(rec->vm_json_sha256, 'a', 64);
    drv_uuid_new(rec->nonce);
    ha_vm_dir(&r->ha, def.uuid, dir, sizeof dir);
    fake_store_start(&fs, dir, "disk0", 100);
    qemu = drv_xcalloc(1, sizeof *qemu);
    qemu->pid = getpid();
    qemu->start_time = drv_proc_start_time(qemu->pid);
    DRV_COPY(qemu->instance, INSTANCE);
    qemu->def = def;
    monitor = fake_qmp_start(NULL, no_answer, NULL);
    qemu->qmp = qmp_connect(fake_qmp_path(monitor), 5000, NULL, &err);
    vm = ha_vm_add(&r->ha, &def, "fs", "web", "testing", &err);
    vm->run.qemu = qemu;
    vm->run.owner = ha_owner_attach(&r->ha, &def, &err);
    return vm->run.owner ? 0 : -1;
}

static int teardown(void **state)
{
    ha_owner_free(vm->run.owner);
    qmp_close(qemu->qmp);
    fake_qmp_stop(monitor);
    free(qemu);
    fake_server_stop(&fs);
    return rig_teardown(state);
}

static void lose(void)
{
    fs.stores[0].state = SS_PS_LOST;
}

static void a_start_while_the_server_is_away_says_s14_and_promotes_nothing(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const struct ha_start_opts opts = {0};
    lose();
    assert_int_equal(ha_vm_start(vm, &opts, &err), -1);
    if (strcmp(err.id, "S14") != 0)
        fail_msg("%s: %s", err.id, err.msg);
    assert_non_null(strstr(err.msg, "stays paused"));
    assert_non_null(strstr(err.hint, "drover vm start"));
    assert_int_equal(fake_count(&fs, "disk0 promote"), 0);
}

struct watch_call {
    struct ha *ha;
    struct event *timer;
};

static void start_watch(void *arg)
{
    struct watch_call *c = arg;
    c->timer = ha_watch_start(c->ha);
}

static void end_watch(void *arg)
{
    struct watch_call *c = arg;
    event_free(c->timer);
}

static void a_paused_guest_says_that_its_store_was_lost(void **state)
{
    struct rig *r = *state;
    struct watch_call c = {.ha = &r->ha};
    lose();
    ha_vm_publish(vm, "paused", 5, "");
    ha_vm_unlock(vm);
    drv_loop_call(r->ha.loop, start_watch, &c);
    int64_t end = drv_now_ms() + 10000;
    char why[sizeof vm->why] = "";
    while (!why[0] && drv_now_ms() < end) {
        drv_sleep_ms(50);
        struct ha_vm *locked = ha_vm_lock(&r->ha, "web", "looking", NULL);
        DRV_COPY(why, locked->why);
        ha_vm_unlock(locked);
    }
    drv_loop_call(r->ha.loop, end_watch, &c);
    while (drv_work_running() > 0)
        drv_sleep_ms(5);
    assert_non_null(strstr(why, "S14"));
    assert_non_null(strstr(why, "the server is gone"));
    assert_non_null(strstr(why, "drover vm start web"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_while_the_server_is_away_says_s14_and_promotes_nothing),
        TEST(a_paused_guest_says_that_its_store_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
