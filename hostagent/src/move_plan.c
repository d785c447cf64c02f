// SPDX-License-Identifier: GPL-3.0-or-later
// From a request to a plan: which disks go where, and what the VM's definition will be there.
#include "move.h"

#include "request.h"
#include <string.h>

int ha_move_request_parse(const json_t *args, struct ha_move_request *ret, struct drv_err *err)
{
    const char *vm, *to, *storage = "";
    json_int_t blackout = 0, bandwidth = 0, keep = 0;
    json_t *disks = NULL, *network = NULL, *keep_j = NULL, *permit = NULL;
    memset(ret, 0, sizeof *ret);
    if (ha_args(args, err, "{s:s, s:s, s?s, s?o, s?o, s?I, s?I, s?o, s?o}", "vm", &vm, "to", &to,
                "storage", &storage, "disks", &disks, "network", &network, "max_blackout_ms",
                &blackout, "bandwidth_bps", &bandwidth, "keep_source_s", &keep_j, "permit",
                &permit) < 0)
        return -1;
    if (permit && drv_permit_take(permit, ret->permit, err) < 0)
        return -1;
    if (keep_j && !json_is_integer(keep_j))
        return drv_err(err, DRV_EINVAL, "keep_source_s must be a whole number of seconds");
    keep = json_integer_value(keep_j);
    if (DRV_COPY(ret->vm, vm) < 0 || DRV_COPY(ret->to, to) < 0 || !to[0] ||
        DRV_COPY(ret->storage, storage) < 0)
        return drv_err(err, DRV_EINVAL, "vm, to or storage is missing or too long");
    if ((disks && !json_is_object(disks)) || (network && !json_is_object(network)))
        return drv_err(err, DRV_EINVAL, "disks and network must be objects");
    if ((blackout && (blackout < 50 || blackout > 600000)) || bandwidth < 0 || keep < -1)
        return drv_err(err, DRV_EINVAL,
                       "max_blackout_ms (50 to 600000), bandwidth_bps or "
                       "keep_source_s is out of range");
    ret->disks = disks;
    ret->network = network;
    ret->max_blackout_ms = (uint32_t)blackout;
    ret->bandwidth_bps = (uint64_t)bandwidth;
    ret->keep_source_s = keep;
    ret->keep_source_set = keep_j != NULL;
    return 0;
}

int ha_storage_request_parse(const json_t *args, struct ha_move_request *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *all = json_copy((json_t *)args);
    if (json_object_get(all, "to") || json_object_get(all, "network") ||
        json_object_get(all, "permit"))
        return drv_err(err, DRV_EINVAL,
                       "a storage move has neither \"to\" nor \"network\" nor \"permit\"");
    json_object_set_new(all, "to", json_string("."));
    if (ha_move_request_parse(all, ret, err) < 0)
        return -1;
    ret->storage_move = true;
    ret->to[0] = '\0';
    ret->disks = json_object_get(args, "disks"); // of the caller's object, which outlives ours
    if (!ret->storage[0] && !ret->disks)
        return drv_err(err, DRV_EINVAL, "say which store the disks shall go to");
    return 0;
}

void ha_complete_name(const char *fqdn, const char *to, char *ret, size_t size)
{
    const char *domain = strchr(fqdn, '.');
    if (strchr(to, '.') || !domain)
        drv_copy(ret, size, to);
    else
        snprintf(ret, size, "%s%s", to, domain);
}

static bool is_smb_url(const char *url)
{
    return !strncmp(url, "smb://", 6);
}

// The store that the request names for a disk; NULL: it says nothing about it.
static const char *wanted_store(const struct ha_move_request *rq, const char *disk)
{
    const char *store = json_string_value(json_object_get(rq->disks, disk));
    if (!store && rq->storage[0] && strcmp(rq->storage, "keep") != 0)
        store = rq->storage;
    return store;
}

int ha_place_disk(const struct ss_disk *from, const char *from_url, const char *vm,
                  const char *target, const char *target_url, struct mv_disk *ret,
                  struct drv_err *err)
{
    memset(ret, 0, sizeof *ret);
    DRV_COPY(ret->id, from->id);
    ret->from = ret->to = *from;
    // Local disks without a word about them stay, which preflight then refuses with the remedy.
    const char *store = target ? target : from->store;
    bool stays = !strcmp(store, from->store) && is_smb_url(from_url);
    ret->moves = target && !stays;
    DRV_COPY(ret->to.store, store);
    // A store that this host does not know may well be a local one of the destination.
    if (is_smb_url(target_url))
        DRV_COPY(ret->to_url, target_url);
    if (!ret->moves)
        return 0;
    drv_uuid_new(ret->image_id);
    if (ret->to_url[0])
        ret->to.format = SS_QCOW2;
    if (snprintf(ret->to.path, sizeof ret->to.path, "%s/%s.%s", vm, from->id,
                 ret->to.format == SS_QCOW2 ? "qcow2" : "raw") >= (int)sizeof ret->to.path)
        return drv_err(err, DRV_EINVAL, "the path of disk %s is too long", from->id);
    return 0;
}

