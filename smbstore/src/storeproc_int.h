// SPDX-License-Identifier: GPL-3.0-or-later
// Between storeproc.c (the process) and storeproc_client.c (its control socket).
#ifndef DROVER_STOREPROC_INT_H
#define DROVER_STOREPROC_INT_H

#include "drover/storeproc.h"

// One call on the control connection, reconnecting if needed. args: stolen, NULL = none.
// timeout_ms: what drover-store may take; we wait a little longer. *ret: new reference, NULL = not
// wanted.
int ss_proc_ask(struct ss_proc *p, const char *call, json_t *args, int timeout_ms, json_t **ret,
                struct drv_err *err);
// "<dir>/<name>.<suffix>"
void ss_proc_path(const char *dir, const char *name, const char *suffix, char *out, size_t size);
const char *ss_proc_dir(const struct ss_proc *p);
const char *ss_proc_name(const struct ss_proc *p);
void ss_proc_disconnect(struct ss_proc *p); // the next call connects again

#endif
