// SPDX-License-Identifier: GPL-3.0-or-later
// Words for QEMU's events: see vm_event.h.
#include "vm_event.h"

#include <stdio.h>
#include <string.h>

#include "drover/util.h"

static void io_error(const json_t *data, char *ret, size_t size)
{
    const char *node = drv_json_text(data, "node-name");
    snprintf(ret, size, "a %s of disk %.64s failed: %.200s", drv_json_text(data, "operation"),
             node[0] ? node : drv_json_text(data, "device"), drv_json_text(data, "reason"));
}

static void shutdown(const json_t *data, char *ret, size_t size)
{
    const char *reason = drv_json_text(data, "reason");
    if (!strcmp(reason, "guest-shutdown"))
        snprintf(ret, size, "the guest has shut itself down");
    else if (!strcmp(reason, "host-qmp-quit"))
        snprintf(ret, size, "QEMU ends as drover told it to");
    else
        snprintf(ret, size, "QEMU ends: %.64s", reason[0] ? reason : "it does not say why");
}

static void reset(const json_t *data, char *ret, size_t size)
{
    bool guest = json_is_true(json_object_get(data, "guest"));
    snprintf(ret, size, "the machine was reset%s", guest ? " by the guest" : "");
}

static void paused(const json_t *data, char *ret, size_t size)
{
    (void)data;
    snprintf(ret, size, "the guest is paused");
}

static void runs(const json_t *data, char *ret, size_t size)
{
    (void)data;
    snprintf(ret, size, "the guest runs");
}

static void panicked(const json_t *data, char *ret, size_t size)
{
    (void)data;
    snprintf(ret, size, "the guest's system has crashed (panic)");
}

static void crash_loaded(const json_t *data, char *ret, size_t size)
{
    (void)data;
    snprintf(ret, size, "the guest's system has crashed (panic) and takes a dump of itself");
}

static const struct {
    const char *name;
    void (*put)(const json_t *data, char *ret, size_t size);
} events[] = {
    {"STOP", paused},
    {"RESUME", runs},
    {"SHUTDOWN", shutdown},
    {"RESET", reset},
    {"BLOCK_IO_ERROR", io_error},
    {"GUEST_PANICKED", panicked},
    {"GUEST_CRASHLOADED", crash_loaded},
};

bool ha_event_text(const json_t *ev, char *ret, size_t size)
{
    const char *name = drv_json_text(ev, "event");
    for (size_t i = 0; i < DRV_ARRAY_LEN(events); i++)
        if (!strcmp(events[i].name, name)) {
            events[i].put(json_object_get(ev, "data"), ret, size);
            return true;
        }
    return false;
}

int ha_event_panic(const json_t *ev, char *ret, size_t size)
{
    const char *name = drv_json_text(ev, "event");
    ret[0] = '\0';
    if (!strcmp(name, "RESET") || !strcmp(name, "SHUTDOWN"))
        return 0;
    if (strcmp(name, "GUEST_PANICKED") != 0 && strcmp(name, "GUEST_CRASHLOADED") != 0)
        return -1;
    return ha_event_text(ev, ret, size) ? 1 : -1;
}

// --- run states ---

const char *ha_state_words(const char *state)
{
    static const struct {
        const char *state, *words;
    } states[] = {
        {"paused", "paused, and this agent does not know by whom; `vm start` goes on"},
        {"io-error", "paused: a disk failed; `vm start` goes on when its store is back"},
        {"internal-error", "QEMU cannot go on with it (`vm log` has its words): `vm stop --force`, "
                           "then `vm start`"},
        {"guest-panicked", "paused: its system has crashed (panic): `vm stop --force`, then "
                           "`vm start`"},
        {"watchdog", "paused: its watchdog has fired; `vm start` goes on"},
        {"suspended", "its system sleeps (suspend to RAM); a key on its screen wakes it"},
        {"shutdown", "it is off and its QEMU has not ended: `vm stop --force`"},
        {"prelaunch", "paused before its first step; `vm start` goes on"},
        {"postmigrate", "paused after a move that carried it away; `jobs` tells of the move"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(states); i++)
        if (!strcmp(states[i].state, state))
            return states[i].words;
    return NULL;
}
