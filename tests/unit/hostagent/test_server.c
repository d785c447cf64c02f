// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the agent's server, over real sockets: what a client can and cannot do to it. The
// server runs on a thread of its own; Kerberos stands in tests/integration.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "door.h"
#include "drover/client.h"
#include "drover/frame.h"
#include "drover/log.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "drover/worker.h"
#include "server.h"

struct ha {
    atomic_int refused, gone_seen, finished;
};

static struct ha agent;
static struct drv_loop *loop;
static struct ha_server *server;
static pthread_t loop_thread;
static sem_t ready;
static char dir[64], path[96];
static unsigned tcp_port;

// --- the calls of this test's agent ---

static json_t *run_echo(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)ctx;
    (void)err;
    return json_deep_copy(args);
}

static json_t *run_fail(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)ctx;
    (void)args;
    drv_err(err, DRV_ENOSPACE, "store data is full");
    drv_err_id(err, "S03");
    drv_err_hint(err, "free some");
    return NULL;
}

static json_t *run_mute(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return NULL;
}

// {"n","bytes"}: n events of that size, then an answer with the number sent.
static json_t *run_stream(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    int n, bytes;
    if (ha_args(args, err, "{s:i, s:i}", "n", &n, "bytes", &bytes) < 0)
        return NULL;
    DRV_AUTO_FREE char *fill = drv_xcalloc(1, (size_t)bytes + 1);
    memset(fill, 'x', (size_t)bytes);
    for (int i = 0; i < n; i++)
        ha_emit(ctx, json_pack("{s:s, s:i, s:s}", "event", "tick", "no", i, "fill", fill));
    return json_pack("{s:i}", "sent", n);
}

// Ends when the caller has gone (or after 5 s).
static json_t *run_until_gone(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)args;
    (void)err;
    for (int i = 0; i < 500 && !ha_ctx_gone(ctx); i++) {
        ha_emit(ctx, json_pack("{s:s}", "event", "alive"));
        drv_sleep_ms(10);
    }
    atomic_store(&agent.gone_seen, ha_ctx_gone(ctx));
    atomic_fetch_add(&agent.finished, 1);
    return json_null();
}

static json_t *run_huge(struct ha_ctx *ctx, const json_t *args, struct drv_err *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    DRV_AUTO_FREE char *fill = drv_xcalloc(1, DRV_MESSAGE_MAX + 1);
    memset(fill, 'x', DRV_MESSAGE_MAX);
    return json_string(fill);
}

static const struct ha_call calls[] = {
    {"test.echo", HA_ADMIN, false, false, run_echo},
    {"test.echo_loop", HA_VIEWER, false, true, run_echo},
    {"test.fail", HA_ANY, false, false, run_fail},
    {"test.mute", HA_ANY, false, false, run_mute},
    {"test.stream", HA_ANY, false, false, run_stream},
    {"test.until_gone", HA_ANY, false, false, run_until_gone},
    {"test.huge", HA_ANY, false, false, run_huge},
    {"test.kerberos", HA_ANY, true, false, run_echo},
    {"test.peer", HA_HOST, false, false, run_echo},
    {0},
};

static int no_credential(struct ha *ha, gss_cred_id_t *ret, struct drv_err *err)
{
    (void)ha;
    (void)ret;
    drv_err(err, DRV_EDENIED, "the keytab cannot be read");
    return drv_err_id(err, "K06");
}

static int no_identity(struct ha *ha, const struct drv_gss *gss, struct ha_identity *ret,
                       struct drv_err *err)
{
    (void)ha;
    (void)gss;
    (void)ret;
    return drv_err(err, DRV_EDENIED, "nobody");
}

static void count_refused(struct ha *ha, const char *who, const char *call,
                          const struct drv_err *err)
{
    (void)who;
    (void)call;
    (void)err;
    atomic_fetch_add(&ha->refused, 1);
}

static const struct ha_server_ops ops = {
    .credential = no_credential, .classify = no_identity, .refused = count_refused};

