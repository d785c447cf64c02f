// SPDX-License-Identifier: GPL-3.0-or-later
// state.json: see qemu_state.h.
#include "qemu_state.h"

#include "json_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1, STATE_MAX_BYTES = 512 * 1024 };

static void file_path(const char *dir, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/state.json", dir);
}

// --- writing ---

static json_t *encode(const struct ha_qemu *h)
{
    json_t *taps = json_array();
    for (unsigned i = 0; i < h->def.n_nics; i++)
        json_array_append_new(taps, json_string(h->taps[i]));
    json_t *j = json_pack("{s:i, s:I, s:I, s:s, s:I, s:o, s:o}", "schema", SCHEMA, "pid",
                          (json_int_t)h->pid, "start_time", (json_int_t)h->start_time, "instance",
                          h->instance, "epoch", (json_int_t)h->epoch, "taps", taps, "def",
                          ss_vmdef_to_json(&h->def));
    if (j && h->extra)
        json_object_set(j, "extra", h->extra);
    return j;
}

int ha_state_write(const struct ha_qemu *h, struct drv_err *err)
{
    char path[PATH_MAX];
    file_path(h->dir, path);
    DRV_AUTO_JSON json_t *j = encode(h);
    if (!j)
        return drv_err(err, DRV_EINTERNAL, "cannot encode %s", path);
    return ha_json_save(path, j, err);
}

// --- reading ---

static int decode(json_t *j, struct ha_qemu *h, struct drv_err *err)
{
    int schema;
    json_int_t pid, start_time, epoch;
    const char *instance;
    json_t *taps, *def, *extra = NULL;
    json_error_t why;
    if (json_unpack_ex(j, &why, JSON_STRICT, "{s:i, s:I, s:I, s:s, s:I, s:o, s:o, s?o}", "schema",
                       &schema, "pid", &pid, "start_time", &start_time, "instance", &instance,
                       "epoch", &epoch, "taps", &taps, "def", &def, "extra", &extra) < 0)
        return drv_err(err, DRV_EINVAL, "state.json: %s", why.text);
    if (schema != SCHEMA || pid <= 0 || pid > INT_MAX || start_time <= 0 || epoch < 0 ||
        !drv_uuid_valid(instance) || !json_is_array(taps))
        return drv_err(err, DRV_EINVAL, "state.json: a value is out of range");
    if (ss_vmdef_from_json(def, &h->def, err) < 0)
        return -1;
    h->pid = (pid_t)pid;
    h->start_time = (uint64_t)start_time;
    h->epoch = (uint64_t)epoch;
    DRV_COPY(h->instance, instance);
    for (size_t i = 0; i < json_array_size(taps) && i < SS_MAX_NICS; i++)
        DRV_COPY(h->taps[i], json_string_value(json_array_get(taps, i)));
    h->extra = json_incref(extra);
    return 0;
}

struct ha_qemu *ha_state_read(const char *dir, struct drv_err *err)
{
    char path[PATH_MAX];
    file_path(dir, path);
    DRV_AUTO_JSON json_t *j = ha_json_load(path, STATE_MAX_BYTES, err);
    if (!j)
        return NULL;
    struct ha_qemu *h = drv_xcalloc(1, sizeof *h);
    h->dir = drv_xstrdup(dir);
    if (decode(j, h, err) < 0) {
        drv_err_prefix(err, "%s", path);
        ha_qemu_free(h);
        return NULL;
    }
    return h;
}

void ha_state_remove(const char *dir)
{
    char path[PATH_MAX];
    file_path(dir, path);
    ha_json_remove(path);
}
