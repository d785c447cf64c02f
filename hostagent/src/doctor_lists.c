// SPDX-License-Identifier: GPL-3.0-or-later
// What hosts have and VMs need, as lists of names, and comparing those of two hosts: see doctor.h.
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "drover/file.h"
#include "qemu_args.h"
#include "tap.h"

enum { BRIDGES_MAX = 64 };

// --- making the lists ---

static json_t *bridges(void)
{
    char names[BRIDGES_MAX][IFNAMSIZ];
    struct drv_err err = DRV_ERR_INIT;
    int n = ha_bridges(names, BRIDGES_MAX, &err);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *models(unsigned n, const char names[][HA_PROBE_NAME])
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

json_t *ha_doctor_stores_list(struct ha *ha)
{
    struct db_stores all = {0};
    struct drv_err err = DRV_ERR_INIT;
    json_t *list = json_array();
    if (db_store_list(ha->db, &all, &err) < 0)
        return list;
    for (unsigned i = 0; i < all.n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", all.list[i].name, "url", all.list[i].url));
    db_stores_done(&all);
    return list;
}

struct vms_call {
    struct ha *ha;
    json_t *list;
};

static void list_vms(void *arg)
{
    struct vms_call *c = arg;
    for (const struct ha_vm *vm = c->ha->vms; vm; vm = vm->next) {
        json_t *networks = json_array();
        for (unsigned i = 0; i < vm->def.n_nics; i++)
            json_array_append_new(networks, json_string(vm->def.nics[i].network));
        json_array_append_new(c->list,
                              json_pack("{s:s, s:s, s:s, s:b, s:o}", "name", vm->def.name, "accel",
                                        vm->def.accel, "cpu", vm->def.cpu_model, "uefi",
                                        vm->def.firmware == SS_FW_UEFI, "networks", networks));
    }
}

json_t *ha_doctor_lists(struct ha *ha)
{
    struct vms_call c = {.ha = ha, .list = json_array()};
    drv_loop_call(ha->loop, list_vms, &c);
    return json_pack("{s:o, s:{s:o, s:o}, s:b, s:o, s:o}", "bridges", bridges(), "cpus", "tcg",
                     models(ha->probe->n_cpus_tcg, ha->probe->cpus_tcg), "kvm",
                     models(ha->probe->n_cpus_kvm, ha->probe->cpus_kvm), "uefi",
                     drv_may(HA_UEFI_CODE, R_OK), "stores", ha_doctor_stores_list(ha), "vms",
                     c.list);
}

// --- comparing ---

static bool has(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (text && !strcmp(text, name))
            return true;
    }
    return false;
}

static const char *url_of(const json_t *stores, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(stores, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "name"));
        if (text && !strcmp(text, name))
            return json_string_value(json_object_get(item, "url"));
    }
    return NULL;
}

const char *ha_doctor_store_of(const json_t *stores, const char *url)
{
    size_t i;
    json_t *item;
    json_array_foreach(stores, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "url"));
        const char *name = json_string_value(json_object_get(item, "name"));
        if (text && name && drv_name_valid(name, SS_NAME_MAX - 1) && !strcmp(text, url))
            return name;
    }
    return NULL;
}

static void compare_vm(const json_t *vm, const char *to, const json_t *theirs,
                       struct drv_findings *ret)
{
    const char *name = json_string_value(json_object_get(vm, "name"));
    const char *cpu = json_string_value(json_object_get(vm, "cpu"));
    const char *accel = json_string_value(json_object_get(vm, "accel"));
    size_t i;
    json_t *network;
    json_array_foreach(json_object_get(vm, "networks"), i, network)
    {
        if (has(json_object_get(theirs, "bridges"), json_string_value(network)))
            continue;
        drv_finding_add_as(ret, DRV_SEV_WARNING, "N01", to, "%s has no bridge \"%s\" for VM %s", to,
                           json_string_value(network), name);
        drv_finding_fix(ret, "Create it there, or map it at the move: --network %s=BRIDGE",
                        json_string_value(network));
    }
    if (!has(json_object_get(json_object_get(theirs, "cpus"), accel), cpu))
        drv_finding_add_as(ret, DRV_SEV_WARNING, "V04", to,
                           "%s cannot run the CPU model %s of VM %s (%s)", to, cpu, name, accel);
    if (json_is_true(json_object_get(vm, "uefi")) &&
        !json_is_true(json_object_get(theirs, "uefi"))) {
        drv_finding_add_as(ret, DRV_SEV_WARNING, "V07", to,
                           "VM %s starts by UEFI, and %s has no firmware for it", name, to);
        drv_finding_command(ret, to, "apt install ovmf");
    }
}

static void compare_store(const char *from, const json_t *store, const char *to,
                          const json_t *theirs, struct drv_findings *ret)
{
    const char *name = json_string_value(json_object_get(store, "name"));
    const char *url = json_string_value(json_object_get(store, "url"));
    const char *other = url_of(json_object_get(theirs, "stores"), name);
    if (strncmp(url, "smb://", 6) != 0)
        return; // each host's own folder
    if (other && strcmp(other, url) != 0) {
        drv_finding_add(ret, "S02", to, "store \"%s\" is %s at %s and %s at %s", name, url, from,
                        other, to);
    } else if (!other) {
        drv_finding_add_as(ret, DRV_SEV_WARNING, "S01", to, "%s does not know store \"%s\" of %s",
                           to, name, from);
        drv_finding_command(ret, to, "drover store add %s %s", name, url);
    }
}

void ha_doctor_compare(const char *from, const json_t *ours, const char *to, const json_t *theirs,
                       struct drv_findings *ret)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(ours, "vms"), i, item)
    {
        compare_vm(item, to, theirs, ret);
    }
    json_array_foreach(json_object_get(ours, "stores"), i, item)
    {
        compare_store(from, item, to, theirs, ret);
    }
}
