// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm create: the command line as arguments of the call vm.create.
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_STORE = 1,
    KEY_MEMORY,
    KEY_VCPUS,
    KEY_DISK,
    KEY_IMPORT,
    KEY_NIC,
    KEY_CDROM,
    KEY_UEFI,
    KEY_WINDOWS,
    KEY_CPU,
    KEY_ACCEL,
    KEY_MACHINE,
    KEY_GRAPHICS,
    KEY_NOTES,
};

const struct argp_option cli_create_options[] = {
    {"store", KEY_STORE, "STORE", 0,
     "Where the VM has its home and, if not said otherwise, its disks; required", 0},
    {"memory", KEY_MEMORY, "SIZE", 0, "Memory, whole MiB with a unit, such as 512M or 4G; required",
     0},
    {"cpus", KEY_VCPUS, "N", 0, "Processors (default 1)", 0},
    {"vcpus", 0, NULL, OPTION_ALIAS, NULL, 0},
    {"disk", KEY_DISK, "SIZE[,store=S][,format=raw|qcow2][,import=FILE]", 0,
     "A disk; repeat for more. import copies a file of the agent's host, whose size is taken if "
     "none is "
     "given",
     0},
    {"import", KEY_IMPORT, "FILE", 0,
     "A disk with the contents of a raw, qcow2, VHDX, VHD or VMDK file of the agent's host, "
     "compared "
     "afterwards; the same as --disk import=FILE",
     0},
    {"nic", KEY_NIC, "BRIDGE[,mac=MAC][,model=MODEL]", 0,
     "A network card on a bridge; repeat for more", 0},
    {"network", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0},
    {"cdrom", KEY_CDROM, "STORE/PATH", 0,
     "A CD-ROM drive with a disc, an ISO file on a store; or \"empty\"; repeat for a second one",
     0},
    {"uefi", KEY_UEFI, NULL, 0, "UEFI instead of a BIOS; its variables move with the VM", 0},
    {"windows", KEY_WINDOWS, NULL, 0,
     "For a Windows guest: SATA disks, e1000e cards, clock in local time, Hyper-V's interfaces "
     "with "
     "KVM",
     0},
    {"cpu", KEY_CPU, "MODEL", 0, "CPU model that the guest sees; take one that all hosts have", 0},
    {"accel", KEY_ACCEL, "kvm|tcg", 0,
     "Hardware virtualisation (the default where it works), or emulation", 0},
    {"machine", KEY_MACHINE, "M", 0,
     "Versioned machine type (default: the latest pc-q35 that QEMU here has)", 0},
    {"graphics", KEY_GRAPHICS, "none|vnc", 0, "Screen (default: vnc)", 0},
    {"notes", KEY_NOTES, "TEXT", 0, "Free text kept with the VM", 0},
    {0},
};

// Options that go over as they are.
static const struct {
    int key;
    const char *arg;
    const char *allowed[3]; // empty = anything
} texts[] = {
    {KEY_CPU, "cpu", {NULL}},         {KEY_ACCEL, "accel", {"kvm", "tcg", NULL}},
    {KEY_MACHINE, "machine", {NULL}}, {KEY_GRAPHICS, "graphics", {"none", "vnc", NULL}},
    {KEY_NOTES, "notes", {NULL}},
};

static bool one_of(const char *value, const char *const allowed[])
{
    if (!allowed[0])
        return true;
    for (unsigned i = 0; allowed[i]; i++)
        if (!strcmp(value, allowed[i]))
            return true;
    return false;
}

