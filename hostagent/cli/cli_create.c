// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm create: the command line as arguments of the call vm.create.
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEY_STORE = 1,
    KEY_MEMORY,
    KEY_VCPUS,
    KEY_DISK,
    KEY_NETWORK,
    KEY_CPU,
    KEY_ACCEL,
    KEY_MACHINE,
    KEY_GRAPHICS,
    KEY_NOTES,
};

const struct argp_option cli_create_options[] = {
    {"store", KEY_STORE, "STORE", 0,
     "Where the VM has its home and, if not said otherwise, its disks", 0},
    {"memory", KEY_MEMORY, "SIZE", 0, "Memory, such as 4G", 0},
    {"vcpus", KEY_VCPUS, "N", 0, "Processors (default 1)", 0},
    {"disk", KEY_DISK, "SIZE[,store=S][,format=raw|qcow2][,import=FILE]", 0,
     "A disk; repeat for more. import copies a file of the agent's host, whose size is taken if "
     "none is "
     "given",
     0},
    {"network", KEY_NETWORK, "BRIDGE[,mac=MAC][,model=MODEL]", 0,
     "A network card on a bridge; repeat for more", 0},
    {"cpu", KEY_CPU, "MODEL", 0, "CPU model that the guest sees; take one that all hosts have", 0},
    {"accel", KEY_ACCEL, "kvm|tcg", 0, "Hardware virtualisation, or emulation", 0},
    {"machine", KEY_MACHINE, "M", 0, "Versioned machine type, such as pc-q35-7.2", 0},
    {"graphics", KEY_GRAPHICS, "none|vnc", 0, "Screen", 0},
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

// "40G,store=fast" as a member of disks[]. NULL: usage error printed.
static json_t *disk_arg(struct cli *c, const char *value)
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
    const char *file = json_string_value(json_object_get(disk, "import"));
    if (file && *file != '/') { // the agent has another working directory
        DRV_AUTO_FREE char *path = c->host ? NULL : realpath(file, NULL);
        if (!path) {
            if (c->host)
                cli_usage(c, "--disk: import=%s must be an absolute path on %s", file, c->host);
            else
                cli_usage(c, "--disk: there is no file %s", file);
            return NULL;
        }
        json_object_set_new(disk, "import", json_string(path));
    }
    int64_t bytes = 0;
    if (*size && cli_parse_size(size, &bytes, &err)) {
        cli_usage(c, "--disk: %s", err.msg);
        return NULL;
    }
    if (bytes == 0 && !file) {
        cli_usage(c, "--disk: say how large, such as --disk 40G");
        return NULL;
    }
    if (bytes)
        json_object_set_new(disk, "size_bytes", json_integer(bytes));
    return DRV_TAKE(disk);
}

static json_t *nic_arg(struct cli *c, const char *value)
{
    static const char *const keys[] = {"mac", "model", NULL};
    DRV_AUTO_FREE char *text = drv_xstrdup(value);
    DRV_AUTO_JSON json_t *nic = json_object();
    const char *network;
    if (split_pairs(c, "--network", text, keys, nic, &network))
        return NULL;
    if (!*network) {
        cli_usage(c, "--network: name the bridge, such as --network br0");
        return NULL;
    }
    json_object_set_new(nic, "network", json_string(network));
    return DRV_TAKE(nic);
}

static int repeated(struct cli *c, const struct cli_args *a, int key,
                    json_t *(*parse)(struct cli *c, const char *value), json_t *list)
{
    unsigned at = 0;
    const char *value;
    while ((value = cli_opt_next(a, key, &at))) {
        json_t *one = parse(c, value);
        if (!one)
            return -1;
        json_array_append_new(list, one);
    }
    return 0;
}

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
        cli_usage(c, "--memory: whole MiB, such as 512M or 4G");
        return NULL;
    }
    if (vcpus && cli_parse_count(vcpus, 1, 255, &n_vcpus, &err)) {
        cli_usage(c, "--vcpus: %s", err.msg);
        return NULL;
    }
    DRV_AUTO_JSON json_t *args = json_pack(
        "{s:s, s:s, s:I, s:I, s:[], s:[]}", "name", a->pos[0], "store", store, "memory_mib",
        (json_int_t)(memory_bytes >> 20), "vcpus", (json_int_t)n_vcpus, "disks", "nics");
    if (!args) {
        cli_usage(c, "a name is not UTF-8 text");
        return NULL;
    }
    if (repeated(c, a, KEY_DISK, disk_arg, json_object_get(args, "disks")) ||
        repeated(c, a, KEY_NETWORK, nic_arg, json_object_get(args, "nics")))
        return NULL;
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

int cli_vm_create(struct cli *c, const struct cli_args *a)
{
    json_t *args = cli_create_args(c, a);
    if (!args)
        return DRV_EXIT_USAGE;
    DRV_AUTO_JSON json_t *reply = cli_call(c, "vm.create", args, 0); // an import takes its time
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
