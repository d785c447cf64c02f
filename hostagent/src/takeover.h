// SPDX-License-Identifier: GPL-3.0-or-later
// Taking a VM over from a host that does not answer (DESIGN.md section 3, rule 8).
#ifndef HOSTAGENT_TAKEOVER_H
#define HOSTAGENT_TAKEOVER_H

#include "agent.h"

// May this host start the VM although its record rec names another? Asks the holder's agent first:
// an answer "it runs here" refuses, "it does not" allows. Without an answer the operator must say
// that the host is dead, and the record must be found unheld at every probe for the holder's stall
// deadline
// + 15 s, the server reachable throughout. 0 = it may. Blocks for minutes; worker thread.
int ha_takeover_allowed(struct ha *ha, const char *uuid, const struct ss_record *rec,
                        const struct ha_start_opts *opts, struct ss_store *arbiter,
                        struct drv_err *err);

#endif
