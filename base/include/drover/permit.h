// SPDX-License-Identifier: GPL-3.0-or-later
// Permits, as a client gets them (docs/WIRE.md, section 8): how a user who cannot be delegated, or
// where delegation is not set up, moves a VM all the same. For the command line and the wizard:
//
//   call move.check or move.start as usual; when it is refused, drv_permit_helps() tells whether a
//   permit is the answer; drv_permit_get() asks the destination for one, with the user's own
//   ticket; then the call is repeated with the permit among its arguments.
#ifndef DROVER_PERMIT_H
#define DROVER_PERMIT_H

#include "drover/client.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    DRV_PERMIT_BYTES = 32,
    DRV_PERMIT_LEN = 45, // in base64, with the NUL
};

// Is a refusal with this finding one for want of delegation (K03, D10, D11, D12, D14), or the wish
// for a permit (D15)?
bool drv_permit_helps(const char *id);

struct drv_permit_request {
    struct drv_client *source; // logged on as the user: tells the VM's uuid and the host's name
    const char *vm;            // name or uuid
    const char *to;            // FQDN of the destination
    unsigned port;             // of its agent
    bool for_move;             // else for a check alone
};
// Ask the destination for a permit, as the user of the default credential cache. ret is a secret:
// wipe it (explicit_bzero) once the call that it is for has been sent. Blocking, up to about half a
// minute. Errors: DRV_ENOTFOUND (no such VM at the source), A03, R01, D16 and others of the
// destination.
int drv_permit_get(const struct drv_permit_request *rq, char ret[DRV_PERMIT_LEN],
                   struct drv_err *err);

// --- for agents ---
void drv_permit_text(const uint8_t bytes[DRV_PERMIT_BYTES], char ret[DRV_PERMIT_LEN]);
// Take a permit out of a request: copied to ret, and wiped in the request. DRV_EINVAL when it
// cannot be one.
int drv_permit_take(json_t *text, char ret[DRV_PERMIT_LEN], struct drv_err *err);

#endif
