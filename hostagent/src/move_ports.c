// SPDX-License-Identifier: GPL-3.0-or-later
// The mover's journal, peer and host ports: the database, the other agent, and this host's table of
// VMs and moves.
#include "move.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drover/log.h"

enum { STATUS_TIMEOUT_MS = 5000 };

// --- journal ports ---

static int phase_begin(void *ctx, const char *phase, bool undo, struct drv_err *err)
{
    struct ha_move *m = ctx;
    if (!m->journalled) // check: nothing is changed and nothing journalled before reserve's row
        return 0;
    return db_move_phase_begin(m->ha->db, m->plan.move, phase, undo ? DB_UNDO : DB_START, NULL,
                               err);
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
    DRV_AUTO_FREE char *detail = failure ? ha_move_error_text(failure, phase) : NULL;
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
        m->channel = ha_channel_open(m->ha, m->plan.to, NULL, NULL, err);
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
        m->channel = ha_channel_open(m->ha, m->plan.to, NULL, NULL, err);
        reply = m->channel ? ask_status(m, err) : NULL;
    }
    const char *word = json_string_value(json_object_get(reply, "state"));
    if (!word)
        return drv_err(err, DRV_EUNREACHABLE, "%s does not answer", m->plan.to);
    return drv_copy(ret_word, size, word);
}

// --- host ports ---

static int host_facts(void *ctx, bool source, struct mv_facts *ret, struct drv_err *err)
{
    struct ha_move *m = ctx;
    bool by_permit = m->permit[0]; // then nobody acts as the user at the stores
    int rc = ha_facts(m->ha, &m->plan, source ? m->vm : NULL, by_permit ? NULL : m->user, ret, err);
    ret->by_permit = by_permit;
    return rc;
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
    bool disks = mv_plan_moves_disks(&m->plan), storage = mv_plan_is_storage(&m->plan);
    if (m->reserved)
        return;
    if ((!storage && ha_moves_active(m->ha, false) >= s->max_moves) ||
        (disks && ha_moves_active(m->ha, true) >= s->max_storage_moves)) {
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
    explicit_bzero(m->permit, sizeof m->permit);
    return 0;
}

static void unreserve_on_loop(void *arg)
{
    struct ha_move *m = arg;
    m->reserved = false;
}

// What the destination wrote ahead into a home that stays is of no use any more, and it may not
// have come to remove it.
static void drop_next_definition(struct ha_move *m)
{
    struct drv_err ignored = DRV_ERR_INIT;
    if (!mv_plan_is_storage(&m->plan) && !mv_plan_moves_home(&m->plan) &&
        m->vm->epoch == m->plan.epoch)
        ha_move_remove_next(m, &ignored);
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
    if (mv_plan_is_storage(&m->plan)) {
        ha_storage_arrived(m);
        return;
    }
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
