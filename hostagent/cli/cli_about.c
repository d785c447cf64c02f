// SPDX-License-Identifier: GPL-3.0-or-later
// What the manual says about verbs and exit statuses beyond what --help has room for. A verb
// without a row has a page all the same.
#include "cli.h"

#include <string.h>

// clang-format off
const struct cli_exit cli_exits[] = {
    {DRV_EXIT_OK, "Done."},
    {DRV_EXIT_FAILED, "Failed; a VM that was to move is safe on the source."},
    {DRV_EXIT_USAGE, "The command line is wrong."},
    {DRV_EXIT_REFUSED, "Refused by preflight."},
    {DRV_EXIT_AUTH, "Not authorised, or delegation missing."},
    {DRV_EXIT_UNREACHABLE, "Destination or agent unreachable, or not receiving."},
    {DRV_EXIT_CANCELLED, "Cancelled."},
    {DRV_EXIT_BUSY, "Busy: try later."},
    {DRV_EXIT_ATTENTION, "Needs attention: it is not clear who owns the VM."},
    {DRV_EXIT_INTERRUPTED, "Interrupted; the move goes on."},
    {0},
};

static const struct cli_about abouts[] = {
    {"host set", .text = "All of the settings are changed, or none. A host neither sends nor receives VMs until `send` and `receive` are `on`."},
    {"host list", .text = "With --cpu each host is asked which CPU models it can run: the best of each is shown, and the best that all of them can run, which a new VM gets; all models with --json."},
    {"host shutdown-guests", "host.shutdown_guests", .text = "They are shut down at the same time, each as its `on_host_shutdown` says, and waited for together, without --timeout for as long as the host's setting `shutdown_wait` says. The status is 1 when one could not be shut down. The unit `drover-guests.service` does this when the host shuts down."},
    {"store add", .text = "Give a share the same name on all hosts."},
    {"store set", .text = "The settings are this host's, and count from the next start of a VM on."},
    {"store check", .text = "Looks at rights, locks, folders that must stay, flush, holes, encryption and space."},
    {"vm create", .text =
     "--store, --memory and a disk, by --disk or --import, are required. An emulated VM gets a little more memory: see the agent's note.\n\n"
     "Disks get their places, the first of which is booted, in the order of the command line. A file that is imported is converted, thin, and compared with its source afterwards; the source is not changed. "
     "Only root on the host itself may name any file; others name files in the folders of its local stores.\n\n"
     "The guest boots from a CD-ROM when no disk is bootable. A VM moves with its disc if that lies on an SMB store which the other host has, too.\n\n"
     "UEFI firmware is in the package `ovmf`, which each host needs. Its variables, boot entries among them, are an image beside the first disk, called `nvram`, and move with the disks.\n\n"
     "A Windows guest gets SATA disks (four at most) and `e1000e` cards, which it has drivers for, the clock in local time, and with KVM the interfaces of Hyper-V that Windows expects. "
     "Once the virtio drivers are in (add a small virtio disk and card beside the first ones, and install them from their ISO), this makes it fast:\n\n"
     "  drover vm set VM disk_bus=virtio nic_model=virtio-net-pci\n\n"
     "No Windows guest was run with drover yet.\n\n"
     "The CPU model has a name with a version, such as `Haswell-v4`. Without --cpu the best that all known hosts can run is taken, and said; see `drover host list --cpu`. "
     "A VM can only move to hosts that have all of it, so `host` and `max` are refused."},
    {"vm list", .text = "Below the VMs stands why one is paused, or which other host has it by now, as after a take-over. A state is `unknown` until the agent has looked at the VM after its own start."},
    {"vm start", .text =
     "A VM that another host owns is refused, but with --take-over taken from that host after asking it. If it does not answer, --host-is-dead is your word that it is switched off or will never write again: "
     "two running copies destroy the disks."},
    {"vm stop", .text = "The guest is asked to shut down, and waited for; with --force its power is cut."},
    {"vm set", .text =
     "All of it is changed, or nothing. Some keys hold at once, others are what QEMU is started with: those of a running VM wait, move with it, and hold from its next start on, which is said. "
     "Disks, network cards and drives of a running VM come and go with its next start as well, and --remove takes back what has not come yet; a restart of the guest by itself is no start. "
     "Devices that stay keep their PCI addresses. The image of a disk that is removed stays on its store."},
    {"vm rename", .text = "Its folder on the store keeps its name, and so do its disks' images. What QEMU calls the guest changes with its next start."},
    {"vm eject", .text = "Without a drive: out of the one that holds a disc. A running guest sees it at once."},
    {"vm insert", .text = "Without a drive: into the first empty one. A running guest sees it at once. To take a disc out is an operator's, as a move may need it; to put one in is an admin's, as any file of a store can be read so."},
    {"vm delete", .text = "The VM must be stopped. One that another host runs is only forgotten here, with --keep-disks; nothing of it is touched. Of one that is this host's, --keep-disks leaves the images alone, and takes its definition and its owner record away: `drover vm create` --import makes a VM of an image again."},
    {"vm console", .text =
     "Several people may look at it at once, and all may type. It follows the VM when that moves, and waits half a minute for an agent that restarts; what the guest prints in between is not shown. "
     "Without a terminal, the end of the input is not the end: output goes on until the VM stops."},
    {"vm vnc", .text =
     "For any VNC viewer of the same user on this computer: prints a port at 127.0.0.1 and serves it until Ctrl-C, for one viewer at a time. "
     "A viewer cannot follow a move: its connection ends, it is said where the VM went, and the next connection to the same port gets the screen there."},
    {"vm log", .text = "Starts with QEMU's command line, stops, pauses and moves with their reasons, and what QEMU and the VM's drover-stores said. The newest 512 KiB are kept, at most; control characters are shown as \\xHH. A VM that has moved away has left its log here for a month; deleting the VM deletes it."},
    {"check", "move.check", .text = "Examines both hosts without changing anything, and prints every finding with its remedy, and how long the guest would pause."},
    {"move", "move.start", .text =
     "Follows the move to its end. Ctrl-C detaches; it never cancels. A move that cannot keep --max-blackout is cancelled, and the VM runs on where it was. "
     "Source images of carried disks that are kept are renamed and read-only.\n\n"
     "With --permit the destination gives a permit, for your own ticket, and the VM moves by that: the source then need not be able to act for you, and nobody looks at your rights on the file server. "
     "Without this option it is done when delegation turns out to be missing (findings K03, D10 to D12, D14, D15), which is said in a line; --no-permit forbids it. "
     "With --detach what the preflight finds is not waited for: where delegation is missing, add --permit."},
    {"move-storage", "move.storage", .text =
     "The VM runs on meanwhile, but for some tens of milliseconds at the end. Disks that are on that store already stay as they are. Ctrl-C detaches; it never cancels."},
    {"jobs", "move.list", .text = NULL},
    {"attach", "move.attach", .text = "The beginning of an id will do, or the name of the VM that is being moved."},
    {"adjust", "move.set", .text =
     "`drover attach` and the wizard say when a move does not converge, and offer what makes sense then. The move is given up when nothing is chosen, and the VM runs on where it is.\n\n"
     "--throttle: QEMU takes time from the guest's processors, in three steps up to that, at the end of every other pass over memory that did not converge; the guest has all of it back when the move ends, however it ends."},
    {"cancel", "move.cancel", .text = "The beginning of the move's id will do, or the name of the VM that is being moved. What was copied is deleted. Possible until the destination takes the VM."},
    {"audit", "audit.list", .text = "The newest come first: who asked for what, over which way, for whom, and how it was decided."},
    {"check-health", "host.health", .text =
     "Critical: the agent does not answer; a VM is fenced, has crashed, is paused with a reason, or a person has to look at it; a move needs attention; a store cannot be reached; the host's ticket has ended. "
     "Warning: the host's ticket, which the agent renews when less than five hours are left, ends within the hour; a VM waits for its file server, or is paused and nobody said why. "
     "The whole takes --timeout at most. What is found stands in the line, the worst first; after the bar come numbers.",
     .exits = "0 in order, 1 warning, 2 critical (an unknown option is that, too), 3 not known, as when the asker may not ask."},
    {"metrics", "host.health", .text =
     "Prints Prometheus' text format. With --textfile it replaces that file at once, readable by all, for node exporter's collector `textfile`. "
     "An agent that does not answer is no failure of this command: `drover_up` is 0 then, and nothing else is told.",
     .exits = "0 the numbers are written, 1 they could not be, 2 the command line is wrong."},
    {"delegation setup", .text =
     "Gives the hosts what moves need in the domain: the hosts' group, service names, and constrained delegation (Kerberos only) to each other and to the file servers of their stores; encryption by AES alone; "
     "the groups of those who may use drover; permissions of the stores' folders. A domain administrator's ticket is needed, and no agent. "
     "Hosts that are in the group already, and file servers that they know, need not be named again. What is there stays; a second run changes nothing.\n\n"
     "Of the folder of a store's URL the hosts, the admins and the domain's administrators get full control, operators modify, with all that is made below. Entries are added only; "
     "one that lets in a whole domain is told, with the command that takes it away.\n\n"
     "With --create, accounts are made with a random password that nobody sees. Such a host needs its keytab and a krb5.conf, no more. A joined host keeps its password and keytab. "
     "The folder of --keytab-dir is one that nobody else may enter, or is made; nothing is changed if a keytab is there already. "
     "--new-keytab is for an account that was made while its keytab could not be written, or whose keytab is lost; a host that has joined by itself must join again.\n\n"
     "Other names of the groups of people go into the hosts' setting `roles` as well. A host that --remove takes out keeps its account. "
     "With --dry-run, what would be changed is printed as LDIF, as `samba-tool` and `smbcacls` commands and for PowerShell; passwords are in none of them."},
    {"delegation check", "doctor.host", .text = "The part of `drover doctor` that regards tickets, delegation and roles."},
    {"doctor", "doctor.host", .text =
     "Tries what moves between these hosts need, in both directions and for every store, as they would do it: names, clocks, keytabs, tickets, acting for the user at each other host and file server, groups, "
     "permissions, locks and durability of shares, the migration network and its packet size, bridges, versions and CPU models. Without a host: the agent at hand and the members of its hosts' group. "
     "Nothing is changed. Each finding comes with what to do, and mostly with the command that repairs it.\n\n"
     "With --fix what `drover delegation setup` would add to the directory is added, after it has been shown, and tickets of hosts that are older than their group are renewed. Then it looks again."},
    {0},
};
// clang-format on

const struct cli_about *cli_about(const struct cli_verb *v)
{
    DRV_AUTO_FREE char *name =
        drv_xasprintf("%s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
    for (const struct cli_about *a = abouts; a->verb; a++)
        if (!strcmp(a->verb, name))
            return a;
    return NULL;
}
