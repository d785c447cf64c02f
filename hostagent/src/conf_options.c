// SPDX-License-Identifier: GPL-3.0-or-later
// drover.conf: what the machine is. A file of its own, as drover-launch needs it and nothing else
// of the agent.
#include "agent.h"

const struct drv_option ha_conf_options[] = {
    {"host", DRV_OPT_STRING, 0, 255, "", NULL, NULL, false,
     "Fully qualified name of this host, as in its service principal drover/NAME. Empty: asked of "
     "the system.",
     NULL},
    {"state_dir", DRV_OPT_STRING, 1, 200, "/var/lib/drover", NULL, NULL, false,
     "Folder of the database.", NULL},
    {"run_dir", DRV_OPT_STRING, 1, 40, "/run/drover", NULL, NULL, false,
     "Folder of sockets and of the running VMs' files; on tmpfs.", NULL},
    {"socket", DRV_OPT_STRING, 0, 100, "", NULL, NULL, false,
     "Local socket. Empty: drover.sock in run_dir.", NULL},
    {"listen", DRV_OPT_LIST, 0, 16, "0.0.0.0, ::", NULL, NULL, false,
     "Addresses to listen on for clients and other hosts.", NULL},
    {"port", DRV_OPT_INT, 1, 65535, "4484", NULL, NULL, false, "TCP port for the same.", NULL},
    {"keytab", DRV_OPT_STRING, 1, 500, "/etc/krb5.keytab", NULL, NULL, false,
     "Keytab of this host's computer account.", NULL},
    {"dc", DRV_OPT_STRING, 0, 255, "", NULL, NULL, false,
     "Domain controller for LDAP. Empty: found in DNS.", NULL},
    {"qemu_user", DRV_OPT_STRING, 1, 64, DROVER_QEMU_USER, NULL, NULL, false,
     "User, by name or number, that QEMU runs as. Under systemd User= of drover-vm@.service says "
     "it, and this must be the same; it must be of the group that droverd runs with.",
     NULL},
    {"qemu_group", DRV_OPT_STRING, 1, 64, DROVER_QEMU_GROUP, NULL, NULL, false,
     "Its group, by which it gets its files. Its user must also be of the group of /dev/kvm.",
     NULL},
    {"lib_dir", DRV_OPT_STRING, 0, 400, "", NULL, NULL, false,
     "Folder of drover-store, drover-smb and drover-launch. Empty: beside the program, or where it "
     "was "
     "installed.",
     NULL},
    {"stall_deadline", DRV_OPT_DURATION, 10000, 600000, "60s", NULL, NULL, false,
     "A guest is paused when its ownership could not be verified for so long.", NULL},
    {"boot_id_file", DRV_OPT_STRING, 1, 400, "/proc/sys/kernel/random/boot_id", NULL, NULL, false,
     "Where it is read which boot of the host this is: VMs with autostart start once in each.",
     NULL},
    {"log_level", DRV_OPT_ENUM, 0, 0, "info", NULL, "err|warning|notice|info|debug", true,
     "Least important messages to log.", NULL},
    {0},
};
