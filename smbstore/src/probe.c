// SPDX-License-Identifier: GPL-3.0-or-later
// drover-store's report on a share: see storeprobe.h.
#include "drover/storeprobe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "drover/proc.h"

enum { OUTPUT_MAX = 32 * 1024 };

static const double FLUSH_MS_MAX = 3600e3;

// --- reading ---

// The last line that can be an object, as a copy; NULL when there is none.
static char *last_object(const char *output)
{
    const char *found = NULL;
    for (const char *p = output; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        found = *p == '{' ? p : found;
    }
    return found ? strndup(found, strcspn(found, "\n")) : NULL;
}

static int take_error(const json_t *e, struct drv_err *err)
{
    const char *code = "peer", *msg = "gave no reason", *hint = "";
    json_unpack((json_t *)e, "{s?s, s?s, s?s}", "code", &code, "msg", &msg, "hint", &hint);
    enum drv_code c = drv_code_from_name(code);
    drv_err(err, c ? c : DRV_EPEER, "%s", msg);
    return *hint ? drv_err_hint(err, "%s", hint) : -1;
}

static int take_number(json_int_t n, uint32_t *ret)
{
    *ret = (uint32_t)n;
    return n < 0 || n > UINT32_MAX ? -1 : 0;
}

static bool is_duration(double ms)
{
    return isfinite(ms) && ms >= 0 && ms <= FLUSH_MS_MAX;
}

static int take_report(json_t *j, struct ss_probe *ret, struct drv_err *err)
{
    const char *dialect, *encrypted, *signing;
    json_int_t capabilities, share_capabilities = 0, max_read, max_write;
    int sparse, ranges, punch;
    json_error_t je;
    struct ss_probe p = {0};
    if (json_unpack_ex(j, &je, 0, "{s:s, s:s, s:s, s:I, s?I, s:I, s:I, s:F, s:F, s:b, s:b, s:b}",
                       "dialect", &dialect, "encrypted", &encrypted, "signing", &signing,
                       "capabilities", &capabilities, "share_capabilities", &share_capabilities,
                       "max_read", &max_read, "max_write", &max_write, "flush_ms", &p.flush_ms,
                       "answer_ms", &p.answer_ms, "sparse", &sparse, "ranges", &ranges, "punch",
                       &punch) < 0)
        return drv_err(err, DRV_EPEER, "the report of drover-store: %s", je.text);
    if (take_number(capabilities, &p.capabilities) < 0 ||
        take_number(share_capabilities, &p.share_capabilities) < 0 ||
        take_number(max_read, &p.max_read) < 0 || take_number(max_write, &p.max_write) < 0 ||
        !is_duration(p.flush_ms) || !is_duration(p.answer_ms) || DRV_COPY(p.dialect, dialect) < 0 ||
        DRV_COPY(p.encrypted, encrypted) < 0 || DRV_COPY(p.signing, signing) < 0)
        return drv_err(err, DRV_EPEER, "the report of drover-store: a value out of range");
    p.sparse = sparse;
    p.ranges = ranges;
    p.punch = punch;
    *ret = p;
    return 0;
}

int ss_probe_parse(const char *output, struct ss_probe *ret, struct drv_err *err)
{
    DRV_AUTO_FREE char *line = last_object(output);
    json_error_t je;
    DRV_AUTO_JSON json_t *j = line ? json_loads(line, JSON_REJECT_DUPLICATES, &je) : NULL;
    if (!j)
        return drv_err(err, DRV_EPEER, "drover-store gave no report");
    const json_t *e = json_object_get(j, "error");
    return e ? take_error(e, err) : take_report(j, ret, err);
}

// --- asking ---

int ss_probe_run(const char *program, const char *url, const char *ccache, int timeout_ms,
                 struct ss_probe *ret, struct drv_err *err)
{
    DRV_AUTO_FREE char *named = drv_xasprintf("KRB5CCNAME=%s", ccache);
    const char *config = getenv("KRB5_CONFIG");
    DRV_AUTO_FREE char *krb5_config = config ? drv_xasprintf("KRB5_CONFIG=%s", config) : NULL;
    const char *argv[] = {program, "--probe", url, NULL};
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", named, krb5_config,
                         NULL};
    DRV_AUTO_FREE char *output = NULL;
    if (drv_proc_run(argv, env, timeout_ms, OUTPUT_MAX, &output, err) < 0)
        return -1;
    return ss_probe_parse(output, ret, err);
}
