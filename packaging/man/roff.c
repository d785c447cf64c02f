// SPDX-License-Identifier: GPL-3.0-or-later
// Plain text as mdoc.
#include "man.h"

#include <ctype.h>
#include <string.h>

// One character, of one or more bytes; returns the place of its last byte.
static const char *put_char(FILE *out, const char *s)
{
    unsigned char c = (unsigned char)*s;
    if (c == '\\') {
        fputs("\\e", out);
    } else if (c == '-') {
        fputs("\\-", out);
    } else if (c < 0xc0) {
        fputc(c, out);
    } else {
        unsigned long u = c & (c < 0xe0 ? 0x1fu : c < 0xf0 ? 0x0fu : 0x07u);
        while (((unsigned char)s[1] & 0xc0) == 0x80)
            u = u << 6 | ((unsigned char)*++s & 0x3fu);
        fprintf(out, "\\[u%04lX]", u);
    }
    return s;
}

void man_quoted(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        text = put_char(out, text);
    }
}

void man_inline(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++)
        text = put_char(out, text);
}

// One line of prose: its length is roff's matter, its emphasis ours.
static void put_line(FILE *out, const char *line, size_t len)
{
    bool code = false, option = false;
    if (len && (*line == '.' || *line == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < len; i++) {
        bool starts = i == 0 || strchr(" (,", line[i - 1]);
        if (!code && !option && starts && i + 2 < len && !strncmp(line + i, "--", 2) &&
            islower((unsigned char)line[i + 2])) {
            option = true;
            fputs("\\fB", out);
        }
        if (option && !islower((unsigned char)line[i]) && line[i] != '-') {
            option = false;
            fputs("\\fR", out);
        }
        if (line[i] == '`') {
            code = !code;
            fputs(code ? "\\fB" : "\\fR", out);
            continue;
        }
        i = (size_t)(put_char(out, line + i) - line);
        // A sentence that ends within the line: a new line lets roff see it.
        if (i + 2 < len && line[i] == '.' && line[i + 1] == ' ' &&
            isupper((unsigned char)line[i + 2]) && !code) {
            fputc('\n', out);
            i++;
        }
    }
    fputs(code || option ? "\\fR\n" : "\n", out);
}

void man_prose(FILE *out, const char *text)
{
    bool literal = false, gap = false, first = true;
    while (*text) {
        size_t len = strcspn(text, "\n");
        bool indented = !strncmp(text, "  ", 2);
        if (len == 0) {
            gap = !first;
        } else {
            if (literal && !indented)
                fputs(".Ed\n", out);
            if (indented && !literal)
                fputs(".Bd -literal -offset indent\n", out);
            else if (indented && gap)
                fputc('\n', out);
            if (!indented && gap)
                fputs(".Pp\n", out);
            literal = indented;
            if (literal) {
                const char *from = text + strspn(text, " ");
                for (const char *p = from; p < text + len; p++) {
                    if (p == from && (*p == '.' || *p == '\''))
                        fputs("\\&", out);
                    p = put_char(out, p);
                }
                fputc('\n', out);
            } else {
                put_line(out, text, len);
            }
            gap = false;
            first = false;
        }
        text += len + (text[len] == '\n');
    }
    if (literal)
        fputs(".Ed\n", out);
}

void man_date(FILE *out)
{
    fputs(".Dd " DROVER_DATE "\n", out);
}

void man_head(FILE *out, const char *name, unsigned section, const char *summary)
{
    fputs(
        ".\\\" SPDX-License-Identifier: GPL-3.0-or-later\n.\\\" Made from the programs' tables.\n",
        out);
    man_date(out);
    fputs(".Dt ", out);
    for (const char *p = name; *p; p++)
        fputc(toupper((unsigned char)*p), out);
    fprintf(out, " %u\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", section, name);
    man_inline(out, summary);
    fputc('\n', out);
}
