// SPDX-License-Identifier: GPL-3.0-or-later
// The table of findings, and lists of them: see finding.h. docs/FINDINGS.md explains each id at
// length.
#include "drover/finding.h"

#include <stdlib.h>
#include <string.h>

#include "drover/util.h"

enum { MAX_FINDINGS = 256 }; // a peer's list is cut here

#define ERR(id_, exit_, title_, fix_)                                                              \
    {                                                                                              \
        id_, DRV_SEV_ERROR, exit_, title_, fix_                                                    \
    }
#define WARN(id_, exit_, title_, fix_)                                                             \
    {                                                                                              \
        id_, DRV_SEV_WARNING, exit_, title_, fix_                                                  \
    }

#define INFO(id_, exit_, title_, fix_)                                                             \
    {                                                                                              \
        id_, DRV_SEV_INFO, exit_, title_, fix_                                                     \
    }

// clang-format off
const struct drv_finding_def drv_finding_defs[] = {
    // K: tickets
    ERR("K01", DRV_EXIT_AUTH, "No Kerberos ticket", "Get a ticket: kinit USER"),
    ERR("K02", DRV_EXIT_AUTH, "Kerberos ticket expired", "Renew the ticket: kinit USER"),
    ERR("K03", DRV_EXIT_AUTH, "Kerberos ticket is not forwardable", "Get a forwardable one: kinit -f USER"),
    ERR("K04", DRV_EXIT_AUTH, "No domain controller answers", "Check the network to the domain controller, and DNS or [realms] in /etc/krb5.conf."),
    ERR("K05", DRV_EXIT_AUTH, "The directory does not know the host's service", "Use the host's full name; register it: samba-tool spn add drover/HOST 'ACCOUNT$'"),
    ERR("K06", DRV_EXIT_AUTH, "The host's keytab does not fit its account", "Export the keytab again and restart droverd on that host."),
    // D: delegation
    ERR("D10", DRV_EXIT_AUTH, "The source may not act for users at the destination", "As domain admin: drover delegation setup, or samba-tool delegation add-service 'SOURCE$' drover/DESTINATION"),
    ERR("D11", DRV_EXIT_AUTH, "The source may not act for users at the file server", "As domain admin: drover delegation setup --store URL, or samba-tool delegation add-service 'SOURCE$' cifs/FILESERVER"),
    ERR("D12", DRV_EXIT_AUTH, "This user's account cannot be delegated", "Use another account, or clear \"account is sensitive\" and Protected Users for it."),
    ERR("D13", DRV_EXIT_AUTH, "A whole ticket-granting ticket was delegated", "Log on with a client that does not forward tickets; drover wants constrained delegation only."),
    ERR("D14", DRV_EXIT_AUTH, "Acting for the user failed", "Compare the account's delegation settings with the README and read the domain controller's log."),
    ERR("D15", DRV_EXIT_AUTH, "A permit is wanted here", "Move with --permit (drover does so by itself), or, to allow delegation: drover -H HOST host set auth=either"),
    ERR("D16", DRV_EXIT_AUTH, "Permits are not accepted here", "Set up delegation (drover delegation setup), or, to allow permits: drover -H HOST host set auth=either"),
    WARN("D17", DRV_EXIT_AUTH, "The host may act for anybody at any service", "As domain admin: samba-tool delegation for-any-service 'HOST$' off"),
    WARN("D18", DRV_EXIT_AUTH, "The host may act for users who never came to it", "As domain admin: samba-tool delegation for-any-protocol 'HOST$' off"),
    WARN("D19", DRV_EXIT_AUTH, "The account's encryption types are not AES alone", "As domain admin: drover delegation setup"),
    ERR("D20", DRV_EXIT_AUTH, "A service name stands on two accounts", "As domain admin: take it from the wrong one (samba-tool spn delete, setspn -D)."),
    ERR("D21", DRV_EXIT_AUTH, "The host has no complete computer account", "Join the host to the domain, or as domain admin: drover delegation setup HOST --create --keytab-dir DIR"),
    // A: roles
    ERR("A01", DRV_EXIT_AUTH, "No role on this host", "Add the user to a group that the host's setting \"roles\" names, then log on again (kinit)."),
    ERR("A02", DRV_EXIT_AUTH, "The role does not allow this", "Ask an administrator of the host, or get the role; group changes need a new ticket (kinit)."),
    ERR("A03", DRV_EXIT_AUTH, "The user is refused at the destination", "Add the user to a group that the destination's setting \"roles\" names."),
    ERR("A04", DRV_EXIT_AUTH, "The other host is not in the hosts' group", "As domain admin: samba-tool group addmembers 'VM Hosts' 'HOST$', then restart droverd on that host."),
    ERR("A05", DRV_EXIT_AUTH, "The user may not write the VM's folder", "Give the user's group write access to the VM's folder on the file server."),
    ERR("A06", DRV_EXIT_AUTH, "The user is not proven to this host", "Log on with a fresh ticket of the domain (kinit USER) and run the command on the VM's host or your own desk."),
    ERR("A07", DRV_EXIT_AUTH, "The permit is refused", "Run the command again: it gets a new permit."),
    ERR("A08", DRV_EXIT_AUTH, "The user's ticket is older than the role", "Get a new ticket: kinit USER"),
    ERR("A09", DRV_EXIT_AUTH, "The host's ticket is older than its group", "drover doctor --fix renews it; restarting droverd does too."),
    ERR("A10", DRV_EXIT_AUTH, "A group of the setting roles is not in the directory", "Name groups that exist: drover -H HOST host set roles=…"),
    WARN("A11", DRV_EXIT_AUTH, "The ticket has a role that was taken away", "The role ends with the ticket; disable the account if it must end at once."),
    // R: receiving, sending, slots
    ERR("R01", DRV_EXIT_UNREACHABLE, "The destination does not receive VMs", "On the destination: drover host set receive=on"),
    ERR("R02", DRV_EXIT_UNREACHABLE, "The source does not send VMs", "On the source: drover host set send=on"),
    ERR("R03", DRV_EXIT_UNREACHABLE, "No move slot is free", "Wait for a move to end, or raise max_moves on that host."),
    ERR("R04", DRV_EXIT_UNREACHABLE, "The destination is unreachable", "Check that droverd runs there and that its port is open between the hosts."),
    ERR("R05", DRV_EXIT_UNREACHABLE, "No authorised channel between the hosts", "Check both hosts' clocks, keytabs and membership in the hosts' group."),
    // V: versions, CPU, machine
    ERR("V01", DRV_EXIT_REFUSED, "The agents' versions do not fit", "Install the same drover release on both hosts."),
    ERR("V02", DRV_EXIT_REFUSED, "QEMU at the destination is older", "Upgrade QEMU at the destination to the source's version or newer."),
    ERR("V03", DRV_EXIT_REFUSED, "Machine type missing at the destination", "Install a QEMU that has it at the destination."),
    ERR("V04", DRV_EXIT_REFUSED, "CPU model not usable at the destination", "Give the VM a CPU model that both hosts have (for example x86-64-v2) and restart it."),
    ERR("V05", DRV_EXIT_REFUSED, "Accelerator missing at the destination", "Enable virtualisation (KVM) there, or restart the VM with accel=tcg."),
    WARN("V06", DRV_EXIT_REFUSED, "More virtual CPUs than the destination has", "The VM will run, slower; choose a larger host."),
    ERR("V07", DRV_EXIT_REFUSED, "UEFI firmware missing at the destination", "Install the package ovmf at the destination."),
    // M: memory
    ERR("M01", DRV_EXIT_REFUSED, "Not enough memory at the destination", "Free memory there, or choose another host."),
    ERR("M02", DRV_EXIT_REFUSED, "This memory size loses writes under emulation", "Shut the VM down and give it a size that is no multiple of 256 KiB, such as 262152 KiB."),
    // S: stores and disks
    ERR("S01", DRV_EXIT_REFUSED, "Store unknown at the destination", "On the destination: drover store add NAME URL"),
    ERR("S02", DRV_EXIT_REFUSED, "The store's name means another place at the destination", "Give the store the same URL on both hosts."),
    ERR("S03", DRV_EXIT_REFUSED, "Not enough disk space", "Free space on the target store, or choose another."),
    ERR("S04", DRV_EXIT_REFUSED, "A disk cannot be reached", "Check that the file is there and that the host's account may read and write it."),
    ERR("S05", DRV_EXIT_REFUSED, "No arbiter store is set", "On each host: drover host set arbiter=STORE (an SMB store that all hosts share)."),
    ERR("S06", DRV_EXIT_REFUSED, "The arbiter store does not answer", "Check the file server and the network to it from both hosts."),
    ERR("S07", DRV_EXIT_REFUSED, "The owner record names another host", "Look where the VM runs (drover vm list); see the README before any take-over."),
    ERR("S08", DRV_EXIT_REFUSED, "An image has internal snapshots", "Remove them (qemu-img snapshot -d, VM stopped) or move the VM without its disks."),
    ERR("S09", DRV_EXIT_REFUSED, "An image has a backing chain", "Flatten it (qemu-img rebase -b '', VM stopped) or move the VM without its disks."),
    ERR("S10", DRV_EXIT_REFUSED, "Disk sizes differ", "Remove the wrong target image, or check that both hosts see the same file."),
    ERR("S11", DRV_EXIT_REFUSED, "The target file exists already", "Look what it is; move it away or choose another store."),
    ERR("S12", DRV_EXIT_REFUSED, "The host may not write to the store", "Give the hosts' group full access to the share and its folder: drover delegation setup --store URL"),
    ERR("S13", DRV_EXIT_REFUSED, "An attached ISO is not reachable at the destination", "Eject it, or put it on a store that both hosts have."),
    ERR("S14", DRV_EXIT_REFUSED, "The connection to the store was lost", "When the file server answers again: drover vm start VM"),
    ERR("S15", DRV_EXIT_REFUSED, "The store's locks could not be proven", "Use a file server that honours share modes (Samba, Windows), and let nothing else serve the folder."),
    ERR("S16", DRV_EXIT_REFUSED, "The disks are on this store already", "Name another store; drover vm show VM tells where the disks lie."),
    WARN("S17", DRV_EXIT_REFUSED, "The server may not honour FLUSH", "Samba: strict sync = yes on the share (drover-share.conf); check the write cache of its disk."),
    WARN("S18", DRV_EXIT_REFUSED, "The share does not keep holes in images", "Use a file system with sparse files (ext4, XFS, NTFS, ReFS); images will take their full size."),
    ERR("S19", DRV_EXIT_REFUSED, "The connection to the share is not protected as it should be", "Samba: drover-global.conf. Windows: Set-SmbShare NAME -EncryptData $true"),
    WARN("S20", DRV_EXIT_REFUSED, "How long a cut-off host keeps its files is not known", "Samba: socket options of drover-global.conf; others: docs/FILESERVER.md"),
    WARN("S21", DRV_EXIT_REFUSED, "The local file system is not made for images", "Use a folder on ext4, XFS or another file system on this host's own disks."),
    ERR("S22", DRV_EXIT_REFUSED, "A folder can be renamed under an open image", "Samba: strict rename = yes on the share (drover-share.conf)."),
    ERR("S23", DRV_EXIT_REFUSED, "Writes that the guest was told are safe may be gone", "Stop the VM (drover vm stop VM --force), start it, and check the guest's file systems."),
    INFO("S24", DRV_EXIT_REFUSED, "The user's own rights on files are not looked at", "To have the file server decide as well: set up delegation, and auth=delegation on the destination."),
    WARN("S25", DRV_EXIT_REFUSED, "The permissions of the store's folder do not fit", "As domain admin: drover delegation setup --store URL"),
    // N: networks. Retired: N04.
    ERR("N01", DRV_EXIT_REFUSED, "Network missing at the destination", "Create the bridge there, or map it: --network FROM=TO"),
    ERR("N02", DRV_EXIT_REFUSED, "No migration network in common", "Let move_networks of both hosts name a common subnet."),
    ERR("N03", DRV_EXIT_REFUSED, "The migration network is unreachable", "Check cabling and firewall of the migration network (data_ports)."),
    ERR("N05", DRV_EXIT_REFUSED, "The hosts do not agree on encryption", "Set encrypt=on on both hosts, or, if clear streams are meant, encrypt=off on both."),
    ERR("N06", DRV_EXIT_REFUSED, "A host's name does not lead to it", "Correct the host's address record in DNS (or /etc/hosts)."),
    WARN("N07", DRV_EXIT_REFUSED, "Reverse DNS does not name the host", "Correct its PTR record, or set rdns = false in /etc/krb5.conf."),
    ERR("N08", DRV_EXIT_REFUSED, "Large packets do not pass on the migration network", "Give all interfaces and switches on the way the same MTU."),
    // T: time
    ERR("T01", DRV_EXIT_REFUSED, "Clocks differ too much", "Set the clocks by the domain controller: timedatectl, chronyc tracking"),
    WARN("T02", DRV_EXIT_REFUSED, "Clocks differ", "Set the clocks by the domain controller before Kerberos refuses (5 minutes)."),
    // G: guest, devices, state
    ERR("G01", DRV_EXIT_REFUSED, "A host device is passed through", "Detach the device; it cannot follow the VM."),
    ERR("G02", DRV_EXIT_REFUSED, "The VM is paused", "Resume it, or stop it; drover vm show VM says why it was paused."),
    ERR("G03", DRV_EXIT_REFUSED, "The VM is not running", "Start it: drover vm start VM"),
    ERR("G04", DRV_EXIT_BUSY, "A move of this VM is in progress", "Wait for it (drover attach ID) or cancel it (drover cancel ID)."),
    WARN("G05", DRV_EXIT_REFUSED, "The display does not move", "Open displays are cut: connect again at the destination."),
};
// clang-format on

