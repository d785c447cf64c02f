// SPDX-License-Identifier: GPL-3.0-or-later
// Orders to drover-launch and their answers as JSON: see order.h.
#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "drover/util.h"

// --- the order ---

static json_t *strings_json(const char *const *list)
{
    json_t *array = json_array();
    for (; list && *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

char *ha_order_text(const struct ha_order *o)
{
    json_t *taps = json_array();
    for (unsigned i = 0; i < o->n_taps; i++)
        json_array_append_new(
            taps, json_pack("{s:s, s:i}", "bridge", o->taps[i].bridge, "fd", o->taps[i].fd));
    DRV_AUTO_JSON json_t *all = json_pack("{s:o, s:o, s:o}", "argv", strings_json(o->argv), "env",
                                          strings_json(o->env), "taps", taps);
    return json_dumps(all, JSON_COMPACT);
}

// A NULL-terminated array that borrows its strings from list.
static const char **take_strings(const json_t *list, const char *key, struct drv_err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > HA_ORDER_MAX_STRINGS) {
        drv_err(err, DRV_EINVAL, "%s: not a list of at most %d strings", key, HA_ORDER_MAX_STRINGS);
        return NULL;
    }
    const char **out = drv_xcalloc(n + 1, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = json_string_value(json_array_get(list, i));
        if (out[i])
            continue;
        drv_err(err, DRV_EINVAL, "%s: number %zu is not a string", key, i);
        free(out);
        return NULL;
    }
    return out;
}

static int take_tap(struct ha_order *o, json_t *json, struct drv_err *err)
{
    struct ha_order_tap *t = &o->taps[o->n_taps];
    const char *bridge;
    if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:i}", "bridge", &bridge, "fd", &t->fd) <
            0 ||
        !bridge[0] || DRV_COPY(t->bridge, bridge) < 0)
        return drv_err(err, DRV_EINVAL, "taps: not {bridge, fd}");
    if (t->fd < HA_ORDER_FD_MIN || t->fd > HA_ORDER_FD_MAX)
        return drv_err(err, DRV_EINVAL, "taps: no descriptor may be %d", t->fd);
    for (unsigned i = 0; i < o->n_taps; i++)
        if (o->taps[i].fd == t->fd)
            return drv_err(err, DRV_EINVAL, "taps: descriptor %d twice", t->fd);
    o->n_taps++;
    return 0;
}

static int take_taps(struct ha_order *o, const json_t *list, struct drv_err *err)
{
    size_t i;
    json_t *tap;
    if (!json_is_array(list) || json_array_size(list) > SS_MAX_NICS)
        return drv_err(err, DRV_EINVAL, "taps: not a list of at most %d", SS_MAX_NICS);
    json_array_foreach(list, i, tap)
    {
        if (take_tap(o, tap, err) < 0)
            return -1;
    }
    return 0;
}

int ha_order_parse(const char *text, size_t len, struct ha_order *ret, struct drv_err *err)
{
    json_error_t why;
    json_t *argv, *env, *taps;
    *ret = (struct ha_order){.json = NULL};
    if (len > HA_ORDER_MAX_BYTES)
        return drv_err(err, DRV_EINVAL, "an order of more than %d bytes", HA_ORDER_MAX_BYTES);
    ret->json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!ret->json || json_unpack_ex(ret->json, &why, JSON_STRICT, "{s:o, s:o, s:o}", "argv", &argv,
                                     "env", &env, "taps", &taps) < 0)
        return drv_err(err, DRV_EINVAL, "not an order: %s", why.text);
    ret->argv = take_strings(argv, "argv", err);
    ret->env = ret->argv ? take_strings(env, "env", err) : NULL;
    if (!ret->env)
        return -1;
    if (!ret->argv[0] || !ret->argv[0][0])
        return drv_err(err, DRV_EINVAL, "argv: it names no program");
    return take_taps(ret, taps, err);
}

void ha_order_done(struct ha_order *o)
{
    if (!o->json)
        return;
    free(o->argv);
    free(o->env);
    json_decref(o->json);
    *o = (struct ha_order){.json = NULL};
}

// --- the answer ---

static json_t *error_json(const struct drv_err *e)
{
    return json_pack("{s:{s:s, s:s, s:s, s:s, s:I}}", "error", "code", drv_code_name(e->code),
                     "msg", e->msg, "hint", e->hint, "origin", e->origin, "native",
                     (json_int_t)e->native);
}

static json_t *success_json(const struct ha_order *o, pid_t pid)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < o->n_taps; i++)
        json_array_append_new(names, json_string(o->taps[i].name));
    return json_pack("{s:I, s:o}", "pid", (json_int_t)pid, "taps", names);
}

char *ha_order_answer(const struct ha_order *o, pid_t pid, const struct drv_err *err)
{
    DRV_AUTO_JSON json_t *json = err ? error_json(err) : success_json(o, pid);
    DRV_AUTO_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    return drv_xasprintf("%s\n", text ? text : "{\"error\":{}}");
}

static int take_error(json_t *json, struct drv_err *err)
{
    const char *code, *msg, *hint, *origin;
    json_int_t native;
    if (json_unpack(json, "{s:s, s:s, s:s, s:s, s:I}", "code", &code, "msg", &msg, "hint", &hint,
                    "origin", &origin, "native", &native) < 0)
        return drv_err(err, DRV_EPEER, "drover-launch failed without a reason");
    drv_err(err, drv_code_from_name(code), "%s", msg);
    if (hint[0])
        drv_err_hint(err, "%s", hint);
    return origin[0] ? drv_err_native(err, origin, (long)native) : -1;
}

static int take_success(json_t *json, struct ha_order *o, pid_t *ret, struct drv_err *err)
{
    json_int_t pid;
    json_t *taps;
    if (json_unpack(json, "{s:I, s:o}", "pid", &pid, "taps", &taps) < 0 || pid <= 1 ||
        pid > INT32_MAX || json_array_size(taps) != o->n_taps)
        return drv_err(err, DRV_EPEER, "drover-launch: an answer of another shape");
    for (unsigned i = 0; i < o->n_taps; i++) {
        const char *name = json_string_value(json_array_get(taps, i));
        if (!name || DRV_COPY(o->taps[i].name, name) < 0)
            return drv_err(err, DRV_EPEER, "drover-launch: a tap without a name");
    }
    *ret = (pid_t)pid;
    return 0;
}

pid_t ha_order_answered(const char *text, struct ha_order *o, struct drv_err *err)
{
    pid_t pid = -1;
    while (*text) {
        size_t len = strcspn(text, "\n");
        DRV_AUTO_JSON json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        json_t *error = json_object_get(json, "error");
        if (error)
            return take_error(error, err);
        if (take_success(json, o, &pid, err) < 0)
            return -1;
        text += len + (text[len] == '\n');
    }
    return pid > 0 ? pid : drv_err(err, DRV_EPEER, "drover-launch ended without an answer");
}