static void *loop_main(void *arg)
{
    struct drv_err err = DRV_ERR_INIT;
    loop = drv_loop_new(&err);
    server = ha_server_new(&agent, loop, &ops, calls, "hv1.drover.test");
    if (ha_server_listen_unix(server, path, &err) < 0 ||
        ha_server_listen_tcp(server, "127.0.0.1", 0, &tcp_port, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    sem_post(arg);
    drv_loop_run(loop);
    ha_server_free(server);
    drv_loop_free(loop);
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/drover-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/sock", dir);
    drv_log_level(LOG_ERR);
    sem_init(&ready, 0, 0);
    pthread_create(&loop_thread, NULL, loop_main, &ready);
    sem_wait(&ready);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    while (drv_work_running() > 0)
        drv_sleep_ms(5);
    drv_loop_stop(loop);
    pthread_join(loop_thread, NULL);
    bool gone = access(path, F_OK) < 0;
    rmdir(dir);
    return gone ? 0 : -1; // the socket is removed at the end
}

// --- talking to it ---

static struct drv_client *client(void)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_client *c = drv_client_unix(path, &err);
    if (!c)
        fail_msg("%s", err.msg);
    return c;
}

// From 127.0.0.<from>.
static int raw_tcp_from(unsigned from)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sa.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffu) | from);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sa.sin_port = htons((uint16_t)tcp_port);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static int raw_tcp(void)
{
    return raw_tcp_from(1);
}

static int raw_unix(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    DRV_COPY(sa.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

// Next frame as JSON, NULL at the end of the connection or after 5 s.
static json_t *raw_receive(int fd)
{
    struct drv_frames d = {0};
    json_t *m = NULL;
    drv_frames_limit(&d, DRV_FRAME_MAX);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const uint8_t *frame;
        size_t used, len;
        char byte;
        if (poll(&p, 1, 5000) != 1 || recv(fd, &byte, 1, 0) != 1)
            break;
        int rc = drv_frames_feed(&d, &byte, 1, &used, &frame, &len, NULL);
        if (rc != 0) {
            m = rc == 1 ? drv_wire_parse(frame, len, NULL) : NULL;
            break;
        }
    }
    drv_frames_done(&d);
    return m;
}

static void raw_send(int fd, const void *payload, size_t len)
{
    uint8_t header[4];
    drv_frame_header(header, len, NULL);
    assert_int_equal(send(fd, header, 4, MSG_NOSIGNAL), 4);
    assert_int_equal(send(fd, payload, len, MSG_NOSIGNAL), (ssize_t)len);
}

// The peer must say why (in clear) and close.
static void expect_refusal(int fd, const char *code, const char *id, const char *says)
{
    DRV_AUTO_JSON json_t *m = raw_receive(fd);
    const json_t *e = json_object_get(m, "error");
    assert_non_null(e);
    assert_string_equal(json_string_value(json_object_get(e, "code")), code);
    if (id)
        assert_string_equal(json_string_value(json_object_get(e, "id")), id);
    if (!strstr(json_string_value(json_object_get(e, "msg")), says))
        fail_msg("%s", json_string_value(json_object_get(e, "msg")));
    DRV_AUTO_JSON json_t *more = raw_receive(fd);
    assert_null(more);
    close(fd);
}

static void skip_greeting(int fd)
{
    DRV_AUTO_JSON json_t *m = raw_receive(fd);
    assert_int_equal(json_integer_value(json_object_get(m, "drover")), 1);
}

// The agent lives: a fresh client gets its answer.
static void expect_alive(void)
{
    struct drv_client *c = client();
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "test.echo", NULL, 5000, NULL);
    assert_non_null(j);
    drv_client_free(c);
}

// --- promises ---

static void root_is_greeted_and_is_the_local_admin(void **state)
{
    (void)state;
    struct drv_client *c = client();
    assert_string_equal(drv_client_server(c), "hv1.drover.test");
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "auth.whoami", NULL, 5000, NULL);
    assert_string_equal(json_string_value(json_object_get(j, "role")), "admin");
    assert_string_equal(json_string_value(json_object_get(j, "via")), "unix");
    assert_true(json_is_false(json_object_get(j, "kerberos")));
    drv_client_free(c);
}

