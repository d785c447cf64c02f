// SPDX-License-Identifier: GPL-3.0-or-later
// Memory migration over QMP: see qmp_migrate.h.
#include "qmp_migrate.h"

#include <stdlib.h>
#include <string.h>

#include "drover/util.h"
#include "qmp_port.h"

// --- capabilities and parameters ---

static const char *const always_on[] = {"events", "return-path", "pause-before-switchover",
                                        "late-block-activate", "auto-converge"};

static bool cap_wanted(const char *name, const struct qmp_mig_opts *opts)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(always_on); i++)
        if (!strcmp(name, always_on[i]))
            return true;
    return opts->multifd_channels > 0 && !strcmp(name, "multifd");
}

// The list to set is the list that QEMU gives: what a later QEMU adds is switched off as well.
static int set_capabilities(struct qmp *q, const struct qmp_mig_opts *opts, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *known =
        qmp_call(q, "query-migrate-capabilities", NULL, QMP_TIMEOUT_MS, err);
    if (!known)
        return -1;
    size_t needed = DRV_ARRAY_LEN(always_on) + (opts->multifd_channels > 0);
    size_t found = 0;
    json_t *wanted = json_array();
    size_t i;
    json_t *cap;
    json_array_foreach(known, i, cap)
    {
        const char *name = json_string_value(json_object_get(cap, "capability"));
        if (!name)
            continue;
        bool on = cap_wanted(name, opts);
        found += on;
        json_array_append_new(wanted, json_pack("{s:s, s:b}", "capability", name, "state", on));
    }
    if (found != needed) {
        json_decref(wanted);
        drv_err(err, DRV_EPEER, "this QEMU lacks migration capabilities that drover needs");
        return drv_err_hint(err, "use QEMU 7.2 or newer");
    }
    return qmp_do(q, "migrate-set-capabilities", json_pack("{s:o}", "capabilities", wanted),
                  QMP_TIMEOUT_MS, err);
}

enum { THROTTLE_STEPS = 3 };

static int most_throttle(unsigned max_percent)
{
    return max_percent > QMP_MIG_LEAST_THROTTLE ? (int)max_percent : QMP_MIG_LEAST_THROTTLE;
}

static int throttle_step(unsigned max_percent)
{
    return (most_throttle(max_percent) + THROTTLE_STEPS - 1) / THROTTLE_STEPS;
}

static int set_parameters(struct qmp *q, const struct qmp_mig_opts *opts, struct drv_err *err)
{
    json_t *args = json_pack(
        "{s:I, s:I, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:i, s:i}",
        "max-bandwidth", (json_int_t)opts->max_bandwidth_bps,  //
        "downtime-limit", (json_int_t)opts->downtime_limit_ms, //
        "tls-creds", opts->tls_creds ? opts->tls_creds : "",   //
        "tls-hostname", "", "tls-authz", "",                   //
        "multifd-channels", (int)(opts->multifd_channels ? opts->multifd_channels : 2),
        "multifd-compression", "none",                                       //
        "throttle-trigger-threshold", 50,                                    //
        "cpu-throttle-initial", QMP_MIG_LEAST_THROTTLE,                      //
        "cpu-throttle-increment", throttle_step(opts->max_throttle_percent), //
        "max-cpu-throttle", most_throttle(opts->max_throttle_percent),       //
        "cpu-throttle-tailslow", 0,                                          //
        "announce-initial", 50, "announce-max", 550, "announce-rounds", 5, "announce-step", 100);
    return qmp_do(q, "migrate-set-parameters", args, QMP_TIMEOUT_MS, err);
}

int qmp_mig_prepare(struct qmp *q, const struct qmp_mig_opts *opts, struct drv_err *err)
{
    return set_capabilities(q, opts, err) < 0 || set_parameters(q, opts, err) < 0 ? -1 : 0;
}

int qmp_mig_set_bandwidth(struct qmp *q, uint64_t max_bandwidth_bps, struct drv_err *err)
{
    return qmp_do(q, "migrate-set-parameters",
                  json_pack("{s:I}", "max-bandwidth", (json_int_t)max_bandwidth_bps),
                  QMP_TIMEOUT_MS, err);
}

int qmp_mig_set_throttle(struct qmp *q, unsigned max_percent, struct drv_err *err)
{
    return qmp_do(q, "migrate-set-parameters",
                  json_pack("{s:i, s:i}", "cpu-throttle-increment", throttle_step(max_percent),
                            "max-cpu-throttle", most_throttle(max_percent)),
                  QMP_TIMEOUT_MS, err);
}

int qmp_mig_set_downtime_limit(struct qmp *q, unsigned ms, struct drv_err *err)
{
    return qmp_do(q, "migrate-set-parameters", json_pack("{s:I}", "downtime-limit", (json_int_t)ms),
                  QMP_TIMEOUT_MS, err);
}

// --- the migration ---

static void format_uri(char *out, size_t size, const char *host, unsigned port)
{
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, size, "tcp:%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static int listen_once(struct qmp *q, const char *host, unsigned port, const void *arg,
                       struct drv_err *err)
{
    (void)arg;
    char uri[128];
    format_uri(uri, sizeof uri, host, port);
    return qmp_do(q, "migrate-incoming", json_pack("{s:s}", "uri", uri), QMP_TIMEOUT_MS, err);
}

