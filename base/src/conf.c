// SPDX-License-Identifier: GPL-3.0-or-later
// Option tables and configuration files: see conf.h.
#include "drover/conf.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"

enum { MAX_FILE = 256 * 1024, MAX_STRING = 1023, MAX_ITEMS = 64 };

struct value {
    char *text;   // canonical
    int64_t num;  // BOOL, INT, BYTES, DURATION
    char **items; // LIST; the array and the strings are one allocation
    unsigned n_items;
    bool given; // by the text being parsed
};

struct drv_conf {
    const struct drv_option *table;
    unsigned n;
    struct value *values;
    char *file; // NULL = none
};

struct unit {
    const char *name;
    int64_t factor;
};
// Largest first: canonical forms take the first that divides. Spellings with factor of an earlier
// one are for reading only.
static const struct unit byte_units[] = {{"T", 1LL << 40},   {"TiB", 1LL << 40}, {"G", 1LL << 30},
                                         {"GiB", 1LL << 30}, {"M", 1LL << 20},   {"MiB", 1LL << 20},
                                         {"K", 1LL << 10},   {"KiB", 1LL << 10}, {"", 1},
                                         {"B", 1},           {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                         {"s", 1000},     {"ms", 1},      {NULL, 0}};

const struct drv_option *drv_option_find(const struct drv_option *table, const char *name)
{
    for (const struct drv_option *o = table; o->name; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

const struct drv_option *drv_option_need(const struct drv_option *table, const char *whose,
                                         const char *name, struct drv_err *err)
{
    const struct drv_option *o = drv_option_find(table, name);
    if (o)
        return o;
    char names[sizeof err->hint] = "";
    size_t n = 0;
    for (o = table; o->name && n < sizeof names; o++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", o->name);
    drv_err(err, DRV_EINVAL, "a %s has no setting \"%.64s\"", whose, name);
    drv_err_hint(err, "it has %s", names);
    return NULL;
}

// --- values: text to number and back ---

static int parse_bool(const char *s, int64_t *ret)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(words); i++)
        if (!strcmp(s, words[i])) {
            *ret = (int64_t)(i % 2);
            return 0;
        }
    return -1;
}

// A decimal number, then blanks, then one of units (NULL: none). 0 needs no unit.
static int parse_number(const char *s, const struct unit *units, int64_t *ret)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)*s) && *s != '-')
        return -1;
    long long n = strtoll(s, &end, 10);
    if (errno || end == s)
        return -1;
    while (*end == ' ')
        end++;
    if (!units || (n == 0 && !*end)) {
        *ret = n;
        return *end ? -1 : 0;
    }
    for (const struct unit *u = units; u->name; u++)
        if (!strcmp(end, u->name))
            return __builtin_mul_overflow((int64_t)n, u->factor, ret) ? -1 : 0;
    return -1;
}

static char *format_number(int64_t n, const struct unit *units)
{
    for (const struct unit *u = units; n && u && u->name; u++)
        if (n % u->factor == 0)
            return drv_xasprintf("%lld%s", (long long)(n / u->factor), u->name);
    return drv_xasprintf("%lld", (long long)n);
}

static const struct unit *units_of(enum drv_option_type t)
{
    return t == DRV_OPT_BYTES ? byte_units : t == DRV_OPT_DURATION ? time_units : NULL;
}

