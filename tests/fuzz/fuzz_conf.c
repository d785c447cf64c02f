// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration parser: what it takes, it shows, and takes again with the same values.
#include <stdlib.h>
#include <string.h>

#include "drover/conf.h"
#include "fuzz.h"

static const struct drv_option table[] = {
    {"on", DRV_OPT_BOOL, 0, 0, "off", NULL, NULL, true, "A switch.", NULL},
    {"n", DRV_OPT_INT, -5, 65535, "7", NULL, NULL, false, "A number.", NULL},
    {"size", DRV_OPT_BYTES, 0, INT64_MAX, "0", NULL, NULL, true, "A size.", NULL},
    {"time", DRV_OPT_DURATION, 0, INT64_MAX, "1s", NULL, NULL, true, "A time.", NULL},
    {"text", DRV_OPT_STRING, 0, 0, "", NULL, NULL, false, "A text.", NULL},
    {"kind", DRV_OPT_ENUM, 0, 0, "a", NULL, "a|bc|d", true, "A choice.", NULL},
    {"list", DRV_OPT_LIST, 0, 0, "", NULL, NULL, true, "A list.", NULL},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drv_err err = DRV_ERR_INIT;
    struct drv_conf *c = drv_conf_parse(table, (const char *)data, size, "input", &err);
    if (!c) {
        FUZZ_CHECK(err.code == DRV_EINVAL && err.msg[0]);
        return 0;
    }
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    drv_conf_show(c, f);
    fclose(f);
    struct drv_conf *again = drv_conf_parse(table, text, len, "shown", NULL);
    FUZZ_CHECK(again);
    for (const struct drv_option *o = table; o->name; o++)
        FUZZ_CHECK(!strcmp(drv_conf_str(c, o->name), drv_conf_str(again, o->name)));
    drv_conf_free(again);
    drv_conf_free(c);
    free(text);
    return 0;
}
