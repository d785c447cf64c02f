// SPDX-License-Identifier: GPL-3.0-or-later
// vm.json: the table of its keys, parsing and formatting. What the keys mean together (unique ids,
// slots) is checked in vmdef_check.c. Documented in docs/VMJSON.md.
#include "drover/vmdef.h"

#include "fields.h"
#include "vmdef_int.h"
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {[SS_RAW] = "raw", [SS_QCOW2] = "qcow2", NULL};
static const char *const bus_names[] = {
    [SS_BUS_VIRTIO] = "virtio", [SS_BUS_SATA] = "sata", [SS_BUS_SCSI] = "scsi", NULL};
static const char *const cache_names[] = {
    [SS_CACHE_NONE] = "none", [SS_CACHE_WRITEBACK] = "writeback", NULL};
static const char *const firmware_names[] = {[SS_FW_BIOS] = "bios", [SS_FW_UEFI] = "uefi", NULL};
static const char *const rtc_names[] = {"utc", "localtime", NULL};
static const char *const panic_names[] = {"none", "pvpanic", NULL};
static const char *const change_names[] = {[SS_NEXT_REMOVE] = "remove",
                                           [SS_NEXT_ADD_DISK] = "add-disk",
                                           [SS_NEXT_ADD_NIC] = "add-nic",
                                           [SS_NEXT_ADD_CDROM] = "add-cdrom",
                                           NULL};
_Static_assert(DRV_ARRAY_LEN(format_names) == SS_FORMAT_MAX_ + 1, "a name per format");
_Static_assert(DRV_ARRAY_LEN(bus_names) == SS_BUS_MAX_ + 1, "a name per bus");
_Static_assert(DRV_ARRAY_LEN(cache_names) == SS_CACHE_MAX_ + 1, "a name per cache mode");
_Static_assert(DRV_ARRAY_LEN(firmware_names) == SS_FW_MAX_ + 1, "a name per firmware");
_Static_assert(DRV_ARRAY_LEN(change_names) == SS_NEXT_CHANGE_MAX_ + 1, "a name per change");

#define TEXT(type, member, ok, text)                                                               \
    .kind = SS_F_TEXT, .offset = offsetof(struct type, member),                                    \
    .size = sizeof((struct type *)0)->member, .valid = (ok), .expected = (text)
#define UINT(type, member, low, high)                                                              \
    .kind = SS_F_UINT, .offset = offsetof(struct type, member), .min = (low), .max = (high)
#define ENUM(type, member, list)                                                                   \
    .kind = SS_F_ENUM, .offset = offsetof(struct type, member), .names = (list)
#define ARRAY(type, member, count, limit, table)                                                   \
    .kind = SS_F_ARRAY, .offset = offsetof(struct type, member),                                   \
    .size = sizeof((struct type *)0)->member[0], .max = (limit), .fields = (table),                \
    .count_offset = offsetof(struct type, count)

static const struct ss_field disk_fields[] = {
    {"id", TEXT(ss_disk, id, ssi_id_valid, SSI_ID_TEXT)},
    {"store", TEXT(ss_disk, store, ssi_name_valid, SSI_NAME_TEXT)},
    {"path", TEXT(ss_disk, path, ss_path_valid, SSI_PATH_TEXT)},
    {"format", ENUM(ss_disk, format, format_names)},
    {"bus", ENUM(ss_disk, bus, bus_names)},
    {"pci_addr", UINT(ss_disk, pci_slot, 0, SSI_PCI_SLOT_MAX), .optional = true},
    {"serial", TEXT(ss_disk, serial, ssi_serial_valid, SSI_SERIAL_TEXT), .optional = true},
    {"cache", ENUM(ss_disk, cache, cache_names), .optional = true},
    {.key = NULL}};

static const struct ss_field cdrom_fields[] = {
    {"id", TEXT(ss_cdrom, id, ssi_id_valid, SSI_ID_TEXT)},
    {"store", TEXT(ss_cdrom, store, ssi_name_or_empty, SSI_NAME_TEXT " or empty"),
     .optional = true},
    {"path", TEXT(ss_cdrom, path, ssi_path_or_empty, SSI_PATH_TEXT " or empty"), .optional = true},
    {.key = NULL}};

