// SPDX-License-Identifier: GPL-3.0-or-later
// Moves of this host: the table, the mover's journal, peer and host ports, and the two ends of a
// move: the source's thread, and what happens at the destination when its channel closes.
#include "move.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drover/log.h"
#include "drover/worker.h"

enum {
    KEEP_OVER_MS = 10 * 60 * 1000, // a move that ended is remembered in memory for so long
    STATUS_TIMEOUT_MS = 5000,
};

// --- the table ---

struct ha_move *ha_move_find(struct ha *ha, const char *id)
{
    for (struct ha_move *m = ha->moves; m; m = m->next)
        if (!strcmp(m->plan.move, id))
            return m;
    return NULL;
}

void ha_move_free(struct ha_move *m)
{
    mv_job_free(m->job);
    json_decref(m->progress);
    json_decref(m->result);
    ha_peer_unref(m->user);
    ha_peer_unref(m->channel_peer);
    drv_client_free(m->channel);
    explicit_bzero(m->memory_key, sizeof m->memory_key);
    explicit_bzero(m->disk_key, sizeof m->disk_key);
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

static int64_t wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct ha_move *ha_move_new(struct ha *ha, const struct mv_plan *plan, bool source)
{
    struct ha_move *m = drv_xcalloc(1, sizeof *m);
    m->ha = ha;
    m->plan = *plan;
    m->source = source;
    m->begun_ms = wall_ms();
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
        if (m->reserved && (!c->with_disks || mv_plan_moves_disks(&m->plan)))
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
    explicit_bzero(m->memory_key, sizeof m->memory_key);
    explicit_bzero(m->disk_key, sizeof m->disk_key);
    drv_loop_call(m->ha->loop, over_on_loop, &c);
}

// --- journal ports ---

static int phase_begin(void *ctx, const char *phase, bool undo, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (!m->journalled) // check: nothing is changed and nothing journalled before reserve's row
        return 0;
    return db_move_phase_begin(m->ha->db, m->plan.move, phase, undo ? DB_UNDO : DB_START, NULL,
                               err);
}

static char *error_text(const struct drv_err *e, const char *phase)
{
    DRV_AUTO_JSON json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", e->id, "code", drv_code_name(e->code), "phase",
                  phase, "msg", e->msg, "hint", e->hint);
    return j ? json_dumps(j, JSON_COMPACT) : NULL;
}

static int phase_end(void *ctx, const char *phase, bool undo, const struct drv_err *failure,
                     struct drv_err *err)
{
    struct ha_move *m = ctx;
    drv_log(failure ? LOG_WARNING : LOG_INFO, undo ? "move.phase.undone" : "move.phase.done",
            F_STR("move", m->plan.move), F_STR("vm", m->plan.def.name), F_STR("phase", phase),
            F_STR("error", failure ? failure->msg : ""));
    if (!m->journalled)
        return 0;
    DRV_AUTO_FREE char *detail = failure ? error_text(failure, phase) : NULL;
    return db_move_phase_end(m->ha->db, m->plan.move, phase, undo ? DB_UNDO : DB_START,
                             failure ? DB_FAILED : DB_DONE, detail, err);
}

static int taking(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return db_move_taking(m->ha->db, m->plan.move, err);
}

static int refuse(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return m->journalled ? db_move_refuse(m->ha->db, m->plan.move, NULL, err) : 0;
}

// --- peer ports (source) ---

// The question about the state may have found the channel gone and no new one: then this host alone
// opens one, which is enough for a move that both journals know.
static int need_channel(struct ha_move *m, struct drv_err *err)
{
    if (!m->channel)
        m->channel = ha_channel_open(m->ha, m->plan.to, NULL, err);
    return m->channel ? 0 : -1;
}

static int peer_enter(void *ctx, const char *phase, const char *step, json_t *args, int timeout_ms,
                      json_t **ret, struct drv_err *err)
{
    struct ha_move *m = ctx;
    *ret = NULL;
    if (need_channel(m, err) < 0) {
        json_decref(args);
        return -1;
    }
    json_t *all = json_pack("{s:s, s:s, s:s, s:o}", "move", m->plan.move, "phase", phase, "step",
                            step, "args", args);
    *ret = drv_client_call(m->channel, "peer.enter", all, timeout_ms, err);
    return *ret ? 0 : -1;
}

static int peer_undo(void *ctx, const char *phase, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (need_channel(m, err) < 0)
        return -1;
    json_t *args = json_pack("{s:s, s:s}", "move", m->plan.move, "phase", phase);
    DRV_AUTO_JSON json_t *ret = drv_client_call(m->channel, "peer.undo", args, 60000, err);
    return ret ? 0 : -1;
}

