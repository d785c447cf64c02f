// SPDX-License-Identifier: GPL-3.0-or-later
// The real droverd under a service manager, which this test plays: it passes the local socket,
// listens to what droverd says of itself, and sets a watchdog. Kerberos and VMs are not needed for
// that; root is.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drover/client.h"
#include "drover/proc.h"

enum { START_MS = 90000, WATCHDOG_MS = 1000, PASSED_FD = 3 };

static char dir[64], conf[96], notify_path[96], local_path[96];
static int notify_fd, local_fd;
static pid_t agent;

static int bound(int type, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    DRV_COPY(sa.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void write_conf(void)
{
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fprintf(f,
            "host = hv1.example.lan\nstate_dir = %s/state\nrun_dir = %s/run\nlisten =\n"
            "keytab = %s/no.keytab\n",
            dir, dir, dir);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    if (!mkdtemp(dir) || chmod(dir, 0711) < 0) // QEMU's user passes through to the run directory
        return -1;
    snprintf(conf, sizeof conf, "%s/drover.conf", dir);
    snprintf(notify_path, sizeof notify_path, "%s/notify", dir);
    snprintf(local_path, sizeof local_path, "%s/local", dir);
    write_conf();
    notify_fd = bound(SOCK_DGRAM, notify_path);
    local_fd = bound(SOCK_STREAM, local_path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    if (agent > 0) {
        kill(agent, SIGKILL);
        waitpid(agent, NULL, 0);
        agent = 0;
    }
    close(notify_fd);
    close(local_fd);
    return drv_proc_run(argv, NULL, 5000, 100, NULL, NULL);
}

// As systemd would: descriptor 3, LISTEN_FDS and LISTEN_PID, NOTIFY_SOCKET, WATCHDOG_USEC.
static void start_agent(int passed)
{
    agent = fork();
    assert_true(agent >= 0);
    if (agent != 0)
        return;
    char text[32];
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("NOTIFY_SOCKET", notify_path, 1);
    snprintf(text, sizeof text, "%d", WATCHDOG_MS * 1000);
    setenv("WATCHDOG_USEC", text, 1);
    if (dup2(passed, PASSED_FD) < 0)
        _exit(99);
    execl(DROVERD, "droverd", "-c", conf, (char *)NULL);
    _exit(98);
}

// Wait for a message of droverd; false when none comes in time.
static bool hears(const char *what, int timeout_ms)
{
    int64_t deadline = drv_now_ms() + timeout_ms;
    for (;;) {
        int64_t left = deadline - drv_now_ms();
        struct pollfd p = {.fd = notify_fd, .events = POLLIN};
        char text[256];
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n = recv(notify_fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, what))
            return true;
    }
}

static void forget_what_was_said(void)
{
    char text[256];
    while (recv(notify_fd, text, sizeof text, MSG_DONTWAIT) > 0)
        continue;
}

static void droverd_is_ready_only_when_it_answers_on_the_socket_it_was_passed(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(listen(local_fd, 8), 0);
    start_agent(local_fd);
    assert_true(hears("READY=1", START_MS));
    struct drv_client *c = drv_client_unix(local_path, &err);
    assert_non_null(c);
    drv_client_free(c);
}

static void the_watchdog_hears_of_a_loop_that_turns_and_not_of_one_that_hangs(void **state)
{
    (void)state;
    assert_int_equal(listen(local_fd, 8), 0);
    start_agent(local_fd);
    assert_true(hears("READY=1", START_MS));
    for (int i = 0; i < 3; i++)
        assert_true(hears("WATCHDOG=1", WATCHDOG_MS));
    kill(agent, SIGSTOP);
    drv_sleep_ms(50);
    forget_what_was_said();
    assert_false(hears("WATCHDOG=1", 2 * WATCHDOG_MS));
}

static void a_passed_socket_is_still_there_after_droverd(void **state)
{
    (void)state;
    int status;
    assert_int_equal(listen(local_fd, 8), 0);
    start_agent(local_fd);
    assert_true(hears("READY=1", START_MS));
    kill(agent, SIGTERM);
    assert_true(hears("STOPPING=1", 5000));
    assert_int_equal(waitpid(agent, &status, 0), agent);
    agent = 0;
    assert_int_equal(status, 0);
    assert_int_equal(access(local_path, F_OK), 0);
}

static void a_socket_of_another_kind_is_refused(void **state)
{
    (void)state;
    int status;
    start_agent(notify_fd);
    assert_int_equal(waitpid(agent, &status, 0), agent);
    agent = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            droverd_is_ready_only_when_it_answers_on_the_socket_it_was_passed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_watchdog_hears_of_a_loop_that_turns_and_not_of_one_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_passed_socket_is_still_there_after_droverd, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_socket_of_another_kind_is_refused, setup, teardown),
    };
    if (geteuid() != 0)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
