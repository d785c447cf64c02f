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
    KEY_PERMIT,
    KEY_NO_PERMIT,
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
         "TIME",                                                                                   \
         0,                                                                                        \
         "The longest pause of the guest, such as 500ms or 2s (default: the host's setting)",      \
         0},                                                                                       \
        {"keep-source",                                                                            \
         KEY_KEEP,                                                                                 \
         "TIME",                                                                                   \
         OPTION_ARG_OPTIONAL,                                                                      \
         "Keep carried disks' source images, renamed, for so long (default 7d)",                   \
         0},                                                                                       \
        {"permit", KEY_PERMIT, NULL, 0, "Move with a permit of the destination", 0},               \
    {                                                                                              \
        "no-permit", KEY_NO_PERMIT, NULL, 0, "Ask for no permit when delegation is missing", 0     \
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
        if (cli_parse_pause(blackout, &ms, &err)) {
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
    if (drv_host_fqdn(to, fqdn, sizeof fqdn, &err)) {
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
                drv_fmt_bytes(member(p, "disk_bytes")).s);
        return;
    }
    cli_say(
        c,
        "To copy: memory %s, disks %s. The guest pauses for at most %s, or the move is cancelled.",
        drv_fmt_bytes(member(p, "memory_bytes")).s, drv_fmt_bytes(member(p, "disk_bytes")).s,
        drv_fmt_ms((double)member(p, "max_blackout_ms")).s);
    if (json_is_number(json_object_get(p, "blackout_ms")))
        cli_say(c, "Expected pause: about %s.", drv_fmt_ms((double)member(p, "blackout_ms")).s);
}

// ---- calls, and the same again with a permit ----

// When to ask the destination for a permit.
enum permits { PERMIT_IF_NEEDED, PERMIT_ALWAYS, PERMIT_NEVER };

// -1: usage error printed.
static int permits_wanted(struct cli *c, const struct cli_args *a, enum permits *ret)
{
    bool yes = cli_opt(a, KEY_PERMIT), no = cli_opt(a, KEY_NO_PERMIT);
    if (yes && no) {
        cli_usage(c, "--permit and --no-permit exclude each other");
        return -1;
    }
    *ret = yes ? PERMIT_ALWAYS : no ? PERMIT_NEVER : PERMIT_IF_NEEDED;
    return 0;
}

// How a check or a move went, before anything of it has been printed.
struct attempt {
    json_t *reply;      // of a check: findings; of a move: its result. NULL: neither
    struct drv_err err; // why the call failed; DRV_OK with a reply, or when all has been printed
    struct drv_err why; // the refusal that a permit may help with; DRV_OK = none
    bool by_permit;
};

static void attempt_done(struct attempt *t)
{
    json_decref(t->reply);
}
#define AUTO_ATTEMPT DRV_CLEANUP(attempt_done)

static void call_check(struct cli *c, const struct calls *calls, json_t *args, struct attempt *ret)
{
    struct drv_findings list = {0};
    ret->reply = cli_try(c, calls->check, json_incref(args), CLI_LONG_MS, &ret->err);
    ret->why = ret->err;
    drv_findings_from_json(json_object_get(ret->reply, "findings"), &list, NULL);
    for (unsigned i = 0; i < list.n && ret->why.code == DRV_OK; i++) {
        const struct drv_finding *f = &list.list[i];
        if (f->severity != DRV_SEV_ERROR || !drv_permit_helps(f->id))
            continue;
        drv_err(&ret->why, DRV_EDENIED, "%s", f->text);
        drv_err_id(&ret->why, f->id);
    }
    drv_findings_done(&list);
}

static int show_check(struct cli *c, const struct attempt *t)
{
    if (!t->reply)
        return cli_error(c, &t->err);
    int status = cli_put_findings(c, t->reply);
    if (status == DRV_EXIT_OK)
        put_prediction(c, t->reply);
    return status;
}

static bool refused_by_preflight(const json_t *result, struct drv_err *ret)
{
    struct drv_err err;
    const char *phase;
    if (!cli_result_error(result, &err, &phase) || !err.id[0] ||
        (*phase && strcmp(phase, "check") != 0))
        return false;
    *ret = err;
    return true;
}

static void call_move(struct cli *c, const struct calls *calls, json_t *args, struct attempt *ret)
{
    DRV_AUTO_JSON json_t *started =
        cli_try(c, calls->start, json_incref(args), CLI_LONG_MS, &ret->err);
    const char *move = json_string_value(json_object_get(started, "move"));
    if (started && !move)
        drv_err(&ret->err, DRV_EPEER, "the agent did not say which move it began");
    ret->why = ret->err;
    if (!move)
        return;
    ret->reply = cli_follow(c, move);
    refused_by_preflight(ret->reply, &ret->why);
}

