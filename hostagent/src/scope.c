// SPDX-License-Identifier: GPL-3.0-or-later
// ha_supervisor_release() of supervisor.h: a scope of systemd for a process that outlives the
// agent.
//
// A scope and not a transient service: QEMU gets taps as open descriptors, which systemd 252 cannot
// hand on, and it shall keep the sandbox that it inherits from the agent.
#include "supervisor.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "drover/log.h"
#include "drover/util.h"

enum { CALL_US = 5 * 1000 * 1000, JOB_MS = 5 * 1000 };

#define MANAGER "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define AGENT_UNIT "drover-agent.service"

static void unref_bus(sd_bus **bus)
{
    sd_bus_flush_close_unref(*bus);
}

static void unref_message(sd_bus_message **m)
{
    sd_bus_message_unref(*m);
}

struct wanted {
    const char *unit; // whose job is awaited
    char result[32];  // "" until it has ended
};

// JobRemoved(u id, o job, s unit, s result). Only one job of this unit can end: its start.
static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *ignored)
{
    (void)ignored;
    struct wanted *w = arg;
    const char *unit, *result;
    if (sd_bus_message_read(m, "uoss", NULL, NULL, &unit, &result) >= 0 && !strcmp(unit, w->unit))
        drv_copy(w->result, sizeof w->result, result);
    return 0;
}

// Before the agent in order: at shutdown the agent stops first, with its VMs still there.
static int call_start(sd_bus *bus, pid_t pid, const char *unit, struct drv_err *err)
{
    DRV_CLEANUP(unref_message) sd_bus_message *m = NULL;
    sd_bus_error said = SD_BUS_ERROR_NULL;
    int rc = sd_bus_message_new_method_call(bus, &m, MANAGER, MANAGER_PATH, MANAGER_INTERFACE,
                                            "StartTransientUnit");
    if (rc >= 0)
        rc = sd_bus_message_append(m, "ssa(sv)a(sa(sv))", unit, "fail", 6,          //
                                   "Description", "s", "Process of a VM of drover", //
                                   "Slice", "s", "drover.slice",                    //
                                   "CollectMode", "s", "inactive-or-failed",        //
                                   "Before", "as", 1, AGENT_UNIT,                   //
                                   "After", "as", 1, "network.target",              //
                                   "PIDs", "au", 1, (uint32_t)pid,                  //
                                   0);
    if (rc >= 0)
        rc = sd_bus_call(bus, m, CALL_US, &said, NULL);
    if (rc < 0)
        drv_err_os(err, -rc, "StartTransientUnit: %s", said.message ? said.message : "no answer");
    sd_bus_error_free(&said);
    return rc < 0 ? -1 : 0;
}

// The process is in the scope only when the job has ended.
static int await_job(sd_bus *bus, const struct wanted *w, struct drv_err *err)
{
    int64_t deadline = drv_now_ms() + JOB_MS;
    while (!w->result[0]) {
        int64_t left_ms = deadline - drv_now_ms();
        int rc = sd_bus_process(bus, NULL);
        if (rc == 0 && left_ms > 0)
            rc = sd_bus_wait(bus, (uint64_t)left_ms * 1000);
        if (rc < 0)
            return drv_err_os(err, -rc, "waiting for systemd");
        if (left_ms <= 0)
            return drv_err(err, DRV_ETIMEDOUT, "systemd did not make the unit within %d s",
                           JOB_MS / 1000);
    }
    return strcmp(w->result, "done") ? drv_err(err, DRV_EPEER, "systemd says %s", w->result) : 0;
}

static int enter(pid_t pid, const char *unit, struct drv_err *err)
{
    struct wanted w = {.unit = unit};
    DRV_CLEANUP(unref_bus) sd_bus *bus = NULL;
    int rc = sd_bus_open_system(&bus);
    if (rc >= 0)
        rc = sd_bus_match_signal(bus, NULL, MANAGER, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved",
                                 on_job_removed, &w);
    if (rc < 0)
        return drv_err_os(err, -rc, "the system bus");
    return call_start(bus, pid, unit, err) < 0 ? -1 : await_job(bus, &w, err);
}

void ha_supervisor_release(pid_t pid, const char *name)
{
    struct drv_err err = DRV_ERR_INIT;
    if (!getenv("NOTIFY_SOCKET"))
        return;
    // With the pid: the scope of a predecessor may not be gone yet.
    DRV_AUTO_FREE char *unit = drv_xasprintf("drover-%s-%d.scope", name, (int)pid);
    if (enter(pid, unit, &err) == 0)
        return;
    drv_err_prefix(&err, "%s: the process stays in the agent's unit", unit);
    drv_log_err(LOG_WARNING, "supervisor.scope", &err);
}
