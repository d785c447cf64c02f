// SPDX-License-Identifier: GPL-3.0-or-later
// The discs in a VM's CD-ROM drives, on this host: image files on a store, never written. One on an
// SMB store has a drover-store of its own, "disc-<drive>", that only observes: it holds nothing, so
// that many VMs and hosts read one file, and it is in no owner record. It lives and ends with the
// VM's other processes here. Blocking; VM locked.
#ifndef HOSTAGENT_DISC_H
#define HOSTAGENT_DISC_H

#include "owner.h"
#include "qemu_proc.h"

// May it be put in? Its store is known, and the file is there, or, in a folder of this host,
// readable for QEMU. drive: with a store; an empty one is always right.
int ha_disc_check(struct ha *ha, const struct ss_cdrom *drive, struct drv_err *err);

// Start what the disc needs; running already = 0, or with fresh DRV_EEXIST: it serves another disc.
int ha_disc_open(struct ha *ha, const char *uuid, const struct ss_cdrom *drive, bool fresh,
                 struct ha_image_at *ret, struct drv_err *err);
// End the drover-store of a drive, if it has one. QEMU no longer uses it.
int ha_disc_close(const char *dir, const char *drive, struct drv_err *err);
// The same for all drives of the VM whose run directory that is.
int ha_discs_close(const char *dir, struct drv_err *err);

// In QEMU: take the disc out of a drive, or put one in, in place of what is in it. The guest is not
// asked; it sees the change as if the button was pressed. After a failure the drive is empty, or
// has its disc still; taking out is idempotent.
int ha_disc_take_out(struct qmp *q, const char *drive, struct drv_err *err);
int ha_disc_put_in(struct qmp *q, const char *drive, const struct ha_image_at *at,
                   struct drv_err *err);

#endif
