// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of consoles, with a QEMU that is this test: it listens where QEMU would, and the agent's
// server is asked as any client does. Moves and Kerberos stand in tests/integration/console.
#include "rig.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "drover/client.h"
#include "drover/frame.h"
#include "drover/log.h"
#include "drover/wire.h"
#include "drover/worker.h"
#include "move.h"
#include "relay.h"
#include "server.h"
#include "tables.h"

enum { WAIT_MS = 5000, FLOOD_BYTES = 3 * HA_OUTPUT_MAX };

struct desk { // a rig with a running VM, its consoles, and the agent's socket
    struct rig *rig;
    struct ha_vm *vm;
    char sock[128];
    int serial, screen; // listening
};

struct viewer {
    struct drv_client *client;
    char *bytes;
    size_t len, lost;
    char end[16], to[64];
};

// --- the desk ---

static void serve_on_loop(void *arg)
{
    static const struct ha_server_ops ops = {0};
    struct desk *d = arg;
    struct ha *ha = &d->rig->ha;
    ha->server = ha_server_new(ha, ha->loop, &ops, ha_calls_console, ha->fqdn);
    ha_server_listen_unix(ha->server, d->sock, NULL);
    d->vm->pid = getpid();
}

static void end_on_loop(void *arg)
{
    struct desk *d = arg;
    ha_server_free(d->rig->ha.server);
}

static int listen_at(const char *dir, const char *name)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    assert_int_equal(ha_qemu_sock(dir, name, sa.sun_path, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int setup(void **state)
{
    struct rig *rig;
    if (rig_setup((void **)&rig) < 0)
        return -1;
    struct desk *d = drv_xcalloc(1, sizeof *d);
    struct ss_vmdef def = rig_vm("web1");
    char dir[256];
    *state = d;
    d->rig = rig;
    drv_log_level(LOG_ERR);
    DRV_COPY(def.graphics, "vnc");
    d->vm = ha_vm_add(&rig->ha, &def, "vms", "web1", "", NULL);
    assert_non_null(d->vm);
    ha_vm_publish(d->vm, "running", 1, "");
    ha_vm_dir(&rig->ha, def.uuid, dir, sizeof dir);
    DRV_AUTO_FREE char *sub = drv_xasprintf("%s/qemu", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(sub, 0700), 0);
    d->serial = listen_at(dir, HA_SOCK_SERIAL);
    d->screen = listen_at(dir, HA_SOCK_VNC);
    snprintf(d->sock, sizeof d->sock, "%s/sock", rig->dir);
    drv_loop_call(rig->ha.loop, serve_on_loop, d);
    return 0;
}

static int teardown(void **state)
{
    struct desk *d = *state;
    struct rig *rig = d->rig;
    while (drv_work_running() > 0)
        drv_sleep_ms(5);
    drv_loop_call(rig->ha.loop, end_on_loop, d);
    bool left = rig->ha.relays; // the last viewer's end is the relay's
    close(d->serial);
    close(d->screen);
    free(d);
    *state = rig;
    return rig_teardown(state) < 0 || left ? -1 : 0;
}

#define DESK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

// --- viewers ---

static void on_bytes(const void *bytes, size_t len, void *arg)
{
    struct viewer *v = arg;
    assert_true(v->len + len <= FLOOD_BYTES);
    memcpy(v->bytes + v->len, bytes, len);
    v->len += len;
}

static void on_message(const json_t *m, void *arg)
{
    struct viewer *v = arg;
    const char *end = "", *to = "";
    json_int_t lost = 0;
    json_unpack((json_t *)m, "{s?s, s?s, s?I}", "end", &end, "to", &to, "lost", &lost);
    DRV_COPY(v->end, end);
    DRV_COPY(v->to, to);
    v->lost += (size_t)lost;
}

static int try_view(struct desk *d, const char *call, struct viewer *v, struct drv_err *err)
{
    const struct drv_stream_handler on = {.bytes = on_bytes, .message = on_message, .arg = v};
    *v = (struct viewer){.client = drv_client_unix(d->sock, err)};
    v->bytes = malloc(FLOOD_BYTES);
    DRV_AUTO_JSON json_t *reply =
        drv_client_stream(v->client, call, json_pack("{s:s}", "vm", "web1"), WAIT_MS, &on, err);
    return reply ? 0 : -1;
}

static void view(struct desk *d, const char *call, struct viewer *v)
{
    struct drv_err err = DRV_ERR_INIT;
    if (try_view(d, call, v, &err) < 0)
        fail_msg("%s", err.msg);
}

static void leave(struct viewer *v)
{
    drv_client_free(v->client);
    free(v->bytes);
}

static void refused(struct desk *d, const char *call, enum drv_code code, const char *says)
{
    struct drv_err err = DRV_ERR_INIT;
    struct viewer v;
    assert_int_equal(try_view(d, call, &v, &err), -1);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, says));
    leave(&v);
}

