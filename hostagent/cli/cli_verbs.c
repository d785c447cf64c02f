// SPDX-License-Identifier: GPL-3.0-or-later
// The verbs as one table (DESIGN.md section 7), and finding one in it. The man page, the completion
// and a test read the same table.
#include "cli.h"

#include "health.h"
#include <string.h>

enum { VERB_WIDTH = 23 }; // of their list

// clang-format off
const struct cli_verb cli_verbs[] = {
    {.noun = "host", .verb = "show", .run = cli_host_show,
     .summary = "Show a host: version, memory, slots, settings",
     .examples = "  drover host show\n  drover -H hv2 host show --json"},
    {.noun = "host", .verb = "set", .args = "KEY=VALUE…", .min_pos = 1, .max_pos = CLI_POS_MAX, .run = cli_host_set,
     .summary = "Change settings of a host",
     .examples = "  drover -H hv2 host set receive=on\n  drover host set max_moves=4 bandwidth=100M\n\n"
                 "`drover host show` lists the settings, drover.conf(5) explains them."},
    {.noun = "host", .verb = "list", .options = cli_host_list_options, .run = cli_host_list,
     .summary = "List the hosts that the directory knows",
     .examples = "  drover host list\n"
                 "  drover host list --cpu"},

    {.noun = "host", .verb = "shutdown-guests", .options = cli_shutdown_options, .run = cli_host_shutdown_guests,
     .summary = "Shut down all guests of a host, each in its own way",
     .examples = "  drover host shutdown-guests\n"
                 "  drover -H hv2 host shutdown-guests --timeout 10m --yes\n\n"
                 "The unit drover-guests.service runs it when the host shuts down."},

    {.noun = "store", .verb = "list", .run = cli_store_list,
     .summary = "List stores with their free space",
     .examples = "  drover store list"},
    {.noun = "store", .verb = "add", .args = "NAME URL", .min_pos = 2, .max_pos = 2, .run = cli_store_add,
     .summary = "Add a store: smb://SERVER/SHARE[/PATH] or local:/PATH",
     .examples = "  drover store add vms smb://fs.example.lan/VM\n  drover store add fast local:/srv/vm"},
    {.noun = "store", .verb = "set", .args = "STORE KEY=VALUE…", .min_pos = 2, .max_pos = CLI_POS_MAX, .run = cli_store_set,
     .summary = "Change settings of a store: stall_deadline, encrypt",
     .examples = "  drover store set vms stall_deadline=120s"},
    {.noun = "store", .verb = "check", .args = "STORE", .min_pos = 1, .max_pos = 1, .run = cli_store_check,
     .summary = "Check a store: rights, locks, flush, space",
     .examples = "  drover store check vms"},
    {.noun = "store", .verb = "remove", .args = "STORE", .min_pos = 1, .max_pos = 1, .run = cli_store_remove,
     .summary = "Forget a store; nothing on it is touched",
     .examples = "  drover store remove old"},

    {.noun = "vm", .verb = "create", .args = "NAME", .min_pos = 1, .max_pos = 1, .options = cli_create_options, .run = cli_vm_create,
     .summary = "Create a VM",
     .examples = "  drover vm create web01 --store vms --memory 4G --cpus 2 --disk 40G --nic br0\n"
                 "  drover vm create db --store vms --memory 8G --import /srv/old/db.qcow2"},
    {.noun = "vm", .verb = "list", .run = cli_vm_list,
     .summary = "List the VMs of a host",
     .examples = "  drover vm list\n  drover -H hv2 vm list --plain | cut -f1"},
    {.noun = "vm", .verb = "show", .args = "VM", .min_pos = 1, .max_pos = 1, .run = cli_vm_show,
     .summary = "Show a VM: definition, state, who owns it",
     .examples = "  drover vm show web01"},
    {.noun = "vm", .verb = "start", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_start_options, .run = cli_vm_start,
     .summary = "Start a VM, or resume one that was paused",
     .examples = "  drover vm start web01\n"
                 "  drover -H hv2 vm start web01 --take-over\n\n"
                 "When hv1 has burnt down:\n\n"
                 "  drover -H hv2 vm start web01 --take-over --host-is-dead"},
    {.noun = "vm", .verb = "stop", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_stop_options, .run = cli_vm_stop,
     .summary = "Shut a VM down",
     .examples = "  drover vm stop web01\n  drover vm stop web01 --timeout 5m\n  drover vm stop web01 --force"},
    {.noun = "vm", .verb = "set", .args = "VM [KEY=VALUE…]", .min_pos = 1, .max_pos = CLI_POS_MAX, .options = cli_set_options,
     .run = cli_vm_set,
     .summary = "Change a VM's settings and devices",
     .examples = "  drover vm set web01 memory=8G cpus=4\n"
                 "  drover vm set web01 --add-disk 100G,store=slow --add-nic br1\n"
                 "  drover vm set web01 --remove disk1\n"
                 "  drover vm set dc1 autostart=on start_order=10 start_delay=1m\n"
                 "\n"
                 "Keys: memory, cpus, cpu, machine, graphics, rtc, panic, disk_bus,\n"
                 "nic_model, notes, autostart, start_order, start_delay,\n"
                 "on_host_shutdown, shutdown_timeout. The first nine hold from the VM's\n"
                 "next start on if it is running."},
    {.noun = "vm", .verb = "rename", .args = "VM NAME", .min_pos = 2, .max_pos = 2, .run = cli_vm_rename,
     .summary = "Give a VM another name, also while it runs",
     .examples = "  drover vm rename web01 web-old"},
    {.noun = "vm", .verb = "eject", .args = "VM [DRIVE]", .min_pos = 1, .max_pos = 2, .run = cli_vm_eject,
     .summary = "Take the disc out of a CD-ROM drive, also while it runs",
     .examples = "  drover vm eject web01\n"
                 "  drover vm eject web01 cd1"},
    {.noun = "vm", .verb = "insert", .args = "VM [DRIVE] STORE/PATH", .min_pos = 2, .max_pos = 3, .run = cli_vm_insert,
     .summary = "Put a disc into a CD-ROM drive, also while it runs",
     .examples = "  drover vm insert web01 isos/virtio-win.iso\n"
                 "  drover vm insert web01 cd1 isos/virtio-win.iso"},
    {.noun = "vm", .verb = "delete", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_delete_options, .run = cli_vm_delete,
     .summary = "Delete a stopped VM and its disks",
     .examples = "  drover vm delete web01\n  drover vm delete web01 --keep-disks --yes"},
    {.noun = "vm", .verb = "register", .args = "STORE/NAME", .min_pos = 1, .max_pos = 1, .run = cli_vm_register,
     .summary = "Make a VM that lies on a store known to this host",
     .examples = "  drover vm register vms/web01"},

    {.noun = "vm", .verb = "console", .args = "VM", .min_pos = 1, .max_pos = 1, .kerberos = DRV_TICKET_MAYBE, .run = cli_vm_console,
     .summary = "A VM's serial line on this terminal; Ctrl-] leaves",
     .examples = "  drover -H hv1 vm console web01\n\n"
                 "It follows the VM when that moves. Output only, into a file:\n\n"
                 "  drover vm console web01 </dev/null >web01.log"},
    {.noun = "vm", .verb = "vnc", .args = "VM", .min_pos = 1, .max_pos = 1, .kerberos = DRV_TICKET_MAYBE, .run = cli_vm_vnc,
     .summary = "A VM's screen at a local port, for a VNC viewer",
     .examples = "  drover -H hv1 vm vnc desk01\n\n"
                 "Prints the port and serves until Ctrl-C. After a move, connect the viewer\n"
                 "again."},

    {.noun = "vm", .verb = "log", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_log_options, .run = cli_vm_log,
     .summary = "What a host noted about a VM, with QEMU's own words",
     .examples = "  drover -H hv1 vm log web01\n"
                 "  drover vm log web01 --lines 500 --follow\n\n"
                 "Starts with QEMU's command line, stops, pauses and moves with their\n"
                 "reasons. Each host has its own."},

    {.noun = "check", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_check_options, .kerberos = DRV_TICKET_MUST, .run = cli_check,
     .summary = "Could this VM move? Changes nothing",
     .examples = "  drover check web01 --to hv2\n  drover check web01 --to hv2 --storage fast --json"},
    {.noun = "move", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_move_options, .kerberos = DRV_TICKET_MUST, .run = cli_move,
     .summary = "Move a running VM to another host",
     .examples = "  drover move web01 --to hv2                   its disks stay where they are\n"
                 "  drover move web01 --to hv2 --storage fast    and its disks with it\n"
                 "  drover move web01 --to hv2 --disk disk1=fast --network br0=lan\n\n"
                 "Ctrl-C detaches; it never cancels the move."},
    {.noun = "move-storage", .args = "VM", .min_pos = 1, .max_pos = 1, .options = cli_storage_options, .run = cli_move_storage,
     .summary = "Move a running VM's disks to another store of its host",
     .examples = "  drover move-storage web01 --storage fast\n"
                 "  drover move-storage web01 --disk disk1=vms --keep-source=2d\n\n"
                 "Ctrl-C detaches; it never cancels the move."},
    {.noun = "jobs", .options = cli_jobs_options, .run = cli_jobs,
     .summary = "List moves, in progress and past",
     .examples = "  drover jobs\n  drover jobs --active --json"},
    {.noun = "attach", .args = "MOVE|VM", .min_pos = 1, .max_pos = 1, .run = cli_attach,
     .summary = "Follow a move to its end",
     .examples = "  drover attach 3f2a81c0\n  drover attach web01"},
    {.noun = "adjust", .args = "MOVE|VM", .min_pos = 1, .max_pos = 1, .options = cli_adjust_options, .run = cli_adjust,
     .summary = "Change what a move under way may do",
     .examples = "  drover adjust web01 --max-blackout 4s\n"
                 "  drover adjust web01 --throttle 80 --wait 10m\n\n"
                 "For a move that does not converge, as its guest writes a lot."},
    {.noun = "cancel", .args = "MOVE|VM", .min_pos = 1, .max_pos = 1, .run = cli_cancel,
     .summary = "Cancel a move: the VM stays where it is",
     .examples = "  drover cancel 3f2a81c0\n  drover cancel web01"},
    {.noun = "audit", .options = cli_audit_options, .run = cli_audit,
     .summary = "List who asked a host for what, and how it was decided",
     .examples = "  drover -H hv2 audit --refused\n  drover audit --limit 400 --json | jq 'select(.object == \"web01\")'"},

    {.noun = "delegation", .verb = "setup", .args = "[HOST…]", .max_pos = CLI_POS_MAX, .options = cli_delegation_options,
     .run = cli_delegation_setup,
     .summary = "Set up in the domain what moves need",
     .examples = "As a domain admin (kinit), from any machine of the domain:\n\n"
                 "  drover delegation setup hv1 hv2 --store smb://fs.example.lan/VM\n"
                 "  drover delegation setup --operator alice --viewer val\n"
                 "  drover delegation setup hv3                     one more; the rest is known\n"
                 "  drover delegation setup hv4 --create --keytab-dir keys   it has not joined\n"
                 "  drover delegation setup --remove hv3\n"
                 "  drover delegation setup hv3 --dry-run           for who may not do it"},
    {.noun = "delegation", .verb = "check", .args = "[HOST…]", .max_pos = CLI_POS_MAX, .options = cli_doctor_options,
     .kerberos = DRV_TICKET_MAYBE, .run = cli_delegation_check,
     .summary = "Look whether tickets, delegation and roles are in order",
     .examples = "  drover -H hv1 delegation check           all hosts of its group\n"
                 "  drover delegation check hv1 hv2 --fix    as a domain admin"},
    {.noun = "doctor", .args = "[HOST…]", .max_pos = CLI_POS_MAX, .options = cli_doctor_options, .kerberos = DRV_TICKET_MAYBE,
     .run = cli_doctor,
     .summary = "Look whether all is in order for moves between hosts",
     .examples = "  drover -H hv1 doctor                     all hosts of its group\n"
                 "  drover doctor hv1 hv2 --all\n"
                 "  drover doctor hv1 hv2 --json | jq '.findings[] | .text'"},
    {.noun = "check-health", .options = cli_health_options, .run = cli_check_health, .usage_exit = HEALTH_UNKNOWN,
     .summary = "One line on a host for Nagios, Icinga and their like",
     .examples = "  drover check-health\n"
                 "  drover -H hv1 check-health --timeout 20s"},
    {.noun = "metrics", .options = cli_metrics_options, .run = cli_metrics,
     .summary = "Numbers of a host for Prometheus",
     .examples = "  drover metrics\n"
                 "  drover metrics --textfile /var/lib/prometheus/node-exporter/drover.prom\n\n"
                 "The unit drover-metrics.timer runs the second one every minute, once it\n"
                 "is enabled."},
    {0},
};
// clang-format on

