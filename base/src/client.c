// SPDX-License-Identifier: GPL-3.0-or-later
// Blocking client of droverd: see client.h. One function, pump(), does all I/O: it writes what is
// queued and reads what has come at the same time, so that two sides that both send never wait for
// each other.
#include "drover/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dial.h"
#include "drover/frame.h"
#include "drover/unix.h"
#include "drover/util.h"
#include "drover/wire.h"

enum { GREETING_TIMEOUT_MS = 10000, LOGIN_TIMEOUT_MS = 60000 };

struct drv_client {
    int fd;
    struct drv_frames in;
    uint8_t *out; // one frame on its way
    size_t out_len, out_sent;
    struct drv_gss *gss; // TCP
    bool sealed;         // gss is established: every frame is wrapped
    bool raw;            // hand frames to token instead of parsing them (greeting, GSS tokens)
    uint8_t *token;      // last raw frame, owned
    size_t token_len;
    char server[256];
    json_t *capabilities; // of the greeting; NULL = it had none
    json_int_t next_id;
    json_int_t waiting_id; // id of the call that waits, 0 = none
    json_t *reply;
    drv_event_fn *on_event;
    void *event_arg;
    struct drv_stream_handler stream; // of the call that waits, or of the stream
    bool streaming;
    struct drv_err dead; // set once the connection is of no more use
};

static void client_cleanup(struct drv_client **c)
{
    drv_client_free(*c);
}

static struct drv_client *client_new(void)
{
    struct drv_client *c = drv_xcalloc(1, sizeof *c);
    c->fd = -1;
    drv_frames_limit(&c->in, DRV_FRAME_MAX);
    return c;
}

void drv_client_free(struct drv_client *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    drv_gss_free(c->gss);
    json_decref(c->capabilities);
    drv_frames_done(&c->in);
    free(c->out);
    free(c->token);
    json_decref(c->reply);
    free(c);
}

// --- sending and receiving ---

static int die(struct drv_client *c, struct drv_err *err)
{
    if (c->dead.code == DRV_OK) {
        c->dead = *err;
        drv_err(&c->dead, DRV_EUNREACHABLE, "the connection is lost"); // if nothing was said
    }
    return -1;
}

// Queue one frame of payload bytes. The queue is empty: a call is sent whole before the next.
static int queue_frame(struct drv_client *c, const void *payload, size_t len, struct drv_err *err)
{
    uint8_t header[DRV_FRAME_HEADER];
    if (drv_frame_header(header, len, err) < 0)
        return -1;
    free(c->out);
    c->out = drv_xcalloc(1, DRV_FRAME_HEADER + len);
    memcpy(c->out, header, sizeof header);
    memcpy(c->out + DRV_FRAME_HEADER, payload, len);
    c->out_len = DRV_FRAME_HEADER + len;
    c->out_sent = 0;
    return 0;
}

static int queue_plain(struct drv_client *c, const void *plain, size_t len, struct drv_err *err)
{
    if (!c->sealed)
        return queue_frame(c, plain, len, err);
    DRV_AUTO_FREE void *wrapped = NULL;
    size_t wrapped_len;
    if (drv_gss_wrap(c->gss, plain, len, &wrapped, &wrapped_len, err) < 0)
        return -1;
    return queue_frame(c, wrapped, wrapped_len, err);
}

static int queue_message(struct drv_client *c, const json_t *message, struct drv_err *err)
{
    size_t len;
    DRV_AUTO_FREE char *text = drv_wire_text(message, &len, err);
    return text ? queue_plain(c, text, len, err) : -1;
}

static int take_message(struct drv_client *c, json_t *m, struct drv_err *err)
{
    json_t *id = json_object_get(m, "id");
    if (json_object_get(m, "event")) {
        if (c->on_event)
            c->on_event(m, c->event_arg);
    } else if (json_is_integer(id)) {
        // An answer to a call that timed out here is of no interest any more.
        if (json_integer_value(id) == c->waiting_id && !c->reply) {
            c->reply = json_incref(m);
            c->streaming = c->stream.bytes && json_object_get(m, "return");
        }
    } else if (json_object_get(m, "error")) {
        return drv_wire_error_take(json_object_get(m, "error"), err);
    }
    return 0;
}

static int take_stream(struct drv_client *c, const uint8_t *payload, size_t len,
                       struct drv_err *err)
{
    if (len > 0 && payload[0] == DRV_STREAM_BYTES) {
        c->stream.bytes(payload + 1, len - 1, c->stream.arg);
        return 0;
    }
    if (len == 0 || payload[0] != DRV_STREAM_MESSAGE)
        return drv_err(err, DRV_EPEER, "%s sent a frame of an unknown kind", c->server);
    DRV_AUTO_JSON json_t *m = drv_wire_parse(payload + 1, len - 1, err);
    if (!m)
        return -1;
    if (json_object_get(m, "error"))
        return drv_wire_error_take(json_object_get(m, "error"), err);
    c->stream.message(m, c->stream.arg);
    return 0;
}