// "4 items", "1 to 3 items"…: what an option expects, in words.
void drv_conf_expects(const struct drv_option *o, char *out, size_t size)
{
    DRV_AUTO_FREE char *min = format_number(o->min, units_of(o->type));
    DRV_AUTO_FREE char *max = format_number(o->max, units_of(o->type));
    const char *unit = o->unit ? o->unit : "";
    const char *gap = o->unit ? " " : "";
    switch (o->type) {
    case DRV_OPT_BOOL:
        snprintf(out, size, "on or off");
        break;
    case DRV_OPT_INT:
        snprintf(out, size, "a number from %s to %s%s%s", min, max, gap, unit);
        break;
    case DRV_OPT_BYTES:
        snprintf(out, size, "a size from %s to %s, such as 512K, 10M, 2G", min, max);
        break;
    case DRV_OPT_DURATION:
        snprintf(out, size, "a time from %s to %s, such as 500ms, 30s, 5m, 2h, 7d", min, max);
        break;
    case DRV_OPT_STRING:
        snprintf(out, size, "a text of %s to %lld characters", min,
                 (long long)(o->max ? o->max : MAX_STRING));
        break;
    case DRV_OPT_ENUM:
        snprintf(out, size, "one of %s", o->choices);
        break;
    case DRV_OPT_LIST:
        snprintf(out, size, "%s to %lld items separated by commas", min,
                 (long long)(o->max ? o->max : MAX_ITEMS));
        break;
    }
}

static int bad_value(const struct drv_option *o, const char *text, struct drv_err *err)
{
    char want[256];
    drv_conf_expects(o, want, sizeof want);
    return drv_err(err, DRV_EINVAL, "%s = %.80s: must be %s", o->name, text, want);
}

static bool is_choice(const char *choices, const char *s)
{
    size_t len = strlen(s);
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        if (n == len && !strncmp(p, s, n))
            return len > 0;
        p += n + (p[n] == '|');
    }
    return false;
}

static int parse_num_value(const struct drv_option *o, const char *text, struct value *v,
                           struct drv_err *err)
{
    if (o->type == DRV_OPT_BOOL) {
        if (parse_bool(text, &v->num) < 0)
            return bad_value(o, text, err);
        v->text = drv_xstrdup(v->num ? "on" : "off");
        return 0;
    }
    if (parse_number(text, units_of(o->type), &v->num) < 0 || v->num < o->min || v->num > o->max)
        return bad_value(o, text, err);
    v->text = format_number(v->num, units_of(o->type));
    return 0;
}

static int parse_string(const struct drv_option *o, const char *text, struct value *v,
                        struct drv_err *err)
{
    int64_t len = (int64_t)strlen(text);
    if (len < o->min || len > (o->max ? o->max : MAX_STRING))
        return bad_value(o, text, err);
    if (len > 0 && o->check && o->check(text, err) < 0)
        return drv_err_prefix(err, "%s", o->name);
    v->text = drv_xstrdup(text);
    return 0;
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t' || *s == '\r')
        s++;
    for (size_t n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]);)
        s[--n] = '\0';
    return s;
}

static int parse_list(const struct drv_option *o, const char *text, struct value *v,
                      struct drv_err *err)
{
    DRV_AUTO_FREE char *copy = drv_xstrdup(text);
    const char *found[MAX_ITEMS];
    unsigned max = o->max && o->max < MAX_ITEMS ? (unsigned)o->max : MAX_ITEMS;
    unsigned n = 0;
    size_t bytes = 1;
    char *rest = *trim(copy) ? copy : NULL; // an empty text is an empty list, not one empty item
    for (char *item; (item = strsep(&rest, ","));) {
        item = trim(item);
        if (!*item || n == max)
            return bad_value(o, text, err);
        if (o->check && o->check(item, err) < 0)
            return drv_err_prefix(err, "%s", o->name);
        bytes += strlen(item) + 2;
        found[n++] = item;
    }
    if (n < o->min)
        return bad_value(o, text, err);
    // One block: the pointers, then the items' strings.
    v->items = drv_xcalloc(1, (n + 1) * sizeof *v->items + bytes);
    v->text = drv_xcalloc(1, bytes);
    char *at = (char *)(v->items + n + 1), *text_at = v->text;
    for (unsigned i = 0; i < n; i++) {
        v->items[i] = at;
        at = stpcpy(at, found[i]) + 1;
        text_at = stpcpy(stpcpy(text_at, i ? ", " : ""), found[i]);
    }
    v->n_items = n;
    return 0;
}

