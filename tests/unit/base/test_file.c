// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of drover/file.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drover/file.h"
#include "drover/proc.h"
#include "drover/util.h"

static char dir[] = "/tmp/drover-test-XXXXXX", path[64], temp[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(temp, sizeof temp, "%s.new", path);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    unlink(temp);
    return rmdir(dir);
}

static void assert_content(const char *want, mode_t mode)
{
    char got[64] = "";
    struct stat st;
    DRV_AUTO_FILE FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got - 1, f), strlen(want));
    assert_string_equal(got, want);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(access(temp, F_OK), -1);
}

static void a_file_is_made_and_replaced(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    mode_t mask = umask(077);
    assert_int_equal(drv_file_replace(path, "a longer text", 13, 0644, &err), 0);
    assert_content("a longer text", 0644);
    assert_int_equal(drv_file_replace(path, "short", 5, 0600, &err), 0);
    assert_content("short", 0600);
    umask(mask);
}

static void what_a_killed_writer_left_is_replaced(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FILE FILE *f = fopen(temp, "w");
    assert_non_null(f);
    fputs("half of something that is longer", f);
    fflush(f);
    assert_int_equal(drv_file_replace(path, "whole", 5, 0600, &err), 0);
    assert_content("whole", 0600);
}

static void a_link_in_its_way_is_not_followed(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(drv_file_replace(path, "kept", 4, 0600, &err), 0);
    assert_int_equal(symlink("/dev/null", temp), 0);
    assert_int_equal(drv_file_replace(path, "new", 3, 0600, &err), -1);
    assert_non_null(strstr(err.msg, "file.new"));
    assert_int_equal(unlink(temp), 0);
    assert_content("kept", 0600);
}

static void a_failure_leaves_the_old_file_alone(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(drv_file_replace(dir, "text", 4, 0600, &err), -1); // a folder is there
    assert_int_equal(err.code, DRV_EIO);
    DRV_AUTO_FREE char *beside = drv_xasprintf("%s.new", dir);
    assert_int_equal(access(beside, F_OK), -1);
}

static void a_shared_folder_has_its_mode_and_is_no_link(void **state)
{
    (void)state;
    struct stat st;
    DRV_AUTO_FREE char *folder = drv_xasprintf("%s/shared", dir);
    DRV_AUTO_FREE char *link = drv_xasprintf("%s/link", dir);
    for (int i = 0; i < 2; i++) // made, and found
        assert_int_equal(drv_dir_share(folder, getegid(), 0770, NULL), 0);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0770);
    assert_int_equal(symlink(folder, link), 0);
    assert_int_equal(drv_dir_share(link, getegid(), 0711, NULL), -1);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(folder), 0);
}

// So many folders in each other, a link to what must stay in the innermost.
static void make_nest(const char *top, int depth)
{
    char at[1000];
    DRV_COPY(at, top);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdir(at, 0700), 0);
        strcat(at, i + 1 < depth ? "/d" : "/link");
    }
    assert_int_equal(symlink(dir, at), 0);
}

static void a_tree_goes_and_what_it_links_to_stays(void **state)
{
    (void)state;
    DRV_AUTO_FREE char *top = drv_xasprintf("%s/top", dir);
    assert_int_equal(drv_file_replace(path, "kept", 4, 0600, NULL), 0);
    make_nest(top, 60);
    assert_int_equal(drv_tree_remove(top), 0);
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(drv_tree_remove(top), 0); // absent
    assert_content("kept", 0600);
    make_nest(top, 100);
    assert_int_equal(drv_tree_remove(top), -1);  // too deep
    assert_int_equal(drv_tree_remove(path), -1); // no folder
    const char *const argv[] = {"rm", "-rf", top, NULL};
    assert_int_equal(drv_proc_run(argv, NULL, 5000, 100, NULL, NULL), 0);
}

// As a service of its own user has it. In a child: it is not root afterwards.
static bool user_with_capability_may(const char *file)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{.permitted = 1U << CAP_DAC_OVERRIDE}};
    caps[0].effective = caps[0].permitted;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        bool is = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setresuid(65534, 65534, 65534) == 0 &&
                  syscall(SYS_capset, &head, caps) == 0 && access(file, R_OK) < 0 &&
                  drv_may(file, R_OK);
        _exit(is ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void a_capability_counts(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(drv_file_replace(path, "secret", 6, 0600, NULL), 0);
    assert_true(user_with_capability_may(path));
    assert_false(drv_may("/nonexistent", F_OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_made_and_replaced),
        cmocka_unit_test(what_a_killed_writer_left_is_replaced),
        cmocka_unit_test(a_link_in_its_way_is_not_followed),
        cmocka_unit_test(a_failure_leaves_the_old_file_alone),
        cmocka_unit_test(a_tree_goes_and_what_it_links_to_stays),
        cmocka_unit_test(a_capability_counts),
        cmocka_unit_test(a_shared_folder_has_its_mode_and_is_no_link),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
