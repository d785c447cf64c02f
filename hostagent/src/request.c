// SPDX-License-Identifier: GPL-3.0-or-later
// Parsing of requests: see request.h.
#include "request.h"

#include <stdarg.h>
#include <string.h>

#include "calls.h"
#include "drover/util.h"
#include "drover/wire.h"

int ha_request_parse(const void *text, size_t len, struct ha_request *ret, struct drv_err *err)
{
    memset(ret, 0, sizeof *ret);
    DRV_AUTO_JSON json_t *m = drv_wire_parse(text, len, err);
    if (!m)
        return -1;
    const char *call;
    json_t *args = NULL;
    json_error_t je;
    if (json_unpack_ex(m, &je, JSON_STRICT, "{s:s, s:I, s?o}", "call", &call, "id", &ret->id,
                       "args", &args) < 0)
        return drv_err(err, DRV_EPEER, "not a request: %s", je.text);
    if (args && !json_is_object(args))
        return drv_err(err, DRV_EPEER, "not a request: args must be an object");
    if (ret->id < 0)
        return drv_err(err, DRV_EPEER, "not a request: id must not be negative");
    if (DRV_COPY(ret->call, call) < 0)
        return drv_err(err, DRV_EPEER, "not a request: the call's name is too long");
    ret->args = args ? json_incref(args) : json_object();
    return 0;
}

void ha_request_done(struct ha_request *r)
{
    json_decref(r->args);
    memset(r, 0, sizeof *r);
}

int ha_args(const json_t *args, struct drv_err *err, const char *fmt, ...)
{
    json_error_t je;
    va_list ap;
    va_start(ap, fmt);
    int rc = json_vunpack_ex((json_t *)args, &je, JSON_STRICT, fmt, ap);
    va_end(ap);
    return rc < 0 ? drv_err(err, DRV_EINVAL, "arguments: %s", je.text) : 0;
}
