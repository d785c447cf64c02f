// SPDX-License-Identifier: GPL-3.0-or-later
// Framing of the wire (docs/WIRE.md, section 1): u32 big-endian length, then that many bytes.
// Pure code: no I/O, no logging. One thread at a time per decoder.
#ifndef DROVER_FRAME_H
#define DROVER_FRAME_H

#include "drover/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
    DRV_FRAME_HEADER = 4,
    DRV_FRAME_MAX = 1 << 20,          // payload, as it stands on the wire (wrapped)
    DRV_MESSAGE_MAX = (1 << 20) - 512 // JSON text: leaves room for gss_wrap's header and checksum
};

// Incremental decoder. Zero-initialise, then drv_frames_limit().
struct drv_frames {
    uint8_t header[DRV_FRAME_HEADER];
    size_t header_got;
    size_t max;      // largest payload accepted
    size_t len, got; // payload announced and received
    uint8_t *body;   // grows with the bytes received, never ahead of them by more than 64 KiB
    size_t cap;
    bool broken; // garbage was seen: the stream has no frame boundaries any more
};

// Largest payload accepted from the next frame on; at most DRV_FRAME_MAX.
void drv_frames_limit(struct drv_frames *d, size_t max_bytes);
void drv_frames_done(struct drv_frames *d);

// Feed len bytes. Takes *ret_used of them (all, unless a frame ended before).
// 1 = a frame is whole: *ret_frame (borrowed until the next call) of *ret_len bytes;
// 0 = more bytes needed; -1 DRV_EPEER = a length of 0 or above the limit: close the connection.
int drv_frames_feed(struct drv_frames *d, const void *data, size_t len, size_t *ret_used,
                    const uint8_t **ret_frame, size_t *ret_len, struct drv_err *err);

// Write the header of a frame of len bytes. -1 DRV_EINVAL when len is 0 or above DRV_FRAME_MAX.
int drv_frame_header(uint8_t out[DRV_FRAME_HEADER], size_t len, struct drv_err *err);

#endif
