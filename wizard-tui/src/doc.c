// SPDX-License-Identifier: GPL-3.0-or-later
// Lines of text: see doc.h.
#include "doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "drover/util.h"

enum { SIDE_FROM = 100 };

void tui_doc_done(struct tui_doc *d)
{
    free(d->lines);
    *d = (struct tui_doc){0};
}

static struct tui_line *append(struct tui_doc *d, enum tui_style style, uint32_t id)
{
    static struct tui_line overflow; // written, never shown
    if (d->n == TUI_LINES_MAX)
        return &overflow;
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->lines = realloc(d->lines, d->cap * sizeof *d->lines);
        if (!d->lines)
            abort();
    }
    struct tui_line *l = &d->lines[d->n++];
    *l = (struct tui_line){.style = style, .id = id, .of = id};
    return l;
}

struct tui_line *tui_add(struct tui_doc *d, enum tui_style style, uint32_t id, const char *fmt, ...)
{
    struct tui_line *l = append(d, style, id);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->text, sizeof l->text, fmt, ap);
    va_end(ap);
    tui_clean(l->text, d->ascii);
    return l;
}

bool tui_side_begin(struct tui_doc *d)
{
    if (d->columns < SIDE_FROM)
        return false;
    d->side_columns = TUI_SIDE_COLUMNS;
    d->columns -= TUI_SIDE_COLUMNS;
    return true;
}

void tui_side_add(struct tui_doc *d, enum tui_style style, const char *fmt, ...)
{
    if (d->n_side == TUI_SIDE_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->side[d->n_side].text, sizeof d->side[0].text, fmt, ap);
    va_end(ap);
    tui_clean(d->side[d->n_side].text, d->ascii);
    d->side[d->n_side++].style = style;
}

void tui_belong(struct tui_doc *d, unsigned from, uint32_t id)
{
    for (unsigned i = from; i < d->n; i++)
        d->lines[i].of = id;
}

uint32_t tui_item_at(const struct tui_doc *d, int line)
{
    return line >= 0 && (unsigned)line < d->n ? d->lines[line].of : 0;
}

// How much of the text goes on a line: all of it, else up to a blank, if there is one.
static unsigned line_of(const char *text, unsigned width)
{
    unsigned take = tui_fit(text, width), cut = take;
    if (text[take])
        while (cut > 0 && text[cut] != ' ')
            cut--;
    return cut ? cut : take ? take : 1;
}

// The first line has the id, and `first` blanks instead of `indent`.
__attribute__((format(printf, 6, 0))) static void add_broken(struct tui_doc *d,
                                                             enum tui_style style, uint32_t id,
                                                             unsigned first, unsigned indent,
                                                             const char *fmt, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    tui_clean(text, d->ascii);
    for (const char *p = text; *p;) {
        unsigned blanks = p == text ? first : indent;
        unsigned cut = line_of(p, d->columns > blanks + 20 ? d->columns - blanks - 1 : 20);
        tui_add(d, style, p == text ? id : 0, "%*s%.*s", (int)blanks, "", (int)cut, p);
        p += cut;
        p += strspn(p, " ");
    }
}

void tui_add_wrapped(struct tui_doc *d, enum tui_style style, unsigned indent, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_broken(d, style, 0, indent, indent, fmt, ap);
    va_end(ap);
}

void tui_add_item(struct tui_doc *d, enum tui_style style, uint32_t id, unsigned indent,
                  const char *fmt, ...)
{
    va_list ap;
    unsigned from = d->n;
    va_start(ap, fmt);
    add_broken(d, style, id, 0, indent, fmt, ap);
    va_end(ap);
    tui_belong(d, from, id);
}

void tui_doc_filter(struct tui_doc *d, const char *filter)
{
    unsigned kept = 0;
    bool item = true; // the last one is kept
    for (unsigned i = 0; i < d->n; i++) {
        const struct tui_line *l = &d->lines[i];
        if (l->id)
            item = !*filter || strcasestr(l->text, filter);
        if (l->of && !item)
            continue;
        if (kept != i)
            d->lines[kept] = *l;
        kept++;
    }
    d->n = kept;
}

int tui_doc_find(const struct tui_doc *d, uint32_t id)
{
    int first = -1, usable = -1;
    for (unsigned i = 0; i < d->n; i++) {
        const struct tui_line *l = &d->lines[i];
        if (l->id && l->id == id)
            return (int)i;
        if (l->id && first < 0)
            first = (int)i;
        if (l->id && !l->off && usable < 0)
            usable = (int)i;
    }
    return usable >= 0 ? usable : first;
}

// FNV-1a.
static uint32_t hash(uint32_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return (h ^ '/') * 16777619u;
}

uint32_t tui_id(const char *a, const char *b)
{
    uint32_t h = hash(hash(2166136261u, a), b);
    return h ? h : 1;
}

// ---- text ----

static unsigned char_width(uint32_t c)
{
    int w = wcwidth((wchar_t)c);
    return w > 0 ? (unsigned)w : w == 0 ? 0 : 1;
}

unsigned tui_width(const char *text)
{
    unsigned columns = 0;
    uint32_t c;
    for (size_t n; (n = drv_utf8(text, &c)) > 0; text += n)
        columns += char_width(c);
    return columns;
}

unsigned tui_fit(const char *text, unsigned columns)
{
    unsigned used = 0, bytes = 0;
    uint32_t c;
    for (size_t n; (n = drv_utf8(text + bytes, &c)) > 0; bytes += (unsigned)n) {
        used += char_width(c);
        if (used > columns)
            break;
    }
    return bytes;
}

void tui_clean(char *text, bool ascii)
{
    char *out = text;
    drv_utf8_clean(text);
    uint32_t c;
    for (size_t n; (n = drv_utf8(text, &c)) > 0; text += n) {
        bool control = c < ' ' || (c >= 0x7f && c < 0xa0);
        if (control || (ascii && c > 0x7f)) {
            *out++ = '?';
        } else {
            memmove(out, text, n);
            out += n;
        }
    }
    *out = '\0';
}

void tui_bar(char *ret, unsigned size, unsigned columns, unsigned permille, bool ascii)
{
    unsigned filled = columns * (permille < 1000 ? permille : 1000) / 1000;
    size_t at = 0;
    at += (size_t)snprintf(ret, size, "[");
    for (unsigned i = 0; i < columns && at + 5 < size; i++)
        at += (size_t)snprintf(ret + at, size - at, "%s",
                               i < filled ? (ascii ? "#" : "█") : (ascii ? "." : "·"));
    snprintf(ret + at, size - at, "]");
}

void tui_spark(char *ret, unsigned size, const int64_t *samples, unsigned n, int64_t max,
               bool ascii)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {"_", ".", "-", ":", "=", "+", "*", "#"};
    size_t at = 0;
    *ret = '\0';
    for (unsigned i = 0; i < n && at + 4 < size; i++) {
        unsigned k = max > 0 ? (unsigned)((double)samples[i] * 7.99 / (double)max) : 0;
        k = k < 8 ? k : 7;
        at += (size_t)snprintf(ret + at, size - at, "%s", ascii ? plain[k] : blocks[k]);
    }
}

const char *tui_mark(enum tui_style style)
{
    static const char *const marks[TUI_STYLE_MAX_] = {
        [TUI_PLAIN] = "  ", [TUI_HEAD] = "  ", [TUI_DIM] = "..",
        [TUI_GOOD] = "OK",  [TUI_WARN] = "!!", [TUI_BAD] = "XX",
    };
    return marks[style];
}
