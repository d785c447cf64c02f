// SPDX-License-Identifier: GPL-3.0-or-later
// Who is at the other end of a Kerberos context: what the server asks the agent.
#ifndef HOSTAGENT_PEERS_H
#define HOSTAGENT_PEERS_H

#include "server.h"

// Both as struct ha_server_ops wants them. Worker threads.
int ha_credential(struct ha *ha, gss_cred_id_t *ret, struct drv_err *err);
int ha_classify(struct ha *ha, const struct drv_gss *gss, struct ha_identity *ret,
                struct drv_err *err);

#endif
