// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes as lower-case hexadecimal digits: how file content travels in drover-smb's JSON lines.
#ifndef DROVER_SMBSTORE_HEX_H
#define DROVER_SMBSTORE_HEX_H

#include <stddef.h>

// 2 * len digits and a NUL; caller frees.
char *ss_hex_encode(const void *data, size_t len);
// The bytes of text and a NUL after them; *ret_len without it. NULL when text is not pairs of
// hexadecimal digits; caller frees.
char *ss_hex_decode(const char *text, size_t *ret_len);

#endif
