// SPDX-License-Identifier: GPL-3.0-or-later
// Autostart, what is decided and why (docs/KEEP.md). Pure: no store, no database, no clock.
#ifndef HOSTAGENT_AUTOSTART_RULES_H
#define HOSTAGENT_AUTOSTART_RULES_H

#include "drover/record.h"

// VMs that have not been dealt with in this boot, as the database keeps them between two agents of
// one boot: "BOOT_ID UUID UUID …".
struct ha_boot_list {
    char boot_id[DRV_UUID_LEN];
    char (*uuids)[DRV_UUID_LEN]; // ha_boot_list_done()
    unsigned n;
};
// What is left to do, from what was kept (NULL or not understood: this agent is the first one, and
// nothing says that the host has booted) and from this boot's id: of the same boot, what was left;
// of a new one, all n VMs of this host.
void ha_boot_list_make(const char *kept, const char *boot_id, const char (*uuids)[DRV_UUID_LEN],
                       unsigned n, struct ha_boot_list *ret);
char *ha_boot_list_text(const struct ha_boot_list *l);              // caller frees
void ha_boot_list_remove(struct ha_boot_list *l, const char *uuid); // absent is no error
void ha_boot_list_done(struct ha_boot_list *l);

enum ha_autostart_word {
    HA_AUTO_START, // may be started here
    HA_AUTO_NOT,   // shall not be started: dealt with
    HA_AUTO_LATER  // it cannot be told now: try again
};

struct ha_autostart_case {
    const char *host;            // this one
    const char *name;            // of the VM
    const struct ss_vmdef *def;  // NULL: it could not be read
    bool was_running;            // when the host went down
    const struct ss_record *rec; // NULL: it could not be read
    const struct drv_err *err;   // why def or rec could not
};

// why: for people; "" when there is nothing to say (a VM without autostart that was off).
enum ha_autostart_word ha_autostart_judge(const struct ha_autostart_case *c, char *why,
                                          size_t size);

// Is a start that failed so worth another try?
bool ha_autostart_again(const struct drv_err *err);

#endif
