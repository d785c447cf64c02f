// SPDX-License-Identifier: GPL-3.0-or-later
// Table-driven JSON codec: see fields.h. Knows nothing about what the fields mean.
#include "fields.h"

#include "drover/util.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WHERE_MAX = 160 };

// --- reading ---

static int read_object(const struct ss_field *table, const json_t *object, void *dst,
                       const char *where, struct drv_err *err);

static int bad(struct drv_err *err, const char *where, const char *expected)
{
    return drv_err(err, DRV_EINVAL, "%s: must be %s", where, expected);
}

static int read_text(const struct ss_field *f, const json_t *v, char *dst, const char *where,
                     struct drv_err *err)
{
    char expected[64];
    snprintf(expected, sizeof expected, "a text of less than %zu bytes", f->size);
    if (!json_is_string(v) || json_string_length(v) >= f->size)
        return bad(err, where, expected);
    const char *text = json_string_value(v);
    if (f->valid && !f->valid(text))
        return bad(err, where, f->expected);
    drv_copy(dst, f->size, text);
    return 0;
}

static int read_integer(const struct ss_field *f, const json_t *v, uint64_t *ret, const char *where,
                        struct drv_err *err)
{
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || (uint64_t)n < f->min || (uint64_t)n > f->max) {
        char expected[96];
        snprintf(expected, sizeof expected, "an integer from %" PRIu64 " to %" PRIu64, f->min,
                 f->max);
        return bad(err, where, expected);
    }
    *ret = (uint64_t)n;
    return 0;
}

static int read_hex(const json_t *v, uint64_t *ret, const char *where, struct drv_err *err)
{
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    size_t len = strlen(text);
    if (len < 1 || len > 16 || strspn(text, "0123456789abcdef") != len)
        return bad(err, where, "a text of 1 to 16 lower-case hexadecimal digits");
    return sscanf(text, "%" SCNx64, ret) == 1 ? 0 : -1;
}

static int read_enum(const struct ss_field *f, const json_t *v, unsigned *ret, const char *where,
                     struct drv_err *err)
{
    char expected[128] = "one of";
    for (unsigned i = 0; f->names[i]; i++) {
        if (json_is_string(v) && !strcmp(json_string_value(v), f->names[i])) {
            *ret = i;
            return 0;
        }
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, " \"%s\"", f->names[i]);
    }
    return bad(err, where, expected);
}

static int read_bool(const struct ss_field *f, const json_t *v, bool *ret, const char *where,
                     struct drv_err *err)
{
    unsigned word = 0;
    if (f->names) {
        if (read_enum(f, v, &word, where, err) < 0)
            return -1;
        *ret = word == 1;
        return 0;
    }
    if (!json_is_boolean(v))
        return bad(err, where, "true or false");
    *ret = json_is_true(v);
    return 0;
}

static int read_array(const struct ss_field *f, const json_t *v, char *base, const char *where,
                      struct drv_err *err)
{
    if (!json_is_array(v) || json_array_size(v) > f->max) {
        char expected[64];
        snprintf(expected, sizeof expected, "an array of at most %" PRIu64 " objects", f->max);
        return bad(err, where, expected);
    }
    unsigned n = (unsigned)json_array_size(v);
    for (unsigned i = 0; i < n; i++) {
        char at[WHERE_MAX];
        snprintf(at, sizeof at, "%s[%u]", where, i);
        if (read_object(f->fields, json_array_get(v, i), base + f->offset + i * f->size, at, err) <
            0)
            return -1;
    }
    memcpy(base + f->count_offset, &n, sizeof n);
    return 0;
}

