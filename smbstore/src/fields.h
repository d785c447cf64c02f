// SPDX-License-Identifier: GPL-3.0-or-later
// Structs as tables of fields: one table reads a JSON object into a struct and writes it back, so
// that a key has its type, range and error text in one place. Used by vm.json and the owner record.
// Strict: unknown keys, wrong types and values out of range are refused by name. Any thread.
#ifndef DROVER_SMBSTORE_FIELDS_H
#define DROVER_SMBSTORE_FIELDS_H

#include "drover/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ss_field_kind {
    SS_F_CONST,  // integer that must be `min`; nothing is stored
    SS_F_TEXT,   // char[size]
    SS_F_UINT,   // unsigned, min..max
    SS_F_U64,    // uint64_t, min..max; max <= INT64_MAX, JSON knows no more
    SS_F_HEX64,  // uint64_t, as a string of 1-16 lower-case hex digits
    SS_F_BOOL,   // bool; with names: the words for false and true
    SS_F_ENUM,   // an enum (unsigned), index into names
    SS_F_OBJECT, // {fields}, stored in the same struct
    SS_F_ARRAY,  // [{fields}], at most max elements of size bytes; count at count_offset (unsigned)
};

struct ss_field {
    const char *key; // NULL ends a table
    enum ss_field_kind kind;
    bool optional; // missing: the struct keeps what the caller put there
    size_t offset;
    size_t size;
    uint64_t min, max;
    int (*valid)(const char *text); // TEXT: 1 when good; NULL = anything that fits
    const char *expected;           // TEXT with valid: completes "must be …"
    const char *const *names;       // ENUM, BOOL: NULL-terminated
    const struct ss_field *fields;  // OBJECT, ARRAY
    size_t count_offset;
};

// Read object into *dst by the table. what: prefix of error messages, such as "vm.json".
// -1 DRV_EINVAL naming the key and what it should be; *dst is then half filled.
int ss_fields_read(const struct ss_field *table, const json_t *object, void *dst, const char *what,
                   struct drv_err *err);

// A new object from *src. NULL only when a text is not UTF-8.
json_t *ss_fields_write(const struct ss_field *table, const void *src);

#endif
