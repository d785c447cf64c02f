// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the QMP client, against a pretended monitor.
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "drover/util.h"
#include "fake_qmp.h"
#include "qmp.h"

enum { SOON_MS = 100, LONG_MS = 5000 };

// What the monitor does is chosen by the command's name.
static char *answer(struct fake_qmp *f, const char *cmd, const json_t *args, void *arg)
{
    json_int_t *held = arg; // id of the command "hold"
    if (!strcmp(cmd, "echo")) {
        DRV_AUTO_FREE char *text = json_dumps(args, JSON_COMPACT);
        return drv_xasprintf("\"return\": %s", text);
    }
    if (!strcmp(cmd, "absent"))
        return strdup("\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no such thing\"}");
    if (!strcmp(cmd, "refuse"))
        return strdup("\"error\": {\"class\": \"GenericError\", \"desc\": \"will not\"}");
    if (!strcmp(cmd, "hold")) {
        *held = fake_qmp_id(f);
        return NULL;
    }
    if (!strcmp(cmd, "release"))
        fake_qmp_reply(f, *held, "\"return\": {\"n\": 1}");
    else if (!strcmp(cmd, "nonsense"))
        fake_qmp_send(f, "{\"return\": \r\n");
    else if (!strcmp(cmd, "stranger"))
        fake_qmp_send(f, "{\"return\": {}, \"id\": 999999}\r\n");
    else if (!strcmp(cmd, "leave"))
        fake_qmp_hang_up(f);
    else if (!strcmp(cmd, "events"))
        for (json_int_t i = 0; i < json_integer_value(json_object_get(args, "n")); i++) {
            DRV_AUTO_FREE char *event = drv_xasprintf(
                "{\"event\": \"%s\", \"data\": {\"i\": %d}}\r\n", i % 2 ? "ODD" : "EVEN", (int)i);
            fake_qmp_send(f, event);
        }
    else if (!strcmp(cmd, "yank"))
        return strdup(fake_qmp_is_oob(f) ? "\"return\": {}" : "\"error\": {\"desc\": \"in band\"}");
    return strcmp(cmd, "silence") != 0 ? strdup("\"return\": {}") : NULL;
}

struct fixture {
    struct fake_qmp *fake;
    struct qmp *q;
    json_int_t held;
    atomic_int events, gone, misordered;
    int last_event;
};

static void count_event(const json_t *ev, void *arg)
{
    struct fixture *x = arg;
    int i = (int)json_integer_value(json_object_get(json_object_get(ev, "data"), "i"));
    if (x->events++ && i != x->last_event + 1)
        x->misordered++;
    x->last_event = i;
}

static void count_gone(const struct drv_err *why, void *arg)
{
    struct fixture *x = arg;
    if (why->code != DRV_OK)
        x->gone++;
}

static int setup(void **state)
{
    struct fixture *x = drv_xcalloc(1, sizeof *x);
    struct qmp_handlers handlers = {count_event, count_gone, x};
    struct drv_err err = DRV_ERR_INIT;
    x->fake = fake_qmp_start(NULL, answer, &x->held);
    x->q = qmp_connect(fake_qmp_path(x->fake), LONG_MS, &handlers, &err);
    *state = x;
    return x->q ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    qmp_close(x->q);
    fake_qmp_stop(x->fake);
    free(x);
    return 0;
}

static int64_t echo(struct qmp *q, int64_t n, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *r =
        qmp_call(q, "echo", json_pack("{s:I}", "n", (json_int_t)n), LONG_MS, err);
    return r ? json_integer_value(json_object_get(r, "n")) : -1;
}

static void call_returns_what_qemu_returned(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(echo(x->q, INT64_C(1099511627776), NULL), INT64_C(1099511627776));
}

