// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm log: what a host has written down about a VM.
#include "cli.h"

#include <string.h>

enum { KEY_LINES = 1, KEY_FOLLOW, DEFAULT_LINES = 50, MAX_LINES = 1000, FOLLOW_EVERY_MS = 1000 };

const struct argp_option cli_log_options[] = {
    {"lines", KEY_LINES, "N", 0, "So many, the newest (default 50, at most 1000)", 0},
    {"follow", KEY_FOLLOW, NULL, 0, "Show what comes, until Ctrl-C", 0},
    {0},
};

// Here a line is a line: columns would have to wait for all of them.
static void put_entries(const struct cli *c, const json_t *entries)
{
    static const struct cli_column time = {"TIME", "at", CLI_TIME};
    size_t i;
    json_t *e;
    json_array_foreach(entries, i, e)
    {
        const char *source = "", *text = "";
        json_unpack(e, "{s?s, s?s}", "source", &source, "text", &text);
        if (c->json) {
            cli_put_json(e);
            continue;
        }
        DRV_AUTO_FREE char *at = cli_cell(e, &time, c->plain);
        fputs(at, stdout);
        fputs(c->plain ? "\t" : "  ", stdout);
        drv_put(stdout, source);
        for (size_t n = strlen(source); n < 8 && !c->plain; n++)
            putchar(' ');
        fputs(c->plain ? "\t" : " ", stdout);
        drv_put(stdout, text);
        putchar('\n');
    }
    fflush(stdout);
}

int cli_vm_log(struct cli *c, const struct cli_args *a)
{
    int64_t lines = DEFAULT_LINES;
    struct drv_err err = DRV_ERR_INIT;
    const char *given = cli_opt(a, KEY_LINES);
    char next[64] = "";
    if (given && cli_parse_count(given, 1, MAX_LINES, &lines, &err) < 0)
        return cli_usage(c, "--lines: %s", err.msg);
    for (;;) {
        const char *position = "";
        DRV_AUTO_JSON json_t *reply =
            cli_call(c, "vm.log",
                     json_pack("{s:s, s:I, s:s}", "vm", a->pos[0], "lines",
                               (json_int_t)(next[0] ? MAX_LINES : lines), "after", next),
                     CLI_CALL_MS);
        if (!reply)
            return c->status;
        put_entries(c, json_object_get(reply, "entries"));
        if (!cli_opt(a, KEY_FOLLOW))
            return DRV_EXIT_OK;
        json_unpack(reply, "{s?s}", "next", &position);
        DRV_COPY(next, position);
        drv_sleep_ms(FOLLOW_EVERY_MS);
    }
}
