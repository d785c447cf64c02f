// SPDX-License-Identifier: GPL-3.0-or-later
// Checks of a VM definition: single values (used by the key table in vmdef.c) and what they mean
// together.
#include "vmdef_int.h"

#include <ctype.h>
#include <string.h>

// --- single values ---

int ssi_name_valid(const char *s)
{
    return drv_name_valid(s, SS_NAME_MAX - 1);
}

int ssi_name_or_empty(const char *s)
{
    return !*s || ssi_name_valid(s);
}

// Also a QEMU node name with a suffix of ours: QEMU allows 31 characters, first one a letter.
int ssi_id_valid(const char *s)
{
    return drv_name_valid(s, 24) && isalpha((unsigned char)*s);
}

int ssi_path_or_empty(const char *s)
{
    return !*s || ss_path_valid(s);
}

int ssi_serial_valid(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
            return 0;
    return 1;
}

int ssi_mac_valid(const char *s)
{
    if (strlen(s) != 17)
        return 0;
    for (int i = 0; i < 17; i++)
        if (i % 3 == 2 ? s[i] != ':' : !strchr("0123456789abcdef", s[i]))
            return 0;
    return strchr("02468ace", s[1]) != NULL; // the lowest bit of the first byte means multicast
}

int ssi_bridge_valid(const char *s)
{
    return drv_name_valid(s, 15); // IFNAMSIZ
}

int ssi_nic_model_valid(const char *s)
{
    return !strcmp(s, "virtio-net-pci") || !strcmp(s, "e1000e");
}

int ssi_cpu_valid(const char *s)
{
    return drv_name_valid(s, SS_NAME_MAX);
}

// Without its version ("q35") a machine type means another machine on another QEMU.
int ssi_machine_valid(const char *s)
{
    const char *version = strrchr(s, '-');
    return drv_name_valid(s, SS_NAME_MAX) && version && isdigit((unsigned char)version[1]);
}

int ssi_accel_valid(const char *s)
{
    return !strcmp(s, "kvm") || !strcmp(s, "tcg");
}

int ssi_graphics_valid(const char *s)
{
    return !strcmp(s, "none") || !strcmp(s, "vnc");
}

int ssi_shutdown_valid(const char *s)
{
    return !strcmp(s, "stop") || !strcmp(s, "force") || !strcmp(s, "leave");
}

// --- together ---

struct id_set {
    const char *ids[SS_MAX_DISKS + SS_MAX_CDROMS + SS_MAX_NICS];
    unsigned n;
};

static int add_id(struct id_set *set, const char *id, struct drv_err *err)
{
    for (unsigned i = 0; i < set->n; i++)
        if (!strcmp(set->ids[i], id))
            return drv_err(err, DRV_EINVAL, "vm.json: id \"%s\" is used twice", id);
    set->ids[set->n++] = id;
    return 0;
}

static int add_slot(uint32_t *used, unsigned slot, const char *id, struct drv_err *err)
{
    if (*used & (UINT32_C(1) << slot))
        return drv_err(err, DRV_EINVAL, "vm.json: \"%s\": PCI slot %u is used twice", id, slot);
    *used |= UINT32_C(1) << slot;
    return 0;
}

static int check_disk(const struct ss_vmdef *def, unsigned i, struct drv_err *err)
{
    const struct ss_disk *d = &def->disks[i];
    for (unsigned k = 0; k < i; k++)
        if (!strcmp(def->disks[k].store, d->store) && !strcmp(def->disks[k].path, d->path))
            return drv_err(err, DRV_EINVAL, "vm.json: disks \"%s\" and \"%s\" are one file",
                           def->disks[k].id, d->id);
    bool is_nvram = !strcmp(d->id, "nvram");
    if (is_nvram && def->firmware != SS_FW_UEFI)
        return drv_err(err, DRV_EINVAL, "vm.json: a disk \"nvram\" needs \"firmware\": \"uefi\"");
    bool needs_slot = d->bus == SS_BUS_VIRTIO && !is_nvram;
    if (needs_slot != (d->pci_slot != 0))
        return drv_err(err, DRV_EINVAL, "vm.json: disk \"%s\": pci_addr must be %s", d->id,
                       needs_slot ? "1 to 30 for a virtio disk" : "0: only virtio disks have one");
    return 0;
}

// Whether a device that comes has an id to itself then, is known when it comes: the ones that go
// make room. Here each entry is looked at by itself.
static int check_next(const struct ss_vmdef *def, const struct ss_next_device *n,
                      struct drv_err *err)
{
    const char *wrong = NULL;
    switch (n->change) {
    case SS_NEXT_REMOVE:
        if (!ss_vmdef_has_device(def, n->id))
            wrong = "there is no such device";
        break;
    case SS_NEXT_ADD_DISK:
        if (n->size_bytes == 0 || n->path[0])
            wrong = "a new disk has a size and no path";
        break;
    case SS_NEXT_ADD_NIC:
        if (!ssi_mac_valid(n->mac) || !ssi_bridge_valid(n->network) ||
            !ssi_nic_model_valid(n->model))
            wrong = "mac, network and model must be those of a network card";
        break;
    case SS_NEXT_ADD_CDROM:
        if (!n->store[0] != !n->path[0])
            wrong = "store and path go together";
        break;
    case SS_NEXT_CHANGE_MAX_:
    default:
        wrong = "unknown change";
    }
    if (wrong)
        return drv_err(err, DRV_EINVAL, "vm.json: next_devices: \"%s\": %s", n->id, wrong);
    return 0;
}

int ssi_vmdef_check(const struct ss_vmdef *def, struct drv_err *err)
{
    struct id_set ids = {.n = 0};
    uint32_t slots = 0;
    for (unsigned i = 0; i < def->n_disks; i++) {
        const struct ss_disk *d = &def->disks[i];
        if (add_id(&ids, d->id, err) < 0 || check_disk(def, i, err) < 0 ||
            (d->pci_slot && add_slot(&slots, d->pci_slot, d->id, err) < 0))
            return -1;
    }
    for (unsigned i = 0; i < def->n_cdroms; i++) {
        const struct ss_cdrom *c = &def->cdroms[i];
        if (add_id(&ids, c->id, err) < 0)
            return -1;
        if (!c->store[0] != !c->path[0])
            return drv_err(err, DRV_EINVAL, "vm.json: cdrom \"%s\": store and path go together",
                           c->id);
    }
    for (unsigned i = 0; i < def->n_nics; i++) {
        const struct ss_nic *n = &def->nics[i];
        if (add_id(&ids, n->id, err) < 0 || add_slot(&slots, n->pci_slot, n->id, err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < def->n_next_devices; i++)
        if (check_next(def, &def->next_devices[i], err) < 0)
            return -1;
    return 0;
}
