// SPDX-License-Identifier: GPL-3.0-or-later
// Hexadecimal encoding: see hex.h.
#include "hex.h"

#include "drover/util.h"
#include <stdlib.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

char *ss_hex_encode(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *out = drv_xcalloc(len + 1, 2);
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    return out;
}

char *ss_hex_decode(const char *text, size_t *ret_len)
{
    size_t len = strlen(text) / 2;
    DRV_AUTO_FREE char *out = drv_xcalloc(len + 1, 1);
    if (strlen(text) % 2)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);
        if (!high || !low)
            return NULL;
        out[i] = (char)((high - digits) << 4 | (low - digits));
    }
    *ret_len = len;
    return DRV_TAKE(out);
}
