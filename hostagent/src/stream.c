// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions as byte streams: see stream.h.
#include "stream.h"

#include <string.h>

#include "drover/util.h"
#include "drover/wire.h"
#include "session.h"

void ha_session_stream(struct ha_session *s, struct ha_stream *st)
{
    if (s->state != HA_SES_OPEN) { // turned away while the handler ran
        st->ops->closed(st);
        return;
    }
    s->state = HA_SES_STREAM;
    s->stream = st;
    st->session = s;
    // Room for the wrapping of the greatest piece.
    drv_frames_limit(&s->in, 2 * DRV_STREAM_MAX);
    st->ops->opened(st);
}

int ha_stream_take(struct ha_stream *st, const uint8_t *frame, size_t len, struct drv_err *err)
{
    if (len < 1 || frame[0] != DRV_STREAM_BYTES)
        return drv_err(err, DRV_EPEER, "a frame of a stream that holds no bytes");
    st->ops->bytes(st, frame + 1, len - 1);
    return 0;
}

size_t ha_stream_pending(const struct ha_stream *st)
{
    return ha_session_pending(st->session);
}

void ha_stream_send(struct ha_stream *st, const void *bytes, size_t len)
{
    uint8_t piece[1 + DRV_STREAM_MAX] = {DRV_STREAM_BYTES};
    struct drv_err err = DRV_ERR_INIT;
    for (size_t n; len > 0; len -= n, bytes = (const uint8_t *)bytes + n) {
        n = len < DRV_STREAM_MAX ? len : DRV_STREAM_MAX;
        memcpy(piece + 1, bytes, n);
        if (ha_session_send_plain(st->session, piece, 1 + n, &err) < 0) {
            ha_session_refuse(st->session, &err, false);
            return;
        }
    }
}

void ha_stream_tell(struct ha_stream *st, const json_t *message)
{
    struct drv_err err = DRV_ERR_INIT;
    if (ha_session_send(st->session, message, &err) < 0)
        ha_session_refuse(st->session, &err, false);
}

void ha_stream_hold(struct ha_stream *st, bool on)
{
    struct ha_session *s = st->session;
    if (s->held == on)
        return;
    s->held = on;
    if (on)
        bufferevent_disable(s->bev, EV_READ);
    else if (!s->paused)
        ha_session_resume(s);
}

void ha_stream_end(struct ha_stream *st, const json_t *message)
{
    struct ha_session *s = st->session;
    ha_stream_tell(st, message);
    s->stream = NULL;
    s->held = false;
    st->session = NULL;
    ha_session_close(s);
}