static int read_field(const struct ss_field *f, const json_t *v, char *base, const char *where,
                      struct drv_err *err)
{
    uint64_t number = 0;
    unsigned small = 0;
    switch (f->kind) {
    case SS_F_CONST:
        if (!json_is_integer(v) || (uint64_t)json_integer_value(v) != f->min)
            return drv_err(err, DRV_EINVAL, "%s: this drover knows only %" PRIu64, where, f->min);
        return 0;
    case SS_F_TEXT:
        return read_text(f, v, base + f->offset, where, err);
    case SS_F_UINT:
        if (read_integer(f, v, &number, where, err) < 0)
            return -1;
        small = (unsigned)number;
        memcpy(base + f->offset, &small, sizeof small);
        return 0;
    case SS_F_U64:
    case SS_F_HEX64:
        if ((f->kind == SS_F_U64 ? read_integer(f, v, &number, where, err)
                                 : read_hex(v, &number, where, err)) < 0)
            return -1;
        memcpy(base + f->offset, &number, sizeof number);
        return 0;
    case SS_F_BOOL:
        return read_bool(f, v, (bool *)(base + f->offset), where, err);
    case SS_F_ENUM:
        if (read_enum(f, v, &small, where, err) < 0)
            return -1;
        memcpy(base + f->offset, &small, sizeof small);
        return 0;
    case SS_F_OBJECT:
        return read_object(f->fields, v, base, where, err);
    case SS_F_ARRAY:
        return read_array(f, v, base, where, err);
    }
    return drv_err(err, DRV_EINTERNAL, "%s: bad field table", where);
}

static bool is_known(const struct ss_field *table, const char *key)
{
    for (const struct ss_field *f = table; f->key; f++)
        if (!strcmp(f->key, key))
            return true;
    return false;
}

static int read_object(const struct ss_field *table, const json_t *object, void *dst,
                       const char *where, struct drv_err *err)
{
    if (!json_is_object(object))
        return bad(err, where, "an object");
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)object, key, v) // the macro reads only
        if (!is_known(table, key)) return drv_err(err, DRV_EINVAL, "%s: unknown key \"%.64s\"",
                                                  where, key);

    for (const struct ss_field *f = table; f->key; f++) {
        char at[WHERE_MAX];
        snprintf(at, sizeof at, "%s.%s", where, f->key);
        v = json_object_get(object, f->key);
        if (!v && f->optional)
            continue;
        if (!v)
            return drv_err(err, DRV_EINVAL, "%s: is missing", at);
        if (read_field(f, v, dst, at, err) < 0)
            return -1;
    }
    return 0;
}

int ss_fields_read(const struct ss_field *table, const json_t *object, void *dst, const char *what,
                   struct drv_err *err)
{
    return read_object(table, object, dst, what, err);
}

// --- writing ---

static json_t *write_array(const struct ss_field *f, const char *base)
{
    unsigned n;
    memcpy(&n, base + f->count_offset, sizeof n);
    json_t *array = json_array();
    for (unsigned i = 0; i < n; i++) {
        if (json_array_append_new(array,
                                  ss_fields_write(f->fields, base + f->offset + i * f->size))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *write_field(const struct ss_field *f, const char *base)
{
    uint64_t number;
    unsigned small;
    char hex[17];
    switch (f->kind) {
    case SS_F_CONST:
        return json_integer((json_int_t)f->min);
    case SS_F_TEXT:
        return json_string(base + f->offset);
    case SS_F_UINT:
        memcpy(&small, base + f->offset, sizeof small);
        return json_integer(small);
    case SS_F_U64:
        memcpy(&number, base + f->offset, sizeof number);
        return json_integer((json_int_t)number);
    case SS_F_HEX64:
        memcpy(&number, base + f->offset, sizeof number);
        snprintf(hex, sizeof hex, "%" PRIx64, number);
        return json_string(hex);
    case SS_F_BOOL:
        small = *(const bool *)(base + f->offset);
        return f->names ? json_string(f->names[small]) : json_boolean(small);
    case SS_F_ENUM:
        memcpy(&small, base + f->offset, sizeof small);
        return json_string(f->names[small]);
    case SS_F_OBJECT:
        return ss_fields_write(f->fields, base);
    case SS_F_ARRAY:
        return write_array(f, base);
    }
    return NULL;
}

json_t *ss_fields_write(const struct ss_field *table, const void *src)
{
    json_t *object = json_object();
    for (const struct ss_field *f = table; f->key; f++) {
        if (json_object_set_new(object, f->key, write_field(f, src))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
