// SPDX-License-Identifier: GPL-3.0-or-later
// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4.
#ifndef DROVER_SMBSTORE_CRC32C_H
#define DROVER_SMBSTORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// Check value: the nine bytes "123456789" give 0xe3069283.
uint32_t ss_crc32c(const void *data, size_t len);

#endif
