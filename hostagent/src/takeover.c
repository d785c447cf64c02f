// SPDX-License-Identifier: GPL-3.0-or-later
// Rule 8: a record that says "running" (or "released") elsewhere is taken only after its holder was
// asked or, when the holder does not answer and a person says that it is dead, after the record was
// seen unheld for longer than a living holder would leave its guest running without it.
#include "takeover.h"

#include <string.h>

#include "drover/log.h"
#include "drover/storeproc.h"
#include "move.h"

enum { ASK_TIMEOUT_MS = 10000, PROBE_EVERY_MS = 2000, PROBE_AGAIN_MS = 700, MARGIN_S = 15 };

struct name_call {
    struct ha *ha;
    const char *uuid;
    char name[SS_NAME_MAX];
};

static void name_on_loop(void *arg)
{
    struct name_call *c = arg;
    const struct ha_vm *vm = ha_vm_find(c->ha, c->uuid);
    DRV_COPY(c->name, vm ? vm->def.name : c->uuid);
}

// --- asking ---

enum answer { SAYS_NO, SAYS_RUNNING, SAYS_MOVING, SAYS_NOTHING };

static int parse_answer(const json_t *reply, enum answer *ret, struct drv_err *err)
{
    int known, running, moving;
    json_error_t je;
    if (json_unpack_ex((json_t *)reply, &je, 0, "{s:b, s:b, s:b}", "known", &known, "running",
                       &running, "moving", &moving) < 0)
        return drv_err(err, DRV_EPEER, "peer.vm_state: %s", je.text);
    *ret = running ? SAYS_RUNNING : moving ? SAYS_MOVING : SAYS_NO;
    return 0;
}

// Only silence counts as no answer: an agent that refuses to talk to us is alive. why: what went
// wrong.
static int ask(struct ha *ha, const char *host, const char *uuid, enum answer *ret,
               struct drv_err *why)
{
    struct drv_client *c = ha_channel_open(ha, host, NULL, why);
    DRV_AUTO_JSON json_t *reply =
        c ? drv_client_call(c, "peer.vm_state", json_pack("{s:s}", "uuid", uuid), ASK_TIMEOUT_MS,
                            why)
          : NULL;
    drv_client_free(c);
    if (reply)
        return parse_answer(reply, ret, why);
    if (why->code != DRV_EUNREACHABLE && why->code != DRV_ETIMEDOUT)
        return drv_err_prefix(why, "asking %s about the VM", host);
    *ret = SAYS_NOTHING;
    return 0;
}

static int refuse(enum answer answer, const char *host, const char *name, struct drv_err *err)
{
    if (answer == SAYS_RUNNING) {
        drv_err(err, DRV_ESTATE, "%s answers, and runs VM %s", host, name);
        drv_err_hint(err, "move it: drover -H %s move %s --to HOST; or stop it there", host, name);
    } else {
        drv_err(err, DRV_ESTATE, "%s answers, and has a move of VM %s under way", host, name);
        drv_err_hint(err,
                     "it ends by itself once both hosts and the file server are back: "
                     "drover -H %s jobs --active",
                     host);
    }
    return drv_err_id(err, "S07");
}

// --- watching the record ---

// Another host's probe holds the record for a moment: look twice before saying "held".
static int look(struct ss_store *arbiter, const char *uuid, struct ss_record *ret, bool *ret_held,
                struct drv_err *err)
{
    if (ss_record_peek(arbiter, uuid, ret, ret_held, err) < 0)
        return -1;
    if (!*ret_held)
        return 0;
    drv_sleep_ms(PROBE_AGAIN_MS);
    return ss_record_peek(arbiter, uuid, ret, ret_held, err);
}

static int watch(struct ss_store *arbiter, const char *uuid, const struct ss_record *rec,
                 const char *name, struct drv_err *err)
{
    unsigned seconds = rec->stall_deadline_s + MARGIN_S;
    int64_t end = drv_now_ms() + (int64_t)seconds * 1000;
    drv_log(LOG_NOTICE, "takeover.watch", F_STR("vm", name), F_STR("holder", rec->host),
            F_INT("seconds", seconds));
    for (;;) {
        struct ss_record now;
        bool held = false;
        if (look(arbiter, uuid, &now, &held, err) < 0) {
            drv_err_prefix(err, "the owner record must be readable for %u s without a break",
                           seconds);
            return drv_err_hint(err, "try again when the file server answers");
        }
        if (held) {
            drv_err(err, DRV_EBUSY, "%s does not answer, but still holds VM %s's owner record",
                    rec->host, name);
            drv_err_id(err, "S07");
            return drv_err_hint(err, "it is alive: switch it off, then try again after a few "
                                     "seconds");
        }
        if (now.epoch != rec->epoch || strcmp(now.nonce, rec->nonce) != 0) {
            drv_err(err, DRV_EBUSY, "%s changed VM %s's owner record meanwhile", now.host, name);
            return drv_err_id(err, "S07");
        }
        if (drv_now_ms() >= end)
            return 0;
        drv_sleep_ms(PROBE_EVERY_MS);
    }
}

// --- all of it ---

// One party of the record: 1 = it answered and has not got the VM, 0 = silence, -1 = refused.
static int party(struct ha *ha, const char *host, const char *uuid, const char *name,
                 const struct ha_start_opts *opts, struct drv_err *err)
{
    enum answer answer = SAYS_NOTHING;
    struct drv_err why = DRV_ERR_INIT;
    if (ask(ha, host, uuid, &answer, &why) < 0) {
        *err = why;
        return -1;
    }
    if (answer == SAYS_RUNNING || answer == SAYS_MOVING)
        return refuse(answer, host, name, err);
    if (answer == SAYS_NO)
        return 1;
    if (opts->host_is_dead)
        return 0;
    drv_err(err, DRV_ESTATE, "%s owns VM %s and does not answer: %s", host, name, why.msg);
    drv_err_id(err, "S07");
    return drv_err_hint(err,
                        "make sure that %s is switched off, then: drover -H %s vm start %s "
                        "--take-over --host-is-dead",
                        host, ha->fqdn, name);
}

// A move that this host itself has not ended: it decides, not a take-over.
static int no_move_here(struct ha *ha, const char *uuid, const char *name, struct drv_err *err)
{
    struct db_moves moves = {0};
    int rc = db_move_list(ha->db, true, 1000, &moves, err);
    for (unsigned i = 0; rc == 0 && i < moves.n; i++)
        if (!strcmp(moves.list[i].vm_uuid, uuid) && moves.list[i].state == DB_MOVE_ACTIVE)
            rc = refuse(SAYS_MOVING, ha->fqdn, name, err);
    db_moves_done(&moves);
    return rc;
}

int ha_takeover_allowed(struct ha *ha, const char *uuid, const struct ss_record *rec,
                        const struct ha_start_opts *opts, struct ss_store *arbiter,
                        struct drv_err *err)
{
    struct name_call n = {.ha = ha, .uuid = uuid};
    drv_loop_call(ha->loop, name_on_loop, &n);
    if (no_move_here(ha, uuid, n.name, err) < 0)
        return -1;
    // Of a released VM both hosts may think that it is theirs to take.
    const char *const hosts[] = {rec->host, rec->state == SS_REC_RELEASED ? rec->to : ""};
    bool silence = false;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(hosts); i++) {
        if (!hosts[i][0] || !strcmp(hosts[i], ha->fqdn))
            continue;
        int rc = party(ha, hosts[i], uuid, n.name, opts, err);
        if (rc < 0)
            return -1;
        silence |= rc == 0;
    }
    return silence ? watch(arbiter, uuid, rec, n.name, err) : 0;
}
