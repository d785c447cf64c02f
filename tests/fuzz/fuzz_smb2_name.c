// SPDX-License-Identifier: GPL-3.0-or-later
// Names in SMB2 requests: what is taken is UTF-8, and its UTF-16 on the wire says the same. The
// first byte is the room that is there, in steps of 16 bytes.
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"
#include "fuzz.h"
#include "msg.h"

enum { NAME_AT = 120, LENGTH_AT = 64 + 46 }; // of CREATE

static unsigned unit(const uint8_t *p)
{
    return (unsigned)(p[0] | p[1] << 8);
}

// UTF-16LE back to UTF-8, by another way than the encoder's. Returns the bytes written.
static size_t back(const uint8_t *p, size_t len, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i += 2) {
        unsigned c = unit(p + i);
        if (c >= 0xD800 && c < 0xE000) {
            FUZZ_CHECK(c < 0xDC00 && i + 3 < len);
            unsigned low = unit(p + (i += 2));
            FUZZ_CHECK(low >= 0xDC00 && low < 0xE000);
            c = 0x10000 + (c - 0xD800) * 0x400 + (low - 0xDC00);
        }
        if (c == '\\')
            c = '/';
        if (c >= 0x10000)
            ret[n++] = (char)(0xF0 + c / 0x40000);
        if (c >= 0x800)
            ret[n++] = (char)(c >= 0x10000 ? 0x80 + c / 0x1000 % 0x40 : 0xE0 + c / 0x1000);
        if (c >= 0x80)
            ret[n++] = (char)(c >= 0x800 ? 0x80 + c / 0x40 % 0x40 : 0xC0 + c / 0x40);
        ret[n++] = (char)(c >= 0x80 ? 0x80 + c % 0x40 : c);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t cap = data[0] * 16U;
    DRV_AUTO_FREE char *name = malloc(size);
    DRV_AUTO_FREE uint8_t *out = malloc(cap ? cap : 1);
    FUZZ_CHECK(name && out);
    memcpy(name, data + 1, size - 1);
    name[size - 1] = 0;
    size_t name_len = strlen(name);

    const struct smb2_create c = {.path = name};
    size_t len = smb2_put_create(out, cap, &c);
    if (len > 0) {
        char text[2 * SMB2_NAME_MAX];
        FUZZ_CHECK(len <= cap && name_len < SMB2_NAME_MAX);
        size_t n = back(out + NAME_AT, unit(out + LENGTH_AT), text);
        FUZZ_CHECK(n == name_len && !memcmp(text, name, n));
        FUZZ_CHECK(len % 8 == 0 && !memcmp(out + len - 8, "QFid\0\0\0\0", 8));
    }
    const struct smb2_negotiate n = {.n_ciphers = data[0] % 3, .n_signings = 1, .server = name};
    FUZZ_CHECK(smb2_put_negotiate(out, cap, &n) <= cap);
    FUZZ_CHECK(smb2_put_tree_connect(out, cap, name, "VM") <= cap);
    FUZZ_CHECK(smb2_put_tree_connect(out, cap, "fs.example.lan", name) <= cap);
    return 0;
}