static int parse_value(const struct drv_option *o, const char *text, struct value *v,
                       struct drv_err *err)
{
    switch (o->type) {
    case DRV_OPT_BOOL:
    case DRV_OPT_INT:
    case DRV_OPT_BYTES:
    case DRV_OPT_DURATION:
        return parse_num_value(o, text, v, err);
    case DRV_OPT_STRING:
        return parse_string(o, text, v, err);
    case DRV_OPT_ENUM:
        if (!is_choice(o->choices, text))
            return bad_value(o, text, err);
        v->text = drv_xstrdup(text);
        return 0;
    case DRV_OPT_LIST:
        return parse_list(o, text, v, err);
    }
    return drv_err(err, DRV_EINTERNAL, "option %s has no type", o->name);
}

static void value_done(struct value *v)
{
    free(v->text);
    free(v->items);
    *v = (struct value){0};
}

char *drv_option_canonical(const struct drv_option *o, const char *value, struct drv_err *err)
{
    struct value v = {0};
    char *text = parse_value(o, value, &v, err) < 0 ? NULL : DRV_TAKE(v.text);
    value_done(&v);
    return text;
}

// --- sets of values ---

static void conf_cleanup(struct drv_conf **c)
{
    drv_conf_free(*c);
}

struct drv_conf *drv_conf_new(const struct drv_option *table)
{
    struct drv_conf *c = drv_xcalloc(1, sizeof *c);
    c->table = table;
    while (table[c->n].name)
        c->n++;
    c->values = drv_xcalloc(c->n ? c->n : 1, sizeof *c->values);
    for (unsigned i = 0; i < c->n; i++) {
        int rc = parse_value(&table[i], table[i].def, &c->values[i], NULL);
        assert(rc == 0); // a default that its own option refuses is a bug
        (void)rc;
    }
    return c;
}

void drv_conf_free(struct drv_conf *c)
{
    if (!c)
        return;
    free(c->file);
    for (unsigned i = 0; i < c->n; i++)
        value_done(&c->values[i]);
    free(c->values);
    free(c);
}

int drv_conf_set(struct drv_conf *c, const char *name, const char *value, struct drv_err *err)
{
    const struct drv_option *o = drv_option_find(c->table, name);
    struct value v = {.given = true};
    if (!o)
        return drv_err(err, DRV_EINVAL, "unknown option \"%.60s\"", name);
    if (parse_value(o, value, &v, err) < 0) {
        value_done(&v);
        return -1;
    }
    value_done(&c->values[o - c->table]);
    c->values[o - c->table] = v;
    return 0;
}

// One line of a file: blank, "# comment", or "key = value".
static int parse_line(struct drv_conf *c, char *line, struct drv_err *err)
{
    line = trim(line);
    if (!*line || *line == '#')
        return 0;
    char *value = strchr(line, '=');
    if (!value)
        return drv_err(err, DRV_EINVAL, "\"%.60s\" is not of the form key = value", line);
    *value++ = '\0';
    const char *name = trim(line);
    const struct drv_option *o = drv_option_find(c->table, name);
    if (o && c->values[o - c->table].given)
        return drv_err(err, DRV_EINVAL, "%s is given twice", name);
    return drv_conf_set(c, name, trim(value), err);
}

// One whole file: what an earlier file gave may be given again, and the later one counts.
static int parse_text(struct drv_conf *c, const char *text, size_t len, const char *name,
                      struct drv_err *err)
{
    DRV_AUTO_FREE char *copy = drv_xcalloc(1, len + 1);
    memcpy(copy, text, len);
    if (memchr(copy, '\0', len))
        return drv_err(err, DRV_EINVAL, "%s: not a text file", name);
    for (unsigned i = 0; i < c->n; i++)
        c->values[i].given = false;
    int number = 1;
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")); number++)
        if (parse_line(c, line, err) < 0)
            return drv_err_prefix(err, "%s:%d", name, number);
    return 0;
}

struct drv_conf *drv_conf_parse(const struct drv_option *table, const char *text, size_t len,
                                const char *name, struct drv_err *err)
{
    DRV_CLEANUP(conf_cleanup) struct drv_conf *c = drv_conf_new(table);
    return parse_text(c, text, len, name, err) < 0 ? NULL : DRV_TAKE(c);
}

