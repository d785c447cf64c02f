// SPDX-License-Identifier: GPL-3.0-or-later
// Error values: see err.h. Texts are cleaned: a name cut in the middle of a character, or words of
// a server that are not UTF-8, would otherwise keep the whole error out of a JSON message.
#include "drover/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drover/util.h"

static const char *const code_names[] = {
    [DRV_OK] = "ok",
    [DRV_EINVAL] = "invalid",
    [DRV_EDENIED] = "denied",
    [DRV_EUNREACHABLE] = "unreachable",
    [DRV_EBUSY] = "busy",
    [DRV_ETIMEDOUT] = "timed-out",
    [DRV_ENOTFOUND] = "not-found",
    [DRV_EEXIST] = "exists",
    [DRV_ENOSPACE] = "no-space",
    [DRV_EPEER] = "peer",
    [DRV_EIO] = "io",
    [DRV_ESTATE] = "state",
    [DRV_ECANCELLED] = "cancelled",
    [DRV_EATTENTION] = "attention",
    [DRV_EINTERNAL] = "internal",
};
_Static_assert(sizeof code_names / sizeof code_names[0] == DRV_CODE_MAX_, "a name per code");

static bool take_slot(struct drv_err *err, enum drv_code code)
{
    if (!err || err->code != DRV_OK)
        return false;
    memset(err, 0, sizeof *err);
    err->code = code;
    return true;
}

int drv_err(struct drv_err *err, enum drv_code code, const char *fmt, ...)
{
    if (take_slot(err, code)) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        drv_utf8_clean(err->msg);
    }
    return -1;
}

enum drv_code drv_code_from_errno(int errnum)
{
    switch (errnum) {
    case EINVAL:
    case ENAMETOOLONG:
        return DRV_EINVAL;
    case EACCES:
    case EPERM:
        return DRV_EDENIED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
        return DRV_EUNREACHABLE;
    case EBUSY:
    case EAGAIN:
        return DRV_EBUSY;
    case ETIMEDOUT:
        return DRV_ETIMEDOUT;
    case ENOENT:
    case ENODEV:
    case ESRCH:
        return DRV_ENOTFOUND;
    case EEXIST:
        return DRV_EEXIST;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
        return DRV_ENOSPACE;
    default:
        return DRV_EIO;
    }
}

int drv_err_os(struct drv_err *err, int errnum, const char *fmt, ...)
{
    if (take_slot(err, drv_code_from_errno(errnum))) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        char text[128];
        const char *what = strerror_r(errnum, text, sizeof text);
        if (n >= 0 && (size_t)n < sizeof err->msg)
            snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", what);
        drv_utf8_clean(err->msg);
        drv_err_native(err, "os", errnum);
    }
    return -1;
}

int drv_err_hint(struct drv_err *err, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->hint, sizeof err->hint, fmt, ap);
        va_end(ap);
        drv_utf8_clean(err->hint);
    }
    return -1;
}

int drv_err_id(struct drv_err *err, const char *id)
{
    if (err)
        snprintf(err->id, sizeof err->id, "%s", id);
    return -1;
}

int drv_err_native(struct drv_err *err, const char *origin, long native)
{
    if (err) {
        snprintf(err->origin, sizeof err->origin, "%s", origin);
        err->native = native;
    }
    return -1;
}

int drv_err_prefix(struct drv_err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char outer[256];
    char inner[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(outer, sizeof outer, fmt, ap);
    va_end(ap);
    memcpy(inner, err->msg, sizeof inner);
    snprintf(err->msg, sizeof err->msg, "%s: %s", outer, inner);
    drv_utf8_clean(err->msg);
    return -1;
}

void drv_err_clear(struct drv_err *err)
{
    if (err)
        memset(err, 0, sizeof *err);
}

const char *drv_code_name(enum drv_code code)
{
    return code < DRV_CODE_MAX_ ? code_names[code] : "internal";
}

enum drv_code drv_code_from_name(const char *name)
{
    for (int i = 0; name && i < DRV_CODE_MAX_; i++)
        if (!strcmp(name, code_names[i]))
            return (enum drv_code)i;
    return DRV_EPEER;
}
