// SPDX-License-Identifier: GPL-3.0-or-later
// Devices that wait for a start: see vm_next.h.
#include "vm_next.h"

#include <stdlib.h>
#include <string.h>

#include "notices.h"
#include "vm_set.h"

// --- entries ---

static struct ss_next_device *find(struct ss_vmdef *def, const char *id, bool removal)
{
    for (unsigned i = 0; i < def->n_next_devices; i++) {
        struct ss_next_device *n = &def->next_devices[i];
        if (!strcmp(n->id, id) && (n->change == SS_NEXT_REMOVE) == removal)
            return n;
    }
    return NULL;
}

static struct ss_next_device *push(struct ss_vmdef *def, const char *id, enum ss_next_change change,
                                   struct drv_err *err)
{
    if (def->n_next_devices == SS_MAX_NEXT) {
        drv_err(err, DRV_EINVAL, "at most %d devices can come or go with one start", SS_MAX_NEXT);
        return NULL;
    }
    struct ss_next_device *n = &def->next_devices[def->n_next_devices++];
    *n = (struct ss_next_device){.change = change};
    DRV_COPY(n->id, id);
    return n;
}

// Take back an addition. Was there one?
static bool drop(struct ss_vmdef *def, const char *id)
{
    struct ss_next_device *n = find(def, id, false);
    if (!n)
        return false;
    const struct ss_next_device *end = def->next_devices + def->n_next_devices--;
    memmove(n, n + 1, (size_t)(end - n - 1) * sizeof *n);
    return true;
}

// --- the VM stands still ---

static int take_one(const struct ss_next_device *n, json_t *remove, struct ha_create_spec *add,
                    struct drv_err *err)
{
    struct ha_new_disk *disk = add->disks + add->n_disks;
    struct ha_new_nic *nic = add->nics + add->n_nics;
    struct ha_new_cdrom *drive = add->cdroms + add->n_cdroms;
    switch (n->change) {
    case SS_NEXT_REMOVE:
        json_array_append_new(remove, json_string(n->id));
        return 0;
    case SS_NEXT_ADD_DISK:
        if (add->n_disks == SS_MAX_DISKS)
            break;
        *disk = (struct ha_new_disk){
            .size_bytes = n->size_bytes, .format = n->format, .format_set = true};
        DRV_COPY(disk->id, n->id);
        DRV_COPY(disk->store, n->store);
        add->n_disks++;
        return 0;
    case SS_NEXT_ADD_NIC:
        if (add->n_nics == SS_MAX_NICS)
            break;
        DRV_COPY(nic->id, n->id);
        DRV_COPY(nic->network, n->network);
        DRV_COPY(nic->mac, n->mac);
        DRV_COPY(nic->model, n->model);
        add->n_nics++;
        return 0;
    case SS_NEXT_ADD_CDROM:
        if (add->n_cdroms == SS_MAX_CDROMS)
            break;
        DRV_COPY(drive->id, n->id);
        DRV_COPY(drive->store, n->store);
        DRV_COPY(drive->path, n->path);
        add->n_cdroms++;
        return 0;
    case SS_NEXT_CHANGE_MAX_:
    default:
        return drv_err(err, DRV_EINTERNAL, "%s: unknown change", n->id);
    }
    return drv_err(err, DRV_EINVAL, "%s: too many devices of its kind come at once", n->id);
}

// More of a kind than a VM can have: the sum is for ha_add_devices() to judge.
static int append(struct ha_create_spec *to, const struct ha_create_spec *add, struct drv_err *err)
{
    if (to->n_disks + add->n_disks > SS_MAX_DISKS || to->n_nics + add->n_nics > SS_MAX_NICS ||
        to->n_cdroms + add->n_cdroms > SS_MAX_CDROMS)
        return drv_err(err, DRV_EINVAL,
                       "a VM has at most %d disks, %d network cards and %d CD-ROM drives",
                       SS_MAX_DISKS, SS_MAX_NICS, SS_MAX_CDROMS);
    memcpy(to->disks + to->n_disks, add->disks, add->n_disks * sizeof add->disks[0]);
    memcpy(to->nics + to->n_nics, add->nics, add->n_nics * sizeof add->nics[0]);
    memcpy(to->cdroms + to->n_cdroms, add->cdroms, add->n_cdroms * sizeof add->cdroms[0]);
    to->n_disks += add->n_disks;
    to->n_nics += add->n_nics;
    to->n_cdroms += add->n_cdroms;
    return 0;
}

