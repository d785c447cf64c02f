// SPDX-License-Identifier: GPL-3.0-or-later
// Permits on the command line: when one is asked for, and what is said about it.
#include "cli.h"

#include "drover/wire.h"
#include <string.h>

// All agents listen on one port: the one that -H names.
static unsigned agent_port(const struct cli *c)
{
    char host[256];
    unsigned port = DRV_WIRE_PORT;
    struct drv_err ignored = DRV_ERR_INIT;
    if (c->host)
        drv_host_port(c->host, host, sizeof host, &port, &ignored);
    return port;
}

void cli_permit_drop(json_t *args)
{
    json_t *permit = json_object_get(args, "permit");
    if (!permit)
        return;
    explicit_bzero((char *)json_string_value(permit), json_string_length(permit));
    json_object_del(args, "permit");
}

int cli_permit_add(struct cli *c, json_t *args, bool for_move, struct drv_err *err)
{
    char permit[DRV_PERMIT_LEN];
    const char *vm = json_string_value(json_object_get(args, "vm"));
    const char *to = json_string_value(json_object_get(args, "to"));
    cli_permit_drop(args);
    if (cli_connect(c, err))
        return -1;
    struct drv_permit_request rq = {
        .source = c->client, .vm = vm, .to = to, .port = agent_port(c), .for_move = for_move};
    if ((c->get_permit ? c->get_permit : drv_permit_get)(&rq, permit, err) < 0)
        return -1;
    json_object_set_new(args, "permit", json_string(permit));
    explicit_bzero(permit, sizeof permit);
    return 0;
}

static void say(const struct cli *c, const char *to, const struct drv_err *why)
{
    DRV_AUTO_FREE char *text =
        strcmp(why->id, "D15")
            ? drv_xasprintf("No delegation (%s): with a permit of %s instead.", why->id, to)
            : drv_xasprintf("With a permit of %s.", to);
    cli_say(c, "%s", text);
    if (!c->json)
        return;
    DRV_AUTO_JSON json_t *notice = json_pack("{s:s, s:s, s:s, s:s}", "event", "notice", "id",
                                             why->id, "text", text, "why", why->msg);
    cli_put_json(notice);
}

bool cli_permit_instead(struct cli *c, json_t *args, bool for_move, const struct drv_err *why,
                        struct drv_err *ret_err)
{
    if (!drv_permit_helps(why->id) || cli_permit_add(c, args, for_move, ret_err) < 0)
        return false;
    say(c, json_string_value(json_object_get(args, "to")), why);
    return true;
}
