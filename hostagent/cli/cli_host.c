// SPDX-License-Identifier: GPL-3.0-or-later
// drover host: an agent and its settings.
#include "cli.h"

#include <string.h>

enum { KEY_CPU = 1 };

int cli_host_show(struct cli *c, const struct cli_args *a)
{
    (void)a;
    DRV_AUTO_JSON json_t *reply = cli_call(c, "host.show", NULL, CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json || c->plain)
        cli_put_object(c, reply);
    else
        cli_show_host(reply);
    return DRV_EXIT_OK;
}

json_t *cli_key_values(struct cli *c, const struct cli_args *a, unsigned from)
{
    DRV_AUTO_JSON json_t *set = json_object();
    for (unsigned i = from; i < a->n_pos; i++) {
        const char *eq = strchr(a->pos[i], '=');
        if (!eq || eq == a->pos[i]) {
            cli_usage(c, "\"%s\" is not KEY=VALUE", a->pos[i]);
            return NULL;
        }
        DRV_AUTO_FREE char *key = strndup(a->pos[i], (size_t)(eq - a->pos[i]));
        json_t *value = json_string(eq + 1);
        if (!key || !value || json_object_set_new(set, key, value)) {
            cli_usage(c, "\"%s\" is not UTF-8 text", a->pos[i]);
            return NULL;
        }
    }
    return DRV_TAKE(set);
}

int cli_put_settings(struct cli *c, const json_t *set, const json_t *reply)
{
    if (c->json) {
        cli_put_json(reply);
        return DRV_EXIT_OK;
    }
    // What the agent made of the values that were given, in its own spelling.
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)set, key, value)
    {
        const char *now =
            json_string_value(json_object_get(json_object_get(reply, "settings"), key));
        cli_say(c, "%s = %s", key, now ? now : json_string_value(value));
    }
    return DRV_EXIT_OK;
}

int cli_host_set(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *set = cli_key_values(c, a, 0);
    if (!set)
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "host.set", json_pack("{s:O}", "set", set), CLI_CALL_MS);
    return reply ? cli_put_settings(c, set, reply) : c->status;
}

const struct argp_option cli_host_list_options[] = {
    {"cpu", KEY_CPU, NULL, 0, "Ask each host which CPU models it can run", 0},
    {0},
};

static int list_cpus(struct cli *c)
{
    static const struct cli_column columns[] = {
        {"HOST", "host", CLI_SHORT_HOST},
        {"ACCEL", "accel", CLI_TEXT},
        {"BEST CPU", "best", CLI_TEXT},
        {"NOT KNOWN BECAUSE", "error", CLI_TEXT},
        {0},
    };
    DRV_AUTO_JSON json_t *reply = cli_call(c, "host.cpus", NULL, CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json) {
        cli_put_json(reply);
        return DRV_EXIT_OK;
    }
    cli_put_list(c, json_object_get(reply, "hosts"), columns);
    const char *kvm = "", *tcg = "", *error = "";
    json_unpack(reply, "{s?{s?s, s?s}, s?s}", "common", "kvm", &kvm, "tcg", &tcg, "error", &error);
    cli_say(c, "A new VM gets %s with KVM, %s without.", *kvm ? kvm : "none", *tcg ? tcg : "none");
    if (*error)
        cli_say(c, "Other hosts are not known: %s", error);
    return DRV_EXIT_OK;
}

int cli_host_list(struct cli *c, const struct cli_args *a)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_TEXT},
        {"FULL NAME", "fqdn", CLI_TEXT},
        {0},
    };
    if (cli_opt(a, KEY_CPU))
        return list_cpus(c);
    DRV_AUTO_JSON json_t *reply = cli_call(c, "host.list", NULL, CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_put_list(c, reply, columns);
    return DRV_EXIT_OK;
}
