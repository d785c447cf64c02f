// SPDX-License-Identifier: GPL-3.0-or-later
// What the values in vm.json may be. The texts complete "must be …". Many of these values end up on
// a QEMU command line: none may hold a comma, a blank or an equals sign.
#ifndef DROVER_SMBSTORE_VMDEF_INT_H
#define DROVER_SMBSTORE_VMDEF_INT_H

#include "drover/vmdef.h"

enum { SSI_PCI_SLOT_MAX = 30 }; // q35 has its chipset in slot 31

#define SSI_NAME_TEXT                                                                              \
    "a name: letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit"
#define SSI_ID_TEXT "an id: letters, digits, '.', '_' and '-', at most 24, starting with a letter"
#define SSI_PATH_TEXT "a relative path within the store, without '..' or any of \\ : * ? \" < > |"
#define SSI_SERIAL_TEXT "letters, digits, '.', '_' and '-', at most 20"
#define SSI_MAC_TEXT "a unicast MAC address in lower case, such as 52:54:00:12:34:56"
#define SSI_BRIDGE_TEXT "the name of a bridge, at most 15 letters, digits, '.', '_' and '-'"
#define SSI_NIC_MODEL_TEXT "\"virtio-net-pci\" or \"e1000e\""
#define SSI_CPU_TEXT "a QEMU CPU model without flags, such as qemu64"
#define SSI_MACHINE_TEXT "a versioned QEMU machine type, such as pc-q35-7.2"

int ssi_name_valid(const char *s);
int ssi_name_or_empty(const char *s);
int ssi_id_valid(const char *s);
int ssi_path_or_empty(const char *s);
int ssi_serial_valid(const char *s);
int ssi_mac_valid(const char *s);
int ssi_bridge_valid(const char *s);
int ssi_nic_model_valid(const char *s);
int ssi_cpu_valid(const char *s);
int ssi_machine_valid(const char *s);
int ssi_accel_valid(const char *s);
int ssi_graphics_valid(const char *s);
int ssi_shutdown_valid(const char *s);

// What no single key shows: unique ids, files and PCI slots; slots where a device needs one.
int ssi_vmdef_check(const struct ss_vmdef *def, struct drv_err *err);

#endif
