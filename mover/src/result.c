// SPDX-License-Identifier: GPL-3.0-or-later
// What a move says about itself: progress events and the result object (DESIGN.md section 7).
#include "mover_int.h"

#include <string.h>

// A message that was cut within a character, or names a file in another encoding, must not cost
// the whole result.
static json_t *text(const char *s)
{
    json_t *j = json_string(s);
    if (j)
        return j;
    char plain[sizeof((struct drv_err *)0)->msg];
    DRV_COPY(plain, s);
    for (char *p = plain; *p; p++)
        if (*p & 0x80)
            *p = '?';
    return json_string(plain);
}

static const char *kind(const struct mv_job *job)
{
    return mv_between_hosts(job) ? "move" : "storage";
}

json_t *mv_progress_to_json(const struct mv_job *job, const struct mv_progress *p)
{
    json_t *disks = json_array();
    for (unsigned i = 0; i < p->n_disks; i++)
        json_array_append_new(disks, json_pack("{s:s, s:I, s:I, s:I, s:b}", "id", p->disks[i].id,
                                               "bytes_done", (json_int_t)p->disks[i].bytes_done,
                                               "bytes_total", (json_int_t)p->disks[i].bytes_total,
                                               "wire_bytes", (json_int_t)p->disks[i].wire_bytes,
                                               "in_sync", p->disks[i].ready));
    const struct mv_migration *m = &p->memory;
    json_t *memory = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "pass", (json_int_t)m->passes,
        "remaining_bytes", (json_int_t)m->remaining_bytes, "total_bytes",
        (json_int_t)m->total_bytes, "transferred_bytes", (json_int_t)m->transferred_bytes,
        "rate_bps", (json_int_t)m->rate_bps, "dirty_rate_bps", (json_int_t)m->dirty_rate_bps,
        "expected_blackout_ms", (json_int_t)m->expected_downtime_ms, "throttle_percent",
        (int)m->throttle_percent);
    json_t *stuck = NULL;
    if (p->stuck)
        stuck = json_pack("{s:I, s:o}", "gives_up_ms", (json_int_t)p->gives_up_ms, "choices",
                          mv_choices(job));
    return json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:b, s:o, s:o, s:o, s:I, "
        "s:I, s:o*}",
        "schema", 1, "event", "move", "kind", kind(job), "move", job->plan.move, "vm",
        job->plan.def.name, "from", job->plan.from, "to", job->plan.to, "phase", p->phase,
        "phase_no", (int)p->phase_no, "phases", (int)p->phases, "state",
        p->cancelling ? "cancelling" : "running", "can_cancel", !p->committed, "waiting",
        text(p->waiting), "disks", disks, "memory", memory, "max_blackout_ms",
        (json_int_t)job->max_blackout_ms, "elapsed_ms", (json_int_t)p->elapsed_ms, "stuck", stuck);
}

static double ms_between(int64_t from_us, int64_t to_us)
{
    return from_us && to_us > from_us ? (double)(to_us - from_us) / 1000 : 0;
}

static json_t *parts(const struct mv_job *job)
{
    const struct mv_timeline *t = &job->t;
    // The source sees the take as one round trip; the destination tells how long it ran the guest's
    // start.
    double take = ms_between(t->released, t->taken) - t->dst_resume_ms;
    return json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "stop", ms_between(t->stopped, t->paused),
        "last_memory", ms_between(t->disks_done, t->sent), "device_state",
        ms_between(t->sent, t->loaded), "disk_flush", ms_between(t->paused, t->disks_done),
        "release", ms_between(t->loaded, t->released), "take", take > 0 ? take : 0.0, "resume",
        t->dst_resume_ms, "announce", 0.0);
}

static json_t *error_json(const struct mv_job *job, const struct drv_err *err)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", err->id, "code", drv_code_name(err->code),
                     "phase", job->failed_phase, "msg", text(err->msg), "hint", text(err->hint));
}

json_t *mv_job_result(const struct mv_job *job, enum mv_result result, const struct drv_err *err)
{
    const struct mv_timeline *t = &job->t;
    uint64_t memory_bytes = job->memory.transferred_bytes;
    uint64_t wire_bytes = memory_bytes + job->disk_bytes;
    bool ran_there = t->taken != 0 && t->stopped != 0; // and was measured
    json_t *j = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:o, s:f, s:I, s:I, s:I, s:I, s:b, "
        "s:o}",
        "schema", 1, "event", "result", "kind", kind(job), "move", job->plan.move, "vm",
        job->plan.def.name, "from", job->plan.from, "to", job->plan.to, "state",
        mv_result_name(result), "total_ms", ms_between(t->begun, mv_now_us(job)), "blackout_ms",
        ran_there ? json_real(ms_between(t->stopped, t->taken)) : json_null(), "blackout_parts_ms",
        ran_there ? parts(job) : json_null(), "predicted_blackout_ms", job->predicted_ms,
        "memory_bytes", (json_int_t)memory_bytes, "disk_bytes", (json_int_t)job->disk_bytes,
        "wire_bytes", (json_int_t)wire_bytes, "passes", (json_int_t)job->memory.passes, "encrypted",
        job->plan.encrypt, "error", err && result != MV_DONE ? error_json(job, err) : json_null());
    return j;
}