static int plan_disk(struct ha *ha, const struct ss_vmdef *def, unsigned i,
                     const struct ha_move_request *rq, struct mv_disk *ret, struct drv_err *err)
{
    const struct ss_disk *from = &def->disks[i];
    char from_url[HA_URL_MAX], target_url[HA_URL_MAX];
    struct drv_err none = DRV_ERR_INIT;
    const char *target = wanted_store(rq, from->id);
    if (target && !drv_name_valid(target, SS_NAME_MAX - 1))
        return drv_err(err, DRV_EINVAL, "\"%.64s\" is not a store's name", target);
    if (ha_store_url(ha, from->store, from_url, sizeof from_url, err) < 0)
        return -1;
    if (ha_store_url(ha, target ? target : from->store, target_url, sizeof target_url, &none) < 0)
        target_url[0] = '\0';
    // Within a host, a store's name and its URL mean the same place.
    if (rq->storage_move && target &&
        (!strcmp(target, from->store) || !strcmp(target_url, from_url)))
        target = NULL;
    if (!target && ha_store_url(ha, from->store, target_url, sizeof target_url, err) < 0)
        return -1;
    if (ha_place_disk(from, from_url, def->name, target, target_url, ret, err) < 0)
        return -1;
    struct ss_store *st = ha_store_open(ha, from->store, NULL, err);
    struct ss_image_info info = {0};
    int rc = st ? ss_image_info(st, from->path, from->format, &info, err) : -1;
    ss_store_close(st);
    ret->virtual_bytes = info.virtual_bytes;
    return rc < 0 ? drv_err_prefix(err, "disk %s", from->id) : 0;
}

static int check_disk_names(const struct ha_move_request *rq, const struct ss_vmdef *def,
                            struct drv_err *err)
{
    const char *id;
    json_t *store;
    json_object_foreach((json_t *)rq->disks, id, store)
    {
        if (!ss_vmdef_disk(def, id))
            return drv_err(err, DRV_EINVAL, "VM %s has no disk \"%.64s\"", def->name, id);
        if (!json_is_string(store))
            return drv_err(err, DRV_EINVAL, "disks: %s: the store must be a name", id);
    }
    return 0;
}

static int map_networks(const struct ha_move_request *rq, struct ss_vmdef *def, struct drv_err *err)
{
    const char *from;
    json_t *to;
    json_object_foreach((json_t *)rq->network, from, to)
    {
        bool used = false;
        if (!json_is_string(to) || !drv_name_valid(json_string_value(to), 15))
            return drv_err(err, DRV_EINVAL, "network %.32s: its map is not a bridge's name", from);
        for (unsigned i = 0; i < def->n_nics; i++)
            if (!strcmp(def->nics[i].network, from)) {
                DRV_COPY(def->nics[i].network, json_string_value(to));
                used = true;
            }
        for (unsigned i = 0; i < def->n_next_devices; i++)
            if (!strcmp(def->next_devices[i].network, from)) {
                DRV_COPY(def->next_devices[i].network, json_string_value(to));
                used = true;
            }
        if (!used)
            return drv_err(err, DRV_EINVAL, "VM %s uses no network \"%.32s\"", def->name, from);
    }
    return 0;
}

int ha_move_plan(struct ha_vm *vm, const struct ha_move_request *rq, const char *user,
                 struct mv_plan *ret, struct drv_err *err)
{
    struct ha *ha = vm->ha;
    struct ha_settings s;
    ha_settings_get(ha, &s);
    memset(ret, 0, sizeof *ret);
    drv_uuid_new(ret->move);
    DRV_COPY(ret->user, user);
    DRV_COPY(ret->from, ha->fqdn);
    ha_complete_name(ha->fqdn, rq->storage_move ? ha->fqdn : rq->to, ret->to, sizeof ret->to);
    if (!rq->storage_move && !strcmp(ret->to, ret->from))
        return drv_err(err, DRV_EINVAL, "VM %s is on %s already", vm->def.name, ret->to);
    ret->def = vm->def;
    if (check_disk_names(rq, &vm->def, err) < 0 || map_networks(rq, &ret->def, err) < 0 ||
        ha_arbiter_url(ha, ret->arbiter_url, sizeof ret->arbiter_url, err) < 0)
        return -1;
    ret->n_disks = vm->def.n_disks;
    for (unsigned i = 0; i < ret->n_disks; i++) {
        if (plan_disk(ha, &vm->def, i, rq, &ret->disks[i], err) < 0)
            return -1;
        ret->def.disks[i] = ret->disks[i].to;
    }
    DRV_COPY(ret->from_home_store, vm->home_store);
    DRV_COPY(ret->from_home, vm->home);
    DRV_COPY(ret->to_home_store, vm->home_store);
    DRV_COPY(ret->to_home, vm->home);
    if (ret->n_disks && ret->disks[0].moves) { // the home is on the first disk's store
        DRV_COPY(ret->to_home_store, ret->disks[0].to.store);
        DRV_COPY(ret->to_home, vm->def.name);
    }
    ret->epoch = vm->epoch;
    ret->max_blackout_ms = rq->max_blackout_ms ? rq->max_blackout_ms : s.max_blackout_ms;
    ret->bandwidth_bps = rq->bandwidth_bps ? rq->bandwidth_bps : s.bandwidth_bps;
    ret->keep_source_s = rq->keep_source_set ? rq->keep_source_s : s.keep_source_s;
    ret->encrypt = s.encrypt;
    return 0;
}