static int take_frame(struct drv_client *c, const uint8_t *frame, size_t len, struct drv_err *err)
{
    if (c->raw) {
        if (c->token)
            return drv_err(err, DRV_EPEER, "the peer sent two messages where one was expected");
        c->token = drv_xcalloc(1, len + 1);
        memcpy(c->token, frame, len);
        c->token_len = len;
        return 0;
    }
    DRV_AUTO_FREE void *plain = NULL;
    size_t plain_len = len;
    if (c->sealed && drv_gss_unwrap(c->gss, frame, len, &plain, &plain_len, err) < 0)
        return -1;
    const uint8_t *payload = c->sealed ? plain : frame;
    if (c->streaming)
        return take_stream(c, payload, plain_len, err);
    DRV_AUTO_JSON json_t *m = drv_wire_parse(payload, plain_len, err);
    return m ? take_message(c, m, err) : -1;
}

// Read what is there. 1 = something came, 0 = nothing, -1 = the connection is over.
static int read_some(struct drv_client *c, struct drv_err *err)
{
    uint8_t buf[16 * 1024];
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return drv_err(err, DRV_EUNREACHABLE, "connection to %s lost: %s", c->server,
                       strerror(errno));
    if (n == 0)
        return drv_err(err, DRV_EUNREACHABLE, "%s closed the connection", c->server);
    for (size_t at = 0; at < (size_t)n;) {
        size_t used, len;
        const uint8_t *frame;
        int rc = drv_frames_feed(&c->in, buf + at, (size_t)n - at, &used, &frame, &len, err);
        if (rc < 0 || (rc == 1 && take_frame(c, frame, len, err) < 0))
            return -1;
        at += used;
    }
    return 1;
}

static int write_some(struct drv_client *c, struct drv_err *err)
{
    ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        int saved = errno;
        // The peer may have said why before it closed: read that first.
        while (read_some(c, err) > 0)
            ;
        return drv_err(err, DRV_EUNREACHABLE, "connection to %s lost: %s", c->server,
                       strerror(saved));
    }
    c->out_sent += n > 0 ? (size_t)n : 0;
    return 0;
}

// Wait once for I/O and do it. deadline 0 = no limit. 1 = something came in, 0 = nothing did (sent
// something, or time-out), -1 = the connection is dead.
static int pump(struct drv_client *c, int64_t deadline, struct drv_err *err)
{
    if (c->dead.code != DRV_OK) {
        if (err)
            *err = c->dead;
        return -1;
    }
    struct drv_err e = DRV_ERR_INIT;
    int rc = 0;
    int got = drv_wait_fd(c->fd, c->out_sent < c->out_len ? POLLIN | POLLOUT : POLLIN, deadline);
    if (got & (POLLIN | POLLHUP | POLLERR))
        rc = read_some(c, &e);
    if (rc >= 0 && got & POLLOUT && c->out_sent < c->out_len && write_some(c, &e) < 0)
        rc = -1;
    if (rc < 0) {
        die(c, &e);
        if (err)
            *err = c->dead;
    }
    return rc;
}

static bool expired(int64_t deadline)
{
    return deadline && drv_now_ms() >= deadline;
}

// --- greeting and log-on ---

// Wait for one raw frame (greeting or GSS token), sending what is queued meanwhile.
static int receive_raw(struct drv_client *c, int64_t deadline, struct drv_err *err)
{
    while (!c->token) {
        if (pump(c, deadline, err) < 0)
            return -1;
        if (!c->token && expired(deadline))
            return drv_err(err, DRV_ETIMEDOUT, "%s does not answer as a drover agent would",
                           c->server);
    }
    return 0;
}

static void drop_token(struct drv_client *c)
{
    free(c->token);
    c->token = NULL;
    c->token_len = 0;
}

// The peer may refuse at this stage by an error object in clear. It is not authenticated, which
// matters little: whoever could forge it could cut the connection as well.
static int take_clear_error(struct drv_client *c, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *m = drv_wire_parse(c->token, c->token_len, err);
    return m ? drv_wire_error_take(json_object_get(m, "error"), err) : -1;
}

