// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of reading drover-store's report on a share: what it must hold, and what is not
// believed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "drover/storeprobe.h"
#include "drover/util.h"

#define HEAD "\"dialect\":\"3.1.1\",\"encrypted\":\"AES-128-GCM\",\"signing\":\"AES-128-GMAC\","
#define SIZES "\"capabilities\":47,\"max_read\":8388608,\"max_write\":1048576,"
#define FLUSH "\"flush_ms\":0.81,\"answer_ms\":0,"
#define HOLES "\"sparse\":true,\"ranges\":true,\"punch\":false"

static int parsed(const char *text, struct ss_probe *p, struct drv_err *err)
{
    drv_err_clear(err);
    return ss_probe_parse(text, p, err);
}

static void a_report_is_its_last_object(void **state)
{
    (void)state;
    struct ss_probe p;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(
        parsed("noise\n{\"old\":1}\n{" HEAD SIZES FLUSH HOLES ",\"new\":[1]}\n", &p, &err), 0);
    assert_string_equal(p.encrypted, "AES-128-GCM");
    assert_string_equal(p.signing, "AES-128-GMAC");
    assert_int_equal(p.capabilities, 47);
    assert_int_equal(p.share_capabilities, 0);
    assert_int_equal(p.max_read, 8388608);
    assert_true(p.flush_ms > 0.8 && p.flush_ms < 0.82 && p.answer_ms == 0);
    assert_true(p.sparse && p.ranges && !p.punch);
    assert_int_equal(parsed("{" HEAD SIZES FLUSH HOLES ",\"share_capabilities\":16}", &p, &err), 0);
    assert_int_equal(p.share_capabilities, SS_SHARE_CAP_CONTINUOUS);
}

static void what_is_no_report_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n\n",
        "segmentation fault\n",
        "{",
        "[]",
        "{}",
        "{" HEAD SIZES FLUSH HOLES,
        "{" HEAD SIZES FLUSH HOLES ",\"punch\":true}",
        "{" HEAD SIZES FLUSH "\"sparse\":true,\"ranges\":true}",
        "{" HEAD SIZES FLUSH "\"sparse\":1,\"ranges\":true,\"punch\":true}",
        "{" HEAD SIZES HOLES ",\"flush_ms\":-1,\"answer_ms\":0}",
        "{" HEAD SIZES HOLES ",\"flush_ms\":1e300,\"answer_ms\":0}",
        "{" HEAD FLUSH HOLES ",\"capabilities\":-1,\"max_read\":1,\"max_write\":1}",
        "{" HEAD FLUSH HOLES ",\"capabilities\":4294967296,\"max_read\":1,\"max_write\":1}",
        "{" SIZES FLUSH HOLES ",\"dialect\":\"3.1.1\",\"signing\":\"\","
        "\"encrypted\":\"a name that is longer than any\"}",
    };
    struct ss_probe p;
    struct drv_err err = DRV_ERR_INIT;
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        if (parsed(bad[i], &p, &err) != -1)
            fail_msg("%s", bad[i]);
        assert_int_equal(err.code, DRV_EPEER);
    }
}

static void an_error_keeps_its_words(void **state)
{
    (void)state;
    struct ss_probe p;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(
        parsed("{\"error\":{\"code\":\"denied\",\"msg\":\"no\",\"hint\":\"kinit\"}}", &p, &err),
        -1);
    assert_int_equal(err.code, DRV_EDENIED);
    assert_string_equal(err.msg, "no");
    assert_string_equal(err.hint, "kinit");
    assert_int_equal(parsed("{\"error\":{\"code\":\"ok\"}}", &p, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
}

static void put_script(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", text);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

static void a_program_is_asked_with_the_ticket_and_not_for_ever(void **state)
{
    (void)state;
    char dir[] = "/tmp/drover-test-XXXXXX", path[64];
    struct ss_probe p;
    struct drv_err err = DRV_ERR_INIT;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/drover-store", dir);
    put_script(path, "echo warn >&2; "
                     "[ \"$1 $2 $KRB5CCNAME\" = '--probe smb://fs/VM/x FILE:/cc' ] || exit 3\n"
                     "echo '{" HEAD SIZES FLUSH HOLES "}'");
    assert_int_equal(ss_probe_run(path, "smb://fs/VM/x", "FILE:/cc", 5000, &p, &err), 0);
    put_script(path, "exec sleep 30");
    assert_int_equal(ss_probe_run(path, "smb://fs/VM/x", "FILE:/cc", 300, &p, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    drv_err_clear(&err);
    put_script(path, "yes '{}'& sleep 0.3; kill $!");
    assert_int_equal(ss_probe_run(path, "smb://fs/VM/x", "FILE:/cc", 5000, &p, &err), -1);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_its_last_object),
        cmocka_unit_test(what_is_no_report_is_an_error),
        cmocka_unit_test(an_error_keeps_its_words),
        cmocka_unit_test(a_program_is_asked_with_the_ticket_and_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
