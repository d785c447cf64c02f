// SPDX-License-Identifier: GPL-3.0-or-later
// CRC-32C bit by bit: it covers 4 KiB a few times per move, so a table would buy nothing.
#include "crc32c.h"

uint32_t ss_crc32c(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}