static const struct ss_field nic_fields[] = {
    {"id", TEXT(ss_nic, id, ssi_id_valid, SSI_ID_TEXT)},
    {"mac", TEXT(ss_nic, mac, ssi_mac_valid, SSI_MAC_TEXT)},
    {"network", TEXT(ss_nic, network, ssi_bridge_valid, SSI_BRIDGE_TEXT)},
    {"model", TEXT(ss_nic, model, ssi_nic_model_valid, SSI_NIC_MODEL_TEXT)},
    {"pci_addr", UINT(ss_nic, pci_slot, 1, SSI_PCI_SLOT_MAX)},
    {.key = NULL}};

static const struct ss_field next_fields[] = {
    {"id", TEXT(ss_next_device, id, ssi_id_valid, SSI_ID_TEXT)},
    {"change", ENUM(ss_next_device, change, change_names)},
    {"store", TEXT(ss_next_device, store, ssi_name_or_empty, SSI_NAME_TEXT " or empty"),
     .optional = true},
    {"size_bytes", .kind = SS_F_U64, .offset = offsetof(struct ss_next_device, size_bytes),
     .max = SS_DISK_MAX_BYTES, .optional = true},
    {"format", ENUM(ss_next_device, format, format_names), .optional = true},
    {"path", TEXT(ss_next_device, path, ssi_path_or_empty, SSI_PATH_TEXT " or empty"),
     .optional = true},
    {"mac", TEXT(ss_next_device, mac, NULL, NULL), .optional = true},
    {"network", TEXT(ss_next_device, network, NULL, NULL), .optional = true},
    {"model", TEXT(ss_next_device, model, NULL, NULL), .optional = true},
    {.key = NULL}};

static const struct ss_field cpu_fields[] = {
    {"model", TEXT(ss_vmdef, cpu_model, ssi_cpu_valid, SSI_CPU_TEXT)},
    {"vcpus", UINT(ss_vmdef, vcpus, 1, 255)},
    {"hyperv", .kind = SS_F_BOOL, .offset = offsetof(struct ss_vmdef, hyperv), .optional = true},
    {.key = NULL}};

static const struct ss_field vm_fields[] = {
    {"schema", .kind = SS_F_CONST, .min = 1},
    {"uuid", TEXT(ss_vmdef, uuid, drv_uuid_valid, "a UUID in lower case")},
    {"name", TEXT(ss_vmdef, name, ssi_name_valid, SSI_NAME_TEXT)},
    {"machine", TEXT(ss_vmdef, machine, ssi_machine_valid, SSI_MACHINE_TEXT)},
    {"accel", TEXT(ss_vmdef, accel, ssi_accel_valid, "\"kvm\" or \"tcg\"")},
    {"cpu", .kind = SS_F_OBJECT, .fields = cpu_fields},
    {"memory_kib", .kind = SS_F_U64, .offset = offsetof(struct ss_vmdef, memory_kib), .min = 1024,
     .max = UINT64_C(1) << 32},
    {"firmware", ENUM(ss_vmdef, firmware, firmware_names), .optional = true},
    {"rtc", .kind = SS_F_BOOL, .offset = offsetof(struct ss_vmdef, rtc_localtime),
     .names = rtc_names, .optional = true},
    {"disks", ARRAY(ss_vmdef, disks, n_disks, SS_MAX_DISKS, disk_fields), .optional = true},
    {"cdroms", ARRAY(ss_vmdef, cdroms, n_cdroms, SS_MAX_CDROMS, cdrom_fields), .optional = true},
    {"nics", ARRAY(ss_vmdef, nics, n_nics, SS_MAX_NICS, nic_fields), .optional = true},
    {"graphics", TEXT(ss_vmdef, graphics, ssi_graphics_valid, "\"none\" or \"vnc\""),
     .optional = true},
    {"panic", .kind = SS_F_BOOL, .offset = offsetof(struct ss_vmdef, pvpanic), .names = panic_names,
     .optional = true},
    {"autostart", .kind = SS_F_BOOL, .offset = offsetof(struct ss_vmdef, autostart),
     .optional = true},
    {"start_order", UINT(ss_vmdef, start_order, 0, 9999), .optional = true},
    {"start_delay_s", UINT(ss_vmdef, start_delay_s, 0, 3600), .optional = true},
    {"on_host_shutdown",
     TEXT(ss_vmdef, on_host_shutdown, ssi_shutdown_valid, "\"stop\", \"force\" or \"leave\""),
     .optional = true},
    {"shutdown_timeout_s", UINT(ss_vmdef, shutdown_timeout_s, 1, 3600), .optional = true},
    {"notes", TEXT(ss_vmdef, notes, NULL, NULL), .optional = true},
    {"next", TEXT(ss_vmdef, next, NULL, NULL), .optional = true},
    {"next_devices", ARRAY(ss_vmdef, next_devices, n_next_devices, SS_MAX_NEXT, next_fields),
     .optional = true},
    {.key = NULL}};