// Split "first,key=value,…" and put the pairs into obj. keys: what is allowed. *ret_first: the part
// before the first comma, "" when that is a pair too. -1: usage error printed. text is cut up.
static int split_pairs(struct cli *c, const char *option, char *text, const char *const keys[],
                       json_t *obj, const char **ret_first)
{
    char *save = NULL;
    *ret_first = "";
    for (char *part = strtok_r(text, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(part, '=');
        if (!eq && part == text) {
            *ret_first = part;
            continue;
        }
        if (eq)
            *eq = '\0';
        const char *near = eq && one_of(part, keys) ? NULL : cli_suggest(part, keys);
        if (!eq || !one_of(part, keys)) {
            cli_usage(c, "%s: \"%s\" is not known%s%s%s", option, part,
                      near ? ", did you mean " : "", near ? near : "", near ? "=" : "");
            return -1;
        }
        if (json_object_set_new(obj, part, json_string(eq + 1))) {
            cli_usage(c, "%s: \"%s\" is not UTF-8 text", option, part);
            return -1;
        }
    }
    return 0;
}

// Name the source of a disk's contents. -1: usage error printed.
static int put_import(struct cli *c, const char *option, const char *file, json_t *disk)
{
    DRV_AUTO_FREE char *path = NULL;
    if (*file != '/') { // the agent has another working directory
        path = c->host ? NULL : realpath(file, NULL);
        if (!path && c->host)
            cli_usage(c, "%s%s must be an absolute path on %s", option, file, c->host);
        else if (!path)
            cli_usage(c, "%s%s: there is no such file", option, file);
        if (!path)
            return -1;
    }
    if (json_object_set_new(disk, "import", json_string(path ? path : file)) == 0)
        return 0;
    cli_usage(c, "%sFILE: its name is not UTF-8 text", option);
    return -1;
}

// --import FILE as a member of disks[]: all of it is the name, commas too.
static json_t *import_arg(struct cli *c, const char *file)
{
    DRV_AUTO_JSON json_t *disk = json_object();
    return put_import(c, "--import ", file, disk) < 0 ? NULL : DRV_TAKE(disk);
}

// "40G,store=fast" as a member of disks[]. NULL: usage error printed.
json_t *cli_disk_arg(struct cli *c, const char *value)
{
    static const char *const keys[] = {"store", "format", "import", NULL};
    static const char *const formats[] = {"raw", "qcow2", NULL};
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *text = drv_xstrdup(value);
    DRV_AUTO_JSON json_t *disk = json_object();
    const char *size;
    if (split_pairs(c, "--disk", text, keys, disk, &size))
        return NULL;
    const char *format = json_string_value(json_object_get(disk, "format"));
    if (format && !one_of(format, formats)) {
        cli_usage(c, "--disk: format is raw or qcow2");
        return NULL;
    }
    DRV_AUTO_FREE char *file = NULL;
    if (json_object_get(disk, "import"))
        file = drv_xstrdup(json_string_value(json_object_get(disk, "import")));
    if (file && put_import(c, "--disk: import=", file, disk) < 0)
        return NULL;
    int64_t bytes = 0;
    if (*size && cli_parse_size(size, &bytes, &err)) {
        cli_usage(c, "--disk: %s", err.msg);
        return NULL;
    }
    // A number alone is bytes, which nobody means.
    if (*size && bytes < 1 << 20) {
        cli_usage(c, "--disk: %s is less than 1M; say the unit, such as --disk 40G", size);
        return NULL;
    }
    if (!*size && !file) {
        cli_usage(c, "--disk: say how large, such as --disk 40G");
        return NULL;
    }
    if (*size)
        json_object_set_new(disk, "size_bytes", json_integer(bytes));
    return DRV_TAKE(disk);
}

json_t *cli_nic_arg(struct cli *c, const char *value)
{
    static const char *const keys[] = {"mac", "model", NULL};
    DRV_AUTO_FREE char *text = drv_xstrdup(value);
    DRV_AUTO_JSON json_t *nic = json_object();
    const char *network;
    if (split_pairs(c, "--nic", text, keys, nic, &network))
        return NULL;
    if (!*network) {
        cli_usage(c, "--nic: name the bridge, such as --nic br0");
        return NULL;
    }
    json_object_set_new(nic, "network", json_string(network));
    return DRV_TAKE(nic);
}

json_t *cli_disc_arg(struct cli *c, const char *option, const char *value)
{
    size_t store = strcspn(value, "/:");
    if (!store || !value[store] || !value[store + 1]) {
        cli_usage(c, "%s: \"%s\" is not STORE/PATH, such as isos/debian.iso", option, value);
        return NULL;
    }
    json_t *disc = json_pack("{s:s%, s:s}", "store", value, store, "path", value + store + 1);
    if (!disc)
        cli_usage(c, "%s: \"%s\" is not UTF-8 text", option, value);
    return disc;
}

json_t *cli_cdrom_arg(struct cli *c, const char *value)
{
    return strcmp(value, "empty") ? cli_disc_arg(c, "--cdrom", value) : json_object();
}

int cli_put_members(struct cli *c, const struct cli_args *a, const struct cli_member *members,
                    json_t *args)
{
    for (unsigned i = 0; i < a->n_opt; i++)
        for (const struct cli_member *m = members; m->list; m++) {
            if (a->opt[i].key != m->key)
                continue;
            json_t *one = m->parse(c, a->opt[i].value);
            if (!one)
                return -1;
            if (!json_object_get(args, m->list))
                json_object_set_new(args, m->list, json_array());
            json_array_append_new(json_object_get(args, m->list), one);
        }
    return 0;
}

static const struct cli_member members[] = {
    {KEY_DISK, "disks", cli_disk_arg},
    {KEY_IMPORT, "disks", import_arg},
    {KEY_NIC, "nics", cli_nic_arg},
    {KEY_CDROM, "cdroms", cli_cdrom_arg},
    {0, NULL, NULL},
};

json_t *cli_create_args(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    const char *store = cli_opt(a, KEY_STORE), *memory = cli_opt(a, KEY_MEMORY);
    const char *vcpus = cli_opt(a, KEY_VCPUS);
    int64_t memory_bytes = 0, n_vcpus = 1;
    if (!store || !memory) {
        cli_usage(c, "%s is missing", store ? "--memory" : "--store");
        return NULL;
    }
    if (cli_parse_size(memory, &memory_bytes, &err)) {
        cli_usage(c, "--memory: %s", err.msg);
        return NULL;
    }
    if (memory_bytes == 0 || memory_bytes % (1 << 20)) {
        cli_usage(c, "--memory: %s is not whole MiB, such as 512M or 4G", memory);
        return NULL;
    }
    if (vcpus && cli_parse_count(vcpus, 1, 255, &n_vcpus, &err)) {
        cli_usage(c, "--cpus: %s", err.msg);
        return NULL;
    }
    DRV_AUTO_JSON json_t *args = json_pack(
        "{s:s, s:s, s:I, s:I, s:[], s:[]}", "name", a->pos[0], "store", store, "memory_mib",
        (json_int_t)(memory_bytes >> 20), "vcpus", (json_int_t)n_vcpus, "disks", "nics");
    if (!args) {
        cli_usage(c, "a name is not UTF-8 text");
        return NULL;
    }
    if (cli_put_members(c, a, members, args))
        return NULL;
    if (!json_array_size(json_object_get(args, "disks"))) {
        cli_usage(c, "a VM needs a disk, such as --disk 40G or --import FILE");
        return NULL;
    }
    if (cli_opt(a, KEY_UEFI))
        json_object_set_new(args, "uefi", json_true());
    if (cli_opt(a, KEY_WINDOWS))
        json_object_set_new(args, "windows", json_true());
    for (unsigned i = 0; i < DRV_ARRAY_LEN(texts); i++) {
        const char *value = cli_opt(a, texts[i].key);
        if (value && (!one_of(value, texts[i].allowed) ||
                      json_object_set_new(args, texts[i].arg, json_string(value)))) {
            cli_usage(c, "--%s: \"%s\" is not possible", texts[i].arg, value);
            return NULL;
        }
    }
    return DRV_TAKE(args);
}

// --- carrying it out ---

struct importing {
    const struct cli *c;
    bool screen;   // redraw one line
    char last[96]; // disk and step of the last event
};

// The agent's words are another computer's: shown with drv_put() only.
static void on_event(const json_t *event, void *arg)
{
    struct importing *im = arg;
    const char *disk, *step;
    int percent;
    char now[sizeof im->last];
    if (json_unpack((json_t *)event, "{s:s, s:s, s:i}", "disk", &disk, "step", &step, "percent",
                    &percent) < 0)
        return;
    if (im->c->json) {
        cli_put_json(event);
        return;
    }
    snprintf(now, sizeof now, "%s: %s", disk, step);
    bool next = strcmp(now, im->last) != 0;
    DRV_COPY(im->last, now);
    if (im->screen)
        fputs("\r\033[K", stderr);
    else if (!next)
        return;
    drv_put(stderr, now);
    if (im->screen)
        fprintf(stderr, " %d %%", percent);
    else
        fputc('\n', stderr);
}

static json_t *create(struct cli *c, json_t *args)
{
    struct drv_err err = DRV_ERR_INIT;
    struct importing im = {.c = c};
    im.screen = isatty(STDERR_FILENO) && !c->quiet && !c->plain;
    if (cli_connect(c, &err)) {
        json_decref(args);
        c->status = cli_error(c, &err);
        return NULL;
    }
    if (!c->quiet)
        drv_client_on_event(c->client, on_event, &im);
    json_t *reply = cli_try(c, "vm.create", args, 0, &err); // an import takes its time
    drv_client_on_event(c->client, NULL, NULL);
    if (im.screen && im.last[0])
        fputs("\r\033[K", stderr);
    if (!reply)
        c->status = cli_error(c, &err);
    return reply;
}

int cli_vm_create(struct cli *c, const struct cli_args *a)
{
    json_t *args = cli_create_args(c, a);
    if (!args)
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = create(c, args);
    if (!reply)
        return c->status;
    if (c->json) {
        cli_put_json(reply);
        return DRV_EXIT_OK;
    }
    cli_say_notices(c, reply);
    cli_say(c, "%s is created. `drover vm start %s` starts it.", a->pos[0], a->pos[0]);
    return DRV_EXIT_OK;
}
