// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm show and host show for people: what a person asks of a VM or a host, in a few lines.
// --plain and --json give all.
#include "cli.h"

#include <inttypes.h>
#include <string.h>

static int64_t number(const json_t *obj, const char *key)
{
    return (int64_t)json_number_value(json_object_get(obj, key));
}

static int short_name(const char *host)
{
    return (int)strcspn(host, ".");
}

// What waits for the next start, a line each.
static void show_next(const char *lines)
{
    DRV_AUTO_FREE char *copy = drv_xstrdup(lines);
    char *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        cli_line("next time %s", line);
}

// Devices that come or go then.
static void show_next_devices(const json_t *devices)
{
    size_t i;
    json_t *d;
    json_array_foreach(devices, i, d)
    {
        const char *id = drv_json_text(d, "id"), *change = drv_json_text(d, "change");
        const char *store = drv_json_text(d, "store"), *path = drv_json_text(d, "path");
        if (!strcmp(change, "add-disk"))
            cli_line("next time %s comes: %s, %s, on %s", id,
                     drv_fmt_bytes(number(d, "size_bytes")).s, drv_json_text(d, "format"),
                     *store ? store : "the VM's store");
        else if (!strcmp(change, "add-nic"))
            cli_line("next time %s comes: %s, %s, on %s", id, drv_json_text(d, "model"),
                     drv_json_text(d, "mac"), drv_json_text(d, "network"));
        else if (!strcmp(change, "add-cdrom"))
            cli_line("next time %s comes: %s%s%s", id, *path ? path : "empty", *store ? " on " : "",
                     store);
        else
            cli_line("next time %s goes", id);
    }
}

static void show_hardware(const json_t *vm, const json_t *def)
{
    const char *notes = drv_json_text(def, "notes");
    cli_line("hardware  %s, %" PRId64 " CPU%s %s, %s, %s",
             drv_fmt_bytes(number(vm, "memory_kib") * 1024).s, number(vm, "vcpus"),
             number(vm, "vcpus") == 1 ? "" : "s",
             drv_json_text(json_object_get(def, "cpu"), "model"), drv_json_text(def, "machine"),
             drv_json_text(def, "accel"));
    if (*notes)
        cli_line("notes     %s", notes);
    show_next(drv_json_text(def, "next"));
    show_next_devices(json_object_get(def, "next_devices"));
}

static void show_devices(const json_t *def)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(def, "disks"), i, d)
    {
        cli_line("%-9s %s %s on %s", drv_json_text(d, "id"), drv_json_text(d, "format"),
                 drv_json_text(d, "path"), drv_json_text(d, "store"));
    }
    json_array_foreach(json_object_get(def, "cdroms"), i, d)
    {
        cli_line("%-9s %s%s%s", drv_json_text(d, "id"),
                 *drv_json_text(d, "path") ? drv_json_text(d, "path") : "empty",
                 *drv_json_text(d, "store") ? " on " : "", drv_json_text(d, "store"));
    }
    json_array_foreach(json_object_get(def, "nics"), i, d)
    {
        cli_line("%-9s %s, %s, on %s", drv_json_text(d, "id"), drv_json_text(d, "model"),
                 drv_json_text(d, "mac"), drv_json_text(d, "network"));
    }
}

// Who owns it: the record on the file server, which need not agree with what this host believes.
static void show_record(const json_t *vm)
{
    const json_t *record = json_object_get(vm, "record"), *body = json_object_get(record, "body");
    const char *host = drv_json_text(body, "host"), *to = drv_json_text(body, "to");
    if (!json_is_object(body)) {
        cli_line("owner     the record could not be read");
        return;
    }
    cli_line("owner     epoch %" PRId64 ": %s%s%.*s%s%.*s%s", number(record, "epoch"),
             drv_json_text(body, "state"), *host ? ", " : "", short_name(host), host,
             *to ? " to " : "", short_name(to), to,
             json_is_true(json_object_get(vm, "held")) ? ", held" : ", held by nobody");
}

void cli_show_vm(const json_t *vm)
{
    const json_t *def = json_object_get(vm, "definition");
    const char *host = drv_json_text(vm, "host"), *busy = drv_json_text(vm, "busy"),
               *move = drv_json_text(vm, "move");
    cli_line("name      %s", drv_json_text(vm, "name"));
    cli_line("uuid      %s", drv_json_text(vm, "uuid"));
    cli_line("state     %s on %.*s%s%s%s", drv_json_text(vm, "state"), short_name(host), host,
             *busy ? " (" : "", busy, *busy ? ")" : "");
    if (*drv_json_text(vm, "why"))
        cli_line("because   %s", drv_json_text(vm, "why"));
    if (*move)
        cli_line("move      %s", move);
    cli_line("home      %s on %s", drv_json_text(vm, "home"), drv_json_text(vm, "home_store"));
    show_hardware(vm, def);
    show_devices(def);
    show_record(vm);
}

// A list, such as that of roles, goes on below itself.
static void show_setting(const char *key, const char *value)
{
    DRV_AUTO_FREE char *copy = drv_xstrdup(*value ? value : "-");
    char *save = NULL;
    for (char *item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
        cli_line("  %-18s %s", key, item + strspn(item, " "));
        key = "";
    }
}

void cli_show_host(const json_t *host)
{
    const json_t *memory = json_object_get(host, "memory"), *slots = json_object_get(host, "slots");
    const char *note = drv_json_text(host, "kvm_note"), *key;
    json_t *value;
    cli_line("host      %s", drv_json_text(host, "host"));
    cli_line("version   drover %s, QEMU %s", drv_json_text(host, "version"),
             drv_json_text(host, "qemu_version"));
    cli_line("memory    %s free of %s", drv_fmt_bytes(number(memory, "free_kib") * 1024).s,
             drv_fmt_bytes(number(memory, "total_kib") * 1024).s);
    cli_line("CPUs      %" PRId64 ", %s KVM%s%s", number(host, "cpus"),
             json_is_true(json_object_get(host, "kvm")) ? "with" : "without", *note ? ": " : "",
             note);
    cli_line("free for  %" PRId64 " moves, %" PRId64 " of them with disks", number(slots, "moves"),
             number(slots, "storage_moves"));
    cli_line("settings, for `drover host set`:");
    json_object_foreach(json_object_get(host, "settings"), key, value)
    {
        show_setting(key, json_is_string(value) ? json_string_value(value) : "?");
    }
}
