// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm set, rename, eject, insert: changes of a VM that exists.
#include "cli.h"

#include <string.h>

enum { KEY_ADD_DISK = 1, KEY_ADD_NIC, KEY_ADD_CDROM, KEY_REMOVE };

const struct argp_option cli_set_options[] = {
    {"add-disk", KEY_ADD_DISK, "SIZE[,store=S][,format=raw|qcow2]", 0,
     "Add an empty disk; repeat for more", 0},
    {"add-nic", KEY_ADD_NIC, "BRIDGE[,mac=MAC][,model=MODEL]", 0, "Add a network card", 0},
    {"add-cdrom", KEY_ADD_CDROM, "STORE/PATH", 0, "Add a CD-ROM drive with that disc, or \"empty\"",
     0},
    {"remove", KEY_REMOVE, "ID", 0,
     "Remove a disk, network card or drive; a disk's image stays on its store", 0},
    {0},
};

static json_t *id_arg(struct cli *c, const char *value)
{
    json_t *id = json_string(value);
    if (!id)
        cli_usage(c, "--remove: not UTF-8 text");
    return id;
}

static const struct cli_member members[] = {
    {KEY_ADD_DISK, "add_disks", cli_disk_arg},
    {KEY_ADD_NIC, "add_nics", cli_nic_arg},
    {KEY_ADD_CDROM, "add_cdroms", cli_cdrom_arg},
    {KEY_REMOVE, "remove", id_arg},
    {0, NULL, NULL},
};

static int change(struct cli *c, const char *call, json_t *args)
{
    DRV_AUTO_JSON json_t *reply = cli_call(c, call, args, CLI_LONG_MS);
    if (!reply)
        return c->status;
    if (c->json)
        cli_put_json(reply);
    else
        cli_say_notices(c, reply);
    return DRV_EXIT_OK;
}

int cli_vm_set(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *set = cli_key_values(c, a, 1);
    if (!set)
        return DRV_EXIT_USAGE;
    if (json_object_size(set) == 0 && a->n_opt == 0)
        return cli_usage(c, "what is to be set? Such as: drover vm set %s memory=8G", a->pos[0]);
    DRV_AUTO_JSON json_t *args = json_pack("{s:s, s:O}", "vm", a->pos[0], "set", set);
    if (!args)
        return cli_usage(c, "the VM's name is not UTF-8 text");
    if (cli_put_members(c, a, members, args))
        return DRV_EXIT_USAGE;
    return change(c, "vm.set", DRV_TAKE(args));
}

int cli_vm_rename(struct cli *c, const struct cli_args *a)
{
    DRV_AUTO_JSON json_t *args = json_pack("{s:s, s:s}", "vm", a->pos[0], "name", a->pos[1]);
    return args ? change(c, "vm.rename", args) : cli_usage(c, "a name is not UTF-8 text");
}

// vm eject VM [DRIVE]; vm insert VM [DRIVE] STORE/PATH
static int with_drive(struct cli *c, const char *call, const char *vm, const char *drive,
                      json_t *args)
{
    if (json_object_set_new(args, "vm", json_string(vm)) ||
        (drive && json_object_set_new(args, "drive", json_string(drive)))) {
        json_decref(args);
        return cli_usage(c, "a name is not UTF-8 text");
    }
    return change(c, call, args);
}

int cli_vm_eject(struct cli *c, const struct cli_args *a)
{
    return with_drive(c, "vm.eject", a->pos[0], a->n_pos > 1 ? a->pos[1] : NULL, json_object());
}

int cli_vm_insert(struct cli *c, const struct cli_args *a)
{
    json_t *disc = cli_disc_arg(c, "vm insert", a->pos[a->n_pos - 1]);
    return disc ? with_drive(c, "vm.insert", a->pos[0], a->n_pos > 2 ? a->pos[1] : NULL, disc)
                : DRV_EXIT_USAGE;
}
