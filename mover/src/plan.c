// SPDX-License-Identifier: GPL-3.0-or-later
// The plan's wire and journal form.
#include "drover/plan.h"

#include <string.h>

enum { MAX_KEEP_S = 10 * 366 * 86400 };

bool mv_plan_is_storage(const struct mv_plan *p)
{
    return !strcmp(p->from, p->to);
}

bool mv_plan_moves_disks(const struct mv_plan *p)
{
    for (unsigned i = 0; i < p->n_disks; i++)
        if (p->disks[i].moves)
            return true;
    return false;
}

bool mv_plan_moves_home(const struct mv_plan *p)
{
    // A home that moves with the first disk may have the same names in the other host's local
    // store.
    return strcmp(p->from_home_store, p->to_home_store) != 0 ||
           strcmp(p->from_home, p->to_home) != 0 || (p->n_disks && p->disks[0].moves);
}

static json_t *place_to_json(const struct ss_disk *d)
{
    return json_pack("{s:s, s:s, s:s}", "store", d->store, "path", d->path, "format",
                     ss_format_name(d->format));
}

static json_t *disk_to_json(const struct mv_disk *d)
{
    return json_pack("{s:s, s:b, s:o, s:o, s:s, s:I, s:s}", "id", d->id, "moves", d->moves, "from",
                     place_to_json(&d->from), "to", place_to_json(&d->to), "to_url", d->to_url,
                     "virtual_bytes", (json_int_t)d->virtual_bytes, "image_id", d->image_id);
}

json_t *mv_plan_to_json(const struct mv_plan *p)
{
    json_t *disks = json_array();
    for (unsigned i = 0; i < p->n_disks; i++)
        json_array_append_new(disks, disk_to_json(&p->disks[i]));
    return json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b}",
        "schema", 1, "move", p->move, "user", p->user, "from", p->from, "to", p->to, "definition",
        ss_vmdef_to_json(&p->def), "disks", disks, "from_home_store", p->from_home_store,
        "from_home", p->from_home, "to_home_store", p->to_home_store, "to_home", p->to_home,
        "arbiter_url", p->arbiter_url, "epoch", (json_int_t)p->epoch, "max_blackout_ms",
        (json_int_t)p->max_blackout_ms, "bandwidth_bps", (json_int_t)p->bandwidth_bps,
        "keep_source_s", (json_int_t)p->keep_source_s, "encrypt", p->encrypt);
}

// A string field of a limited size; err names it.
static int take_string(char *dst, size_t size, const char *src, const char *key,
                       struct drv_err *err)
{
    if (drv_copy(dst, size, src) < 0)
        return drv_err(err, DRV_EINVAL, "plan: \"%s\" is longer than %zu bytes", key, size - 1);
    return 0;
}
#define TAKE(field, src) take_string((field), sizeof(field), (src), #src, err)

static int place_from_json(const json_t *j, const char *id, struct ss_disk *ret,
                           struct drv_err *err)
{
    const char *store, *path, *format;
    json_error_t je;
    if (json_unpack_ex((json_t *)j, &je, JSON_STRICT, "{s:s, s:s, s:s}", "store", &store, "path",
                       &path, "format", &format) < 0)
        return drv_err(err, DRV_EINVAL, "plan: disk %s: %s", id, je.text);
    if (!drv_name_valid(store, SS_NAME_MAX - 1) || !ss_path_valid(path) ||
        ss_format_from_name(format, &ret->format) < 0)
        return drv_err(err, DRV_EINVAL, "plan: disk %s: illegal store, path or format", id);
    DRV_COPY(ret->store, store);
    DRV_COPY(ret->path, path);
    return 0;
}

// The destination makes images where the plan says and runs the definition: they must be one.
static int check_place(const struct mv_disk *d, const struct ss_disk *defined, struct drv_err *err)
{
    bool same = !strcmp(d->from.store, d->to.store) && !strcmp(d->from.path, d->to.path);
    if (strcmp(d->id, defined->id) != 0)
        return drv_err(err, DRV_EINVAL, "plan: disk \"%.64s\" stands where the definition has %s",
                       d->id, defined->id);
    if (strcmp(d->to.store, defined->store) != 0 || strcmp(d->to.path, defined->path) != 0 ||
        d->to.format != defined->format)
        return drv_err(err, DRV_EINVAL, "plan: disk %s goes where the definition does not have it",
                       d->id);
    if (d->moves ? !drv_uuid_valid(d->image_id) : !same || d->image_id[0])
        return drv_err(err, DRV_EINVAL, "plan: disk %s: moves, places and image id do not fit",
                       d->id);
    return 0;
}

