// SPDX-License-Identifier: GPL-3.0-or-later
// JSON texts, error objects and base64 of the wire: see wire.h.
#include "drover/wire.h"

#include <stdlib.h>
#include <string.h>

#include "drover/frame.h"
#include "drover/util.h"

json_t *drv_wire_parse(const void *text, size_t len, struct drv_err *err)
{
    json_error_t je;
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!j) {
        drv_err(err, DRV_EPEER, "not a JSON text: %s (at byte %d)", je.text, je.position);
        return NULL;
    }
    if (!json_is_object(j)) {
        json_decref(j);
        drv_err(err, DRV_EPEER, "a message must be a JSON object");
        return NULL;
    }
    return j;
}

char *drv_wire_text(const json_t *message, size_t *ret_len, struct drv_err *err)
{
    DRV_AUTO_FREE char *text = json_dumps(message, JSON_COMPACT);
    if (!text) {
        drv_err(err, DRV_EINTERNAL, "cannot write a message as JSON");
        return NULL;
    }
    *ret_len = strlen(text);
    if (*ret_len > DRV_MESSAGE_MAX) {
        drv_err(err, DRV_EINVAL, "a message of %zu bytes is too large; %d are allowed", *ret_len,
                DRV_MESSAGE_MAX);
        return NULL;
    }
    return DRV_TAKE(text);
}

// Text that libraries and servers gave us need not be UTF-8; jansson refuses such strings.
static json_t *any_text(const char *s)
{
    json_t *j = json_string(s);
    if (j)
        return j;
    DRV_AUTO_FREE char *ascii = drv_xstrdup(s);
    for (char *p = ascii; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return json_string(ascii);
}

json_t *drv_wire_error(const struct drv_err *err)
{
    json_t *j =
        json_pack("{s:s, s:o}", "code", drv_code_name(err->code), "msg", any_text(err->msg));
    if (j && err->id[0])
        json_object_set_new(j, "id", any_text(err->id));
    if (j && err->hint[0])
        json_object_set_new(j, "hint", any_text(err->hint));
    return j;
}

int drv_wire_error_take(const json_t *error, struct drv_err *err)
{
    const char *code = NULL;
    const char *id = "";
    const char *msg = NULL;
    const char *hint = "";
    if (json_unpack((json_t *)error, "{s:s, s?s, s:s, s?s}", "code", &code, "id", &id, "msg", &msg,
                    "hint", &hint) < 0) {
        drv_err_clear(err);
        return drv_err(err, DRV_EPEER, "the peer sent an error that is not understood");
    }
    drv_err_clear(err);
    enum drv_code c = drv_code_from_name(code);
    drv_err(err, c == DRV_OK ? DRV_EPEER : c, "%s", msg);
    if (strlen(id) < DRV_ID_LEN)
        drv_err_id(err, id);
    return drv_err_hint(err, "%s", hint);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *drv_base64(const void *data, size_t len)
{
    const uint8_t *in = data;
    char *out = drv_xcalloc(1, (len + 2) / 3 * 4 + 1);
    char *p = out;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i;
        uint32_t v = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                     (n > 2 ? in[i + 2] : 0);
        *p++ = alphabet[v >> 18];
        *p++ = alphabet[v >> 12 & 63];
        *p++ = (char)(n > 1 ? alphabet[v >> 6 & 63] : '=');
        *p++ = (char)(n > 2 ? alphabet[v & 63] : '=');
    }
    return out;
}

// Value of four characters, the last `pad` of which are '='. -1 when one is not of the alphabet.
static int64_t quad(const char *s, size_t pad)
{
    int64_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *at = i < 4 - pad && s[i] ? strchr(alphabet, s[i]) : NULL;
        if (i < 4 - pad && !at)
            return -1;
        v = v << 6 | (at ? at - alphabet : 0);
    }
    return v;
}

void *drv_base64_decode(const char *text, size_t max, size_t *ret_len, struct drv_err *err)
{
    size_t len = strlen(text);
    size_t pad = len >= 1 && text[len - 1] == '=' ? (len >= 2 && text[len - 2] == '=' ? 2 : 1) : 0;
    size_t bytes = len / 4 * 3 - pad;
    if (len == 0 || len % 4 != 0) {
        drv_err(err, DRV_EPEER, "not base64");
        return NULL;
    }
    if (bytes > max) {
        drv_err(err, DRV_EPEER, "%zu bytes of base64 data; %zu are allowed", bytes, max);
        return NULL;
    }
    DRV_AUTO_FREE uint8_t *out = drv_xcalloc(1, bytes + 3); // bounded by max just above
    for (size_t i = 0, o = 0; i < len; i += 4, o += 3) {
        int64_t v = quad(text + i, i + 4 == len ? pad : 0);
        if (v < 0) {
            drv_err(err, DRV_EPEER, "not base64");
            return NULL;
        }
        out[o] = (uint8_t)(v >> 16);
        out[o + 1] = (uint8_t)(v >> 8);
        out[o + 2] = (uint8_t)v;
    }
    *ret_len = bytes;
    return DRV_TAKE(out);
}