static int take_greeting(struct drv_client *c, int64_t deadline, struct drv_err *err)
{
    int version = 0;
    const char *host = NULL;
    c->raw = true;
    if (receive_raw(c, deadline, err) < 0)
        return -1;
    DRV_AUTO_JSON json_t *m = drv_wire_parse(c->token, c->token_len, err);
    drop_token(c);
    if (!m)
        return drv_err_prefix(err, "greeting of %s", c->server);
    if (json_object_get(m, "error"))
        return drv_wire_error_take(json_object_get(m, "error"), err);
    if (json_unpack(m, "{s:i, s:s}", "drover", &version, "host", &host) < 0)
        return drv_err(err, DRV_EPEER, "%s is not a drover agent", c->server);
    if (version != DRV_WIRE_VERSION) {
        drv_err(err, DRV_EPEER,
                "%s speaks version %d of drover's protocol, this program version %d", c->server,
                version, DRV_WIRE_VERSION);
        drv_err_id(err, "V01");
        return drv_err_hint(err, "install the same drover release on both");
    }
    DRV_COPY(c->server, host);
    c->capabilities = json_incref(json_object_get(m, "capabilities"));
    c->raw = false;
    return 0;
}

static int log_on_tcp(struct drv_client *c, int64_t deadline, struct drv_err *err)
{
    int rc = 0;
    c->raw = true;
    while (rc == 0) {
        DRV_AUTO_FREE void *out = NULL;
        size_t out_len = 0;
        rc = drv_gss_step(c->gss, c->token, c->token_len, &out, &out_len, err);
        drop_token(c);
        // An error token tells the peer's log what is the matter; nobody waits for an answer to it.
        if (out &&
            (queue_frame(c, out, out_len, err) < 0 || pump(c, deadline, rc < 0 ? NULL : err) < 0))
            return -1;
        if (rc == 0) {
            if (receive_raw(c, deadline, err) < 0)
                return -1;
            if (c->token_len > 0 && c->token[0] == '{')
                return take_clear_error(c, err);
        }
    }
    c->raw = false;
    c->sealed = rc == 1;
    return rc == 1 ? 0 : -1;
}

struct drv_client *drv_client_unix(const char *path, struct drv_err *err)
{
    DRV_CLEANUP(client_cleanup) struct drv_client *c = client_new();
    DRV_COPY(c->server, path);
    c->fd = drv_unix_connect(path, SOCK_NONBLOCK, 0);
    if (c->fd < 0 && errno == ENAMETOOLONG) {
        drv_err(err, DRV_EINVAL, "the socket path %s is too long", path);
        return NULL;
    }
    if (c->fd < 0) {
        bool denied = errno == EACCES;
        drv_err_os(err, errno, "the local agent (%s)", path);
        if (err && !denied)
            err->code = DRV_EUNREACHABLE; // also where its socket is missing
        drv_err_hint(err, "start it: systemctl start drover-agent; or name a host: drover -H HOST");
        return NULL;
    }
    if (take_greeting(c, drv_now_ms() + GREETING_TIMEOUT_MS, err) < 0)
        return NULL;
    return DRV_TAKE(c);
}

struct drv_client *drv_client_tcp(const char *host, unsigned port, gss_cred_id_t cred,
                                  int timeout_ms, struct drv_err *err)
{
    DRV_CLEANUP(client_cleanup) struct drv_client *c = client_new();
    int64_t deadline = drv_now_ms() + timeout_ms;
    DRV_COPY(c->server, host);
    c->gss = drv_gss_initiate("drover", host, cred, err);
    if (!c->gss)
        return NULL;
    c->fd = drv_dial(host, port, deadline, err);
    if (c->fd < 0 || take_greeting(c, deadline, err) < 0)
        return NULL;
    DRV_COPY(c->server, host); // the greeting came in clear: the name we asked Kerberos for counts
    if (log_on_tcp(c, deadline, err) < 0)
        return NULL;
    return DRV_TAKE(c);
}

int drv_client_login(struct drv_client *c, const char *host, gss_cred_id_t cred,
                     struct drv_err *err)
{
    return drv_client_inner(c, "auth.login", "drover", host, cred, err);
}

static void gss_cleanup(struct drv_gss **g)
{
    drv_gss_free(*g);
}

