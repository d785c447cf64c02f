// SPDX-License-Identifier: GPL-3.0-or-later
// The audit log: who asked this host for what, and how it was decided.
#ifndef HOSTAGENT_AUDIT_H
#define HOSTAGENT_AUDIT_H

#include "calls.h"

// Note a decision. action: the call or phase; object: VM, store or setting, NULL = none; reason: in
// words; move: id or NULL. A row that cannot be written is logged; the call goes on. Worker thread.
void ha_audit(const struct ha_ctx *ctx, const char *action, const char *object, bool allowed,
              const char *reason, const char *move);

// How ctx's state-changing call ended: "done" when err is NULL, else its message. Worker thread.
void ha_audit_end(const struct ha_ctx *ctx, const char *object, const struct drv_err *err);

// What this agent decided by itself, without a caller. Worker thread.
void ha_audit_self(struct ha *ha, const char *action, const char *object, bool allowed,
                   const char *reason);

// struct ha_server_ops.refused: a call was refused before its handler ran. Loop thread.
void ha_audit_refused(struct ha *ha, const char *who, const char *call, const struct drv_err *err);

#endif
