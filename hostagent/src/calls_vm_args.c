// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments of vm.create: see calls_vm_args.h. What they mean together, the definition's own checks
// tell.
#include "calls_vm_args.h"

#include <string.h>

#include "calls.h"

enum { MEMORY_MAX_MIB = 16 << 20, VCPUS_MAX = 255 };

// Copy a text that may be absent.
static int take(char *dst, size_t size, const char *text, const char *what, struct drv_err *err)
{
    if (drv_copy(dst, size, text ? text : "") < 0)
        return drv_err(err, DRV_EINVAL, "%s: too long", what);
    return 0;
}

static int disk_args(const json_t *j, struct ha_new_disk *d, struct drv_err *err)
{
    json_int_t bytes = 0;
    const char *store = NULL, *format = NULL, *import = NULL;
    if (ha_args(j, err, "{s?I, s?s, s?s, s?s}", "size_bytes", &bytes, "store", &store, "format",
                &format, "import", &import) < 0)
        return -1;
    if (bytes < 0 || (uint64_t)bytes > SS_DISK_MAX_BYTES || (bytes == 0 && !import))
        return drv_err(err, DRV_EINVAL, "size_bytes must be 1 to %llu",
                       (unsigned long long)SS_DISK_MAX_BYTES);
    d->size_bytes = (uint64_t)bytes;
    d->format_set = format != NULL;
    if (format && ss_format_from_name(format, &d->format) < 0)
        return drv_err(err, DRV_EINVAL, "format must be raw or qcow2");
    if (store && !drv_name_valid(store, SS_NAME_MAX - 1))
        return drv_err(err, DRV_EINVAL, "\"%.64s\" is not the name of a store", store);
    if (take(d->store, sizeof d->store, store, "store", err) < 0)
        return -1;
    return take(d->import, sizeof d->import, import, "import", err);
}

int ha_name_check(const char *what, const char *name, struct drv_err *err)
{
    if (drv_name_valid(name, SS_NAME_MAX - 1))
        return 0;
    drv_err(err, DRV_EINVAL, "\"%.64s\" is no name of a %s", name, what);
    return drv_err_hint(err,
                        "1 to %d letters, digits, \".\", \"_\" and \"-\", beginning with none "
                        "of \".\" and \"-\"",
                        SS_NAME_MAX - 1);
}

static int nic_args(const json_t *j, struct ha_new_nic *n, struct drv_err *err)
{
    const char *network, *mac = NULL, *model = NULL;
    if (ha_args(j, err, "{s:s, s?s, s?s}", "network", &network, "mac", &mac, "model", &model) < 0 ||
        take(n->network, sizeof n->network, network, "network", err) < 0 ||
        take(n->mac, sizeof n->mac, mac, "mac", err) < 0)
        return -1;
    return take(n->model, sizeof n->model, model, "model", err);
}

static int cdrom_args(const json_t *j, struct ha_new_cdrom *c, struct drv_err *err)
{
    const char *store = NULL, *path = NULL;
    if (ha_args(j, err, "{s?s, s?s}", "store", &store, "path", &path) < 0 ||
        take(c->store, sizeof c->store, store, "store", err) < 0 ||
        take(c->path, sizeof c->path, path, "path", err) < 0)
        return -1;
    return 0;
}

int ha_device_args(const json_t *disks, const json_t *nics, const json_t *cdroms,
                   struct ha_create_spec *s, struct drv_err *err)
{
    if (disks && (!json_is_array(disks) || json_array_size(disks) > SS_MAX_DISKS))
        return drv_err(err, DRV_EINVAL, "disks: at most %d", SS_MAX_DISKS);
    if (nics && (!json_is_array(nics) || json_array_size(nics) > SS_MAX_NICS))
        return drv_err(err, DRV_EINVAL, "nics: at most %d", SS_MAX_NICS);
    if (cdroms && (!json_is_array(cdroms) || json_array_size(cdroms) > SS_MAX_CDROMS))
        return drv_err(err, DRV_EINVAL, "cdroms: at most %d", SS_MAX_CDROMS);
    s->n_disks = disks ? (unsigned)json_array_size(disks) : 0;
    for (unsigned i = 0; i < s->n_disks; i++)
        if (disk_args(json_array_get(disks, i), &s->disks[i], err) < 0)
            return drv_err_prefix(err, "disk %u", i);
    s->n_nics = nics ? (unsigned)json_array_size(nics) : 0;
    for (unsigned i = 0; i < s->n_nics; i++)
        if (nic_args(json_array_get(nics, i), &s->nics[i], err) < 0)
            return drv_err_prefix(err, "network card %u", i);
    s->n_cdroms = cdroms ? (unsigned)json_array_size(cdroms) : 0;
    for (unsigned i = 0; i < s->n_cdroms; i++)
        if (cdrom_args(json_array_get(cdroms, i), &s->cdroms[i], err) < 0)
            return drv_err_prefix(err, "CD-ROM %u", i);
    return 0;
}

int ha_create_args(const json_t *args, struct ha_create_spec *ret, struct drv_err *err)
{
    const char *name, *store, *cpu = NULL, *accel = NULL, *machine = NULL, *graphics = NULL;
    const char *notes = NULL;
    json_int_t memory_mib, vcpus = 1;
    int uefi = 0, windows = 0;
    json_t *disks, *nics = NULL, *cdroms = NULL;
    memset(ret, 0, sizeof *ret);
    if (ha_args(args, err, "{s:s, s:s, s:I, s?I, s:o, s?o, s?o, s?b, s?b, s?s, s?s, s?s, s?s, s?s}",
                "name", &name, "store", &store, "memory_mib", &memory_mib, "vcpus", &vcpus, "disks",
                &disks, "nics", &nics, "cdroms", &cdroms, "uefi", &uefi, "windows", &windows, "cpu",
                &cpu, "accel", &accel, "machine", &machine, "graphics", &graphics, "notes",
                &notes) < 0)
        return -1;
    if (ha_name_check("VM", name, err) < 0 || ha_name_check("store", store, err) < 0)
        return -1;
    if (memory_mib < 16 || memory_mib > MEMORY_MAX_MIB)
        return drv_err(err, DRV_EINVAL, "memory_mib must be 16 to %d", MEMORY_MAX_MIB);
    if (vcpus < 1 || vcpus > VCPUS_MAX)
        return drv_err(err, DRV_EINVAL, "vcpus must be 1 to %d", VCPUS_MAX);
    ret->memory_kib = (uint64_t)memory_mib << 10;
    ret->vcpus = (unsigned)vcpus;
    ret->uefi = uefi;
    ret->windows = windows;
    DRV_COPY(ret->name, name);
    DRV_COPY(ret->store, store);
    if (take(ret->cpu, sizeof ret->cpu, cpu, "cpu", err) < 0 ||
        take(ret->accel, sizeof ret->accel, accel, "accel", err) < 0 ||
        take(ret->machine, sizeof ret->machine, machine, "machine", err) < 0 ||
        take(ret->graphics, sizeof ret->graphics, graphics, "graphics", err) < 0 ||
        take(ret->notes, sizeof ret->notes, notes, "notes", err) < 0)
        return -1;
    if (json_is_array(disks) && json_array_size(disks) == 0)
        return drv_err(err, DRV_EINVAL, "disks: a VM needs 1 to %d", SS_MAX_DISKS);
    return ha_device_args(disks, nics, cdroms, ret, err);
}
