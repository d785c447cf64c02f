// SPDX-License-Identifier: GPL-3.0-or-later
// Small helpers: see util.h.
#include "drover/util.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

void drv_cleanup_free(void *pp)
{
    free(*(void **)pp);
}

void drv_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

void drv_cleanup_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

void drv_cleanup_json(json_t **j)
{
    json_decref(*j);
}

void *drv_xcalloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

char *drv_xstrdup(const char *s)
{
    if (!s)
        return NULL;
    char *p = strdup(s);
    if (!p)
        abort();
    return p;
}

char *drv_xasprintf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&out, fmt, ap) < 0)
        abort();
    va_end(ap);
    return out;
}

int drv_copy(char *dst, size_t size, const char *src)
{
    int n = snprintf(dst, size, "%s", src ? src : "");
    return n >= 0 && (size_t)n < size ? 0 : -1;
}

int64_t drv_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t drv_now_ms(void)
{
    return drv_now_us() / 1000;
}

int64_t drv_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *drv_json_text(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    return s ? s : "";
}

void drv_sleep_ms(int ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

void drv_uuid_new(char out[DRV_UUID_LEN])
{
    uuid_t u;
    uuid_generate_random(u);
    uuid_unparse_lower(u, out);
}

int drv_uuid_valid(const char *s)
{
    uuid_t u;
    if (!s || strlen(s) != DRV_UUID_LEN - 1 || uuid_parse(s, u) != 0)
        return 0;
    for (; *s; s++)
        if (isupper((unsigned char)*s))
            return 0;
    return 1;
}

char *drv_quoted(const char *text, const char *escape)
{
    char *ret = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&ret, &size);
    if (!f)
        abort();
    fputc('\'', f);
    for (const char *c = text; *c; c++)
        if (*c == '\'')
            fputs(escape, f);
        else
            fputc(*c, f);
    fputc('\'', f);
    fclose(f);
    return ret;
}

int drv_name_valid(const char *s, size_t max_len)
{
    if (!s || !isalnum((unsigned char)*s) || strlen(s) > max_len)
        return 0;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '.' && *s != '_' && *s != '-')
            return 0;
    return 1;
}

size_t drv_utf8(const char *s, uint32_t *ret_char)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 1}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t len = 1; len <= DRV_ARRAY_LEN(forms); len++) {
        if (((unsigned char)*s & forms[len - 1].mask) != forms[len - 1].lead)
            continue;
        uint32_t c = (unsigned char)*s & (unsigned char)~forms[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if (((unsigned char)s[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | ((unsigned char)s[i] & 0x3f);
        }
        if (c < forms[len - 1].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return 0;
        *ret_char = c;
        return len;
    }
    return 0;
}

void drv_utf8_clean(char *s)
{
    while (*s) {
        uint32_t c;
        size_t n = drv_utf8(s, &c);
        if (!n)
            *s = '?';
        s += n ? n : 1;
    }
}
