// SPDX-License-Identifier: GPL-3.0-or-later
// Small things that every module needs: cleanup attributes, allocation that cannot fail, ids, time.
#ifndef DROVER_UTIL_H
#define DROVER_UTIL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DRV_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define DRV_UUID_LEN 37 // text form with its NUL

// Run FN on the variable's address when it goes out of scope, its only use at times.
#define DRV_CLEANUP(fn) __attribute__((cleanup(fn), unused))
#define DRV_AUTO_FREE DRV_CLEANUP(drv_cleanup_free)   // char *p: free()
#define DRV_AUTO_CLOSE DRV_CLEANUP(drv_cleanup_close) // int fd: close() if >= 0
#define DRV_AUTO_FILE DRV_CLEANUP(drv_cleanup_file)   // FILE *f: fclose()
#define DRV_AUTO_JSON DRV_CLEANUP(drv_cleanup_json)   // json_t *j: json_decref()
// Hand a pointer out of a cleanup variable: `return DRV_TAKE(p);`
#define DRV_TAKE(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) drv_taken_ = (p);                                                            \
        (p) = NULL;                                                                                \
        drv_taken_;                                                                                \
    })

void drv_cleanup_free(void *pp);
void drv_cleanup_close(int *fd);
void drv_cleanup_file(FILE **f);
void drv_cleanup_json(json_t **j);

// Abort when memory for small, fixed-size things is gone. Anything sized by a peer is bounded
// first.
void *drv_xcalloc(size_t n, size_t size);
char *drv_xstrdup(const char *s); // NULL stays NULL
char *drv_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Copy into a fixed field; -1 when it did not fit (the field then holds the cut text).
int drv_copy(char *dst, size_t size, const char *src);
#define DRV_COPY(field, src) drv_copy((field), sizeof(field), (src))

// CLOCK_MONOTONIC in milliseconds / microseconds. Durations only: never sent to another host as a
// time.
int64_t drv_now_ms(void);
int64_t drv_now_us(void);
void drv_sleep_ms(int ms);
// CLOCK_REALTIME in milliseconds since 1970: for people, and for what must pass while nobody runs.
int64_t drv_wall_ms(void);

// The text at this key; "" when there is none. Borrowed from obj, which may be NULL.
const char *drv_json_text(const json_t *obj, const char *key);

// A new random (version 4) UUID in lower case.
void drv_uuid_new(char out[DRV_UUID_LEN]);
int drv_uuid_valid(const char *s); // 1 when s is a UUID in lower-case text form

// Bytes of the UTF-8 character at s, and that character: 0 at the end of the text and where there
// is none (RFC 3629: no overlong forms, no surrogates).
size_t drv_utf8(const char *s, uint32_t *ret_char);
// Replace every byte that is no part of a UTF-8 character by '?': what is left goes into JSON.
void drv_utf8_clean(char *s);

// text as one word of a command: in single quotes, each quote within as escape says ("'\\\\''" for
// a shell, "''" for PowerShell). Caller frees.
char *drv_quoted(const char *text, const char *escape);

// Names of VMs, stores, disks, networks: 1..max letters, digits, '.', '_', '-'; not starting with
// '.' or '-'.
int drv_name_valid(const char *s, size_t max_len);

#endif
