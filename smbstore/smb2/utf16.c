// SPDX-License-Identifier: GPL-3.0-or-later
// UTF-8 (RFC 3629, strictly: no overlong forms, no surrogates) to the UTF-16LE that SMB speaks.
#include "msg_int.h"

// One character of s. Returns its length in bytes, 0 when it is none; the NUL is none either.
static size_t decode_char(const uint8_t *s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80             ? 1
               : (s[0] & 0xE0) == 0xC0 ? 2
               : (s[0] & 0xF0) == 0xE0 ? 3
               : (s[0] & 0xF8) == 0xF0 ? 4
                                       : 0;
    if (n == 0 || s[0] == 0)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7FU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) // the string's NUL too
            return 0;
        c = c << 6 | (s[i] & 0x3FU);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *ret = c;
    return n;
}

size_t smb2_put_utf16(uint8_t *out, size_t cap, size_t at, const char *s, bool path)
{
    const uint8_t *p = (const uint8_t *)s;
    while (*p) {
        uint32_t c = 0;
        size_t n = decode_char(p, &c);
        size_t bytes = c < 0x10000 ? 2 : 4;
        if (n == 0 || c == '\\' || at > cap || cap - at < bytes)
            return 0;
        if (c == '/' && path)
            c = '\\';
        if (bytes == 2) {
            smb2_put16(out + at, (uint16_t)c);
        } else {
            c -= 0x10000;
            smb2_put16(out + at, (uint16_t)(0xD800 | c >> 10));
            smb2_put16(out + at + 2, (uint16_t)(0xDC00 | (c & 0x3FF)));
        }
        at += bytes;
        p += n;
    }
    return at;
}
