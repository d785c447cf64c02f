// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm: the life of VMs, but for creating (cli_create.c) and moving (cli_move.c) them.
#include "cli.h"

#include <string.h>

enum { KEY_TAKE_OVER = 1, KEY_DEAD, KEY_FORCE, KEY_TIMEOUT, KEY_KEEP_DISKS };

const struct argp_option cli_start_options[] = {
    {"take-over", KEY_TAKE_OVER, NULL, 0,
     "Take the VM from the host that owns it, after asking that host", 0},
    {"host-is-dead", KEY_DEAD, NULL, 0,
     "With --take-over: I have made sure that the other host is switched off, or will never write "
     "again",
     0},
    {0},
};

const struct argp_option cli_stop_options[] = {
    {"force", KEY_FORCE, NULL, 0, "Cut the power instead of asking the guest", 0},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "How long the guest may take (default 2m)", 0},
    {0},
};

const struct argp_option cli_delete_options[] = {
    {"keep-disks", KEY_KEEP_DISKS, NULL, 0, "Forget the VM but leave its images", 0},
    {0},
};

int cli_vm_list(struct cli *c, const struct cli_args *a)
{
    static const struct cli_column columns[] = {
        {"NAME", "name", CLI_TEXT},        {"STATE", "state", CLI_TEXT},
        {"MEMORY", "memory_kib", CLI_KIB}, {"CPUS", "vcpus", CLI_TEXT},
        {"STORE", "home_store", CLI_TEXT}, {"EPOCH", "epoch", CLI_TEXT},
        {"DOING", "busy", CLI_TEXT},       {"MOVE", "move", CLI_SHORT_ID},
        {"HOST", "host", CLI_SHORT_HOST},  {0},
    };
    (void)a;
    size_t i;
    json_t *vm;
    DRV_AUTO_JSON json_t *reply = cli_call(c, "vm.list", NULL, CLI_CALL_MS);
    if (!reply)
        return c->status;
    cli_put_list(c, reply, columns);
    json_array_foreach(reply, i, vm)
    {
        const char *name = "", *why = "";
        json_unpack(vm, "{s?s, s?s}", "name", &name, "why", &why);
        if (*why)
            cli_say(c, "%s: %s", name, why);
    }
    return DRV_EXIT_OK;
}

int cli_vm_show(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *reply =
        cli_call(c, "vm.show", json_pack("{s:s}", "vm", a->pos[0]), CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json || c->plain) {
        cli_put_object(c, reply);
        return DRV_EXIT_OK;
    }
    cli_show_vm(reply);
    // The VM is shown whatever is the matter with it: its findings do not make showing it a
    // failure.
    if (json_array_size(json_object_get(reply, "findings")))
        cli_put_findings(c, reply);
    return DRV_EXIT_OK;
}

int cli_vm_start(struct cli *c, const struct cli_args *a)
{
    bool take_over = cli_opt(a, KEY_TAKE_OVER), dead = cli_opt(a, KEY_DEAD);
    if (dead && !take_over)
        return cli_usage(c, "--host-is-dead means nothing without --take-over");
    if (dead && !cli_confirm(c,
                             "If the host that owns %s still runs it, two copies will run and the "
                             "disks may be lost. Is that host dead?",
                             a->pos[0]))
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = cli_call(
        c, "vm.start",
        json_pack("{s:s, s:b, s:b}", "vm", a->pos[0], "take_over", take_over, "host_is_dead", dead),
        CLI_LONG_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    cli_say(c, "%s runs.", a->pos[0]);
    return DRV_EXIT_OK;
}

int cli_vm_stop(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *timeout = cli_opt(a, KEY_TIMEOUT);
    bool force = cli_opt(a, KEY_FORCE);
    int64_t ms = 120000;
    if (timeout && cli_parse_duration(timeout, &ms, &err))
        return cli_usage(c, "--timeout: %s", err.msg);
    if (ms < 1000 || ms > 24 * 3600 * 1000L)
        return cli_usage(c, "--timeout: 1s to 24h");
    if (force && !cli_confirm(c, "Cutting the power of %s may lose what it has not written. Do it?",
                              a->pos[0]))
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = cli_call(c, "vm.stop",
                                           json_pack("{s:s, s:b, s:I}", "vm", a->pos[0], "force",
                                                     force, "timeout_s", (json_int_t)(ms / 1000)),
                                           (int)ms + CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    cli_say(c, "%s is stopped.", a->pos[0]);
    return DRV_EXIT_OK;
}

int cli_vm_delete(struct cli *c, const struct cli_args *a)
{
    bool keep = cli_opt(a, KEY_KEEP_DISKS);
    if (!cli_confirm(c,
                     keep ? "Forget the VM %s, keeping its disks?"
                          : "Delete the VM %s and all its disks?",
                     a->pos[0]))
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = cli_call(
        c, "vm.delete", json_pack("{s:s, s:b}", "vm", a->pos[0], "keep_disks", keep), CLI_LONG_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    cli_say_notices(c, reply);
    cli_say(c, keep ? "%s is forgotten; its disks are where they were." : "%s is deleted.",
            a->pos[0]);
    return DRV_EXIT_OK;
}

int cli_vm_register(struct cli *c, const struct cli_args *a)
{
    const char *slash = strchr(a->pos[0], '/');
    if (!slash || slash == a->pos[0] || !slash[1] || strchr(slash + 1, '/'))
        return cli_usage(c, "\"%s\" is not STORE/NAME", a->pos[0]);
    DRV_AUTO_FREE char *store = strndup(a->pos[0], (size_t)(slash - a->pos[0]));
    DRV_AUTO_JSON json_t *reply = cli_call(
        c, "vm.register", json_pack("{s:s, s:s}", "store", store, "name", slash + 1), CLI_CALL_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    cli_say(c, "%s is registered. `drover vm start %s` starts it here.", slash + 1, slash + 1);
    return DRV_EXIT_OK;
}
