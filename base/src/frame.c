// SPDX-License-Identifier: GPL-3.0-or-later
// Frame decoder and encoder: see frame.h.
#include "drover/frame.h"

#include <stdlib.h>
#include <string.h>

enum { GROW_MIN = 4096, GROW_MAX = 64 * 1024 };

void drv_frames_limit(struct drv_frames *d, size_t max_bytes)
{
    d->max = max_bytes < DRV_FRAME_MAX ? max_bytes : DRV_FRAME_MAX;
}

void drv_frames_done(struct drv_frames *d)
{
    free(d->body);
    memset(d, 0, sizeof *d);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Take what is missing of the header. 1 = complete and valid, 0 = incomplete, -1 = invalid.
static int take_header(struct drv_frames *d, const uint8_t *data, size_t len, size_t *used,
                       struct drv_err *err)
{
    size_t n = min_size(DRV_FRAME_HEADER - d->header_got, len);
    memcpy(d->header + d->header_got, data, n);
    d->header_got += n;
    *used = n;
    if (d->header_got < DRV_FRAME_HEADER)
        return 0;
    d->len = (size_t)d->header[0] << 24 | (size_t)d->header[1] << 16 | (size_t)d->header[2] << 8 |
             d->header[3];
    d->got = 0;
    if (d->len == 0 || d->len > d->max) {
        d->broken = true;
        return drv_err(err, DRV_EPEER, "frame of %zu bytes; 1 to %zu are allowed", d->len, d->max);
    }
    return 1;
}

// Make room for some of the announced bytes: a peer that only announces 1 MiB costs us 4 KiB.
static int grow(struct drv_frames *d, struct drv_err *err)
{
    if (d->got < d->cap)
        return 0;
    size_t step = d->cap < GROW_MIN ? GROW_MIN : min_size(d->cap, GROW_MAX);
    size_t cap = min_size(d->cap + step, d->len);
    uint8_t *body = realloc(d->body, cap);
    if (!body) {
        d->broken = true;
        return drv_err(err, DRV_ENOSPACE, "no memory for a frame of %zu bytes", d->len);
    }
    d->body = body;
    d->cap = cap;
    return 0;
}

int drv_frames_feed(struct drv_frames *d, const void *data, size_t len, size_t *ret_used,
                    const uint8_t **ret_frame, size_t *ret_len, struct drv_err *err)
{
    const uint8_t *p = data;
    size_t used = 0;
    *ret_used = 0;
    if (d->broken)
        return drv_err(err, DRV_EPEER, "the connection carries no valid frames any more");
    if (d->header_got < DRV_FRAME_HEADER) {
        int rc = take_header(d, p, len, &used, err);
        *ret_used = used;
        if (rc <= 0)
            return rc;
    }
    while (used < len && d->got < d->len) {
        if (grow(d, err) < 0)
            return -1;
        size_t n = min_size(len - used, min_size(d->cap, d->len) - d->got);
        memcpy(d->body + d->got, p + used, n);
        d->got += n;
        used += n;
    }
    *ret_used = used;
    if (d->got < d->len)
        return 0;
    *ret_frame = d->body;
    *ret_len = d->len;
    d->header_got = 0; // the next byte starts a header; body stays valid until then
    return 1;
}

int drv_frame_header(uint8_t out[DRV_FRAME_HEADER], size_t len, struct drv_err *err)
{
    if (len == 0 || len > DRV_FRAME_MAX)
        return drv_err(err, DRV_EINVAL, "a message of %zu bytes does not fit a frame", len);
    out[0] = (uint8_t)(len >> 24);
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    return 0;
}
