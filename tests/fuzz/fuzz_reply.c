// SPDX-License-Identifier: GPL-3.0-or-later
// What a client takes from a server: error objects, findings, base64 tokens.
#include <stdlib.h>

#include "drover/finding.h"
#include "drover/frame.h"
#include "drover/util.h"
#include "drover/wire.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *m = drv_wire_parse(data, size, &err);
    if (!m)
        return 0;
    struct drv_findings f = {0};
    FUZZ_CHECK(drv_wire_error_take(json_object_get(m, "error"), &err) == -1 && err.code != DRV_OK);
    drv_findings_from_json(json_object_get(m, "findings"), &f, NULL);
    DRV_AUTO_JSON json_t *again = drv_findings_to_json(&f);
    drv_findings_exit(&f);
    drv_findings_done(&f);
    const char *token = json_string_value(json_object_get(m, "token"));
    size_t len = 0;
    DRV_AUTO_FREE void *bytes = token ? drv_base64_decode(token, 4096, &len, NULL) : NULL;
    FUZZ_CHECK(!bytes || (len > 0 && len <= 4096));
    return 0;
}
