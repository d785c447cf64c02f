// SPDX-License-Identifier: GPL-3.0-or-later
// Moves of this host: the table, and the two ends of a move: the source's thread, and what happens
// at the destination when its channel closes.
#include "move.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drover/log.h"
#include "drover/worker.h"
#include "vm_log.h"

enum {
    KEEP_OVER_MS = 10 * 60 * 1000, // a move that ended is remembered in memory for so long
};

// --- the table ---

struct ha_move *ha_move_find(struct ha *ha, const char *id)
{
    for (struct ha_move *m = ha->moves; m; m = m->next)
        if (!strcmp(m->plan.move, id))
            return m;
    return NULL;
}

// Nothing secret outlives a move.
static void wipe(struct ha_move *m)
{
    explicit_bzero(m->memory_key, sizeof m->memory_key);
    explicit_bzero(m->disk_key, sizeof m->disk_key);
    explicit_bzero(m->permit, sizeof m->permit);
}

void ha_move_free(struct ha_move *m)
{
    mv_job_free(m->job);
    ha_owner_free(m->targets);
    json_decref(m->progress);
    json_decref(m->result);
    ha_peer_unref(m->user);
    ha_peer_unref(m->channel_peer);
    drv_client_free(m->channel);
    wipe(m);
    pthread_mutex_destroy(&m->step);
    free(m);
}

// Nothing but the table points to a move that was over for so long.
static void forget_old(struct ha *ha)
{
    for (struct ha_move **p = &ha->moves; *p;) {
        struct ha_move *m = *p;
        if (m->over && !m->users && drv_now_ms() - m->over_ms > KEEP_OVER_MS) {
            *p = m->next;
            ha_move_free(m);
        } else {
            p = &m->next;
        }
    }
}

struct add_call {
    struct ha_move *m;
    const struct ha_ctx *channel;
    struct drv_err *err;
    int rc;
};

static void add_on_loop(void *arg)
{
    struct add_call *c = arg;
    struct ha *ha = c->m->ha;
    forget_old(ha);
    if (ha_move_find(ha, c->m->plan.move)) {
        c->rc = drv_err(c->err, DRV_EEXIST, "there is a move %s already", c->m->plan.move);
    } else if (c->channel && ha_ctx_gone(c->channel)) { // nobody would ever end it
        c->rc = drv_err(c->err, DRV_EUNREACHABLE, "the host channel has closed");
    } else {
        c->m->next = ha->moves;
        ha->moves = c->m;
    }
}

int ha_move_add(struct ha_move *m, const struct ha_ctx *channel, struct drv_err *err)
{
    struct add_call c = {.m = m, .channel = channel, .err = err};
    drv_loop_call(m->ha->loop, add_on_loop, &c);
    if (c.rc < 0)
        ha_move_free(m);
    return c.rc;
}

struct ha_move *ha_move_new(struct ha *ha, const struct mv_plan *plan, bool source)
{
    struct ha_move *m = drv_xcalloc(1, sizeof *m);
    m->ha = ha;
    m->plan = *plan;
    m->source = source;
    m->begun_ms = drv_wall_ms();
    pthread_mutex_init(&m->step, NULL);
    m->job = mv_job_new(plan, &ha_move_ports, m, source);
    return m;
}

void ha_moves_stop(struct ha *ha)
{
    struct drv_err too_late = DRV_ERR_INIT; // then it is over within moments
    for (struct ha_move *m = ha->moves; m; m = m->next)
        if (m->source && !m->over)
            mv_job_cancel(m->job, &too_late);
}

bool ha_moves_open(const struct ha *ha)
{
    const struct ha_move *m = ha->moves;
    while (m && m->over)
        m = m->next;
    return m != NULL;
}

void ha_moves_free(struct ha *ha)
{
    while (ha->moves) {
        struct ha_move *next = ha->moves->next;
        ha_move_free(ha->moves);
        ha->moves = next;
    }
}

struct get_call {
    struct ha *ha;
    const char *id;
    struct ha_move *ret;
    unsigned count;
    bool with_disks;
};

