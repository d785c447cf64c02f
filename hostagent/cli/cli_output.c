// SPDX-License-Identifier: GPL-3.0-or-later
// Output: data on stdout, messages on stderr. Everything that came over a wire loses its control
// characters on the way to a terminal; JSON escapes them itself.
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool cli_colour(const struct cli *c, FILE *f)
{
    const char *no = getenv("NO_COLOR"), *ours = getenv("DROVER_NO_COLOR"), *term = getenv("TERM");
    return !c->no_color && !c->plain && isatty(fileno(f)) && !(no && *no) && !(ours && *ours) &&
           term && *term && strcmp(term, "dumb") != 0;
}

void cli_put_json(const json_t *obj)
{
    DRV_AUTO_JSON json_t *line = json_pack("{s:i}", "schema", 1);
    json_object_update((json_t *)line, (json_t *)obj);
    json_dumpf(line, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    fflush(stdout);
}

int cli_error(const struct cli *c, const struct drv_err *err)
{
    if (c->json) {
        DRV_AUTO_JSON json_t *j =
            json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "event", "error", "error", "id", err->id,
                      "code", drv_code_name(err->code), "msg", err->msg, "hint", err->hint);
        if (j)
            cli_put_json(j);
    }
    fputs("drover: ", stderr);
    drv_put(stderr, err->msg);
    if (err->id[0])
        fprintf(stderr, " [%s]", err->id);
    fputc('\n', stderr);
    if (err->hint[0]) {
        fputs("  hint: ", stderr);
        drv_put(stderr, err->hint);
        fputc('\n', stderr);
    }
    return (int)drv_err_exit(err);
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char msg[512];
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    fputs("drover: ", stderr);
    drv_put(stderr, msg);
    fprintf(stderr, "\n  hint: see drover %s%s%s --help\n", c->verb->noun, c->verb->verb ? " " : "",
            c->verb->verb ? c->verb->verb : "");
    return DRV_EXIT_USAGE;
}

static void put_line(const char *fmt, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, ap);
    drv_put(stdout, text);
    fputc('\n', stdout);
}

void cli_line(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(fmt, ap);
    va_end(ap);
}

void cli_say(const struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!c->quiet && !c->json && !c->plain)
        put_line(fmt, ap);
    va_end(ap);
}

void cli_say_notices(const struct cli *c, const json_t *reply)
{
    size_t i;
    json_t *notice;
    json_array_foreach(json_object_get(reply, "notices"), i, notice)
    {
        const char *text = json_string_value(notice);
        cli_say(c, "Note: %s", text ? text : "");
    }
}

