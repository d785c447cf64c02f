// SPDX-License-Identifier: GPL-3.0-or-later
// The probe's result in a file: a start of the agent need not wait for it again.
#include "probe_int.h"

#include <string.h>

#include "drover/util.h"
#include "json_file.h"

static json_t *encode_names(char names[][HA_PROBE_NAME], unsigned n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static unsigned decode_names(const json_t *list, char names[][HA_PROBE_NAME])
{
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < HA_PROBE_MAX_NAMES; i++)
        if (json_is_string(json_array_get(list, i)))
            drv_copy(names[n++], HA_PROBE_NAME, json_string_value(json_array_get(list, i)));
    return n;
}

int probe_cache_read(const char *path, const char *key, struct ha_probe *ret)
{
    DRV_AUTO_JSON json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    const char *stored, *package, *note;
    int version, kvm;
    json_t *machines, *tcg, *cpus_kvm;
    if (!j ||
        json_unpack(j, "{s:s, s:i, s:s, s:b, s:s, s:o, s:o, s:o}", "key", &stored, "qemu_version",
                    &version, "qemu_package", &package, "kvm", &kvm, "kvm_note", &note, "machines",
                    &machines, "cpus_tcg", &tcg, "cpus_kvm", &cpus_kvm) < 0 ||
        strcmp(stored, key) != 0)
        return -1;
    memset(ret, 0, sizeof *ret);
    ret->qemu_version = (unsigned)version;
    DRV_COPY(ret->qemu_package, package);
    ret->kvm = kvm;
    DRV_COPY(ret->kvm_note, note);
    ret->n_machines = decode_names(machines, ret->machines);
    ret->n_cpus_tcg = decode_names(tcg, ret->cpus_tcg);
    ret->n_cpus_kvm = decode_names(cpus_kvm, ret->cpus_kvm);
    return 0;
}

// A cache that cannot be written costs time at the next start and nothing else.
void probe_cache_write(const char *path, const char *key, const struct ha_probe *p)
{
    struct ha_probe *q = (struct ha_probe *)p; // encode_names() only reads
    DRV_AUTO_JSON json_t *j =
        json_pack("{s:s, s:i, s:s, s:b, s:s, s:o, s:o, s:o}", "key", key, "qemu_version",
                  (int)p->qemu_version, "qemu_package", p->qemu_package, "kvm", p->kvm, "kvm_note",
                  p->kvm_note, "machines", encode_names(q->machines, p->n_machines), "cpus_tcg",
                  encode_names(q->cpus_tcg, p->n_cpus_tcg), "cpus_kvm",
                  encode_names(q->cpus_kvm, p->n_cpus_kvm));
    struct drv_err ignored = DRV_ERR_INIT;
    if (j)
        ha_json_save(path, j, &ignored);
}
