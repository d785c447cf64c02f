// SPDX-License-Identifier: GPL-3.0-or-later
// drover adjust: what a move under way may do, by the agent's call move.set; and the same as the
// command that takes one of the choices which the agent offers (docs/WIRE.md).
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BLACKOUT = 1, KEY_BANDWIDTH, KEY_THROTTLE, KEY_WAIT };

const struct argp_option cli_adjust_options[] = {
    {"max-blackout", KEY_BLACKOUT, "TIME", 0, "The longest pause of the guest, such as 500ms or 2s",
     0},
    {"bandwidth", KEY_BANDWIDTH, "SIZE", 0, "Bytes a second that it may take of the link", 0},
    {"throttle", KEY_THROTTLE, "PERCENT", 0,
     "The most of its processors' time that may be taken from the guest until it has moved, 1 to "
     "99",
     0},
    {"wait", KEY_WAIT, "TIME", 0, "How long it goes on without converging, from now on", 0},
    {0},
};

static int parse_percent(const char *text, int64_t *ret, struct drv_err *err)
{
    return cli_parse_count(text, 1, 99, ret, err);
}

static int parse_seconds(const char *text, int64_t *ret, struct drv_err *err)
{
    int rc = cli_parse_duration(text, ret, err);
    *ret /= 1000;
    return rc;
}

// An option and the argument of move.set that it is.
static const struct {
    int key;
    const char *option, *arg;
    int (*parse)(const char *text, int64_t *ret, struct drv_err *err);
} settings[] = {
    {KEY_BLACKOUT, "max-blackout", "max_blackout_ms", cli_parse_pause},
    {KEY_BANDWIDTH, "bandwidth", "bandwidth_bps", cli_parse_size},
    {KEY_THROTTLE, "throttle", "throttle_percent", parse_percent},
    {KEY_WAIT, "wait", "wait_s", parse_seconds},
};

int cli_adjust(struct cli *c, const struct cli_args *a)
{
    char id[DRV_UUID_LEN];
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *args = json_object();
    for (size_t i = 0; i < DRV_ARRAY_LEN(settings); i++) {
        const char *text = cli_opt(a, settings[i].key);
        int64_t n = 0;
        if (text && settings[i].parse(text, &n, &err))
            return cli_usage(c, "--%s: %s", settings[i].option, err.msg);
        if (text)
            json_object_set_new(args, settings[i].arg, json_integer(n));
    }
    if (!json_object_size(args))
        return cli_usage(c, "what is to change? Such as: drover adjust %s --wait 10m", a->pos[0]);
    if (cli_move_id(c, a->pos[0], id))
        return c->status;
    json_object_set_new(args, "move", json_string(id));
    DRV_AUTO_JSON json_t *reply = cli_call(c, "move.set", DRV_TAKE(args), CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    cli_say(c, "Move %.8s goes on with that; `drover attach %.8s` shows how.", id, id);
    return DRV_EXIT_OK;
}

char *cli_choice_command(const char *host, const char *move, const json_t *choice)
{
    const char *call = drv_json_text(choice, "call"), *key;
    json_t *value;
    DRV_AUTO_FREE char *of = drv_xasprintf("drover%s%s", host ? " -H " : "", host ? host : "");
    if (!strcmp(call, "move.cancel"))
        return drv_xasprintf("%s cancel %.8s", of, move);
    if (strcmp(call, "move.set") != 0)
        return NULL;
    char *ret = drv_xasprintf("%s adjust %.8s", of, move);
    json_object_foreach(json_object_get(choice, "args"), key, value)
    {
        size_t i = 0;
        while (i < DRV_ARRAY_LEN(settings) && strcmp(settings[i].arg, key) != 0)
            i++;
        char *longer =
            i == DRV_ARRAY_LEN(settings)
                ? NULL
                : drv_xasprintf("%s --%s=%" JSON_INTEGER_FORMAT "%s", ret, settings[i].option,
                                json_integer_value(value), settings[i].key == KEY_WAIT ? "s" : "");
        free(ret);
        if (!longer)
            return NULL; // of a later agent: the wizard can do it
        ret = longer;
    }
    return ret;
}
