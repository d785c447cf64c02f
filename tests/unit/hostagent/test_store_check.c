// SPDX-License-Identifier: GPL-3.0-or-later
// `drover store check`: what it says of a share that keeps a file to its holder, of one that does
// not (S15), of one that moves folders under open files (S22), that may not flush (S17), keeps no
// holes (S18), does not encrypt (S19), of one that cannot be written (S12) or is full (S03), and of
// a folder in memory (S21).
//
// drover-smb and drover-store are scripts here. The latter answers --probe with what a test says,
// and else becomes this program: with "strict" as its first argument it refuses what the first
// connection holds, with "loose" it does not.
#include "rig.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_store.h"
#include "store_check.h"

// --- the pretended drover-store: strict|loose … --control=DIR/rivalN.ctl … ---

static int be_drover_store(char **argv)
{
    static struct fake_file_server fs;
    static const char control[] = "--control=";
    char dir[256] = "";
    for (char **a = argv + 2; *a; a++)
        if (!strncmp(*a, control, sizeof control - 1))
            DRV_COPY(dir, *a + sizeof control - 1);
    char *name = strrchr(dir, '/');
    if (!name)
        return 1;
    *name++ = '\0';
    *strrchr(name, '.') = '\0';
    fake_server_init(&fs);
    if (!strcmp(argv[1], "strict") && !strcmp(name, "rival1"))
        fake_fault(&fs, "rival1", "hold_record", FAKE_REFUSES, "busy");
    fake_store_start(&fs, dir, name, 1);
    for (int i = 0; i < 3000 && !fake_asked_to_quit(&fs); i++)
        drv_sleep_ms(10);
    return 0;
}

// --- the test ---

static char self[256];

static void script(const char *path, const char *text)
{
    DRV_AUTO_FILE FILE *f = fopen(path, "we");
    fprintf(f, "#!/bin/sh\n%s\n", text);
    fchmod(fileno(f), 0700);
}

// A drover-store that keeps files to their holder or not, and what its --probe prints.
static void store_is(struct rig *r, const char *manner, const char *report)
{
    char text[1500];
    snprintf(r->ha.store_program, sizeof r->ha.store_program, "%s/drover-store", r->dir);
    snprintf(text, sizeof text,
             "if [ \"$1\" = --probe ]; then echo \"$2\" >'%s/asked'; echo '%s'; exit; fi\n"
             "exec '%s' %s \"$@\"",
             r->dir, report, self, manner);
    script(r->ha.store_program, text);
}

#define NO_PROBE                                                                                   \
    "{\"error\":{\"code\":\"unreachable\",\"msg\":\"fs does not answer\",\"hint\":\"\"}}"

static void shares(struct rig *r, const char *manner, const char *answer)
{
    store_is(r, manner, NO_PROBE);
    snprintf(r->ha.smb_helper, sizeof r->ha.smb_helper, "%s/drover-smb", r->dir);
    char text[1000];
    snprintf(text, sizeof text, "while read -r line; do case $line in %s esac; done", answer);
    script(r->ha.smb_helper, text);
    rig_ticket(r);
    rig_smb_store(r, "fs", "smb://fs.drover.test/VM");
}

#define STAYS                                                                                      \
    "*rename*) echo "                                                                              \
    "'{\"error\":{\"code\":\"denied\",\"msg\":\"no\",\"hint\":\"\",\"errno\":13}}';;"
#define MOVES "*) echo '{\"ok\":{\"free\":1099511627776,\"total\":2199023255552}}';;"

#define FINE STAYS MOVES

#define REPORT(encrypted, flush, holes)                                                            \
    "{\"dialect\":\"3.1.1\",\"encrypted\":\"" encrypted "\",\"signing\":\"AES-128-GMAC\","         \
    "\"capabilities\":47,\"max_read\":8388608,\"max_write\":8388608,\"flush_ms\":" flush           \
    ",\"sparse\":true,\"ranges\":true,\"punch\":" holes "}"
#define SOUND REPORT("AES-128-GCM", "0.8,\"answer_ms\":0.3", "true")

static enum drv_severity said(struct rig *r, const char *id, bool *ret_alone)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_findings f = {0};
    enum drv_severity sev = DRV_SEV_MAX_; // not said at all
    if (ha_store_check(&r->ha, "fs", &f, &err) < 0)
        fail_msg("%s", err.msg);
    for (unsigned i = 0; i < f.n; i++)
        if (!strcmp(f.list[i].id, id) && (sev == DRV_SEV_MAX_ || f.list[i].severity > sev))
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
    assert_int_equal(said(*state, "S22", &alone), DRV_SEV_OK);
}