static json_t *ask_status(struct ha_move *m, struct drv_err *err)
{
    return drv_client_call(m->channel, "peer.status", json_pack("{s:s}", "move", m->plan.move),
                           STATUS_TIMEOUT_MS, err);
}

static int peer_status(void *ctx, char *ret_word, size_t size, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct drv_err first = DRV_ERR_INIT;
    DRV_AUTO_JSON json_t *reply = m->channel ? ask_status(m, &first) : NULL;
    if (!reply) { // the old channel is gone: this host alone asks on a new one
        drv_client_free(m->channel);
        m->channel = ha_channel_open(m->ha, m->plan.to, NULL, err);
        reply = m->channel ? ask_status(m, err) : NULL;
    }
    const char *word = json_string_value(json_object_get(reply, "state"));
    if (!word)
        return drv_err(err, DRV_EUNREACHABLE, "%s does not answer", m->plan.to);
    return drv_copy(ret_word, size, word);
}

// --- host ports ---

static int host_facts(void *ctx, struct mv_facts *ret, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return ha_facts(m->ha, &m->plan, m->source ? m->vm : NULL, m->user, ret, err);
}

static int host_reach(void *ctx, const char *addr, struct drv_err *err)
{
    struct ha_move *m = ctx;
    return ha_move_reach(m->ha, addr, err);
}

struct reserve_call {
    struct ha_move *m;
    struct drv_err *err;
    int rc;
};

static void reserve_on_loop(void *arg)
{
    struct reserve_call *c = arg;
    struct ha_move *m = c->m;
    const struct ha_settings *s = &m->ha->settings;
    bool disks = mv_plan_moves_disks(&m->plan);
    struct get_call all = {.ha = m->ha}, storage = {.ha = m->ha, .with_disks = true};
    count_on_loop(&all);
    count_on_loop(&storage);
    if (m->reserved)
        return;
    if (all.count >= s->max_moves || (disks && storage.count >= s->max_storage_moves)) {
        c->rc = drv_err(c->err, DRV_EBUSY, "%s has all its move slots in use", m->ha->fqdn);
        drv_err_id(c->err, "R03");
        return;
    }
    m->reserved = true;
    if (m->vm)
        DRV_COPY(m->vm->move, m->plan.move);
}

static int journal_row(struct ha_move *m, struct drv_err *err)
{
    DRV_AUTO_JSON json_t *plan = mv_plan_to_json(&m->plan);
    DRV_AUTO_FREE char *text = json_dumps(plan, JSON_COMPACT);
    struct db_move row = {.role = m->source ? DB_SOURCE : DB_DESTINATION,
                          .epoch_before = m->plan.epoch,
                          .state = DB_MOVE_ACTIVE,
                          .decision = m->decision,
                          .plan = text};
    DRV_COPY(row.id, m->plan.move);
    DRV_COPY(row.vm_uuid, m->plan.def.uuid);
    DRV_COPY(row.vm_name, m->plan.def.name);
    DRV_COPY(row.from_host, m->plan.from);
    DRV_COPY(row.to_host, m->plan.to);
    DRV_COPY(row.user, m->plan.user);
    if (db_move_add(m->ha->db, &row, err) < 0)
        return -1;
    m->journalled = true;
    // This row could not be written before its move's; from the next phase on the order is the
    // engine's.
    if (db_move_phase_begin(m->ha->db, m->plan.move, "reserve", DB_START, NULL, err) < 0)
        return -1;
    return db_vm_epoch_raise(m->ha->db, m->plan.def.uuid, m->plan.epoch, err);
}

// The destination's entry for the VM that will arrive. A VM that was registered here but runs
// elsewhere has one already.
static int incoming_vm(struct ha_move *m, struct drv_err *err)
{
    struct drv_err none = DRV_ERR_INIT;
    m->vm = ha_vm_lock(m->ha, m->plan.def.uuid, "arriving", &none);
    if (m->vm && m->vm->run.qemu) {
        ha_vm_unlock(DRV_TAKE(m->vm));
        return drv_err(err, DRV_ESTATE, "%s has a QEMU of VM %s already", m->ha->fqdn,
                       m->plan.def.name);
    }
    if (m->vm)
        return 0;
    if (none.code != DRV_ENOTFOUND) {
        *err = none;
        return -1;
    }
    m->vm = ha_vm_add(m->ha, &m->plan.def, m->plan.to_home_store, m->plan.to_home, "arriving", err);
    m->added_vm = m->vm != NULL;
    return m->vm ? 0 : -1;
}