static void calls_are_answered_one_after_the_other(void **state)
{
    (void)state;
    struct drv_client *c = client();
    for (int i = 0; i < 200; i++) {
        DRV_AUTO_JSON json_t *j = drv_client_call(c, i % 2 ? "test.echo" : "test.echo_loop",
                                                  json_pack("{s:i}", "i", i), 5000, NULL);
        assert_int_equal(json_integer_value(json_object_get(j, "i")), i);
    }
    drv_client_free(c);
}

static void a_handlers_error_arrives_with_id_and_hint(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct drv_err err = DRV_ERR_INIT;
    assert_null(drv_client_call(c, "test.fail", NULL, 5000, &err));
    assert_int_equal(err.code, DRV_ENOSPACE);
    assert_string_equal(err.id, "S03");
    assert_string_equal(err.hint, "free some");
    drv_err_clear(&err);
    assert_null(drv_client_call(c, "test.mute", NULL, 5000, &err));
    assert_int_equal(err.code, DRV_EINTERNAL);
    drv_client_free(c);
}

static void an_unknown_call_is_refused_and_the_session_goes_on(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct drv_err err = DRV_ERR_INIT;
    int before = atomic_load(&agent.refused);
    assert_null(drv_client_call(c, "vm.explode", NULL, 5000, &err));
    assert_int_equal(err.code, DRV_ENOTFOUND);
    assert_non_null(strstr(err.msg, "vm.explode"));
    assert_int_equal(atomic_load(&agent.refused), before + 1);
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "test.echo", NULL, 5000, NULL);
    assert_non_null(j);
    drv_client_free(c);
}

static void what_takes_kerberos_or_a_host_is_refused_even_to_root(void **state)
{
    (void)state;
    static const struct {
        const char *call, *id;
    } rows[] = {{"test.kerberos", "K01"}, {"test.peer", "A04"}, {"peer.user", "A04"}};
    struct drv_client *c = client();
    for (size_t i = 0; i < DRV_ARRAY_LEN(rows); i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_null(drv_client_call(c, rows[i].call, NULL, 5000, &err));
        assert_int_equal(err.code, DRV_EDENIED);
        assert_string_equal(err.id, rows[i].id);
    }
    drv_client_free(c);
}

static void a_broken_keytab_fails_the_log_on_only(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct drv_err err = DRV_ERR_INIT;
    assert_null(drv_client_call(c, "auth.login", json_pack("{s:s}", "token", "YWJj"), 5000, &err));
    assert_string_equal(err.id, "K06");
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "test.echo", NULL, 5000, NULL);
    assert_non_null(j);
    drv_client_free(c);
}

struct ticks {
    int n, last;
    bool in_order;
};

static void count_tick(const json_t *event, void *arg)
{
    struct ticks *t = arg;
    int no = (int)json_integer_value(json_object_get(event, "no"));
    t->in_order = t->in_order && no > t->last;
    t->last = no;
    t->n++;
}

static void events_come_in_order_and_before_the_answer(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct ticks t = {.last = -1, .in_order = true};
    drv_client_on_event(c, count_tick, &t);
    DRV_AUTO_JSON json_t *j = drv_client_call(
        c, "test.stream", json_pack("{s:i, s:i}", "n", 100, "bytes", 10), 5000, NULL);
    assert_non_null(j);
    assert_int_equal(t.n, 100);
    assert_true(t.in_order);
    drv_client_free(c);
}

static void a_slow_reader_loses_events_but_not_the_answer(void **state)
{
    (void)state;
    int fd = raw_unix();
    static const char request[] =
        "{\"call\":\"test.stream\",\"id\":7,\"args\":{\"n\":2000,\"bytes\":4000}}";
    skip_greeting(fd);
    raw_send(fd, request, sizeof request - 1);
    drv_sleep_ms(500); // 8 MB are produced; nobody reads
    int events = 0;
    bool answered = false;
    while (!answered) {
        DRV_AUTO_JSON json_t *m = raw_receive(fd);
        assert_non_null(m);
        assert_int_equal(json_integer_value(json_object_get(m, "id")), 7);
        answered = json_object_get(m, "return") != NULL;
        events += !answered;
    }
    assert_true(events > 0 && events < 500);
    close(fd);
}