static void a_share_that_lets_two_connections_write_one_file_is_found_out(void **state)
{
    bool alone;
    shares(*state, "loose", FINE);
    assert_int_equal(said(*state, "S15", &alone), DRV_SEV_ERROR);
    assert_true(alone);
}

static void a_share_that_moves_folders_under_open_files_is_found_out(void **state)
{
    bool alone;
    shares(*state, "strict", MOVES);
    assert_int_equal(said(*state, "S22", &alone), DRV_SEV_ERROR);
    assert_true(alone);
}

static void drover_store_is_asked_what_it_alone_can_tell(void **state)
{
    struct rig *r = *state;
    bool alone;
    char path[200], asked[200] = "";
    shares(r, "strict", FINE);
    assert_int_equal(said(r, "S17", &alone), DRV_SEV_WARNING); // it could not be tried
    assert_int_equal(said(r, "S18", &alone), DRV_SEV_MAX_);
    store_is(r, "strict", SOUND);
    assert_int_equal(said(r, "S17", &alone), DRV_SEV_OK);
    assert_int_equal(said(r, "S18", &alone), DRV_SEV_OK);
    assert_int_equal(said(r, "S19", &alone), DRV_SEV_OK);
    assert_int_equal(said(r, "S20", &alone), DRV_SEV_INFO);
    assert_true(alone);
    snprintf(path, sizeof path, "%s/asked", r->dir);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(asked, sizeof asked, f));
    fclose(f);
    assert_ptr_equal(strstr(asked, "smb://fs.drover.test/VM/.drover/probe-"), asked);
}

static void a_share_that_may_lose_what_was_flushed_is_found_out(void **state)
{
    struct rig *r = *state;
    bool alone;
    shares(r, "strict", FINE);
    store_is(r, "strict", REPORT("AES-128-GCM", "0.31,\"answer_ms\":0.3", "true"));
    assert_int_equal(said(r, "S17", &alone), DRV_SEV_WARNING);
    store_is(r, "strict", "{}");
    assert_int_equal(said(r, "S17", &alone), DRV_SEV_WARNING); // not tried is not sound
    store_is(r, "strict", REPORT("AES-128-GCM", "0.8,\"answer_ms\":0.3", "false"));
    assert_int_equal(said(r, "S18", &alone), DRV_SEV_WARNING);
    store_is(r, "strict", REPORT("AES-128-CCM", "0.8,\"answer_ms\":0.3", "true"));
    assert_int_equal(said(r, "S19", &alone), DRV_SEV_WARNING);
    store_is(r, "strict", REPORT("", "0.8,\"answer_ms\":0.3", "true"));
    assert_int_equal(said(r, "S19", &alone), DRV_SEV_ERROR);
    assert_true(alone);
}

static void a_folder_in_memory_is_no_place_for_images(void **state)
{
    (void)state;
    struct drv_findings f = {0};
    ha_store_judge_folder("/proc/self", "proc", "hv1", &f); // this host's own, however odd
    ha_store_judge_folder("/dev/shm", "shm", "hv1", &f);
    ha_store_judge_folder("/nonexistent", "none", "hv1", &f);
    assert_int_equal(f.n, 2);
    assert_string_equal(f.list[1].id, "S21");
    assert_int_equal(f.list[0].severity, DRV_SEV_OK);
    assert_int_equal(f.list[1].severity, DRV_SEV_WARNING);
    drv_findings_done(&f);
}

static void a_share_that_cannot_be_tried_is_not_called_safe(void **state)
{
    struct rig *r = *state;
    bool alone;
    shares(r, "strict", FINE);
    DRV_COPY(r->ha.store_program, "/bin/false");
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
    const struct drv_finding *last = &f.list[f.n - 2]; // and then S21
    assert_string_equal(last->id, "S12");
    assert_non_null(strstr(last->fix, r->dir));
    drv_findings_done(&f);
    assert_int_equal(ha_store_check(&r->ha, "nowhere", &f, &err), -1);
    assert_string_equal(err.id, "S01");
    drv_findings_done(&f);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return be_drover_store(argv);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return 1;
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_share_that_keeps_a_file_to_its_holder_is_fine),
        RIG_TEST(a_share_that_lets_two_connections_write_one_file_is_found_out),
        RIG_TEST(a_share_that_moves_folders_under_open_files_is_found_out),
        RIG_TEST(drover_store_is_asked_what_it_alone_can_tell),
        RIG_TEST(a_share_that_may_lose_what_was_flushed_is_found_out),
        cmocka_unit_test(a_folder_in_memory_is_no_place_for_images),
        RIG_TEST(a_share_that_cannot_be_tried_is_not_called_safe),
        RIG_TEST(a_share_that_cannot_be_written_is_not_tried_further),
        RIG_TEST(a_local_folder_must_let_qemus_user_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
