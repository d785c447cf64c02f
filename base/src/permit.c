// SPDX-License-Identifier: GPL-3.0-or-later
// Getting a permit: see permit.h.
#include "drover/permit.h"

#include <stdlib.h>
#include <string.h>

#include "drover/util.h"
#include "drover/wire.h"

enum { CONNECT_MS = 15000, CALL_MS = 30000 };

bool drv_permit_helps(const char *id)
{
    static const char *const ids[] = {"K03", "D10", "D11", "D12", "D14", "D15"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(ids); i++)
        if (!strcmp(ids[i], id))
            return true;
    return false;
}

static bool is(const json_t *row, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text && !strcmp(text, value);
}

// The arguments of permit.issue: the VM as the source describes it, the source as Kerberos knows
// it.
static json_t *issue_args(const struct drv_permit_request *rq, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *list = drv_client_call(rq->source, "vm.list", NULL, CALL_MS, err);
    size_t i;
    json_t *vm;
    json_array_foreach(list, i, vm)
    {
        json_t *uuid = json_object_get(vm, "uuid"), *name = json_object_get(vm, "name");
        if ((!is(vm, "name", rq->vm) && !is(vm, "uuid", rq->vm)) || !uuid || !name)
            continue;
        return json_pack("{s:O, s:O, s:s, s:s}", "uuid", uuid, "vm", name, "from",
                         drv_client_server(rq->source), "purpose", rq->for_move ? "move" : "check");
    }
    if (list)
        drv_err(err, DRV_ENOTFOUND, "%s has no VM %s", drv_client_server(rq->source), rq->vm);
    return NULL;
}

int drv_permit_get(const struct drv_permit_request *rq, char ret[DRV_PERMIT_LEN],
                   struct drv_err *err)
{
    json_t *args = issue_args(rq, err);
    if (!args)
        return -1;
    struct drv_client *c = drv_client_tcp(rq->to, rq->port, GSS_C_NO_CREDENTIAL, CONNECT_MS, err);
    if (!c) {
        json_decref(args);
        return drv_err_prefix(err, "host %s", rq->to);
    }
    DRV_AUTO_JSON json_t *reply = drv_client_call(c, "permit.issue", args, CALL_MS, err);
    drv_client_free(c);
    return reply ? drv_permit_take(json_object_get(reply, "permit"), ret, err) : -1;
}

// --- for agents ---

void drv_permit_text(const uint8_t bytes[DRV_PERMIT_BYTES], char ret[DRV_PERMIT_LEN])
{
    char *text = drv_base64(bytes, DRV_PERMIT_BYTES);
    drv_copy(ret, DRV_PERMIT_LEN, text);
    explicit_bzero(text, strlen(text));
    free(text);
}

int drv_permit_take(json_t *text, char ret[DRV_PERMIT_LEN], struct drv_err *err)
{
    size_t len = json_string_length(text);
    bool fits = json_is_string(text) && len == DRV_PERMIT_LEN - 1;
    if (fits)
        memcpy(ret, json_string_value(text), len + 1);
    if (json_is_string(text))
        explicit_bzero((char *)json_string_value(text), len);
    if (!fits)
        return drv_err(err, DRV_EINVAL, "\"permit\" is not a permit: %d characters of base64",
                       DRV_PERMIT_LEN - 1);
    return 0;
}