const unsigned drv_finding_defs_count = DRV_ARRAY_LEN(drv_finding_defs);

static const char *const severity_names[] = {
    [DRV_SEV_OK] = "ok",
    [DRV_SEV_INFO] = "info",
    [DRV_SEV_WARNING] = "warning",
    [DRV_SEV_ERROR] = "error",
};
_Static_assert(DRV_ARRAY_LEN(severity_names) == DRV_SEV_MAX_, "a name per severity");

const char *drv_severity_name(enum drv_severity s)
{
    return s < DRV_SEV_MAX_ ? severity_names[s] : "error";
}

const struct drv_finding_def *drv_finding_def(const char *id)
{
    for (unsigned i = 0; id && i < drv_finding_defs_count; i++)
        if (!strcmp(drv_finding_defs[i].id, id))
            return &drv_finding_defs[i];
    return NULL;
}

// A newer peer may send ids that this table lacks: the letter still tells the class.
static enum drv_exit exit_class(const char *id)
{
    const struct drv_finding_def *def = drv_finding_def(id);
    if (def)
        return def->exit_class;
    if (strchr("KDA", id[0]))
        return DRV_EXIT_AUTH;
    return id[0] == 'R' ? DRV_EXIT_UNREACHABLE : DRV_EXIT_REFUSED;
}

