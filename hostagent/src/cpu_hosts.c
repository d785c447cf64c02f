// SPDX-License-Identifier: GPL-3.0-or-later
// CPU models of all hosts: see cpu_hosts.h.
#include "cpu_hosts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "drover/client.h"
#include "move.h"

enum { ASK_MS = 10000 };

// From best to least: a later generation has all that counts of an earlier one of its vendor. Names
// with a version alone, as what is behind one without depends on the machine type. Of those that
// differ in TSX first the one without, which microcode has switched off on most processors. The
// last ones run everywhere, also emulated.
static const char *const ladder[] = {
    "SapphireRapids-v2",
    "SapphireRapids-v1",
    "Icelake-Server-v6",
    "Icelake-Server-v5",
    "Icelake-Server-v4",
    "Icelake-Server-v2",
    "Cascadelake-Server-v5",
    "Cascadelake-Server-v4",
    "Skylake-Server-v5",
    "Skylake-Server-v4",
    "Skylake-Server-v3",
    "EPYC-Genoa-v1",
    "EPYC-Milan-v2",
    "EPYC-Milan-v1",
    "EPYC-Rome-v4",
    "EPYC-Rome-v2",
    "EPYC-Rome-v1",
    "EPYC-v4",
    "EPYC-v3",
    "EPYC-v2",
    "EPYC-v1",
    "Broadwell-v4",
    "Broadwell-v2",
    "Haswell-v4",
    "Haswell-v2",
    "IvyBridge-v2",
    "IvyBridge-v1",
    "SandyBridge-v2",
    "SandyBridge-v1",
    "Westmere-v2",
    "Westmere-v1",
    "Nehalem-v2",
    "Nehalem-v1",
    "qemu64-v1",
};

// --- pure ---

bool ha_cpu_listed(const json_t *models, const char *accel, const char *model)
{
    const json_t *list = json_object_get(models, accel);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && !strcmp(name, model))
            return true;
    }
    return false;
}

static bool all_have(const struct ha_cpu_hosts *others, const char *accel, const char *model)
{
    for (unsigned i = 0; i < others->n; i++) {
        const json_t *models = others->list[i].models;
        if (json_array_size(json_object_get(models, accel)) > 0 &&
            !ha_cpu_listed(models, accel, model))
            return false;
    }
    return true;
}

const char *ha_cpu_best(const struct ha_probe *here, const struct ha_cpu_hosts *others,
                        const char *accel)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(ladder); i++)
        if (ha_probe_has_cpu(here, accel, ladder[i]) && all_have(others, accel, ladder[i]))
            return ladder[i];
    return NULL;
}

const char *ha_cpu_best_of(const json_t *models, const char *accel)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(ladder); i++)
        if (ha_cpu_listed(models, accel, ladder[i]))
            return ladder[i];
    return NULL;
}

// --- asking ---

struct question {
    struct ha *ha;
    struct ha_cpu_host *host;
    pthread_t thread;
    bool started;
};

static void ask(struct ha *ha, struct ha_cpu_host *host, struct drv_err *err)
{
    struct drv_client *c = ha_channel_open(ha, host->fqdn, NULL, NULL, err);
    DRV_AUTO_JSON json_t *reply =
        c ? drv_client_call(c, "peer.host", json_pack("{s:s}", "purpose", "check"), ASK_MS, err)
          : NULL;
    drv_client_free(c);
    const json_t *cpus = json_object_get(json_object_get(reply, "lists"), "cpus");
    if (reply && !json_is_object(cpus))
        drv_err(err, DRV_EPEER, "host %s: its answer tells no CPU models", host->fqdn);
    else if (reply)
        host->models = json_incref((json_t *)(uintptr_t)cpus);
}

static void *ask_thread(void *arg)
{
    struct question *q = arg;
    struct drv_err err = DRV_ERR_INIT;
    ask(q->ha, q->host, &err);
    if (!q->host->models)
        DRV_COPY(q->host->error, err.msg);
    return NULL;
}

static void list_hosts(struct ha *ha, struct ha_cpu_hosts *ret)
{
    struct drv_err err = DRV_ERR_INIT;
    struct dg_host *hosts = NULL;
    unsigned n = 0;
    if (ha_hosts(ha, &hosts, &n, &err) < 0) {
        DRV_COPY(ret->error, err.msg);
        return;
    }
    for (unsigned i = 0; i < n && ret->n < HA_CPU_HOSTS_MAX; i++)
        if (hosts[i].fqdn[0] && strcmp(hosts[i].fqdn, ha->fqdn) != 0)
            DRV_COPY(ret->list[ret->n++].fqdn, hosts[i].fqdn);
    free(hosts);
}

void ha_cpu_hosts_ask(struct ha *ha, struct ha_cpu_hosts *ret)
{
    struct question q[HA_CPU_HOSTS_MAX];
    memset(ret, 0, sizeof *ret);
    list_hosts(ha, ret);
    for (unsigned i = 0; i < ret->n; i++) {
        q[i] = (struct question){.ha = ha, .host = &ret->list[i]};
        q[i].started = pthread_create(&q[i].thread, NULL, ask_thread, &q[i]) == 0;
        if (!q[i].started)
            DRV_COPY(ret->list[i].error, "no thread to ask it with");
    }
    for (unsigned i = 0; i < ret->n; i++)
        if (q[i].started)
            pthread_join(q[i].thread, NULL);
}

void ha_cpu_hosts_done(struct ha_cpu_hosts *h)
{
    for (unsigned i = 0; i < h->n; i++)
        json_decref(h->list[i].models);
}
