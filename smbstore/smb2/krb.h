// SPDX-License-Identifier: GPL-3.0-or-later
// Kerberos for SMB sessions: SPNEGO with Kerberos alone (RFC 4178, MS-SMB2 3.2.4.2.3), as the
// host's account from its keytab, or as whoever the default ticket cache names. MIT Kerberos 1.20.
// Nothing is ever delegated.
#ifndef DROVER_SMB2_KRB_H
#define DROVER_SMB2_KRB_H

#include "drover/err.h"
#include <stddef.h>
#include <stdint.h>

// The host's tickets, in memory, got from the keytab when they are needed and kept for reconnecting
// while the KDC is away. The keytab is read anew each time: a new key version counts at once. Any
// thread.
struct smb2_tickets;
// principal: the account, "HV1$@REALM". keytab NULL: the default ticket cache, as it is.
struct smb2_tickets *smb2_tickets_new(const char *keytab, const char *principal,
                                      struct drv_err *err);
void smb2_tickets_free(struct smb2_tickets *t); // NULL allowed; no authentication may be under way
void smb2_tickets_forget(struct smb2_tickets *t); // a server refused them: get new ones next time

struct smb2_krb; // one authentication; one thread at a time

// Authenticate to cifs/server. fresh: with tickets that the KDC gives now, or not at all; else
// those at hand do while more than half of their time is left, or no KDC answers.
struct smb2_krb *smb2_krb_new(struct smb2_tickets *t, const char *server, bool fresh,
                              struct drv_err *err);
void smb2_krb_free(struct smb2_krb *k); // NULL allowed
// One step; the first one (in NULL) asks the KDC and may take long: worker threads. *ret is
// malloc'd or NULL when nothing is to be sent. 1 = established, 0 = the server's answer is needed,
// -1.
int smb2_krb_step(struct smb2_krb *k, const void *in, size_t in_len, void **ret, size_t *ret_len,
                  struct drv_err *err);
// Established: the session key (the context's subkey, RFC 4121), at most 64 bytes.
int smb2_krb_session_key(struct smb2_krb *k, uint8_t out[64], size_t *ret_len, struct drv_err *err);
int64_t smb2_krb_lifetime_s(const struct smb2_krb *k); // established: what is left of the ticket

#endif
