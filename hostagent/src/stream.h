// SPDX-License-Identifier: GPL-3.0-or-later
// A session that becomes a byte stream (docs/WIRE.md, section 9): a call's handler hands over a
// struct ha_stream, and behind the answer every frame of the session is the stream's. Loop thread
// but for ha_ctx_stream().
#ifndef HOSTAGENT_STREAM_H
#define HOSTAGENT_STREAM_H

#include "calls.h"
#include <stddef.h>

struct ha_session;
struct ha_stream;

struct ha_stream_ops {
    // The answer is sent: bytes may go from here on.
    void (*opened)(struct ha_stream *st);
    // The client sent so many; they are gone when this returns.
    void (*bytes)(struct ha_stream *st, const void *bytes, size_t len);
    // All that waited to be sent to the client is sent.
    void (*drained)(struct ha_stream *st);
    // The client has gone, or never got the answer. Frees st; called once, unless ha_stream_end()
    // was.
    void (*closed)(struct ha_stream *st);
};

// First member of what a handler makes.
struct ha_stream {
    const struct ha_stream_ops *ops;
    struct ha_session *session; // set from opened() on
};

// From a handler, before it returns its answer: the session becomes st. st is taken.
void ha_ctx_stream(struct ha_ctx *ctx, struct ha_stream *st);

// Bytes that the client has not taken yet.
size_t ha_stream_pending(const struct ha_stream *st);
// Queue bytes for the client. One that lets more than HA_OUTPUT_MAX wait is cut.
void ha_stream_send(struct ha_stream *st, const void *bytes, size_t len);
// Queue a message for the client's program, one that stands alone. Borrowed.
void ha_stream_tell(struct ha_stream *st, const json_t *message);
// Read nothing from the client (on), or again (off; bytes() may be called before this returns).
void ha_stream_hold(struct ha_stream *st, bool on);
// The last message; then the session closes and knows st no more. The caller frees st.
void ha_stream_end(struct ha_stream *st, const json_t *message);

#endif
