// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of ownership (DESIGN.md section 3, rules 2 to 5): what is asked of the drover-stores, in
// which order, and what is concluded from an answer that did not come.
//
// The VM has disk0 on the arbiter store (its drover-store holds the record too), disk1 on another
// share, and disk2 on a local store.
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "fake_store.h"

#define INSTANCE "11111111-1111-4111-8111-111111111111"
#define ELSEWHERE "22222222-2222-4222-8222-222222222222"
#define MOVE "33333333-3333-4333-8333-333333333333"

static struct fake_file_server fs;
static struct ha_owner *owner;
static char sha[65];

static uint64_t local_inode(struct rig *r, uint64_t *ret_volume)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_stat st;
    struct ss_store *store = ha_store_open(&r->ha, "data", NULL, &err);
    assert_int_equal(ss_stat(store, "web/disk2.raw", &st, &err), 0);
    ss_store_close(store);
    *ret_volume = st.volume_id;
    return st.file_id;
}

// The record of the VM as it was left: stopped at epoch 4, with its three images.
static void record_on_server(struct rig *r, const struct ss_vmdef *def)
{
    struct ss_record *rec = &fs.record;
    fs.have_record = true;
    *rec = (struct ss_record){.write_counter = 9,
                              .epoch = 4,
                              .state = SS_REC_STOPPED,
                              .stall_deadline_s = 60,
                              .n_images = 3};
    DRV_COPY(rec->vm, def->uuid);
    DRV_COPY(rec->host, "hv2.drover.test");
    DRV_COPY(rec->boot_id, r->ha.boot_id);
    DRV_COPY(rec->home_store, "fs");
    DRV_COPY(rec->home_path, "web");
    DRV_COPY(rec->vm_json_sha256, sha);
    drv_uuid_new(rec->nonce);
    for (unsigned i = 0; i < 3; i++) {
        struct ss_record_image *im = &rec->images[i];
        DRV_COPY(im->disk, def->disks[i].id);
        DRV_COPY(im->store, def->disks[i].store);
        DRV_COPY(im->path, def->disks[i].path);
        drv_uuid_new(im->image_id);
        im->volume_id = 7;
        im->file_id = 100 + i;
    }
    rec->images[2].file_id = local_inode(r, &rec->images[2].volume_id);
}

static int setup(void **state)
{
    struct drv_err err = DRV_ERR_INIT;
    char dir[256];
    if (rig_setup(state) < 0)
        return -1;
    struct rig *r = *state;
    memset(sha, 'a', 64);
    rig_ticket(r);
    rig_smb_store(r, "fs", "smb://fs.drover.test/VM");
    rig_smb_store(r, "fs2", "smb://fs2.drover.test/VM");
    rig_local_store(r, "data");
    rig_arbiter(r, "fs");
    rig_file(r, "data", "web/disk2.raw", 4096);
    struct ss_vmdef def = rig_vm("web");
    rig_disk(&def, "fs", "web/disk0.qcow2");
    rig_disk(&def, "fs2", "web/disk1.qcow2");
    rig_disk(&def, "data", "web/disk2.raw");
    fake_server_init(&fs);
    record_on_server(r, &def);
    ha_vm_dir(&r->ha, def.uuid, dir, sizeof dir);
    fake_store_start(&fs, dir, "disk0", 100);
    fake_store_start(&fs, dir, "disk1", 101);
    fs.have_record = false; // nothing to read before it is held
    owner = ha_owner_attach(&r->ha, &def, &err);
    fs.have_record = true;
    char log[1024];
    fake_log(&fs, log, sizeof log);
    return owner ? 0 : -1;
}

static int teardown(void **state)
{
    ha_owner_free(owner);
    fake_server_stop(&fs);
    return rig_teardown(state);
}

static void must(int rc, const struct drv_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
}

static void expect_log(const char *wanted)
{
    char log[1024];
    assert_string_equal(fake_log(&fs, log, sizeof log), wanted);
}

static void hold(void)
{
    struct drv_err err = DRV_ERR_INIT;
    must(ha_owner_hold(owner, false, &err), &err);
    char log[1024];
    fake_log(&fs, log, sizeof log);
}

