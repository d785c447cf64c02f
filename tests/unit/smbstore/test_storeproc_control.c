// SPDX-License-Identifier: GPL-3.0-or-later
// The control socket of drover-store: bounded lines, a fixed table of calls, several clients,
// answers while the SMB thread is stuck; and the watch thread that pauses the guest through QMP.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "fake_smb.h"
#include "qmp_stop.h"

static char dir[] = "/tmp/drover-ctl-XXXXXX";
static struct ds_conf conf;
static struct ds_store st;
static struct ds_control *control;
static _Atomic int quits;

static void note_quit(void)
{
    quits++;
}

static void path_of(const char *name, char out[108])
{
    snprintf(out, 108, "%.80s/%s", dir, name);
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    char ctl[108];
    path_of("disk0.ctl", ctl);
    conf = (struct ds_conf){.image_url = (char *)FAKE_IMAGE,
                            .record_url = (char *)FAKE_RECORD,
                            .stall_s = 1,
                            .verify_s = 1};
    struct drv_err err = DRV_ERR_INIT;
    ds_store_init(&st, &conf, &fake_backend, &fake_data, ds_thread_new(&err));
    quits = 0;
    control = ds_control_start(&st, ctl, note_quit, &err);
    return control ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ds_control_stop(control);
    ds_thread_free(st.thread); // first, as an abandoned call may still use what done() frees
    ds_store_done(&st);
    static const char *const names[] = {"disk0.ctl", "qmp"};
    for (unsigned i = 0; i < 2; i++) {
        char path[108];
        path_of(names[i], path);
        unlink(path);
    }
    return rmdir(dir);
}

// Error code of the answer to a line, "" for success.
static void answer(const char *line, char code[32])
{
    bool quit = false;
    DRV_AUTO_FREE char *text = ds_control_answer(&st, line, strlen(line), &quit);
    DRV_AUTO_JSON json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    const char *c = json_string_value(json_object_get(json_object_get(j, "error"), "code"));
    snprintf(code, 32, "%s", c ? c : "");
    assert_true(c || json_object_get(j, "return"));
}

static void bad_requests_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code;
    } cases[] = {
        {"", "invalid"},
        {"[]", "invalid"},
        {"{\"call\":\"status\"} trailing", "invalid"},
        {"{\"call\":\"status\",\"call\":\"drop\"}", "invalid"},
        {"{\"call\":\"status\",\"surprise\":1}", "invalid"},
        {"{\"call\":\"status\",\"args\":{\"x\":1}}", "invalid"},
        {"{\"call\":\"status\",\"timeout_ms\":0}", "invalid"},
        {"{\"call\":\"promote\",\"args\":{\"epoch\":\"1\"}}", "invalid"},
        {"{\"call\":\"patience\",\"args\":{\"ms\":-1}}", "invalid"},
        {"{\"call\":\"write_record\",\"args\":{\"record\":{}}}", "invalid"},
        {"{\"call\":\"format_c\"}", "not-found"},
        {"{\"call\":\"promote\",\"args\":{\"epoch\":1}}", "state"},
        {"{\"call\":\"status\"}", ""},
        {"{\"call\":\"open\"}", ""},
        {"{\"call\":\"hold_record\",\"args\":{\"create\":true}}", ""},
        {"{\"call\":\"read_record\"}", "not-found"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        char code[32];
        answer(cases[i].line, code);
        if (strcmp(code, cases[i].code) != 0)
            fail_msg("%s: got \"%s\", not \"%s\"", cases[i].line, code, cases[i].code);
    }
}

static void oversized_line_ends_that_client_only(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_proc *good = ss_proc_connect(dir, "disk0", &err);
    assert_non_null(good);
    char ctl[108];
    path_of("disk0.ctl", ctl);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, ctl);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    static char junk[2 * DS_LINE_MAX];
    memset(junk, 'a', sizeof junk);
    while (send(fd, junk, sizeof junk, MSG_NOSIGNAL) > 0)
        ;
    close(fd);
    struct ss_proc_status s;
    assert_int_equal(ss_proc_status(good, &s, &err), 0);
    ss_proc_close(good);
}

static void clients_come_and_go_and_are_counted(void **state)
{
    (void)state;
    struct ss_proc *p[DS_MAX_CLIENTS];
    struct ss_proc_status s;
    struct drv_err err = DRV_ERR_INIT;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < DS_MAX_CLIENTS; i++) {
            p[i] = ss_proc_connect(dir, "disk0", &err);
            assert_non_null(p[i]);
            assert_int_equal(ss_proc_status(p[i], &s, &err), 0);
        }
        struct drv_err refused = DRV_ERR_INIT;
        struct ss_proc *one_more = ss_proc_connect(dir, "disk0", &refused);
        assert_true(!one_more || ss_proc_status(one_more, &s, &refused) < 0);
        ss_proc_close(one_more);
        for (int i = 0; i < DS_MAX_CLIENTS; i++)
            ss_proc_close(p[i]);
        drv_sleep_ms(50); // their threads end
    }
}