static int reserve(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    struct reserve_call c = {.m = m, .err = err};
    if (!m->source && !m->vm && incoming_vm(m, err) < 0)
        return -1;
    drv_loop_call(m->ha->loop, reserve_on_loop, &c);
    if (c.rc < 0 || (!m->journalled && journal_row(m, err) < 0))
        return -1;
    ha_peer_unref(DRV_TAKE(m->user)); // authorised: from here the host channel counts alone
    return 0;
}

static void unreserve_on_loop(void *arg)
{
    struct ha_move *m = arg;
    m->reserved = false;
}

// A definition that the destination wrote ahead into a home that stays is of no use any more.
static void drop_next_definition(struct ha_move *m)
{
    struct drv_err ignored = DRV_ERR_INIT;
    char path[SS_PATH_MAX];
    if (mv_plan_moves_home(&m->plan) || m->vm->epoch != m->plan.epoch ||
        snprintf(path, sizeof path, "%s/vm.%llu.json", m->plan.from_home,
                 (unsigned long long)m->plan.epoch + 1) >= (int)sizeof path)
        return;
    struct ss_store *st = ha_store_open(m->ha, m->plan.from_home_store, NULL, &ignored);
    if (st)
        ss_unlink(st, path, &ignored);
    ss_store_close(st);
}

static int unreserve(void *ctx, struct drv_err *err)
{
    struct ha_move *m = ctx;
    (void)err;
    drv_loop_call(m->ha->loop, unreserve_on_loop, m);
    if (m->source && m->vm)
        drop_next_definition(m);
    if (!m->source && m->added_vm && !m->arrived && m->vm)
        ha_vm_remove(DRV_TAKE(m->vm));
    else if (!m->source && !m->arrived && m->vm) {
        ha_vm_publish(m->vm, "stopped", 0, NULL);
        ha_vm_unlock(DRV_TAKE(m->vm));
    }
    return 0;
}

static void progress(void *ctx, const struct mv_progress *p)
{
    struct ha_move *m = ctx;
    ha_move_show(m, mv_progress_to_json(m->job, p));
}

static int64_t now_us(void *ctx)
{
    (void)ctx;
    return drv_now_us();
}

static void pause_move(void *ctx, int ms)
{
    (void)ctx;
    drv_sleep_ms(ms);
}

static void vm_left(void *ctx)
{
    struct ha_move *m = ctx;
    struct drv_err err = DRV_ERR_INIT;
    if (db_vm_remove(m->ha->db, m->plan.def.uuid, &err) < 0)
        drv_log_err(LOG_ERR, "move.source.forget", &err);
    if (m->vm)
        ha_vm_remove(DRV_TAKE(m->vm));
}

static void vm_arrived(void *ctx)
{
    struct ha_move *m = ctx;
    m->arrived = true;
    ha_vm_set_def(m->vm, &m->plan.def, m->plan.to_home_store, m->plan.to_home);
    ha_vm_publish(m->vm, "running", m->vm->run.owner->rec.epoch, "");
}

static const struct mv_journal_ports journal_ports = {
    .phase_begin = phase_begin, .phase_end = phase_end, .taking = taking, .refuse = refuse};
static const struct mv_peer_ports peer_ports = {
    .enter = peer_enter, .undo = peer_undo, .status = peer_status};
static const struct mv_host_ports host_ports = {.facts = host_facts,
                                                .reach = host_reach,
                                                .reserve = reserve,
                                                .unreserve = unreserve,
                                                .progress = progress,
                                                .now_us = now_us,
                                                .pause = pause_move,
                                                .vm_left = vm_left,
                                                .vm_arrived = vm_arrived};
const struct mv_ports ha_move_ports = {.journal = &journal_ports,
                                       .peer = &peer_ports,
                                       .host = &host_ports,
                                       .qemu = &ha_move_qemu_ports,
                                       .store = &ha_move_store_ports};

// --- the source's thread ---

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
    DRV_AUTO_FREE char *error = result == MV_DONE ? NULL : error_text(why, "");
    if (m->journalled &&
        db_move_set_state(m->ha->db, m->plan.move, db_state(result), error, text, &err) < 0)
        drv_log_err(LOG_ERR, "move.journal", &err);
    drv_log(LOG_NOTICE, "move.end", F_STR("move", m->plan.move), F_STR("vm", m->plan.def.name),
            F_STR("state", mv_result_name(result)), F_STR("error", why->msg));
}

void ha_move_end_source(struct ha_move *m, enum mv_result result, const struct drv_err *why)
{
    json_t *object = mv_job_result(m->job, result, why);
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
    m->channel = ha_channel_open(m->ha, m->plan.to, m->user, &err);
    if (m->channel && ha_move_keys(m, drv_client_gss(m->channel), &err) == 0)
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
