// SPDX-License-Identifier: GPL-3.0-or-later
// The largest pauses in a series of events.
#include <stdio.h>
#include <string.h>

#include "client.h"

void meter_begin(struct meter *meter, uint64_t floor_ns, uint64_t now_ns)
{
    memset(meter, 0, sizeof(*meter));
    meter->floor_ns = floor_ns;
    meter->last_ns = meter->max_at_ns = now_ns;
}

void meter_end(struct meter *meter, uint64_t now_ns)
{
    uint64_t pause = now_ns - meter->last_ns;

    if (pause > meter->max_ns) {
        meter->max_ns = pause;
        meter->max_at_ns = meter->last_ns;
    }
    if (pause > meter->floor_ns && meter->count < METER_GAPS) {
        meter->gaps[meter->count].at_ns = meter->last_ns;
        meter->gaps[meter->count++].length_ns = pause;
    }
}

void meter_event(struct meter *meter, uint64_t now_ns)
{
    meter_end(meter, now_ns);
    meter->last_ns = now_ns;
    meter->events++;
}

// Tenths of a millisecond are as fine as these figures mean anything.
static json_t *milliseconds(uint64_t ns)
{
    return json_real((double)(ns / (NS_PER_MS / 10)) / 10);
}

static json_t *real_seconds(uint64_t ns, uint64_t real_offset_ns)
{
    return json_real((double)((ns + real_offset_ns) / NS_PER_MS) / 1000);
}

static void set_field(json_t *report, const char *name, const char *field, json_t *value)
{
    char key[32];

    snprintf(key, sizeof(key), "%s_%s", name, field);
    json_object_set_new(report, key, value);
}

void meter_report(const struct meter *meter, const char *name, uint64_t real_offset_ns,
                  json_t *report)
{
    json_t *gaps = json_array();

    for (int i = 0; i < meter->count; i++)
        json_array_append_new(gaps, json_pack("{so so}", "at",
                                              real_seconds(meter->gaps[i].at_ns, real_offset_ns),
                                              "ms", milliseconds(meter->gaps[i].length_ns)));
    set_field(report, name, "gap_ms", milliseconds(meter->max_ns));
    set_field(report, name, "gap_at", real_seconds(meter->max_at_ns, real_offset_ns));
    set_field(report, name, "gaps", gaps);
}
