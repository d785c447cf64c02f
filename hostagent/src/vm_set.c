// SPDX-License-Identifier: GPL-3.0-or-later
// What `vm set` does to a definition: see vm_set.h.
#include "vm_set.h"

#include <stdlib.h>
#include <string.h>

#include "notices.h"
#include "qemu_args.h"

// --- one setting each; the value is checked and canonical ---

struct putting {
    struct ss_vmdef *def;
    const struct ha_probe *probe;
    const char *value;
    const struct drv_conf *conf; // holds the value as a number
    json_t *notices;             // NULL: nobody reads them
};

static int put_memory(struct putting *p, struct drv_err *err)
{
    char note[300];
    (void)err;
    p->def->memory_kib =
        ha_memory_fit_kib((uint64_t)drv_conf_int(p->conf, "memory") >> 10,
                          !strcmp(p->def->accel, "tcg"), p->probe->qemu_version, note, sizeof note);
    if (note[0] && p->notices)
        ha_notice(p->notices, "%s", note);
    return 0;
}

static int put_cpus(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->vcpus = (unsigned)drv_conf_int(p->conf, "cpus");
    return 0;
}

static int put_cpu(struct putting *p, struct drv_err *err)
{
    if (ha_cpu_moves(p->value) && ha_probe_has_cpu(p->probe, p->def->accel, p->value) &&
        DRV_COPY(p->def->cpu_model, p->value) == 0)
        return 0;
    drv_err(err, DRV_EINVAL, "CPU model %s is not usable here with %s", p->value, p->def->accel);
    drv_err_id(err, "V04");
    return drv_err_hint(err, "`drover host list --cpu` tells which all hosts have");
}

static int put_machine(struct putting *p, struct drv_err *err)
{
    if (ha_probe_has_machine(p->probe, p->value) && DRV_COPY(p->def->machine, p->value) == 0)
        return 0;
    drv_err(err, DRV_EINVAL, "this host's QEMU has no machine type %s", p->value);
    return drv_err_id(err, "V03");
}

static int put_graphics(struct putting *p, struct drv_err *err)
{
    (void)err;
    DRV_COPY(p->def->graphics, p->value);
    return 0;
}

static int put_panic(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->pvpanic = !strcmp(p->value, "pvpanic");
    return 0;
}

static int put_rtc(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->rtc_localtime = !strcmp(p->value, "localtime");
    return 0;
}

// All disks that the guest sees. Slots of those that come to PCI are found, the others' are free.
static int put_disk_bus(struct putting *p, struct drv_err *err)
{
    bool sata = !strcmp(p->value, "sata");
    unsigned n = 0;
    for (unsigned i = 0; i < p->def->n_disks; i++) {
        struct ss_disk *d = &p->def->disks[i];
        if (!strcmp(d->id, "nvram"))
            continue;
        n++;
        d->bus = sata ? SS_BUS_SATA : SS_BUS_VIRTIO;
        if (sata)
            d->pci_slot = 0;
    }
    if (sata && n > HA_SATA_DISKS)
        return drv_err(err, DRV_EINVAL, "disk_bus: at most %d disks can be SATA", HA_SATA_DISKS);
    return ha_vmdef_place(p->def, err);
}

static int put_nic_model(struct putting *p, struct drv_err *err)
{
    (void)err;
    for (unsigned i = 0; i < p->def->n_nics; i++)
        DRV_COPY(p->def->nics[i].model, p->value);
    return 0;
}

static int put_notes(struct putting *p, struct drv_err *err)
{
    (void)err;
    DRV_COPY(p->def->notes, p->value);
    return 0;
}

static int put_autostart(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->autostart = drv_conf_bool(p->conf, "autostart");
    return 0;
}

static int put_shutdown(struct putting *p, struct drv_err *err)
{
    (void)err;
    DRV_COPY(p->def->on_host_shutdown, p->value);
    return 0;
}

static int put_order(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->start_order = (unsigned)drv_conf_int(p->conf, "start_order");
    return 0;
}

static int put_delay(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->start_delay_s = (unsigned)(drv_conf_int(p->conf, "start_delay") / 1000);
    return 0;
}

static int put_shutdown_timeout(struct putting *p, struct drv_err *err)
{
    (void)err;
    p->def->shutdown_timeout_s = (unsigned)(drv_conf_int(p->conf, "shutdown_timeout") / 1000);
    return 0;
}