int qmp_mig_listen(struct qmp *q, const char *host, unsigned first, unsigned last,
                   unsigned *ret_port, struct drv_err *err)
{
    return qmp_first_port(q, host, first, last, listen_once, NULL, ret_port, err);
}

int qmp_mig_start(struct qmp *q, const char *host, unsigned port, struct drv_err *err)
{
    char uri[128];
    format_uri(uri, sizeof uri, host, port);
    return qmp_do(q, "migrate", json_pack("{s:s}", "uri", uri), QMP_TIMEOUT_MS, err);
}

int qmp_mig_continue(struct qmp *q, struct drv_err *err)
{
    return qmp_do(q, "migrate-continue", json_pack("{s:s}", "state", "pre-switchover"),
                  QMP_TIMEOUT_MS, err);
}

int qmp_mig_cancel(struct qmp *q, struct drv_err *err)
{
    return qmp_do(q, "migrate_cancel", NULL, QMP_TIMEOUT_MS, err);
}

// --- state ---

static const char *const status_names[] = {
    [QMP_MIG_NONE] = "none",           [QMP_MIG_SETUP] = "setup",
    [QMP_MIG_ACTIVE] = "active",       [QMP_MIG_PRE_SWITCHOVER] = "pre-switchover",
    [QMP_MIG_DEVICE] = "device",       [QMP_MIG_COMPLETED] = "completed",
    [QMP_MIG_FAILED] = "failed",       [QMP_MIG_CANCELLING] = "cancelling",
    [QMP_MIG_CANCELLED] = "cancelled", [QMP_MIG_OTHER] = "other",
};
_Static_assert(DRV_ARRAY_LEN(status_names) == QMP_MIG_STATUS_MAX_, "a name per status");

const char *qmp_mig_status_name(enum qmp_mig_status s)
{
    return s < QMP_MIG_STATUS_MAX_ ? status_names[s] : "other";
}

// An answer without a status means that no migration was ever asked for.
static enum qmp_mig_status status_from_name(const char *name)
{
    for (unsigned i = 0; name && i < QMP_MIG_STATUS_MAX_; i++)
        if (!strcmp(name, status_names[i]))
            return (enum qmp_mig_status)i;
    return name ? QMP_MIG_OTHER : QMP_MIG_NONE;
}

static int64_t number(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : -1;
}

int qmp_mig_query(struct qmp *q, struct qmp_mig_info *ret, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *r = qmp_call(q, "query-migrate", NULL, QMP_TIMEOUT_MS, err);
    if (!r)
        return -1;
    const json_t *ram = json_object_get(r, "ram");
    const json_t *mbps = json_object_get(ram, "mbps");
    const char *error = json_string_value(json_object_get(r, "error-desc"));
    *ret = (struct qmp_mig_info){
        .status = status_from_name(json_string_value(json_object_get(r, "status"))),
        .ram_total = number(ram, "total"),
        .ram_remaining = number(ram, "remaining"),
        .ram_transferred = number(ram, "transferred"),
        .dirty_pages_per_s = number(ram, "dirty-pages-rate"),
        .page_size = number(ram, "page-size"),
        .dirty_sync_count = number(ram, "dirty-sync-count"),
        .mbps = json_is_number(mbps) ? json_number_value(mbps) : -1,
        .expected_downtime_ms = number(r, "expected-downtime"),
        .downtime_ms = number(r, "downtime"),
        .total_time_ms = number(r, "total-time"),
        .setup_time_ms = number(r, "setup-time"),
        .throttle_percent = number(r, "cpu-throttle-percentage"),
    };
    DRV_COPY(ret->error, error ? error : "");
    return 0;
}

int qmp_mig_wait(struct qmp *q, unsigned mask, int timeout_ms, struct qmp_mig_info *ret,
                 struct drv_err *err)
{
    static const char *const names[] = {"MIGRATION", NULL};
    enum { ASK_AGAIN_MS = 200 }; // a lost event costs no more than this
    int64_t deadline = drv_now_ms() + timeout_ms;
    for (;;) {
        uint64_t seq = qmp_seq(q);
        if (qmp_mig_query(q, ret, err) < 0)
            return -1;
        unsigned bit = QMP_MIG_BIT(ret->status);
        if (bit & mask)
            return 0;
        if (bit & QMP_MIG_FINAL)
            return drv_err(err, DRV_EPEER, "migration %s%s%s", qmp_mig_status_name(ret->status),
                           ret->error[0] ? ": " : "", ret->error);
        int64_t left = deadline - drv_now_ms();
        if (left <= 0)
            return drv_err(err, DRV_ETIMEDOUT, "migration still %s after %d ms",
                           qmp_mig_status_name(ret->status), timeout_ms);
        // No event in time is no error here; a dead connection shows at the next query.
        json_decref(qmp_wait(q, &seq, names, left < ASK_AGAIN_MS ? (int)left : ASK_AGAIN_MS, NULL));
    }
}