static void a_second_call_before_the_answer_is_busy(void **state)
{
    (void)state;
    int fd = raw_unix();
    static const char first[] = "{\"call\":\"test.until_gone\",\"id\":1}";
    static const char second[] = "{\"call\":\"test.echo\",\"id\":2}";
    int finished = atomic_load(&agent.finished);
    skip_greeting(fd);
    raw_send(fd, first, sizeof first - 1);
    raw_send(fd, second, sizeof second - 1);
    for (bool answered = false; !answered;) {
        DRV_AUTO_JSON json_t *m = raw_receive(fd);
        assert_non_null(m);
        answered = json_integer_value(json_object_get(m, "id")) == 2;
        if (answered)
            assert_string_equal(
                json_string_value(json_object_get(json_object_get(m, "error"), "code")), "busy");
    }
    close(fd);
    while (atomic_load(&agent.finished) == finished)
        drv_sleep_ms(5);
}

static void a_handler_learns_that_its_caller_has_gone(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct drv_err err = DRV_ERR_INIT;
    int finished = atomic_load(&agent.finished);
    assert_null(drv_client_call(c, "test.until_gone", NULL, 100, &err));
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    drv_client_free(c);
    while (atomic_load(&agent.finished) == finished)
        drv_sleep_ms(5);
    assert_int_equal(atomic_load(&agent.gone_seen), 1);
    expect_alive();
}

static void an_answer_that_does_not_fit_a_frame_is_an_error(void **state)
{
    (void)state;
    struct drv_client *c = client();
    struct drv_err err = DRV_ERR_INIT;
    assert_null(drv_client_call(c, "test.huge", NULL, 5000, &err));
    assert_non_null(strstr(err.msg, "too large"));
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "test.echo", NULL, 5000, NULL);
    assert_non_null(j);
    drv_client_free(c);
}

static void garbage_on_the_socket_is_answered_and_cut(void **state)
{
    (void)state;
    int fd = raw_unix();
    skip_greeting(fd);
    send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL);
    expect_refusal(fd, "peer", NULL, "frame of");
    fd = raw_unix();
    skip_greeting(fd);
    raw_send(fd, "{\"call\":7}", 10);
    expect_refusal(fd, "peer", NULL, "not a request");
    expect_alive();
}

static void an_oversized_frame_is_answered_and_cut(void **state)
{
    (void)state;
    int fd = raw_unix();
    skip_greeting(fd);
    send(fd, "\x00\x10\x00\x01", 4, MSG_NOSIGNAL);
    expect_refusal(fd, "peer", NULL, "frame of 1048577 bytes");
    fd = raw_tcp(); // before the log-on much less is taken
    skip_greeting(fd);
    send(fd, "\x00\x01\x00\x01", 4, MSG_NOSIGNAL);
    expect_refusal(fd, "peer", NULL, "frame of 65537 bytes");
    expect_alive();
}

static void a_request_without_log_on_gets_nothing_over_tcp(void **state)
{
    (void)state;
    static const char request[] = "{\"call\":\"test.echo\",\"id\":1}";
    int fd = raw_tcp();
    skip_greeting(fd);
    raw_send(fd, request, sizeof request - 1);
    // It is taken for a Kerberos token; this test's agent has no keytab to look at it with.
    expect_refusal(fd, "denied", "K06", "own credential: the keytab cannot be read");
    expect_alive();
}