// Edit distance with neighbours swapped as one edit, of words shorter than 31 letters (optimal
// string alignment).
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][32] = {{0}};
    size_t la = strlen(a), lb = strlen(b);
    if (la > 30 || lb > 30)
        return 99;
    for (unsigned j = 0; j <= lb; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[la % 3][lb];
}

const char *cli_suggest(const char *word, const char *const words[])
{
    const char *best = NULL;
    unsigned best_distance = strlen(word) > 3 ? 3 : 2; // at most two edits, one for short words
    for (unsigned i = 0; words[i]; i++) {
        unsigned d = distance(word, words[i]);
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

// Say that word is no verb (of noun, NULL = at the top), and which one may be meant.
static void unknown(const char *noun, const char *word)
{
    const char *words[DRV_ARRAY_LEN(cli_verbs) + 1] = {0};
    unsigned n = 0;
    for (const struct cli_verb *v = cli_verbs; v->noun; v++)
        if (!noun || !strcmp(noun, v->noun))
            words[n++] = noun ? v->verb : v->noun;
    const char *near = cli_suggest(word, words);
    fputs("drover: there is no verb ", stderr);
    fprintf(stderr, "\"%s%s", noun ? noun : "", noun ? " " : "");
    drv_put(stderr, word);
    fputs("\"\n", stderr);
    if (near)
        fprintf(stderr, "  hint: did you mean `drover %s%s%s`?\n", noun ? noun : "",
                noun ? " " : "", near);
    else
        fprintf(stderr, "  hint: `drover %s%s--help` lists the verbs\n", noun ? noun : "",
                noun ? " " : "");
}

void cli_list_verbs(const char *noun, FILE *f)
{
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        if (noun && strcmp(v->noun, noun) != 0)
            continue;
        int n = fprintf(f, "  %s%s%s", v->noun, v->verb ? " " : "", v->verb ? v->verb : "");
        fprintf(f, "%*s%s\n", VERB_WIDTH - n, "", v->summary);
    }
}

const struct cli_verb *cli_find_verb(int argc, char **argv, int *ret_words)
{
    const char *noun = argv[0], *verb = argc > 1 ? argv[1] : NULL;
    bool noun_known = false;
    *ret_words = 0;
    for (const struct cli_verb *v = cli_verbs; v->noun; v++) {
        if (strcmp(v->noun, noun) != 0)
            continue;
        noun_known = true;
        if (v->verb && (!verb || strcmp(v->verb, verb) != 0))
            continue;
        *ret_words = v->verb ? 2 : 1;
        return v;
    }
    if (!noun_known) {
        unknown(NULL, noun);
    } else if (verb && (!strcmp(verb, "--help") || !strcmp(verb, "-?"))) {
        cli_list_verbs(noun, stdout);
        *ret_words = -1; // answered
    } else if (!verb || *verb == '-') {
        fprintf(stderr, "drover: %s: which verb?\n", noun);
        cli_list_verbs(noun, stderr);
    } else {
        unknown(noun, verb);
    }
    return NULL;
}
