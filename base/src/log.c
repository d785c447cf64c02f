// SPDX-License-Identifier: GPL-3.0-or-later
// Logging: see log.h. A line is built in one buffer and written by one write(), so that lines of
// different threads never mix.
#include "drover/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int max_priority = LOG_INFO;

struct line {
    char text[2048];
    size_t len;
};

void drv_log_level(int priority)
{
    max_priority = priority;
}

static void put_char(struct line *l, char c)
{
    if (l->len < sizeof l->text - 2) // room for the closing quote and the newline
        l->text[l->len++] = c;
}

static void put_text(struct line *l, const char *s)
{
    for (; *s; s++)
        put_char(l, *s);
}

// Values come from peers, guests and files: escape whatever could forge a line or move a terminal.
static void put_quoted(struct line *l, const char *s)
{
    put_char(l, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            put_char(l, '\\');
            put_char(l, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            char hex[8];
            snprintf(hex, sizeof hex, "\\x%02x", c);
            put_text(l, hex);
        } else {
            put_char(l, (char)c);
        }
    }
    l->text[l->len++] = '"';
}

void drv_log_fields(int priority, const struct drv_field *const fields[])
{
    if (priority > max_priority)
        return;
    struct line l = {.len = 0};
    l.len = (size_t)snprintf(l.text, sizeof l.text, "<%d>%s", priority, fields[0]->str);
    for (int i = 1; fields[i]; i++) {
        const struct drv_field *f = fields[i];
        put_char(&l, ' ');
        put_text(&l, f->key);
        put_char(&l, '=');
        if (f->type == DRV_F_I64) {
            char num[24];
            snprintf(num, sizeof num, "%lld", (long long)f->i64);
            put_text(&l, num);
        } else if (l.len < sizeof l.text - 4) {
            put_quoted(&l, f->str ? f->str : "");
        }
    }
    l.text[l.len++] = '\n';
    if (write(STDERR_FILENO, l.text, l.len) < 0) {
        // Nowhere left to report it.
    }
}

void drv_log_err(int priority, const char *event, const struct drv_err *err)
{
    drv_log(priority, event, F_STR("code", drv_code_name(err->code)), F_STR("id", err->id),
            F_STR("msg", err->msg), F_STR("hint", err->hint));
}
