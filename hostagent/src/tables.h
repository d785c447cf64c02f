// SPDX-License-Identifier: GPL-3.0-or-later
// The call tables by topic; droverd serves them all. Each ends with a row without a name.
#ifndef HOSTAGENT_TABLES_H
#define HOSTAGENT_TABLES_H

#include "calls.h"

extern const struct ha_call ha_calls_host[], ha_calls_store[], ha_calls_vm[], ha_calls_vm_set[],
    ha_calls_move[], ha_calls_peer[], ha_calls_audit[], ha_calls_doctor[], ha_calls_permit[],
    ha_calls_console[], ha_calls_log[], ha_calls_shutdown[], ha_calls_health[];

// All of these: what droverd serves, and the manual reads. Ends with NULL.
extern const struct ha_call *const ha_call_tables[];

#endif
