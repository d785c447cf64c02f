// SPDX-License-Identifier: GPL-3.0-or-later
// Promises about a VM's run directory. Our own process stands for a QEMU that lives.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "drover/proc.h"
#include "qemu_proc.h"
#include "qemu_state.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    DRV_COPY(dir, "/tmp/drover-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    return drv_proc_run(argv, NULL, 5000, 100, NULL, NULL);
}

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static struct ha_qemu *handle(pid_t pid, uint64_t start_time)
{
    struct ha_qemu *h = drv_xcalloc(1, sizeof *h);
    h->dir = drv_xstrdup(dir);
    h->pid = pid;
    h->start_time = start_time;
    h->epoch = 41;
    h->extra = json_pack("{s:s}", "move", "m1");
    drv_uuid_new(h->instance);
    struct ss_vmdef *d = &h->def;
    *d = (struct ss_vmdef){.vcpus = 1, .memory_kib = 65544, .n_nics = 1};
    drv_uuid_new(d->uuid);
    DRV_COPY(d->name, "web01");
    DRV_COPY(d->machine, "pc-q35-7.2");
    DRV_COPY(d->accel, "tcg");
    DRV_COPY(d->cpu_model, "qemu64");
    DRV_COPY(d->graphics, "none");
    DRV_COPY(d->on_host_shutdown, "stop");
    d->shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
    DRV_COPY(d->nics[0].id, "nic0");
    DRV_COPY(d->nics[0].mac, "52:54:00:00:00:01");
    DRV_COPY(d->nics[0].network, "br0");
    DRV_COPY(d->nics[0].model, "e1000e");
    d->nics[0].pci_slot = 2;
    DRV_COPY(h->taps[0], "dvt3");
    return h;
}

static void state_survives_the_agent(void **state)
{
    (void)state;
    struct ha_qemu *a = handle(getpid(), drv_proc_start_time(getpid()));
    assert_int_equal(ha_qemu_save(a, NULL), 0);
    struct ha_qemu *b = ha_state_read(dir, NULL);
    assert_non_null(b);
    assert_int_equal(b->pid, a->pid);
    assert_int_equal(b->start_time, a->start_time);
    assert_int_equal(b->epoch, 41);
    assert_string_equal(b->instance, a->instance);
    assert_string_equal(b->taps[0], "dvt3");
    assert_string_equal(b->def.name, "web01");
    assert_string_equal(json_string_value(json_object_get(b->extra, "move")), "m1");
    assert_true(ha_qemu_alive(b));
    ha_qemu_free(a);
    ha_qemu_free(b);
}

static void state_is_for_root_alone(void **state)
{
    (void)state;
    char path[128];
    struct stat st;
    struct ha_qemu *h = handle(getpid(), 1);
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    snprintf(path, sizeof path, "%s/state.json", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ha_qemu_free(h);
}

static void reused_pid_is_not_taken_for_the_qemu(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_qemu *h = handle(getpid(), drv_proc_start_time(getpid()) + 1);
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    ha_qemu_free(h);
    assert_null(ha_qemu_attach(dir, NULL, &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
}

static void process_without_its_pid_file_lock_is_left_alone(void **state)
{
    (void)state;
    char path[128];
    struct drv_err err = DRV_ERR_INIT;
    struct ha_qemu *h = handle(getpid(), drv_proc_start_time(getpid()));
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    ha_qemu_free(h);
    snprintf(path, sizeof path, "%s/qemu", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put("qemu/qemu.pid", "1\n");
    assert_null(ha_qemu_attach(dir, NULL, &err));
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    assert_non_null(strstr(err.msg, "does not hold its pid file"));
}

static void absent_and_damaged_states_are_told_apart(void **state)
{
    (void)state;
    static const char *const damaged[] = {"", "[]", "{\"schema\": 1}",
                                          "{\"schema\": 1, \"pid\": 0"};
    struct drv_err none = DRV_ERR_INIT;
    assert_null(ha_qemu_attach(dir, NULL, &none));
    assert_int_equal(none.code, DRV_ENOTFOUND);
    for (size_t i = 0; i < DRV_ARRAY_LEN(damaged); i++) {
        struct drv_err err = DRV_ERR_INIT;
        put("state.json", damaged[i]);
        assert_null(ha_qemu_attach(dir, NULL, &err));
        assert_int_equal(err.code, DRV_EINVAL);
    }
    struct drv_err err = DRV_ERR_INIT;
    struct ha_qemu *h = handle(0, 1);
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    ha_qemu_free(h);
    assert_null(ha_qemu_attach(dir, NULL, &err));
    assert_int_equal(err.code, DRV_EINVAL);
}

static void sweep_spares_the_living_and_other_files(void **state)
{
    (void)state;
    char path[128];
    struct drv_err err = DRV_ERR_INIT;
    struct ha_qemu *h = handle(getpid(), drv_proc_start_time(getpid()));
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    assert_int_equal(ha_qemu_sweep(dir, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    h->start_time++;
    assert_int_equal(ha_qemu_save(h, NULL), 0);
    ha_qemu_free(h);
    put("qemu.log", "x\n");
    put("disk0.nbd", "");
    assert_int_equal(ha_qemu_sweep(dir, NULL), 0);
    snprintf(path, sizeof path, "%s/state.json", dir);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/disk0.nbd", dir);
    assert_int_equal(access(path, F_OK), 0);
}

// A child that holds the lock of a pid file, as QEMU does.
static pid_t lock_pidfile(const char *path)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void a_lost_state_is_no_proof_that_nothing_runs(void **state)
{
    (void)state;
    char path[128];
    struct drv_err err = DRV_ERR_INIT;
    snprintf(path, sizeof path, "%s/qemu", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put("state.json", "{");
    snprintf(path, sizeof path, "%s/qemu/qemu.pid", dir);
    pid_t pid = lock_pidfile(path);
    assert_int_equal(ha_qemu_sweep(dir, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_int_equal(access(path, F_OK), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(ha_qemu_sweep(dir, NULL), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static void assert_last_words(const char *log, const char *words)
{
    char out[64];
    put("qemu.log", log);
    ha_qemu_last_words(dir, out, sizeof out);
    assert_string_equal(out, words);
}

static void last_words_are_the_reason(void **state)
{
    (void)state;
    assert_last_words("", "");
    assert_last_words("\n\n", "");
    assert_last_words("first\nlast\n\n", "last");
    assert_last_words("2026-01-01T00:00:00.0Z qemu-system-x86_64: out of luck\n", "out of luck");
    assert_last_words(
        "qemu-system-x86_64: -blockdev {\"a\":{\"b\":1}}: Could not open 'x': No such "
        "file\n",
        "Could not open 'x': No such file");
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(state_survives_the_agent),
        IN_DIR(state_is_for_root_alone),
        IN_DIR(reused_pid_is_not_taken_for_the_qemu),
        IN_DIR(process_without_its_pid_file_lock_is_left_alone),
        IN_DIR(absent_and_damaged_states_are_told_apart),
        IN_DIR(sweep_spares_the_living_and_other_files),
        IN_DIR(a_lost_state_is_no_proof_that_nothing_runs),
        IN_DIR(last_words_are_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
