// SPDX-License-Identifier: GPL-3.0-or-later
// The facts' wire form, driven by tables of fields: one line per field serves both directions.
#include "drover/facts.h"

#include <stddef.h>
#include <string.h>

struct field {
    const char *name;
    enum { STR, BOOL, U64, I64, UINT } type;
    size_t offset, size;
};
#define FIELD(st, f, t)                                                                            \
    {                                                                                              \
#f, t, offsetof(struct st, f), sizeof(((struct st *)0)->f)                                 \
    }

static const struct field host_fields[] = {
    FIELD(mv_facts, host, STR),
    FIELD(mv_facts, version, STR),
    FIELD(mv_facts, qemu_version, STR),
    FIELD(mv_facts, wall_ms, I64),
    FIELD(mv_facts, send, BOOL),
    FIELD(mv_facts, receive, BOOL),
    FIELD(mv_facts, encrypt, BOOL),
    FIELD(mv_facts, slots_used, UINT),
    FIELD(mv_facts, slots_max, UINT),
    FIELD(mv_facts, mem_free_kib, U64),
    FIELD(mv_facts, cpus, UINT),
    FIELD(mv_facts, machine_ok, BOOL),
    FIELD(mv_facts, cpu_ok, BOOL),
    FIELD(mv_facts, accel_ok, BOOL),
    FIELD(mv_facts, cpu_missing, STR),
    FIELD(mv_facts, firmware_missing, STR),
    FIELD(mv_facts, arbiter_url, STR),
    FIELD(mv_facts, arbiter_ok, BOOL),
    FIELD(mv_facts, arbiter_error, STR),
    FIELD(mv_facts, vm_known, BOOL),
    FIELD(mv_facts, vm_state, STR),
    FIELD(mv_facts, vm_qemu_version, STR),
    FIELD(mv_facts, record_ours, BOOL),
    FIELD(mv_facts, record_error, STR),
    FIELD(mv_facts, other_move, STR),
    FIELD(mv_facts, host_device, STR),
    {0},
};
static const struct field net_fields[] = {
    FIELD(mv_net_fact, network, STR), FIELD(mv_net_fact, present, BOOL), {0}};
static const struct field store_fields[] = {FIELD(mv_store_fact, name, STR),
                                            FIELD(mv_store_fact, url, STR),
                                            FIELD(mv_store_fact, is_smb, BOOL),
                                            FIELD(mv_store_fact, writable, BOOL),
                                            FIELD(mv_store_fact, user_may, BOOL),
                                            FIELD(mv_store_fact, user_asked, BOOL),
                                            FIELD(mv_store_fact, free_bytes, U64),
                                            FIELD(mv_store_fact, error, STR),
                                            FIELD(mv_store_fact, user_id, STR),
                                            FIELD(mv_store_fact, user_fix, STR),
                                            {0}};
static const struct field disk_fields[] = {FIELD(mv_disk_fact, id, STR),
                                           FIELD(mv_disk_fact, accessible, BOOL),
                                           FIELD(mv_disk_fact, has_backing, BOOL),
                                           FIELD(mv_disk_fact, has_snapshots, BOOL),
                                           FIELD(mv_disk_fact, target_exists, BOOL),
                                           FIELD(mv_disk_fact, virtual_bytes, U64),
                                           FIELD(mv_disk_fact, allocated_bytes, U64),
                                           FIELD(mv_disk_fact, error, STR),
                                           {0}};

static json_t *encode(const void *base, const struct field *f)
{
    json_t *j = json_object();
    for (; f->name; f++) {
        const char *p = (const char *)base + f->offset;
        json_t *value = NULL;
        switch (f->type) {
        case STR:
            value = json_string(p);
            break;
        case BOOL:
            value = json_boolean(*(const bool *)p);
            break;
        case UINT:
            value = json_integer(*(const unsigned *)p);
            break;
        case U64:
        case I64:
            value = json_integer(*(const int64_t *)p);
            break;
        }
        // A text that is no UTF-8 (from a file name, say) becomes empty rather than a broken
        // message.
        json_object_set_new(j, f->name, value ? value : json_string(""));
    }
    return j;
}