static void connections_that_do_not_log_on_are_bounded_and_cut(void **state)
{
    (void)state;
    int fds[HA_MAX_LOGONS];
    for (int i = 0; i < HA_MAX_LOGONS; i++) {
        fds[i] = raw_tcp_from(2 + (unsigned)i / HA_DOOR_LOGONS);
        skip_greeting(fds[i]);
    }
    int fd = raw_tcp();
    expect_refusal(fd, "busy", NULL, "too many log-ons at a time; ");
    expect_alive();
    // The last one is timed out by the server; the others go before.
    for (int i = 0; i < HA_MAX_LOGONS - 1; i++)
        close(fds[i]);
    struct pollfd p = {.fd = fds[HA_MAX_LOGONS - 1], .events = POLLIN};
    assert_int_equal(poll(&p, 1, (HA_LOGON_TIMEOUT_S + 5) * 1000), 1);
    expect_refusal(fds[HA_MAX_LOGONS - 1], "timed-out", NULL, "no complete log-on");
    fd = raw_tcp();
    skip_greeting(fd);
    close(fd);
}

static void an_address_that_does_not_log_on_keeps_nobody_else_out(void **state)
{
    (void)state;
    int fds[HA_DOOR_LOGONS];
    for (int i = 0; i < HA_DOOR_LOGONS; i++) {
        fds[i] = raw_tcp_from(20);
        skip_greeting(fds[i]);
    }
    expect_refusal(raw_tcp_from(20), "busy", NULL, "from this address");
    int fd = raw_tcp_from(21);
    skip_greeting(fd);
    close(fd);
    for (int i = 0; i < HA_DOOR_LOGONS; i++)
        close(fds[i]);
}

static void an_address_whose_log_ons_fail_must_wait(void **state)
{
    (void)state;
    static const char no_token[] = "no token";
    for (int i = 0; i < HA_DOOR_FAILURES; i++) {
        int fd = raw_tcp_from(30);
        skip_greeting(fd);
        raw_send(fd, no_token, sizeof no_token);
        expect_refusal(fd, "denied", "K06", "keytab");
    }
    expect_refusal(raw_tcp_from(30), "busy", NULL, "too many failed log-ons from this address");
    int fd = raw_tcp_from(31);
    skip_greeting(fd);
    close(fd);
    expect_alive();
}

static void a_second_agent_does_not_take_the_socket_of_a_living_one(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    struct ha_server *other = ha_server_new(NULL, loop, &ops, calls, "x");
    assert_int_equal(ha_server_listen_unix(other, path, &err), -1);
    assert_int_equal(err.code, DRV_EBUSY);
    ha_server_free(other);
    expect_alive();
}

static void a_client_without_an_agent_says_what_to_start(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    assert_null(drv_client_unix("/tmp/drover-no-such-socket", &err));
    assert_int_equal(err.code, DRV_EUNREACHABLE);
    assert_non_null(strstr(err.hint, "systemctl start drover-agent"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); // as droverd does: some of these peers hang up early
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_is_greeted_and_is_the_local_admin),
        cmocka_unit_test(calls_are_answered_one_after_the_other),
        cmocka_unit_test(a_handlers_error_arrives_with_id_and_hint),
        cmocka_unit_test(an_unknown_call_is_refused_and_the_session_goes_on),
        cmocka_unit_test(what_takes_kerberos_or_a_host_is_refused_even_to_root),
        cmocka_unit_test(a_broken_keytab_fails_the_log_on_only),
        cmocka_unit_test(events_come_in_order_and_before_the_answer),
        cmocka_unit_test(a_slow_reader_loses_events_but_not_the_answer),
        cmocka_unit_test(a_second_call_before_the_answer_is_busy),
        cmocka_unit_test(a_handler_learns_that_its_caller_has_gone),
        cmocka_unit_test(an_answer_that_does_not_fit_a_frame_is_an_error),
        cmocka_unit_test(garbage_on_the_socket_is_answered_and_cut),
        cmocka_unit_test(an_oversized_frame_is_answered_and_cut),
        cmocka_unit_test(a_request_without_log_on_gets_nothing_over_tcp),
        cmocka_unit_test(connections_that_do_not_log_on_are_bounded_and_cut),
        cmocka_unit_test(an_address_that_does_not_log_on_keeps_nobody_else_out),
        cmocka_unit_test(an_address_whose_log_ons_fail_must_wait),
        cmocka_unit_test(a_second_agent_does_not_take_the_socket_of_a_living_one),
        cmocka_unit_test(a_client_without_an_agent_says_what_to_start),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
