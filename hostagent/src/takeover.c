// SPDX-License-Identifier: GPL-3.0-or-later
// Rule 8: a record that says "running" (or "released") elsewhere is taken only after its holder was
// asked or, when the holder does not answer and a person says that it is dead, after the record was
// seen unheld for longer than a living holder would leave its guest running without it.
#include "takeover.h"

#include <string.h>

#include "drover/log.h"
#include "drover/storeproc.h"
#include "move.h"
#include "takeover_rules.h"

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

// Only silence counts as no answer: an agent that refuses to talk to us is alive. why: what went
// wrong.
static int ask(struct ha *ha, const char *host, const char *uuid, enum ha_word *ret,
               struct drv_err *why)
{
    struct drv_client *c = ha_channel_open(ha, host, NULL, NULL, why);
    DRV_AUTO_JSON json_t *reply =
        c ? drv_client_call(c, "peer.vm_state", json_pack("{s:s}", "uuid", uuid), ASK_TIMEOUT_MS,
                            why)
          : NULL;
    drv_client_free(c);
    if (reply)
        return ha_takeover_parse(reply, ret, why);
    if (why->code != DRV_EUNREACHABLE && why->code != DRV_ETIMEDOUT)
        return drv_err_prefix(why, "asking %s about the VM", host);
    *ret = HA_SAYS_NOTHING;
    return 0;
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

static int watch(const struct ha_takeover *t, struct ss_store *arbiter, const char *uuid,
                 const struct ss_record *rec, struct drv_err *err)
{
    unsigned seconds = rec->stall_deadline_s + MARGIN_S;
    int64_t end = drv_now_ms() + (int64_t)seconds * 1000;
    drv_log(LOG_NOTICE, "takeover.watch", F_STR("vm", t->vm), F_STR("holder", rec->host),
            F_INT("seconds", seconds));
    for (;;) {
        struct ss_record now;
        bool held = false;
        if (look(arbiter, uuid, &now, &held, err) < 0) {
            drv_err_prefix(err, "the owner record must be readable for %u s without a break",
                           seconds);
            return drv_err_hint(err, "try again when the file server answers");
        }
        if (ha_takeover_seen(t, rec, &now, held, err) < 0)
            return -1;
        if (drv_now_ms() >= end)
            return 0;
        drv_sleep_ms(PROBE_EVERY_MS);
    }
}

// --- all of it ---

// A move that this host itself has not ended: it decides, not a take-over.
static int no_move_here(struct ha *ha, const char *uuid, const struct ha_takeover *t,
                        struct drv_err *err)
{
    struct db_moves moves = {0};
    int rc = db_move_list(ha->db, true, 1000, &moves, err);
    for (unsigned i = 0; rc == 0 && i < moves.n; i++)
        if (!strcmp(moves.list[i].vm_uuid, uuid) && moves.list[i].state == DB_MOVE_ACTIVE)
            rc = ha_takeover_heard(t, ha->fqdn, HA_SAYS_MOVING, "", err);
    db_moves_done(&moves);
    return rc;
}

int ha_takeover_allowed(struct ha *ha, const char *uuid, const struct ss_record *rec,
                        const struct ha_start_opts *opts, struct ss_store *arbiter,
                        struct drv_err *err)
{
    struct name_call n = {.ha = ha, .uuid = uuid};
    drv_loop_call(ha->loop, name_on_loop, &n);
    const struct ha_takeover t = {
        .self = ha->fqdn, .vm = n.name, .host_is_dead = opts->host_is_dead};
    if (no_move_here(ha, uuid, &t, err) < 0)
        return -1;
    const char *hosts[2];
    unsigned n_hosts = ha_takeover_parties(rec, ha->fqdn, hosts);
    bool silence = false;
    for (unsigned i = 0; i < n_hosts; i++) {
        enum ha_word word = HA_SAYS_NOTHING;
        struct drv_err why = DRV_ERR_INIT;
        if (ask(ha, hosts[i], uuid, &word, &why) < 0) {
            *err = why;
            return -1;
        }
        int rc = ha_takeover_heard(&t, hosts[i], word, why.msg, err);
        if (rc < 0)
            return -1;
        silence |= rc == 0;
    }
    return silence ? watch(&t, arbiter, uuid, rec, err) : 0;
}
