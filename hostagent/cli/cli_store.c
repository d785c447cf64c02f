// SPDX-License-Identifier: GPL-3.0-or-later
// drover store: where images lie.
#include "cli.h"

#include <string.h>

int cli_store_list(struct cli *c, const struct cli_args *a)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_TEXT},          {"FREE", "free_bytes", CLI_BYTES},
        {"TOTAL", "total_bytes", CLI_BYTES}, {"ADDRESS", "url", CLI_TEXT},
        {"ERROR", "error", CLI_TEXT},        {0},
    };
    (void)a;
    DRV_AUTO_JSON json_t *reply = cli_call(c, "store.list", NULL, CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_put_list(c, reply, columns);
    return DRV_EXIT_OK;
}

int cli_store_add(struct cli *c, const struct cli_args *a)
{
    if (!drv_name_valid(a->pos[0], 63))
        return cli_usage(c, "\"%s\" is not a name: letters, digits, \".\", \"_\" and \"-\"",
                         a->pos[0]);
    if (strncmp(a->pos[1], "smb://", 6) != 0 && strncmp(a->pos[1], "local:/", 7) != 0)
        return cli_usage(c, "\"%s\" is neither smb://SERVER/SHARE[/PATH] nor local:/PATH",
                         a->pos[1]);
    DRV_AUTO_JSON json_t *reply = cli_call(
        c, "store.add", json_pack("{s:s, s:s}", "name", a->pos[0], "url", a->pos[1]), CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    bool added = json_is_true(json_object_get(reply, "added"));
    cli_say(c, "Store %s %s. `drover store check %s` tells whether VMs can live there.", a->pos[0],
            added ? "added" : "is there already", a->pos[0]);
    return DRV_EXIT_OK;
}

int cli_store_set(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *set = cli_key_values(c, a, 1);
    if (!set)
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = cli_call(
        c, "store.set", json_pack("{s:s, s:O}", "name", a->pos[0], "set", set), CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_say(c, "From the next start of a VM on:");
    return cli_put_settings(c, set, reply);
}

int cli_store_check(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "store.check", json_pack("{s:s}", "name", a->pos[0]), CLI_LONG_MS);
    return reply ? cli_put_findings(c, reply) : c->status;
}

int cli_store_remove(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "store.remove", json_pack("{s:s}", "name", a->pos[0]), CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_say(c, "Store %s forgotten; what lies there was not touched.", a->pos[0]);
    return DRV_EXIT_OK;
}
