// SPDX-License-Identifier: GPL-3.0-or-later
// Sizes and durations: read in the syntax of configuration files (drover/conf.h), written for
// people.
#include "cli.h"

#include <string.h>

#include "drover/conf.h"
#include <inttypes.h>

static int parse(enum drv_option_type type, const char *name, const char *text, int64_t min,
                 int64_t max, int64_t *ret, struct drv_err *err)
{
    char def[24];
    snprintf(def, sizeof def, "%" PRId64, min);
    const struct drv_option table[] = {
        {.name = name, .type = type, .min = min, .max = max, .def = def},
        {0},
    };
    struct drv_conf *conf = drv_conf_new(table);
    int rc = drv_conf_set(conf, name, text, err);
    if (rc == 0)
        *ret = drv_conf_int(conf, name);
    drv_conf_free(conf);
    return rc;
}

int cli_parse_size(const char *text, int64_t *ret_bytes, struct drv_err *err)
{
    return parse(DRV_OPT_BYTES, "size", text, 0, INT64_C(1) << 60, ret_bytes, err);
}

int cli_parse_duration(const char *text, int64_t *ret_ms, struct drv_err *err)
{
    return parse(DRV_OPT_DURATION, "time", text, 0, INT64_C(10) * 365 * 86400 * 1000, ret_ms, err);
}

int cli_parse_pause(const char *text, int64_t *ret_ms, struct drv_err *err)
{
    bool bare = text[0] && strspn(text, "0123456789") == strlen(text);
    return bare ? cli_parse_count(text, 1, 3600000, ret_ms, err)
                : cli_parse_duration(text, ret_ms, err);
}

int cli_parse_count(const char *text, int64_t min, int64_t max, int64_t *ret, struct drv_err *err)
{
    return parse(DRV_OPT_INT, "number", text, min, max, ret, err);
}
