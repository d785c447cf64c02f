// SPDX-License-Identifier: GPL-3.0-or-later
// The request parser: what it takes has a name, an id and an object.
#include <string.h>

#include "fuzz.h"
#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ha_request r;
    struct drv_err err = DRV_ERR_INIT;
    if (ha_request_parse(data, size, &r, &err) == 0)
        FUZZ_CHECK(json_is_object(r.args) && r.id >= 0 && strlen(r.call) < HA_CALL_NAME_MAX);
    else
        FUZZ_CHECK(err.code == DRV_EPEER && !r.args);
    ha_request_done(&r);
    return 0;
}