// Fields that are missing keep zero: an older agent does not know the newest ones.
static int decode(const json_t *j, void *base, const struct field *f, struct drv_err *err)
{
    if (!json_is_object(j))
        return drv_err(err, DRV_EPEER, "facts: an object is missing");
    for (; f->name; f++) {
        char *p = (char *)base + f->offset;
        const json_t *v = json_object_get(j, f->name);
        bool ok = true;
        if (!v)
            continue;
        switch (f->type) {
        case STR:
            ok = json_is_string(v) && drv_copy(p, f->size, json_string_value(v)) == 0;
            break;
        case BOOL:
            ok = json_is_boolean(v);
            *(bool *)p = json_is_true(v);
            break;
        case UINT:
            ok = json_is_integer(v) && json_integer_value(v) >= 0 &&
                 json_integer_value(v) <= 1000000;
            *(unsigned *)p = ok ? (unsigned)json_integer_value(v) : 0;
            break;
        case U64:
        case I64:
            ok = json_is_integer(v) && (f->type == I64 || json_integer_value(v) >= 0);
            *(int64_t *)p = json_integer_value(v);
            break;
        }
        if (!ok)
            return drv_err(err, DRV_EPEER, "facts: \"%s\" has the wrong type or size", f->name);
    }
    return 0;
}

static json_t *encode_list(const void *base, size_t stride, unsigned n, const struct field *f)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, encode((const char *)base + i * stride, f));
    return list;
}

static int decode_list(const json_t *j, const char *key, void *base, size_t stride, unsigned max,
                       unsigned *ret_n, const struct field *f, struct drv_err *err)
{
    const json_t *list = json_object_get(j, key);
    size_t n = json_array_size(list);
    if ((list && !json_is_array(list)) || n > max)
        return drv_err(err, DRV_EPEER, "facts: \"%s\" is no list of at most %u entries", key, max);
    for (size_t i = 0; i < n; i++)
        if (decode(json_array_get(list, i), (char *)base + i * stride, f, err) < 0)
            return -1;
    *ret_n = (unsigned)n;
    return 0;
}

json_t *mv_facts_to_json(const struct mv_facts *f)
{
    json_t *j = encode(f, host_fields);
    json_object_set_new(j, "networks",
                        encode_list(f->nets, sizeof f->nets[0], f->n_nets, net_fields));
    json_object_set_new(j, "stores",
                        encode_list(f->stores, sizeof f->stores[0], f->n_stores, store_fields));
    json_object_set_new(j, "disks",
                        encode_list(f->disks, sizeof f->disks[0], f->n_disks, disk_fields));
    json_t *addrs = json_array();
    for (unsigned i = 0; i < f->n_addrs; i++)
        json_array_append_new(addrs, json_pack("[s, s]", f->addrs[i], f->subnets[i]));
    json_object_set_new(j, "addresses", addrs);
    return j;
}

static int addrs_from_json(const json_t *list, struct mv_facts *ret, struct drv_err *err)
{
    if ((list && !json_is_array(list)) || json_array_size(list) > MV_MAX_ADDRS)
        return drv_err(err, DRV_EPEER, "facts: \"addresses\" is no list of at most %d",
                       MV_MAX_ADDRS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *addr, *subnet;
        if (json_unpack(json_array_get(list, i), "[s, s]", &addr, &subnet) < 0 ||
            DRV_COPY(ret->addrs[i], addr) < 0 || DRV_COPY(ret->subnets[i], subnet) < 0)
            return drv_err(err, DRV_EPEER, "facts: an address is not [address, network]");
        ret->n_addrs++;
    }
    return 0;
}

int mv_facts_from_json(const json_t *j, struct mv_facts *ret, struct drv_err *err)
{
    memset(ret, 0, sizeof *ret);
    if (decode(j, ret, host_fields, err) < 0 ||
        decode_list(j, "networks", ret->nets, sizeof ret->nets[0], SS_MAX_NICS, &ret->n_nets,
                    net_fields, err) < 0 ||
        decode_list(j, "stores", ret->stores, sizeof ret->stores[0], MV_MAX_STORES, &ret->n_stores,
                    store_fields, err) < 0 ||
        decode_list(j, "disks", ret->disks, sizeof ret->disks[0], SS_MAX_DISKS, &ret->n_disks,
                    disk_fields, err) < 0)
        return -1;
    return addrs_from_json(json_object_get(j, "addresses"), ret, err);
}
