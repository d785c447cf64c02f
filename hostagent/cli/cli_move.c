// SPDX-License-Identifier: GPL-3.0-or-later
// drover check, drover move and drover move-storage: the command line as arguments of the agent's
// calls.
#include "cli.h"

#include <string.h>

enum {
    KEY_TO = 1,
    KEY_STORAGE,
    KEY_DISK,
    KEY_NETWORK,
    KEY_BLACKOUT,
    KEY_KEEP,
    KEY_DETACH,
    KEY_DRY_RUN = 'n',
};

#define WHERE_OPTIONS                                                                              \
    {"to", KEY_TO, "HOST", 0, "The destination", 0},                                               \
        {"storage",                                                                                \
         KEY_STORAGE,                                                                              \
         "keep|STORE",                                                                             \
         0,                                                                                        \
         "Leave the disks where they are (default), or carry them all to this store",              \
         0},                                                                                       \
        {"disk", KEY_DISK, "ID=STORE", 0, "Carry this disk to this store; repeat for more", 0},    \
        {"network",                                                                                \
         KEY_NETWORK,                                                                              \
         "FROM=TO",                                                                                \
         0,                                                                                        \
         "The destination's bridge for this one; repeat for more",                                 \
         0},                                                                                       \
        {"max-blackout",                                                                           \
         KEY_BLACKOUT,                                                                             \
         "MS",                                                                                     \
         0,                                                                                        \
         "The longest pause of the guest (default: the host's setting)",                           \
         0},                                                                                       \
    {                                                                                              \
        "keep-source", KEY_KEEP, "TIME", OPTION_ARG_OPTIONAL,                                      \
            "Keep carried disks' source images, renamed, for so long (default 7d)", 0              \
    }

const struct argp_option cli_check_options[] = {WHERE_OPTIONS, {0}};

