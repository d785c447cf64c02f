// SPDX-License-Identifier: GPL-3.0-or-later
// The connection to an agent, made by the first call.
#include "cli.h"

int cli_connect(struct cli *c, struct drv_err *err)
{
    if (!c->client)
        c->client = drv_connect(c->host, c->verb->kerberos, &c->no_ticket, err);
    return c->client ? 0 : -1;
}

json_t *cli_try(struct cli *c, const char *name, json_t *args, int timeout_ms, struct drv_err *err)
{
    if (cli_connect(c, err)) {
        json_decref(args);
        return NULL;
    }
    json_t *reply = drv_client_call(c->client, name, args, timeout_ms, err);
    if (!reply && err->code == DRV_EDENIED && c->no_ticket)
        drv_err_hint(err, "you have no Kerberos ticket: kinit USER");
    return reply;
}

json_t *cli_call(struct cli *c, const char *name, json_t *args, int timeout_ms)
{
    struct drv_err err = DRV_ERR_INIT;
    json_t *reply = cli_try(c, name, args, timeout_ms, &err);
    if (!reply)
        c->status = cli_error(c, &err);
    return reply;
}

void cli_disconnect(struct cli *c)
{
    drv_client_free(c->client);
    c->client = NULL;
}
