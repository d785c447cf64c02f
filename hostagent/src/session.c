// SPDX-License-Identifier: GPL-3.0-or-later
// One connection: bytes in and out, frames, its end: see session.h.
#include "session.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "drover/log.h"
#include "drover/mover.h"
#include "drover/util.h"
#include "drover/wire.h"

enum { INPUT_MAX = 64 * 1024 }; // read ahead of what is decoded

struct ha_link *ha_link_ref(struct ha_link *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void ha_link_unref(struct ha_link *l)
{
    if (l && atomic_fetch_sub(&l->refs, 1) == 1)
        free(l);
}

size_t ha_session_pending(const struct ha_session *s)
{
    return evbuffer_get_length(bufferevent_get_output(s->bev));
}

// Who hangs up while a worker looks at the token has failed, too: the work was done.
static void end_logon(struct ha_session *s)
{
    bool failed = s->state == HA_SES_LOGON || s->state == HA_SES_CLOSING;
    if (!s->logging_on)
        return;
    s->logging_on = false;
    s->server->n_logons--;
    ha_door_leave(&s->server->door, &s->from, failed, drv_now_ms());
}

static void join_server(struct ha_session *s)
{
    struct ha_server *server = s->server;
    s->next = server->sessions;
    if (s->next)
        s->next->prev = s;
    server->sessions = s;
    if (s->via == HA_VIA_UNIX) {
        server->n_unix++;
    } else {
        server->n_tcp++;
        server->n_logons++;
        ha_door_enter(&server->door, &s->from, drv_now_ms());
        s->logging_on = true;
    }
}

static void leave_server(struct ha_session *s)
{
    end_logon(s);
    if (s->via == HA_VIA_UNIX)
        s->server->n_unix--;
    else
        s->server->n_tcp--;
    if (s->prev)
        s->prev->next = s->next;
    else
        s->server->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

void ha_session_free(struct ha_session *s)
{
    if (!s)
        return;
    drv_log(s->dropped_events ? LOG_INFO : LOG_DEBUG, "session.closed", F_STR("peer", s->name),
            F_INT("dropped_events", s->dropped_events));
    atomic_store(&s->link->gone, true);
    s->link->session = NULL;
    ha_link_unref(s->link);
    leave_server(s);
    if (s->peer && s->peer->id.is_host && s->server->ops->closed)
        s->server->ops->closed(s->server->ha, s->peer);
    if (s->stream)
        s->stream->ops->closed(s->stream);
    if (s->bev)
        bufferevent_free(s->bev);
    if (s->timer)
        event_free(s->timer);
    drv_frames_done(&s->in);
    ha_peer_unref(s->logon);
    ha_peer_unref(s->peer);
    ha_peer_unref(s->inner_logon);
    ha_peer_unref(s->inner);
    free(s);
}

// --- sending ---

int ha_session_send_bytes(struct ha_session *s, const void *payload, size_t len,
                          struct drv_err *err)
{
    uint8_t header[DRV_FRAME_HEADER];
    if (s->state == HA_SES_CLOSING)
        return 0;
    if (drv_frame_header(header, len, err) < 0)
        return -1;
    if (ha_session_pending(s) + len > HA_OUTPUT_MAX)
        return drv_err(err, DRV_EPEER, "the peer does not read its answers");
    struct evbuffer *out = bufferevent_get_output(s->bev);
    if (evbuffer_add(out, header, sizeof header) < 0 || evbuffer_add(out, payload, len) < 0)
        return drv_err(err, DRV_ENOSPACE, "no memory for a message of %zu bytes", len);
    return 0;
}

int ha_session_send_plain(struct ha_session *s, const void *plain, size_t len, struct drv_err *err)
{
    if (!s->peer)
        return ha_session_send_bytes(s, plain, len, err);
    DRV_AUTO_FREE void *wrapped = NULL;
    size_t wrapped_len;
    if (drv_gss_wrap(s->peer->gss, plain, len, &wrapped, &wrapped_len, err) < 0)
        return -1;
    return ha_session_send_bytes(s, wrapped, wrapped_len, err);
}

int ha_session_send(struct ha_session *s, const json_t *message, struct drv_err *err)
{
    size_t len;
    DRV_AUTO_FREE char *text = drv_wire_text(message, &len, err);
    if (!text)
        return -1;
    if (s->state != HA_SES_STREAM)
        return ha_session_send_plain(s, text, len, err);
    DRV_AUTO_FREE char *marked = drv_xasprintf("%c%s", DRV_STREAM_MESSAGE, text);
    return ha_session_send_plain(s, marked, len + 1, err);
}

void ha_session_close(struct ha_session *s)
{
    struct timeval linger = {HA_LINGER_S, 0};
    s->state = HA_SES_CLOSING;
    event_add(s->timer, &linger);
    bufferevent_enable(s->bev, EV_READ | EV_WRITE);
    if (ha_session_pending(s) == 0)
        shutdown(bufferevent_getfd(s->bev), SHUT_WR);
}

void ha_session_refuse(struct ha_session *s, const struct drv_err *err, bool tell)
{
    if (s->state == HA_SES_CLOSING)
        return;
    drv_log(LOG_NOTICE, "session.refused", F_STR("peer", s->name),
            F_STR("code", drv_code_name(err->code)), F_STR("id", err->id), F_STR("msg", err->msg));
    if (tell) { // best effort: the connection ends either way
        DRV_AUTO_JSON json_t *m = json_pack("{s:o}", "error", drv_wire_error(err));
        ha_session_send(s, m, NULL);
    }
    ha_session_close(s);
}

// --- receiving ---

static int take_frame(struct ha_session *s, const uint8_t *frame, size_t len, struct drv_err *err)
{
    if (s->state == HA_SES_TOKEN) {
        ha_logon_token(s, frame, len);
        return 0;
    }
    DRV_AUTO_FREE void *plain = NULL;
    size_t plain_len = len;
    if (s->peer && drv_gss_unwrap(s->peer->gss, frame, len, &plain, &plain_len, err) < 0)
        return -1;
    const void *message = s->peer ? plain : (const void *)frame;
    return s->state == HA_SES_STREAM ? ha_stream_take(s->stream, message, plain_len, err)
                                     : ha_dispatch(s, message, plain_len, err);
}

static bool takes_frames(const struct ha_session *s)
{
    return s->state == HA_SES_TOKEN || s->state == HA_SES_OPEN ||
           (s->state == HA_SES_STREAM && !s->held);
}

// Decode what libevent has read, until it is used up or reading must wait.
static void take_input(struct ha_session *s)
{
    struct evbuffer *in = bufferevent_get_input(s->bev);
    struct drv_err err = DRV_ERR_INIT;
    while (takes_frames(s)) {
        struct evbuffer_iovec part;
        if (ha_session_pending(s) > HA_OUTPUT_PAUSE) {
            s->paused = true;
            bufferevent_disable(s->bev, EV_READ);
            return;
        }
        if (evbuffer_peek(in, -1, NULL, &part, 1) < 1 || part.iov_len == 0)
            return;
        const uint8_t *frame;
        size_t used, len;
        int rc = drv_frames_feed(&s->in, part.iov_base, part.iov_len, &used, &frame, &len, &err);
        evbuffer_drain(in, used);
        if (rc < 0 || (rc == 1 && take_frame(s, frame, len, &err) < 0)) {
            ha_session_refuse(s, &err, true);
            return;
        }
    }
    if (s->state == HA_SES_CLOSING)
        evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    take_input(arg);
}

// The output has drained (to the low-water mark, 0).
static void on_written(struct bufferevent *bev, void *arg)
{
    struct ha_session *s = arg;
    if (s->state == HA_SES_CLOSING) {
        shutdown(bufferevent_getfd(bev), SHUT_WR);
        return;
    }
    if (s->stream)
        s->stream->ops->drained(s->stream);
    if (s->paused) {
        s->paused = false;
        ha_session_resume(s);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct ha_session *s = arg;
    if (what & BEV_EVENT_TIMEOUT)
        drv_log(LOG_NOTICE, "session.stuck", F_STR("peer", s->name));
    ha_session_free(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ha_session *s = arg;
    if (s->state == HA_SES_CLOSING) {
        ha_session_free(s);
        return;
    }
    struct drv_err err = DRV_ERR_INIT;
    drv_err(&err, DRV_ETIMEDOUT, "no complete log-on within %d s", HA_LOGON_TIMEOUT_S);
    ha_session_refuse(s, &err, true);
}

void ha_session_resume(struct ha_session *s)
{
    if (s->state == HA_SES_CLOSING || s->held)
        return;
    bufferevent_enable(s->bev, EV_READ);
    take_input(s);
}

void ha_session_opened(struct ha_session *s)
{
    event_del(s->timer);
    s->state = HA_SES_OPEN;
    drv_frames_limit(&s->in, DRV_FRAME_MAX);
    end_logon(s);
    drv_log(s->peer ? LOG_INFO : LOG_DEBUG, "session.open", F_STR("peer", s->name),
            F_STR("user", s->peer ? s->peer->id.az.name : ""));
}

static int send_greeting(struct ha_session *s, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *m =
        json_pack("{s:i, s:s, s:s, s:o}", "drover", DRV_WIRE_VERSION, "version", DROVER_VERSION,
                  "host", s->server->fqdn, "capabilities", mv_capabilities());
    return ha_session_send(s, m, err);
}

struct ha_session *ha_session_new(struct ha_server *server, int fd, enum ha_via via, uid_t uid,
                                  const struct ha_door_address *from, const char *name)
{
    struct event_base *base = drv_loop_base(server->loop);
    struct ha_session *s = drv_xcalloc(1, sizeof *s);
    struct timeval logon = {HA_LOGON_TIMEOUT_S, 0};
    struct timeval write_timeout = {HA_WRITE_TIMEOUT_S, 0};
    s->server = server;
    s->via = via;
    s->uid = uid;
    if (from)
        s->from = *from;
    DRV_COPY(s->name, name);
    join_server(s);
    s->link = drv_xcalloc(1, sizeof *s->link);
    *s->link = (struct ha_link){.session = s, .loop = server->loop};
    atomic_store(&s->link->refs, 1);
    s->timer = evtimer_new(base, on_timer, s);
    s->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!s->bev || !s->timer) {
        if (!s->bev)
            evutil_closesocket(fd);
        ha_session_free(s);
        return NULL;
    }
    bufferevent_setcb(s->bev, on_read, on_written, on_event, s);
    bufferevent_setwatermark(s->bev, EV_READ, 0, INPUT_MAX);
    bufferevent_set_timeouts(s->bev, NULL, &write_timeout);
    drv_frames_limit(&s->in, DRV_GSS_TOKEN_MAX);
    send_greeting(s, NULL);
    if (via == HA_VIA_UNIX)
        ha_session_opened(s);
    else
        event_add(s->timer, &logon);
    bufferevent_enable(s->bev, EV_READ | EV_WRITE);
    return s;
}
