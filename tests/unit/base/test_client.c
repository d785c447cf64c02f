// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the client towards servers that are not what they should be. The server is a thread
// that plays a list of lines: what to send, and when to wait for a request.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "drover/client.h"
#include "drover/frame.h"
#include "drover/util.h"

#define GREETING "{\"drover\":1,\"version\":\"0.1.0\",\"host\":\"hv1.drover.test\"}"

static char path[108];

struct play {
    const char *const *lines; // "<" = wait for a request; "!TEXT" = raw bytes; else a frame
    int listener;
    pthread_t thread;
};

static void send_frame(int fd, const char *text)
{
    uint8_t header[DRV_FRAME_HEADER];
    drv_frame_header(header, strlen(text), NULL);
    assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void await_request(int fd)
{
    uint8_t buf[4096];
    assert_true(recv(fd, buf, sizeof buf, 0) > 0); // small requests come in one piece
}

static void *run_play(void *arg)
{
    struct play *p = arg;
    int fd = accept(p->listener, NULL, NULL);
    for (const char *const *line = p->lines; *line; line++) {
        if (!strcmp(*line, "<"))
            await_request(fd);
        else if ((*line)[0] == '!')
            (void)!send(fd, *line + 1, strlen(*line + 1), MSG_NOSIGNAL);
        else
            send_frame(fd, *line);
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, &(char){0}, 1, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void begin(struct play *p)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(path, sizeof path, "/tmp/drover-test-%d.sock", (int)getpid());
    DRV_COPY(sa.sun_path, path);
    unlink(path);
    p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    pthread_create(&p->thread, NULL, run_play, p);
}

static void end(struct play *p)
{
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(path);
}

// Connecting to a server that plays lines must fail; err tells how.
static void expect_no_greeting(const char *const *lines, struct drv_err *err)
{
    struct play p = {.lines = lines};
    begin(&p);
    assert_null(drv_client_unix(path, err));
    end(&p);
}

static void another_protocol_version_is_named(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    expect_no_greeting(
        (const char *const[]){"{\"drover\":2,\"version\":\"9\",\"host\":\"h\"}", NULL}, &err);
    assert_string_equal(err.id, "V01");
}

static void what_is_no_agent_is_told_apart(void **state)
{
    (void)state;
    static const char *const others[] = {"{\"QMP\":{}}", "hello", "!HTTP/1.1 400 Bad Request\r\n"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(others); i++) {
        struct drv_err err = DRV_ERR_INIT;
        expect_no_greeting((const char *const[]){others[i], NULL}, &err);
        assert_int_equal(err.code, DRV_EPEER);
    }
    struct drv_err err = DRV_ERR_INIT;
    expect_no_greeting((const char *const[]){NULL}, &err);
    assert_int_equal(err.code, DRV_EUNREACHABLE);
}

static void a_refusal_instead_of_the_greeting_is_passed_on(void **state)
{
    (void)state;
    struct drv_err err = DRV_ERR_INIT;
    expect_no_greeting(
        (const char *const[]){"{\"error\":{\"code\":\"busy\",\"msg\":\"too many\"}}", NULL}, &err);
    assert_int_equal(err.code, DRV_EBUSY);
    assert_string_equal(err.msg, "too many");
}

static void a_late_answer_is_not_taken_for_the_next_calls(void **state)
{
    (void)state;
    struct play p = {.lines = (const char *const[]){
                         GREETING, "<", "<", "{\"id\":1,\"return\":\"late\"}",
                         "{\"event\":\"x\",\"id\":1}", "{\"id\":2,\"return\":\"right\"}", NULL}};
    struct drv_err err = DRV_ERR_INIT;
    begin(&p);
    struct drv_client *c = drv_client_unix(path, NULL);
    assert_null(drv_client_call(c, "a", NULL, 50, &err));
    assert_int_equal(err.code, DRV_ETIMEDOUT);
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "b", NULL, 5000, NULL);
    assert_string_equal(json_string_value(j), "right");
    drv_client_free(c);
    end(&p);
}

static void a_lost_connection_fails_every_call_with_its_cause(void **state)
{
    (void)state;
    struct play p = {.lines = (const char *const[]){
                         GREETING, "<",
                         "{\"error\":{\"code\":\"denied\",\"id\":\"D13\",\"msg\":\"no\"}}", NULL}};
    begin(&p);
    struct drv_client *c = drv_client_unix(path, NULL);
    for (int i = 0; i < 2; i++) {
        struct drv_err err = DRV_ERR_INIT;
        assert_null(drv_client_call(c, "a", NULL, 5000, &err));
        assert_int_equal(err.code, DRV_EDENIED);
        assert_string_equal(err.id, "D13");
    }
    assert_int_equal(drv_client_wait(c, 0, NULL), -1);
    drv_client_free(c);
    end(&p);
}

static void an_answer_that_came_before_the_end_counts(void **state)
{
    (void)state;
    struct play p = {
        .lines = (const char *const[]){GREETING, "<", "{\"id\":1,\"return\":{\"ok\":true}}", NULL}};
    struct drv_err err = DRV_ERR_INIT;
    begin(&p);
    struct drv_client *c = drv_client_unix(path, NULL);
    drv_sleep_ms(20);
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "a", NULL, 5000, &err);
    assert_non_null(j);
    assert_int_equal(err.code, DRV_OK);
    drv_client_free(c);
    end(&p);
}