bool cli_confirm(const struct cli *c, const char *fmt, ...)
{
    if (c->yes)
        return true;
    char text[512], answer[16];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (c->no_input || !isatty(STDIN_FILENO)) {
        cli_usage(c, "not confirmed: %s Say --yes", text);
        return false;
    }
    drv_put(stderr, text);
    fputs(" [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

// ---- cells ----

static const json_t *member(const json_t *row, const char *key)
{
    const char *dot = strchr(key, '.');
    if (!dot)
        return json_object_get(row, key);
    DRV_AUTO_FREE char *first = strndup(key, (size_t)(dot - key));
    return first ? member(json_object_get(row, first), dot + 1) : NULL;
}

static char *wall_time(const json_t *v, bool raw)
{
    time_t t = (time_t)(json_integer_value(v) / 1000);
    struct tm tm;
    char text[32];
    strftime(text, sizeof text, raw ? "%Y-%m-%dT%H:%M:%S%z" : "%Y-%m-%d %H:%M",
             localtime_r(&t, &tm));
    return drv_xstrdup(text);
}

static char *plain_value(const json_t *v)
{
    if (json_is_string(v))
        return drv_xstrdup(json_string_value(v));
    if (!v || json_is_null(v))
        return drv_xstrdup("");
    if (json_is_boolean(v))
        return drv_xstrdup(json_is_true(v) ? "yes" : "no");
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    return text ? text : drv_xstrdup("");
}

char *cli_cell(const json_t *row, const struct cli_column *column, bool raw)
{
    const json_t *v = member(row, column->key);
    if (column->format == CLI_TIME && json_is_integer(v))
        return wall_time(v, raw);
    if (raw)
        return plain_value(v);
    if (json_is_integer(v) && (column->format == CLI_BYTES || column->format == CLI_KIB))
        return drv_xstrdup(
            drv_fmt_bytes(json_integer_value(v) * (column->format == CLI_KIB ? 1024 : 1)).s);
    char *text = plain_value(v);
    if (column->format == CLI_SHORT_HOST)
        text[strcspn(text, ".")] = '\0';
    else if (column->format == CLI_SHORT_ID && strlen(text) > 8)
        text[8] = '\0';
    return text;
}

// Columns on the screen: UTF-8 continuation bytes take none.
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_table(const json_t *rows, const struct cli_column *columns, unsigned n)
{
    int width[16] = {0};
    size_t i;
    json_t *row;
    for (unsigned k = 0; k < n; k++) {
        width[k] = width_of(columns[k].head);
        json_array_foreach(rows, i, row)
        {
            DRV_AUTO_FREE char *cell = cli_cell(row, &columns[k], false);
            if (width_of(cell) > width[k])
                width[k] = width_of(cell);
        }
    }
    for (unsigned k = 0; k < n; k++)
        printf("%-*s%s", k + 1 < n ? width[k] : 0, columns[k].head, k + 1 < n ? "  " : "\n");
    json_array_foreach(rows, i, row)
    {
        for (unsigned k = 0; k < n; k++) {
            DRV_AUTO_FREE char *cell = cli_cell(row, &columns[k], false);
            drv_put(stdout, *cell ? cell : "-");
            if (k + 1 < n)
                printf("%*s", width[k] - width_of(*cell ? cell : "-") + 2, "");
        }
        fputc('\n', stdout);
    }
}

void cli_put_list(const struct cli *c, const json_t *rows, const struct cli_column *columns)
{
    unsigned n = 0;
    size_t i;
    json_t *row;
    while (n < 16 && columns[n].head)
        n++;
    if (!c->json && !c->plain) {
        if (json_array_size(rows) || !c->quiet)
            put_table(rows, columns, n);
        return;
    }
    json_array_foreach(rows, i, row)
    {
        if (c->json) {
            cli_put_json(row);
            continue;
        }
        for (unsigned k = 0; k < n; k++) {
            DRV_AUTO_FREE char *cell = cli_cell(row, &columns[k], true);
            drv_put(stdout, cell);
            fputc(k + 1 < n ? '\t' : '\n', stdout);
        }
    }
}

// ---- objects ----

// Flatten value into out, an array of [name, text] pairs: members as "a.b", list elements by their
// id or place.
static void flatten(const char *prefix, const json_t *value, json_t *out)
{
    const char *key;
    json_t *v;
    size_t i;
    const json_t *first = json_array_get(value, 0);
    if (json_is_object(value) && json_object_size(value)) {
        json_object_foreach((json_t *)value, key, v)
        {
            DRV_AUTO_FREE char *name = drv_xasprintf("%s%s%s", prefix, *prefix ? "." : "", key);
            flatten(name, v, out);
        }
    } else if (json_is_object(first) || json_is_array(first)) {
        json_array_foreach(value, i, v)
        {
            const char *id = json_string_value(json_object_get(v, "id"));
            DRV_AUTO_FREE char *name =
                id ? drv_xasprintf("%s.%s", prefix, id) : drv_xasprintf("%s.%zu", prefix, i);
            flatten(name, v, out);
        }
    } else {
        DRV_AUTO_FREE char *text = plain_value(value);
        json_array_append_new(out, json_pack("[ss]", prefix, text));
    }
}

void cli_put_object(const struct cli *c, const json_t *obj)
{
    if (c->json) {
        cli_put_json(obj);
        return;
    }
    DRV_AUTO_JSON json_t *lines = json_array();
    flatten("", obj, lines);
    size_t i;
    json_t *line;
    int width = 0;
    json_array_foreach(lines, i, line)
    {
        int w = width_of(json_string_value(json_array_get(line, 0)));
        width = w > width ? w : width;
    }
    json_array_foreach(lines, i, line)
    {
        const char *name = json_string_value(json_array_get(line, 0));
        drv_put(stdout, name);
        if (c->plain)
            fputc('\t', stdout);
        else
            printf("%*s", width - width_of(name) + 2, "");
        drv_put(stdout, json_string_value(json_array_get(line, 1)));
        fputc('\n', stdout);
    }
}
