// SPDX-License-Identifier: GPL-3.0-or-later
// One struct ds_store over the fake file server, and what tests of the rules do with it.
#ifndef TESTS_STORE_RIG_H
#define TESTS_STORE_RIG_H

#include "fake_smb.h"
#include "store.h"

#define VM "11111111-2222-4333-8444-555555555555"

static struct ds_conf conf;
static struct ds_store st;

static int setup(void **state)
{
    (void)state;
    fake_reset();
    conf = (struct ds_conf){.image_url = (char *)FAKE_IMAGE,
                            .record_url = (char *)FAKE_RECORD,
                            .qmp_path = (char *)"/nowhere",
                            .stall_s = 60,
                            .verify_s = 5};
    struct drv_err err = DRV_ERR_INIT;
    struct ds_thread *thread = ds_thread_new(&err);
    ds_store_init(&st, &conf, &fake_backend, &fake_data, thread);
    return ds_open(&st, &err);
}

static int teardown(void **state)
{
    (void)state;
    ds_thread_free(st.thread);
    ds_store_done(&st);
    return 0;
}

static struct ss_record record(enum ss_record_state s, uint64_t epoch)
{
    struct ss_record r = {.state = s, .epoch = epoch, .stall_deadline_s = 60};
    drv_uuid_new(r.nonce);
    drv_uuid_new(r.boot_id);
    strcpy(r.vm, VM);
    strcpy(r.host, "hv1.drover.test");
    strcpy(r.home_store, "fs");
    strcpy(r.home_path, "web");
    memset(r.vm_json_sha256, '0', 64);
    if (s == SS_REC_RUNNING)
        drv_uuid_new(r.instance);
    if (s == SS_REC_RELEASED) {
        drv_uuid_new(r.move);
        strcpy(r.to, "hv2.drover.test");
    }
    return r;
}

static enum drv_code put(enum ss_record_state s, uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = record(s, epoch);
    ds_write_record(&st, &r, &err);
    return err.code;
}

static void hold_all(void)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ds_hold_record(&st, true, &err) < 0 || ds_hold_image(&st, &err) < 0)
        fail_msg("%s", err.msg);
}

static void run_at(uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    hold_all();
    assert_int_equal(put(SS_REC_RUNNING, epoch), DRV_OK);
    if (ds_promote(&st, epoch, &err) < 0)
        fail_msg("%s", err.msg);
}

static enum ss_proc_state state_now(void)
{
    struct ss_proc_status s;
    ds_status(&st, &s);
    return s.state;
}

// The connection ends, and the client knows.
static void cut(void)
{
    fake.server_cut = true;
    ds_session_ended(&st, "cut");
    fake.data.log[0] = '\0';
}

// It did, and did not come back within the stall deadline.
static void lose(void)
{
    cut();
    ds_lost(&st, DS_LOST_WAIT, "the stall deadline passed");
    fake.data.log[0] = '\0';
}

// Another host committed epoch directly on the server.
static void other_host_writes(uint64_t epoch)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = record(SS_REC_RUNNING, epoch);
    r.write_counter = 100;
    assert_int_equal(ss_record_encode(&r, fake.record.data, &err), 0);
    fake.record.size = SS_RECORD_BYTES;
    fake.record.exists = true;
}

#endif