// --- streams; bytes and bounds stand in hostagent/test_relay.c ---

static void no_bytes(const void *bytes, size_t len, void *arg)
{
    (void)bytes, (void)len, (void)arg;
    fail();
}

static void count_end(const json_t *m, void *arg)
{
    *(int *)arg += !!json_object_get(m, "end");
}

// Call "s" of a server that plays lines, whose answer makes a stream or not.
static struct drv_client *open_stream(struct play *p, int *ends, bool opens)
{
    const struct drv_stream_handler on = {.bytes = no_bytes, .message = count_end, .arg = ends};
    begin(p);
    struct drv_client *c = drv_client_unix(path, NULL);
    DRV_AUTO_JSON json_t *j = drv_client_stream(c, "s", NULL, 5000, &on, NULL);
    assert_int_equal(j != NULL, opens);
    return c;
}

static void what_comes_with_the_answer_is_the_streams_and_calls_are_over(void **state)
{
    (void)state;
    struct play p = {.lines = (const char *const[]){GREETING, "<", "{\"id\":1,\"return\":{}}",
                                                    "\x01{\"end\":\"closed\"}", NULL}};
    struct drv_err err = DRV_ERR_INIT;
    int ends = 0;
    struct drv_client *c = open_stream(&p, &ends, true);
    while (!ends)
        assert_int_equal(drv_client_wait(c, 5000, &err), 1);
    assert_null(drv_client_call(c, "a", NULL, 50, &err));
    assert_non_null(strstr(err.msg, "is a stream"));
    drv_client_free(c);
    end(&p);
}

static void a_refused_stream_leaves_a_connection_for_calls(void **state)
{
    (void)state;
    struct play p = {.lines = (const char *const[]){
                         GREETING, "<", "{\"id\":1,\"error\":{\"code\":\"state\",\"msg\":\"off\"}}",
                         "<", "{\"id\":2,\"return\":\"right\"}", NULL}};
    int ends = 0;
    struct drv_client *c = open_stream(&p, &ends, false);
    DRV_AUTO_JSON json_t *j = drv_client_call(c, "a", NULL, 5000, NULL);
    assert_string_equal(json_string_value(j), "right");
    drv_client_free(c);
    end(&p);
}

static void a_frame_of_no_known_kind_ends_a_stream(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x02x", "\x01[]", "{\"id\":2,\"return\":{}}"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct play p = {.lines = (const char *const[]){GREETING, "<", "{\"id\":1,\"return\":{}}",
                                                        bad[i], NULL}};
        struct drv_err err = DRV_ERR_INIT;
        int ends = 0, rc = 1;
        struct drv_client *c = open_stream(&p, &ends, true);
        while (rc > 0)
            rc = drv_client_wait(c, 5000, &err);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, DRV_EPEER);
        drv_client_free(c);
        end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_protocol_version_is_named),
        cmocka_unit_test(what_is_no_agent_is_told_apart),
        cmocka_unit_test(a_refusal_instead_of_the_greeting_is_passed_on),
        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_calls),
        cmocka_unit_test(a_lost_connection_fails_every_call_with_its_cause),
        cmocka_unit_test(an_answer_that_came_before_the_end_counts),
        cmocka_unit_test(what_comes_with_the_answer_is_the_streams_and_calls_are_over),
        cmocka_unit_test(a_refused_stream_leaves_a_connection_for_calls),
        cmocka_unit_test(a_frame_of_no_known_kind_ends_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
