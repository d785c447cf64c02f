// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the host probe, with the real QEMU. Skipped where there is none.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "drover/file.h"
#include "drover/util.h"
#include "probe_int.h"

#define EMULATOR "/usr/bin/qemu-system-x86_64"

static void guest_that_runs_is_recognised(void **state)
{
    (void)state;
    struct ha_launcher launcher = {.program = DROVER_LAUNCH};
    struct probe_run run = {.emulator = EMULATOR, .launcher = &launcher};
    char note[160], text[100];
    DRV_COPY(run.dir, "/tmp/drover-test-XXXXXX");
    assert_non_null(mkdtemp(run.dir));
    assert_int_equal(chmod(run.dir, 0711), 0);
    unsigned id = geteuid() ? geteuid() : 65534, group = geteuid() ? getegid() : 65534;
    int len = snprintf(text, sizeof text, "qemu_user = %u\nqemu_group = %u\n", id, group);
    snprintf(launcher.config, sizeof launcher.config, "%s/drover.conf", run.dir);
    assert_int_equal(drv_file_replace(launcher.config, text, (size_t)len, 0644, NULL), 0);
    assert_true(probe_guest_runs(&run, "tcg", note, sizeof note));
    assert_false(probe_guest_runs(&run, "nonsense", note, sizeof note));
    assert_non_null(strstr(note, "nonsense"));
    unlink(launcher.config);
    assert_int_equal(rmdir(run.dir), 0);
}

static void cache_answers_only_for_its_key(void **state)
{
    (void)state;
    char path[] = "/tmp/drover-test-XXXXXX";
    close(mkstemp(path));
    struct ha_probe *a = drv_xcalloc(1, sizeof *a), *b = drv_xcalloc(1, sizeof *b);
    *a = (struct ha_probe){.qemu_version = 70222, .n_machines = 1, .n_cpus_tcg = 2};
    DRV_COPY(a->machines[0], "pc-q35-7.2");
    DRV_COPY(a->cpus_tcg[0], "max");
    DRV_COPY(a->cpus_tcg[1], "qemu64");
    DRV_COPY(a->kvm_note, "none");
    assert_int_equal(probe_cache_read(path, "boot 1", b), -1); // an empty file
    probe_cache_write(path, "boot 1", a);
    assert_int_equal(probe_cache_read(path, "boot 2", b), -1);
    assert_int_equal(probe_cache_read(path, "boot 1", b), 0);
    assert_memory_equal(a, b, sizeof *a);
    assert_true(ha_probe_has_cpu(b, "tcg", "qemu64"));
    assert_false(ha_probe_has_cpu(b, "kvm", "qemu64"));
    assert_false(ha_probe_has_cpu(b, "tcg", "qemu6"));
    free(a);
    free(b);
    unlink(path);
}

static void absent_emulator_is_told(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    const struct ha_probe_spec spec = {.emulator = "/nonexistent/qemu"};
    assert_null(ha_probe_run(&spec, &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_true(err.hint[0]);
}

static void host_memory_is_known(void **state)
{
    (void)state;
    uint64_t total, available;
    assert_int_equal(ha_host_memory_kib(&total, &available, NULL), 0);
    assert_true(available > 0 && available <= total);
    assert_true(ha_host_cpus() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_that_runs_is_recognised),
        cmocka_unit_test(cache_answers_only_for_its_key),
        cmocka_unit_test(absent_emulator_is_told),
        cmocka_unit_test(host_memory_is_known),
    };
    return access(EMULATOR, X_OK) < 0 ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
