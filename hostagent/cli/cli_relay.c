// SPDX-License-Identifier: GPL-3.0-or-later
// Carrying a console's bytes, and finding its VM again: see relay.h.
#include "relay.h"

#include "drover/wire.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { AGAIN_EVERY_MS = 500, INPUT_MAX = 4096 };

void cli_relay_say(const struct cli_relay *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (r->c->quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%sdrover: ", r->newline);
    drv_put(stderr, text); // some of it is from elsewhere
    fputs(r->newline, stderr);
}

// --- opening ---

// `-H hv1:4500` is meant for the other hosts, too.
static void go_to(struct cli_relay *r, const char *host)
{
    const char *colon = r->c->host ? strrchr(r->c->host, ':') : NULL;
    char port[16] = "";
    if (colon)
        DRV_COPY(port, colon);
    snprintf(r->host, sizeof r->host, "%s%s", host, port);
    r->c->host = r->host;
}

static void on_bytes(const void *bytes, size_t len, void *arg)
{
    struct cli_relay *r = arg;
    while (len > 0 && r->end == CLI_RELAY_RUNS && r->out_fd >= 0) {
        ssize_t n = write(r->out_fd, bytes, len);
        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = r->out_fd, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            r->end = CLI_RELAY_LEFT; // nobody looks any more
        len -= n > 0 ? (size_t)n : 0;
        bytes = (const char *)bytes + (n > 0 ? n : 0);
    }
}

static void on_message(const json_t *m, void *arg)
{
    struct cli_relay *r = arg;
    const char *end = "", *to = "";
    json_int_t lost = 0;
    json_unpack((json_t *)m, "{s?s, s?s, s?I}", "end", &end, "to", &to, "lost", &lost);
    if (lost)
        cli_relay_say(r, "%lld bytes of output were left out: this connection is too slow",
                      (long long)lost);
    if (*end && *to && drv_name_valid(to, 253)) {
        go_to(r, to);
        r->end = CLI_RELAY_MOVED;
    } else if (*end) {
        r->end = CLI_RELAY_CLOSED;
    }
}

int cli_relay_open(struct cli_relay *r, struct drv_err *err)
{
    const struct drv_stream_handler on = {.bytes = on_bytes, .message = on_message, .arg = r};
    cli_disconnect(r->c);
    r->end = CLI_RELAY_RUNS;
    if (cli_connect(r->c, err) < 0)
        return -1;
    DRV_AUTO_JSON json_t *reply = drv_client_stream(
        r->c->client, r->call, json_pack("{s:s}", "vm", r->known ? r->uuid : r->asked), CLI_CALL_MS,
        &on, err);
    const char *uuid = "", *name = "";
    if (!reply)
        return -1;
    json_unpack(reply, "{s?s, s?s}", "uuid", &uuid, "vm", &name);
    if (!drv_uuid_valid(uuid) || DRV_COPY(r->uuid, uuid) < 0 || DRV_COPY(r->name, name) < 0)
        return drv_err(err, DRV_EPEER, "the agent does not say which VM this is");
    r->known = true;
    return 0;
}

// --- running ---

static void take_input(struct cli_relay *r, struct drv_err *err)
{
    char bytes[INPUT_MAX];
    bool leave = false;
    ssize_t n = read(r->in_fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (r->end_with_in)
            r->end = CLI_RELAY_LEFT;
        r->in_fd = -1;
        return;
    }
    size_t len = r->filter ? r->filter(bytes, (size_t)n, &leave) : (size_t)n;
    if (len > 0 && r->c->client && drv_client_stream_send(r->c->client, bytes, len, err) < 0)
        r->end = CLI_RELAY_LOST;
    if (leave)
        r->end = CLI_RELAY_LEFT;
}

enum cli_relay_end cli_relay_run(struct cli_relay *r, struct drv_err *err)
{
    struct drv_client *c = r->c->client;
    while (r->end == CLI_RELAY_RUNS) {
        bool sending = drv_client_sending(c);
        struct pollfd p[] = {
            {.fd = drv_client_fd(c), .events = (short)(sending ? POLLIN | POLLOUT : POLLIN)},
            {.fd = sending ? -1 : r->in_fd, .events = POLLIN}};
        if (poll(p, DRV_ARRAY_LEN(p), -1) < 0)
            continue; // a signal
        if (p[0].revents && drv_client_wait(c, 0, err) < 0 && r->end == CLI_RELAY_RUNS)
            r->end = CLI_RELAY_LOST;
        if (p[1].revents && r->end == CLI_RELAY_RUNS)
            take_input(r, err);
    }
    return r->end;
}

// --- again ---

// Go to the host that this agent sent the VM to, if its list of moves tells one.
static void ask_where(struct cli_relay *r)
{
    struct drv_err err = DRV_ERR_INIT;
    char to[256] = "";
    size_t i;
    json_t *row;
    // A connection that became a stream serves no calls.
    cli_disconnect(r->c);
    DRV_AUTO_JSON json_t *list = cli_try(r->c, "move.list", NULL, CLI_CALL_MS, &err);
    json_array_foreach(list, i, row)
    {
        const char *vm = "", *dst = "", *state = "", *role = "";
        json_unpack(row, "{s?s, s?s, s?s, s?s}", "vm", &vm, "to", &dst, "state", &state, "role",
                    &role);
        if (!*to && !strcmp(vm, r->name) && !strcmp(state, "done") && !strcmp(role, "source") &&
            drv_name_valid(dst, 253))
            DRV_COPY(to, dst); // the newest comes first
    }
    if (*to)
        go_to(r, to);
}

static bool passes(const struct drv_err *err)
{
    return err->code == DRV_EUNREACHABLE || err->code == DRV_ETIMEDOUT || err->code == DRV_EBUSY ||
           err->code == DRV_ESTATE || err->code == DRV_ENOTFOUND;
}

// Wait for the next try, with an ear for the user. What is typed meanwhile goes nowhere.
static bool user_leaves(struct cli_relay *r)
{
    struct pollfd p = {.fd = r->in_fd, .events = POLLIN};
    if (poll(&p, 1, AGAIN_EVERY_MS) < 1)
        return false;
    cli_disconnect(r->c);
    r->end = CLI_RELAY_RUNS;
    take_input(r, NULL);
    return r->end == CLI_RELAY_LEFT;
}

int cli_relay_again(struct cli_relay *r, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + CLI_RELAY_WAIT_MS;
    for (;;) {
        drv_err_clear(err);
        if (cli_relay_open(r, err) == 0)
            return 0;
        if (!passes(err) || drv_now_ms() >= deadline)
            return -1;
        if (err->code == DRV_ENOTFOUND)
            ask_where(r);
        if (user_leaves(r)) {
            drv_err_clear(err);
            return -1;
        }
    }
}
