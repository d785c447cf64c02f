// SPDX-License-Identifier: GPL-3.0-or-later
// drover audit: who asked a host for what, and how it was decided.
#include "cli.h"

enum { KEY_LIMIT = 1, KEY_REFUSED, DEFAULT_ROWS = 50, MAX_ROWS = 400 };

const struct argp_option cli_audit_options[] = {
    {"limit", KEY_LIMIT, "N", 0, "So many, the newest (default 50, at most 400)", 0},
    {"refused", KEY_REFUSED, NULL, 0, "Only what was refused", 0},
    {0},
};

int cli_audit(struct cli *c, const struct cli_args *a)
{
    static const struct cli_column columns[] = {
        {"TIME", "at", CLI_TIME},
        {"WHO", "who", CLI_TEXT},
        {"FOR", "on_behalf", CLI_TEXT},
        {"VIA", "via", CLI_TEXT},
        {"ACTION", "action", CLI_TEXT},
        {"OBJECT", "object", CLI_TEXT},
        {"ALLOWED", "allowed", CLI_TEXT},
        {"REASON", "reason", CLI_TEXT},
        {0},
    };
    int64_t limit = DEFAULT_ROWS;
    struct drv_err err = DRV_ERR_INIT;
    const char *given = cli_opt(a, KEY_LIMIT);
    if (given && cli_parse_count(given, 1, MAX_ROWS, &limit, &err) < 0)
        return cli_usage(c, "--limit: %s", err.msg);
    DRV_AUTO_JSON json_t *reply = cli_call(c, "audit.list",
                                           json_pack("{s:I, s:b}", "limit", (json_int_t)limit,
                                                     "refused", cli_opt(a, KEY_REFUSED) != NULL),
                                           CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_put_list(c, reply, columns);
    return DRV_EXIT_OK;
}
