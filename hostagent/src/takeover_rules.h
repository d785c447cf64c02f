// SPDX-License-Identifier: GPL-3.0-or-later
// What a take-over concludes from what it was told and from what it saw (DESIGN.md section 3, rule
// 8). Pure code; any thread.
#ifndef HOSTAGENT_TAKEOVER_RULES_H
#define HOSTAGENT_TAKEOVER_RULES_H

#include <jansson.h>

#include "drover/record.h"

// A host's word about a VM.
enum ha_word { HA_SAYS_NO, HA_SAYS_RUNNING, HA_SAYS_MOVING, HA_SAYS_NOTHING };

struct ha_takeover {
    const char *self;  // FQDN of the host that wants the VM
    const char *vm;    // its name
    bool host_is_dead; // the operator says so
};

// peer.vm_state's answer. -1 DRV_EPEER.
int ha_takeover_parse(const json_t *reply, enum ha_word *ret, struct drv_err *err);
// Hosts other than self that must be asked: the holder and, of a released VM, who may take it.
// Returns their number; the names are rec's.
unsigned ha_takeover_parties(const struct ss_record *rec, const char *self, const char *ret[2]);
// After host's word; why: what went wrong with the question, "" = nothing. 1 = it has not got the
// VM; 0 = silence, and the operator vouches for its death: watch the record; -1 = S07.
int ha_takeover_heard(const struct ha_takeover *t, const char *host, enum ha_word word,
                      const char *why, struct drv_err *err);
// After a look at the record that was rec when the watch began: now, held by somebody or not. 0 =
// nothing has happened to it, -1 = S07: its holder lives, or somebody wrote it.
int ha_takeover_seen(const struct ha_takeover *t, const struct ss_record *rec,
                     const struct ss_record *now, bool held, struct drv_err *err);

#endif
