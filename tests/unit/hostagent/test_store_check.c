// SPDX-License-Identifier: GPL-3.0-or-later
// `drover store check`: what it says of a share that keeps a file to its holder, of one that does
// not (S15), and of one that cannot be written (S12) or is full (S03).
//
// drover-smb is a script here, and this program itself stands for nbdkit: started with "strict" as
// its plugin it refuses what the first connection holds, with "loose" it does not.
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_store.h"
#include "store_check.h"

// --- the pretended nbdkit: --foreground --unix DIR/rivalN.nbd PLUGIN … ---

static int be_nbdkit(char **argv)
{
    static struct fake_file_server fs;
    char dir[256];
    DRV_COPY(dir, argv[3]);
    char *name = strrchr(dir, '/');
    *name++ = '\0';
    *strrchr(name, '.') = '\0';
    DRV_AUTO_FILE FILE *nbd = fopen(argv[3], "we");
    fake_server_init(&fs);
    if (!strcmp(argv[4], "strict") && !strcmp(name, "rival1"))
        fake_fault(&fs, "rival1", "hold_record", FAKE_REFUSES, "busy");
    fake_store_start(&fs, dir, name, 1);
    for (int i = 0; i < 3000 && !fake_asked_to_quit(&fs); i++)
        drv_sleep_ms(10);
    return 0;
}

// --- the test ---

static char self[256];

static void shares(struct rig *r, const char *plugin, const char *answer)
{
    DRV_COPY(r->ha.nbdkit, self);
    DRV_COPY(r->ha.plugin, plugin);
    snprintf(r->ha.smb_helper, sizeof r->ha.smb_helper, "%s/drover-smb", r->dir);
    DRV_AUTO_FILE FILE *f = fopen(r->ha.smb_helper, "we");
    fprintf(f, "#!/bin/sh\nwhile read -r line; do case $line in %s esac; done\n", answer);
    fchmod(fileno(f), 0700);
    rig_ticket(r);
    rig_smb_store(r, "fs", "smb://fs.drover.test/VM");
}

#define FINE "*) echo '{\"ok\":{\"free\":1099511627776,\"total\":2199023255552}}';;"

static enum drv_severity said(struct rig *r, const char *id, bool *ret_alone)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_findings f = {0};
    enum drv_severity sev = DRV_SEV_MAX_; // not said at all
    if (ha_store_check(&r->ha, "fs", &f, &err) < 0)
        fail_msg("%s", err.msg);
    for (unsigned i = 0; i < f.n; i++)
        if (!strcmp(f.list[i].id, id))
            sev = f.list[i].severity;
    *ret_alone = drv_findings_errors(&f) == (sev == DRV_SEV_ERROR);
    drv_findings_done(&f);
    return sev;
}

static void a_share_that_keeps_a_file_to_its_holder_is_fine(void **state)
{
    bool alone;
    shares(*state, "strict", FINE);
    assert_int_equal(said(*state, "S15", &alone), DRV_SEV_OK);
    assert_true(alone);
}

static void a_share_that_lets_two_connections_write_one_file_is_found_out(void **state)
{
    bool alone;
    shares(*state, "loose", FINE);
    assert_int_equal(said(*state, "S15", &alone), DRV_SEV_ERROR);
    assert_true(alone);
}

static void a_share_that_cannot_be_tried_is_not_called_safe(void **state)
{
    struct rig *r = *state;
    bool alone;
    shares(r, "strict", FINE);
    DRV_COPY(r->ha.nbdkit, "/bin/false");
    assert_int_equal(said(r, "S15", &alone), DRV_SEV_ERROR);
}

static void a_share_that_cannot_be_written_is_not_tried_further(void **state)
{
    bool alone;
    shares(
        *state, "strict",
        "*connect*|*space*) echo '{\"ok\":{\"free\":1,\"total\":2}}';; "
        "*) echo '{\"error\":{\"code\":\"denied\",\"msg\":\"no\",\"hint\":\"\",\"errno\":13}}';;");
    assert_int_equal(said(*state, "S12", &alone), DRV_SEV_ERROR);
    assert_true(alone);
    assert_int_equal(said(*state, "S03", &alone), DRV_SEV_WARNING); // and it is nearly full
    assert_int_equal(said(*state, "S15", &alone), DRV_SEV_MAX_);
}

static void a_local_folder_must_let_qemus_user_pass(void **state)
{
    struct rig *r = *state;
    struct drv_err err = DRV_ERR_INIT;
    struct drv_findings f = {0};
    rig_local_store(r, "data"); // 0700, and so is the rig's folder
    r->ha.qemu_uid = r->ha.qemu_gid = 65534;
    assert_int_equal(ha_store_check(&r->ha, "data", &f, &err), 0);
    assert_int_equal(drv_findings_errors(&f), 1);
    const struct drv_finding *last = &f.list[f.n - 1];
    assert_string_equal(last->id, "S12");
    assert_non_null(strstr(last->fix, r->dir));
    drv_findings_done(&f);
    assert_int_equal(ha_store_check(&r->ha, "nowhere", &f, &err), -1);
    assert_string_equal(err.id, "S01");
    drv_findings_done(&f);
}

int main(int argc, char **argv)
{
    if (argc > 4 && !strcmp(argv[1], "--foreground"))
        return be_nbdkit(argv);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return 1;
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_share_that_keeps_a_file_to_its_holder_is_fine),
        RIG_TEST(a_share_that_lets_two_connections_write_one_file_is_found_out),
        RIG_TEST(a_share_that_cannot_be_tried_is_not_called_safe),
        RIG_TEST(a_share_that_cannot_be_written_is_not_tried_further),
        RIG_TEST(a_local_folder_must_let_qemus_user_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