void drv_findings_done(struct drv_findings *f)
{
    free(f->list);
    *f = (struct drv_findings){0};
}

static struct drv_finding *append(struct drv_findings *f)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->list = reallocarray(f->list, f->cap, sizeof *f->list);
        if (!f->list)
            abort();
    }
    struct drv_finding *one = &f->list[f->n++];
    memset(one, 0, sizeof *one);
    return one;
}

__attribute__((format(printf, 5, 0))) static void
add(struct drv_findings *f, int sev, const char *id, const char *host, const char *fmt, va_list ap)
{
    const struct drv_finding_def *def = drv_finding_def(id);
    struct drv_finding *one = append(f);
    DRV_COPY(one->id, id);
    DRV_COPY(one->host, host);
    one->severity = sev >= 0 ? (enum drv_severity)sev : def ? def->severity : DRV_SEV_ERROR;
    if (def && one->severity > DRV_SEV_OK)
        DRV_COPY(one->fix, def->fix);
    vsnprintf(one->text, sizeof one->text, fmt, ap);
}

void drv_finding_append(struct drv_findings *f, const struct drv_finding *one)
{
    *append(f) = *one;
}

void drv_finding_add(struct drv_findings *f, const char *id, const char *host, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(f, -1, id, host, fmt, ap);
    va_end(ap);
}

