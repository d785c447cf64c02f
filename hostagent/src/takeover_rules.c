// SPDX-License-Identifier: GPL-3.0-or-later
// A take-over's conclusions: see takeover_rules.h.
#include "takeover_rules.h"

#include <string.h>

int ha_takeover_parse(const json_t *reply, enum ha_word *ret, struct drv_err *err)
{
    int known, running, moving;
    json_error_t je;
    if (json_unpack_ex((json_t *)reply, &je, 0, "{s:b, s:b, s:b}", "known", &known, "running",
                       &running, "moving", &moving) < 0)
        return drv_err(err, DRV_EPEER, "peer.vm_state: %s", je.text);
    *ret = running ? HA_SAYS_RUNNING : moving ? HA_SAYS_MOVING : HA_SAYS_NO;
    return 0;
}

unsigned ha_takeover_parties(const struct ss_record *rec, const char *self, const char *ret[2])
{
    // Of a released VM both hosts may think that it is theirs to take.
    const char *const hosts[] = {rec->host, rec->state == SS_REC_RELEASED ? rec->to : ""};
    unsigned n = 0;
    for (unsigned i = 0; i < DRV_ARRAY_LEN(hosts); i++)
        if (hosts[i][0] && strcmp(hosts[i], self) != 0)
            ret[n++] = hosts[i];
    return n;
}

int ha_takeover_heard(const struct ha_takeover *t, const char *host, enum ha_word word,
                      const char *why, struct drv_err *err)
{
    switch (word) {
    case HA_SAYS_NO:
        return 1;
    case HA_SAYS_RUNNING:
        drv_err(err, DRV_ESTATE, "%s answers, and runs VM %s", host, t->vm);
        drv_err_hint(err, "move it: drover -H %s move %s --to HOST; or stop it there", host, t->vm);
        break;
    case HA_SAYS_MOVING:
        drv_err(err, DRV_ESTATE, "%s answers, and has a move of VM %s under way", host, t->vm);
        drv_err_hint(err,
                     "it ends by itself once both hosts and the file server are back: "
                     "drover -H %s jobs --active",
                     host);
        break;
    case HA_SAYS_NOTHING:
        if (t->host_is_dead)
            return 0;
        drv_err(err, DRV_ESTATE, "%s owns VM %s and does not answer: %s", host, t->vm, why);
        drv_err_hint(err,
                     "make sure that %s is switched off, then: drover -H %s vm start %s "
                     "--take-over --host-is-dead",
                     host, t->self, t->vm);
        break;
    }
    return drv_err_id(err, "S07");
}

int ha_takeover_seen(const struct ha_takeover *t, const struct ss_record *rec,
                     const struct ss_record *now, bool held, struct drv_err *err)
{
    if (held) {
        drv_err(err, DRV_EBUSY, "%s does not answer, but still holds VM %s's owner record",
                rec->host, t->vm);
        drv_err_hint(err, "it is alive: switch it off, then try again after a few seconds");
        return drv_err_id(err, "S07");
    }
    if (now->epoch == rec->epoch && !strcmp(now->nonce, rec->nonce))
        return 0;
    drv_err(err, DRV_EBUSY, "%s changed VM %s's owner record meanwhile", now->host, t->vm);
    return drv_err_id(err, "S07");
}