static int disk_from_json(const json_t *j, const struct ss_disk *defined, struct mv_disk *ret,
                          struct drv_err *err)
{
    const char *id, *to_url, *image_id;
    json_t *from, *to;
    json_int_t virtual_bytes;
    int moves;
    json_error_t je;
    if (json_unpack_ex((json_t *)j, &je, JSON_STRICT, "{s:s, s:b, s:o, s:o, s:s, s:I, s:s}", "id",
                       &id, "moves", &moves, "from", &from, "to", &to, "to_url", &to_url,
                       "virtual_bytes", &virtual_bytes, "image_id", &image_id) < 0)
        return drv_err(err, DRV_EINVAL, "plan: disks: %s", je.text);
    if (virtual_bytes < 0)
        return drv_err(err, DRV_EINVAL, "plan: disk \"%.64s\" has less than no bytes", id);
    ret->from = ret->to = *defined;
    ret->moves = moves;
    ret->virtual_bytes = (uint64_t)virtual_bytes;
    if (TAKE(ret->id, id) < 0 || TAKE(ret->to_url, to_url) < 0 || TAKE(ret->image_id, image_id) < 0)
        return -1;
    if (place_from_json(from, ret->id, &ret->from, err) < 0 ||
        place_from_json(to, ret->id, &ret->to, err) < 0)
        return -1;
    return check_place(ret, defined, err);
}

static int disks_from_json(const json_t *j, struct mv_plan *ret, struct drv_err *err)
{
    if (!json_is_array(j) || json_array_size(j) != ret->def.n_disks)
        return drv_err(err, DRV_EINVAL, "plan: \"disks\" must be the definition's %u disks",
                       ret->def.n_disks);
    ret->n_disks = (unsigned)json_array_size(j);
    for (unsigned i = 0; i < ret->n_disks; i++)
        if (disk_from_json(json_array_get(j, i), &ret->def.disks[i], &ret->disks[i], err) < 0)
            return -1;
    return 0;
}

static int homes_valid(const struct mv_plan *p, struct drv_err *err)
{
    if (!drv_uuid_valid(p->move) || !ss_path_valid(p->from_home) || !ss_path_valid(p->to_home) ||
        !drv_name_valid(p->from_home_store, SS_NAME_MAX - 1) ||
        !drv_name_valid(p->to_home_store, SS_NAME_MAX - 1))
        return drv_err(err, DRV_EINVAL, "plan: illegal move id or home folder");
    return 0;
}

int mv_plan_from_json(const json_t *j, struct mv_plan *ret, struct drv_err *err)
{
    const char *move, *user, *from, *to, *from_home_store, *from_home, *to_home_store, *to_home,
        *arbiter_url;
    json_t *definition, *disks;
    json_int_t epoch, blackout, bandwidth, keep;
    int schema, encrypt;
    json_error_t je;
    memset(ret, 0, sizeof *ret);
    if (json_unpack_ex(
            (json_t *)j, &je, JSON_STRICT,
            "{s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, "
            "s:I, s:b}",
            "schema", &schema, "move", &move, "user", &user, "from", &from, "to", &to, "definition",
            &definition, "disks", &disks, "from_home_store", &from_home_store, "from_home",
            &from_home, "to_home_store", &to_home_store, "to_home", &to_home, "arbiter_url",
            &arbiter_url, "epoch", &epoch, "max_blackout_ms", &blackout, "bandwidth_bps",
            &bandwidth, "keep_source_s", &keep, "encrypt", &encrypt) < 0)
        return drv_err(err, DRV_EINVAL, "plan: %s", je.text);
    if (schema != 1)
        return drv_err(err, DRV_EINVAL, "plan: schema %d is not known here", schema);
    if (epoch < 1 || epoch == INT64_MAX || blackout < 1 || blackout > 600000 || bandwidth < 0 ||
        keep < -1 || keep > MAX_KEEP_S)
        return drv_err(err, DRV_EINVAL, "plan: a number is out of its range");
    ret->epoch = (uint64_t)epoch;
    ret->max_blackout_ms = (uint32_t)blackout;
    ret->bandwidth_bps = (uint64_t)bandwidth;
    ret->keep_source_s = keep;
    ret->encrypt = encrypt;
    if (TAKE(ret->move, move) < 0 || TAKE(ret->user, user) < 0 || TAKE(ret->from, from) < 0 ||
        TAKE(ret->to, to) < 0 || TAKE(ret->from_home_store, from_home_store) < 0 ||
        TAKE(ret->from_home, from_home) < 0 || TAKE(ret->to_home_store, to_home_store) < 0 ||
        TAKE(ret->to_home, to_home) < 0 || TAKE(ret->arbiter_url, arbiter_url) < 0)
        return -1;
    if (ss_vmdef_from_json(definition, &ret->def, err) < 0 || disks_from_json(disks, ret, err) < 0)
        return -1;
    return homes_valid(ret, err);
}