static void get_on_loop(void *arg)
{
    struct get_call *c = arg;
    c->ret = ha_move_find(c->ha, c->id);
    if (c->ret)
        c->ret->users++;
}

struct ha_move *ha_move_get(struct ha *ha, const char *id)
{
    struct get_call c = {.ha = ha, .id = id};
    drv_loop_call(ha->loop, get_on_loop, &c);
    return c.ret;
}

static void put_on_loop(void *arg)
{
    struct ha_move *m = arg;
    m->users--;
}

void ha_move_put(struct ha_move *m)
{
    if (m)
        drv_loop_call(m->ha->loop, put_on_loop, m);
}

static void count_on_loop(void *arg)
{
    struct get_call *c = arg;
    for (struct ha_move *m = c->ha->moves; m; m = m->next)
        if (m->reserved &&
            (c->with_disks ? mv_plan_moves_disks(&m->plan) : !mv_plan_is_storage(&m->plan)))
            c->count++;
}

unsigned ha_moves_active(struct ha *ha, bool with_disks)
{
    struct get_call c = {.ha = ha, .with_disks = with_disks};
    drv_loop_call(ha->loop, count_on_loop, &c);
    return c.count;
}

// --- what attached clients see ---

struct show_call {
    struct ha_move *m;
    json_t *json;
};

static void show_on_loop(void *arg)
{
    struct show_call *c = arg;
    json_decref(c->m->progress);
    c->m->progress = c->json;
    c->m->progress_seq++;
}

void ha_move_show(struct ha_move *m, json_t *event)
{
    struct show_call c = {m, event};
    drv_loop_call(m->ha->loop, show_on_loop, &c);
}

static void over_on_loop(void *arg)
{
    struct show_call *c = arg;
    struct ha_move *m = c->m;
    ha_peer_unref(DRV_TAKE(m->channel_peer));
    m->result = c->json;
    m->over = true;
    m->over_ms = drv_now_ms();
    m->reserved = false;
    m->progress_seq++;
}

void ha_move_over(struct ha_move *m, json_t *result)
{
    struct show_call c = {m, result};
    ha_vm_unlock(DRV_TAKE(m->vm));
    wipe(m);
    drv_loop_call(m->ha->loop, over_on_loop, &c);
}

// --- the source's thread ---

char *ha_move_error_text(const struct drv_err *e, const char *phase)
{
    DRV_AUTO_JSON json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", e->id, "code", drv_code_name(e->code), "phase",
                  phase, "msg", e->msg, "hint", e->hint);
    return j ? json_dumps(j, JSON_COMPACT) : NULL;
}

static enum db_move_state db_state(enum mv_result r)
{
    switch (r) {
    case MV_DONE:
        return DB_MOVE_DONE;
    case MV_CANCELLED:
        return DB_MOVE_CANCELLED;
    case MV_ATTENTION:
        return DB_MOVE_ATTENTION;
    case MV_FAILED:
    case MV_RESULT_MAX_:
    default:
        return DB_MOVE_FAILED;
    }
}

static void journal_result(struct ha_move *m, enum mv_result result, const struct drv_err *why,
                           const json_t *object)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);
    DRV_AUTO_FREE char *error = result == MV_DONE ? NULL : ha_move_error_text(why, "");
    if (m->journalled &&
        db_move_set_state(m->ha->db, m->plan.move, db_state(result), error, text, &err) < 0)
        drv_log_err(LOG_ERR, "move.journal", &err);
    drv_log(LOG_NOTICE, "move.end", F_STR("move", m->plan.move), F_STR("vm", m->plan.def.name),
            F_STR("state", mv_result_name(result)), F_STR("error", why->msg));
}

// For the VM's log: where it went, or why it stayed.
static void log_end(const struct ha_move *m, enum mv_result result, const struct drv_err *why,
                    const json_t *object)
{
    const char *what = mv_plan_is_storage(&m->plan) ? "move of its disks" : "move";
    double paused_ms = json_number_value(json_object_get(object, "blackout_ms"));
    if (result == MV_DONE)
        ha_vmlog(m->ha, m->plan.def.uuid, "%s %s to %s is done; the guest was paused for %.0f ms",
                 what, m->plan.move, m->plan.to, paused_ms);
    else
        ha_vmlog(m->ha, m->plan.def.uuid, "%s %s to %s: %s: %s", what, m->plan.move, m->plan.to,
                 mv_result_name(result), why->msg);
}