int ha_next_take(struct ss_vmdef *def, const json_t *remove, const struct ha_create_spec *add,
                 json_t **ret_remove, struct ha_create_spec *ret_add, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *all = json_array(), *now = json_array();
    size_t i;
    json_t *id;
    *ret_add = (struct ha_create_spec){.memory_kib = 0};
    DRV_COPY(ret_add->store, add->store);
    DRV_COPY(ret_add->folder, add->folder);
    json_array_foreach(remove, i, id)
    {
        if (!json_is_string(id) || !drop(def, json_string_value(id)))
            json_array_append(now, id);
    }
    for (i = 0; i < def->n_next_devices; i++)
        if (take_one(&def->next_devices[i], all, ret_add, err) < 0)
            return -1;
    json_array_foreach(now, i, id)
    {
        if (!json_is_string(id) || !find(def, json_string_value(id), true))
            json_array_append(all, id);
    }
    memset(def->next_devices, 0, sizeof def->next_devices);
    def->n_next_devices = 0;
    if (append(ret_add, add, err) < 0)
        return -1;
    *ret_remove = DRV_TAKE(all);
    return 0;
}

// --- it runs ---

static int keep_removal(struct ss_vmdef *def, const char *id, json_t *notices, struct drv_err *err)
{
    if (drop(def, id)) {
        ha_notice(notices, "%s does not come", id);
        return 0;
    }
    const struct ss_disk *disk = ss_vmdef_disk(def, id);
    if (!find(def, id, true) && !push(def, id, SS_NEXT_REMOVE, err))
        return -1;
    if (disk)
        ha_notice(notices, "%s goes with the VM's next start; its image stays: %s on store %s", id,
                  disk->path, disk->store);
    else
        ha_notice(notices, "%s goes with the VM's next start", id);
    return 0;
}

static int keep_removals(struct ss_vmdef *def, const json_t *remove, json_t *notices,
                         struct drv_err *err)
{
    size_t i;
    json_t *id;
    json_array_foreach(remove, i, id)
    {
        if (!json_is_string(id))
            return drv_err(err, DRV_EINVAL, "remove: ids of devices");
        if (keep_removal(def, json_string_value(id), notices, err) < 0)
            return -1;
    }
    return 0;
}

static int keep_additions(struct ss_vmdef *def, const struct ha_create_spec *add,
                          const struct ss_vmdef *then, json_t *notices, struct drv_err *err)
{
    unsigned before = def->n_next_devices;
    struct ss_next_device *n;
    for (unsigned i = 0; i < add->n_disks; i++) {
        const struct ss_disk *d = &then->disks[then->n_disks - add->n_disks + i];
        if (!(n = push(def, d->id, SS_NEXT_ADD_DISK, err)))
            return -1;
        n->size_bytes = add->disks[i].size_bytes;
        n->format = d->format;
        DRV_COPY(n->store, add->disks[i].store);
    }
    for (unsigned i = 0; i < add->n_nics; i++) {
        const struct ss_nic *card = &then->nics[then->n_nics - add->n_nics + i];
        if (!(n = push(def, card->id, SS_NEXT_ADD_NIC, err)))
            return -1;
        DRV_COPY(n->mac, card->mac);
        DRV_COPY(n->network, card->network);
        DRV_COPY(n->model, card->model);
    }
    for (unsigned i = 0; i < add->n_cdroms; i++) {
        const struct ss_cdrom *drive = &then->cdroms[then->n_cdroms - add->n_cdroms + i];
        if (!(n = push(def, drive->id, SS_NEXT_ADD_CDROM, err)))
            return -1;
        DRV_COPY(n->store, drive->store);
        DRV_COPY(n->path, drive->path);
    }
    for (; before < def->n_next_devices; before++)
        ha_notice(notices, "%s comes with the VM's next start", def->next_devices[before].id);
    return 0;
}

int ha_next_keep(struct ss_vmdef *def, const json_t *remove, const struct ha_create_spec *add,
                 struct ss_vmdef *ret_then, json_t *notices, struct drv_err *err)
{
    struct ss_vmdef *next = drv_xcalloc(1, sizeof *next);
    struct ha_create_spec *all = drv_xcalloc(1, sizeof *all);
    DRV_AUTO_FREE void *owned_next = next;
    DRV_AUTO_FREE void *owned_all = all;
    DRV_AUTO_JSON json_t *gone = NULL;
    *next = *def;
    if (keep_removals(next, remove, notices, err) < 0)
        return -1;
    *ret_then = *next;
    if (ha_next_take(ret_then, NULL, add, &gone, all, err) < 0 ||
        ha_set_remove(ret_then, gone, NULL, err) < 0 ||
        ha_add_devices(all, ret_then, notices, err) < 0 ||
        keep_additions(next, add, ret_then, notices, err) < 0)
        return -1;
    *def = *next;
    return 0;
}
