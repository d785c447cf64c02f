// SPDX-License-Identifier: GPL-3.0-or-later
// What a person can do about a move that does not converge. One table: an agent's greeting lists
// its names, and progress events offer the rows that make sense just now (docs/WIRE.md). Clients
// draw them as they come, so a new row needs nothing else there.
#include "mover_int.h"

#include "drover/text.h"

enum { BLACKOUT_MAX_MS = 600000, BLACKOUT_STEP_MS = 500, WAIT_S = 600 };

// A row's call and its arguments but for "move"; NULL = not now. help: one line.
struct choice {
    const char *name, *label, *call;
    json_t *(*args)(const struct mv_job *job, char *help, size_t size);
};

// Half of the limit is for the hand-over (memory phase), so it has to be twice what QEMU expects.
static json_t *longer_pause(const struct mv_job *job, char *help, size_t size)
{
    int64_t limit = job->max_blackout_ms, want = limit * 2,
            fits = job->memory.expected_downtime_ms * 2;
    if (fits > want)
        want = (fits + BLACKOUT_STEP_MS - 1) / BLACKOUT_STEP_MS * BLACKOUT_STEP_MS;
    if (want > BLACKOUT_MAX_MS)
        want = BLACKOUT_MAX_MS;
    if (want <= limit)
        return NULL;
    snprintf(help, size, "The pause may take up to %s instead of %s.", drv_fmt_ms((double)want).s,
             drv_fmt_ms((double)limit).s);
    return json_pack("{s:I}", "max_blackout_ms", (json_int_t)want);
}

static json_t *more_bandwidth(const struct mv_job *job, char *help, size_t size)
{
    uint64_t cap_bps = job->bandwidth_bps;
    if (!cap_bps || cap_bps > INT64_MAX / 4)
        return NULL; // it takes what the link carries
    snprintf(help, size, "It may take %s/s of the link instead of %s/s.",
             drv_fmt_bytes((int64_t)cap_bps * 2).s, drv_fmt_bytes((int64_t)cap_bps).s);
    return json_pack("{s:I}", "bandwidth_bps", (json_int_t)cap_bps * 2);
}

// More each time that is not enough. What is slow is the guest, and its users notice.
static json_t *throttle(const struct mv_job *job, char *help, size_t size)
{
    static const unsigned steps[] = {50, 80, MV_THROTTLE_MAX};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(steps); i++) {
        if (steps[i] <= job->throttle_percent)
            continue;
        snprintf(help, size, "QEMU takes up to %u %% of its processors' time until it has moved.",
                 steps[i]);
        return json_pack("{s:i}", "throttle_percent", (int)steps[i]);
    }
    return NULL;
}

static json_t *wait_on(const struct mv_job *job, char *help, size_t size)
{
    (void)job;
    snprintf(help, size, "%d more minutes: it ends once the guest writes less.", WAIT_S / 60);
    return json_pack("{s:i}", "wait_s", WAIT_S);
}

static json_t *cancel(const struct mv_job *job, char *help, size_t size)
{
    (void)job;
    snprintf(help, size, "The VM stays where it is; what was copied is deleted.");
    return json_object();
}

static const struct choice choices[] = {
    {"move.longer_pause", "Longer pause", "move.set", longer_pause},
    {"move.more_bandwidth", "More bandwidth", "move.set", more_bandwidth},
    {"move.throttle", "Slow the guest", "move.set", throttle},
    {"move.wait", "Wait", "move.set", wait_on},
    {"move.cancel", "Cancel the move", "move.cancel", cancel},
};

json_t *mv_capabilities(void)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(choices); i++)
        json_array_append_new(names, json_string(choices[i].name));
    return names;
}

json_t *mv_choices(const struct mv_job *job)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < DRV_ARRAY_LEN(choices); i++) {
        char help[256] = "";
        json_t *args = choices[i].args(job, help, sizeof help);
        if (args)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", choices[i].name,
                                            "label", choices[i].label, "help", help, "call",
                                            choices[i].call, "args", args));
    }
    return list;
}