void ha_move_end_source(struct ha_move *m, enum mv_result result, const struct drv_err *why)
{
    json_t *object = mv_job_result(m->job, result, why);
    log_end(m, result, why, object);
    journal_result(m, result, why, object);
    drv_client_free(DRV_TAKE(m->channel));
    ha_peer_unref(DRV_TAKE(m->user));
    ha_move_over(m, object);
}

void ha_move_main(void *arg)
{
    struct ha_move *m = arg;
    struct drv_err err = DRV_ERR_INIT;
    enum mv_result result = MV_FAILED;
    drv_log(LOG_NOTICE, "move.begin", F_STR("move", m->plan.move), F_STR("vm", m->plan.def.name),
            F_STR("to", m->plan.to), F_STR("user", m->plan.user));
    bool storage = mv_plan_is_storage(&m->plan);
    ha_vmlog(m->ha, m->plan.def.uuid, "move %s%s to %s begins, asked for by %s", m->plan.move,
             storage ? " of its disks" : "", m->plan.to, m->plan.user);
    if (!storage)
        m->channel = ha_channel_open(m->ha, m->plan.to, m->user, m->permit, &err);
    if (storage)
        result = mv_job_run(m->job, &err);
    else if (m->channel && ha_move_keys(m, drv_client_gss(m->channel), &err) == 0)
        result = mv_job_run(m->job, &err);
    ha_move_end_source(m, result, &err);
}

// --- the destination, when its channel closes ---

void ha_move_finish_alone(struct ha_move *m)
{
    struct drv_err err = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *ret = mv_job_enter(m->job, "finish", "", NULL, &err);
    if (!ret)
        drv_log_err(LOG_ERR, "move.finish", &err);
    ha_move_end_destination(m, ret ? DB_MOVE_DONE : DB_MOVE_ATTENTION);
}

static void channel_closed(void *arg)
{
    struct ha_move *m = arg;
    struct drv_err err = DRV_ERR_INIT;
    pthread_mutex_lock(&m->step);
    if (m->over) {
        // It had ended in order.
    } else if (mv_job_taken(m->job)) {
        ha_move_finish_alone(m);
    } else {
        drv_log(LOG_WARNING, "move.channel.lost", F_STR("move", m->plan.move),
                F_STR("vm", m->plan.def.name));
        if (mv_job_abandon(m->job, &err) < 0)
            drv_log_err(LOG_ERR, "move.abandon", &err);
        ha_move_end_destination(m, DB_MOVE_REFUSED);
    }
    pthread_mutex_unlock(&m->step);
    ha_move_put(m);
}

void ha_move_end_destination(struct ha_move *m, enum db_move_state state)
{
    struct drv_err err = DRV_ERR_INIT;
    // A refusal stands in the journal already, and is final.
    if (state != DB_MOVE_REFUSED && m->journalled &&
        db_move_set_state(m->ha->db, m->plan.move, state, NULL, NULL, &err) < 0 &&
        state == DB_MOVE_DONE)
        drv_log_err(LOG_ERR, "move.journal", &err);
    if (state == DB_MOVE_DONE)
        ha_vmlog(m->ha, m->plan.def.uuid, "has arrived from %s by move %s", m->plan.from,
                 m->plan.move);
    else if (m->journalled)
        ha_vmlog(m->ha, m->plan.def.uuid, "move %s from %s: %s", m->plan.move, m->plan.from,
                 db_move_state_name(state));
    ha_move_drop_keys(m);
    ha_move_over(m, NULL);
}

void ha_moves_channel_closed(struct ha *ha, const struct ha_peer *peer)
{
    for (struct ha_move *m = ha->moves; m; m = m->next) {
        if (m->source || m->over || m->channel_peer != peer)
            continue;
        m->users++;
        if (drv_work(ha->loop, channel_closed, NULL, m) < 0)
            m->users--; // no thread: the journal keeps it, and the source's question settles it
    }
}