static void refusal_carries_qemus_text(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(qmp_do(x->q, "refuse", NULL, LONG_MS, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_string_equal(err.msg, "refuse: will not");
    assert_string_equal(err.origin, "qmp");
    drv_err_clear(&err);
    assert_int_equal(qmp_do(x->q, "absent", NULL, LONG_MS, &err), -1);
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_true(qmp_alive(x->q));
}

static void *call_hold(void *arg)
{
    struct fixture *x = arg;
    json_t *r = qmp_call(x->q, "hold", NULL, LONG_MS, NULL);
    return r;
}

static void replies_out_of_order_find_their_callers(void **state)
{
    struct fixture *x = *state;
    pthread_t thread;
    pthread_create(&thread, NULL, call_hold, x);
    drv_sleep_ms(SOON_MS);
    assert_int_equal(echo(x->q, 7, NULL), 7);
    assert_int_equal(qmp_do(x->q, "release", NULL, LONG_MS, NULL), 0);
    void *result;
    pthread_join(thread, &result);
    DRV_AUTO_JSON json_t *r = result;
    assert_int_equal(json_integer_value(json_object_get(r, "n")), 1);
}

static void *echo_many(void *arg)
{
    struct fixture *x = arg;
    for (int i = 0; i < 200; i++) {
        int64_t n = (int64_t)(uintptr_t)&n % 1000003 + i;
        if (echo(x->q, n, NULL) != n)
            return x;
    }
    return NULL;
}

static void threads_share_a_connection(void **state)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, echo_many, *state);
    for (int i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void silence_times_out_and_a_late_reply_harms_nobody(void **state)
{
    struct fixture *x = *state;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(qmp_do(x->q, "hold", NULL, SOON_MS, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    assert_int_equal(qmp_do(x->q, "release", NULL, LONG_MS, NULL), 0);
    assert_int_equal(echo(x->q, 3, NULL), 3);
}

static void stuck_qemu_still_takes_out_of_band_commands(void **state)
{
    struct fixture *x = *state;
    for (int i = 0; i < 10; i++) { // more than QEMU would queue: the last ones are not even sent
        struct drv_err err = DRV_ERR_INIT;
        assert_int_equal(qmp_do(x->q, "silence", NULL, 20, &err), -1);
        assert_int_equal(err.code, DRV_ETIMEDOUT);
    }
    assert_int_equal(qmp_do_oob(x->q, "yank", NULL, LONG_MS, NULL), 0);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(qmp_do(x->q, "echo", NULL, 20, &err), -1);
    assert_non_null(strstr(err.msg, "earlier commands"));
}

static void assert_dies(struct fixture *x, const char *cmd, enum drv_code code)
{
    struct drv_err err = DRV_ERR_INIT, later = DRV_ERR_INIT;
    qmp_do(x->q, cmd, NULL, LONG_MS, &err);
    for (int i = 0; qmp_alive(x->q) && i < 100; i++)
        drv_sleep_ms(10);
    assert_false(qmp_alive(x->q));
    assert_int_equal(qmp_do(x->q, "echo", NULL, LONG_MS, &later), -1);
    assert_int_equal(later.code, code);
    for (int i = 0; !x->gone && i < 100; i++)
        drv_sleep_ms(10);
    assert_int_equal(x->gone, 1);
}

static void malformed_message_ends_the_connection(void **state)
{
    assert_dies(*state, "nonsense", DRV_EPEER);
}

static void qemus_end_is_noticed(void **state)
{
    assert_dies(*state, "leave", DRV_EUNREACHABLE);
}

static void endless_line_ends_the_connection(void **state)
{
    struct fixture *x = *state;
    DRV_AUTO_FREE char *chunk = drv_xcalloc(1, (1 << 20) + 1);
    memset(chunk, 'x', 1 << 20);
    for (int i = 0; i < 5; i++)
        fake_qmp_send(x->fake, chunk);
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(qmp_do(x->q, "silence", NULL, LONG_MS, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_non_null(strstr(err.msg, "larger than 4 MiB"));
}

static void *call_silence(void *arg)
{
    struct fixture *x = arg;
    struct drv_err err = DRV_ERR_INIT;
    qmp_do(x->q, "silence", NULL, LONG_MS, &err);
    return err.code == DRV_EUNREACHABLE ? NULL : x;
}

static void end_of_qemu_wakes_all_who_wait(void **state)
{
    struct fixture *x = *state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, call_silence, x);
    drv_sleep_ms(SOON_MS);
    int64_t begun = drv_now_ms();
    fake_qmp_hang_up(x->fake);
    uint64_t seq = 0;
    assert_null(qmp_wait(x->q, &seq, NULL, LONG_MS, NULL));
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(drv_now_ms() - begun < LONG_MS / 2);
}

static void events_come_once_and_in_order(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(
        qmp_do(x->q, "events", json_pack("{s:i}", "n", 2 * QMP_HISTORY), LONG_MS, NULL), 0);
    assert_int_equal(x->events, 2 * QMP_HISTORY);
    assert_int_equal(x->misordered, 0);
    assert_int_equal(qmp_seq(x->q), 2 * QMP_HISTORY);
}

static void wait_finds_an_event_that_came_before_it_was_called(void **state)
{
    static const char *const odd[] = {"ODD", NULL};
    struct fixture *x = *state;
    uint64_t seq = qmp_seq(x->q);
    assert_int_equal(qmp_do(x->q, "events", json_pack("{s:i}", "n", 4), LONG_MS, NULL), 0);
    for (int i = 1; i <= 3; i += 2) {
        DRV_AUTO_JSON json_t *e = qmp_wait(x->q, &seq, odd, LONG_MS, NULL);
        assert_non_null(e);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(e, "data"), "i")), i);
    }
    struct drv_err err = DRV_ERR_INIT;
    assert_null(qmp_wait(x->q, &seq, odd, SOON_MS, &err));
    assert_int_equal(err.code, DRV_ETIMEDOUT);
}

static void descriptor_reaches_qemu(void **state)
{
    struct fixture *x = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(qmp_send_fd(x->q, "stream", fds[1], NULL), 0);
    struct stat mine, theirs;
    assert_int_equal(fstat(fds[1], &mine), 0);
    assert_int_equal(fstat(fake_qmp_fd(x->fake), &theirs), 0);
    assert_int_equal(mine.st_ino, theirs.st_ino);
    close(fds[0]);
    close(fds[1]);
}

static void assert_no_connection(const char *greeting, enum drv_code code)
{
    struct drv_err err = DRV_ERR_INIT;
    struct fake_qmp *fake = fake_qmp_start(greeting, answer, NULL);
    assert_null(qmp_connect(fake_qmp_path(fake), SOON_MS, NULL, &err));
    assert_int_equal(err.code, code);
    fake_qmp_stop(fake);
}

// QEMU gives the answers that a killed agent waited for to the agent that comes after it.
static void answers_to_who_was_there_before_are_dropped(void **state)
{
    (void)state;
    static const char greeting[] =
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, "
        "\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"
        "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"old\"}}\r\n"
        "{\"id\": 2, \"return\": {\"old\": true}}\r\n";
    struct drv_err err = DRV_ERR_INIT;
    struct fake_qmp *fake = fake_qmp_start(greeting, answer, NULL);
    struct qmp *q = qmp_connect(fake_qmp_path(fake), LONG_MS, NULL, &err);
    assert_non_null(q);
    for (int i = 0; i < 2; i++) { // the second time with a stranger's answer in between
        DRV_AUTO_JSON json_t *reply =
            qmp_call(q, "echo", json_pack("{s:i}", "n", i), LONG_MS, &err);
        assert_int_equal(json_integer_value(json_object_get(reply, "n")), i);
        assert_int_equal(qmp_do(q, "stranger", NULL, LONG_MS, &err), 0);
    }
    assert_true(qmp_alive(q));
    qmp_close(q);
    fake_qmp_stop(fake);
}

static void monitor_without_greeting_is_given_up(void **state)
{
    (void)state;
    assert_no_connection("", DRV_ETIMEDOUT); // what a second client sees
    assert_no_connection("{\"hello\": 1}\n", DRV_EPEER);
    assert_no_connection("SSH-2.0-x\n", DRV_EPEER);
}

static void absent_socket_is_unreachable(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_null(qmp_connect("/nonexistent/mon", 30, NULL, &err));
    assert_int_equal(err.code, DRV_EUNREACHABLE);
}

#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTED(call_returns_what_qemu_returned),
        CONNECTED(refusal_carries_qemus_text),
        CONNECTED(replies_out_of_order_find_their_callers),
        CONNECTED(threads_share_a_connection),
        CONNECTED(silence_times_out_and_a_late_reply_harms_nobody),
        CONNECTED(stuck_qemu_still_takes_out_of_band_commands),
        CONNECTED(malformed_message_ends_the_connection),
        CONNECTED(qemus_end_is_noticed),
        CONNECTED(endless_line_ends_the_connection),
        CONNECTED(end_of_qemu_wakes_all_who_wait),
        CONNECTED(events_come_once_and_in_order),
        CONNECTED(wait_finds_an_event_that_came_before_it_was_called),
        CONNECTED(descriptor_reaches_qemu),
        cmocka_unit_test(answers_to_who_was_there_before_are_dropped),
        cmocka_unit_test(monitor_without_greeting_is_given_up),
        cmocka_unit_test(absent_socket_is_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