const struct argp_option cli_move_options[] = {
    WHERE_OPTIONS,
    {"detach", KEY_DETACH, NULL, 0, "Start the move, print its id and return", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Check only: the same as drover check", 0},
    {0},
};

const struct argp_option cli_storage_options[] = {
    {"storage", KEY_STORAGE, "STORE", 0, "Carry all disks to this store", 0},
    {"disk", KEY_DISK, "ID=STORE", 0, "Carry this disk to this store; repeat for more", 0},
    {"keep-source", KEY_KEEP, "TIME", OPTION_ARG_OPTIONAL,
     "Keep the old images, renamed, for so long (default 7d)", 0},
    {"detach", KEY_DETACH, NULL, 0, "Start the move, print its id and return", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Check only", 0},
    {0},
};

// The agent's calls behind a verb.
struct calls {
    const char *check, *start;
};
static const struct calls move_calls = {"move.check", "move.start"};
static const struct calls storage_calls = {"move.storage_check", "move.storage"};

// "A=B" into map. -1: usage error printed.
static int map_arg(struct cli *c, const char *option, const char *value, json_t *map)
{
    const char *eq = strchr(value, '=');
    if (!eq || eq == value || !eq[1]) {
        cli_usage(c, "--%s: \"%s\" is not %s", option, value,
                  strcmp(option, "disk") ? "FROM=TO" : "ID=STORE");
        return -1;
    }
    DRV_AUTO_FREE char *key = strndup(value, (size_t)(eq - value));
    if (json_object_get(map, key)) {
        cli_usage(c, "--%s: %s is named twice", option, key);
        return -1;
    }
    if (json_object_set_new(map, key, json_string(eq + 1))) {
        cli_usage(c, "--%s: \"%s\" is not UTF-8 text", option, value);
        return -1;
    }
    return 0;
}

// All values of a repeatable option as args.name, left out when there are none.
static int map_args(struct cli *c, const struct cli_args *a, int key, const char *name,
                    const char *option, json_t *args)
{
    unsigned at = 0;
    const char *value;
    DRV_AUTO_JSON json_t *map = json_object();
    while ((value = cli_opt_next(a, key, &at)))
        if (map_arg(c, option, value, map))
            return -1;
    if (json_object_size(map))
        json_object_set(args, name, map);
    return 0;
}

static int number_args(struct cli *c, const struct cli_args *a, json_t *args)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *blackout = cli_opt(a, KEY_BLACKOUT), *keep = cli_opt(a, KEY_KEEP);
    int64_t ms;
    if (blackout) {
        // MS, and also "300ms" or "1s".
        bool bare = strspn(blackout, "0123456789") == strlen(blackout);
        if (bare ? cli_parse_count(blackout, 1, 3600000, &ms, &err)
                 : cli_parse_duration(blackout, &ms, &err)) {
            cli_usage(c, "--max-blackout: %s", err.msg);
            return -1;
        }
        json_object_set_new(args, "max_blackout_ms", json_integer(ms));
    }
    if (keep) {
        if (cli_parse_duration(*keep ? keep : "7d", &ms, &err)) {
            cli_usage(c, "--keep-source: %s", err.msg);
            return -1;
        }
        json_object_set_new(args, "keep_source_s", json_integer(ms / 1000));
    }
    return 0;
}

json_t *cli_move_args(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *to = cli_opt(a, KEY_TO), *storage = cli_opt(a, KEY_STORAGE);
    char fqdn[256];
    if (!to) {
        cli_usage(c, "--to HOST is missing");
        return NULL;
    }
    if (cli_fqdn(to, fqdn, sizeof fqdn, &err)) {
        cli_usage(c, "--to: %s; %s", err.msg, err.hint);
        return NULL;
    }
    DRV_AUTO_JSON json_t *args =
        json_pack("{s:s, s:s, s:s*}", "vm", a->pos[0], "to", fqdn, "storage", storage);
    if (!args) {
        cli_usage(c, "a name is not UTF-8 text");
        return NULL;
    }
    if (map_args(c, a, KEY_DISK, "disks", "disk", args) ||
        map_args(c, a, KEY_NETWORK, "network", "network", args) || number_args(c, a, args))
        return NULL;
    return DRV_TAKE(args);
}

json_t *cli_storage_args(struct cli *c, const struct cli_args *a)
{
    const char *storage = cli_opt(a, KEY_STORAGE);
    unsigned at = 0;
    if (!storage && !cli_opt_next(a, KEY_DISK, &at)) {
        cli_usage(c, "--storage STORE is missing");
        return NULL;
    }
    DRV_AUTO_JSON json_t *args = json_pack("{s:s, s:s*}", "vm", a->pos[0], "storage", storage);
    if (!args) {
        cli_usage(c, "a name is not UTF-8 text");
        return NULL;
    }
    if (map_args(c, a, KEY_DISK, "disks", "disk", args) || number_args(c, a, args))
        return NULL;
    return DRV_TAKE(args);
}

static int64_t member(const json_t *obj, const char *key)
{
    return (int64_t)json_number_value(json_object_get(obj, key));
}

static void put_prediction(const struct cli *c, const json_t *reply)
{
    json_t *p = json_object_get(reply, "prediction");
    if (!json_is_object(p))
        return;
    if (!member(p, "memory_bytes")) {
        cli_say(c, "To copy: disks %s. The VM runs on meanwhile.",
                cli_fmt_bytes(member(p, "disk_bytes")).s);
        return;
    }
    cli_say(
        c,
        "To copy: memory %s, disks %s. The guest pauses for at most %s, or the move is cancelled.",
        cli_fmt_bytes(member(p, "memory_bytes")).s, cli_fmt_bytes(member(p, "disk_bytes")).s,
        cli_fmt_ms((double)member(p, "max_blackout_ms")).s);
    if (json_is_number(json_object_get(p, "blackout_ms")))
        cli_say(c, "Expected pause: about %s.", cli_fmt_ms((double)member(p, "blackout_ms")).s);
}

// args is stolen.
static int run_check(struct cli *c, const struct calls *calls, json_t *args)
{
    DRV_AUTO_JSON json_t *reply = cli_call(c, calls->check, args, CLI_LONG_MS);
    if (!reply)
        return c->status;
    int status = cli_put_findings(c, reply);
    if (status == DRV_EXIT_OK)
        put_prediction(c, reply);
    return status;
}

int cli_check(struct cli *c, const struct cli_args *a)
{
    json_t *args = cli_move_args(c, a);
    return args ? run_check(c, &move_calls, args) : DRV_EXIT_USAGE;
}

// A move that was turned away names one cause; preflight names them all. The status of the list
// counts if it has errors.
static int explain(struct cli *c, const struct calls *calls, json_t *args, int status)
{
    struct drv_err err = DRV_ERR_INIT;
    if (c->json)
        return status;
    DRV_AUTO_JSON json_t *reply = cli_try(c, calls->check, json_incref(args), CLI_LONG_MS, &err);
    if (!reply || !json_array_size(json_object_get(reply, "findings")))
        return status;
    int listed = cli_put_findings(c, reply);
    return listed ? listed : status;
}

static bool refused_by_preflight(const json_t *result)
{
    struct drv_err err;
    const char *phase;
    return cli_result_error(result, &err, &phase) && err.id[0] &&
           (!*phase || !strcmp(phase, "check"));
}

static int run_move(struct cli *c, const struct cli_args *a, const struct calls *calls,
                    json_t *args)
{
    struct drv_err err = DRV_ERR_INIT;
    if (cli_opt(a, KEY_DRY_RUN))
        return run_check(c, calls, json_incref(args));
    cli_detach_on_signals(c, NULL);
    DRV_AUTO_JSON json_t *started = cli_try(c, calls->start, json_incref(args), CLI_LONG_MS, &err);
    if (!started) {
        int status = cli_error(c, &err);
        return err.id[0] && c->client ? explain(c, calls, args, status) : status;
    }
    const char *move = json_string_value(json_object_get(started, "move"));
    if (!move) {
        drv_err(&err, DRV_EPEER, "the agent did not say which move it began");
        return cli_error(c, &err);
    }
    if (cli_opt(a, KEY_DETACH)) {
        if (c->json) {
            json_object_set_new(started, "event", json_string("started"));
            cli_put_json(started);
        } else {
            puts(move);
        }
        return DRV_EXIT_OK;
    }
    json_t *result = NULL;
    int status = cli_follow(c, move, &result);
    if (result && refused_by_preflight(result))
        status = explain(c, calls, args, status);
    json_decref(result);
    return status;
}

int cli_move(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *args = cli_move_args(c, a);
    return args ? run_move(c, a, &move_calls, args) : DRV_EXIT_USAGE;
}

int cli_move_storage(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *args = cli_storage_args(c, a);
    return args ? run_move(c, a, &storage_calls, args) : DRV_EXIT_USAGE;
}