static int load_file(struct drv_conf *c, const char *path, struct drv_err *err)
{
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    if (!f)
        return drv_err_os(err, errno, "%s", path);
    DRV_AUTO_FREE char *text = drv_xcalloc(1, MAX_FILE + 1);
    size_t len = fread(text, 1, MAX_FILE + 1, f);
    if (ferror(f))
        return drv_err_os(err, errno, "reading %s", path);
    if (len > MAX_FILE)
        return drv_err(err, DRV_EINVAL, "%s: larger than %d bytes", path, MAX_FILE);
    return parse_text(c, text, len, path, err);
}

static int is_drop_in(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return e->d_name[0] != '.' && dot && !strcmp(dot, ".conf");
}

// Returns how many there were, or -1.
static int load_drop_ins(struct drv_conf *c, const char *folder, struct drv_err *err)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_drop_in, alphasort), rc = 0;
    if (n < 0)
        return errno == ENOENT ? 0 : drv_err_os(err, errno, "%s", folder);
    for (int i = 0; i < n; i++) {
        DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", folder, names[i]->d_name);
        if (rc == 0)
            rc = load_file(c, path, err);
        free(names[i]);
    }
    free(names);
    return rc < 0 ? -1 : n;
}

struct drv_conf *drv_conf_load(const struct drv_option *table, const char *path,
                               struct drv_err *err)
{
    DRV_CLEANUP(conf_cleanup) struct drv_conf *c = drv_conf_new(table);
    DRV_AUTO_FREE char *folder = drv_xasprintf("%s.d", path);
    struct drv_err why = DRV_ERR_INIT;
    int rc = load_file(c, path, &why);
    if (rc == 0 || why.code == DRV_ENOTFOUND) {
        int n = load_drop_ins(c, folder, err);
        if (n < 0)
            return NULL;
        if (n > 0)
            rc = 0; // drop-ins do without the main file
    }
    c->file = drv_xstrdup(path);
    if (rc == 0)
        return DRV_TAKE(c);
    if (err)
        *err = why;
    return NULL;
}

const char *drv_conf_file(const struct drv_conf *c)
{
    return c->file ? c->file : "";
}

void drv_conf_reload(struct drv_conf *conf, struct drv_conf *next, char *ignored, size_t size)
{
    size_t used = 0;
    ignored[0] = '\0';
    assert(conf->table == next->table);
    for (unsigned i = 0; i < conf->n; i++) {
        if (!strcmp(conf->values[i].text, next->values[i].text))
            continue;
        if (conf->table[i].reloadable) {
            struct value old = conf->values[i];
            conf->values[i] = next->values[i];
            next->values[i] = old;
        } else if (used < size) {
            used += (size_t)snprintf(ignored + used, size - used, "%s%s", used ? ", " : "",
                                     conf->table[i].name);
        }
    }
    drv_conf_free(next);
}

static const struct value *value_of(const struct drv_conf *c, const char *name)
{
    const struct drv_option *o = drv_option_find(c->table, name);
    assert(o);
    return &c->values[o - c->table];
}

bool drv_conf_bool(const struct drv_conf *c, const char *name)
{
    return value_of(c, name)->num != 0;
}

int64_t drv_conf_int(const struct drv_conf *c, const char *name)
{
    return value_of(c, name)->num;
}

const char *drv_conf_str(const struct drv_conf *c, const char *name)
{
    return value_of(c, name)->text;
}

unsigned drv_conf_list(const struct drv_conf *c, const char *name, const char *const **ret)
{
    const struct value *v = value_of(c, name);
    *ret = (const char *const *)v->items;
    return v->n_items;
}

// --- for people ---

void drv_conf_show(const struct drv_conf *c, FILE *out)
{
    for (unsigned i = 0; i < c->n; i++) {
        char want[256];
        drv_conf_expects(&c->table[i], want, sizeof want);
        fprintf(out, "# %s (%s%s)\n%s = %s\n", c->table[i].text, want,
                c->table[i].reloadable ? "" : "; needs a restart", c->table[i].name,
                c->values[i].text);
    }
}
