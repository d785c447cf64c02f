// SPDX-License-Identifier: GPL-3.0-or-later
// What systemd is asked for a process that outlives the agent. A thread plays the system bus and
// systemd on it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "drover/proc.h"
#include "supervisor.h"

enum answer { DONE, JOB_FAILS, REFUSED };

static char dir[64], path[96];
static int listener;
static enum answer answer;
static char unit[128];   // last one asked for
static uint32_t placed;  // its process
static bool was_waiting; // that had not begun its program when it was placed

static bool runs(pid_t pid, const char *program)
{
    char file[64], name[32] = "";
    snprintf(file, sizeof file, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(file, "r");
    bool is = f && fgets(name, sizeof name, f) && !strncmp(name, program, strlen(program));
    if (f)
        fclose(f);
    return is;
}

// --- systemd ---

static void read_call(sd_bus_message *m)
{
    const char *name, *mode, *key;
    assert_true(sd_bus_message_read(m, "ss", &name, &mode) > 0);
    DRV_COPY(unit, name);
    assert_true(sd_bus_message_enter_container(m, 'a', "(sv)") > 0);
    while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
        assert_true(sd_bus_message_read(m, "s", &key) > 0);
        if (!strcmp(key, "PIDs"))
            assert_true(sd_bus_message_read(m, "v", "au", 1, &placed) > 0);
        else
            assert_true(sd_bus_message_skip(m, "v") > 0);
        assert_true(sd_bus_message_exit_container(m) > 0);
    }
    was_waiting = !runs((pid_t)placed, "sleep");
}

static int start_unit(sd_bus_message *m)
{
    sd_bus *bus = sd_bus_message_get_bus(m);
    sd_bus_message *s = NULL;
    read_call(m);
    if (answer == REFUSED)
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "not you");
    sd_bus_reply_method_return(m, "o", "/job/1");
    sd_bus_message_new_signal(bus, &s, "/org/freedesktop/systemd1",
                              "org.freedesktop.systemd1.Manager", "JobRemoved");
    sd_bus_message_append(s, "uoss", 1, "/job/1", unit, answer == DONE ? "done" : "failed");
    sd_bus_message_set_sender(s, ":1.0");
    sd_bus_send(bus, s, NULL);
    sd_bus_message_unref(s);
    return 1;
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *err)
{
    (void)arg;
    (void)err;
    if (sd_bus_message_is_method_call(m, NULL, "Hello"))
        return sd_bus_reply_method_return(m, "s", ":1.1");
    if (sd_bus_message_is_method_call(m, NULL, "StartTransientUnit"))
        return start_unit(m);
    if (sd_bus_message_is_method_call(m, NULL, NULL))
        return sd_bus_reply_method_return(m, "");
    return 0;
}

// One connection, until the agent closes it.
static void *serve(void *arg)
{
    sd_bus *bus = NULL;
    sd_id128_t id = {.qwords = {1, 1}};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    sd_bus_new(&bus);
    sd_bus_set_fd(bus, fd, fd);
    sd_bus_set_server(bus, true, id);
    sd_bus_set_anonymous(bus, true);
    sd_bus_add_filter(bus, NULL, on_message, NULL);
    for (int rc = sd_bus_start(bus); rc >= 0;) {
        rc = sd_bus_process(bus, NULL);
        if (rc == 0)
            rc = sd_bus_wait(bus, UINT64_MAX);
    }
    sd_bus_close_unref(bus);
    return arg;
}

static int setup(void **state)
{
    (void)state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/bus", dir);
    DRV_COPY(sa.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    DRV_AUTO_FREE char *address = drv_xasprintf("unix:path=%s", path);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    unit[0] = '\0';
    placed = 0;
    return bind(listener, (struct sockaddr *)&sa, sizeof sa) < 0 ? -1 : listen(listener, 1);
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    unlink(path);
    return rmdir(dir);
}

// --- promises ---

// A process that sleeps, placed while systemd answers so; its pid.
static pid_t spawn(enum answer how)
{
    static const char *const argv[] = {"sleep", "60", NULL};
    const struct drv_spawn s = {
        .argv = argv, .log_path = "/dev/null", .place = ha_supervisor_release, .unit = "qemu-1234"};
    struct drv_err err = DRV_ERR_INIT;
    pthread_t thread;
    answer = how;
    pthread_create(&thread, NULL, serve, NULL);
    pid_t pid = drv_proc_spawn(&s, &err);
    pthread_join(thread, NULL);
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid)
{
    int64_t deadline = drv_now_ms() + 5000;
    while (!runs(pid, "sleep") && drv_now_ms() < deadline)
        drv_sleep_ms(5);
    assert_true(runs(pid, "sleep"));
    drv_proc_end(pid, drv_proc_start_time(pid), SIGKILL, 5000, NULL);
}

static void a_process_is_in_its_own_unit_before_its_program_runs(void **state)
{
    (void)state;
    pid_t pid = spawn(DONE);
    DRV_AUTO_FREE char *name = drv_xasprintf("drover-qemu-1234-%d.scope", (int)pid);
    assert_string_equal(unit, name);
    assert_int_equal(placed, pid);
    assert_true(was_waiting);
    end(pid);
}

static void a_process_that_systemd_refuses_a_unit_runs_all_the_same(void **state)
{
    (void)state;
    end(spawn(REFUSED));
    end(spawn(JOB_FAILS));
}

static void without_a_service_manager_nobody_is_asked(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    ha_supervisor_release(getpid(), "qemu-1234"); // would wait for ever: nobody accepts
    assert_string_equal(unit, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_process_is_in_its_own_unit_before_its_program_runs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_process_that_systemd_refuses_a_unit_runs_all_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_service_manager_nobody_is_asked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
