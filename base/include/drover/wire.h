// SPDX-License-Identifier: GPL-3.0-or-later
// What both ends of the wire share beside frames: JSON texts, error objects, base64 (docs/WIRE.md).
// Pure code, any thread.
#ifndef DROVER_WIRE_H
#define DROVER_WIRE_H

#include "drover/err.h"
#include <jansson.h>
#include <stddef.h>

enum { DRV_WIRE_VERSION = 1, DRV_WIRE_PORT = 4484 };

// Once a session is a byte stream, the first byte of a payload says what the others are.
enum {
    DRV_STREAM_BYTES = 0,     // the stream's
    DRV_STREAM_MESSAGE = 1,   // a JSON object of the server's
    DRV_STREAM_MAX = 32 << 10 // most bytes of a stream in one frame
};

// One JSON object from bytes of a peer: duplicate keys and trailing junk are refused. New
// reference.
json_t *drv_wire_parse(const void *text, size_t len, struct drv_err *err);
// Compact text of a message, malloc'd. NULL DRV_EINVAL when above DRV_MESSAGE_MAX.
char *drv_wire_text(const json_t *message, size_t *ret_len, struct drv_err *err);

// {"code","id","msg","hint"}, new reference. Empty id and hint are left out.
json_t *drv_wire_error(const struct drv_err *err);
// Carry an error object into err (whatever was in err is replaced). Fields are bounded; anything
// that is not an error object gives DRV_EPEER. Always returns -1.
int drv_wire_error_take(const json_t *error, struct drv_err *err);

// Base64 (RFC 4648, with padding). Both malloc'd. Decoding is strict and bounded by max bytes.
char *drv_base64(const void *data, size_t len);
void *drv_base64_decode(const char *text, size_t max, size_t *ret_len, struct drv_err *err);

#endif
