// SPDX-License-Identifier: GPL-3.0-or-later
// Options as data: one table gives the parser of `key = value` files, the check of single values
// (`drover host set`), --show-config and the man page's section. Pure but for drv_conf_load().
#ifndef DROVER_CONF_H
#define DROVER_CONF_H

#include "drover/err.h"
#include <stdint.h>
#include <stdio.h>

enum drv_option_type {
    DRV_OPT_BOOL,     // on/off, yes/no, true/false
    DRV_OPT_INT,      // decimal, min..max
    DRV_OPT_BYTES,    // 10, 512K, 10 MiB, 1G (powers of 1024); min..max in bytes
    DRV_OPT_DURATION, // 500ms, 30s, 5m, 2h, 7d, 0; min..max in milliseconds
    DRV_OPT_STRING,   // min..max characters (max 0: 1023)
    DRV_OPT_ENUM,     // one of choices
    DRV_OPT_LIST,     // items separated by commas; min..max items (max 0: 64)
};

struct drv_option {
    const char *name; // NULL ends a table
    enum drv_option_type type;
    int64_t min, max;    // see the type
    const char *def;     // default, in the file's own syntax; never NULL
    const char *unit;    // for people: "bytes/s", "ms"; NULL = none
    const char *choices; // ENUM: "a|b|c"
    bool reloadable;     // takes effect without a restart
    const char *text;    // one or two sentences for man page and --show-config
    // Further check of a STRING or of each LIST item, NULL = none. Returns 0, or -1 with err set.
    int (*check)(const char *item, struct drv_err *err);
};

const struct drv_option *drv_option_find(const struct drv_option *table, const char *name);
// The same. NULL: DRV_EINVAL, with the names that there are; whose: "host", "VM", …
const struct drv_option *drv_option_need(const struct drv_option *table, const char *whose,
                                         const char *name, struct drv_err *err);

// Check a value and write it in its canonical form ("on", "10M", "a, b"); malloc'd.
// NULL DRV_EINVAL: what is expected.
char *drv_option_canonical(const struct drv_option *o, const char *value, struct drv_err *err);

// A set of values of a table's options. The table must outlive it.
struct drv_conf;
struct drv_conf *drv_conf_new(const struct drv_option *table); // all defaults
void drv_conf_free(struct drv_conf *c);

// Parse a whole text. name: for messages ("name:LINE: …"). Unknown and repeated keys are errors.
struct drv_conf *drv_conf_parse(const struct drv_option *table, const char *text, size_t len,
                                const char *name, struct drv_err *err);
// The same from the file path and then from the drop-ins path.d/*.conf, in the order of their names
// (bytes): what a later file says of an option counts. Each file is of at most 256 KiB; a mistake
// in one of them refuses all. DRV_ENOTFOUND when there is none of them. Blocking.
struct drv_conf *drv_conf_load(const struct drv_option *table, const char *path,
                               struct drv_err *err);
// The file it was loaded from; "" = none.
const char *drv_conf_file(const struct drv_conf *c);
// Take next's reloadable values into *conf and free next. Names of changed options that need a
// restart are written to ignored ("port, socket"; "" if none).
void drv_conf_reload(struct drv_conf *conf, struct drv_conf *next, char *ignored, size_t size);
int drv_conf_set(struct drv_conf *c, const char *name, const char *value, struct drv_err *err);

// Values. Asking for a name that is not in the table, or by the wrong type, is a bug (assert).
bool drv_conf_bool(const struct drv_conf *c, const char *name);
int64_t drv_conf_int(const struct drv_conf *c, const char *name);     // INT, BYTES, DURATION (ms)
const char *drv_conf_str(const struct drv_conf *c, const char *name); // any type: canonical text
// Items of a LIST: *ret is an array of n strings, borrowed until the value changes. Returns n.
unsigned drv_conf_list(const struct drv_conf *c, const char *name, const char *const **ret);

// Write all options with their texts, as a file that drv_conf_parse() reads.
void drv_conf_show(const struct drv_conf *c, FILE *out);
// What values an option takes, in words.
void drv_conf_expects(const struct drv_option *o, char *out, size_t size);

#endif
