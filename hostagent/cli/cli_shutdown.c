// SPDX-License-Identifier: GPL-3.0-or-later
// drover host shutdown-guests: what a host's unit runs when the host shuts down.
#include "cli.h"

#include <string.h>

enum { KEY_TIMEOUT = 1 };

const struct argp_option cli_shutdown_options[] = {
    {"timeout", KEY_TIMEOUT, "TIME", 0,
     "Wait for all of them together for at most so long (default: the host's setting "
     "shutdown_wait)",
     0},
    {0},
};

static const struct {
    const char *end, *words;
} ends[] = {{"off", "has shut down"},
            {"forced", "did not shut down; the plug was pulled"},
            {"left", "runs on"},
            {"gone", "is not here any more"},
            {"failed", "could not be shut down"}};

static const char *words_of(const char *end)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(ends); i++)
        if (!strcmp(ends[i].end, end))
            return ends[i].words;
    return end;
}

static void on_guest(const json_t *event, void *arg)
{
    const struct cli *c = arg;
    const char *vm = "", *end = "", *msg = "";
    json_int_t took_ms = 0;
    if (json_unpack((json_t *)event, "{s:s, s:s, s:s, s:I}", "vm", &vm, "end", &end, "msg", &msg,
                    "took_ms", &took_ms) < 0)
        return;
    if (c->json)
        cli_put_json(event);
    else
        cli_say(c, "%s %s%s%s (%s)", vm, words_of(end), *msg ? ": " : "", msg,
                drv_fmt_ms((double)took_ms).s);
}

// Did one end otherwise than its on_host_shutdown wants?
static int count_failed(const json_t *reply)
{
    int failed = 0;
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(reply, "guests"), i, g)
    {
        const char *end = json_string_value(json_object_get(g, "end"));
        failed += !end || !strcmp(end, "failed");
    }
    return failed;
}

int cli_host_shutdown_guests(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *timeout = cli_opt(a, KEY_TIMEOUT);
    int64_t ms = 0;
    if (timeout && cli_parse_duration(timeout, &ms, &err))
        return cli_usage(c, "--timeout: %s", err.msg);
    if (timeout && (ms < 1000 || ms > 3600 * 1000))
        return cli_usage(c, "--timeout: 1s to 1h");
    if (!cli_confirm(c, "Shut down all guests of %s?", c->host ? c->host : "this host"))
        return DRV_EXIT_USAGE;
    if (cli_connect(c, &err))
        return cli_error(c, &err);
    drv_client_on_event(c->client, on_guest, c);
    json_t *args = ms ? json_pack("{s:I}", "wait_s", (json_int_t)(ms / 1000)) : NULL;
    DRV_AUTO_JSON json_t *reply = cli_try(c, "host.shutdown_guests", args, 0, &err);
    drv_client_on_event(c->client, NULL, NULL);
    if (!reply)
        return cli_error(c, &err);
    if (json_array_size(json_object_get(reply, "guests")) == 0)
        cli_say(c, "No guest runs.");
    return count_failed(reply) ? DRV_EXIT_FAILED : DRV_EXIT_OK;
}