const struct drv_option ha_vm_options[] = {
    {.name = "memory",
     .type = DRV_OPT_BYTES,
     .min = 16 << 20,
     .max = INT64_C(4) << 40,
     .def = "1G",
     .text = "Memory."},
    {.name = "cpus", .type = DRV_OPT_INT, .min = 1, .max = 255, .def = "1", .text = "Processors."},
    {.name = "cpu",
     .type = DRV_OPT_STRING,
     .min = 1,
     .max = 31,
     .def = "qemu64-v1",
     .text = "CPU model, with its version."},
    {.name = "machine",
     .type = DRV_OPT_STRING,
     .min = 1,
     .max = 31,
     .def = "pc-q35-7.2",
     .text = "Versioned machine type."},
    {.name = "graphics",
     .type = DRV_OPT_ENUM,
     .choices = "none|vnc",
     .def = "vnc",
     .text = "Screen."},
    {.name = "rtc",
     .type = DRV_OPT_ENUM,
     .choices = "utc|localtime",
     .def = "utc",
     .text = "What the guest's clock shows at a start; Windows wants localtime."},
    {.name = "panic",
     .type = DRV_OPT_ENUM,
     .choices = "none|pvpanic",
     .def = "pvpanic",
     .text = "Device by which the guest tells that its system has crashed."},
    {.name = "disk_bus",
     .type = DRV_OPT_ENUM,
     .choices = "virtio|sata",
     .def = "virtio",
     .text = "How all disks are attached."},
    {.name = "nic_model",
     .type = DRV_OPT_ENUM,
     .choices = "virtio-net-pci|e1000e",
     .def = "virtio-net-pci",
     .text = "What all network cards are."},
    {.name = "notes",
     .type = DRV_OPT_STRING,
     .max = 1023,
     .def = "",
     .reloadable = true,
     .text = "Free text."},
    {.name = "autostart",
     .type = DRV_OPT_BOOL,
     .def = "off",
     .reloadable = true,
     .text = "Start the VM when its host has booted."},
    {.name = "start_order",
     .type = DRV_OPT_INT,
     .min = 0,
     .max = 9999,
     .def = "1000",
     .reloadable = true,
     .text = "Of several, the one with the lower number starts first."},
    {.name = "start_delay",
     .type = DRV_OPT_DURATION,
     .min = 0,
     .max = 3600000,
     .def = "0",
     .reloadable = true,
     .text = "After it has started, the next one waits so long."},
    {.name = "on_host_shutdown",
     .type = DRV_OPT_ENUM,
     .choices = "stop|force|leave",
     .def = "stop",
     .reloadable = true,
     .text = "What the shutdown of the host does to the VM: stop asks the guest, force pulls the "
             "plug when it has not answered, leave does nothing."},
    {.name = "shutdown_timeout",
     .type = DRV_OPT_DURATION,
     .min = 1000,
     .max = 3600000,
     .def = "2m",
     .reloadable = true,
     .text = "How long the guest may take then."},
    {0},
};

static int (*const put_functions[])(struct putting *p, struct drv_err *err) = {
    put_memory,    put_cpus,  put_cpu,      put_machine,   put_graphics,
    put_rtc,       put_panic, put_disk_bus, put_nic_model, put_notes,
    put_autostart, put_order, put_delay,    put_shutdown,  put_shutdown_timeout};
_Static_assert(DRV_ARRAY_LEN(put_functions) + 1 == DRV_ARRAY_LEN(ha_vm_options),
               "a function per option");

// --- at once ---

static const struct drv_option *find(const char *key, struct drv_err *err)
{
    // What `vm create` calls the same.
    return drv_option_need(ha_vm_options, "VM", !strcmp(key, "vcpus") ? "cpus" : key, err);
}

static int put(struct ss_vmdef *def, const struct ha_probe *probe, const struct drv_option *o,
               const char *value, json_t *notices, struct drv_err *err)
{
    struct drv_conf *conf = drv_conf_new(ha_vm_options);
    struct putting p = {
        .def = def, .probe = probe, .value = value, .conf = conf, .notices = notices};
    int rc = drv_conf_set(conf, o->name, value, err);
    if (rc == 0)
        rc = put_functions[o - ha_vm_options](&p, err);
    drv_conf_free(conf);
    return rc;
}

// --- later: def->next, lines of "KEY = VALUE" ---