// A move that was turned away names one cause; preflight names them all. The status of the list
// counts if it has errors.
static int explain(struct cli *c, const struct calls *calls, json_t *args,
                   const struct attempt *move, int status)
{
    struct drv_err none = DRV_ERR_INIT;
    AUTO_ATTEMPT struct attempt t = {0};
    if (c->json || !move->why.id[0] || !c->client ||
        (move->by_permit && cli_permit_add(c, args, false, &none) < 0))
        return status;
    call_check(c, calls, args, &t);
    cli_permit_drop(args);
    if (!json_array_size(json_object_get(t.reply, "findings")))
        return status;
    int listed = cli_put_findings(c, t.reply);
    return listed ? listed : status;
}

static int show_move(struct cli *c, const struct attempt *t)
{
    if (t->err.code != DRV_OK)
        return cli_error(c, &t->err);
    if (!t->reply)
        return c->status;
    cli_put_result(c, t->reply);
    return cli_result_exit(t->reply);
}

// What check and move have in common: how it is called, and how its outcome is shown.
struct kind {
    bool is_move;
    void (*call)(struct cli *c, const struct calls *calls, json_t *args, struct attempt *ret);
    int (*show)(struct cli *c, const struct attempt *t);
};
static const struct kind a_check = {false, call_check, show_check};
static const struct kind a_move = {true, call_move, show_move};

// Delegation first; with a permit when that was refused for want of delegation. *ret: the attempt
// that counts; it has been shown. Returns the exit status.
static int run_call(struct cli *c, const struct kind *kind, const struct calls *calls, json_t *args,
                    enum permits permits, struct attempt *ret)
{
    AUTO_ATTEMPT struct attempt first = {0};
    struct drv_err err = DRV_ERR_INIT;
    ret->by_permit = permits == PERMIT_ALWAYS;
    if (ret->by_permit && cli_permit_add(c, args, kind->is_move, &err) < 0)
        return cli_error(c, &err);
    kind->call(c, calls, args, ret);
    if (permits == PERMIT_IF_NEEDED &&
        cli_permit_instead(c, args, kind->is_move, &ret->why, &err)) {
        first = *ret;
        *ret = (struct attempt){.by_permit = true};
        kind->call(c, calls, args, ret);
        // The source takes no permits: then the cause is what was wrong before.
        if (!strcmp(ret->why.id, "D16"))
            kind->show(c, &first);
    }
    cli_permit_drop(args);
    int status = kind->show(c, ret);
    if (err.code != DRV_OK) { // and why a permit is no way out
        drv_err_prefix(&err, "a permit instead");
        cli_error(c, &err);
    }
    return status;
}

int cli_check(struct cli *c, const struct cli_args *a)
{
    enum permits permits;
    AUTO_ATTEMPT struct attempt t = {0};
    DRV_AUTO_JSON json_t *args = cli_move_args(c, a);
    if (!args || permits_wanted(c, a, &permits))
        return DRV_EXIT_USAGE;
    return run_call(c, &a_check, &move_calls, args, permits, &t);
}

// Begin a move and leave it. What the agent refuses at once is answered with a permit, too; what
// its preflight finds is not waited for.
static void call_detached(struct cli *c, const struct calls *calls, json_t *args,
                          struct attempt *ret)
{
    ret->reply = cli_try(c, calls->start, json_incref(args), CLI_LONG_MS, &ret->err);
    if (ret->reply && !json_is_string(json_object_get(ret->reply, "move")))
        drv_err(&ret->err, DRV_EPEER, "the agent did not say which move it began");
    ret->why = ret->err;
}

static int show_detached(struct cli *c, const struct attempt *t)
{
    if (t->err.code != DRV_OK)
        return cli_error(c, &t->err);
    if (c->json) {
        json_object_set_new(t->reply, "event", json_string("started"));
        cli_put_json(t->reply);
    } else {
        puts(json_string_value(json_object_get(t->reply, "move")));
    }
    return DRV_EXIT_OK;
}
static const struct kind a_detached_move = {true, call_detached, show_detached};

static int run_move(struct cli *c, const struct cli_args *a, const struct calls *calls,
                    json_t *args, enum permits permits)
{
    AUTO_ATTEMPT struct attempt t = {0};
    if (cli_opt(a, KEY_DRY_RUN))
        return run_call(c, &a_check, calls, args, permits, &t);
    cli_detach_on_signals(c, NULL);
    int status =
        run_call(c, cli_opt(a, KEY_DETACH) ? &a_detached_move : &a_move, calls, args, permits, &t);
    return explain(c, calls, args, &t, status);
}

int cli_move(struct cli *c, const struct cli_args *a)
{
    enum permits permits;
    DRV_AUTO_JSON json_t *args = cli_move_args(c, a);
    if (!args || permits_wanted(c, a, &permits))
        return DRV_EXIT_USAGE;
    return run_move(c, a, &move_calls, args, permits);
}

int cli_move_storage(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *args = cli_storage_args(c, a);
    return args ? run_move(c, a, &storage_calls, args, PERMIT_NEVER) : DRV_EXIT_USAGE;
}