void drv_finding_add_as(struct drv_findings *f, enum drv_severity sev, const char *id,
                        const char *host, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(f, (int)sev, id, host, fmt, ap);
    va_end(ap);
}

void drv_finding_fix(struct drv_findings *f, const char *fmt, ...)
{
    va_list ap;
    if (f->n == 0)
        return;
    va_start(ap, fmt);
    vsnprintf(f->list[f->n - 1].fix, sizeof f->list[0].fix, fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 3, 0))) static void
set_command(struct drv_finding *one, const char *at, const char *fmt, va_list ap)
{
    int n = vsnprintf(one->command, sizeof one->command, fmt, ap);
    if (n < 0 || (size_t)n >= sizeof one->command) // half a command may do anything
        one->command[0] = '\0';
    DRV_COPY(one->at, at);
}

void drv_finding_command(struct drv_findings *f, const char *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (f->n > 0)
        set_command(&f->list[f->n - 1], at, fmt, ap);
    va_end(ap);
}

void drv_finding_commands(struct drv_findings *f, unsigned from, const char *id, const char *host,
                          const char *at, const char *fmt, ...)
{
    for (unsigned i = from; i < f->n; i++) {
        va_list ap;
        if (strcmp(f->list[i].id, id) != 0 || strcmp(f->list[i].host, host) != 0)
            continue;
        va_start(ap, fmt);
        set_command(&f->list[i], at, fmt, ap);
        va_end(ap);
    }
}

bool drv_finding_err(struct drv_findings *f, const char *id, const char *host,
                     const struct drv_err *e)
{
    if (!e->id[0] && !id)
        return false;
    drv_finding_add(f, e->id[0] ? e->id : id, host, "%s", e->msg);
    if (e->hint[0])
        drv_finding_fix(f, "%s", e->hint);
    return true;
}

