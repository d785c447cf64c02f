// SPDX-License-Identifier: GPL-3.0-or-later
// Argument vector: see argv.h. Short strings of our own making, so memory for them cannot be
// refused.
#include "argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"

__attribute__((format(printf, 1, 0))) static char *format(const char *fmt, va_list ap)
{
    char *text;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    return text;
}

void ha_argv_add(struct ha_argv *a, const char *fmt, ...)
{
    if (a->n + 2 > a->cap) {
        a->cap = a->cap ? a->cap * 2 : 64;
        a->v = realloc(a->v, a->cap * sizeof *a->v);
        if (!a->v)
            abort();
    }
    va_list ap;
    va_start(ap, fmt);
    a->v[a->n++] = format(fmt, ap);
    va_end(ap);
    a->v[a->n] = NULL;
}

void ha_argv_append(struct ha_argv *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    DRV_AUTO_FREE char *more = format(fmt, ap);
    va_end(ap);
    char *last = a->v[a->n - 1];
    a->v[a->n - 1] = drv_xasprintf("%s%s", last, more);
    free(last);
}

void ha_argv_done(struct ha_argv *a)
{
    for (unsigned i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct ha_argv){.v = NULL};
}

char *ha_argv_text(const struct ha_argv *a)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    if (!f)
        abort();
    for (unsigned i = 0; i < a->n; i++) {
        fputs(i ? " '" : "'", f);
        for (const char *p = a->v[i]; *p; p++)
            fputs(*p == '\'' ? "'\\''" : (const char[]){*p, '\0'}, f);
        fputc('\'', f);
    }
    fclose(f);
    return out;
}