static int commit(struct drv_err *err)
{
    drv_err_clear(err);
    return ha_owner_commit(owner, INSTANCE, "", "fs", "web", sha, err);
}

static void run(void)
{
    struct drv_err err = DRV_ERR_INIT;
    char log[1024];
    hold();
    assert_int_equal(commit(&err), 1);
    fake_log(&fs, log, sizeof log);
}

// --- rule 2 ---

static void the_record_is_held_first_then_the_images_then_it_is_read(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    must(ha_owner_hold(owner, false, &err), &err);
    expect_log("disk0 hold_record, disk0 hold_image, disk1 hold_image, disk0 read_record");
    assert_int_equal(owner->rec.epoch, 4);
}

static void when_an_image_is_held_elsewhere_everything_is_let_go(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    fake_fault(&fs, "disk1", "hold_image", FAKE_REFUSES, "busy");
    assert_int_equal(ha_owner_hold(owner, false, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_non_null(strstr(err.msg, "disk1"));
    expect_log("disk0 hold_record, disk0 hold_image, disk1 hold_image, disk0 drop, disk1 drop");
    assert_false(owner->rec_valid);
}

static void no_image_is_touched_before_the_record_is_held(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    fake_fault(&fs, "disk0", "hold_record", FAKE_REFUSES, "busy");
    assert_int_equal(ha_owner_hold(owner, false, &err), -1);
    expect_log("disk0 hold_record, disk0 drop, disk1 drop");
}

static void only_a_new_vm_may_have_no_record(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    fs.have_record = false;
    assert_int_equal(ha_owner_hold(owner, false, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    drv_err_clear(&err);
    must(ha_owner_hold(owner, true, &err), &err);
    must(ha_owner_create(owner, "fs", "web", sha, &err), &err);
    assert_int_equal(fs.record.epoch, 1);
    assert_int_equal(fs.record.state, SS_REC_STOPPED);
    assert_string_equal(fs.record.host, "hv1.drover.test");
    assert_int_equal(fs.record.images[1].file_id, 101);
}

static void the_images_must_be_those_of_the_record(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    must(ha_owner_check_images(owner, 0, &err), &err);
    owner->rec.images[1].file_id = 999; // restored from a copy
    assert_int_equal(ha_owner_check_images(owner, 0, &err), -1);
    assert_string_equal(err.id, "S07");
    drv_err_clear(&err);
    must(ha_owner_check_images(owner, 1u << 1, &err), &err); // a move's new image
    DRV_COPY(owner->rec.images[1].path, "other/disk1.qcow2");
    owner->rec.images[1].file_id = 101;
    assert_int_equal(ha_owner_check_images(owner, 0, &err), -1);
    assert_string_equal(err.id, "S07");
    drv_err_clear(&err);
    DRV_COPY(owner->rec.images[1].path, "web/disk1.qcow2");
    owner->rec.images[2].file_id++; // the local one
    assert_int_equal(ha_owner_check_images(owner, 0, &err), -1);
    drv_err_clear(&err);
    owner->rec.images[2].file_id--;
    owner->rec.n_images = 2;
    assert_int_equal(ha_owner_check_images(owner, 0, &err), -1);
    drv_err_clear(&err);
    owner->rec.n_images = 3;
    must(db_vm_epoch_raise(r->ha.db, owner->uuid, 5, &err), &err); // we saw a later one
    assert_int_equal(ha_owner_check_images(owner, 0, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
}

static void a_commit_writes_the_next_epoch_then_promotes_all(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    uint64_t seen = 0;
    hold();
    assert_int_equal(ha_owner_commit(owner, INSTANCE, MOVE, "fs", "web", sha, &err), 1);
    expect_log("disk0 write_record, disk0 promote, disk1 promote");
    assert_int_equal(fs.record.epoch, 5);
    assert_int_equal(fs.record.state, SS_REC_RUNNING);
    assert_string_equal(fs.record.host, "hv1.drover.test");
    assert_string_equal(fs.record.instance, INSTANCE);
    assert_string_equal(fs.record.move, MOVE);
    assert_int_equal(fs.stores[0].epoch, 5);
    assert_int_equal(fs.stores[1].epoch, 5);
    must(db_vm_epoch_get(r->ha.db, owner->uuid, &seen, &err), &err);
    assert_int_equal(seen, 5);
    must(ha_owner_verify(owner, INSTANCE, &err), &err);
}

static void a_refused_commit_promotes_nothing(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk0", "write_record", FAKE_REFUSES, "state");
    assert_int_equal(commit(&err), 0);
    expect_log("disk0 write_record");
}

static void a_failed_promotion_is_repeated_without_a_second_write(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk1", "promote", FAKE_REFUSES, "state");
    assert_int_equal(commit(&err), -1); // the record says that we own it
    expect_log("disk0 write_record, disk0 promote, disk1 promote");
    assert_int_equal(commit(&err), 1);
    expect_log("disk0 promote, disk1 promote");
    assert_int_equal(fs.record.epoch, 5);
}

// --- rule 5 ---

static void a_commit_without_an_answer_that_was_written_is_ours(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk0", "write_record", FAKE_FORGETS, NULL);
    assert_int_equal(commit(&err), -1);
    expect_log("disk0 write_record"); // and nothing runs on a guess
    assert_int_equal(commit(&err), 1);
    expect_log("disk0 read_record, disk0 promote, disk1 promote");
    assert_int_equal(fs.record.epoch, 5);
}

static void a_commit_without_an_answer_that_was_not_written_is_written_once_more(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk0", "write_record", FAKE_DIES, NULL);
    assert_int_equal(commit(&err), -1);
    assert_int_equal(fs.record.epoch, 4);
    assert_int_equal(commit(&err), 1);
    expect_log("disk0 write_record, disk0 read_record, disk0 write_record, disk0 promote, "
               "disk1 promote");
    assert_int_equal(fs.record.epoch, 5);
}

static void a_commit_without_an_answer_is_lost_when_another_host_took_the_epoch(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk0", "write_record", FAKE_DIES, NULL);
    assert_int_equal(commit(&err), -1);
    fs.record.epoch = 5;
    fs.record.state = SS_REC_RUNNING;
    DRV_COPY(fs.record.instance, ELSEWHERE);
    assert_int_equal(commit(&err), 0);
    assert_int_equal(err.code, DRV_EDENIED);
    expect_log("disk0 write_record, disk0 read_record");
    assert_string_equal(fs.record.instance, ELSEWHERE);
}

static void nothing_is_concluded_while_the_record_cannot_be_read(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    hold();
    fake_fault(&fs, "disk0", "write_record", FAKE_FORGETS, NULL);
    assert_int_equal(commit(&err), -1);
    fake_fault(&fs, "disk0", "read_record", FAKE_REFUSES, "unreachable");
    assert_int_equal(commit(&err), -1);
    assert_int_equal(fake_count(&fs, "disk0 write_record"), 1);
    assert_int_equal(commit(&err), 1);
    assert_int_equal(fake_count(&fs, "disk0 write_record"), 1);
}

// --- rule 3 ---

static void
a_release_settles_images_writes_the_record_then_closes_images_then_the_record(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    bool written = false;
    run();
    must(ha_owner_release(owner, SS_REC_RELEASED, "hv2.drover.test", MOVE, &written, &err), &err);
    assert_true(written);
    expect_log(
        "disk0 settle, disk1 settle, disk0 write_record, disk0 release_image, disk1 release_image, "
        "disk0 release_record");
    assert_int_equal(fs.record.epoch, 5); // the same: nobody runs it
    assert_int_equal(fs.record.state, SS_REC_RELEASED);
    assert_string_equal(fs.record.to, "hv2.drover.test");
    assert_string_equal(fs.record.move, MOVE);
}

static void a_stop_names_no_instance(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    bool written;
    run();
    must(ha_owner_release(owner, SS_REC_STOPPED, "", "", &written, &err), &err);
    assert_int_equal(fs.record.state, SS_REC_STOPPED);
    assert_string_equal(fs.record.instance, "");
}

static void
a_refused_release_was_not_written_closes_nothing_and_lets_the_guest_write_again(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    bool written = true;
    run();
    fake_fault(&fs, "disk0", "write_record", FAKE_REFUSES, "state");
    assert_int_equal(
        ha_owner_release(owner, SS_REC_RELEASED, "hv2.drover.test", MOVE, &written, &err), -1);
    assert_false(written);
    expect_log("disk0 settle, disk1 settle, disk0 write_record, disk0 promote, disk1 promote");
}

static void a_release_without_an_answer_counts_as_written(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    bool written = false;
    run();
    fake_fault(&fs, "disk0", "write_record", FAKE_DIES, NULL);
    assert_int_equal(
        ha_owner_release(owner, SS_REC_RELEASED, "hv2.drover.test", MOVE, &written, &err), -1);
    assert_true(written);
    expect_log("disk0 settle, disk1 settle, disk0 write_record");
}

// --- rule 4 ---

static void after_a_loss_images_are_opened_first_and_the_record_last(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    fs.stores[0].state = fs.stores[1].state = SS_PS_LOST;
    char why[256];
    assert_true(ha_owner_lost(owner, why, sizeof why));
    must(ha_owner_resume(owner, INSTANCE, &err), &err);
    expect_log("disk1 reopen, disk0 reopen, disk0 read_record, disk0 promote, disk1 promote");
    assert_false(ha_owner_lost(owner, why, sizeof why));
}

static void a_host_that_was_fenced_does_not_promote(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    fs.stores[0].state = fs.stores[1].state = SS_PS_LOST;
    fs.record.epoch = 6;
    DRV_COPY(fs.record.host, "hv2.drover.test");
    assert_int_equal(ha_owner_resume(owner, INSTANCE, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    assert_non_null(strstr(err.msg, "fenced: hv2.drover.test"));
    expect_log("disk1 reopen, disk0 reopen, disk0 read_record");
}

static void another_instance_at_our_epoch_does_not_promote(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    assert_int_equal(ha_owner_resume(owner, ELSEWHERE, &err), -1);
    assert_int_equal(err.code, DRV_EATTENTION);
    expect_log("disk0 read_record");
    drv_err_clear(&err);
    assert_int_equal(ha_owner_verify(owner, ELSEWHERE, &err), -1);
}

// --- disks that go to another store while the VM runs ---

#define NEW_IMAGE "44444444-4444-4444-8444-444444444444"

// disk0, whose process holds the record, goes from the arbiter store to the other share.
static struct ss_vmdef moved(void)
{
    struct ss_vmdef next = owner->def;
    DRV_COPY(next.disks[0].store, "fs2");
    DRV_COPY(next.disks[0].path, "web2/disk0.qcow2");
    return next;
}

static struct ha_owner *targets(const struct ss_vmdef *next)
{
    struct drv_err err = DRV_ERR_INIT;
    char log[1024];
    fake_store_start(&fs, owner->dir, "disk0-33333333", 300);
    struct ha_owner *t = ha_owner_targets_attach(owner, next, 1, MOVE, &err);
    assert_non_null(t);
    assert_int_equal(t->n, 1);
    assert_non_null(t->procs[0]);
    fake_log(&fs, log, sizeof log);
    return t;
}

static int change(struct ha_owner *t, const struct ss_vmdef *next, struct drv_err *err)
{
    static const char ids[SS_MAX_DISKS][DRV_UUID_LEN] = {NEW_IMAGE};
    char hash[65];
    memset(hash, 'b', 64);
    hash[64] = '\0';
    drv_err_clear(err);
    return ha_owner_change(owner, t, next, 1, ids, MOVE, "fs2", "web2", hash, err);
}

static void the_record_names_new_images_at_the_same_epoch(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    struct ss_record before = fs.record;
    struct ss_vmdef next = moved();
    struct ha_owner *t = targets(&next);
    assert_int_equal(change(t, &next, &err), 1);
    expect_log("disk0 write_record");
    const struct ss_record *now = &fs.record;
    assert_int_equal(now->epoch, before.epoch);
    assert_string_equal(now->instance, INSTANCE);
    assert_string_equal(now->home_path, "web2");
    assert_string_not_equal(now->nonce, before.nonce);
    assert_string_equal(now->images[0].store, "fs2");
    assert_string_equal(now->images[0].image_id, NEW_IMAGE);
    assert_int_equal(now->images[0].file_id, 300);
    for (unsigned i = 1; i < 3; i++)
        assert_memory_equal(&now->images[i], &before.images[i], sizeof now->images[i]);
    assert_int_equal(change(t, &next, &err), 1); // it stands
    expect_log("");
    ha_owner_free(t);
}

static void a_change_without_an_answer_is_settled_by_reading(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    struct ss_vmdef next = moved();
    struct ha_owner *t = targets(&next);
    fake_fault(&fs, "disk0", "write_record", FAKE_REFUSES, "timed-out");
    assert_int_equal(change(t, &next, &err), -1);
    assert_int_equal(change(t, &next, &err), 1); // read, and written once more
    expect_log("disk0 write_record, disk0 read_record, disk0 write_record, disk0 promote, "
               "disk1 promote");
    ha_owner_free(t);
}

static void the_process_that_holds_the_record_keeps_it_when_its_disk_leaves(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    run();
    struct ss_vmdef next = moved();
    struct ha_owner *t = targets(&next);
    assert_int_equal(change(t, &next, &err), 1);
    expect_log("disk0 write_record");
    must(ha_owner_adopt(owner, t, &next, 1, &err), &err);
    expect_log("disk1 promote, disk0-33333333 promote");
    assert_int_equal(t->n, 0);
    assert_string_equal(owner->names[owner->record_ix], "disk0");
    must(ha_owner_retire(owner, &err), &err);
    expect_log("disk0 release_image"); // the image, never the record
    must(ha_owner_verify(owner, INSTANCE, &err), &err);
    expect_log("disk0 read_record");
    assert_false(ha_owner_pauses(owner, owner->record_ix));

    // An agent that starts finds the same.
    ha_owner_free(owner);
    owner = ha_owner_attach(&r->ha, &next, &err);
    assert_non_null(owner);
    assert_int_equal(owner->n, 3);
    assert_string_equal(owner->names[owner->record_ix], "disk0");
    assert_true(owner->image_gone[owner->record_ix]);
    must(ha_owner_verify(owner, INSTANCE, &err), &err);
    // And takes none of its own for a target that is to be ended.
    struct ha_owner *again = ha_owner_targets_attach(owner, &next, 1, MOVE, &err);
    assert_int_equal(again->n, 0);
    ha_owner_free(again);
    ha_owner_free(t);

    bool written = false;
    char log[1024];
    fake_log(&fs, log, sizeof log);
    must(ha_owner_release(owner, SS_REC_STOPPED, "", "", &written, &err), &err);
    assert_non_null(strstr(fake_log(&fs, log, sizeof log), "disk0-33333333 release_image"));
    assert_non_null(strstr(log, "disk0 release_record"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_record_is_held_first_then_the_images_then_it_is_read),
        TEST(when_an_image_is_held_elsewhere_everything_is_let_go),
        TEST(no_image_is_touched_before_the_record_is_held),
        TEST(only_a_new_vm_may_have_no_record),
        TEST(the_images_must_be_those_of_the_record),
        TEST(a_commit_writes_the_next_epoch_then_promotes_all),
        TEST(a_refused_commit_promotes_nothing),
        TEST(a_failed_promotion_is_repeated_without_a_second_write),
        TEST(a_commit_without_an_answer_that_was_written_is_ours),
        TEST(a_commit_without_an_answer_that_was_not_written_is_written_once_more),
        TEST(a_commit_without_an_answer_is_lost_when_another_host_took_the_epoch),
        TEST(nothing_is_concluded_while_the_record_cannot_be_read),
        TEST(a_release_settles_images_writes_the_record_then_closes_images_then_the_record),
        TEST(a_stop_names_no_instance),
        TEST(a_refused_release_was_not_written_closes_nothing_and_lets_the_guest_write_again),
        TEST(a_release_without_an_answer_counts_as_written),
        TEST(after_a_loss_images_are_opened_first_and_the_record_last),
        TEST(a_host_that_was_fenced_does_not_promote),
        TEST(another_instance_at_our_epoch_does_not_promote),
        TEST(the_record_names_new_images_at_the_same_epoch),
        TEST(a_change_without_an_answer_is_settled_by_reading),
        TEST(the_process_that_holds_the_record_keeps_it_when_its_disk_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