unsigned drv_findings_errors(const struct drv_findings *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < f->n; i++)
        n += f->list[i].severity == DRV_SEV_ERROR;
    return n;
}

enum drv_exit drv_findings_exit(const struct drv_findings *f)
{
    // The first of these that occurs decides: what waits (busy) is told only when nothing else is
    // wrong.
    static const enum drv_exit order[] = {DRV_EXIT_AUTH, DRV_EXIT_UNREACHABLE, DRV_EXIT_REFUSED,
                                          DRV_EXIT_BUSY};
    for (size_t k = 0; k < DRV_ARRAY_LEN(order); k++)
        for (unsigned i = 0; i < f->n; i++)
            if (f->list[i].severity == DRV_SEV_ERROR && exit_class(f->list[i].id) == order[k])
                return order[k];
    return DRV_EXIT_OK;
}

json_t *drv_findings_to_json(const struct drv_findings *f)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < f->n; i++) {
        const struct drv_finding *one = &f->list[i];
        const struct drv_finding_def *def = drv_finding_def(one->id);
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", one->id, "severity",
                              drv_severity_name(one->severity), "host", one->host, "title",
                              def ? def->title : "", "text", one->text, "fix", one->fix);
        if (one->command[0]) {
            json_object_set_new(j, "command", json_string(one->command));
            json_object_set_new(j, "at", json_string(one->at));
        }
        json_array_append_new(list, j);
    }
    return list;
}

static int severity_from_name(const char *name)
{
    for (int i = 0; i < DRV_SEV_MAX_; i++)
        if (!strcmp(severity_names[i], name))
            return i;
    return -1;
}

int drv_findings_from_json(const json_t *j, struct drv_findings *f, struct drv_err *err)
{
    size_t i;
    json_t *item;
    if (!json_is_array(j) || json_array_size(j) > MAX_FINDINGS)
        return drv_err(err, DRV_EPEER, "findings are not a list of at most %d", MAX_FINDINGS);
    json_array_foreach(j, i, item)
    {
        const char *id, *severity, *text;
        const char *host = "", *fix = "", *command = "", *at = "";
        json_error_t je;
        if (json_unpack_ex(item, &je, 0, "{s:s, s:s, s:s, s?s, s?s, s?s, s?s}", "id", &id,
                           "severity", &severity, "text", &text, "host", &host, "fix", &fix,
                           "command", &command, "at", &at) < 0)
            return drv_err(err, DRV_EPEER, "finding %zu: %s", i, je.text);
        int sev = severity_from_name(severity);
        if (strlen(id) != DRV_ID_LEN - 1 || sev < 0)
            return drv_err(err, DRV_EPEER, "finding %zu has the id \"%.8s\", severity \"%.8s\"", i,
                           id, severity);
        struct drv_finding *one = append(f);
        DRV_COPY(one->id, id);
        one->severity = (enum drv_severity)sev;
        DRV_COPY(one->host, host);
        DRV_COPY(one->text, text);
        DRV_COPY(one->fix, fix);
        if (DRV_COPY(one->command, command) < 0 || DRV_COPY(one->at, at) < 0)
            return drv_err(err, DRV_EPEER, "finding %zu: its command is too long", i);
    }
    return 0;
}

enum drv_exit drv_err_exit(const struct drv_err *err)
{
    static const enum drv_exit by_code[] = {
        [DRV_OK] = DRV_EXIT_OK,
        [DRV_EINVAL] = DRV_EXIT_USAGE,
        [DRV_EDENIED] = DRV_EXIT_AUTH,
        [DRV_EUNREACHABLE] = DRV_EXIT_UNREACHABLE,
        [DRV_EBUSY] = DRV_EXIT_BUSY,
        [DRV_ETIMEDOUT] = DRV_EXIT_FAILED,
        [DRV_ENOTFOUND] = DRV_EXIT_FAILED,
        [DRV_EEXIST] = DRV_EXIT_FAILED,
        [DRV_ENOSPACE] = DRV_EXIT_FAILED,
        [DRV_EPEER] = DRV_EXIT_FAILED,
        [DRV_EIO] = DRV_EXIT_FAILED,
        [DRV_ESTATE] = DRV_EXIT_FAILED,
        [DRV_ECANCELLED] = DRV_EXIT_CANCELLED,
        [DRV_EATTENTION] = DRV_EXIT_ATTENTION,
        [DRV_EINTERNAL] = DRV_EXIT_FAILED,
    };
    _Static_assert(DRV_ARRAY_LEN(by_code) == DRV_CODE_MAX_, "an exit status per code");
    return err->id[0] ? exit_class(err->id) : by_code[err->code];
}
