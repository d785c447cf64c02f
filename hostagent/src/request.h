// SPDX-License-Identifier: GPL-3.0-or-later
// Requests of the wire (docs/WIRE.md, section 4). Pure code.
#ifndef HOSTAGENT_REQUEST_H
#define HOSTAGENT_REQUEST_H

#include "drover/err.h"
#include <jansson.h>

enum { HA_CALL_NAME_MAX = 64 };

struct ha_request {
    char call[HA_CALL_NAME_MAX];
    json_int_t id;
    json_t *args; // an object, owned
};

// Parse one request from the bytes of a frame. -1 DRV_EPEER: what is wrong with it; *ret is then
// empty.
int ha_request_parse(const void *text, size_t len, struct ha_request *ret, struct drv_err *err);
void ha_request_done(struct ha_request *r);

#endif