int drv_client_inner(struct drv_client *c, const char *call, const char *service, const char *host,
                     gss_cred_id_t cred, struct drv_err *err)
{
    DRV_CLEANUP(gss_cleanup) struct drv_gss *g = drv_gss_initiate(service, host, cred, err);
    DRV_AUTO_FREE uint8_t *token = NULL;
    size_t token_len = 0;
    bool peer_done = false;
    int rc = 0;
    if (!g)
        return -1;
    while (rc == 0) {
        DRV_AUTO_FREE void *out = NULL;
        size_t out_len = 0;
        rc = drv_gss_step(g, token, token_len, &out, &out_len, err);
        free(DRV_TAKE(token));
        token_len = 0;
        if (rc < 0 || !out)
            break;
        DRV_AUTO_FREE char *text = drv_base64(out, out_len);
        DRV_AUTO_JSON json_t *answer =
            drv_client_call(c, call, json_pack("{s:s}", "token", text), LOGIN_TIMEOUT_MS, err);
        if (!answer)
            return -1;
        peer_done = json_is_true(json_object_get(answer, "done"));
        const char *next = json_string_value(json_object_get(answer, "token"));
        if (next && !(token = drv_base64_decode(next, DRV_GSS_TOKEN_MAX, &token_len, err)))
            return -1;
        if (rc == 0 && !token)
            return drv_err(err, DRV_EPEER, "%s ended the Kerberos log-on early", c->server);
    }
    if (rc == 1 && !peer_done)
        return drv_err(err, DRV_EPEER, "%s did not complete the Kerberos log-on", c->server);
    return rc == 1 ? 0 : -1;
}

// --- calls ---

void drv_client_on_event(struct drv_client *c, drv_event_fn *fn, void *arg)
{
    c->on_event = fn;
    c->event_arg = arg;
}

static json_t *take_reply(struct drv_client *c, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *reply = DRV_TAKE(c->reply);
    json_t *value = json_object_get(reply, "return");
    if (value)
        return json_incref(value);
    drv_wire_error_take(json_object_get(reply, "error"), err);
    return NULL;
}

json_t *drv_client_call(struct drv_client *c, const char *name, json_t *args, int timeout_ms,
                        struct drv_err *err)
{
    int64_t deadline = timeout_ms > 0 ? drv_now_ms() + timeout_ms : 0;
    json_int_t id = ++c->next_id;
    DRV_AUTO_JSON json_t *request =
        json_pack("{s:s, s:I, s:o}", "call", name, "id", id, "args", args ? args : json_object());
    if (!request) {
        drv_err(err, DRV_EINTERNAL, "cannot build the request %s", name);
        return NULL;
    }
    if (c->streaming) {
        drv_err(err, DRV_EINTERNAL, "%s on a connection that is a stream", name);
        return NULL;
    }
    // A request that timed out half-sent leaves the stream in the middle of a frame: it must go
    // first.
    while (c->out_sent < c->out_len && !expired(deadline))
        if (pump(c, deadline, err) < 0)
            return NULL;
    if (c->out_sent < c->out_len) {
        drv_err(err, DRV_ETIMEDOUT, "%s takes no requests", c->server);
        return NULL;
    }
    if (queue_message(c, request, err) < 0)
        return NULL;
    c->waiting_id = id;
    while (!c->reply && c->dead.code == DRV_OK && !expired(deadline))
        pump(c, deadline, NULL);
    c->waiting_id = 0;
    if (c->reply)
        return take_reply(c, err);
    if (c->dead.code != DRV_OK) {
        if (err)
            *err = c->dead;
    } else {
        drv_err(err, DRV_ETIMEDOUT, "%s did not answer %s within %d ms", c->server, name,
                timeout_ms);
    }
    return NULL;
}

// --- streams ---

json_t *drv_client_stream(struct drv_client *c, const char *name, json_t *args, int timeout_ms,
                          const struct drv_stream_handler *on, struct drv_err *err)
{
    c->stream = *on;
    json_t *reply = drv_client_call(c, name, args, timeout_ms, err);
    if (!c->streaming)
        c->stream = (struct drv_stream_handler){0};
    return reply;
}

int drv_client_stream_send(struct drv_client *c, const void *bytes, size_t len, struct drv_err *err)
{
    uint8_t payload[1 + DRV_STREAM_MAX] = {DRV_STREAM_BYTES};
    if (len > DRV_STREAM_MAX || drv_client_sending(c))
        return drv_err(err, DRV_EINTERNAL, "more bytes than the stream can take");
    memcpy(payload + 1, bytes, len);
    return queue_plain(c, payload, 1 + len, err);
}

bool drv_client_sending(const struct drv_client *c)
{
    return c->out_sent < c->out_len;
}

int drv_client_wait(struct drv_client *c, int timeout_ms, struct drv_err *err)
{
    return pump(c, timeout_ms >= 0 ? drv_now_ms() + timeout_ms : 0, err);
}

int drv_client_fd(const struct drv_client *c)
{
    return c->fd;
}

struct drv_gss *drv_client_gss(const struct drv_client *c)
{
    return c->gss;
}

const char *drv_client_server(const struct drv_client *c)
{
    return c->server;
}

const json_t *drv_client_capabilities(const struct drv_client *c)
{
    return c->capabilities;
}