// --- JSON ---

int ss_vmdef_from_json(const json_t *j, struct ss_vmdef *ret, struct drv_err *err)
{
    memset(ret, 0, sizeof *ret);
    DRV_COPY(ret->graphics, "none");
    DRV_COPY(ret->on_host_shutdown, "stop");
    ret->start_order = SS_START_ORDER;
    ret->shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
    if (ss_fields_read(vm_fields, j, ret, "vm.json", err) < 0)
        return -1;
    return ssi_vmdef_check(ret, err);
}

int ss_vmdef_parse(const char *text, size_t len, struct ss_vmdef *ret, struct drv_err *err)
{
    if (len > SS_VMDEF_MAX_BYTES)
        return drv_err(err, DRV_EINVAL, "vm.json: larger than %d KiB", SS_VMDEF_MAX_BYTES / 1024);
    json_error_t je;
    DRV_AUTO_JSON json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!j)
        return drv_err(err, DRV_EINVAL, "vm.json: line %d: %s", je.line, je.text);
    return ss_vmdef_from_json(j, ret, err);
}

json_t *ss_vmdef_to_json(const struct ss_vmdef *def)
{
    return ss_fields_write(vm_fields, def);
}

char *ss_vmdef_format(const struct ss_vmdef *def)
{
    DRV_AUTO_JSON json_t *j = ss_vmdef_to_json(def);
    DRV_AUTO_FREE char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    return text ? drv_xasprintf("%s\n", text) : NULL;
}

void ss_text_sha256(const char *text, size_t len, char out_hex[65])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, len, (const uint8_t *)text);
    sha256_digest(&ctx, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out_hex + 2 * i, 3, "%02x", digest[i]);
}

// --- small things ---

const struct ss_disk *ss_vmdef_disk(const struct ss_vmdef *def, const char *id)
{
    for (unsigned i = 0; i < def->n_disks; i++)
        if (!strcmp(def->disks[i].id, id))
            return &def->disks[i];
    return NULL;
}

bool ss_vmdef_has_device(const struct ss_vmdef *def, const char *id)
{
    bool found = ss_vmdef_disk(def, id) != NULL;
    for (unsigned i = 0; i < def->n_cdroms; i++)
        found |= !strcmp(def->cdroms[i].id, id);
    for (unsigned i = 0; i < def->n_nics; i++)
        found |= !strcmp(def->nics[i].id, id);
    return found;
}

const char *ss_format_name(enum ss_format f)
{
    return f < SS_FORMAT_MAX_ ? format_names[f] : "unknown";
}

int ss_format_from_name(const char *name, enum ss_format *ret)
{
    for (unsigned i = 0; name && i < SS_FORMAT_MAX_; i++) {
        if (!strcmp(name, format_names[i])) {
            *ret = (enum ss_format)i;
            return 0;
        }
    }
    return -1;
}