static void status_answers_while_the_server_does_not(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ss_proc *p = ss_proc_connect(dir, "disk0", &err);
    assert_non_null(p);
    char code[32];
    answer("{\"call\":\"open\"}", code);
    answer("{\"call\":\"hold_record\",\"args\":{\"create\":true}}", code);
    fake.block = true;
    answer("{\"call\":\"read_record\",\"timeout_ms\":100}", code);
    assert_string_equal(code, "unreachable"); // cut off, and told why
    assert_int_equal(fake.severed > 0, 1);
    struct ss_proc_status s;
    assert_int_equal(ss_proc_status(p, &s, &err), 0);
    assert_true(s.stalled_ms > 0); // and the handle is to be brought back
    ss_proc_close(p);
}

static bool quits_on(const char *line)
{
    bool quit = false;
    DRV_AUTO_FREE char *text = ds_control_answer(&st, line, strlen(line), &quit);
    return quit;
}

static void quit_is_refused_while_promoted(void **state)
{
    (void)state;
    st.epoch = 1;
    assert_false(quits_on("{\"call\":\"quit\",\"args\":{\"force\":false}}"));
    assert_true(quits_on("{\"call\":\"quit\",\"args\":{\"force\":true}}"));
    st.epoch = 0;
    assert_true(quits_on("{\"call\":\"quit\",\"args\":{\"force\":false}}"));
}

// --- pausing ---

struct fake_qemu {
    pthread_t id;
    int listen_fd;
    bool mute;
    _Atomic int stops;
};

static void *qemu_main(void *arg)
{
    struct fake_qemu *q = arg;
    int fd = accept(q->listen_fd, NULL, NULL);
    FILE *in = fdopen(fd, "r");
    FILE *out = fdopen(dup(fd), "w");
    setlinebuf(out);
    if (!q->mute)
        fputs("{\"QMP\":{}}\r\n", out);
    char line[256];
    while (fgets(line, sizeof line, in)) {
        fputs("{\"event\":\"STOP\"}\r\n", out);
        q->stops += strstr(line, "\"stop\"") != NULL;
        fputs("{\"return\":{}}\r\n", out);
    }
    fclose(in);
    fclose(out);
    return NULL;
}

static void qemu_start(struct fake_qemu *q, char path[108])
{
    path_of("qmp", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, path);
    q->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(q->listen_fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(q->listen_fd, 1), 0);
    assert_int_equal(pthread_create(&q->id, NULL, qemu_main, q), 0);
}

static void qemu_end(struct fake_qemu *q)
{
    pthread_join(q->id, NULL);
    close(q->listen_fd);
}

