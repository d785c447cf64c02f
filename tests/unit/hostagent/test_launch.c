// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of drover-launch, the real one, started without systemd.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "drover/file.h"
#include "launch.h"

static char dir[64], log_path[96];
static struct ha_launcher launcher = {.program = DROVER_LAUNCH};
static unsigned uid, gid; // whom it makes its processes: somebody else, if we are root

static void configure(unsigned user, unsigned group)
{
    char text[100];
    int n = snprintf(text, sizeof text, "qemu_user = %u\nqemu_group = %u\n", user, group);
    assert_int_equal(drv_file_replace(launcher.config, text, (size_t)n, 0644, NULL), 0);
}

static int setup(void **state)
{
    (void)state;
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0711) < 0)
        return -1;
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    snprintf(launcher.config, sizeof launcher.config, "%s/drover.conf", dir);
    uid = geteuid() ? geteuid() : 65534;
    gid = geteuid() ? getegid() : 65534;
    configure(uid, gid);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    return drv_proc_run(argv, NULL, 5000, 100, NULL, NULL);
}

static pid_t launch(const char *const *argv, struct drv_err *err)
{
    struct ha_order o = {.argv = (const char **)argv};
    return ha_launch_vm(&launcher, &o, log_path, NULL, NULL, err);
}

static void end(pid_t pid)
{
    drv_proc_end(pid, drv_proc_start_time(pid), SIGKILL, 5000, NULL);
}

// The text of a /proc file of a process.
static char *proc_text(pid_t pid, const char *name)
{
    char path[64];
    char *text = drv_xcalloc(1, 8192);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "r");
    if (f) {
        text[fread(text, 1, 8191, f)] = '\0';
        fclose(f);
    }
    return text;
}

static void program_runs_as_qemus_user_without_privileges(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "60", NULL};
    char ids[100];
    pid_t pid = launch(argv, NULL);
    assert_true(pid > 1);
    DRV_AUTO_FREE char *status = proc_text(pid, "status");
    DRV_AUTO_FREE char *name = proc_text(pid, "comm");
    end(pid);
    assert_string_equal(name, "sleep\n"); // it ran when the answer was complete
    snprintf(ids, sizeof ids, "\nUid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
    assert_non_null(strstr(status, ids));
    snprintf(ids, sizeof ids, "\nGid:\t%u\t%u\t%u\t%u\n", gid, gid, gid, gid);
    assert_non_null(strstr(status, ids));
    assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
    assert_non_null(strstr(status, "\nCapEff:\t0000000000000000\n"));
    assert_non_null(strstr(status, "\nCapPrm:\t0000000000000000\n"));
}

static int write_down(pid_t pid, void *arg, struct drv_err *err)
{
    pid_t *seen = arg;
    DRV_AUTO_FREE char *name = proc_text(pid, "comm");
    assert_string_equal(name, "drover-launch\n");
    if (*seen == 0)
        return drv_err(err, DRV_EIO, "no room to write");
    *seen = pid;
    return 0;
}

static void nothing_runs_before_it_is_noted(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *mark = drv_xasprintf("%s/ran", dir);
    const char *argv[] = {"touch", mark, NULL};
    struct ha_order o = {.argv = argv};
    pid_t pid = 0;
    assert_int_equal(chmod(dir, 0777), 0);
    assert_int_equal(ha_launch_vm(&launcher, &o, log_path, write_down, &pid, &err), -1);
    assert_string_equal(err.msg, "no room to write");
    drv_sleep_ms(200);
    assert_int_equal(access(mark, F_OK), -1);
    pid = 1;
    pid_t ran = ha_launch_vm(&launcher, &o, log_path, write_down, &pid, NULL);
    assert_true(ran > 1 && ran == pid);
    for (int i = 0; i < 100 && access(mark, F_OK) < 0; i++)
        drv_sleep_ms(20);
    assert_int_equal(access(mark, F_OK), 0);
}

static void only_the_log_is_handed_on(void **state)
{
    (void)state;
    const char *const argv[] = {"/bin/sh", "-c", "ls /proc/self/fd; readlink /proc/self/fd/0; env",
                                NULL};
    pid_t pid = launch(argv, NULL);
    assert_true(pid > 1);
    drv_proc_end(pid, drv_proc_start_time(pid), 0, 5000, NULL);
    char text[2000] = "";
    FILE *f = fopen(log_path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_ptr_equal(strstr(text, "0\n1\n2\n3\n/dev/null\n"), text); // 3 is ls's own
    assert_non_null(strstr(text, "PATH="));
}

static void root_is_refused(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "60", NULL};
    for (int i = 0; i < 2; i++) {
        struct drv_err err = DRV_ERR_INIT;
        configure(i == 0 ? 0 : uid, i == 0 ? gid : 0);
        assert_int_equal(launch(argv, &err), -1);
        assert_int_equal(err.code, DRV_EINVAL);
        assert_non_null(strstr(err.msg, i == 0 ? "qemu_user" : "qemu_group"));
    }
    configure(uid, gid);
}

static void absent_program_and_bridge_are_told(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const char *argv[] = {"/nonexistent/qemu", NULL};
    assert_int_equal(launch(argv, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/qemu"));

    drv_err_clear(&err);
    struct ha_order o = {.argv = argv, .n_taps = 1};
    DRV_COPY(o.taps[0].bridge, "no-such-bridge");
    o.taps[0].fd = 10;
    assert_int_equal(ha_launch_vm(&launcher, &o, log_path, NULL, NULL, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_non_null(strstr(err.hint, "create the bridge"));
}

static void order_that_is_too_large_is_told(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *big = drv_xcalloc(1, HA_ORDER_MAX_BYTES + 1);
    memset(big, 'x', HA_ORDER_MAX_BYTES);
    const char *const argv[] = {"sleep", big, NULL};
    assert_int_equal(launch(argv, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
    assert_non_null(strstr(err.msg, "more than"));
}

static void socket_that_nobody_serves_is_told(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "60", NULL};
    struct drv_err err = DRV_ERR_INIT;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(launcher.vm_socket, sizeof launcher.vm_socket, "%s/vm.sock", dir);
    DRV_COPY(sa.sun_path, launcher.vm_socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
    assert_int_equal(launch(argv, &err), -1);
    assert_non_null(strstr(err.hint, "drover-vm.socket"));
    unlink(launcher.vm_socket);
    launcher.vm_socket[0] = '\0';
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(program_runs_as_qemus_user_without_privileges),
        cmocka_unit_test(only_the_log_is_handed_on),
        cmocka_unit_test(root_is_refused),
        cmocka_unit_test(absent_program_and_bridge_are_told),
        cmocka_unit_test(order_that_is_too_large_is_told),
        cmocka_unit_test(socket_that_nobody_serves_is_told),
        cmocka_unit_test(nothing_runs_before_it_is_noted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