static int keep_for_later(struct ss_vmdef *def, const char *key, const char *value,
                          struct drv_err *err)
{
    DRV_AUTO_FREE char *old = drv_xstrdup(def->next);
    char next[sizeof def->next] = "", *save = NULL;
    size_t used = 0;
    for (char *line = strtok_r(old, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        size_t n = strlen(key);
        if (!strncmp(line, key, n) && line[n] == ' ')
            continue;
        used += (size_t)snprintf(next + used, sizeof next - used, "%s\n", line);
    }
    used += (size_t)snprintf(next + used, sizeof next - used, "%s = %s\n", key, value);
    if (used >= sizeof next)
        return drv_err(err, DRV_EINVAL, "too much to keep for the next start");
    DRV_COPY(def->next, next);
    return 0;
}

int ha_set_pending(struct ss_vmdef *def, const struct ha_probe *probe, struct drv_err *err)
{
    DRV_AUTO_FREE char *text = drv_xstrdup(def->next);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *eq = strstr(line, " = ");
        if (!eq)
            return drv_err(err, DRV_EINVAL, "vm.json: next: \"%.64s\" is no setting", line);
        *eq = '\0';
        const struct drv_option *o = find(line, err);
        if (!o || put(def, probe, o, eq + 3, NULL, err) < 0) {
            drv_err_prefix(err, "%s, set while the VM was running", line);
            return drv_err_hint(err, "set another value: drover vm set %s %s=…", def->name, line);
        }
    }
    def->next[0] = '\0';
    return 0;
}

// --- all of it ---

static int set_one(struct ss_vmdef *def, const struct ha_probe *probe, const char *key,
                   const json_t *value, bool running, json_t *notices, struct drv_err *err)
{
    const char *text = json_string_value(value);
    const struct drv_option *o = find(key, err);
    if (!o)
        return -1;
    DRV_AUTO_FREE char *canonical = text ? drv_option_canonical(o, text, err) : NULL;
    if (!text)
        return drv_err(err, DRV_EINVAL, "%s: the value must be a text", key);
    if (!canonical)
        return -1;
    if (o->reloadable || !running)
        return put(def, probe, o, canonical, notices, err);
    struct ss_vmdef *trial = drv_xcalloc(1, sizeof *trial);
    DRV_AUTO_FREE void *owned = trial;
    *trial = *def;
    if (put(trial, probe, o, canonical, notices, err) < 0)
        return -1;
    ha_notice(notices, "%s = %s holds from the VM's next start on; until then it runs as it is",
              o->name, canonical);
    return keep_for_later(def, o->name, canonical, err);
}

int ha_set_apply(struct ss_vmdef *def, const struct ha_probe *probe, const json_t *set,
                 bool running, json_t *notices, struct drv_err *err)
{
    struct ss_vmdef *next = drv_xcalloc(1, sizeof *next);
    DRV_AUTO_FREE void *owned = next;
    const char *key;
    json_t *value;
    *next = *def;
    if (!running && ha_set_pending(next, probe, err) < 0) {
        // What waited is in the way: the new values decide, if they replace it.
        drv_err_clear(err);
        next->next[0] = '\0';
        ha_notice(notices, "what was set while the VM was running cannot hold here and is dropped");
    }
    json_object_foreach((json_t *)(uintptr_t)set, key, value)
    {
        if (set_one(next, probe, key, value, running, notices, err) < 0)
            return -1;
    }
    *def = *next;
    return 0;
}

// --- devices ---

// Take element i out of an array of n.
static void cut(void *array, size_t size, unsigned *n, unsigned i)
{
    char *at = (char *)array + size * i;
    (*n)--;
    memmove(at, at + size, size * (*n - i));
    memset((char *)array + size * *n, 0, size);
}

static int remove_one(struct ss_vmdef *d, const char *id, json_t *notices, struct drv_err *err)
{
    if (!strcmp(id, "nvram"))
        return drv_err(err, DRV_EINVAL, "nvram holds UEFI's variables: it stays with the VM");
    for (unsigned i = 0; i < d->n_disks; i++)
        if (!strcmp(d->disks[i].id, id)) {
            ha_notice(notices, "the image of %s stays: %s on store %s", id, d->disks[i].path,
                      d->disks[i].store);
            cut(d->disks, sizeof d->disks[0], &d->n_disks, i);
            return 0;
        }
    for (unsigned i = 0; i < d->n_nics; i++)
        if (!strcmp(d->nics[i].id, id)) {
            cut(d->nics, sizeof d->nics[0], &d->n_nics, i);
            return 0;
        }
    for (unsigned i = 0; i < d->n_cdroms; i++)
        if (!strcmp(d->cdroms[i].id, id)) {
            cut(d->cdroms, sizeof d->cdroms[0], &d->n_cdroms, i);
            return 0;
        }
    drv_err(err, DRV_ENOTFOUND, "VM %s has no device \"%.24s\"", d->name, id);
    return drv_err_hint(err, "`drover vm show %s` lists its devices", d->name);
}

int ha_set_remove(struct ss_vmdef *def, const json_t *ids, json_t *notices, struct drv_err *err)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (!id)
            return drv_err(err, DRV_EINVAL, "remove: ids of devices");
        if (remove_one(def, id, notices, err) < 0)
            return -1;
    }
    return 0;
}