static void silent_monitor_is_given_up_in_time(void **state)
{
    (void)state;
    char path[108];
    struct fake_qemu q = {.mute = true};
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ds_qmp_stop("/nowhere/qmp", 200, &err), -1);
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    drv_err_clear(&err);
    qemu_start(&q, path);
    int64_t t0 = drv_now_ms();
    assert_int_equal(ds_qmp_stop(path, 200, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    assert_true(drv_now_ms() - t0 < 2000);
    qemu_end(&q);
}

// Held, committed and promoted at epoch 1.
static void run(void)
{
    struct drv_err err = DRV_ERR_INIT;
    struct ss_record r = {.state = SS_REC_RUNNING, .epoch = 1, .stall_deadline_s = 60};
    drv_uuid_new(r.nonce);
    drv_uuid_new(r.boot_id);
    drv_uuid_new(r.instance);
    drv_uuid_new(r.vm);
    strcpy(r.host, "hv1.drover.test");
    strcpy(r.home_store, "fs");
    strcpy(r.home_path, "web");
    memset(r.vm_json_sha256, '0', 64);
    if (ds_open(&st, &err) < 0 || ds_hold_record(&st, true, &err) < 0 ||
        ds_hold_image(&st, &err) < 0 || ds_write_record(&st, &r, &err) < 0 ||
        ds_promote(&st, 1, &err) < 0)
        fail_msg("%s", err.msg);
}

static enum ss_proc_state state_within(int limit_ms, enum ss_proc_state wanted)
{
    struct ss_proc_status s;
    int64_t t0 = drv_now_ms();
    for (;;) {
        ds_status(&st, &s);
        if (s.state == wanted || drv_now_ms() - t0 >= limit_ms)
            return s.state;
        drv_sleep_ms(20);
    }
}

// The SMB thread hangs in a call that never returns, the guest is idle: nobody asks for anything.
static void stuck_server_pauses_an_idle_guest_at_the_stall_deadline(void **state)
{
    (void)state;
    char path[108];
    struct fake_qemu q = {.mute = false};
    qemu_start(&q, path);
    conf.qmp_path = path;
    struct drv_err err = DRV_ERR_INIT;
    run();
    pthread_mutex_lock(&st.lock);
    fake.block = true;
    pthread_mutex_unlock(&st.lock);
    int64_t t0 = drv_now_ms();
    struct ds_watch *w = ds_watch_start(&st, &err);
    assert_non_null(w);
    while (q.stops == 0 && drv_now_ms() - t0 < 5000)
        drv_sleep_ms(20);
    int64_t took = drv_now_ms() - t0;
    assert_int_equal(state_within(5000, SS_PS_HELD), SS_PS_HELD); // and comes back by itself
    ds_watch_stop(w);
    qemu_end(&q);
    assert_int_equal(q.stops, 1);
    assert_true(took >= 1000 && took < 4000);
    assert_true(st.guest_paused);
    assert_int_equal(st.epoch, 0);
    assert_false(fake.data.writable || fake.data.failed);
}

// The guest is not paused for an outage that ends within the stall deadline.
static void short_outage_is_hidden_from_the_guest(void **state)
{
    (void)state;
    char path[108];
    struct fake_qemu q = {.mute = false};
    qemu_start(&q, path);
    conf.qmp_path = path;
    conf.stall_s = 60;
    run();
    struct drv_err err = DRV_ERR_INIT;
    struct ds_watch *w = ds_watch_start(&st, &err);
    assert_non_null(w);
    fake.unreachable = true;
    fake.server_cut = true;
    ds_session_ended(&st, "test");
    drv_sleep_ms(800);
    struct ss_proc_status s;
    ds_status(&st, &s);
    assert_int_equal(s.state, SS_PS_PROMOTED);
    assert_true(s.stalled_ms > 500);
    assert_false(fake.data.attached || fake.data.failed);
    fake.unreachable = false;
    for (int64_t t0 = drv_now_ms(); s.stalled_ms && drv_now_ms() - t0 < 5000; drv_sleep_ms(20))
        ds_status(&st, &s);
    ds_watch_stop(w);
    assert_int_equal(s.state, SS_PS_PROMOTED);
    assert_int_equal(s.stalled_ms, 0);
    assert_true(fake.data.attached && fake.data.writable);
    assert_false(s.guest_paused || st.pause_wanted);
    assert_int_equal(ds_qmp_stop(path, 1000, &err), 0); // ends the fake QEMU
    qemu_end(&q);
    assert_int_equal(q.stops, 1);
}

static void patience_during_a_hand_over_is_short(void **state)
{
    (void)state;
    conf.stall_s = 60;
    run();
    struct drv_err err = DRV_ERR_INIT;
    fake.data.oldest_ms = 400;
    struct ds_watch *w = ds_watch_start(&st, &err);
    assert_non_null(w);
    drv_sleep_ms(700);
    assert_int_equal(state_within(0, SS_PS_LOST), SS_PS_PROMOTED); // as long as it is the usual one
    char code[32];
    fake.unreachable = true;
    answer("{\"call\":\"patience\",\"args\":{\"ms\":300}}", code);
    assert_string_equal(code, "");
    assert_int_equal(state_within(2000, SS_PS_LOST), SS_PS_LOST);
    ds_watch_stop(w);
    assert_non_null(strstr(st.lost_reason, "within 300 ms"));
    assert_true(fake.data.failed);
    assert_int_equal(fake.severed, 1);
    st.epoch = 0;
}

static void ending_while_promoted_pauses_the_guest(void **state)
{
    (void)state;
    char path[108];
    struct fake_qemu q = {.mute = false};
    qemu_start(&q, path);
    conf.qmp_path = path;
    ds_pause_at_end(&st, 1000);
    assert_int_equal(q.stops, 0); // nothing runs on us
    st.epoch = 1;
    ds_pause_at_end(&st, 1000);
    st.epoch = 0;
    qemu_end(&q);
    assert_int_equal(q.stops, 1);
}

// A drover-store that was stopped (SIGSTOP) never accepts; its queue fills up with our own
// attempts.
static void process_that_accepts_nobody_is_not_waited_for_and_not_replaced(void **state)
{
    (void)state;
    char path[108];
    path_of("mute.ctl", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    strcpy(sa.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 0), 0);
    struct drv_err err = DRV_ERR_INIT;
    struct ss_proc *queued = ss_proc_connect(dir, "mute", &err);
    assert_non_null(queued);
    struct ss_proc_spec spec = {.dir = dir, .name = "mute", .record_url = FAKE_RECORD};
    assert_int_equal(ss_proc_start(&spec, &err), -1);
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    assert_int_equal(access(path, F_OK), 0);
    ss_proc_close(queued);
    close(fd);
    unlink(path);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bad_requests_are_refused_by_name),
        T(oversized_line_ends_that_client_only),
        T(clients_come_and_go_and_are_counted),
        T(status_answers_while_the_server_does_not),
        T(quit_is_refused_while_promoted),
        T(silent_monitor_is_given_up_in_time),
        T(stuck_server_pauses_an_idle_guest_at_the_stall_deadline),
        T(short_outage_is_hidden_from_the_guest),
        T(patience_during_a_hand_over_is_short),
        T(ending_while_promoted_pauses_the_guest),
        T(process_that_accepts_nobody_is_not_waited_for_and_not_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