// Until so many bytes came or were said to be lost, or the end did.
static void await_bytes(struct viewer *v, size_t wanted)
{
    int64_t deadline = drv_now_ms() + WAIT_MS;
    while (v->len + v->lost < wanted && !v->end[0]) {
        assert_true(drv_now_ms() < deadline);
        assert_true(drv_client_wait(v->client, 100, NULL) >= 0);
    }
}

static void await_end(struct viewer *v)
{
    while (!v->end[0])
        assert_true(drv_client_wait(v->client, WAIT_MS, NULL) > 0);
}

static void send_all(struct viewer *v, const char *bytes, size_t len)
{
    assert_int_equal(drv_client_stream_send(v->client, bytes, len, NULL), 0);
    while (drv_client_sending(v->client))
        assert_true(drv_client_wait(v->client, 50, NULL) >= 0);
}

// --- QEMU's side ---

static int qemu_accept(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return accept(listener, NULL, NULL);
}

static char letter(size_t at)
{
    return (char)('a' + at / 1000 % 26);
}

static void *flood(void *arg)
{
    int fd = *(int *)arg;
    char *bytes = malloc(FLOOD_BYTES);
    for (size_t i = 0; i < FLOOD_BYTES; i++)
        bytes[i] = letter(i);
    for (size_t at = 0; at < FLOOD_BYTES;) {
        ssize_t n = send(fd, bytes + at, FLOOD_BYTES - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    free(bytes);
    return NULL;
}

static void qemu_expect(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(got, text);
}

// --- promises ---

static void all_viewers_of_a_serial_line_see_it_and_may_type(void **state)
{
    struct desk *d = *state;
    struct viewer a, b;
    view(d, "vm.console", &a);
    int qemu = qemu_accept(d->serial);
    view(d, "vm.console", &b);
    assert_int_equal(send(qemu, "login: ", 7, 0), 7);
    await_bytes(&a, 7);
    await_bytes(&b, 7);
    assert_memory_equal(a.bytes, "login: ", 7);
    assert_memory_equal(b.bytes, "login: ", 7);
    send_all(&a, "ro", 2);
    qemu_expect(qemu, "ro");
    send_all(&b, "ot\r", 3);
    qemu_expect(qemu, "ot\r");
    leave(&a);
    assert_int_equal(send(qemu, "# ", 2, 0), 2);
    await_bytes(&b, 9); // the other stays
    leave(&b);
    assert_int_equal(recv(qemu, &(char){0}, 1, 0), 0); // nobody looks: nothing is connected
    close(qemu);
}

static void a_guest_never_waits_for_a_viewer_who_is_told_what_was_lost(void **state)
{
    struct desk *d = *state;
    struct viewer v;
    pthread_t writer;
    view(d, "vm.console", &v);
    int qemu = qemu_accept(d->serial);
    pthread_create(&writer, NULL, flood, &qemu);
    pthread_join(writer, NULL); // the viewer has read nothing
    await_bytes(&v, FLOOD_BYTES);
    assert_int_equal(v.len + v.lost, FLOOD_BYTES);
    assert_true(v.lost > FLOOD_BYTES / 2);
    leave(&v);
    close(qemu);
}

static void a_screen_loses_nothing(void **state)
{
    struct desk *d = *state;
    struct viewer v;
    pthread_t writer;
    view(d, "vm.vnc", &v);
    int qemu = qemu_accept(d->screen);
    pthread_create(&writer, NULL, flood, &qemu);
    drv_sleep_ms(300); // the viewer is slow
    await_bytes(&v, FLOOD_BYTES);
    pthread_join(writer, NULL);
    assert_int_equal(v.len, FLOOD_BYTES);
    for (size_t i = 0; i < FLOOD_BYTES; i++)
        assert_int_equal(v.bytes[i], letter(i));
    leave(&v);
    close(qemu);
}

static void each_viewer_of_a_screen_has_its_own(void **state)
{
    struct desk *d = *state;
    struct viewer a, b;
    view(d, "vm.vnc", &a);
    view(d, "vm.vnc", &b);
    int first = qemu_accept(d->screen), second = qemu_accept(d->screen);
    assert_int_equal(send(first, "RFB 1", 5, 0), 5);
    assert_int_equal(send(second, "RFB 2", 5, 0), 5);
    await_bytes(&a, 5);
    await_bytes(&b, 5);
    assert_int_equal(a.bytes[4] + b.bytes[4], '1' + '2');
    leave(&a);
    leave(&b);
    close(first);
    close(second);
}

static void input_that_the_guest_does_not_take_is_held_back_and_not_lost(void **state)
{
    struct desk *d = *state;
    enum { PIECE = 16 << 10, PIECES = 256 };
    struct viewer v;
    char *piece = malloc(PIECE);
    size_t sent = 0;
    view(d, "vm.console", &v);
    int qemu = qemu_accept(d->serial);
    for (unsigned i = 0; i < PIECES && !drv_client_sending(v.client); i++) {
        memset(piece, 'A' + (int)(i % 26), PIECE);
        assert_int_equal(drv_client_stream_send(v.client, piece, PIECE, NULL), 0);
        sent += PIECE;
        for (int64_t end = drv_now_ms() + 300; drv_client_sending(v.client) && drv_now_ms() < end;)
            assert_true(drv_client_wait(v.client, 50, NULL) >= 0);
    }
    assert_true(drv_client_sending(v.client)); // it had to stop long before the last piece
    assert_true(sent < PIECE * PIECES / 2);
    for (size_t at = 0; at < sent; at += PIECE) {
        while (drv_client_sending(v.client) && drv_client_wait(v.client, 1, NULL) >= 0)
            if (poll(&(struct pollfd){.fd = qemu, .events = POLLIN}, 1, 0) == 1)
                break;
        assert_int_equal(recv(qemu, piece, PIECE, MSG_WAITALL), PIECE);
        assert_int_equal(piece[0], 'A' + (int)(at / PIECE % 26));
        assert_int_equal(piece[PIECE - 1], piece[0]);
    }
    free(piece);
    leave(&v);
    close(qemu);
}

static void the_end_of_qemu_is_told(void **state)
{
    struct desk *d = *state;
    struct viewer v;
    view(d, "vm.console", &v);
    int qemu = qemu_accept(d->serial);
    assert_int_equal(send(qemu, "bye", 3, 0), 3);
    close(qemu);
    await_end(&v);
    assert_memory_equal(v.bytes, "bye", 3);
    assert_string_equal(v.end, "closed");
    assert_string_equal(v.to, "");
    leave(&v);
}

struct move_call {
    struct ha *ha;
    struct ha_move *m;
};

static void add_move(void *arg)
{
    struct move_call *c = arg;
    c->ha->moves = c->m;
}

static void a_vm_that_moved_is_followed_by_its_destination(void **state)
{
    struct desk *d = *state;
    struct ha *ha = &d->rig->ha;
    struct ha_move *m = drv_xcalloc(1, sizeof *m);
    struct move_call c = {.ha = ha, .m = m};
    struct viewer v;
    m->source = true;
    DRV_COPY(m->plan.from, "hv1.drover.test");
    DRV_COPY(m->plan.to, "hv2.drover.test");
    DRV_COPY(m->plan.def.uuid, d->vm->def.uuid);
    // Over long ago, and the VM is here again: it ended here.
    m->over = true;
    drv_loop_call(ha->loop, add_move, &c);
    view(d, "vm.console", &v);
    close(qemu_accept(d->serial));
    await_end(&v);
    assert_string_equal(v.end, "closed");
    leave(&v);
    // Under way: its QEMU ends when the destination has it.
    m->over = false;
    view(d, "vm.console", &v);
    close(qemu_accept(d->serial));
    await_end(&v);
    assert_string_equal(v.end, "moved");
    assert_string_equal(v.to, "hv2.drover.test");
    leave(&v);
    c.m = NULL;
    drv_loop_call(ha->loop, add_move, &c);
    free(m);
}

static void other_pid(void *arg)
{
    ((struct ha_vm *)arg)->pid = getppid();
}

static void own_pid(void *arg)
{
    ((struct ha_vm *)arg)->pid = getpid();
}

static void what_cannot_be_seen_is_refused_with_the_reason(void **state)
{
    struct desk *d = *state;
    struct ss_vmdef def = d->vm->def;
    DRV_COPY(def.graphics, "none");
    ha_vm_set_def(d->vm, &def, "vms", "web1");
    drv_loop_call(d->rig->ha.loop, own_pid, d->vm);
    refused(d, "vm.vnc", DRV_ESTATE, "no screen");
    ha_vm_publish(d->vm, "incoming", 0, NULL);
    refused(d, "vm.console", DRV_EBUSY, "on its way");
    ha_vm_publish(d->vm, "stopped", 0, NULL); // and without a process
    refused(d, "vm.console", DRV_ESTATE, "not running");
}

// A QEMU that was taken over may have put another program's socket in its place.
static void who_listens_must_be_this_vms_qemu(void **state)
{
    struct desk *d = *state;
    drv_loop_call(d->rig->ha.loop, other_pid, d->vm);
    refused(d, "vm.console", DRV_EPEER, "not QEMU");
}

static void viewers_are_counted(void **state)
{
    struct desk *d = *state;
    struct viewer v[HA_RELAY_VIEWERS];
    for (unsigned i = 0; i < HA_RELAY_VIEWERS; i++)
        view(d, "vm.console", &v[i]);
    refused(d, "vm.console", DRV_EBUSY, "already");
    for (unsigned i = 0; i < HA_RELAY_VIEWERS; i++)
        leave(&v[i]);
}

// --- the wire ---

static size_t raw_frame(int fd, uint8_t *ret, size_t size)
{
    uint8_t header[DRV_FRAME_HEADER];
    if (recv(fd, header, sizeof header, MSG_WAITALL) != sizeof header)
        return 0;
    size_t len = (size_t)header[2] << 8 | header[3];
    assert_true(len < size);
    assert_int_equal(recv(fd, ret, len, MSG_WAITALL), len);
    ret[len] = 0;
    return len;
}

static void raw_send(int fd, const void *payload, size_t len)
{
    uint8_t header[DRV_FRAME_HEADER];
    drv_frame_header(header, len, NULL);
    assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
    assert_int_equal(send(fd, payload, len, MSG_NOSIGNAL), len);
}

static void what_is_no_bytes_ends_a_stream(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
    } bad[] = {{"\x01{\"end\":\"moved\"}", 16}, {"\x02", 1}, {"{\"call\":\"x\",\"id\":2}", 19}};
    struct desk *d = *state;
    const char *call = "{\"call\":\"vm.console\",\"id\":1,\"args\":{\"vm\":\"web1\"}}";
    for (size_t i = 0; i < DRV_ARRAY_LEN(bad); i++) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        uint8_t frame[4096];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        DRV_COPY(sa.sun_path, d->sock);
        assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        assert_true(raw_frame(fd, frame, sizeof frame) > 0);
        raw_send(fd, call, strlen(call));
        assert_true(raw_frame(fd, frame, sizeof frame) > 0);
        assert_non_null(strstr((char *)frame, "return"));
        raw_send(fd, bad[i].payload, bad[i].len);
        assert_true(raw_frame(fd, frame, sizeof frame) > 0);
        assert_int_equal(frame[0], DRV_STREAM_MESSAGE);
        assert_non_null(strstr((char *)frame, "error"));
        assert_int_equal(raw_frame(fd, frame, sizeof frame), 0); // and the connection
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(all_viewers_of_a_serial_line_see_it_and_may_type),
        DESK_TEST(a_guest_never_waits_for_a_viewer_who_is_told_what_was_lost),
        DESK_TEST(a_screen_loses_nothing),
        DESK_TEST(each_viewer_of_a_screen_has_its_own),
        DESK_TEST(input_that_the_guest_does_not_take_is_held_back_and_not_lost),
        DESK_TEST(the_end_of_qemu_is_told),
        DESK_TEST(a_vm_that_moved_is_followed_by_its_destination),
        DESK_TEST(what_cannot_be_seen_is_refused_with_the_reason),
        DESK_TEST(who_listens_must_be_this_vms_qemu),
        DESK_TEST(viewers_are_counted),
        DESK_TEST(what_is_no_bytes_ends_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
